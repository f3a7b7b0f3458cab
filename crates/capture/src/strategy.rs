//! The ways to capture a child's output, by name.

mod bigger_pipe_then_wait;
mod discard;
mod epoll;
mod inherit;
#[cfg(feature = "io_uring")]
mod io_uring;
mod memfd;
mod merged;
mod poll;
mod poll_exit_then_read;
mod pty;
mod socketpair;
mod specimen;
mod stdout_then_stderr;
mod temp_file;
mod threads;
#[cfg(feature = "tokio")]
mod tokio;
mod wait_then_read;
mod write_stdin_then_read;

use std::fmt;
use std::str::FromStr;

use crate::channel::Plumbing;
use crate::engine::Engine;
use crate::error::UnknownName;
use crate::{Captured, Error, Input};

pub(crate) use specimen::Specimen;

/// How the caller gets at the child's output. Every strategy takes stdin.
///
/// The first five are hazards: each makes one of the classic mistakes, for study, and nothing in
/// this library saves it. The others keep the three laws: no hang, no loss, no harm to a background
/// child; each says its exceptions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Strategy {
    /// Hazard: waits for the child's exit, and reads its pipes then.
    WaitThenRead,
    /// Hazard: asks again and again whether the child has exited, and reads its pipes then.
    PollExitThenRead,
    /// Hazard: reads stdout to its end, and stderr after that.
    StdoutThenStderr,
    /// Hazard: writes all of stdin, and reads after that.
    WriteStdinThenRead,
    /// Hazard: [`Strategy::WaitThenRead`] on pipes of 1 MiB; the boundary only moves.
    BiggerPipeThenWait,
    /// A thread for each stream.
    Threads,
    /// One thread, poll(2).
    Poll,
    /// One thread, epoll(7).
    Epoll,
    /// The child writes into unnamed temporary files.
    TempFile,
    /// The child writes into memory files that it cannot truncate.
    Memfd,
    /// Both streams into one pipe, in the order of the writes.
    Merged,
    /// Both streams into a pseudoterminal, so that the child believes in a person.
    Pty,
    /// Unix socket pairs instead of pipes, as libuv does.
    Socketpair,
    /// Both streams into `/dev/null`.
    Discard,
    /// The child gets the caller's own stdout and stderr.
    Inherit,
    /// tokio's reactor; needs the feature `tokio`.
    Tokio,
    /// io_uring's poll requests; needs the feature `io_uring`, and a kernel that allows it.
    IoUring,
}

/// Whether a strategy may hang.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StrategyKind {
    /// It hangs under the condition that its documentation states; bound, limit and end do not
    /// apply.
    Hazard,
    /// It hangs only where its options say so: without a bound, as long as the child lives.
    Safe,
}

/// What comes back of the two output streams.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Streams {
    /// Each by itself.
    Separate,
    /// Both in `stdout`, in the order of the writes.
    Merged,
    /// Neither.
    None,
}

/// Makes the ends of the streams.
pub(crate) type Plumb = fn(&Input) -> Result<Plumbing, Error>;

/// How a strategy runs: the one thing that each module below gives.
pub(crate) enum Method {
    /// Blocks as the mistake does.
    Hazard(fn(&Specimen<'_>) -> Result<Captured, Error>),
    /// What is made before the spawn, and what moves the bytes.
    Safe {
        plumb: Plumb,
        engine: fn() -> Result<Box<dyn Engine>, Error>,
    },
    /// Left out of this build.
    #[cfg_attr(
        all(feature = "tokio", feature = "io_uring"),
        expect(dead_code, reason = "nothing is left out")
    )]
    Missing { feature: &'static str },
}

impl Strategy {
    /// Every strategy, hazards first.
    pub const ALL: [Strategy; 17] = [
        Strategy::WaitThenRead,
        Strategy::PollExitThenRead,
        Strategy::StdoutThenStderr,
        Strategy::WriteStdinThenRead,
        Strategy::BiggerPipeThenWait,
        Strategy::Threads,
        Strategy::Poll,
        Strategy::Epoll,
        Strategy::TempFile,
        Strategy::Memfd,
        Strategy::Merged,
        Strategy::Pty,
        Strategy::Socketpair,
        Strategy::Discard,
        Strategy::Inherit,
        Strategy::Tokio,
        Strategy::IoUring,
    ];

