//! The only unsafe code of the workspace.
#![expect(
    unsafe_code,
    reason = "what neither nix nor rustix offers as a safe call; each block says why it holds"
)]

use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::os::unix::process::CommandExt;

use nix::libc;

use crate::Status;

/// Makes the child a session leader whose controlling terminal is its stdout.
///
/// std has no safe call for it, and forks (rather than `posix_spawn`s) for a hook.
pub(crate) fn take_stdout_as_terminal(command: &mut std::process::Command) {
    let hook = || {
        // setsid fails only for a group leader, and a fresh child is none.
        rustix::process::setsid().map_err(io::Error::from)?;
        rustix::process::ioctl_tiocsctty(rustix::stdio::stdout()).map_err(io::Error::from)
    };
    // SAFETY: pre_exec runs the hook in the child between fork and exec, where only async-signal-safe
    // work is sound: no lock, no allocation. The hook makes two system calls and converts an errno, which
    // allocates nothing. std has put the child's ends on 0, 1 and 2 before it runs hooks, so that stdout is open.
    unsafe { command.pre_exec(hook) };
}

/// What a pidfd tells of a process that is reaped already: Linux 6.15 and later keep the status for it
/// (`PIDFD_GET_INFO` with `PIDFD_INFO_EXIT`, include/uapi/linux/pidfd.h).
pub(crate) fn status_after_reaping(pidfd: BorrowedFd<'_>) -> Status {
    let mut info = MaybeUninit::<libc::pidfd_info>::zeroed();
    // SAFETY: `info` is a valid, zeroed pidfd_info, and the request number carries its size, so that the kernel
    // reads and writes no more than that. The descriptor is open for the borrow's lifetime.
    let info = unsafe {
        (*info.as_mut_ptr()).mask = u64::from(libc::PIDFD_INFO_EXIT);
        if libc::ioctl(pidfd.as_raw_fd(), libc::PIDFD_GET_INFO, info.as_mut_ptr()) != 0 {
            return Status::Lost;
        }
        // SAFETY: a structure of integers, for which any bytes are valid; it was zeroed, then written by the kernel.
        info.assume_init()
    };
    if info.mask & u64::from(libc::PIDFD_INFO_EXIT) == 0 {
        return Status::Lost;
    }
    let wait_status = info.exit_code;
    if libc::WIFEXITED(wait_status) {
        Status::Exited(libc::WEXITSTATUS(wait_status))
    } else if libc::WIFSIGNALED(wait_status) {
        Status::Signaled(libc::WTERMSIG(wait_status))
    } else {
        Status::Lost
    }
}
