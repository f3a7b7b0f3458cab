//! Writes that may raise a signal, made so that the signal reaches nobody.

use std::os::fd::AsFd;

use nix::sys::signal::{SigSet, SigmaskHow, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use rustix::io::Errno;

/// `write(2)`, with `signal` held back from this thread: SIGPIPE, which a write to a broken pipe raises along with
/// EPIPE, or SIGXFSZ, which goes with EFBIG. Either kills a process that has not prepared for it, and a
/// library cannot know: Rust's runtime ignores SIGPIPE, but command line tools often restore it.
///
/// Both signals go to the writing thread, so a mask of this thread is enough, and a handler of the
/// caller is not touched. The mask costs two system calls a write, 0.2 µs, against 64 KiB of copying.
pub(crate) fn write_holding(signal: Signal, fd: impl AsFd, bytes: &[u8]) -> Result<usize, Errno> {
    let only = SigSet::from(signal);
    let Ok(before) = only.thread_swap_mask(SigmaskHow::SIG_BLOCK) else {
        // Only a wrong `how` can fail, which the type forbids; writing anyway is what std does.
        return rustix::io::write(fd, bytes);
    };
    let result = rustix::io::write(fd, bytes);
    if matches!(result, Err(Errno::PIPE | Errno::FBIG)) {
        take_back(&only);
    }
    // Cannot fail for the same reason; and there is nothing to be done if it did.
    let _ = before.thread_set_mask();
    result
}

/// Removes the pending signal. A signalfd does not wait for it, as `sigwait` would: with an error that did not come
/// from the kernel itself (a seccomp filter, an injected fault) no signal is pending.
fn take_back(only: &SigSet) {
    if let Ok(fd) = SignalFd::with_flags(only, SfdFlags::SFD_NONBLOCK | SfdFlags::SFD_CLOEXEC) {
        let _ = fd.read_signal();
    }
}

/// Runs `start` with every signal blocked, so that a thread started by it never runs a handler of the
/// caller's: those expect to interrupt the caller's own threads.
pub(crate) fn with_all_blocked<T>(start: impl FnOnce() -> T) -> T {
    let before = SigSet::all().thread_swap_mask(SigmaskHow::SIG_SETMASK);
    let result = start();
    if let Ok(before) = before {
        let _ = before.thread_set_mask();
    }
    result
}