    /// The strategy to use when nothing speaks for another: [`Strategy::Poll`], always, whatever the
    /// machine.
    ///
    /// Pipes, because they do what programs expect: a script's `> /dev/stderr` truncates a captured
    /// file, but not a pipe, and `/dev/stdout` cannot be opened on a socket. poll(2), because it
    /// needs no thread, and three descriptors are too few for epoll to gain anything.
    ///
    /// Its pipes are enlarged to 256 KiB where the user's limits allow, more than 8 MiB of output is kept in huge pages where
    /// the kernel has them, and a writer of small pieces is read some 200 µs after it began rather than
    /// for each. What that gives, as the median of paired ratios: how many times as long another takes for the same output.
    ///
    /// | output | `std` | duct | tokio | [`Strategy::TempFile`] in memory |
    /// | --- | --: | --: | --: | --: |
    /// | none | 0.93 | 1.62 | 1.00 | 1.01 |
    /// | 64 KiB | 0.93 | 1.58 | 1.00 | 1.09 |
    /// | 256 KiB | 1.16 | 1.80 | 1.19 | 0.83 |
    /// | 1 MiB | 1.48 | 1.82 | 2.11 | 0.67 |
    /// | 4 MiB | 1.50 | 1.46 | 2.53 | 0.46 |
    /// | 64 MiB | 1.42 | 1.62 | 3.28 | 0.27 |
    /// | 64 MiB in 80-byte writes | 2.80 | 2.34 | 2.26 | 1.34 |
    ///
    /// Measured on two virtual Intel Xeon processors, Linux 6.18; up to 256 KiB the middle half of the ratios of `std` and tokio
    /// includes 1. The last column is with [`FilePlace::LargePages`](crate::FilePlace::LargePages), for large outputs of programs
    /// that do not open their stdout by name. REPORT.md of the project has the spreads and more sizes, and
    /// `cargo bench -p pipeclog-benches --bench duel` measures on the machine at hand.
    pub fn recommended() -> Strategy {
        Strategy::Poll
    }

    /// The name, as a command line or a file has it.
    pub fn name(self) -> &'static str {
        match self {
            Strategy::WaitThenRead => "wait_then_read",
            Strategy::PollExitThenRead => "poll_exit_then_read",
            Strategy::StdoutThenStderr => "stdout_then_stderr",
            Strategy::WriteStdinThenRead => "write_stdin_then_read",
            Strategy::BiggerPipeThenWait => "bigger_pipe_then_wait",
            Strategy::Threads => "threads",
            Strategy::Poll => "poll",
            Strategy::Epoll => "epoll",
            Strategy::TempFile => "temp_file",
            Strategy::Memfd => "memfd",
            Strategy::Merged => "merged",
            Strategy::Pty => "pty",
            Strategy::Socketpair => "socketpair",
            Strategy::Discard => "discard",
            Strategy::Inherit => "inherit",
            Strategy::Tokio => "tokio",
            Strategy::IoUring => "io_uring",
        }
    }

    /// Hazard or safe.
    pub fn kind(self) -> StrategyKind {
        match self {
            Strategy::WaitThenRead
            | Strategy::PollExitThenRead
            | Strategy::StdoutThenStderr
            | Strategy::WriteStdinThenRead
            | Strategy::BiggerPipeThenWait => StrategyKind::Hazard,
            Strategy::Threads
            | Strategy::Poll
            | Strategy::Epoll
            | Strategy::TempFile
            | Strategy::Memfd
            | Strategy::Merged
            | Strategy::Pty
            | Strategy::Socketpair
            | Strategy::Discard
            | Strategy::Inherit
            | Strategy::Tokio
            | Strategy::IoUring => StrategyKind::Safe,
        }
    }

