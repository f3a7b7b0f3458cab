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
    let number = Pid::from_raw(pid.0.cast_signed()).ok_or(RescueError::Gone { pid, fd })?;
    let process =
        pidfd_open(number, PidfdFlags::empty()).map_err(|errno| failed(errno, pid, fd))?;
    by(&process, pid, fd)
}

/// Duplicates whatever bears that number in the process of a pidfd.
pub(crate) fn by(process: &OwnedFd, pid: snapshot::Pid, fd: u32) -> Result<OwnedFd, RescueError> {
    let number = i32::try_from(fd).map_err(|_| RescueError::Gone { pid, fd })?;
    pidfd_getfd(process, number, PidfdGetfdFlags::empty()).map_err(|errno| failed(errno, pid, fd))
}

fn failed(errno: rustix::io::Errno, pid: snapshot::Pid, fd: u32) -> RescueError {
    match errno {
        rustix::io::Errno::SRCH | rustix::io::Errno::BADF => RescueError::Gone { pid, fd },
        errno => RescueError::Duplicate {
            pid,
            fd,
            source: Errno::from_raw(errno.raw_os_error()),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_has_gone_or_has_closed_it_is_said_to_have() {
        let own = snapshot::Pid(std::process::id());
        for (pid, fd) in [
            (snapshot::Pid(4_194_303), 1),
            (own, 1_000_000),
            (own, u32::MAX),
        ] {
            let error = raw(pid, fd).map(|_| ());
            assert_eq!(error, Err(RescueError::Gone { pid, fd }));
        }
    }

    #[test]
    fn a_descriptor_that_has_become_another_channel_is_not_taken_for_the_one_that_was() {
        let (_reading, writing) = std::io::pipe().unwrap();
        let fd = u32::try_from(std::os::fd::AsRawFd::as_raw_fd(&writing)).unwrap();
        let inode = fstat(&writing).unwrap().st_ino;
        let of_inode = |inode| {
            of(&Candidate {
                pid: snapshot::Pid(std::process::id()),
                fd,
                channel: Channel::Pipe { inode },
            })
        };
        assert!(of_inode(inode).is_ok());
        assert!(matches!(
            of_inode(inode + 1),
            Err(RescueError::Moved { .. })
        ));
    }
}
