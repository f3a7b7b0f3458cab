//! What could not be read: data like any other, since it decides how much is proven.

use serde::{Deserialize, Serialize};

use crate::snapshot::{Pid, Tid};

/// One thing that could not be read.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Gap {
    /// What kind of obstacle.
    pub kind: GapKind,
    /// What is missing.
    pub facet: Facet,
    /// Whose; `None` for the machine's.
    pub pid: Option<Pid>,
    /// Which task's, where it is one task's.
    pub tid: Option<Tid>,
    /// Why, as a lowercase fragment: what was tried, and the cause.
    pub why: String,
    /// A command that closes the gap, to be copied; `None` where there is none.
    pub remedy: Option<String>,
}

/// The kind of obstacle.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum GapKind {
    /// The process or task ended while it was read: normal, and it can wake nobody any more.
    Vanished,
    /// Permission denied.
    Denied,
    /// Hidden by how /proc is mounted (hidepid, subset=pid) or by a namespace.
    Hidden,
    /// An end is held by no table: passed through a socket and not yet received, or registered with io_uring.
    InFlight,
    /// The kernel does not offer it (an older one, or a build without it).
    Unsupported,
    /// It was there and made no sense.
    Malformed,
    /// Reading it did not come back within the bound.
    TimedOut,
    /// It was not asked for, on purpose.
    NotLooked,
}

/// What is missing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Facet {
    /// The whole process, or the list of processes.
    Process,
    /// The stat or status file.
    Status,
    /// The system call of a task.
    Syscall,
    /// Memory words that an argument points to (a poll set, a timeout, a path).
    Memory,
    /// The descriptor table.
    Descriptors,
    /// fdinfo of a descriptor.
    DescriptorInfo,
    /// The program and its arguments.
    Identity,
    /// POSIX timers.
    Timers,
    /// Peers of unix sockets.
    SocketPeers,
    /// /proc/locks.
    Locks,
    /// Control groups.
    Cgroup,
    /// The memory map (whether a futex is shared).
    Maps,
    /// Namespaces.
    Namespaces,
    /// An end of a channel whose holder is in no table.
    HiddenHolder,
    /// The inside of a channel.
    Contents,
}
