//! What the chatty child does, as a list of operations.
//!
//! A script is data: the child executes its [`Steps`], the verifier derives from the same steps what must
//! arrive, and the simulator lowers them to its programs. There is one lowering, so the three cannot drift.
//!
//! ```
//! use pipeclog_scenario::script::Script;
//!
//! let script = Script::from_json(r#"{"ops": [
//!     {"op": "write", "stdout": "64k", "stderr": 10, "write_size": 4096, "order": "alternate"},
//!     {"op": "exit", "code": 3}
//! ]}"#)?;
//! assert_eq!(script.steps().count(), 16 + 1 + 1);
//! # Ok::<(), pipeclog_scenario::script::ScriptError>(())
//! ```

#[cfg(test)]
pub(crate) mod any;
mod background;
mod check;
mod expected;
mod fill;
mod json;
mod knot;
#[cfg(test)]
mod laws;
mod op;
mod rng;
mod signal;
mod size;
mod stdio;
mod steps;
mod write;

pub use background::{Background, Intermediates, Session};
pub use check::ScriptError;
pub use expected::{Expected, Input};
pub use fill::Fill;
pub use knot::{End, Knot, Medium, Part, Side, Sleep, Watched};
pub use op::{Endless, FifoAccess, FifoUse, Op, StdinOp, Times};
pub use signal::Signal;
pub use size::{Size, SizeError};
pub use steps::{Chunk, Content, Ending, Step, Steps};
pub use write::{Order, RandomSize, Write, WriteSize};

use serde::{Deserialize, Serialize};

/// What one process does: the rules that hold for the whole of its life, and its operations in order.
///
/// The end of the list is `exit(0)`. A field that is left out of the JSON has the value named below; a field
/// that is not known is refused.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Script {
    /// Signals that do not end the process, from its first moment on; none if left out. SIGPIPE is not among
    /// them: `broken_pipe` decides about it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ignore: Vec<Signal>,
    /// What a write to a pipe that nobody can read any more does; `die` if left out.
    #[serde(
        default = "BrokenPipe::left_out",
        skip_serializing_if = "BrokenPipe::is_left_out"
    )]
    pub broken_pipe: BrokenPipe,
    /// What a write that would block does, on a descriptor that somebody made non-blocking; `wait` if left out.
    #[serde(
        default = "WouldBlock::left_out",
        skip_serializing_if = "WouldBlock::is_left_out"
    )]
    pub would_block: WouldBlock,
    /// How standard output is buffered in the process; `none` if left out.
    #[serde(
        default = "Buffering::left_out",
        skip_serializing_if = "Buffering::is_left_out"
    )]
    pub stdout_buffer: Buffering,
    /// How standard error is buffered in the process; `none` if left out.
    #[serde(
        default = "Buffering::left_out",
        skip_serializing_if = "Buffering::is_left_out"
    )]
    pub stderr_buffer: Buffering,
    /// The operations, in order.
    #[serde(deserialize_with = "json::ops")]
    pub ops: Vec<Op>,
}

impl Script {
    /// A script of `ops` that is unbuffered, dies by SIGPIPE and ignores no signal.
    #[must_use]
    pub fn new(ops: Vec<Op>) -> Self {
        Self {
            ignore: Vec::new(),
            broken_pipe: BrokenPipe::Die,
            would_block: WouldBlock::Wait,
            stdout_buffer: Buffering::None,
            stderr_buffer: Buffering::None,
            ops,
        }
    }

    /// Reads a script from JSON and checks it.
    ///
    /// # Errors
    ///
    /// If the text is no JSON, has a field that is not known, or asks for what cannot be done; the error names
    /// the operation by its index, from 0.
    pub fn from_json(text: &str) -> Result<Self, ScriptError> {
        let script: Self = serde_json::from_str(text).map_err(ScriptError::json)?;
        script.check()?;
        Ok(script)
    }

    /// The script as JSON, in the form in which [`Script::from_json`] reads it.
    ///
    /// # Errors
    ///
    /// Never for a script that [`Script::check`] accepts.
    pub fn to_json(&self) -> Result<String, ScriptError> {
        serde_json::to_string_pretty(self).map_err(ScriptError::json)
    }

    /// The system calls that the leader makes, one by one, made as they are asked for: a script of a
    /// terabyte costs no more than one of a byte.
    #[must_use]
    pub fn steps(&self) -> Steps<'_> {
        Steps::new(self, 0)
    }

    /// The steps of the script of a background descendant, which is the `writer`th process.
    #[must_use]
    pub fn steps_as(&self, writer: u8) -> Steps<'_> {
        Steps::new(self, writer)
    }

    /// How standard output or standard error is buffered.
    #[must_use]
    pub fn buffering(&self, stream: Stream) -> Buffering {
        match stream {
            Stream::Stdout => self.stdout_buffer,
            Stream::Stderr => self.stderr_buffer,
        }
    }
}

/// A stream that is written to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Stream {
    /// Descriptor 1.
    Stdout,
    /// Descriptor 2.
    Stderr,
}

/// A standard descriptor.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Descriptor {
    /// Descriptor 0.
    Stdin,
    /// Descriptor 1.
    Stdout,
    /// Descriptor 2.
    Stderr,
}

impl From<Stream> for Descriptor {
    fn from(stream: Stream) -> Self {
        match stream {
            Stream::Stdout => Self::Stdout,
            Stream::Stderr => Self::Stderr,
        }
    }
}

/// What a write to a pipe without a reader (EPIPE) does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BrokenPipe {
    /// Death by SIGPIPE, as of most programs in C, awk, Perl, …
    Die,
    /// SIGPIPE is ignored and the error ends the program with code 1, as of Python, Node, Java, …
    Exit,
    /// SIGPIPE is ignored and the error too: the endless writer that no longer minds.
    GoOn,
}

impl BrokenPipe {
    fn left_out() -> Self {
        Self::Die
    }

    fn is_left_out(&self) -> bool {
        *self == Self::Die
    }
}

/// What a write that gets EAGAIN does: somebody else set O_NONBLOCK on the shared description.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WouldBlock {
    /// Waits in poll(2) until there is room; no byte is lost.
    Wait,
    /// Ends the program with code 1, as `cat` does ("Resource temporarily unavailable").
    Exit,
    /// Drops the rest of that write and goes on, as stdio programs do that do not check.
    Drop,
    /// Tries again at once and for ever, and burns a processor.
    Spin,
}

impl WouldBlock {
    fn left_out() -> Self {
        Self::Wait
    }

    fn is_left_out(&self) -> bool {
        *self == Self::Wait
    }
}

/// How a stream is buffered inside the process, as glibc's stdio does it on a pipe: a buffer of 4,096 bytes.
///
/// What stands in the buffer is written at exit and lost when a signal kills.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Buffering {
    /// Each write is a write(2) of its own: stderr, and programs that do without stdio.
    None,
    /// Written up to the last newline: stdout on a terminal, or `setvbuf(_IOLBF)`.
    Line,
    /// Written when the buffer is full: stdout on a pipe or a file.
    Full,
}

impl Buffering {
    fn left_out() -> Self {
        Self::None
    }

    fn is_left_out(&self) -> bool {
        *self == Self::None
    }
}
