//! An end of file that a leaked end keeps from coming, let come: only for a unix socket, by shutdown(2) on a duplicate of the holder's
//! descriptor.
//!
//! No system call closes a descriptor of another process. What closes a pipe's end from outside is a debugger that has its holder
//! call close(2), which is ptrace, or the holder's end. Tried: closing a duplicate leaves the holder's as it is; shutdown(2) of a pipe
//! fails with ENOTSOCK, TIOCVHANGUP with ENOTTY, and the entry in /proc/PID/fd cannot be removed (EPERM).

use nix::errno::Errno;
use nix::sys::socket::{Shutdown, shutdown};
use nix::sys::stat::fstat;
use pipeclog_waitgraph::channel::Channel;
use pipeclog_waitgraph::report::{Held, Report, VerdictName};
use pipeclog_waitgraph::snapshot::{Pid, Snapshot};
use pipeclog_waitgraph::{Diagnosis, diagnose};
use serde::Serialize;

use crate::duplicate;
use crate::grow::{Mode, RescueError};
use crate::plan::FIRST;

/// What was closed, or would be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Closed {
    /// The socket whose reader gets the end of file.
    pub channel: Channel,
    /// Who can write there no more: its next write fails with EPIPE, and SIGPIPE ends it unless it handles that.
    pub holders: Vec<Pid>,
    /// The leak in one sentence, safe for a terminal.
    pub headline: String,
}

/// Why nothing was closed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LeakError {
    /// There is no leak.
    #[error(
        "failed to close a leaked end for process {pid}: none is known ({headline}); nothing was changed"
    )]
    NoLeak {
        /// For whom.
        pid: Pid,
        /// What it is instead.
        headline: String,
    },
    /// A pipe has no shutdown(2).
    #[error(
        "failed to close the leaked end of {channel} ({headline}): no system call closes a descriptor of another process, a pipe knows no \
         shutdown(2) as a socket does, and this program does not trace; what helps: end process {holder} (kill {holder}), or have it close \
         the end itself, with a debugger: gdb -p {holder} -batch -ex 'call (int)close({fd})'; the danger: what it would write there later \
         fails (EBADF), or goes into whatever it opens next under that number, and a call that the debugger interrupts may fail"
    )]
    Pipe {
        /// The pipe.
        channel: Channel,
        /// The leak.
        headline: String,
        /// Who holds it.
        holder: Pid,
        /// Under which number.
        fd: u32,
    },
    /// No duplicate.
    #[error(transparent)]
    Duplicate(#[from] RescueError),
    /// shutdown(2) refused.
    #[error("failed to shut {channel} down: {}", .source.desc())]
    Kernel {
        /// The socket.
        channel: Channel,
        /// Why not.
        source: Errno,
    },
}

/// Lets the end of file come that `target`, or somebody below it, waits for, and leaked ends withhold. Bytes that were written before
/// are read first.
///
/// # Errors
/// A [`LeakError`]; nothing was changed then.
pub fn close_leaked(looks: &[Snapshot], target: Pid, mode: Mode) -> Result<Closed, LeakError> {
    let own = diagnose(looks, target);
    let (report, holds) = find(&own).ok_or_else(|| LeakError::NoLeak {
        pid: target,
        headline: own.report().headline.clone(),
    })?;
    let first = holds.first().ok_or_else(|| LeakError::NoLeak {
        pid: target,
        headline: report.headline.clone(),
    })?;
    let fd = first.fds.first().copied().unwrap_or_default();
    let Channel::Socket { peer, .. } = first.channel else {
        return Err(LeakError::Pipe {
            channel: first.channel.clone(),
            headline: report.headline.clone(),
            holder: first.pid,
            fd,
        });
    };
    if mode == Mode::Act {
        shut(first, fd, peer)?;
    }
    Ok(Closed {
        channel: first.channel.clone(),
        holders: holds.iter().map(|held| held.pid).collect(),
        headline: report.headline.clone(),
    })
}

/// The leak, of the target itself or beside it.
fn find(own: &Diagnosis) -> Option<(&Report, &[Held])> {
    let report = own.report();
    // Below the first process is everybody: whoever names it has named nobody.
    let below = if report.target.task.pid == FIRST {
        &[]
    } else {
        report.beside.as_slice()
    };
    let mut all = std::iter::once(report).chain(below);
    let leak = all.find(|report| report.verdict == VerdictName::Leaked)?;
    Some((leak, leak.culprit.as_ref()?.holds.as_slice()))
}

/// Once is enough for all who hold it: they share the socket.
fn shut(held: &Held, fd: u32, peer: u64) -> Result<(), LeakError> {
    let duplicate = duplicate::raw(held.pid, fd)?;
    let failed = |source| LeakError::Kernel {
        channel: held.channel.clone(),
        source,
    };
    if fstat(&duplicate).map_err(failed)?.st_ino != peer {
        return Err(LeakError::Duplicate(RescueError::Moved {
            pid: held.pid,
            fd,
            channel: held.channel.to_string(),
        }));
    }
    shutdown(std::os::fd::AsRawFd::as_raw_fd(&duplicate), Shutdown::Write).map_err(failed)
}
