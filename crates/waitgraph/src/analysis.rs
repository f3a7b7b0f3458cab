//! Every wait of two looks, resolved, and the reductions over them.

use std::collections::{BTreeMap, BTreeSet};

use crate::awaited::{Assumption, BreakKind};
use crate::certificate::{Certificate, Member};
use crate::descriptor::Table;
use crate::reduce::deadlocked;
use crate::snapshot::{Pid, Process, Snapshot};
use crate::waiting::{Waiting, note_awaited_signals, resolve};
use crate::world::{TaskId, World, has_exited};

/// What a reduction lets pass as asleep for good.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Tier {
    /// Only what is known in full, with no timer, no outside, no assumption.
    Strict,
    /// Assumptions too, and the helpers of runtimes count for nobody.
    Probable,
    /// Also the stopped, as if they stayed so: all that hangs on them.
    Stopped,
    /// Also what could not be told, as if it waited for ever: all that might be deadlocked for all that is known.
    Unknown,
}

/// Two looks, resolved.
pub(crate) struct Analysis<'a> {
    pub(crate) world: World<'a>,
    waits: Vec<Waiting>,
    index: BTreeMap<TaskId, usize>,
}

impl<'a> Analysis<'a> {
    pub(crate) fn new(first: &'a Snapshot, second: &'a Snapshot) -> Self {
        let world = World::new(first, second);
        let mut waits: Vec<Waiting> = world
            .tasks()
            .into_iter()
            .map(|id| resolve(&world, id))
            .collect();
        note_awaited_signals(&world, &mut waits);
        let index = waits
            .iter()
            .enumerate()
            .map(|(at, w)| (w.task, at))
            .collect();
        Self {
            world,
            waits,
            index,
        }
    }

    pub(crate) fn waiting(&self, id: TaskId) -> Option<&Waiting> {
        self.waits.get(*self.index.get(&id)?)
    }

    /// The resolved waits of a process.
    pub(crate) fn of_process(&self, pid: Pid) -> impl Iterator<Item = &Waiting> {
        self.waits.iter().filter(move |w| w.task.pid == pid)
    }

    /// The greatest set of tasks that nobody outside it can wake, at a tier.
    pub(crate) fn set(&self, tier: Tier) -> BTreeSet<TaskId> {
        if tier == Tier::Strict && !self.world.is_complete() {
            return BTreeSet::new();
        }
        let asleep: Vec<bool> = self.waits.iter().map(|w| sleeps(w, tier)).collect();
        let wakers: Vec<Vec<usize>> = self
            .waits
            .iter()
            .map(|w| {
                // A waker without a node is one that nothing is known of: out of range, it counts as outside.
                let at = |id: TaskId| self.index.get(&id).copied().unwrap_or(usize::MAX);
                self.wakers(w, tier).into_iter().map(at).collect()
            })
            .collect();
        let inside = deadlocked(&asleep, &wakers);
        self.waits
            .iter()
            .zip(inside)
            .filter(|(_, inside)| *inside)
            .map(|(w, _)| w.task)
            .collect()
    }

    /// Who can wake it, at a tier.
    pub(crate) fn wakers(&self, waiting: &Waiting, tier: Tier) -> BTreeSet<TaskId> {
        if tier == Tier::Stopped && waiting.is_broken_by(&[BreakKind::Stopped]) {
            return BTreeSet::new();
        }
        let mut wakers = waiting.wakers();
        if tier != Tier::Strict {
            wakers.retain(|w| {
                self.waiting(*w)
                    .is_none_or(|w| w.helper_of.is_none() || w.breaks.is_empty())
            });
        }
        wakers
    }

    /// All that `from` hangs on, itself included: whoever can wake it, whoever can wake those, and so on.
    pub(crate) fn reach(&self, from: TaskId, tier: Tier) -> BTreeSet<TaskId> {
        let mut found = BTreeSet::from([from]);
        let mut open = vec![from];
        while let Some(id) = open.pop() {
            let Some(waiting) = self.waiting(id) else {
                continue;
            };
            for waker in self.wakers(waiting, tier) {
                if found.insert(waker) {
                    open.push(waker);
                }
            }
        }
        found
    }

