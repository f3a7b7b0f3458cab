//! Making the smallest full channel larger: for a pipe F_SETPIPE_SZ (man 2 fcntl), for a unix socket SO_SNDBUFFORCE
//! (man 7 socket). Its blocked writer wakes, as if a reader had made room.

use std::os::fd::{AsFd, OwnedFd};

use nix::errno::Errno;
use nix::sys::socket::{getsockopt, setsockopt, sockopt};
use pipeclog_waitgraph::channel::Channel;
use pipeclog_waitgraph::snapshot::Pid;
use serde::Serialize;

use crate::duplicate;
use crate::plan::{Candidate, Plan};

/// How far channels may grow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// No channel becomes larger than this, in bytes. The kernel has limits of its own (`/proc/sys/fs/pipe-max-size`).
    pub most_bytes: usize,
}

/// What was done, or would be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Action {
    /// The channel.
    pub channel: Channel,
    /// Whose descriptor was duplicated for it.
    pub pid: Pid,
    /// Its number.
    pub fd: u32,
    /// Its size before, in bytes.
    pub from_bytes: usize,
    /// Its size after, in bytes.
    pub to_bytes: usize,
}

/// Why a channel could not be made larger. Nothing was changed then.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RescueError {
    /// pidfd_getfd refused.
    #[error(
        "failed to duplicate descriptor {fd} of process {pid}: {}; that takes the right to trace it (the same user, and where \
         kernel.yama.ptrace_scope is not 0, root), and Linux 5.6", .source.desc()
    )]
    Duplicate {
        /// Whose.
        pid: Pid,
        /// Which.
        fd: u32,
        /// Why not.
        source: Errno,
    },
    /// The process has ended, or has closed it.
    #[error(
        "failed to duplicate descriptor {fd} of process {pid}: the process has ended meanwhile, or has closed it; look again"
    )]
    Gone {
        /// Whose.
        pid: Pid,
        /// Which.
        fd: u32,
    },
    /// It is something else by now.
    #[error(
        "failed to find {channel} at descriptor {fd} of process {pid}: it has been closed since; look again"
    )]
    Moved {
        /// Whose.
        pid: Pid,
        /// Which.
        fd: u32,
        /// What was expected.
        channel: String,
    },
    /// The largest that is allowed is reached.
    #[error(
        "failed to make {channel} larger than {bytes} bytes: {limit} bytes are the most that is allowed here; raise \
         /proc/sys/fs/pipe-max-size, or --most where it is lower, and change the program: it must read while it waits"
    )]
    NoRoom {
        /// The channel.
        channel: String,
        /// Its size.
        bytes: usize,
        /// The limit.
        limit: usize,
    },
    /// EPERM of F_SETPIPE_SZ.
    #[error(
        "failed to make {channel} larger than {bytes} bytes: this user is over the share of pages for pipes; close other pipes, raise \
         /proc/sys/fs/pipe-user-pages-soft, or run this as root (`pipeclog limits` shows how near the limits are)"
    )]
    OverBudget {
        /// The channel.
        channel: String,
        /// Its size.
        bytes: usize,
    },
    /// SO_SNDBUFFORCE takes CAP_NET_ADMIN.
    #[error(
        "failed to make the buffer of {channel} larger than {bytes} bytes: that takes CAP_NET_ADMIN; run this as root, or raise \
         /proc/sys/net/core/wmem_max"
    )]
    NoPrivilege {
        /// The channel.
        channel: String,
        /// Its size.
        bytes: usize,
    },
    /// Anything else that the kernel says.
    #[error("failed to {what} {channel}: {}", .source.desc())]
    Kernel {
        /// What was tried.
        what: &'static str,
        /// On what.
        channel: String,
        /// Why not.
        source: Errno,
    },
}

/// Whether it is done or only told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// It is done.
    Act,
    /// It is only told.
    DryRun,
}

