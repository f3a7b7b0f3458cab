//! What a real pipe held when it took no more, by the size of the writes that filled it.

use serde::{Deserialize, Serialize};

/// A pipe that was filled.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Filled {
    /// Bytes of each write(2).
    pub write_bytes: u64,
    /// Bytes in the pipe when its writer would have blocked: the last write may have gone in in part.
    pub held_bytes: u64,
}
