//! Processes that are stopped, continued and ended, by pidfd, and only if they are who they were.

use std::os::fd::{AsFd as _, OwnedFd};
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use pipeclog_procscan::{Scanner, Selection};
use pipeclog_waitgraph::snapshot::{Pid, Snapshot, State};
use rustix::process::{PidfdFlags, Signal, pidfd_open, pidfd_send_signal};

use super::journal::Party;
use super::{SpoolError, fault};

/// How long a signal may take to be acted on: a process in an uninterruptible wait takes longer, and is given up.
const BOUND: Duration = Duration::from_secs(5);

/// A process that is who it was.
pub(crate) struct Known {
    pub(crate) party: Party,
    pub(crate) pidfd: OwnedFd,
}

/// Opens a process; `None` if it has gone.
pub(crate) fn open(scanner: &mut Scanner, party: Party) -> Result<Option<Known>, SpoolError> {
    let number = rustix::process::Pid::from_raw(party.pid.0.cast_signed());
    let pidfd = match number.map(|pid| pidfd_open(pid, PidfdFlags::empty())) {
        Some(Ok(pidfd)) => pidfd,
        None | Some(Err(rustix::io::Errno::SRCH)) => return Ok(None),
        // No descriptor left, say: who cannot be named is not gone.
        Some(Err(errno)) => {
            return Err(SpoolError::Signal {
                pid: party.pid,
                source: Errno::from_raw(errno.raw_os_error()),
            });
        }
    };
    // Looked at after it was opened: who bears the number and the start time now is whom the pidfd names.
    let look = scanner.scan(&Selection::Tree(vec![party.pid]))?;
    let process = look.process(party.pid);
    Ok(process
        .filter(|process| process.start_ticks == party.start_ticks)
        .filter(|process| !process.tasks.iter().all(|task| is_over(task.state)))
        .map(|_| Known { party, pidfd }))
}

/// The start time of a process of ours.
pub(crate) fn party_of(scanner: &mut Scanner, pid: Pid) -> Result<Option<Party>, SpoolError> {
    let look = scanner.scan(&Selection::Tree(vec![pid]))?;
    Ok(look.process(pid).map(|process| Party {
        pid,
        start_ticks: process.start_ticks,
    }))
}

/// Stops them, and waits until every task of theirs has stopped.
pub(crate) fn stop(scanner: &mut Scanner, known: &[Known]) -> Result<(), SpoolError> {
    for one in known {
        signal(one, Signal::STOP)?;
        fault::step();
    }
    let bound = Instant::now() + BOUND;
    loop {
        if are_stopped(scanner, known)? {
            return Ok(());
        }
        if Instant::now() > bound {
            return Err(SpoolError::WillNotStop);
        }
        for one in known {
            // Nothing tells of a stop but to look again; it returns early where one has gone.
            wait_for_end(one, Duration::from_millis(2));
        }
    }
}

/// Whether every task of theirs is stopped, or has ended.
pub(crate) fn are_stopped(scanner: &mut Scanner, known: &[Known]) -> Result<bool, SpoolError> {
    let look = scan(scanner, known)?;
    Ok(known.iter().all(|one| {
        let process = look.process(one.party.pid);
        process.is_none_or(|process| {
            let mut tasks = process.tasks.iter();
            tasks.all(|task| task.state == State::Stopped || is_over(task.state))
        })
    }))
}

/// Lets all go on, even those who are not seen to be stopped: a stop may be under way to them, and this takes it back.
pub(crate) fn let_go(known: &[Known]) -> Result<(), SpoolError> {
    let told = known.iter().map(|one| signal(one, Signal::CONT));
    // Every one of them, whatever comes of the others.
    told.fold(Ok(()), Result::and)
}

/// Ends a process of ours, and waits until what it held is closed.
pub(crate) fn end(known: &Known) -> Result<(), SpoolError> {
    signal(known, Signal::KILL)?;
    wait_for_end(known, BOUND);
    Ok(())
}

fn signal(known: &Known, signal: Signal) -> Result<(), SpoolError> {
    match pidfd_send_signal(&known.pidfd, signal) {
        // It has ended, and needs no telling.
        Ok(()) | Err(rustix::io::Errno::SRCH) => Ok(()),
        Err(errno) => Err(SpoolError::Signal {
            pid: known.party.pid,
            source: Errno::from_raw(errno.raw_os_error()),
        }),
    }
}

fn wait_for_end(known: &Known, bound: Duration) {
    let mut fds = [PollFd::new(known.pidfd.as_fd(), PollFlags::POLLIN)];
    let _ = poll(
        &mut fds,
        PollTimeout::try_from(bound).unwrap_or(PollTimeout::MAX),
    );
}

fn scan(scanner: &mut Scanner, known: &[Known]) -> Result<Snapshot, SpoolError> {
    let pids = known.iter().map(|one| one.party.pid).collect();
    Ok(scanner.scan(&Selection::Tree(pids))?)
}

fn is_over(state: State) -> bool {
    matches!(state, State::Zombie | State::Dead)
}