/// Makes the smallest full channel of the plan twice as large (Parks: the smallest first). Those that cannot grow are passed over
/// for the next larger one.
///
/// # Errors
/// When none can be made larger: why the smallest cannot.
pub fn grow(plan: &Plan, limits: Limits, mode: Mode) -> Result<Action, RescueError> {
    let mut first_error = None;
    let mut sized = Vec::new();
    for candidate in &plan.candidates {
        match duplicate::of(candidate).and_then(|fd| size(candidate, &fd)) {
            Ok(bytes) => sized.push((bytes, candidate)),
            Err(error) => first_error = first_error.or(Some(error)),
        }
    }
    sized.sort_by_key(|(bytes, _)| *bytes);
    for (bytes, candidate) in sized {
        match grow_one(candidate, bytes, limits, mode) {
            Ok(action) => return Ok(action),
            Err(error) => first_error = first_error.or(Some(error)),
        }
    }
    Err(first_error.unwrap_or_else(|| RescueError::Kernel {
        what: "find a full channel in",
        channel: "the plan".to_owned(),
        source: Errno::ENOENT,
    }))
}

fn kernel(what: &'static str, candidate: &Candidate) -> impl FnOnce(Errno) -> RescueError {
    let channel = candidate.channel.to_string();
    move |source| RescueError::Kernel {
        what,
        channel,
        source,
    }
}

fn size(candidate: &Candidate, fd: &OwnedFd) -> Result<usize, RescueError> {
    match candidate.channel {
        Channel::Socket { .. } => {
            getsockopt(fd, sockopt::SndBuf).map_err(kernel("ask for the size of", candidate))
        }
        _ => rustix::pipe::fcntl_getpipe_size(fd)
            .map_err(|errno| Errno::from_raw(errno.raw_os_error()))
            .map_err(kernel("ask for the size of", candidate)),
    }
}

fn grow_one(
    candidate: &Candidate,
    from_bytes: usize,
    limits: Limits,
    mode: Mode,
) -> Result<Action, RescueError> {
    let channel = || candidate.channel.to_string();
    let wanted = from_bytes.saturating_mul(2).min(limits.most_bytes);
    if wanted <= from_bytes {
        return Err(RescueError::NoRoom {
            channel: channel(),
            bytes: from_bytes,
            limit: limits.most_bytes,
        });
    }
    let to_bytes = match mode {
        Mode::DryRun => wanted,
        Mode::Act => {
            let fd = duplicate::of(candidate)?;
            match candidate.channel {
                Channel::Socket { .. } => grow_socket(candidate, &fd, from_bytes, wanted)?,
                _ => grow_pipe(candidate, &fd, from_bytes, wanted)?,
            }
        }
    };
    Ok(Action {
        channel: candidate.channel.clone(),
        pid: candidate.pid,
        fd: candidate.fd,
        from_bytes,
        to_bytes,
    })
}

fn grow_pipe(
    candidate: &Candidate,
    fd: impl AsFd,
    bytes: usize,
    wanted: usize,
) -> Result<usize, RescueError> {
    match rustix::pipe::fcntl_setpipe_size(fd, wanted) {
        Ok(size) => Ok(size),
        Err(rustix::io::Errno::PERM) => Err(RescueError::OverBudget {
            channel: candidate.channel.to_string(),
            bytes,
        }),
        Err(errno) => Err(kernel("enlarge", candidate)(Errno::from_raw(
            errno.raw_os_error(),
        ))),
    }
}

fn grow_socket(
    candidate: &Candidate,
    fd: &OwnedFd,
    bytes: usize,
    wanted: usize,
) -> Result<usize, RescueError> {
    // The kernel doubles what it is given, and says the double when asked (man 7 socket).
    let half = wanted / 2;
    match setsockopt(fd, sockopt::SndBufForce, &half) {
        Ok(()) => {}
        // Without the privilege, as far as wmem_max allows.
        Err(Errno::EPERM) => {
            setsockopt(fd, sockopt::SndBuf, &half).map_err(kernel("enlarge", candidate))?;
        }
        Err(errno) => return Err(kernel("enlarge", candidate)(errno)),
    }
    let size = size(candidate, fd)?;
    if size > bytes {
        Ok(size)
    } else {
        Err(RescueError::NoPrivilege {
            channel: candidate.channel.to_string(),
            bytes,
        })
    }
}
