//! The watchdog: waits outside the parent's process, and looks at what the kernel says of a trial that goes on.

use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use pipeclog_scenario::outcome::{EndedBy, Hang};

use crate::tree::Tree;

/// How a watch ended.
#[derive(Debug)]
pub(crate) enum Watched {
    /// The parent exited.
    Ended,
    /// Nothing moved any more, or the deadline passed.
    Hung(Hang),
}

/// The watch itself failed.
#[derive(Debug, thiserror::Error)]
pub enum WatchError {
    /// poll(2) refused.
    #[error("failed to wait for the parent's exit (poll): {0}")]
    Poll(#[source] Errno),
}

/// Waits until the parent has exited, or is found to hang.
pub(crate) fn until_end_or_hang(tree: &Tree, started: Instant, deadline: Duration) -> Result<Watched, WatchError> {
    loop {
        let left = deadline.saturating_sub(started.elapsed());
        if ended_within(tree, left)? {
            return Ok(Watched::Ended);
        }
        if started.elapsed() >= deadline {
            let after_ms = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX);
            return Ok(Watched::Hung(Hang { ended_by: EndedBy::Deadline, after_ms, blocked: Vec::new() }));
        }
    }
}

/// Waits until each descendant that outlived the parent has ended, or the bound has passed.
pub(crate) fn until_descendants_end(tree: &mut Tree, bound: Instant) {
    while Instant::now() < bound {
        let reaped = tree.reap().len();
        if tree.living().is_empty() {
            return;
        }
        if tree.reap().len() == reaped {
            crate::tree::wait_a_little();
        }
    }
}

fn ended_within(tree: &Tree, timeout: Duration) -> Result<bool, WatchError> {
    let timeout = PollTimeout::try_from(timeout).unwrap_or(PollTimeout::MAX);
    let mut fds = [PollFd::new(tree.pidfd(), PollFlags::POLLIN)];
    match poll(&mut fds, timeout) {
        Ok(0) | Err(Errno::EINTR) => Ok(false),
        Ok(_) => Ok(true),
        Err(error) => Err(WatchError::Poll(error)),
    }
}
