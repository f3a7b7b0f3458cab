//! What makes a worker give up its trial: a signal to end, or the end of whoever asked for trials.

use std::io;
use std::os::fd::{AsFd as _, BorrowedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::SigSet;
use nix::sys::signalfd::{SfdFlags, SignalFd};
use pipeclog_supervise::guard;
use signal_hook::consts::SIGTERM;
use signal_hook::flag;

/// Watches for the reasons to stop, beside whatever else is waited for.
#[derive(Debug)]
pub struct Stop {
    signals: SignalFd,
    /// Whether a SIGTERM came while it was not blocked.
    unblocked: Arc<AtomicBool>,
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
    /// Stops at the signals that a guard takes ([`guard::SIGNALS`]), which this thread and those that it starts no longer die of, and when the
    /// writer of our stdin has closed it or died. Children inherit the mask; `trial.rs` starts them without it.
    ///
    /// # Errors
    ///
    /// When signalfd(2) refuses.
    pub fn at_signals_and_end_of_stdin() -> io::Result<Self> {
        let mut set = SigSet::empty();
        for signal in guard::SIGNALS {
            set.add(signal);
        }
        set.thread_block()?;
        // A trial is started with no signal blocked. A guard's death, which SIGTERM tells, must not end us in that instant.
        let unblocked = Arc::new(AtomicBool::new(false));
        flag::register(SIGTERM, Arc::clone(&unblocked))?;
        let signals = SignalFd::with_flags(&set, SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK)?;
        Ok(Self {
            signals,
            unblocked,
            caller: io::stdin(),
        })
    }

    fn came_unblocked(&self) -> bool {
        self.unblocked.load(Ordering::SeqCst)
    }

    /// Waits for the next request on stdin, or its end, which reading will tell.
    pub(crate) fn or_request(&self) -> Result<Woken, Errno> {
        loop {
            if self.came_unblocked() {
                return Ok(Woken::Stop);
            }
            let mut fds = [
                PollFd::new(self.signals.as_fd(), PollFlags::POLLIN),
                PollFd::new(self.caller.as_fd(), PollFlags::POLLIN),
            ];
            match poll(&mut fds, PollTimeout::NONE) {
                Ok(_) => {}
                Err(Errno::EINTR) => continue,
                Err(error) => return Err(error),
            }
            let woke = |index: usize| fds.get(index).and_then(PollFd::any).unwrap_or(false);
            match (woke(0), woke(1)) {
                (true, _) => return Ok(Woken::Stop),
                (false, true) => return Ok(Woken::Ready),
                (false, false) => {}
            }
        }
    }

    /// Waits for `fd`, if there is one, to become readable, for no longer than `timeout`.
    pub(crate) fn or_readable(
        &self,
        fd: Option<BorrowedFd<'_>>,
        timeout: Duration,
    ) -> Result<Woken, Errno> {
        if self.came_unblocked() {
            return Ok(Woken::Stop);
        }
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