    /// Whether it is kept to hang.
    pub fn is_hazard(self) -> bool {
        self.kind() == StrategyKind::Hazard
    }

    /// What comes back of the output streams.
    pub fn streams(self) -> Streams {
        match self {
            Strategy::Merged | Strategy::Pty => Streams::Merged,
            Strategy::Discard | Strategy::Inherit => Streams::None,
            Strategy::WaitThenRead
            | Strategy::PollExitThenRead
            | Strategy::StdoutThenStderr
            | Strategy::WriteStdinThenRead
            | Strategy::BiggerPipeThenWait
            | Strategy::Threads
            | Strategy::Poll
            | Strategy::Epoll
            | Strategy::TempFile
            | Strategy::Memfd
            | Strategy::Socketpair
            | Strategy::Tokio
            | Strategy::IoUring => Streams::Separate,
        }
    }

    /// Whether the child writes into files: there is no end of file to wait for, and a background
    /// descendant is never blocked, nor harmed by our leaving.
    pub fn writes_files(self) -> bool {
        matches!(self, Strategy::TempFile | Strategy::Memfd)
    }

    /// Whether this build has it. A strategy that needs a feature keeps its name without it. (That
    /// io_uring is forbidden here shows only when it is run.)
    pub fn is_built(self) -> bool {
        !matches!(self.method(), Method::Missing { .. })
    }

    /// The cargo feature that it needs, if it needs one.
    pub fn feature(self) -> Option<&'static str> {
        match self {
            Strategy::Tokio => Some("tokio"),
            Strategy::IoUring => Some("io_uring"),
            _ => None,
        }
    }

    /// What is made before the spawn when the files are to stand in large pages; none if it has no files that may stand
    /// elsewhere.
    pub(crate) fn plumb_large_pages(self) -> Option<Plumb> {
        (self == Strategy::TempFile).then_some(temp_file::plumb_large_pages)
    }

    pub(crate) fn method(self) -> Method {
        match self {
            Strategy::WaitThenRead => wait_then_read::METHOD,
            Strategy::PollExitThenRead => poll_exit_then_read::METHOD,
            Strategy::StdoutThenStderr => stdout_then_stderr::METHOD,
            Strategy::WriteStdinThenRead => write_stdin_then_read::METHOD,
            Strategy::BiggerPipeThenWait => bigger_pipe_then_wait::METHOD,
            Strategy::Threads => threads::METHOD,
            Strategy::Poll => poll::METHOD,
            Strategy::Epoll => epoll::METHOD,
            Strategy::TempFile => temp_file::METHOD,
            Strategy::Memfd => memfd::METHOD,
            Strategy::Merged => merged::METHOD,
            Strategy::Pty => pty::METHOD,
            Strategy::Socketpair => socketpair::METHOD,
            Strategy::Discard => discard::METHOD,
            Strategy::Inherit => inherit::METHOD,
            #[cfg(feature = "tokio")]
            Strategy::Tokio => tokio::METHOD,
            #[cfg(not(feature = "tokio"))]
            Strategy::Tokio => Method::Missing { feature: "tokio" },
            #[cfg(feature = "io_uring")]
            Strategy::IoUring => io_uring::METHOD,
            #[cfg(not(feature = "io_uring"))]
            Strategy::IoUring => Method::Missing {
                feature: "io_uring",
            },
        }
    }
}

impl fmt::Display for Strategy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for Strategy {
    type Err = UnknownName;

    fn from_str(name: &str) -> Result<Self, UnknownName> {
        UnknownName::look_up("strategy", name, &Self::ALL, Self::name)
    }
}
