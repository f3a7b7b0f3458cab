//! What the tests share: the strategies, children, and a bound that is never meant to be reached.

use std::fs;
use std::time::{Duration, Instant};

use rustix::io::Errno;
use seccompiler::{BpfProgram, SeccompAction, SeccompFilter};

use pipeclog_capture::{
    Bound, Capture, Captured, Command, End, Kill, KillTarget, Strategy, Streams,
};

/// A test that reaches it has found a hang, and says so by the result.
pub(crate) const LONG: Bound = Bound::Timeout(Duration::from_secs(60));

/// SIGKILL to everything that a test has started.
pub(crate) const KILL_ALL: Kill = Kill {
    target: KillTarget::Tree,
    term_grace: Duration::ZERO,
};

/// The safe strategies of this build.
pub(crate) fn safe() -> impl Iterator<Item = Strategy> {
    Strategy::ALL
        .into_iter()
        .filter(|it| !it.is_hazard() && it.is_built())
}

/// The safe strategies that capture something.
pub(crate) fn capturing() -> impl Iterator<Item = Strategy> {
    safe().filter(|it| it.streams() != Streams::None)
}

/// The safe strategies that read while the child runs.
pub(crate) fn draining() -> impl Iterator<Item = Strategy> {
    capturing().filter(|it| !it.writes_files())
}

/// A shell that runs this.
pub(crate) fn sh(script: &str) -> Command {
    Command::new("sh").args(["-c", script])
}

/// Runs it, and fails with the strategy's name.
pub(crate) fn run(strategy: Strategy, end: End, script: &str) -> Captured {
    run_with(Capture::new(strategy, end, LONG), strategy, script)
}

/// Runs it as the capture says, and fails with the strategy's name.
pub(crate) fn run_with(capture: Capture, strategy: Strategy, script: &str) -> Captured {
    let captured = capture
        .run(&sh(script))
        .unwrap_or_else(|error| panic!("{strategy}: {error:?}"));
    assert_ne!(
        captured.stopped,
        Some(pipeclog_capture::Stopped::Deadline),
        "{strategy}: {script} hung"
    );
    captured
}

/// How often a test repeats what may go wrong once in many times: as `PIPECLOG_CASES` says, or this
/// often.
pub(crate) fn cases(usual: usize) -> usize {
    let told = std::env::var("PIPECLOG_CASES").ok();
    told.and_then(|text| text.parse().ok()).unwrap_or(usual)
}

/// Runs it on a thread, and so in children, for which these system calls fail like this: as on an
/// older kernel, under a container's filter, or out of processes.
pub(crate) fn with_failing<T: Send>(
    calls: &[i64],
    errno: Errno,
    work: impl FnOnce() -> T + Send,
) -> T {
    let architecture = std::env::consts::ARCH.try_into().expect("seccomp knows it");
    let rules = calls.iter().map(|call| (*call, Vec::new())).collect();
    let fail = SeccompAction::Errno(errno.raw_os_error().unsigned_abs());
    let filter = SeccompFilter::new(rules, SeccompAction::Allow, fail, architecture);
    let program: BpfProgram = filter.expect("valid").try_into().expect("short");
    std::thread::scope(|scope| {
        let filtered = scope.spawn(move || {
            seccompiler::apply_filter(&program).expect("a filter may be set by anybody");
            work()
        });
        filtered
            .join()
            .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })
}

/// A process, by its pid and a look at `/proc`: enough in a test, where the pid was told by the
/// process itself.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Process(pub(crate) i32);

impl Process {
    /// The pid in the first line of a child's output.
    pub(crate) fn told_in(output: &[u8]) -> Process {
        let line = output
            .split(|byte| *byte == b'\n')
            .next()
            .unwrap_or_default();
        let text = String::from_utf8_lossy(line);
        Process(
            text.trim()
                .parse()
                .unwrap_or_else(|_| panic!("no pid in {text:?}")),
        )
    }

    /// Its state letter, none once it has gone (or is a zombie of another's).
    pub(crate) fn state(self) -> Option<char> {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.0)).ok()?;
        stat.rsplit(") ")
            .next()?
            .chars()
            .next()
            .filter(|state| *state != 'Z')
    }

    pub(crate) fn is_alive(self) -> bool {
        self.state().is_some()
    }

    /// The number of the system call that it is blocked in, and the first argument.
    pub(crate) fn blocked_in(self) -> Option<(i64, u64)> {
        let text = fs::read_to_string(format!("/proc/{}/syscall", self.0)).ok()?;
        let mut words = text.split_ascii_whitespace();
        let number = words.next()?.parse().ok()?;
        let first = u64::from_str_radix(words.next()?.strip_prefix("0x")?, 16).ok()?;
        Some((number, first))
    }

    pub(crate) fn kill(self) {
        if let Some(pid) = rustix::process::Pid::from_raw(self.0) {
            let _ = rustix::process::kill_process(pid, rustix::process::Signal::KILL);
        }
    }
}

/// Looks until it is true; fails after 30 s with what was expected.
pub(crate) fn until(expected: &str, mut is_true: impl FnMut() -> bool) {
    let bound = Instant::now() + Duration::from_secs(30);
    while !is_true() {
        assert!(Instant::now() < bound, "not within 30 s: {expected}");
        std::thread::yield_now();
    }
}

/// Runs the rest of a test in a process of its own, where it may change what belongs to the
/// process: limits, signals, descriptors 0 to 2. Starts this test binary again for this one test,
/// under `prefix` if there is one. True in that process; in the first one, false once the other has
/// passed.
#[expect(clippy::print_stdout, reason = "what is skipped is said")]
pub(crate) fn alone(test: &str, prefix: &str) -> bool {
    const MARK: &str = "PIPECLOG_TEST_ALONE";
    if std::env::var_os(MARK).is_some_and(|name| name == test) {
        return true;
    }
    let binary = std::env::current_exe().expect("this test's own file");
    let command = sh(&format!("{prefix} exec \"$0\" \"$@\""))
        .arg(binary)
        .args([test, "--exact", "--nocapture", "--test-threads=1"])
        .env(MARK, test);
    // Long enough for what `PIPECLOG_CASES` asks for as well.
    let bound = Bound::Timeout(Duration::from_secs(600));
    let captured = Capture::new(Strategy::Poll, End::Drain, bound)
        .kill(KILL_ALL)
        .run(&command)
        .expect("it starts");
    let (out, err) = (
        captured.stdout.bytes.to_text_lossy(),
        captured.stderr.bytes.to_text_lossy(),
    );
    assert!(
        captured.status.success(),
        "alone: {}\n{out}\n{err}",
        captured.status
    );
    assert!(
        out.is_empty() || out.contains("1 passed"),
        "the test of this name did not run: {test}\n{out}"
    );
    // What the other process skipped, it is to say here.
    for line in out.lines().filter(|line| line.starts_with("skipped:")) {
        println!("{test}: {line}");
    }
    false
}

/// This process has no child, not even a zombie.
pub(crate) fn assert_childless() {
    let waited = rustix::process::wait(rustix::process::WaitOptions::NOHANG);
    assert_eq!(waited.err(), Some(Errno::CHILD), "a child is left");
}
