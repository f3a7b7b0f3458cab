//! The operations of a script.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::{Background, Descriptor, Knot, Signal, Size, Stream, Write, json};

/// One operation. In JSON, an object whose field `op` is the name in snake case.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "op", rename_all = "snake_case", deny_unknown_fields)]
pub enum Op {
    /// Writes bytes of the script's own making.
    Write(Write),
    /// Writes a text as it stands, with no newline added: the prompt that stays in a stdio buffer.
    Prompt {
        /// The text.
        text: String,
        /// Where it goes; standard output if left out.
        #[serde(default = "stdout", skip_serializing_if = "is_stdout")]
        stream: Stream,
    },
    /// Writes what the stdio buffers hold; nothing on unbuffered streams.
    Flush {
        /// The stream.
        stream: Stream,
    },
    /// Reads standard input, or holds it unread. A script without this operation ignores its input.
    Stdin {
        /// What is done with it.
        #[serde(rename = "do")]
        action: StdinOp,
        /// The length of each read(2); 64 KiB if left out.
        #[serde(default = "read_size", skip_serializing_if = "is_read_size")]
        read_size: Size,
    },
    /// Sleeps.
    Sleep {
        /// Milliseconds.
        ms: u64,
    },
    /// Computes: runs on a processor, and makes no system call.
    Compute {
        /// Milliseconds.
        ms: u64,
    },
    /// Waits for ever in a futex that nothing will wake, as for a lock that was inherited over a fork.
    Park {},
    /// Flushes and closes a descriptor, and lives on. What is written to it afterwards is lost.
    Close {
        /// The descriptor.
        stream: Descriptor,
    },
    /// Sets O_NONBLOCK, and leaves it set: every process that shares the description has it too.
    Nonblock {
        /// The descriptor.
        stream: Descriptor,
    },
    /// Sets the capacity of the pipe behind a stream (F_SETPIPE_SZ); the kernel rounds it up to a power of two pages.
    Capacity {
        /// The stream.
        stream: Descriptor,
        /// Bytes.
        bytes: Size,
    },
    /// Puts the pipe behind a stream into packet mode (O_DIRECT): each write takes a slot of its own.
    Packet {
        /// The stream.
        stream: Stream,
    },
    /// Starts a descendant, and goes on once it holds what it should.
    Background(Background),
    /// Waits until each child in the background has exited, in the order in which they were started.
    Wait {},
    /// Runs operations in a second thread, and waits in a futex until it has ended, as the main thread of a
    /// program does whose queue has a feeder thread.
    Thread {
        /// The operations.
        #[serde(deserialize_with = "json::ops")]
        ops: Vec<Op>,
    },
    /// Repeats operations.
    Repeat {
        /// How often.
        times: Times,
        /// The operations.
        #[serde(deserialize_with = "json::ops")]
        ops: Vec<Op>,
    },
    /// Opens a FIFO that stands at a path, uses it, and holds it open until the process ends (fifo(7): the open
    /// itself waits for a partner, except with `read_write`).
    Fifo {
        /// The path; the FIFO must exist.
        path: PathBuf,
        /// How it is opened.
        access: FifoAccess,
        /// What is done with it.
        then: FifoUse,
    },
    /// Waits in accept(2) on a TCP socket of its own on the loopback interface: a wait for the outside.
    Accept {},
    /// Starts processes that wait for each other, and is one of them. It ends only when they do.
    Knot(Knot),
    /// Stops itself (SIGSTOP); whoever continues it lets it go on.
    Stop {},
    /// Flushes and exits.
    Exit {
        /// The exit code.
        code: u8,
    },
    /// Kills itself by a signal. What the stdio buffers hold is lost.
    Die {
        /// The signal.
        signal: Signal,
    },
}

impl Op {
    /// The operations that this one runs in the same process, in order. Whoever looks for certain operations goes through a script by
    /// this, and need not list those that have nothing in them.
    #[must_use]
    pub fn inner(&self) -> &[Self] {
        match self {
            Self::Thread { ops } | Self::Repeat { ops, .. } => ops,
            Self::Write(_)
            | Self::Prompt { .. }
            | Self::Flush { .. }
            | Self::Stdin { .. }
            | Self::Sleep { .. }
            | Self::Compute { .. }
            | Self::Park {}
            | Self::Close { .. }
            | Self::Nonblock { .. }
            | Self::Capacity { .. }
            | Self::Packet { .. }
            | Self::Background(_)
            | Self::Wait {}
            | Self::Fifo { .. }
            | Self::Accept {}
            | Self::Knot(_)
            | Self::Stop {}
            | Self::Exit { .. }
            | Self::Die { .. } => &[],
        }
    }

    /// The operation and all that it runs in the same process, in the order of the text.
    pub fn all(ops: &[Self]) -> impl Iterator<Item = &Self> {
        // Depth first: what is next stands at the end.
        let mut open: Vec<&Self> = ops.iter().rev().collect();
        std::iter::from_fn(move || {
            let op = open.pop()?;
            open.extend(op.inner().iter().rev());
            Some(op)
        })
    }
}

/// What is done with standard input.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum StdinOp {
    /// Reads to the end of file.
    ReadAll,
    /// Reads so many bytes, or to the end of file if that comes first.
    Read(Size),
    /// Writes what is read to standard output, while reading, to the end of file.
    Echo,
    /// Holds it and never reads, until every writer has closed it (poll(2) without events wakes on POLLHUP
    /// alone). Goes on at once where standard input is neither a pipe nor a socket nor a terminal.
    Never,
}

/// How often operations are repeated.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(
    rename_all = "snake_case",
    untagged,
    expecting = "a number of times or \"endless\""
)]
pub enum Times {
    /// So many times.
    Times(u64),
    /// For ever.
    Endless(Endless),
}

/// The word `endless`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Endless {
    /// For ever.
    Endless,
}

/// How a FIFO is opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FifoAccess {
    /// Read-only: waits for a writer.
    Read,
    /// Write-only: waits for a reader.
    Write,
    /// Both, as make's jobserver opens its own: never waits, and never sees an end of file.
    ReadWrite,
}

/// What is done with a FIFO once it is open.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum FifoUse {
    /// Nothing: it is held.
    Hold,
    /// So many bytes are read, or to the end of file.
    Read(Size),
    /// So many NUL bytes are written.
    Write(Size),
}

impl FifoUse {
    /// Bytes of each read(2) and write(2) of a FIFO, the last one apart.
    pub const CHUNK_BYTES: u64 = 8192;
}

fn stdout() -> Stream {
    Stream::Stdout
}

fn is_stdout(stream: &Stream) -> bool {
    *stream == Stream::Stdout
}

fn read_size() -> Size {
    Size(64 << 10)
}

fn is_read_size(size: &Size) -> bool {
    *size == read_size()
}
