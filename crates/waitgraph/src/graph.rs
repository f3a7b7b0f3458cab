//! The wait-for graph at one tier: an edge leads from a sleeper to each task that could wake it.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use crate::reduce::deadlocked;
use crate::snapshot::Pid;
use crate::world::TaskId;

/// The graph, with the set that its reduction leaves.
pub(crate) struct Graph {
    ids: Vec<TaskId>,
    index: BTreeMap<TaskId, usize>,
    edges: Vec<Vec<usize>>,
    inside: Vec<bool>,
}

impl Graph {
    /// Builds it from each task with whether it sleeps, and who could wake it. A waker that is no node counts as awake.
    pub(crate) fn new(nodes: impl IntoIterator<Item = (TaskId, bool, BTreeSet<TaskId>)>) -> Self {
        let nodes: Vec<(TaskId, bool, BTreeSet<TaskId>)> = nodes.into_iter().collect();
        let ids: Vec<TaskId> = nodes.iter().map(|(id, ..)| *id).collect();
        let index: BTreeMap<TaskId, usize> =
            ids.iter().enumerate().map(|(at, id)| (*id, at)).collect();
        let asleep: Vec<bool> = nodes.iter().map(|(_, asleep, _)| *asleep).collect();
        let at = |id: &TaskId| index.get(id).copied().unwrap_or(usize::MAX);
        let edges: Vec<Vec<usize>> = nodes
            .iter()
            .map(|(.., wakers)| wakers.iter().map(at).collect())
            .collect();
        let inside = deadlocked(&asleep, &edges);
        Self {
            ids,
            index,
            edges,
            inside,
        }
    }

    /// Whether `id` is in the greatest set of tasks that nobody outside it can wake.
    pub(crate) fn is_deadlocked(&self, id: TaskId) -> bool {
        self.index
            .get(&id)
            .and_then(|at| self.inside.get(*at))
            .copied()
            .unwrap_or(false)
    }

    /// The deadlocked tasks of a process.
    pub(crate) fn deadlocked_of(&self, pid: Pid) -> Vec<TaskId> {
        self.ids
            .iter()
            .copied()
            .filter(|id| id.pid == pid && self.is_deadlocked(*id))
            .collect()
    }

    /// All that `from` hangs on, itself included: whoever can wake it, whoever can wake those, and so on.
    pub(crate) fn reach(&self, from: TaskId) -> BTreeSet<TaskId> {
        self.reach_of(&BTreeSet::from([from]))
    }

    /// All that any of `from` hangs on, themselves included.
    pub(crate) fn reach_of(&self, from: &BTreeSet<TaskId>) -> BTreeSet<TaskId> {
        let mut reach = from.clone();
        let mut open: Vec<TaskId> = from.iter().copied().collect();
        while let Some(id) = open.pop() {
            for waker in self.wakers(id).iter().filter_map(|at| self.id(*at)) {
                if reach.insert(waker) {
                    open.push(waker);
                }
            }
        }
        reach
    }

    /// A shortest way from `from` to the first task for which `stop` holds, both included.
    pub(crate) fn path_to(
        &self,
        from: TaskId,
        stop: impl Fn(TaskId) -> bool,
    ) -> Option<Vec<TaskId>> {
        let from = *self.index.get(&from)?;
        let parents = self.breadth_first(from);
        let reached =
            (0..self.ids.len()).filter(|at| parents.get(*at).is_some_and(Option::is_some));
        let ends = reached.filter(|at| self.id(*at).is_some_and(&stop));
        let way = ends
            .map(|at| path(&parents, from, at))
            .min_by_key(|p| (p.len(), p.clone()))?;
        Some(self.named(&way))
    }

