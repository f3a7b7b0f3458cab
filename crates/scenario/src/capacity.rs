//! What a real pipe, or what else may stand in its place, held when it took no more, by the size of the writes that filled it.

use serde::{Deserialize, Serialize};

/// A pipe that was filled.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Filled {
    /// Bytes of each write(2).
    pub write_bytes: u64,
    /// Bytes in the pipe when its writer would have blocked: the last write may have gone in in part.
    pub held_bytes: u64,
}

/// What may stand between a child and its parent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "is")]
pub enum Transport {
    /// A pipe (pipe(7)).
    Pipe {
        /// Its capacity in bytes, as F_GETPIPE_SZ gives it.
        capacity_bytes: u64,
    },
    /// A pipe of the usual capacity in packet mode (O_DIRECT of pipe(2)).
    PacketPipe {
        /// Its capacity in bytes, as F_GETPIPE_SZ gives it.
        capacity_bytes: u64,
    },
    /// A pair of unix stream sockets (unix(7)) with the usual buffers.
    SocketPair,
    /// The slave of a terminal in raw mode, whose master nobody reads (pty(7)).
    Terminal,
}

/// A transport that was filled.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Held {
    /// What was filled.
    pub transport: Transport,
    /// By which writes, and how far.
    pub filled: Filled,
}
