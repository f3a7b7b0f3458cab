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
use nix::sys::signal::SigSet;

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
    // SAFETY: pre_exec runs the hook in the child between fork and exec, where only
    // async-signal-safe work is sound: no lock, no allocation. The hook makes two system calls and
    // converts an errno, which allocates nothing. std has put the child's ends on 0, 1 and 2 before
    // it runs hooks, so that stdout is open.
    unsafe { command.pre_exec(hook) };
}

/// Lets the child start with no signal blocked. std passes the caller's mask on, and forks for a
/// hook.
pub(crate) fn unblock_signals(command: &mut std::process::Command) {
    let hook = || SigSet::empty().thread_set_mask().map_err(io::Error::from);
    // SAFETY: as above; the hook makes one call, pthread_sigmask, which is async-signal-safe
    // (signal-safety(7)).
    unsafe { command.pre_exec(hook) };
}

/// What a pidfd tells of a process that is reaped already: Linux 6.15 and later keep the status for
/// it (`PIDFD_GET_INFO` with `PIDFD_INFO_EXIT`, include/uapi/linux/pidfd.h).
pub(crate) fn status_after_reaping(pidfd: BorrowedFd<'_>) -> Status {
    let mut info = MaybeUninit::<libc::pidfd_info>::zeroed();
    // SAFETY: `info` is a valid, zeroed pidfd_info, and the request number carries its size, so
    // that the kernel reads and writes no more than that. The descriptor is open for the borrow's
    // lifetime.
    let info = unsafe {
        (*info.as_mut_ptr()).mask = u64::from(libc::PIDFD_INFO_EXIT);
        if libc::ioctl(pidfd.as_raw_fd(), libc::PIDFD_GET_INFO, info.as_mut_ptr()) != 0 {
            return Status::Lost;
        }
        // SAFETY: a structure of integers, for which any bytes are valid; it was zeroed, then
        // written by the kernel.
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

/// Asks the ring to say when a descriptor is ready. False when the submission queue is full.
#[cfg(feature = "io_uring")]
pub(crate) fn push_poll(
    ring: &mut io_uring::IoUring,
    fd: BorrowedFd<'_>,
    mask: u32,
    user_data: u64,
) -> bool {
    let entry = io_uring::opcode::PollAdd::new(io_uring::types::Fd(fd.as_raw_fd()), mask).build();
    // SAFETY: push asks that the entry's parameters stay valid until the kernel is done with them.
    // A poll request has no pointer, only a descriptor number, which is open now; the kernel takes
    // its own reference to the file when the entry is submitted. Should it be closed before that,
    // the request fails with EBADF, which is sound.
    unsafe { ring.submission().push(&entry.user_data(user_data)) }.is_ok()
}

/// Registers a descriptor with the current tokio runtime. Call it in the context of one.
#[cfg(feature = "tokio")]
pub(crate) fn register(
    fd: std::os::fd::OwnedFd,
    interest: tokio::io::Interest,
) -> io::Result<tokio::io::unix::AsyncFd<std::os::fd::OwnedFd>> {
    // SAFETY: the descriptor must stay open, and stay the same, for as long as it is registered.
    // The AsyncFd owns an OwnedFd, which guarantees both: nobody else closes it, and it gives the
    // same number at every call.
    unsafe { tokio::io::unix::AsyncFd::register_with_interest(fd, interest) }
        .map_err(io::Error::from)
}

/// Gives a signal its default disposition in this process: what a test needs of a caller that does
/// so.
#[cfg(test)]
pub(crate) fn restore_default(signal: nix::sys::signal::Signal) {
    use nix::sys::signal::{SigHandler, signal as set};
    // SAFETY: no handler is installed, only the default put back; nothing of ours relies on another
    // disposition.
    unsafe { set(signal, SigHandler::SigDfl) }.expect("any signal but KILL and STOP");
}

/// Counts a signal, and does not restart what it interrupted: what a test needs of a caller's
/// handler.
#[cfg(test)]
pub(crate) fn count_without_restart(signal: nix::sys::signal::Signal) {
    use nix::sys::signal::{SaFlags, SigAction, SigHandler, SigSet, sigaction};
    extern "C" fn count(_: libc::c_int) {
        COUNTED.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
    }
    let action = SigAction::new(
        SigHandler::Handler(count),
        SaFlags::empty(),
        SigSet::empty(),
    );
    // SAFETY: the handler adds to an atomic and does nothing else, which is async-signal-safe.
    unsafe { sigaction(signal, &action) }.expect("any signal but KILL and STOP");
}

/// How many signals [`count_without_restart`] has counted.
#[cfg(test)]
pub(crate) static COUNTED: std::sync::atomic::AtomicU64 = std::sync::atomic::AtomicU64::new(0);
