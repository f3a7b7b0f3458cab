//! Two looks at the machine as one indexed whole: who holds what, who is whose child, who did not move.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::channel::{End, ends_of};
use crate::descriptor::{FileId, Object, Table};
use crate::snapshot::{Pid, Process, Snapshot, State, Task, Tid};
use crate::wait::{Syscall, Wait};

/// A task and the process it belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct TaskId {
    /// The process.
    pub pid: Pid,
    /// The task.
    pub tid: Tid,
}

/// Both looks, indexed. The second is the one that is reasoned about; the first says what moved.
pub(crate) struct World<'a> {
    pub(crate) first: &'a Snapshot,
    pub(crate) second: &'a Snapshot,
    holders: BTreeMap<End, BTreeMap<TaskId, BTreeSet<u32>>>,
    children: BTreeMap<Pid, Vec<Pid>>,
    objects: BTreeMap<FileId, &'a Object>,
    memory: BTreeMap<Pid, Vec<Pid>>,
    /// Tasks with a socket towards which descriptors are in flight.
    pub(crate) receivers: BTreeSet<TaskId>,
}

impl<'a> World<'a> {
    pub(crate) fn new(first: &'a Snapshot, second: &'a Snapshot) -> Self {
        let mut world = Self {
            first,
            second,
            holders: BTreeMap::new(),
            children: BTreeMap::new(),
            objects: BTreeMap::new(),
            memory: BTreeMap::new(),
            receivers: BTreeSet::new(),
        };
        for process in &second.processes {
            world
                .children
                .entry(process.ppid)
                .or_default()
                .push(process.pid);
            if let Some(key) = process.memory {
                world.memory.entry(key).or_default().push(process.pid);
            }
        }
        // An end seen in either look counts: that can only add wakers.
        for snapshot in [first, second] {
            for process in &snapshot.processes {
                if second
                    .process(process.pid)
                    .is_some_and(|p| p.start_ticks == process.start_ticks)
                {
                    world.index_tables(process);
                }
            }
        }
        world
    }

    fn index_tables(&mut self, process: &'a Process) {
        let sharing: Vec<TaskId> = live_tasks(process)
            .into_iter()
            .filter(|id| !has_own_table(process, id.tid))
            .collect();
        self.index_table(&process.table, &sharing);
        for task in &process.tasks {
            if let Some(table) = &task.own_table {
                self.index_table(
                    table,
                    &[TaskId {
                        pid: process.pid,
                        tid: task.tid,
                    }],
                );
            }
        }
    }

    fn index_table(&mut self, table: &'a Table, tasks: &[TaskId]) {
        for descriptor in table.known() {
            for end in ends_of(descriptor) {
                let holders = self.holders.entry(end).or_default();
                for task in tasks {
                    holders.entry(*task).or_default().insert(descriptor.fd);
                }
            }
            if let Some(file) = descriptor.id {
                self.objects.entry(file).or_insert(&descriptor.object);
            }
            if let Object::UnixSocket {
                fds_in_flight: 1.., ..
            } = descriptor.object
            {
                self.receivers.extend(tasks);
            }
        }
    }

    /// The tasks that hold an end, with the numbers they hold it under.
    pub(crate) fn holders(&self, end: End) -> BTreeMap<TaskId, BTreeSet<u32>> {
        let mut found: BTreeMap<TaskId, BTreeSet<u32>> = BTreeMap::new();
        for end in same_ends(end, &self.holders) {
            for (task, fds) in self.holders.get(&end).into_iter().flatten() {
                found.entry(*task).or_default().extend(fds);
            }
        }
        found
    }

    /// The processes that hold an end, with the numbers they hold it under.
    pub(crate) fn holding_processes(&self, end: End) -> BTreeMap<Pid, BTreeSet<u32>> {
        let mut found: BTreeMap<Pid, BTreeSet<u32>> = BTreeMap::new();
        for (task, fds) in self.holders(end) {
            found.entry(task.pid).or_default().extend(fds);
        }
        found
    }

