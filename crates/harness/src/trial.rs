//! One scenario under one parent, run once: prepare, start, watch, clear away, judge.
//!
//! The parent is always another process; no strategy under study runs in this one. Everything the trial reads or writes is a
//! nameless memory file of this process, passed as `/proc/PID/fd/N`, so whatever happens leaves no file behind; and the
//! parent's own output goes to such files too, never to a pipe.

use std::ffi::OsString;
use std::fs::File;
use std::io::{self, Write as _};
use std::os::fd::AsRawFd as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use nix::sys::memfd::{MFdFlags, memfd_create};
use nix::sys::signal::SigSet;
use nix::sys::stat::Mode;
use pipeclog_chatty::Ledger;
use pipeclog_scenario::expect::Expect;
use pipeclog_scenario::outcome::{
    CaptureReport, Measured, Outcome, Seen, Verdict, Writing, Written,
};
use pipeclog_scenario::pattern::{self, Tag};
use pipeclog_scenario::scenario::{Descendants, Scenario};
use pipeclog_supervise::tree::{End, Group, Left, Reaped, Tree, TreeError};
use pipeclog_waitgraph::snapshot::Snapshot;

use tempfile::TempDir;

use crate::judge::{self, Ended};
use crate::pool::Request;
use crate::quiet::Cast;
use crate::stop::Stop;
use crate::watch::{self, Patience, WatchError, Watched};

/// How long descendants that are awaited may take.
const AWAIT_BOUND: Duration = Duration::from_secs(10);

/// What trials need of their surroundings.
#[derive(Debug)]
pub struct Setup {
    /// The `pipeclog` binary: parent and, by its subcommand, child.
    pub program: PathBuf,
    /// The bound on each trial: the backstop for what nothing else ends.
    pub deadline: Duration,
    /// What makes a trial be given up, its processes killed and reaped as ever.
    pub stop: Stop,
    /// A directory for what cannot do without a name. Whoever made it removes it.
    pub scratch: PathBuf,
}

