//! Writes that may raise a signal, made so that the signal reaches nobody.

use std::os::fd::AsFd;

use nix::sys::signal::{SigSet, SigmaskHow, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use rustix::io::Errno;

/// `write(2)`, with `signal` held back from this thread: SIGPIPE, which a write to a broken pipe
/// raises along with EPIPE, or SIGXFSZ, which goes with EFBIG. Either kills a process that has not
/// prepared for it, and a library cannot know: Rust's runtime ignores SIGPIPE, but command line
/// tools often restore it.
///
/// Both signals go to the writing thread, so a mask of this thread is enough, and a handler of the
/// caller is not touched.
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

/// Removes the pending signal. A signalfd does not wait for it, as `sigwait` would: with an error
/// that did not come from the kernel itself (a seccomp filter, an injected fault) no signal is
/// pending.
fn take_back(only: &SigSet) {
    if let Ok(fd) = SignalFd::with_flags(only, SfdFlags::SFD_NONBLOCK | SfdFlags::SFD_CLOEXEC) {
        let _ = fd.read_signal();
    }
}

/// Whether this thread blocks any signal.
pub(crate) fn any_blocked() -> bool {
    SigSet::thread_get_mask().is_ok_and(|mask| mask != SigSet::empty())
}

/// Runs `start` with every signal blocked, so that a thread started by it never runs a handler of
/// the caller's: those expect to interrupt the caller's own threads.
pub(crate) fn with_all_blocked<T>(start: impl FnOnce() -> T) -> T {
    let before = SigSet::all().thread_swap_mask(SigmaskHow::SIG_SETMASK);
    let result = start();
    if let Ok(before) = before {
        let _ = before.thread_set_mask();
    }
    result
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_write_to_a_broken_pipe_raises_nothing_where_sigpipe_kills() {
        crate::sys::restore_default(Signal::SIGPIPE);
        let before = SigSet::thread_get_mask().expect("readable");
        let (read, write) = std::io::pipe().expect("a pipe");
        drop(read);
        for _ in 0..3 {
            assert_eq!(
                write_holding(Signal::SIGPIPE, &write, b"x"),
                Err(Errno::PIPE)
            );
            // It would have killed this process when the mask was restored, had it been left
            // pending.
            assert_eq!(SigSet::thread_get_mask().expect("readable"), before);
        }
    }

    #[test]
    fn a_signal_that_was_not_raised_is_not_waited_for() {
        take_back(&SigSet::from(Signal::SIGPIPE));
    }

    #[test]
    fn a_thread_started_with_all_blocked_blocks_all_and_its_starter_does_not() {
        let before = SigSet::thread_get_mask().expect("readable");
        let thread = with_all_blocked(|| {
            std::thread::spawn(|| SigSet::thread_get_mask().expect("readable"))
        });
        let inside = thread.join().expect("no panic");
        assert!(inside.contains(Signal::SIGALRM) && inside.contains(Signal::SIGPIPE));
        assert_eq!(SigSet::thread_get_mask().expect("readable"), before);
    }
}
