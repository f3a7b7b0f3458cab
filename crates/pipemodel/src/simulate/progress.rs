//! How far a task is in the step that it does.

use crate::pipe::End;

#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Progress {
    Fresh,
    /// So many bytes of the write are in.
    Writing(u64),
    /// So many bytes of the read have come.
    Reading(u64),
    /// An echo: so many bytes are to be written, and so many of them are in.
    Echoing {
        pending: u64,
        put: Option<u64>,
    },
    SleepingUntil(u64),
    /// It is in open(2), since when the other end, of which this is the count, was opened by nobody.
    Opening {
        partner: End,
        seen: u64,
    },
}

impl Progress {
    /// Bytes of the write that are in; nothing if it has not begun.
    pub(super) const fn written(self) -> Option<u64> {
        match self {
            Self::Writing(put) => Some(put),
            Self::Fresh
            | Self::Reading(_)
            | Self::Echoing { .. }
            | Self::SleepingUntil(_)
            | Self::Opening { .. } => None,
        }
    }

    /// Bytes of the read that have come.
    pub(super) const fn read(self) -> u64 {
        match self {
            Self::Reading(got) => got,
            Self::Fresh
            | Self::Writing(_)
            | Self::Echoing { .. }
            | Self::SleepingUntil(_)
            | Self::Opening { .. } => 0,
        }
    }

    /// Bytes that an echo is to write, and how many of them are in, if it has begun to write them.
    pub(super) const fn echoed(self) -> (u64, Option<u64>) {
        match self {
            Self::Echoing { pending, put } => (pending, put),
            Self::Fresh
            | Self::Writing(_)
            | Self::Reading(_)
            | Self::SleepingUntil(_)
            | Self::Opening { .. } => (0, None),
        }
    }

    /// When a sleep that has begun is over.
    pub(super) const fn sleeps_until(self) -> Option<u64> {
        match self {
            Self::SleepingUntil(until_us) => Some(until_us),
            Self::Fresh
            | Self::Writing(_)
            | Self::Reading(_)
            | Self::Echoing { .. }
            | Self::Opening { .. } => None,
        }
    }

    /// An open(2) that waits: for which end, and how often that had been opened when it began to.
    pub(super) const fn opens(self) -> Option<(End, u64)> {
        match self {
            Self::Opening { partner, seen } => Some((partner, seen)),
            Self::Fresh
            | Self::Writing(_)
            | Self::Reading(_)
            | Self::Echoing { .. }
            | Self::SleepingUntil(_) => None,
        }
    }
}