    /// A shortest way from `from` back to itself; if it is in no cycle, a cycle that it hangs on, and if there is none
    /// either, the way to somebody whom nobody at all can wake.
    pub(crate) fn cycle(&self, from: TaskId) -> Vec<TaskId> {
        let Some(start) = self.index.get(&from).copied() else {
            return vec![from];
        };
        if let Some(cycle) = self.cycle_through(start) {
            return self.named(&cycle);
        }
        let cycles = self.reach(from);
        let cycles = cycles
            .iter()
            .filter_map(|id| self.cycle_through(*self.index.get(id)?));
        // A cycle between processes says more than one of threads within one, and a short one more than a long one.
        if let Some(best) = cycles.min_by_key(|c| (self.is_within_one(c), c.len())) {
            return self.named(&best);
        }
        let end = self.path_to(from, |id| self.wakers(id).is_empty());
        end.unwrap_or_else(|| vec![from])
    }

    /// A shortest way from `from` back to itself whose first step leads to one of `next`.
    pub(crate) fn cycle_by(&self, from: TaskId, next: &BTreeSet<TaskId>) -> Option<Vec<TaskId>> {
        let start = *self.index.get(&from)?;
        let mut parents: Vec<Option<usize>> = vec![None; self.ids.len()];
        let mut open: VecDeque<usize> = self.wakers(from).iter().copied().collect();
        open.retain(|at| self.id(*at).is_some_and(|id| next.contains(&id)));
        for first in &open {
            *parents.get_mut(*first)? = Some(start);
        }
        while let Some(at) = open.pop_front() {
            if at == start {
                // Back at once: it alone could wake itself.
                return Some(vec![from]);
            }
            let wakers = self.edges.get(at)?;
            if wakers.contains(&start) {
                return Some(self.named(&path(&parents, start, at)));
            }
            for waker in wakers {
                if let Some(parent @ None) = parents.get_mut(*waker) {
                    *parent = Some(at);
                    open.push_back(*waker);
                }
            }
        }
        None
    }

    fn cycle_through(&self, from: usize) -> Option<Vec<usize>> {
        let parents = self.breadth_first(from);
        let closes = |at: &usize| {
            *at != from
                && parents.get(*at).is_some_and(Option::is_some)
                && self.edges.get(*at).is_some_and(|e| e.contains(&from))
        };
        let ways = (0..self.ids.len())
            .filter(closes)
            .map(|last| path(&parents, from, last));
        // A way through another process, if there is one, tells the story; within one process it is only its locks.
        let best = ways.min_by_key(|w| (self.is_within_one(w), w.len(), w.clone()));
        let own = self.edges.get(from).is_some_and(|e| e.contains(&from));
        best.or_else(|| own.then(|| vec![from]))
    }

    fn is_within_one(&self, way: &[usize]) -> bool {
        let pids: BTreeSet<Pid> = way
            .iter()
            .filter_map(|at| self.id(*at))
            .map(|id| id.pid)
            .collect();
        pids.len() < 2
    }

    /// For each node that can be reached, where it was reached from; `from` from itself.
    fn breadth_first(&self, from: usize) -> Vec<Option<usize>> {
        let mut parents: Vec<Option<usize>> = vec![None; self.ids.len()];
        if let Some(parent) = parents.get_mut(from) {
            *parent = Some(from);
        }
        let mut layer = vec![from];
        while !layer.is_empty() {
            let mut next = Vec::new();
            for at in layer {
                for waker in self.edges.get(at).into_iter().flatten() {
                    if let Some(parent @ None) = parents.get_mut(*waker) {
                        *parent = Some(at);
                        next.push(*waker);
                    }
                }
            }
            layer = next;
        }
        parents
    }

    fn wakers(&self, id: TaskId) -> &[usize] {
        self.index
            .get(&id)
            .and_then(|at| self.edges.get(*at))
            .map_or(&[], Vec::as_slice)
    }

    fn id(&self, at: usize) -> Option<TaskId> {
        self.ids.get(at).copied()
    }

    fn named(&self, way: &[usize]) -> Vec<TaskId> {
        way.iter().filter_map(|at| self.id(*at)).collect()
    }
}

fn path(parents: &[Option<usize>], from: usize, to: usize) -> Vec<usize> {
    let mut way = vec![to];
    let mut at = to;
    while at != from {
        let Some(Some(parent)) = parents.get(at) else {
            break;
        };
        at = *parent;
        way.push(at);
    }
    way.reverse();
    way
}
