//! The machine that results come from, as far as pipes depend on it. Nothing here tells whose machine it is.

use pipeclog_waitgraph::snapshot::Untrusted;
use serde::{Deserialize, Serialize};

/// Facts of a machine and of the build that ran on it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Machine {
    /// The release of the kernel, by uname(2).
    pub kernel: Untrusted,
    /// The architecture, by uname(2).
    pub architecture: Untrusted,
    /// Processors that this process may run on.
    pub cpus: u32,
    /// Main memory in KiB.
    pub memory_kib: u64,
    /// Bytes of a page, which is the most that a slot of a pipe holds.
    pub page_bytes: u32,
    /// What F_GETPIPE_SZ says of a pipe that was just made, in bytes.
    pub pipe_bytes: u64,
    /// The largest pipe that needs no privilege, in bytes (`/proc/sys/fs/pipe-max-size`).
    pub pipe_max_bytes: Option<u64>,
    /// Pages in a user's pipes above which new ones are small (`/proc/sys/fs/pipe-user-pages-soft`).
    pub pipe_user_pages_soft: Option<u64>,
    /// The version of pipeclog.
    pub pipeclog: Untrusted,
    /// How it was built.
    pub build: Build,
}

/// How a program was built.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Build {
    /// Optimised.
    Release,
    /// With checks, and slower: its times say little.
    Debug,
}
