//! A chatty under test, with every wait bounded from outside the thread that waits.

use std::io::{PipeReader, PipeWriter, Read as _, Write as _};
use std::ops::{Deref, DerefMut};
use std::os::unix::process::ExitStatusExt as _;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use pipeclog_scenario::script::{Input, Script};
use pipeclog_scenario::verify::{Source, Verdict, Verifier};
use tempfile::NamedTempFile;

/// Far beyond what any test takes; only a hang gets here.
const BOUND: Duration = Duration::from_secs(60);

/// A child, and the test's ends of its three pipes.
pub(crate) struct Chatty {
    pub(crate) child: Reaped,
    pub(crate) stdin: Option<PipeWriter>,
    pub(crate) stdout: PipeReader,
    pub(crate) stderr: PipeReader,
    _script: Option<NamedTempFile>,
    _watchdog: Sender<()>,
}

/// A child that is not left behind when its test fails.
pub(crate) struct Reaped(Child);

impl Drop for Reaped {
    fn drop(&mut self) {
        // Both do nothing to a child that has been waited for.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Deref for Reaped {
    type Target = Child;

    fn deref(&self) -> &Child {
        &self.0
    }
}

impl DerefMut for Reaped {
    fn deref_mut(&mut self) -> &mut Child {
        &mut self.0
    }
}

static SPAWNING: Mutex<()> = Mutex::new(());

/// While this is held, no other test is between fork and exec, where a child has copies of every pipe of every test.
pub(crate) fn no_other_spawn() -> MutexGuard<'static, ()> {
    SPAWNING.lock().unwrap_or_else(PoisonError::into_inner)
}

/// All that came of a child.
pub(crate) struct Done {
    pub(crate) status: ExitStatus,
    pub(crate) stdout: Vec<u8>,
    pub(crate) stderr: Vec<u8>,
}

pub(crate) fn flags(flags: &[&str]) -> Chatty {
    start(flags, None)
}

pub(crate) fn script(json: &str) -> Chatty {
    let mut file = NamedTempFile::new().unwrap();
    file.write_all(json.as_bytes()).unwrap();
    let path = file.path().to_str().unwrap().to_owned();
    start(&["--script", &path], Some(file))
}

fn start(args: &[&str], script: Option<NamedTempFile>) -> Chatty {
    let (child_in, stdin) = std::io::pipe().unwrap();
    let (stdout, child_out) = std::io::pipe().unwrap();
    let (stderr, child_err) = std::io::pipe().unwrap();
    let mut chatty = with_streams(args, child_in, child_out, child_err);
    (chatty.stdin, chatty.stdout, chatty.stderr) = (Some(stdin), stdout, stderr);
    chatty._script = script;
    chatty
}

/// A child on streams of the test's choice. Its own ends are closed here; the result's pipes are at their end.
pub(crate) fn with_streams(
    args: &[&str],
    stdin: impl Into<Stdio>,
    stdout: impl Into<Stdio>,
    stderr: impl Into<Stdio>,
) -> Chatty {
    let mut command = Command::new(env!("CARGO_BIN_EXE_chatty"));
    command
        .args(args)
        .stdin(stdin)
        .stdout(stdout)
        .stderr(stderr);
    let nobody = no_other_spawn();
    let child = Reaped(command.spawn().unwrap());
    drop(nobody);
    // The command holds the test's copies of the child's ends.
    drop(command);
    let at_end = || std::io::pipe().unwrap().0;
    let (stdout, stderr) = (at_end(), at_end());
    Chatty {
        child,
        stdin: None,
        stdout,
        stderr,
        _script: None,
        _watchdog: watchdog(),
    }
}

/// Ends the test's process if the guard is still alive when the bound passes. The pipes close with it, and on
/// that every child and descendant ends.
#[expect(
    clippy::print_stderr,
    reason = "the last words of a test run that is about to be aborted"
)]
pub(crate) fn watchdog() -> Sender<()> {
    let (guard, ended) = mpsc::channel();
    thread::spawn(move || {
        if ended.recv_timeout(BOUND) == Err(RecvTimeoutError::Timeout) {
            eprintln!("a test of chatty hangs: nothing came for {BOUND:?}");
            std::process::abort();
        }
    });
    guard
}

impl Chatty {
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Closes stdin, reads both streams to their ends, and reaps.
    pub(crate) fn finish(mut self) -> Done {
        self.stdin = None;
        let mut stderr_pipe = self.stderr;
        let stderr = thread::spawn(move || read_all(&mut stderr_pipe));
        let stdout = read_all(&mut self.stdout);
        let stderr = stderr.join().unwrap();
        Done {
            status: self.child.wait().unwrap(),
            stdout,
            stderr,
        }
    }

    /// Writes `bytes` to stdin while the streams are read, then as [`Chatty::finish`].
    pub(crate) fn finish_with_input(mut self, bytes: Vec<u8>) -> Done {
        let mut stdin = self.stdin.take().unwrap();
        // A child that does not read is no failure: EPIPE.
        let feeder = thread::spawn(move || drop(stdin.write_all(&bytes)));
        let done = self.finish();
        feeder.join().unwrap();
        done
    }

    /// Reads so many bytes of stdout: the handshake with a prompt.
    pub(crate) fn stdout(&mut self, len: usize) -> Vec<u8> {
        let mut bytes = vec![0; len];
        self.stdout.read_exact(&mut bytes).unwrap();
        bytes
    }

    pub(crate) fn close_stdin(&mut self) {
        self.stdin = None;
    }
}

impl Done {
    pub(crate) fn code(&self) -> Option<i32> {
        self.status.code()
    }

    pub(crate) fn signal(&self) -> Option<i32> {
        self.status.signal()
    }
}

pub(crate) fn read_all(pipe: &mut PipeReader) -> Vec<u8> {
    let mut bytes = Vec::new();
    pipe.read_to_end(&mut bytes).unwrap();
    bytes
}

pub(crate) fn verdict(json: &str, source: Source, input: Input<'_>, bytes: &[u8]) -> Verdict {
    let script = Script::from_json(json).unwrap();
    let mut verifier = Verifier::new(&script, source, input);
    verifier.push(bytes);
    verifier.finish()
}

/// The bytes are those of the script, to the last one.
pub(crate) fn assert_complete(json: &str, source: Source, bytes: &[u8]) {
    let found = verdict(json, source, Input::Pattern(0), bytes);
    assert_eq!(
        (found.fault, found.background_missing),
        (None, 0),
        "{source:?}: {found}"
    );
}