/// Why a trial says nothing about its strategy.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TrialError {
    #[error("failed to {what}: {source}")]
    Io {
        what: &'static str,
        source: io::Error,
    },
    #[error(transparent)]
    Tree(#[from] TreeError),
    #[error(transparent)]
    Watch(#[from] WatchError),
    #[error("failed to make the FIFO {name} in a temporary directory: {source}")]
    Fifo { name: String, source: io::Error },
    #[error("failed to write the script as JSON: {0}")]
    Script(#[from] pipeclog_scenario::script::ScriptError),
}

/// Runs one trial; nothing if it was given up. It takes the children of this process for those of the trial: run one at a
/// time, in a process that has no others (see [`crate::pool`]).
pub fn run(request: &Request, setup: &Setup) -> Option<Outcome> {
    if let Some(Expect::NotApplicable { why }) = request.scenario.expectation(request.strategy) {
        return Some(verdict(Verdict::Skipped { why: why.clone() }));
    }
    match try_run(request, setup) {
        Ok(outcome) => Some(outcome),
        Err(TrialError::Watch(WatchError::Stopped)) => None,
        Err(error) => Some(verdict(Verdict::Broken {
            why: error.to_string(),
        })),
    }
}

fn verdict(verdict: Verdict) -> Outcome {
    Outcome {
        verdict,
        measured: None,
        written: Written::default(),
        seen: None,
    }
}

fn try_run(request: &Request, setup: &Setup) -> Result<Outcome, TrialError> {
    let files = Files::new(&request.scenario, &setup.scratch)?;
    let mut command = parent(request, setup, &files)?;
    let patience = Patience::with_our_own(setup.deadline);
    let descendants = request.scenario.descendants;
    let ran = carry_out(&mut command, &setup.stop, patience, descendants, |_, _| {})?;
    let written = written(&files.ledger);
    let report = files.report();
    let (verdict, measured) = match ran.watched {
        Watched::Hung(hang) => (Verdict::Hung(hang), None),
        Watched::Ended => {
            let ended = Ended {
                leader: ran.leader,
                descendants: ran.left_to_us.iter().map(|reaped| reaped.end).collect(),
                descendants_left: ran.descendants_left,
                written,
                report: report.as_ref(),
                stdout: &files.stdout,
                stderr: &files.stderr,
            };
            let verdict = judge::judge(&request.scenario, request.strategy, &ended);
            (verdict, Some(measured(ran.wall, report.as_ref())))
        }
    };
    Ok(Outcome {
        verdict,
        measured,
        written,
        seen: report.as_ref().map(|report| Seen {
            stdout: report.stdout.seen,
            stderr: report.stderr.seen,
        }),
    })
}

/// A parent that has ended or was found to hang; nothing that it started is left.
pub(crate) struct Ran {
    /// Which of the two.
    pub(crate) watched: Watched,
    /// From its start to its end.
    pub(crate) wall: Duration,
    /// How it ended; by a kill of ours if it hung.
    pub(crate) leader: End,
    /// Those of its descendants that it left to us, and that ended by themselves.
    pub(crate) left_to_us: Vec<Reaped>,
    /// Whether descendants that were awaited lived on.
    pub(crate) descendants_left: Left,
}

/// Starts a parent, watches it to its end, and clears away.
pub(crate) fn carry_out(
    command: &mut Command,
    stop: &Stop,
    patience: Patience,
    descendants: Descendants,
    at_each_look: impl FnMut(&Snapshot, Cast),
) -> Result<Ran, TrialError> {
    let started = Instant::now();
    let mut tree = start_with_no_signal_blocked(command)?;
    let watch_to_the_end = || {
        let watched = watch::until_end_or_hang(&tree, stop, started, patience, at_each_look)?;
        let wall = started.elapsed();
        let mut left = Left::Nothing;
        if let (Watched::Ended, Descendants::Awaited) = (&watched, descendants) {
            left = watch::until_descendants_end(&mut tree, stop, Instant::now() + AWAIT_BOUND)?;
        }
        Ok::<_, WatchError>((watched, wall, left))
    };
    let (watched, wall, descendants_left) = match watch_to_the_end() {
        Ok(watched) => watched,
        Err(error) => {
            tree.clear()?;
            return Err(error.into());
        }
    };
    // Only those that are dead already: what lives is about to be killed, and not by the parent.
    tree.reap();
    let leader = tree.leader();
    let mut left_to_us = tree.reaped().to_vec();
    left_to_us.retain(|reaped| reaped.pid != leader);
    let all = tree.clear()?;
    let end = all.iter().find(|reaped| reaped.pid == leader);
    Ok(Ran {
        watched,
        wall,
        leader: end.map_or(End::Code(-1), |reaped| reaped.end),
        left_to_us,
        descendants_left,
    })
}

/// std's children inherit the signal mask, and ours has in it what `stop.rs` reads from a descriptor: a trial whose SIGTERM is
/// blocked is another trial. A signal that comes in these microseconds ends this process as it would any, but for SIGTERM, which `stop.rs`
/// handles; its guard then clears away.
fn start_with_no_signal_blocked(command: &mut Command) -> Result<Tree, TrialError> {
    let mask = |errno: nix::errno::Errno| TrialError::Io {
        what: "set the signal mask",
        source: errno.into(),
    };
    let ours = SigSet::thread_get_mask().map_err(mask)?;
    SigSet::empty().thread_set_mask().map_err(mask)?;
    let tree = Tree::start(command, Group::Own);
    ours.thread_set_mask().map_err(mask)?;
    Ok(tree?)
}

fn measured(wall: Duration, report: Option<&CaptureReport>) -> Measured {
    Measured {
        wall_us: u64::try_from(wall.as_micros()).unwrap_or(u64::MAX),
        capture_us: report.map(|report| report.capture_us),
        parent_cpu_us: report.map(|report| report.parent_cpu_us),
        child_cpu_us: report.map(|report| report.child_cpu_us),
        parent_peak_kib: report.map(|report| report.parent_peak_kib),
    }
}

/// The nameless files of one trial.
struct Files {
    script: File,
    ledger: File,
    stdin: Option<File>,
    report: File,
    stdout: File,
    stderr: File,
    /// The parent's working directory, where the scenario has FIFOs: they alone cannot do without a name.
    directory: Option<TempDir>,
}

impl Files {
    fn new(scenario: &Scenario, scratch: &Path) -> Result<Self, TrialError> {
        let mut script = memory_file()?;
        let wrote = |source| TrialError::Io {
            what: "fill a memory file",
            source,
        };
        script
            .write_all(scenario.script.to_json()?.as_bytes())
            .map_err(wrote)?;
        let stdin = match scenario.stdin {
            None => None,
            Some(size) => {
                let mut file = memory_file()?;
                write_pattern(&mut file, size.0).map_err(wrote)?;
                Some(file)
            }
        };
        Ok(Self {
            script,
            stdin,
            ledger: memory_file()?,
            report: memory_file()?,
            stdout: memory_file()?,
            stderr: memory_file()?,
            directory: fifos(&scenario.fifos, scratch)?,
        })
    }

    /// Nothing where the parent did not come to writing one.
    fn report(&self) -> Option<CaptureReport> {
        serde_json::from_slice(&std::fs::read(path_of(&self.report)).ok()?).ok()
    }
}

fn fifos(names: &[String], scratch: &Path) -> Result<Option<TempDir>, TrialError> {
    if names.is_empty() {
        return Ok(None);
    }
    let made = tempfile::Builder::new()
        .prefix("trial-")
        .tempdir_in(scratch);
    let directory = made.map_err(|source| TrialError::Io {
        what: "make a temporary directory",
        source,
    })?;
    for name in names {
        nix::unistd::mkfifo(&directory.path().join(name), Mode::S_IRUSR | Mode::S_IWUSR).map_err(
            |errno| TrialError::Fifo {
                name: name.clone(),
                source: errno.into(),
            },
        )?;
    }
    Ok(Some(directory))
}

pub(crate) fn memory_file() -> Result<File, TrialError> {
    memfd_create("pipeclog-trial", MFdFlags::MFD_CLOEXEC)
        .map(File::from)
        .map_err(|source| TrialError::Io {
            what: "make a memory file (memfd_create)",
            source: source.into(),
        })
}

/// What the chatty child says that it has written; zero where there was none, or it died before it had a ledger.
pub(crate) fn written(ledger: &File) -> Written {
    Ledger::read(&path_of(ledger)).map_or_else(
        |_| Written::default(),
        |ledger| Written {
            stdout: ledger.stdout,
            stderr: ledger.stderr,
            writing: ledger.writing.map(|writing| Writing {
                stream: writing.stream,
                bytes: writing.bytes,
            }),
        },
    )
}

/// The name under which other processes of this user can open a file that has none.
pub(crate) fn path_of(file: &File) -> PathBuf {
    PathBuf::from(format!(
        "/proc/{}/fd/{}",
        std::process::id(),
        file.as_raw_fd()
    ))
}

pub(crate) fn write_pattern(file: &mut File, len: u64) -> io::Result<()> {
    let mut block = vec![0; 64 << 10];
    let mut offset = 0;
    while offset < len {
        let part = usize::try_from(len - offset)
            .unwrap_or(usize::MAX)
            .min(block.len());
        let (part, _) = block.split_at_mut(part);
        pattern::render(Tag::STDIN, offset, part);
        file.write_all(part)?;
        offset += part.len() as u64;
    }
    Ok(())
}

/// `pipeclog capture … -- pipeclog chatty --script … --ledger …`.
fn parent(request: &Request, setup: &Setup, files: &Files) -> Result<Command, TrialError> {
    let mut command = Command::new(&setup.program);
    command
        .arg("capture")
        .arg("--strategy")
        .arg(request.strategy.name());
    command.args(options(&request.scenario));
    command.arg("--report").arg(path_of(&files.report));
    if let Some(stdin) = &files.stdin {
        command.arg("--stdin-file").arg(path_of(stdin));
    }
    command.arg("--").arg(&setup.program).arg("chatty");
    command
        .arg("--script")
        .arg(path_of(&files.script))
        .arg("--ledger")
        .arg(path_of(&files.ledger));
    if let Some(directory) = &files.directory {
        command.current_dir(directory.path());
    }
    let clone = |file: &File| {
        file.try_clone().map_err(|source| TrialError::Io {
            what: "duplicate a descriptor",
            source,
        })
    };
    command
        .stdin(std::process::Stdio::null())
        .stdout(clone(&files.stdout)?)
        .stderr(clone(&files.stderr)?);
    Ok(command)
}

fn options(scenario: &Scenario) -> Vec<OsString> {
    let parent = &scenario.parent;
    let mut options = Vec::new();
    let mut add = |option: &str, value: Option<String>| {
        if let Some(value) = value {
            options.push(OsString::from(format!("{option}={value}")));
        }
    };
    add("--end", parent.end.map(|end| end.to_string()));
    add("--deadline", parent.deadline_ms.map(|ms| format!("{ms}ms")));
    add("--limit", parent.limit.map(|size| size.to_string()));
    add(
        "--limit-policy",
        parent.limit_policy.map(|policy| policy.to_string()),
    );
    add("--kill", parent.kill.clone());
    add("--background", parent.background.clone());
    options
}
