//! What makes a worker give up its trial: a signal to end, or the end of whoever asked for trials.

use std::io;
use std::os::fd::{AsFd as _, BorrowedFd};
use std::time::Duration;

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{SigSet, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};

/// Watches for the reasons to stop, beside whatever else is waited for.
#[derive(Debug)]
pub struct Stop {
    signals: SignalFd,
    caller: io::Stdin,
}

/// What a wait came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Woken {
    /// The descriptor that was waited for is ready.
    Ready,
    /// The time has passed.
    Timeout,
    /// The trial is to be given up.
    Stop,
}

impl Stop {
    /// Stops at SIGINT, SIGTERM and SIGHUP, which this thread and those that it starts no longer die of, and when the
    /// writer of our stdin has closed it or died. Children inherit the mask; `trial.rs` starts them without it.
    ///
    /// # Errors
    ///
    /// When signalfd(2) refuses.
    pub fn at_signals_and_end_of_stdin() -> io::Result<Self> {
        let mut set = SigSet::empty();
        for signal in [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP] {
            set.add(signal);
        }
        set.thread_block()?;
        let signals = SignalFd::with_flags(&set, SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK)?;
        Ok(Self {
            signals,
            caller: io::stdin(),
        })
    }

    /// Waits for `fd`, if there is one, to become readable, for no longer than `timeout`.
    pub(crate) fn or_readable(
        &self,
        fd: Option<BorrowedFd<'_>>,
        timeout: Duration,
    ) -> Result<Woken, Errno> {
        let timeout = PollTimeout::try_from(timeout).unwrap_or(PollTimeout::MAX);
        let mut fds = vec![
            PollFd::new(self.signals.as_fd(), PollFlags::POLLIN),
            // No event asked for: a request that has come early is no reason to stop, a hang-up is.
            PollFd::new(self.caller.as_fd(), PollFlags::empty()),
        ];
        fds.extend(fd.map(|fd| PollFd::new(fd, PollFlags::POLLIN)));
        match poll(&mut fds, timeout) {
            Ok(0) | Err(Errno::EINTR) => return Ok(Woken::Timeout),
            Ok(_) => {}
            Err(error) => return Err(error),
        }
        let woke = |index: usize| fds.get(index).and_then(PollFd::any).unwrap_or(false);
        Ok(match (woke(0) || woke(1), woke(2)) {
            (true, _) => Woken::Stop,
            (false, true) => Woken::Ready,
            (false, false) => Woken::Timeout,
        })
    }
}
