//! What a scanner remembers between looks.

use std::collections::{BTreeMap, BTreeSet};

use pipeclog_waitgraph::snapshot::{Freezer, Pid, Untrusted};

use crate::parse::Hierarchy;
use crate::scanner::Selection;

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct Memo {
    /// Command lines, by pid, start and the place of the arguments, which an exec moves. They are asked of the
    /// target's memory, which costs more than all else about a process.
    pub(crate) cmdlines: BTreeMap<(u32, u64, u64), Vec<Untrusted>>,
    /// Who works for the observer, and signals others at its word alone.
    pub(crate) helpers: Vec<Pid>,
    /// Whether a control group is frozen: asked once a pass, for all that live in it.
    pub(crate) freezers: BTreeMap<(Hierarchy, Vec<u8>), Option<Freezer>>,
    /// The last family whose pulse was taken, and the machine's count of forks before it was listed.
    pub(crate) family: Option<Family>,
}

/// A family as it was at some count of forks: it cannot have grown while that count stands.
#[derive(Debug, Clone)]
pub(crate) struct Family {
    pub(crate) selection: Selection,
    pub(crate) forks: u64,
    pub(crate) pids: BTreeSet<u32>,
}