    /// The certificate of the deadlock that `task`, a member of the set of that tier, hangs in.
    pub(crate) fn certificate(&self, task: TaskId, tier: Tier) -> Certificate {
        let reach = self.reach(task, tier);
        let mut assumptions = self.family_assumptions(&reach);
        let mut members = Vec::with_capacity(reach.len());
        for waiting in reach.iter().filter_map(|id| self.waiting(*id)) {
            let Some((process, task)) = self.world.task(waiting.task) else {
                continue;
            };
            assumptions.extend(waiting.assumptions.iter().cloned());
            assumptions.extend(self.helpers_left_out(waiting, &reach));
            members.push(Member {
                task: waiting.task,
                start_ticks: process.start_ticks,
                wait: task.wait.clone(),
                awaited: waiting.awaited.clone(),
            });
        }
        Certificate {
            members,
            assumptions,
        }
    }

    fn helpers_left_out(&self, waiting: &Waiting, reach: &BTreeSet<TaskId>) -> Vec<Assumption> {
        let outside = waiting.wakers().into_iter().filter(|w| !reach.contains(w));
        outside
            .filter_map(|task| {
                let runtime = self.waiting(task)?.helper_of?;
                let name = self.world.task(task)?.1.comm.clone();
                Some(Assumption::InertHelper {
                    task,
                    name,
                    runtime,
                })
            })
            .collect()
    }

    /// What is taken for granted of processes that could not be read, or not be seen.
    fn family_assumptions(&self, reach: &BTreeSet<TaskId>) -> BTreeSet<Assumption> {
        let mut assumptions = BTreeSet::new();
        if !self.world.is_complete() {
            assumptions.insert(Assumption::NobodyMissed);
        }
        let members: BTreeSet<Pid> = reach.iter().map(|t| t.pid).collect();
        for pid in self.unread_relatives(&members) {
            assumptions.insert(Assumption::HoldsNothing { pid });
        }
        assumptions
    }

    /// Processes whose descriptors could not be read, and that may have inherited ends that these hold: ancestors,
    /// descendants, those of the same session, and orphans that started no earlier.
    pub(crate) fn unread_relatives(&self, members: &BTreeSet<Pid>) -> BTreeSet<Pid> {
        let processes: Vec<&Process> = members
            .iter()
            .filter_map(|p| self.world.process(*p))
            .collect();
        let started = processes
            .iter()
            .map(|p| p.start_ticks)
            .min()
            .unwrap_or(u64::MAX);
        let above: BTreeSet<Pid> = members
            .iter()
            .flat_map(|p| self.world.ancestors(*p))
            .collect();
        self.world
            .second
            .processes
            .iter()
            .filter(|p| is_unread(p) && !has_exited(p) && !members.contains(&p.pid))
            .filter(|p| {
                above.contains(&p.pid)
                    || processes.iter().any(|m| m.session == p.session)
                    || self
                        .world
                        .ancestors(p.pid)
                        .iter()
                        .any(|a| members.contains(a))
                    || (p.ppid.0 <= 1 && p.start_ticks >= started)
            })
            .map(|p| p.pid)
            .collect()
    }

    /// A shortest way from `from` back to itself; if it is in no cycle, to a cycle, and that cycle alone. At an end (a
    /// sleeper that nobody at all can wake) the way stops.
    pub(crate) fn cycle(&self, from: TaskId, tier: Tier) -> Vec<TaskId> {
        if let Some(cycle) = self.cycle_through(from, tier) {
            return cycle;
        }
        let reach = self.reach(from, tier);
        let cycles = reach.iter().filter_map(|id| self.cycle_through(*id, tier));
        // A cycle between processes says more than one of threads within one, and a short one more than a long one.
        let best = cycles.min_by_key(|c| {
            let processes: BTreeSet<Pid> = c.iter().map(|t| t.pid).collect();
            (processes.len() < 2, c.len())
        });
        best.unwrap_or_else(|| self.path_to_end(from, tier))
    }

