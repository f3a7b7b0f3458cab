//! A duplicate of another process's descriptor, for as long as one question or one change takes (man 2 pidfd_getfd).
//!
//! It raises no count of readers or writers and opens nothing, so it frees nobody who waits in open(2) of a FIFO; it would only
//! delay a last close. Its flags are shared with the process and are never touched.

use std::os::fd::OwnedFd;

use nix::errno::Errno;
use nix::sys::stat::fstat;
use pipeclog_waitgraph::channel::Channel;
use pipeclog_waitgraph::snapshot;
use rustix::process::{Pid, PidfdFlags, PidfdGetfdFlags, pidfd_getfd, pidfd_open};

use crate::grow::RescueError;
use crate::plan::Candidate;

/// Duplicates a candidate's descriptor, and makes sure that it is the channel in question: then it does not matter whether the
/// number of the process has passed to another in the meantime.
pub(crate) fn of(candidate: &Candidate) -> Result<OwnedFd, RescueError> {
    let duplicate = raw(candidate.pid, candidate.fd)?;
    let inode = fstat(&duplicate)
        .map_err(|source| RescueError::Duplicate {
            pid: candidate.pid,
            fd: candidate.fd,
            source,
        })?
        .st_ino;
    let is_same = match &candidate.channel {
        Channel::Pipe { inode: wanted } | Channel::Socket { inode: wanted, .. } => inode == *wanted,
        Channel::Fifo { file, .. } => inode == file.ino,
        Channel::Pty { .. } | Channel::Eventfd { .. } => false,
    };
    if is_same {
        Ok(duplicate)
    } else {
        Err(RescueError::Moved {
            pid: candidate.pid,
            fd: candidate.fd,
            channel: candidate.channel.to_string(),
        })
    }
}

/// Duplicates whatever bears that number.
pub(crate) fn raw(pid: snapshot::Pid, fd: u32) -> Result<OwnedFd, RescueError> {
    let failed = |source: Errno| RescueError::Duplicate { pid, fd, source };
    let number = Pid::from_raw(pid.0.cast_signed()).ok_or_else(|| failed(Errno::ESRCH))?;
    let fd = i32::try_from(fd).map_err(|_| failed(Errno::EBADF))?;
    let process = pidfd_open(number, PidfdFlags::empty())
        .map_err(|errno| failed(Errno::from_raw(errno.raw_os_error())))?;
    pidfd_getfd(process, fd, PidfdGetfdFlags::empty())
        .map_err(|errno| failed(Errno::from_raw(errno.raw_os_error())))
}
