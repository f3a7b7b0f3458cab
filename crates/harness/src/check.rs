//! Cases that are put to a wrapper that is not ours: the wrapper is the parent of a trial, watched and cleared away as any.
//!
//! Nothing is known of it but what the kernel says and what it wrote. It makes no report, so what it owes follows from the
//! case alone, and every timer that it may have is given time.

pub mod bisect;
pub mod contract;
mod idle;
mod judge;
mod probe;
pub mod shipped;

use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, Write as _};
use std::process::{Command, Stdio};
use std::time::Duration;

use pipeclog_chatty::Ledger;
use pipeclog_scenario::check::{Case, Child, Finding, Start, Wrapper};
use serde::{Deserialize, Serialize};

use crate::trial::{self, Setup, TrialError, memory_file, path_of};
use crate::watch::{Patience, WatchError, Watched};
use idle::Idle;

/// A case and the wrapper that it is put to.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Request {
    /// The case.
    pub case: Case,
    /// The wrapper.
    pub wrapper: Wrapper,
}

/// The bound on a trial that nothing else ends. A JVM on a loaded machine takes seconds to start.
const DEADLINE: Duration = Duration::from_secs(60);
/// How long nothing may move, where the wrapper was given no timeout; a timer by setitimer(2) shows nowhere in `/proc`. Over so long a
/// window of looks the engine tells a stall.
const QUIET: Duration = Duration::from_millis(1_000);
/// How long a leak, or a deadlock that is only probable, must be seen.
const PROBABLE: Duration = Duration::from_millis(700);
/// How long a wrapper may sleep and look in turns while its child is blocked.
const POLLING: Duration = Duration::from_secs(3);
/// How long a wrapper may come back from waits with a timeout after the child's exit, while nobody else in the trial moves. Far above a
/// grace period that a program would have for the end of file; what is longer counts as a hang.
const TIMERS: Duration = Duration::from_secs(10);
/// A path at which nothing is.
pub(crate) const MISSING: &str = "/nonexistent/pipeclog-no-such-command";

/// Puts a case to a wrapper; nothing if it was given up. As [`trial::run`], it takes the children of this process for its own.
pub fn run(request: &Request, setup: &Setup) -> Option<Finding> {
    if let Some(why) = request.wrapper.not_applicable(&request.case) {
        return Some(Finding::NotApplicable { why });
    }
    match try_run(request, setup) {
        Ok(finding) => Some(finding),
        Err(TrialError::Watch(WatchError::Stopped)) => None,
        Err(error) => Some(Finding::Broken {
            why: error.to_string(),
        }),
    }
}

fn try_run(request: &Request, setup: &Setup) -> Result<Finding, TrialError> {
    let case = &request.case;
    let files = Files::new(case)?;
    let mut command = command(request, setup, &files)?;
    let inherited = probe::own_descriptors();
    let mut idle = Idle::default();
    let ran = trial::carry_out(
        &mut command,
        &setup.stop,
        patience(case),
        case.descendants,
        |look, cast| {
            if case.idle {
                idle.look(look, cast);
            }
        },
    )?;
    if let Watched::Hung(hang) = ran.watched {
        return Ok(Finding::Hung(Box::new(hang)));
    }
    Ok(judge::judge(request, &ran, &files, &idle, &inherited))
}

/// A wrapper's own timeout may be hidden, so nothing is concluded before it has passed for good.
fn patience(case: &Case) -> Patience {
    let orders = &case.orders;
    let timers = orders.timeout_s.or(orders.resume_s).unwrap_or(0);
    let timers = Duration::from_secs(2 * timers);
    Patience {
        deadline: DEADLINE,
        quiet: QUIET + timers,
        polling: POLLING + timers,
        timers: Some(TIMERS + timers),
        probable: Some(PROBABLE + timers),
        proof: timers,
    }
}

/// The nameless files of one trial.
pub(crate) struct Files {
    script: File,
    ledger: File,
    stdin: Option<File>,
    /// What the probe says.
    pub(crate) probe: File,
    /// What the wrapper wrote to its stdout.
    pub(crate) stdout: File,
    /// What the wrapper wrote to its stderr.
    pub(crate) stderr: File,
}

impl Files {
    fn new(case: &Case) -> Result<Self, TrialError> {
        let wrote = |source: io::Error| TrialError::Io {
            what: "fill a memory file",
            source,
        };
        let mut script = memory_file()?;
        if let Some(what) = case.script() {
            script
                .write_all(what.to_json()?.as_bytes())
                .map_err(wrote)?;
        }
        let mut stdin = None;
        if let Some(size) = case.stdin {
            let mut file = memory_file()?;
            trial::write_pattern(&mut file, size.0).map_err(wrote)?;
            // The wrapper gets this very description, and starts where it stands.
            io::Seek::rewind(&mut file).map_err(wrote)?;
            stdin = Some(file);
        }
        Ok(Self {
            script,
            ledger: memory_file()?,
            stdin,
            probe: memory_file()?,
            stdout: memory_file()?,
            stderr: memory_file()?,
        })
    }

    /// What the child has done; nothing if it never came to keep a ledger.
    pub(crate) fn ledger(&self) -> Option<Ledger> {
        Ledger::read(&path_of(&self.ledger)).ok()
    }
}

/// `WRAPPER… [its options] CHILD…`, in the state that the case starts it in.
fn command(request: &Request, setup: &Setup, files: &Files) -> Result<Command, TrialError> {
    let case = &request.case;
    let words = request.wrapper.words(case);
    let mut command = match case.start {
        Start::Usual => {
            let mut command = Command::new(words.first().map_or("", String::as_str));
            command.args(words.iter().skip(1));
            command
        }
        Start::StdinClosed => from_shell("exec \"$@\" <&-", &words),
        Start::SigchldIgnored => from_shell("trap '' CHLD; exec \"$@\"", &words),
    };
    match &case.child {
        Child::Script(_) => {
            command.arg(&setup.program).arg("chatty");
            command.arg("--script").arg(path_of(&files.script));
            command.arg("--ledger").arg(path_of(&files.ledger));
        }
        Child::Probe(_) => {
            command.args(["sh", "-c", probe::TEXT]);
            command.arg(path_of(&files.probe));
        }
        Child::Missing => {
            command.arg(MISSING);
        }
    }
    let clone = |file: &File| {
        file.try_clone().map_err(|source| TrialError::Io {
            what: "duplicate a descriptor",
            source,
        })
    };
    command
        .stdin(match &files.stdin {
            Some(file) => Stdio::from(clone(file)?),
            None => Stdio::null(),
        })
        .stdout(clone(&files.stdout)?)
        .stderr(clone(&files.stderr)?);
    Ok(command)
}

fn from_shell(text: &str, words: &[String]) -> Command {
    let mut command = Command::new("sh");
    command
        .args([OsStr::new("-c"), OsStr::new(text), OsStr::new("sh")])
        .args(words);
    command
}
