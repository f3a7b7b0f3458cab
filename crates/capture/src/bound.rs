//! How long a capture may take.

use std::time::{Duration, Instant};

/// The bound on a whole capture: spawn, stdin, drain and wait together. There is no default, since
/// this decides whether a program can hang.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bound {
    /// No bound: the caller waits as long as the child lives.
    Unbounded,
    /// This long from the call on; it becomes one instant there, and every wait inside shares it.
    Timeout(Duration),
    /// Until this instant.
    Deadline(Instant),
}

impl Bound {
    /// The instant that the bound means for a call made at `now`; none when it is unbounded or too
    /// far away for the clock.
    pub(crate) fn instant(self, now: Instant) -> Option<Instant> {
        match self {
            Bound::Unbounded => None,
            Bound::Timeout(timeout) => now.checked_add(timeout),
            Bound::Deadline(instant) => Some(instant),
        }
    }
}
