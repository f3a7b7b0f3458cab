//! How many bytes of a stream are kept, and what becomes of the rest.

use std::fs::File;
use std::str::FromStr;

use crate::error::UnknownName;

/// A limit on the bytes kept of each stream. Exactly `bytes` passes untouched; the policy acts on
/// one more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limit {
    /// Bytes kept in memory, for each stream.
    pub bytes: usize,
    /// What happens at the first byte beyond.
    pub policy: LimitPolicy,
}

/// What happens to output beyond the limit. Under each policy but the last two the child runs on,
/// unharmed, and `seen` counts every byte.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LimitPolicy {
    /// Keep the first bytes, read and count the rest.
    Head,
    /// Keep the last bytes.
    Tail,
    /// Keep the first bytes in memory and the rest in an unnamed temporary file ([`Spilled`]).
    Spill,
    /// Keep the first bytes and kill the child, as [`crate::Kill`] says. For a file strategy the
    /// size is looked at 20 times a second, so that the child may write more than the limit before
    /// it is killed.
    Kill,
    /// As `Kill`, but the capture is an error, which carries what was kept.
    Error,
}

impl LimitPolicy {
    /// Every policy.
    pub const ALL: [LimitPolicy; 5] = [
        LimitPolicy::Head,
        LimitPolicy::Tail,
        LimitPolicy::Spill,
        LimitPolicy::Kill,
        LimitPolicy::Error,
    ];

    /// The name, as a command line has it.
    pub fn name(self) -> &'static str {
        match self {
            LimitPolicy::Head => "head",
            LimitPolicy::Tail => "tail",
            LimitPolicy::Spill => "spill",
            LimitPolicy::Kill => "kill",
            LimitPolicy::Error => "error",
        }
    }

    /// Whether the policy ends the child.
    pub(crate) fn stops_the_child(self) -> bool {
        match self {
            LimitPolicy::Kill | LimitPolicy::Error => true,
            LimitPolicy::Head | LimitPolicy::Tail | LimitPolicy::Spill => false,
        }
    }
}

impl FromStr for LimitPolicy {
    type Err = UnknownName;

    fn from_str(name: &str) -> Result<Self, UnknownName> {
        UnknownName::look_up("limit policy", name, &Self::ALL, Self::name)
    }
}

/// The part of a stream beyond the limit, in an unnamed file that vanishes when this is dropped.
#[derive(Debug)]
pub struct Spilled {
    /// Where the part begins: read it with `read_at(buf, start)`; what stands before is in memory
    /// already.
    pub start: u64,
    /// Bytes in the part.
    pub len: u64,
    /// The file.
    pub file: File,
}
