//! The certificate of a deadlock: every member, what it waits for, and everybody who could wake it.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::awaited::{Assumption, Awaited};
use crate::wait::Wait;
use crate::world::TaskId;

/// A claim that no task outside `members` can wake a task inside: worth nothing until [`crate::check::check`] has
/// verified it against the two looks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Certificate {
    /// The deadlocked set, in ascending order.
    pub members: Vec<Member>,
    /// Others of the members' run ([`crate::run`]), who could signal one: asleep for good too, with all that they hang on.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub relatives: Vec<Member>,
    /// What the claim takes for granted beyond the closed world; empty in a strict one.
    pub assumptions: BTreeSet<Assumption>,
}

/// One member of the deadlocked set.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Member {
    /// The task.
    pub task: TaskId,
    /// Start time of its process, in clock ticks: with the pid it names the process for good.
    pub start_ticks: u64,
    /// The call it sleeps in.
    pub wait: Wait,
    /// What it waits for, in the order in which the wait names it: each with its complete list of wakers.
    pub awaited: Vec<Awaited>,
}

impl Certificate {
    /// The member that is `task`.
    pub fn member(&self, task: TaskId) -> Option<&Member> {
        self.members.iter().find(|m| m.task == task)
    }
}

impl Member {
    /// Everybody who could wake it.
    pub fn wakers(&self) -> BTreeSet<TaskId> {
        self.awaited
            .iter()
            .flat_map(|a| a.wakers.iter().copied())
            .collect()
    }
}
