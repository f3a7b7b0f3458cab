//! Who could signal a deadlocked set, by kinship: the runs of its members, sorted into asleep for good and not.

use std::collections::BTreeSet;

use crate::analysis::Analysis;
use crate::graph::Graph;
use crate::snapshot::Pid;
use crate::world::{TaskId, live_tasks};

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct Relatives {
    /// Tasks of the runs that are asleep for good, with all that they hang on; the members are not among them.
    pub(crate) asleep: BTreeSet<TaskId>,
    /// Processes of the runs with a task that is not.
    pub(crate) awake: BTreeSet<Pid>,
}

/// The relatives of `members`, as a reduction has judged them. What could wake a relative from outside of every member's run by
/// a signal is outside of the closed world as it is for the members.
pub(crate) fn relatives(
    analysis: &Analysis<'_>,
    graph: &Graph,
    members: &BTreeSet<TaskId>,
) -> Relatives {
    let world = &analysis.world;
    let pids: BTreeSet<Pid> = members.iter().map(|task| task.pid).collect();
    let run: BTreeSet<Pid> = pids.iter().flat_map(|pid| analysis.runs.of(*pid)).collect();
    let mut found = Relatives::default();
    for process in run.iter().filter_map(|pid| world.process(*pid)) {
        let is_member = pids.contains(&process.pid);
        let mut tasks = live_tasks(process);
        // A member's own helpers are assumed to be inert as it is.
        tasks.retain(|task| !(is_member && analysis.is_helper(*task)));
        if tasks.iter().all(|task| graph.is_deadlocked(*task)) {
            found.asleep.extend(tasks);
        } else {
            found.awake.insert(process.pid);
        }
    }
    found.asleep = graph.reach_of(&found.asleep);
    found.asleep.retain(|task| !members.contains(task));
    found
}
