//! When a capture stops reading, and how each stream ended.

use std::fmt;
use std::time::Duration;

/// What ends a capture once the leader has exited: the choice that decides whether a background
/// descendant can hang the caller, so there is no default.
///
/// A strategy that captures into files ([`crate::Strategy::TempFile`], [`crate::Strategy::Memfd`])
/// has no end of file to wait for: there, [`End::EndOfFile`] and [`End::Drain`] are the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// Until every writer has closed its end, as `Command::output()` does. A daemon that inherited
    /// the pipe holds the caller for as long as it lives; only a deadline ends that wait.
    EndOfFile,
    /// Until the leader has exited and what the pipe then held has been read. Nothing that the
    /// leader wrote can be missing: its writes were complete before it exited. What descendants
    /// write later is.
    Drain,
    /// As `Drain`, but descendants have this long after the leader's exit to write more and to
    /// close.
    Grace(Duration),
}

/// How one stream of a capture ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum StreamEnd {
    /// Every writer has closed: nothing can be missing.
    EndOfFile,
    /// The leader had exited and all that it had written was read; a descendant still holds the
    /// stream.
    LeaderExitedDrained,
    /// As above, and the grace period given by [`End::Grace`] has passed.
    GraceExpired,
    /// The deadline passed first, and what had been written until the child was killed was read.
    Deadline,
    /// The limit with [`crate::LimitPolicy::Kill`] or [`crate::LimitPolicy::Error`] ended the
    /// capture.
    LimitReached,
    /// The caller ended the capture ([`crate::Running::kill`]), or it failed.
    Stopped,
    /// The stream's bytes are in the other stream: stderr of a strategy that merges.
    Merged,
    /// The strategy does not capture.
    NotCaptured,
}

impl fmt::Display for StreamEnd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            StreamEnd::EndOfFile => "end of file",
            StreamEnd::LeaderExitedDrained => "the leader exited and its output was drained",
            StreamEnd::GraceExpired => "the grace period passed after the leader's exit",
            StreamEnd::Deadline => "the deadline passed",
            StreamEnd::LimitReached => "the limit was reached",
            StreamEnd::Stopped => "the capture was stopped",
            StreamEnd::Merged => "merged into stdout",
            StreamEnd::NotCaptured => "not captured",
        })
    }
}