    pub(crate) fn process(&self, pid: Pid) -> Option<&'a Process> {
        self.second.process(pid)
    }

    pub(crate) fn task(&self, id: TaskId) -> Option<(&'a Process, &'a Task)> {
        let process = self.second.process(id.pid)?;
        Some((process, process.tasks.iter().find(|t| t.tid == id.tid)?))
    }

    /// What another table knows of a file: for epoll targets whose number is closed.
    pub(crate) fn object(&self, file: FileId) -> Option<&'a Object> {
        self.objects.get(&file).copied()
    }

    /// Children in the numbers of `/proc`, and those that `pid` traces.
    pub(crate) fn children(&self, pid: Pid) -> Vec<&'a Process> {
        let mut pids: BTreeSet<Pid> = self
            .children
            .get(&pid)
            .into_iter()
            .flatten()
            .copied()
            .collect();
        pids.extend(
            self.second
                .processes
                .iter()
                .filter(|p| p.tracer == Some(pid))
                .map(|p| p.pid),
        );
        pids.into_iter()
            .filter_map(|p| self.second.process(p))
            .collect()
    }

    /// The processes that share memory with `process`, itself among them. Where that was not compared, a parent that
    /// waits in vfork and its children count as sharing it: nothing else shares memory across an exec.
    pub(crate) fn sharing_memory(&self, process: &'a Process) -> Vec<&'a Process> {
        let mut pids = BTreeSet::from([process.pid]);
        if let Some(key) = process.memory {
            pids.extend(self.memory.get(&key).into_iter().flatten());
        }
        if in_vfork(process) {
            pids.extend(self.children.get(&process.pid).into_iter().flatten());
        }
        if self.process(process.ppid).is_some_and(in_vfork) {
            pids.insert(process.ppid);
        }
        pids.into_iter()
            .filter_map(|pid| self.second.process(pid))
            .collect()
    }

    /// The parent, its parent, and so on.
    pub(crate) fn ancestors(&self, pid: Pid) -> Vec<Pid> {
        let mut found = Vec::new();
        let mut at = pid;
        while let Some(process) = self.process(at) {
            at = process.ppid;
            // A torn scan could show a loop.
            if at.0 == 0 || found.contains(&at) {
                break;
            }
            found.push(at);
        }
        found
    }

    pub(crate) fn is_descendant(&self, pid: Pid, of: Pid) -> bool {
        self.ancestors(pid).contains(&of)
    }

    /// Whether the task did the very same thing in both looks and did not run in between: same state, same line of
    /// `syscall`, same switches. Then whatever its process's blocked tasks hold was fixed, too.
    pub(crate) fn is_unmoved(&self, process: &Process, task: &Task) -> bool {
        let Some(before) = self
            .first
            .process(process.pid)
            .filter(|p| p.start_ticks == process.start_ticks)
            .and_then(|p| p.tasks.iter().find(|t| t.tid == task.tid))
        else {
            return false;
        };
        before.state == task.state
            && before.syscall == task.syscall
            && before.wait == task.wait
            && before.switches_voluntary == task.switches_voluntary
            && before.switches_involuntary == task.switches_involuntary
    }

    /// How long after the first look the second was taken, in milliseconds.
    pub(crate) fn apart_ms(&self) -> u64 {
        self.second.scan.at_ms.saturating_sub(self.first.scan.at_ms)
    }

    /// Whether no process can have been missed.
    pub(crate) fn is_complete(&self) -> bool {
        self.second.is_complete_after(self.first)
    }

    /// Every task of the second look that is not dead.
    pub(crate) fn tasks(&self) -> Vec<TaskId> {
        self.second.processes.iter().flat_map(live_tasks).collect()
    }
}

/// The tasks of a process that are not dead. A process whose tasks were not read stands as one task of its number.
pub(crate) fn live_tasks(process: &Process) -> Vec<TaskId> {
    if process.tasks.is_empty() {
        return vec![TaskId {
            pid: process.pid,
            tid: Tid(process.pid.0),
        }];
    }
    process
        .tasks
        .iter()
        .filter(|t| !is_dead(t.state))
        .map(|t| TaskId {
            pid: process.pid,
            tid: t.tid,
        })
        .collect()
}

/// Whether the whole process has exited and is only waited for.
pub(crate) fn has_exited(process: &Process) -> bool {
    !process.tasks.is_empty() && process.tasks.iter().all(|t| is_dead(t.state))
}

fn is_dead(state: State) -> bool {
    matches!(state, State::Zombie | State::Dead)
}

fn has_own_table(process: &Process, tid: Tid) -> bool {
    process
        .tasks
        .iter()
        .any(|t| t.tid == tid && t.own_table.is_some())
}

fn in_vfork(process: &Process) -> bool {
    process
        .tasks
        .iter()
        .any(|t| t.wait == Wait::Vfork && matches!(t.syscall, Syscall::Blocked { .. }))
}

/// The keys under which `end` may stand: terminals of an unknown devpts mount match those of any.
fn same_ends(end: End, known: &BTreeMap<End, BTreeMap<TaskId, BTreeSet<u32>>>) -> Vec<End> {
    match end {
        End::PtyMaster(index, Some(_)) => vec![end, End::PtyMaster(index, None)],
        End::PtySlave(index, Some(_)) => vec![end, End::PtySlave(index, None)],
        End::PtyMaster(index, None) => known
            .keys()
            .filter(|k| matches!(k, End::PtyMaster(i, _) if *i == index))
            .copied()
            .collect(),
        End::PtySlave(index, None) => known
            .keys()
            .filter(|k| matches!(k, End::PtySlave(i, _) if *i == index))
            .copied()
            .collect(),
        _ => vec![end],
    }
}