    fn cycle_through(&self, from: TaskId, tier: Tier) -> Option<Vec<TaskId>> {
        let own = self.wakers(self.waiting(from)?, tier);
        let parents = self.breadth_first(from, tier);
        let closes = |id: &&TaskId| {
            **id != from
                && self
                    .waiting(**id)
                    .is_some_and(|w| self.wakers(w, tier).contains(&from))
        };
        let ways = parents
            .keys()
            .filter(closes)
            .map(|last| path(&parents, from, *last));
        // A way through another process, if there is one, tells the story; within one process it is only its locks.
        let best = ways.min_by_key(|w| (w.iter().all(|t| t.pid == from.pid), w.len(), w.clone()));
        best.or_else(|| own.contains(&from).then(|| vec![from]))
    }

    fn path_to_end(&self, from: TaskId, tier: Tier) -> Vec<TaskId> {
        let parents = self.breadth_first(from, tier);
        let is_end = |id: &&TaskId| {
            self.waiting(**id)
                .is_none_or(|w| self.wakers(w, tier).is_empty())
        };
        let end = parents
            .keys()
            .filter(is_end)
            .map(|id| path(&parents, from, *id))
            .min_by_key(Vec::len);
        end.unwrap_or_else(|| vec![from])
    }

    /// A shortest way from `from` to the first task for which `stop` holds, both included.
    pub(crate) fn path_to(
        &self,
        from: TaskId,
        tier: Tier,
        stop: impl Fn(&Waiting) -> bool,
    ) -> Option<Vec<TaskId>> {
        let parents = self.breadth_first(from, tier);
        let ends = parents
            .keys()
            .filter(|id| self.waiting(**id).is_some_and(&stop));
        ends.map(|id| path(&parents, from, *id))
            .min_by_key(|p| (p.len(), p.clone()))
    }

    fn breadth_first(&self, from: TaskId, tier: Tier) -> BTreeMap<TaskId, TaskId> {
        let mut parents = BTreeMap::from([(from, from)]);
        let mut layer = vec![from];
        while !layer.is_empty() {
            let mut next = Vec::new();
            for id in layer {
                let Some(waiting) = self.waiting(id) else {
                    continue;
                };
                for waker in self.wakers(waiting, tier) {
                    parents.entry(waker).or_insert_with(|| {
                        next.push(waker);
                        id
                    });
                }
            }
            layer = next;
        }
        parents
    }
}

fn sleeps(waiting: &Waiting, tier: Tier) -> bool {
    let only = |allowed: &[BreakKind]| waiting.breaks.iter().all(|b| allowed.contains(&b.kind));
    match tier {
        Tier::Strict => waiting.breaks.is_empty() && waiting.assumptions.is_empty(),
        Tier::Probable => waiting.breaks.is_empty(),
        // A stopped task shows no call, and may have been stopped in any state.
        Tier::Stopped => waiting.breaks.is_empty() || waiting.is_broken_by(&[BreakKind::Stopped]),
        Tier::Unknown => only(&[BreakKind::Unknown]),
    }
}

fn is_unread(process: &Process) -> bool {
    process.table == Table::Unread
        || process
            .tasks
            .iter()
            .any(|t| t.own_table == Some(Table::Unread))
}

fn path(parents: &BTreeMap<TaskId, TaskId>, from: TaskId, to: TaskId) -> Vec<TaskId> {
    let mut way = vec![to];
    let mut at = to;
    while at != from {
        let Some(parent) = parents.get(&at) else {
            break;
        };
        at = *parent;
        way.push(at);
    }
    way.reverse();
    way
}
