//! A duplicate of a target's descriptor, for as long as one question takes (man 2 pidfd_getfd). It raises no count of
//! readers or writers; it would only delay a last close, by microseconds.

use std::os::fd::{AsRawFd, OwnedFd};

use nix::errno::Errno;
use nix::sys::socket::{MsgFlags, getsockopt, recv, sockopt};
use nix::sys::time::TimeVal;
use pipeclog_waitgraph::snapshot::{SocketTimeouts, Untrusted};
use rustix::fs::{FileType, fstat};
use rustix::pipe::{PipeFlags, SpliceFlags, fcntl_getpipe_size, pipe_with, tee};
use rustix::process::{Pid, PidfdFlags, PidfdGetfdFlags, pidfd_getfd, pidfd_open};

use crate::source::{Cause, Contents, ReadError};

/// Bytes of what is stuck that are looked at: enough to recognise them by, and less than any pipe of ours holds.
const HEAD_BYTES: usize = 1024;

/// Whether `SO_RCVTIMEO` or `SO_SNDTIMEO` is set (man 7 socket), which nothing else shows.
///
/// # Errors
///
/// When the process or the descriptor is gone, we may not look (that takes what ptrace(2) takes, and traces nothing),
/// or the kernel is older than 5.6.
pub(crate) fn socket_timeouts(pid: u32, fd: u32) -> Result<SocketTimeouts, ReadError> {
    let path = format!("{pid}/fd/{fd}");
    let failed = |action, errno| ReadError::new(action, &path, Cause::from_errno(errno));
    // The number may have been reused since it was looked at. Whatever it is now, a duplicate does it no harm, and
    // getsockopt refuses what is no socket.
    let socket = duplicate(pid, fd)?;
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

/// What is inside a pipe, of which the descriptor is a reading end, or inside the queue of a socket. Nothing is taken out:
/// the bytes are copied by tee(2) into a pipe of ours, and by `MSG_PEEK`. (A socket on which its owner has set
/// `SO_PEEK_OFF` has that offset moved on, as by every peek: man 7 socket.)
///
/// It may wait for the lock of the pipe, which a transfer that hangs holds.
///
/// # Errors
///
/// As [`socket_timeouts`]; and [`Cause::Gone`] when the number is another file by now.
pub(crate) fn contents(pid: u32, fd: u32, inode: u64) -> Result<Contents, ReadError> {
    let path = format!("{pid}/fd/{fd}");
    let failed = |action, errno: rustix::io::Errno| {
        ReadError::new(action, &path, Cause::from_errno(errno.raw_os_error()))
    };
    let end = duplicate(pid, fd)?;
    let stat = fstat(&end).map_err(|errno| failed("stat", errno))?;
    if stat.st_ino != inode {
        return Err(ReadError::new("find again", &path, Cause::Gone));
    }
    let unread_bytes =
        rustix::io::ioctl_fionread(&end).map_err(|errno| failed("ask for the level of", errno))?;
    if FileType::from_raw_mode(stat.st_mode) == FileType::Socket {
        let head = peek_socket(&end).map_err(|errno| failed("peek into", errno))?;
        return Ok(Contents {
            unread_bytes,
            capacity_bytes: None,
            head,
        });
    }
    let capacity =
        fcntl_getpipe_size(&end).map_err(|errno| failed("ask for the capacity of", errno))?;
    let (copy, into) =
        pipe_with(PipeFlags::CLOEXEC).map_err(|errno| failed("make a pipe to copy", errno))?;
    // NONBLOCK concerns this call alone; O_NONBLOCK would be set for the target too.
    let copied = match tee(&end, &into, HEAD_BYTES, SpliceFlags::NONBLOCK) {
        // Empty, or every writer has gone.
        Err(rustix::io::Errno::AGAIN) => 0,
        copied => copied.map_err(|errno| failed("copy from", errno))?,
    };
    drop((end, into));
    let mut head = vec![0; copied];
    let mut len = 0;
    while let Some(rest) = head.get_mut(len..).filter(|rest| !rest.is_empty()) {
        match rustix::io::read(&copy, rest) {
            Ok(0) => break,
            Ok(read) => len += read,
            Err(rustix::io::Errno::INTR) => {}
            Err(errno) => return Err(failed("read the copy of", errno)),
        }
    }
    head.truncate(len);
    Ok(Contents {
        unread_bytes,
        capacity_bytes: u64::try_from(capacity).ok(),
        head: Untrusted::new(head),
    })
}

fn peek_socket(socket: &OwnedFd) -> Result<Untrusted, rustix::io::Errno> {
    let mut head = vec![0; HEAD_BYTES];
    let flags = MsgFlags::MSG_PEEK | MsgFlags::MSG_DONTWAIT;
    match recv(socket.as_raw_fd(), &mut head, flags) {
        Ok(len) => head.truncate(len),
        Err(Errno::EAGAIN) => head.clear(),
        Err(errno) => return Err(rustix::io::Errno::from_raw_os_error(errno as i32)),
    }
    Ok(Untrusted::new(head))
}

fn duplicate(pid: u32, fd: u32) -> Result<OwnedFd, ReadError> {
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
    pidfd_getfd(process, number, PidfdGetfdFlags::empty())
        .map_err(|errno| failed("duplicate", errno.raw_os_error()))
}
