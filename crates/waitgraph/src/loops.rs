//! Which loop of a deadlocked set is told: a set of any size may hold many, and few of them say why it hangs.
//!
//! A loop with a full channel comes first, since that is what must be drained; then one through pipes, FIFOs, sockets or
//! terminals between processes; then anything else: threads that wait for each other's locks and eventfds are what an
//! idle runtime looks like.

use std::collections::BTreeSet;

use crate::analysis::Analysis;
use crate::awaited::{Awaited, What};
use crate::channel::{Channel, Intent, opposite};
use crate::graph::Graph;
use crate::inert::is_reaper;
use crate::snapshot::Pid;
use crate::wait::Wait;
use crate::world::TaskId;

/// The loop that is told, and the task of the target that hangs on it.
pub(crate) struct Told {
    pub(crate) start: TaskId,
    pub(crate) cycle: Vec<TaskId>,
}

/// What a step of a loop goes through.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    /// A full channel, to another process.
    Full,
    /// A full channel, within one process.
    FullWithin,
    /// Another channel, to another process.
    Channel,
}

/// Best first.
const STEPS: [Step; 3] = [Step::Full, Step::FullWithin, Step::Channel];

/// The best loop that the deadlocked tasks of `target` are in or hang on; `None` if it has none.
pub(crate) fn told(analysis: &Analysis<'_>, graph: &Graph, target: Pid) -> Option<Told> {
    // A task that sleeps on a futex alone is no evidence: an idle thread pool looks the same.
    let candidates: BTreeSet<TaskId> = graph
        .deadlocked_of(target)
        .into_iter()
        .filter(|id| is_in_kernel(analysis, *id))
        .collect();
    let reach = graph.reach_of(&candidates);
    let best = STEPS.iter().find_map(|step| {
        reach
            .iter()
            .filter_map(|id| through(analysis, graph, *id, *step))
            .map(|found| from_first(found, &candidates))
            .min_by_key(|found| {
                let elsewhere = found.iter().all(|t| t.pid != target);
                let idle = idle_steps(analysis, found);
                (idle, elsewhere, found.len(), found.clone())
            })
    });
    if let Some(cycle) = best {
        let first = *cycle.first()?;
        let hangs_on_it = |id: &&TaskId| **id == first || graph.reach(**id).contains(&first);
        let start = match candidates.contains(&first) {
            true => first,
            false => *candidates.iter().find(hangs_on_it)?,
        };
        return Some(Told { start, cycle });
    }
    candidates
        .into_iter()
        .map(|id| (id, graph.cycle(id)))
        .min_by_key(|(id, cycle)| (cycle.iter().all(|t| t.pid == target), cycle.len(), *id))
        .map(|(start, cycle)| Told { start, cycle })
}

/// The best loop through each of `members` that `cycle` does not tell of.
pub(crate) fn others(
    analysis: &Analysis<'_>,
    graph: &Graph,
    members: &BTreeSet<TaskId>,
    cycle: &[TaskId],
) -> BTreeSet<Vec<TaskId>> {
    let rest = members.iter().filter(|id| !cycle.contains(id));
    let best = |id: &TaskId| {
        STEPS
            .iter()
            .find_map(|step| through(analysis, graph, *id, *step))
    };
    rest.filter_map(best).collect()
}

/// How many steps of a loop go through nothing but eventfds and locks.
fn idle_steps(analysis: &Analysis<'_>, cycle: &[TaskId]) -> usize {
    let nexts = cycle.iter().cycle().skip(1);
    let steps = cycle.iter().zip(nexts);
    let is_idle = |(from, to): &(&TaskId, &TaskId)| {
        let mut by = analysis
            .waiting(**from)
            .into_iter()
            .flat_map(|w| &w.awaited)
            .filter(|a| a.wakers.contains(to));
        by.all(|a| a.what == What::Futex || is_eventfd(&a.what))
    };
    steps.filter(is_idle).count()
}

/// A shortest loop through `id` that leaves it by such a step.
fn through(analysis: &Analysis<'_>, graph: &Graph, id: TaskId, step: Step) -> Option<Vec<TaskId>> {
    let awaited = analysis.waiting(id)?.awaited.iter();
    let next: BTreeSet<TaskId> = match step {
        Step::Full | Step::FullWithin => awaited
            .filter(|a| a.what.shows_full())
            .flat_map(|a| answerers(analysis, id, a))
            .filter(|t| (t.pid == id.pid) == (step == Step::FullWithin))
            .collect(),
        Step::Channel => awaited
            .filter(|a| is_channel(&a.what))
            .flat_map(|a| answerers(analysis, id, a))
            .filter(|t| t.pid != id.pid)
            .collect(),
    };
    if next.is_empty() {
        return None;
    }
    // A virtual machine's thread that reaps children waits for each of them, asked or not: another thread's wait says
    // more, if it is as near.
    let reaps = |id: &TaskId| {
        analysis
            .world
            .task(*id)
            .is_some_and(|(p, t)| is_reaper(p, t))
    };
    let others = next.iter().copied().filter(|id| !reaps(id)).collect();
    let shortest = graph.cycle_by(id, &next)?;
    let without = graph.cycle_by(id, &others);
    without
        .filter(|c| c.len() <= shortest.len())
        .or(Some(shortest))
}

/// Those who can end a wait from the other side of its channel. Holders of one's own side are wakers too (a shutdown, an
/// echo), and no story.
fn answerers(analysis: &Analysis<'_>, id: TaskId, awaited: &Awaited) -> BTreeSet<TaskId> {
    let intent = match awaited.what {
        What::Data { .. } => Intent::Read,
        What::Room { .. } => Intent::Write,
        _ => Intent::Any,
    };
    let descriptor = analysis
        .world
        .task(id)
        .and_then(|(process, task)| process.table_of(task).get(awaited.fd?));
    let mut answerers = awaited.wakers.clone();
    if let Some(other) = descriptor.and_then(|d| opposite(d, intent)) {
        let mut holders = BTreeSet::new();
        for end in other.ends {
            holders.extend(analysis.world.holders(end).into_keys());
        }
        answerers.retain(|t| holders.contains(t));
    }
    answerers
}

fn is_channel(what: &What) -> bool {
    match what {
        What::Data { .. } | What::Room { .. } | What::Change { .. } => !is_eventfd(what),
        What::Partner { .. } => true,
        What::Exit { .. }
        | What::ChildSignal
        | What::Futex
        | What::Vfork { .. }
        | What::Lock { .. }
        | What::Completion => false,
    }
}

fn is_eventfd(what: &What) -> bool {
    matches!(what.channel(), Some(Channel::Eventfd { .. }))
}

fn is_in_kernel(analysis: &Analysis<'_>, id: TaskId) -> bool {
    let task = analysis.world.task(id);
    task.is_some_and(|(_, t)| !matches!(t.wait, Wait::Futex { .. }))
}

/// The same loop, told from its first task among `preferred`, or else from its first of all.
fn from_first(mut cycle: Vec<TaskId>, preferred: &BTreeSet<TaskId>) -> Vec<TaskId> {
    let first = cycle
        .iter()
        .enumerate()
        .min_by_key(|(_, id)| (!preferred.contains(id), **id))
        .map_or(0, |(at, _)| at);
    cycle.rotate_left(first);
    cycle
}
