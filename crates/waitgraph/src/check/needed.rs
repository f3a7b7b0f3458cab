//! Who could wake a member, worked out from the raw tables alone.

use std::collections::BTreeSet;

use crate::awaited::{Assumption, What};
use crate::descriptor::{Descriptor, EventSet, Object, Table};
use crate::snapshot::{Process, State, Task, Tid};
use crate::wait::{ChildSet, FutexScope, SignalSet, Timeout, Wait};
use crate::world::TaskId;

use super::Checker;
use super::object::{NESTING, Way};
use super::terminal::Flow;

/// One thing waited for: the descriptor, and the least set of tasks that must be listed for it.
pub(super) type Needed = (Option<u32>, BTreeSet<TaskId>);

/// All that a member waits for.
#[derive(Debug, Default)]
pub(super) struct Needs {
    pub(super) each: Vec<Needed>,
    /// What of it concerns a direction of a terminal.
    pub(super) flows: Vec<Flow>,
}

/// A ring does not say what it waits for at a descriptor, nor say it twice.
const RING: Way = Way::Set {
    events: EventSet(EventSet::READ.0 | EventSet::WRITE.0 | EventSet::EDGE.0),
};

impl Checker<'_> {
    pub(super) fn needed(&self, process: &Process, task: &Task) -> Result<Needs, &'static str> {
        let mut needed = Needs::default();
        let never = |timeout: &Timeout| {
            if *timeout == Timeout::Never {
                Ok(())
            } else {
                Err("its wait has a timeout")
            }
        };
        let table = task.own_table.as_ref().unwrap_or(&process.table);
        let open = |fd: u32| table.get(fd).ok_or("its descriptor is not in its table");
        match &task.wait {
            Wait::Read { fd, .. } => {
                self.object(process, open(*fd)?, Way::Read, table, 0, &mut needed)?
            }
            Wait::Write { fd, .. } => {
                self.object(process, open(*fd)?, Way::Write, table, 0, &mut needed)?
            }
            Wait::Transfer { from, to, .. } => {
                for (fd, way) in [(*from, Way::Read), (*to, Way::Write)] {
                    if !matches!(open(fd)?.object, Object::File { .. }) {
                        self.object(process, open(fd)?, way, table, 0, &mut needed)?;
                    }
                }
            }
            Wait::Poll {
                set: Some(set),
                timeout,
                ..
            } => {
                never(timeout)?;
                for entry in set {
                    let way = Way::Set {
                        events: entry.events,
                    };
                    self.object(process, open(entry.fd)?, way, table, 0, &mut needed)?;
                }
            }
            Wait::Epoll { fd, timeout } => {
                never(timeout)?;
                self.object(
                    process,
                    open(*fd)?,
                    Way::Set {
                        events: EventSet::READ,
                    },
                    table,
                    0,
                    &mut needed,
                )?;
            }
            Wait::Child { children } => self.children(process, table, *children, &mut needed)?,
            Wait::Vfork => {
                for child in self
                    .second
                    .processes
                    .iter()
                    .filter(|p| p.ppid == process.pid && !exited(p))
                {
                    needed.each.push((None, tasks_of(child)));
                }
            }
            Wait::Futex {
                scope: FutexScope::PrivateFlag | FutexScope::PrivateMapping,
                timeout,
                ..
            } => {
                never(timeout)?;
                let mut sharing = tasks_of(process);
                let vforks = |p: &Process| p.tasks.iter().any(|t| t.wait == Wait::Vfork);
                for other in &self.second.processes {
                    let same = process.memory.is_some() && other.memory == process.memory;
                    let child = other.ppid == process.pid && vforks(process);
                    if same || child || (other.pid == process.ppid && vforks(other)) {
                        sharing.extend(tasks_of(other));
                    }
                }
                sharing.remove(&TaskId {
                    pid: process.pid,
                    tid: task.tid,
                });
                needed.each.push((None, sharing));
            }
            Wait::Signal { awaited, timeout } => {
                never(timeout)?;
                self.signals(process, *awaited, &mut needed)?;
            }
            Wait::Lock { fd, .. } => {
                let mut locks = self
                    .second
                    .locks
                    .iter()
                    .filter(|l| l.waiters.contains(&process.pid));
                if !locks.any(|l| self.assumes(&Assumption::FirstLocker { file: l.file })) {
                    return Err("who holds the lock is not known");
                }
                // The assumption says that these are the holders; a lock's description may have been passed on.
                needed.each.push((
                    Some(*fd),
                    self.listed(process, task)
                        .ok_or("nobody is listed to hold the lock")?,
                ));
            }
            Wait::FifoOpen {
                file: Some(file),
                path: Some(path),
                ..
            } => {
                if !self.assumes(&Assumption::ClosedFifo {
                    file: *file,
                    path: path.clone(),
                }) {
                    return Err("anybody may open the FIFO");
                }
                needed.each.push((
                    None,
                    self.listed(process, task)
                        .ok_or("nobody is listed to open the FIFO")?,
                ));
            }
            Wait::IoUring { fd, timeout } => {
                never(timeout)?;
                self.ring(process, task, open(*fd)?, table, &mut needed)?;
            }
            _ => return Err("there is no rule for its wait"),
        }
        let handles = |t: &Task| {
            t.signals
                .is_some_and(|s| s.caught.has(SignalSet::CHLD) && !s.blocked.has(SignalSet::CHLD))
        };
        let children = self.live_children(process);
        if process.tasks.iter().any(handles) && !children.is_empty() {
            needed.each.push((None, children));
        }
        Ok(needed)
    }

    /// Where only an assumption says who could wake a task: those that are listed, who must still be members.
    fn listed(&self, process: &Process, task: &Task) -> Option<BTreeSet<TaskId>> {
        let member = self.certificate.member(TaskId {
            pid: process.pid,
            tid: task.tid,
        })?;
        let listed = member.awaited.first()?;
        let is_claim = matches!(
            listed.what,
            What::Lock { .. } | What::Partner { .. } | What::Completion
        );
        (is_claim && !listed.wakers.is_empty()).then(|| listed.wakers.clone())
    }

    fn ring(
        &self,
        process: &Process,
        task: &Task,
        ring: &Descriptor,
        table: &Table,
        needed: &mut Needs,
    ) -> Result<(), &'static str> {
        let id = TaskId {
            pid: process.pid,
            tid: task.tid,
        };
        let Object::IoUring {
            registered_pipes, ..
        } = &ring.object
        else {
            return Err("its descriptor is no io_uring");
        };
        if !self.assumes(&Assumption::RingDescriptors { task: id })
            || !matches!(table, Table::Complete(_))
        {
            return Err("what its io_uring waits for is not known");
        }
        let on_ring = |d: &Descriptor| matches!(d.object, Object::Pipe { inode } if registered_pipes.contains(&inode));
        let mut wakers = self.holders(on_ring);
        wakers.extend(self.holders(|d| registers(d, registered_pipes)));
        if registered_pipes.is_empty() {
            wakers.clear();
        }
        needed.each.push((Some(ring.fd), wakers));
        for d in table.known() {
            let stdio =
                d.fd <= 2 && matches!(d.object, Object::Device { .. } | Object::PtySlave { .. });
            // /dev/null and its like answer at once (drivers/char/mem.c).
            let ready = matches!(
                d.object,
                Object::Device {
                    major: 1,
                    minor: 3 | 5 | 7 | 9,
                    ..
                }
            );
            // What has exited already is complete, and no more than the others is slept for.
            let done = matches!(
                d.object,
                Object::Pidfd { target: Some(pid) }
                    if self.second.processes.iter().any(|p| p.pid == pid && exited(p))
            );
            if !stdio
                && !ready
                && !done
                && !matches!(d.object, Object::File { .. } | Object::IoUring { .. })
            {
                self.object(process, d, RING, table, NESTING, needed)?;
            }
        }
        Ok(())
    }

    fn children(
        &self,
        process: &Process,
        table: &Table,
        set: ChildSet,
        needed: &mut Needs,
    ) -> Result<(), &'static str> {
        let is_child = |p: &Process| p.ppid == process.pid || p.tracer == Some(process.pid);
        let named = |p: &Process| match set {
            ChildSet::Any | ChildSet::Group(_) => is_child(p),
            ChildSet::Pid(n) if process.ns_pids.len() > 1 => {
                is_child(p) && p.ns_pids.get(process.ns_pids.len() - 1) == Some(&n)
            }
            ChildSet::Pid(n) => is_child(p) && p.pid.0 == n,
            ChildSet::Pidfd(fd) => matches!(
                table.get(fd), Some(Descriptor { object: Object::Pidfd { target: Some(t) }, .. }) if *t == p.pid),
        };
        for child in self.second.processes.iter().filter(|p| named(p)) {
            if exited(child) && child.tracer.is_none() {
                return Err("a child that it waits for has exited");
            }
            needed.each.push((None, tasks_of(child)));
        }
        if needed.each.is_empty() {
            Err("the child that it waits for is not there")
        } else {
            Ok(())
        }
    }

    pub(super) fn signals(
        &self,
        process: &Process,
        set: SignalSet,
        needed: &mut Needs,
    ) -> Result<(), &'static str> {
        let routine = SignalSet::of(&[1, 2, 3, 14, 15, 17, 28, 32, 33]);
        let children = self.live_children(process);
        if !set.has(SignalSet::CHLD) || !set.without(routine).is_empty() || children.is_empty() {
            return Err("it waits for a signal from outside");
        }
        needed.each.push((None, children));
        Ok(())
    }

    fn live_children(&self, process: &Process) -> BTreeSet<TaskId> {
        let is_child = |p: &&Process| p.ppid == process.pid || p.tracer == Some(process.pid);
        self.second
            .processes
            .iter()
            .filter(is_child)
            .flat_map(tasks_of)
            .collect()
    }
}

pub(super) fn tasks_of(process: &Process) -> BTreeSet<TaskId> {
    let pid = process.pid;
    if process.tasks.is_empty() {
        return BTreeSet::from([TaskId {
            pid,
            tid: Tid(pid.0),
        }]);
    }
    let lives = |t: &&Task| !matches!(t.state, State::Zombie | State::Dead);
    process
        .tasks
        .iter()
        .filter(lives)
        .map(|t| TaskId { pid, tid: t.tid })
        .collect()
}

pub(super) fn exited(process: &Process) -> bool {
    tasks_of(process).is_empty()
}

fn registers(d: &Descriptor, pipes: &[u64]) -> bool {
    matches!(&d.object, Object::IoUring { registered_pipes, .. } if registered_pipes.iter().any(|p| pipes.contains(p)))
}
