//! A guard: a process that does nothing but to outlive another, and to end whatever that one leaves behind.
//!
//! The guarded process may be killed at any moment, by SIGKILL even: all that it had started are then children of the guard,
//! which is a subreaper, and are killed and reaped. When the guard is killed, the guarded process is told by SIGTERM
//! (prctl(2), `PR_SET_PDEATHSIG`) and cleans up itself. Something is left only if both are killed at once.

use std::io;
use std::os::fd::AsFd as _;
use std::process::Command;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{SigSet, Signal, kill};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use nix::unistd::{Pid, getppid};

use crate::error::{SystemError, system};
use crate::keeper::child_signals_are_told;
use crate::tree::{End, Group, Tree, TreeError};

/// How long the guarded process may take to end by itself once it is told to, or whoever it works for has gone.
const GRACE: Duration = Duration::from_secs(10);

/// What a guard takes instead of dying of it, and what it guards must take too.
pub const SIGNALS: [Signal; 4] = [
    Signal::SIGHUP,
    Signal::SIGINT,
    Signal::SIGQUIT,
    Signal::SIGTERM,
];

/// A guard that could not do its work. What it had started has been killed.
#[derive(Debug, thiserror::Error)]
pub enum GuardError {
    /// A system call refused.
    #[error(transparent)]
    System(#[from] SystemError),
    /// The tree could not be started or cleared.
    #[error(transparent)]
    Tree(#[from] TreeError),
}

/// Starts `command` with this process's standard streams, waits for its end, and ends what it leaves behind. When a signal of
/// [`SIGNALS`] comes, or whoever held the other end of our stdin has gone, it has ten seconds to end by itself.
///
/// Call it in a process of one thread that has no children, and that is to do nothing else: the signal mask is changed for good.
///
/// # Errors
/// When the command cannot be started, or some of what it left survives SIGKILL.
pub fn run(command: &mut Command) -> Result<End, GuardError> {
    child_signals_are_told().map_err(system("handle SIGCHLD"))?;
    let mut set = SigSet::empty();
    for signal in SIGNALS {
        set.add(signal);
    }
    set.thread_block().map_err(system("block signals"))?;
    let signals = SignalFd::with_flags(&set, SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK)
        .map_err(system("wait for signals (signalfd)"))?;
    let tree = Tree::start(command, Group::Own)?;
    let waited = wait(&tree, &signals);
    let leader = tree.leader();
    // Whatever came of the wait: nothing is left.
    let all = tree.clear()?;
    waited?;
    let end = all.iter().find(|reaped| reaped.pid == leader);
    Ok(end.map_or(End::Code(0), |reaped| reaped.end))
}

/// Until the leader has ended, or its time is up.
fn wait(tree: &Tree, signals: &SignalFd) -> Result<(), GuardError> {
    let stdin = io::stdin();
    let mut until: Option<Instant> = None;
    loop {
        let timeout = until.map_or(PollTimeout::NONE, |until| {
            let left = until.saturating_duration_since(Instant::now());
            PollTimeout::try_from(left).unwrap_or(PollTimeout::MAX)
        });
        let mut fds = vec![
            PollFd::new(tree.pidfd(), PollFlags::POLLIN),
            PollFd::new(signals.as_fd(), PollFlags::POLLIN),
        ];
        if until.is_none() {
            // No event asked for: what is written there is the guarded process's to read, a hang-up concerns us too.
            fds.push(PollFd::new(stdin.as_fd(), PollFlags::empty()));
        }
        match poll(&mut fds, timeout) {
            Ok(0) => return Ok(()),
            Ok(_) | Err(Errno::EINTR) => {}
            Err(errno) => return Err(system("wait (poll)")(errno).into()),
        }
        let woke = |index: usize| fds.get(index).and_then(PollFd::any).unwrap_or(false);
        if woke(0) {
            return Ok(());
        }
        if woke(1) {
            while let Ok(Some(_)) = signals.read_signal() {}
            // Not reaped, so the number is its own.
            let _ = kill(tree.leader(), Signal::SIGTERM);
        }
        if woke(1) || woke(2) {
            until = until.or_else(|| Some(Instant::now() + GRACE));
        }
    }
}

/// In the guarded process, first of all: it is told by SIGTERM when its guard dies.
///
/// # Errors
/// When prctl(2) refuses, or the guard has died before.
pub fn be_guarded_by(guard: Pid) -> Result<(), GuardError> {
    nix::sys::prctl::set_pdeathsig(Signal::SIGTERM)
        .map_err(system("ask for a signal at the guard's death (prctl)"))?;
    // It may have died before we asked, and then no signal comes.
    if getppid() == guard {
        Ok(())
    } else {
        Err(system("find the guard, which has died")(Errno::ESRCH).into())
    }
}
