//! Why a pipe refuses, each with the errno that it stands for.

use std::error::Error;
use std::fmt;

/// A non-blocking write that put nothing in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum WriteError {
    /// `EAGAIN`: every slot is in use, and the bytes do not fit the last one.
    WouldBlock,
    /// `EPIPE`, with `SIGPIPE`: nobody holds the read end.
    BrokenPipe,
}

/// A non-blocking read that got nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ReadError {
    /// `EAGAIN`: empty, and somebody holds the write end.
    WouldBlock,
}

/// A change of capacity that the ring refuses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ResizeError {
    /// `EBUSY`: more slots are in use than there would be.
    Busy {
        /// Slots in use.
        in_use: u32,
        /// Slots that there would be.
        slots: u32,
    },
    /// `EINVAL`: above 2^31 bytes.
    TooLarge {
        /// What was asked for.
        bytes: u64,
    },
}

impl fmt::Display for WriteError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::WouldBlock => "failed to write to the pipe: it would block (EAGAIN)",
            Self::BrokenPipe => "failed to write to the pipe: nobody holds its read end (EPIPE)",
        })
    }
}

impl fmt::Display for ReadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::WouldBlock => {
                f.write_str("failed to read from the pipe: it is empty and has a writer (EAGAIN)")
            }
        }
    }
}

impl fmt::Display for ResizeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Busy { in_use, slots } => write!(
                f,
                "failed to shrink the pipe to {slots} slots: {in_use} are in use (EBUSY); read from it first"
            ),
            Self::TooLarge { bytes } => write!(
                f,
                "failed to resize the pipe to {bytes} bytes: at most 2147483648 are allowed (EINVAL)"
            ),
        }
    }
}

impl Error for WriteError {}
impl Error for ReadError {}
impl Error for ResizeError {}
