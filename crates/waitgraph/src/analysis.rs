//! Every wait of two looks, resolved, and the reductions over them.

use std::collections::{BTreeMap, BTreeSet};

use crate::awaited::{Assumption, BreakKind};
use crate::certificate::{Certificate, Member};
use crate::descriptor::Table;
use crate::graph::Graph;
use crate::kin::{self, Relatives};
use crate::run::{Kin, Runs};
use crate::snapshot::{Pid, Process, Snapshot};
use crate::terminal::note_bytes_under_way;
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
    pub(crate) runs: Runs,
    waits: Vec<Waiting>,
    index: BTreeMap<TaskId, usize>,
}

impl<'a> Analysis<'a> {
    pub(crate) fn new(first: &'a Snapshot, second: &'a Snapshot) -> Self {
        let world = World::new(first, second);
        let kin = second.processes.iter().map(Kin::from);
        let runs = Runs::new(kin, second.scan.observer.clone());
        let mut waits: Vec<Waiting> = world
            .tasks()
            .into_iter()
            .map(|id| resolve(&world, id))
            .collect();
        note_awaited_signals(&world, &mut waits);
        note_bytes_under_way(&mut waits);
        let index = waits
            .iter()
            .enumerate()
            .map(|(at, w)| (w.task, at))
            .collect();
        Self {
            world,
            runs,
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

    /// The wait-for graph at a tier, reduced.
    pub(crate) fn graph(&self, tier: Tier) -> Graph {
        let nothing_counts = tier == Tier::Strict && !self.world.is_complete();
        let nodes = self.waits.iter();
        Graph::new(nodes.map(|w| {
            (
                w.task,
                sleeps(w, tier) && !nothing_counts,
                self.wakers(w, tier),
            )
        }))
    }

    /// Who can wake it, at a tier.
    fn wakers(&self, waiting: &Waiting, tier: Tier) -> BTreeSet<TaskId> {
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

    /// The certificate of the deadlock of `reach`, which `graph` left: all that one of the deadlocked hangs on, and whoever could
    /// signal these.
    pub(crate) fn certificate(&self, graph: &Graph, reach: &BTreeSet<TaskId>) -> Certificate {
        let Relatives {
            asleep: relatives,
            awake,
            unread,
        } = kin::relatives(self, graph, reach);
        let asleep: BTreeSet<TaskId> = reach.union(&relatives).copied().collect();
        let mut assumptions = self.family_assumptions(&asleep);
        let named = |pids: BTreeSet<Pid>| (!pids.is_empty()).then_some(pids);
        assumptions.extend(named(awake).map(|pids| Assumption::NoSignal { pids }));
        assumptions.extend(named(unread).map(|pids| Assumption::RunUnread { pids }));
        assumptions.extend(self.own_helpers(graph, reach));
        for waiting in asleep.iter().filter_map(|id| self.waiting(*id)) {
            assumptions.extend(waiting.assumptions.iter().cloned());
            assumptions.extend(self.helpers_left_out(waiting, &asleep));
        }
        Certificate {
            members: self.members(reach),
            relatives: self.members(&relatives),
            assumptions,
        }
    }

    fn members(&self, tasks: &BTreeSet<TaskId>) -> Vec<Member> {
        let member = |id: &TaskId| {
            let (process, task) = self.world.task(*id)?;
            Some(Member {
                task: *id,
                start_ticks: process.start_ticks,
                wait: task.wait.clone(),
                awaited: self.waiting(*id)?.awaited.clone(),
            })
        };
        tasks.iter().filter_map(member).collect()
    }

    pub(crate) fn is_helper(&self, task: TaskId) -> bool {
        self.waiting(task).is_some_and(|w| w.helper_of.is_some())
    }

    /// Helpers of the members' own runtimes, which could signal as any thread could.
    fn own_helpers(&self, graph: &Graph, reach: &BTreeSet<TaskId>) -> Vec<Assumption> {
        let pids: BTreeSet<Pid> = reach.iter().map(|task| task.pid).collect();
        let of_members = pids.iter().flat_map(|pid| self.of_process(*pid));
        let awake = of_members.filter(|w| !graph.is_deadlocked(w.task));
        awake.filter_map(|w| self.inert(w.task)).collect()
    }

    fn inert(&self, task: TaskId) -> Option<Assumption> {
        Some(Assumption::InertHelper {
            task,
            name: self.world.task(task)?.1.comm.clone(),
            runtime: self.waiting(task)?.helper_of?,
        })
    }

    fn helpers_left_out(&self, waiting: &Waiting, asleep: &BTreeSet<TaskId>) -> Vec<Assumption> {
        let outside = waiting.wakers().into_iter().filter(|w| !asleep.contains(w));
        outside.filter_map(|task| self.inert(task)).collect()
    }

    /// What is taken for granted of processes that could not be read, or not be seen.
    fn family_assumptions(&self, asleep: &BTreeSet<TaskId>) -> BTreeSet<Assumption> {
        let mut assumptions = BTreeSet::new();
        if !self.world.is_complete() {
            assumptions.insert(Assumption::NobodyMissed);
        }
        let members: BTreeSet<Pid> = asleep.iter().map(|t| t.pid).collect();
        for pid in self.unread_relatives(&members) {
            assumptions.insert(Assumption::HoldsNothing { pid });
        }
        assumptions
    }

    /// Processes whose descriptors could not be read, and that may have inherited ends that these hold: parents,
    /// descendants, those of the same session, and orphans that started no earlier. An ancestor beyond that, of another
    /// session, is counted in the closed world: a pipe made since then is not his. So is init, whatever its session: in
    /// a container whole trees are in its session for want of one of their own (`/proc` then says 0), and that it
    /// is everybody's parent in the end says nothing of what it holds.
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
        let parents: BTreeSet<Pid> = processes.iter().map(|p| p.ppid).collect();
        self.world
            .second
            .processes
            .iter()
            .filter(|p| is_unread(p) && !has_exited(p) && !members.contains(&p.pid))
            .filter(|p| p.pid.0 > 1)
            .filter(|p| {
                parents.contains(&p.pid)
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
