//! Who could signal a deadlocked set, by kinship: the runs of its members, sorted into asleep for good and not.

use std::collections::BTreeSet;

use crate::analysis::Analysis;
use crate::awaited::BreakKind;
use crate::descriptor::Object;
use crate::graph::Graph;
use crate::snapshot::{Pid, Process, Task};
use crate::wait::{Timeout, Wait};
use crate::world::{TaskId, live_tasks};

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct Relatives {
    /// Tasks of the runs that are asleep for good, with all that they hang on; the members are not among them.
    pub(crate) asleep: BTreeSet<TaskId>,
    /// Processes of the runs with a task that is not.
    pub(crate) awake: BTreeSet<Pid>,
    /// Members whose run was not read whole.
    pub(crate) unread: BTreeSet<Pid>,
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
    let run = analysis.runs.of_all(pids.iter().copied());
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
    let keepers = pids
        .iter()
        .filter_map(|pid| analysis.runs.keeper_of_jobs(*pid));
    // What else such a one hangs on was not looked for, so that it is not known to be asleep for good.
    let others = keepers.filter(|pid| !run.contains(pid) && !sleeps_as_a_shell(analysis, *pid));
    found.awake.extend(others);
    let is_read = |pid: &Pid| world.second.scan.runs_of.contains(pid);
    found.unread = pids.into_iter().filter(|pid| !is_read(pid)).collect();
    found.asleep = graph.reach_of(&found.asleep);
    found.asleep.retain(|task| !members.contains(task));
    found
}

/// Whether who leads a session at a terminal waits as a shell with job control does: in all of his threads, with no timer, for
/// children, a signal, or what the terminal and his own descriptors bring. Else he may well be about to end his child.
fn sleeps_as_a_shell(analysis: &Analysis<'_>, pid: Pid) -> bool {
    let Some(process) = analysis.world.process(pid) else {
        return false;
    };
    let is_shells = |task: &TaskId| {
        let task = analysis.world.task(*task);
        task.is_some_and(|(process, task)| waits_as_a_shell(process, task))
    };
    let is_outside = |kind| kind == BreakKind::External;
    live_tasks(process).iter().all(is_shells)
        && analysis
            .of_process(pid)
            .flat_map(|waiting| &waiting.breaks)
            .all(|b| is_outside(b.kind))
}

fn waits_as_a_shell(process: &Process, task: &Task) -> bool {
    let table = process.table_of(task);
    let is_plain = |fd: u32| {
        table.get(fd).is_some_and(|d| {
            matches!(
                d.object,
                Object::PtySlave { .. }
                    | Object::Device { .. }
                    | Object::Pipe { .. }
                    | Object::Fifo { .. }
                    | Object::Eventfd { .. }
                    | Object::Signalfd { .. }
                    | Object::FileEvents
            )
        })
    };
    match &task.wait {
        Wait::Child { .. } => true,
        Wait::Signal { timeout, .. } => *timeout == Timeout::Never,
        Wait::Read { fd, .. } => is_plain(*fd),
        Wait::Poll {
            set: Some(set),
            timeout: Timeout::Never,
            ..
        } => set.iter().all(|entry| is_plain(entry.fd)),
        _ => false,
    }
}
