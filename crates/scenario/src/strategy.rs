//! How a parent captures output: the names, what each delivers, and the mistake that a hazard is named for.
//!
//! The capture library has its own enum of the same strategies, since it imports none of our crates; the harness
//! maps one to the other by an exhaustive match in both directions, so that neither can drift.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// A way for a parent to start a child and get its output.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Strategy {
    /// Waits for the child's exit, then reads: hangs as soon as a stream does not fit its pipe.
    WaitThenRead,
    /// Polls for the child's exit in a loop, then reads: hangs likewise, and looks alive.
    PollExitThenRead,
    /// Reads stdout to its end, then stderr: hangs as soon as stderr does not fit its pipe.
    StdoutThenStderr,
    /// Writes all of stdin, then reads: hangs as soon as input and output both do not fit their pipes.
    WriteStdinThenRead,
    /// Enlarges the pipes and then waits: the boundary only moves.
    BiggerPipeThenWait,
    /// One thread a stream.
    Threads,
    /// One thread, poll(2) over both streams and stdin.
    Poll,
    /// One thread, epoll(7).
    Epoll,
    /// The child writes to nameless files (`O_TMPFILE`), read after its exit.
    TempFile,
    /// The child writes to sealed memory files.
    Memfd,
    /// Both streams on one pipe, as `2>&1`.
    Merged,
    /// The child gets a terminal; both streams arrive merged.
    Pty,
    /// Unix socket pairs in the place of pipes.
    Socketpair,
    /// The child's output goes to `/dev/null`.
    Discard,
    /// The child writes where the parent does.
    Inherit,
    /// The tokio runtime reads both pipes.
    Tokio,
    /// `io_uring` reads both pipes.
    IoUring,
}

/// Whether a strategy can hang by its own making.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// Deadlocks with some children; kept as a specimen.
    Hazard,
    /// Finishes with every child that finishes.
    Safe,
}

/// What a strategy hands back of the child's two streams.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Delivery {
    /// stdout and stderr, each by itself.
    Separate,
    /// One stream with both, in the order of the writes.
    Merged,
    /// Nothing: the output is thrown away.
    Nothing,
}

impl Strategy {
    /// Every strategy, hazards first, in the order of the tables.
    pub const ALL: [Self; 17] = [
        Self::WaitThenRead,
        Self::PollExitThenRead,
        Self::StdoutThenStderr,
        Self::WriteStdinThenRead,
        Self::BiggerPipeThenWait,
        Self::Threads,
        Self::Poll,
        Self::Epoll,
        Self::TempFile,
        Self::Memfd,
        Self::Merged,
        Self::Pty,
        Self::Socketpair,
        Self::Discard,
        Self::Inherit,
        Self::Tokio,
        Self::IoUring,
    ];

    /// The name as arguments, fixtures and tables spell it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::WaitThenRead => "wait_then_read",
            Self::PollExitThenRead => "poll_exit_then_read",
            Self::StdoutThenStderr => "stdout_then_stderr",
            Self::WriteStdinThenRead => "write_stdin_then_read",
            Self::BiggerPipeThenWait => "bigger_pipe_then_wait",
            Self::Threads => "threads",
            Self::Poll => "poll",
            Self::Epoll => "epoll",
            Self::TempFile => "temp_file",
            Self::Memfd => "memfd",
            Self::Merged => "merged",
            Self::Pty => "pty",
            Self::Socketpair => "socketpair",
            Self::Discard => "discard",
            Self::Inherit => "inherit",
            Self::Tokio => "tokio",
            Self::IoUring => "io_uring",
        }
    }

    /// Hazard or safe.
    #[must_use]
    pub const fn kind(self) -> Kind {
        match self {
            Self::WaitThenRead
            | Self::PollExitThenRead
            | Self::StdoutThenStderr
            | Self::WriteStdinThenRead
            | Self::BiggerPipeThenWait => Kind::Hazard,
            Self::Threads
            | Self::Poll
            | Self::Epoll
            | Self::TempFile
            | Self::Memfd
            | Self::Merged
            | Self::Pty
            | Self::Socketpair
            | Self::Discard
            | Self::Inherit
            | Self::Tokio
            | Self::IoUring => Kind::Safe,
        }
    }

    /// What it hands back.
    #[must_use]
    pub const fn delivery(self) -> Delivery {
        match self {
            Self::Merged | Self::Pty => Delivery::Merged,
            Self::Discard => Delivery::Nothing,
            Self::WaitThenRead
            | Self::PollExitThenRead
            | Self::StdoutThenStderr
            | Self::WriteStdinThenRead
            | Self::BiggerPipeThenWait
            | Self::Threads
            | Self::Poll
            | Self::Epoll
            | Self::TempFile
            | Self::Memfd
            | Self::Socketpair
            | Self::Inherit
            | Self::Tokio
            | Self::IoUring => Delivery::Separate,
        }
    }
}

impl fmt::Display for Strategy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// A name that is no strategy's; the message lists those that are.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("unknown strategy {name:?}: it must be one of {}", names())]
pub struct UnknownStrategy {
    name: String,
}

fn names() -> String {
    Strategy::ALL.map(Strategy::name).join(", ")
}

impl FromStr for Strategy {
    type Err = UnknownStrategy;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        Self::ALL
            .into_iter()
            .find(|strategy| strategy.name() == name)
            .ok_or_else(|| UnknownStrategy {
                name: name.to_owned(),
            })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_parses_to_its_strategy_and_is_the_one_that_json_uses() {
        for strategy in Strategy::ALL {
            assert_eq!(strategy.name().parse(), Ok(strategy));
            let json = serde_json::to_string(&strategy).unwrap();
            assert_eq!(json, format!("\"{}\"", strategy.name()));
        }
    }

    #[test]
    fn an_unknown_name_is_answered_with_those_that_exist() {
        let error = "naive".parse::<Strategy>().unwrap_err().to_string();
        assert!(
            error.contains("naive") && error.contains("wait_then_read"),
            "{error}"
        );
    }
}
