//! The keeper: a process between the supervisor and its command, so that the tree outlives neither.
//!
//! It starts the command, adopts its orphans, and says on a pipe how the command ended. While it waits it holds nothing of the
//! caller's: neither a standard stream nor any other descriptor that was passed down. When the supervisor dies, by SIGKILL
//! even, the pipe tells (poll(2) reports POLLERR to a writer whose reader has gone), and the keeper kills all that it has.
//! When the keeper dies, its children become the supervisor's, which is a subreaper too.

use std::ffi::OsString;
use std::fs::File;
use std::io::{self, Write as _};
use std::os::fd::{AsFd as _, AsRawFd as _, RawFd};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{SigSet, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};

use crate::descriptors::close_all_but;
use crate::error::{SystemError, system};
use crate::signals::STOPS;
use crate::told::Told;
use crate::tree::{End, Group, Left, Tree, TreeError};

/// The hidden command by which the supervisor's own program becomes the keeper.
pub const KEEPER_COMMAND: &str = "keep";

/// A keeper that could not do its work. Its supervisor learns of it by the end of the pipe.
#[derive(Debug, thiserror::Error)]
pub enum KeeperError {
    /// The arguments are not those of `arguments`.
    #[error("failed to read the keeper's arguments: it is started by `pipeclog watch` alone")]
    Arguments,
    /// A system call refused.
    #[error(transparent)]
    System(#[from] SystemError),
    /// The tree could not be started or cleared.
    #[error(transparent)]
    Tree(#[from] TreeError),
}

/// What the keeper's program is to be given after [`KEEPER_COMMAND`]: the number under which it inherits the pipe, and the
/// signals that the supervisor blocked and the command shall not have blocked.
pub(crate) fn arguments(
    report: RawFd,
    unblock: impl Iterator<Item = Signal>,
    command: &[OsString],
) -> impl Iterator<Item = OsString> {
    let signals: Vec<String> = unblock.map(|s| (s as i32).to_string()).collect();
    [report.to_string(), signals.join(",")]
        .into_iter()
        .map(OsString::from)
        .chain(command.iter().cloned())
}

/// Starts the command and waits for its end, or for the supervisor's. `arguments` are those that follow [`KEEPER_COMMAND`].
///
/// # Errors
/// When the arguments or the system do not allow it; the supervisor then clears what was started.
pub fn run(arguments: &[OsString]) -> Result<(), KeeperError> {
    let [report, unblock, program, arguments @ ..] = arguments else {
        return Err(KeeperError::Arguments);
    };
    let number: RawFd = parse(report)?;
    let mut report = take(number)?;
    let mut unblock_set = SigSet::empty();
    let text = unblock.to_str().ok_or(KeeperError::Arguments)?;
    for signal in text.split(',').filter(|signal| !signal.is_empty()) {
        let signal = signal.parse::<i32>().ok().map(Signal::try_from);
        let Some(Ok(signal)) = signal else {
            return Err(KeeperError::Arguments);
        };
        unblock_set.add(signal);
    }
    child_signals_are_told().map_err(system("handle SIGCHLD"))?;
    survive(&unblock_set);
    unblock_set
        .thread_unblock()
        .map_err(system("restore the signal mask"))?;
    let mut command = Command::new(program);
    let started = Tree::start(command.args(arguments), Group::Same);
    // From here on nothing but SIGKILL and SIGSTOP ends or halts this process: the terminal's signals are for the command.
    SigSet::all()
        .thread_block()
        .map_err(system("block signals"))?;
    let mut tree = match started {
        Ok(tree) => tree,
        Err(TreeError::Spawn { source, .. }) => {
            let errno = source.raw_os_error().unwrap_or(0);
            return told(&mut report, Told::Failed { errno });
        }
        Err(error) => return Err(error.into()),
    };
    let leader = tree.leader().as_raw();
    let mut only = SigSet::empty();
    only.add(Signal::SIGCHLD);
    let deaths = SignalFd::with_flags(&only, SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK)
        .map_err(system("wait for children (signalfd)"))?;
    let own = [
        report.as_raw_fd(),
        tree.pidfd().as_raw_fd(),
        deaths.as_fd().as_raw_fd(),
    ];
    hold_nothing_but(&own)?;
    // Failure: the supervisor has died, which the first poll sees as well.
    let _ = told(&mut report, Told::Started { pid: leader });
    loop {
        if tree.reap() == Left::Nothing || leader_end(&tree).is_some() {
            break;
        }
        if wait(&deaths, &report)? == Woken::SupervisorGone {
            tree.clear()?;
            return Ok(());
        }
        while let Ok(Some(_)) = deaths.read_signal() {}
    }
    let told_end = match leader_end(&tree) {
        Some(End::Code(code)) => Told::Exited { code },
        Some(End::Signal(signal)) => Told::Killed {
            signal: signal as i32,
        },
        // The end of the pipe without a word says so.
        None => return Ok(()),
    };
    if told(&mut report, told_end).is_err() {
        tree.clear()?;
    }
    Ok(())
}

fn leader_end(tree: &Tree) -> Option<End> {
    let of_leader = |reaped: &&crate::tree::Reaped| reaped.pid == tree.leader();
    tree.reaped()
        .iter()
        .find(of_leader)
        .map(|reaped| reaped.end)
}

fn told(report: &mut File, what: Told) -> Result<(), KeeperError> {
    let line = what.to_line();
    report
        .write_all(line.as_bytes())
        .map_err(system("tell the supervisor"))?;
    Ok(())
}

#[derive(Debug, PartialEq, Eq)]
enum Woken {
    Child,
    SupervisorGone,
}

/// Without a timeout: whoever looks at this process sees it asleep for good.
fn wait(deaths: &SignalFd, report: &File) -> Result<Woken, KeeperError> {
    let mut fds = [
        PollFd::new(deaths.as_fd(), PollFlags::POLLIN),
        PollFd::new(report.as_fd(), PollFlags::empty()),
    ];
    match poll(&mut fds, PollTimeout::NONE) {
        Ok(_) | Err(Errno::EINTR) => {}
        Err(errno) => return Err(system("wait for children (poll)")(errno).into()),
    }
    let gone = fds.last().and_then(PollFd::any).unwrap_or(false);
    Ok(if gone {
        Woken::SupervisorGone
    } else {
        Woken::Child
    })
}

/// Opens the pipe anew and closes the inherited number, so that the command does not inherit it. (There is no safe way to own
/// a descriptor by its number.)
fn take(number: RawFd) -> Result<File, KeeperError> {
    let path = format!("/proc/self/fd/{number}");
    let opened = File::options().write(true).open(path);
    let file = opened.map_err(system("take over the pipe to the supervisor"))?;
    nix::unistd::close(number).map_err(system("close the inherited pipe"))?;
    Ok(file)
}

/// A caller may have left SIGCHLD ignored, and then no exit status is ever told (wait(2)). A handler ends that; the command
/// gets the default, as timeout(1) gives it.
pub(crate) fn child_signals_are_told() -> io::Result<()> {
    let unused = Arc::new(AtomicBool::new(false));
    signal_hook::flag::register(signal_hook::consts::SIGCHLD, unused).map(drop)
}

/// While the command is started its mask is that of the caller, and a Ctrl-C would end this process too. A handler keeps it
/// alive; the command has the default again, since exec(2) resets handlers. A Ctrl-Z does what it does.
fn survive(signals: &SigSet) {
    for signal in signals.iter().filter(|signal| !STOPS.contains(signal)) {
        // Refused for SIGKILL and its like, which no handler survives.
        if !signal_hook::consts::FORBIDDEN.contains(&(signal as i32)) {
            let unused = Arc::new(AtomicBool::new(false));
            let _ = signal_hook::flag::register(signal as i32, unused);
        }
    }
}

/// Whoever reads a stream of the command's to its end must not wait for this process.
fn hold_nothing_but(own: &[RawFd]) -> Result<(), KeeperError> {
    let failed = || system("let go of the standard streams");
    let null = File::options()
        .read(true)
        .write(true)
        .open("/dev/null")
        .map_err(failed())?;
    nix::unistd::dup2_stdin(&null).map_err(system("let go of stdin"))?;
    nix::unistd::dup2_stdout(&null).map_err(system("let go of stdout"))?;
    nix::unistd::dup2_stderr(&null).map_err(system("let go of stderr"))?;
    drop(null);
    close_all_but(own).map_err(failed())?;
    Ok(())
}

fn parse<T: std::str::FromStr>(text: &OsString) -> Result<T, KeeperError> {
    let parsed = text.to_str().and_then(|text| text.parse().ok());
    parsed.ok_or(KeeperError::Arguments)
}
