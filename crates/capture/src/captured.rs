//! What a capture gives back.

use std::fmt;
use std::os::fd::OwnedFd;

use crate::{Bytes, Spilled, StreamEnd};

/// A finished capture: how the leader ended, and what came of each stream.
#[derive(Debug)]
pub struct Captured {
    /// How the leader ended.
    pub status: Status,
    /// The child's standard output; both streams, if the strategy merges them.
    pub stdout: Output,
    /// The child's standard error.
    pub stderr: Output,
    /// Set when the capture ended the child, rather than the child itself.
    pub stopped: Option<Stopped>,
    /// Our ends of the streams that descendants still held, under [`crate::Background::HandBack`]: non-blocking and
    /// close-on-exec. Dropping one breaks the descendant's pipe.
    pub still_open: Vec<OwnedFd>,
}

/// What came of one stream.
#[derive(Debug)]
pub struct Output {
    /// The bytes kept in memory.
    pub bytes: Bytes,
    /// Bytes that came out of the stream, kept or not. For a file strategy: the size of the file.
    pub seen: u64,
    /// Bytes kept, in memory and spilled.
    pub kept: u64,
    /// Bytes beyond the limit under [`crate::LimitPolicy::Spill`].
    pub spilled: Option<Spilled>,
    /// How the stream ended.
    pub end: StreamEnd,
}

impl Output {
    pub(crate) fn without_bytes(end: StreamEnd) -> Self {
        Output {
            bytes: Bytes::default(),
            seen: 0,
            kept: 0,
            spilled: None,
            end,
        }
    }
}

/// How the leader ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// It exited with this code, 0 to 255.
    Exited(i32),
    /// It died by this signal.
    Signaled(i32),
    /// The kernel has thrown the status away: SIGCHLD is ignored in this process, or other code
    /// reaped the child, and the kernel is older than 6.15, where a pidfd still tells.
    Lost,
}

impl Status {
    /// Whether it exited with code 0.
    pub fn success(self) -> bool {
        self == Status::Exited(0)
    }

    /// The code a shell would show: the exit code, or 128 and the signal's number; none if it is
    /// lost.
    pub fn shell_code(self) -> Option<i32> {
        match self {
            Status::Exited(code) => Some(code),
            Status::Signaled(signal) => Some(128 + signal),
            Status::Lost => None,
        }
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Status::Exited(code) => write!(f, "exit code {code}"),
            Status::Signaled(signal) => write!(f, "killed by signal {signal}"),
            Status::Lost => f.write_str("unknown: the status was lost"),
        }
    }
}

/// Why a capture ended the child.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stopped {
    /// The deadline passed.
    Deadline,
    /// A stream passed its limit.
    Limit,
    /// The caller asked for it ([`crate::Running::kill`]).
    Caller,
    /// A [`crate::Stopper`] was used, or this process got a signal that one passes on: the signal's
    /// number.
    Signal(i32),
    /// The capture itself failed.
    Failure,
}

impl Stopped {
    /// What a stream says that was still open then.
    pub(crate) fn stream_end(self) -> StreamEnd {
        match self {
            Stopped::Deadline => StreamEnd::Deadline,
            Stopped::Limit => StreamEnd::LimitReached,
            Stopped::Caller | Stopped::Signal(_) | Stopped::Failure => StreamEnd::Stopped,
        }
    }
}
