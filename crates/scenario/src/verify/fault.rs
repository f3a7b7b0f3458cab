//! What a verifier found.

use std::fmt;

use crate::pattern::Tag;

/// What came of verifying a capture.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Verdict {
    /// Bytes that were captured.
    pub seen: u64,
    /// The first fault; nothing if every byte is there, in its place.
    pub fault: Option<Fault>,
    /// Bytes of background descendants that are not there. That is no fault by itself: a capture may rightly
    /// end when the leader has exited.
    pub background_missing: u64,
}

/// The first place where captured bytes are not those that were written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fault {
    /// The offset in the stream, in bytes from its start, of the first byte that is wrong or missing.
    pub offset: u64,
    /// What is wrong.
    pub kind: FaultKind,
}

/// What is wrong at the first wrong byte.
///
/// Which of lost, repeated and moved it is, is told from the record that stands there and from the number of bytes
/// in all: two faults in one stream can make one look like another, but never hide.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FaultKind {
    /// Bytes are missing here, and what comes after them follows at once.
    Lost {
        /// How many.
        bytes: u64,
    },
    /// Bytes that stand here were there before, and the stream is longer for it.
    Repeated {
        /// How many.
        bytes: u64,
    },
    /// Bytes of another place of this stream stand here, and the stream is as long as it should be.
    Moved {
        /// Whose record stands here.
        tag: Tag,
        /// The offset that the record says it belongs to.
        offset: u64,
    },
    /// A record of another stream stands here.
    Crossed {
        /// Whose record stands here.
        tag: Tag,
        /// The offset that the record says it belongs to.
        offset: u64,
    },
    /// A byte differs, and no record tells why.
    Corrupt {
        /// What was written.
        expected: u8,
        /// What was captured.
        found: u8,
    },
    /// The stream ends here, too early; all before it is right.
    Truncated {
        /// How many bytes are missing.
        missing: u64,
    },
    /// The stream should end here; all before it is right.
    Extra {
        /// How many bytes there are too many.
        bytes: u64,
    },
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.fault {
            None => write!(f, "{} bytes, complete", self.seen),
            Some(fault) => write!(f, "{} bytes, {fault}", self.seen),
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "at byte {}: {}", self.offset, self.kind)
    }
}

impl fmt::Display for FaultKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Lost { bytes } => write!(f, "{bytes} bytes lost"),
            Self::Repeated { bytes } => write!(f, "{bytes} bytes repeated"),
            Self::Moved { tag, offset } => write!(f, "byte {offset} of {tag} stands here, moved"),
            Self::Crossed { tag, offset } => {
                write!(f, "byte {offset} of {tag} stands here, crossed over")
            }
            Self::Corrupt { expected, found } => {
                write!(f, "found 0x{found:02x} instead of 0x{expected:02x}")
            }
            Self::Truncated { missing } => write!(f, "the end, {missing} bytes too early"),
            Self::Extra { bytes } => write!(f, "{bytes} bytes too many"),
        }
    }
}
