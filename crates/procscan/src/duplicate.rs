//! A duplicate of a target's socket, for as long as one question takes (man 2 pidfd_getfd). It raises no count of
//! readers or writers and moves no data; it would only delay a last close, by microseconds.

use nix::errno::Errno;
use nix::sys::socket::{getsockopt, sockopt};
use nix::sys::time::TimeVal;
use pipeclog_waitgraph::snapshot::SocketTimeouts;
use rustix::process::{Pid, PidfdFlags, PidfdGetfdFlags, pidfd_getfd, pidfd_open};

use crate::source::{Cause, ReadError};

/// Whether `SO_RCVTIMEO` or `SO_SNDTIMEO` is set (man 7 socket), which nothing else shows.
///
/// # Errors
///
/// When the process or the descriptor is gone, we may not look (that takes what ptrace(2) takes, and traces nothing),
/// or the kernel is older than 5.6.
pub(crate) fn socket_timeouts(pid: u32, fd: u32) -> Result<SocketTimeouts, ReadError> {
    let path = format!("{pid}/fd/{fd}");
    let failed = |action, errno| ReadError::new(action, &path, Cause::from_errno(errno));
    let numbers = (
        i32::try_from(pid).ok().and_then(Pid::from_raw),
        i32::try_from(fd),
    );
    let (Some(target), Ok(number)) = numbers else {
        return Err(failed("find", Errno::ESRCH as i32));
    };
    let process = pidfd_open(target, PidfdFlags::empty())
        .map_err(|errno| failed("open a pidfd for", errno.raw_os_error()))?;
    // The number may have been reused since it was looked at. Whatever it is now, a duplicate does it no harm, and
    // getsockopt refuses what is no socket.
    let socket = pidfd_getfd(process, number, PidfdGetfdFlags::empty())
        .map_err(|errno| failed("duplicate", errno.raw_os_error()))?;
    let receive = getsockopt(&socket, sockopt::ReceiveTimeout);
    let transmit = getsockopt(&socket, sockopt::SendTimeout);
    drop(socket);
    let unset = TimeVal::new(0, 0);
    match (receive, transmit) {
        (Ok(receive), Ok(transmit)) if receive == unset && transmit == unset => {
            Ok(SocketTimeouts::Unset)
        }
        (Ok(_), Ok(_)) => Ok(SocketTimeouts::Set),
        (Err(errno), _) | (_, Err(errno)) => Err(failed("ask for the timeouts of", errno as i32)),
    }
}
