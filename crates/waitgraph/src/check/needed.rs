//! Who could wake a member, worked out from the raw tables alone.

use std::collections::BTreeSet;

use crate::awaited::{Assumption, What};
use crate::descriptor::{Access, Armed, Descriptor, FileId, Object, Peer, SocketTimeouts, Table};
use crate::snapshot::{Process, State, Task, Tid};
use crate::wait::{ChildSet, FutexScope, SignalSet, Timeout, Wait};
use crate::world::TaskId;

use super::Checker;

/// One thing waited for: the descriptor, and the least set of tasks that must be listed for it.
pub(super) type Needed = (Option<u32>, BTreeSet<TaskId>);

impl Checker<'_> {
    pub(super) fn needed(
        &self,
        process: &Process,
        task: &Task,
    ) -> Result<Vec<Needed>, &'static str> {
        let mut needed = Vec::new();
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
                        edge: entry.events.edge_triggered(),
                    };
                    self.object(process, open(entry.fd)?, way, table, 0, &mut needed)?;
                }
            }
            Wait::Epoll { fd, timeout } => {
                never(timeout)?;
                self.object(
                    process,
                    open(*fd)?,
                    Way::Set { edge: false },
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
                    needed.push((None, tasks_of(child)));
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
                needed.push((None, sharing));
            }
            Wait::Signal { awaited, timeout } => {
                never(timeout)?;
                self.signals(process, *awaited, &mut needed)?;
            }
            Wait::Lock { fd, .. } => {
                let locks = || {
                    self.second
                        .locks
                        .iter()
                        .filter(|l| l.waiters.contains(&process.pid))
                };
                let holders = locks()
                    .filter_map(|l| l.holder)
                    .filter_map(|pid| self.second.process(pid));
                let assumed =
                    locks().any(|l| self.assumes(&Assumption::FirstLocker { file: l.file }));
                if !assumed || locks().any(|l| l.holder.is_none()) {
                    return Err("who holds the lock is not known");
                }
                // A process may wait for several locks in several tasks; one of them is this task's.
                let listed = self.listed(process, task).filter(|_| holders.count() > 0);
                needed.push((Some(*fd), listed.ok_or("who holds the lock is not known")?));
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
                needed.push((
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
            needed.push((None, children));
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
        needed: &mut Vec<Needed>,
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
        needed.push((Some(ring.fd), wakers));
        for d in table.known() {
            let stdio =
                d.fd <= 2 && matches!(d.object, Object::Device { .. } | Object::PtySlave { .. });
            if !stdio && !matches!(d.object, Object::File { .. } | Object::IoUring { .. }) {
                self.object(process, d, Way::Set { edge: true }, table, NESTING, needed)?;
            }
        }
        Ok(())
    }

    fn object(
        &self,
        process: &Process,
        d: &Descriptor,
        way: Way,
        table: &Table,
        depth: usize,
        needed: &mut Vec<Needed>,
    ) -> Result<(), &'static str> {
        let reads = d.access.reads() && way != Way::Write;
        let writes = d.access.writes() && way != Way::Read;
        let fits = matches!(way, Way::Set { .. }) || reads || writes;
        if d.access == Access::Path || !fits {
            return Err("its descriptor is open the other way");
        }
        match &d.object {
            Object::Pipe { .. } | Object::Fifo { .. } => {
                if let Object::Fifo { file, path } = &d.object
                    && !self.assumes(&Assumption::ClosedFifo {
                        file: *file,
                        path: path.clone(),
                    })
                {
                    return Err("anybody may open the FIFO");
                }
                let mut wakers = BTreeSet::new();
                for (waits, answers) in [
                    (reads, Access::writes as fn(Access) -> bool),
                    (writes, Access::reads),
                ] {
                    if !waits {
                        continue;
                    }
                    let other = self
                        .holders(|o| same_pipe(o, d) && (answers(o.access) || registered(o, d)));
                    self.somebody(&other, d, way)?;
                    wakers.extend(other);
                }
                needed.push((Some(d.fd), self.with_receivers(process, wakers)));
            }
            Object::UnixSocket {
                inode,
                peer: Peer::Inode(peer),
                timeouts,
                ..
            } => {
                let blocking = !matches!(way, Way::Set { .. });
                let assumed = self.assumes(&Assumption::NoSocketTimeout { inode: *inode });
                if blocking
                    && *timeouts != SocketTimeouts::Unset
                    && (*timeouts == SocketTimeouts::Set || !assumed)
                {
                    return Err("its socket may have a timeout");
                }
                let is = |d: &Descriptor, n: u64| matches!(d.object, Object::UnixSocket { inode, .. } if inode == n);
                let mut wakers = self.holders(|o| is(o, *peer));
                self.somebody(&wakers, d, way)?;
                wakers.extend(self.holders(|o| is(o, *inode)));
                needed.push((Some(d.fd), self.with_receivers(process, wakers)));
            }
            Object::PtyMaster { index, devpts } | Object::PtySlave { index, devpts } => {
                let is_master = matches!(d.object, Object::PtyMaster { .. });
                let side = |o: &Descriptor, master: bool| match o.object {
                    Object::PtyMaster {
                        index: i,
                        devpts: p,
                    } => master && same_pty((i, p), (*index, *devpts)),
                    Object::PtySlave {
                        index: i,
                        devpts: p,
                    } => !master && same_pty((i, p), (*index, *devpts)),
                    _ => false,
                };
                let mut wakers = self.holders(|o| side(o, !is_master));
                self.somebody(&wakers, d, way)?;
                wakers.extend(self.holders(|o| side(o, is_master)));
                needed.push((Some(d.fd), self.with_receivers(process, wakers)));
            }
            Object::Eventfd { id } => {
                let wakers =
                    self.holders(|o| matches!(o.object, Object::Eventfd { id: i } if i == *id));
                needed.push((Some(d.fd), self.with_receivers(process, wakers)));
            }
            Object::Pidfd { target: Some(pid) } => {
                let target = self.second.process(*pid).filter(|p| !exited(p));
                needed.push((
                    Some(d.fd),
                    tasks_of(target.ok_or("its pidfd names a process that exited")?),
                ));
            }
            Object::Signalfd { mask } => self.signals(process, *mask, needed)?,
            Object::Timerfd {
                armed: Armed::Disarmed,
            } => {}
            Object::File { .. } if matches!(way, Way::Set { .. }) => {}
            Object::Epoll { targets } if depth < NESTING => {
                for target in targets {
                    let way = Way::Set {
                        edge: target.events.edge_triggered(),
                    };
                    for d in self.registered_files(table, target.fd, target.file)? {
                        self.object(process, &d, way, table, depth + 1, needed)?;
                    }
                }
            }
            _ => return Err("it waits for the outside, or for something that is not known"),
        }
        Ok(())
    }

    /// The descriptors that an epoll entry may mean: by file, and by number only where that is the same file.
    fn registered_files(
        &self,
        table: &Table,
        fd: u32,
        file: FileId,
    ) -> Result<Vec<Descriptor>, &'static str> {
        let same: Vec<&Descriptor> = table
            .known()
            .iter()
            .filter(|d| d.id == Some(file))
            .collect();
        if let Some(exact) = same.iter().find(|d| d.fd == fd) {
            return Ok(vec![(*exact).clone()]);
        }
        if !same.is_empty() {
            return Ok(same.into_iter().cloned().collect());
        }
        let mut elsewhere = self
            .tables()
            .flat_map(|(_, t)| t.known())
            .filter(|d| d.id == Some(file));
        let found = elsewhere
            .next()
            .ok_or("its epoll set has a file that no table has")?;
        Ok(vec![Descriptor {
            fd,
            access: Access::Unknown,
            ..found.clone()
        }])
    }

    fn children(
        &self,
        process: &Process,
        table: &Table,
        set: ChildSet,
        needed: &mut Vec<Needed>,
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
            needed.push((None, tasks_of(child)));
        }
        if needed.is_empty() {
            Err("the child that it waits for is not there")
        } else {
            Ok(())
        }
    }

    fn signals(
        &self,
        process: &Process,
        set: SignalSet,
        needed: &mut Vec<Needed>,
    ) -> Result<(), &'static str> {
        let routine = SignalSet::of(&[1, 2, 3, 15, 17, 28, 32, 33]);
        let children = self.live_children(process);
        if !set.has(SignalSet::CHLD) || !set.without(routine).is_empty() || children.is_empty() {
            return Err("it waits for a signal from outside");
        }
        needed.push((None, children));
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

    /// Every task that has, in either look, a descriptor of which `is` holds.
    fn holders(&self, is: impl Fn(&Descriptor) -> bool) -> BTreeSet<TaskId> {
        self.tables()
            .filter(|(_, table)| table.known().iter().any(&is))
            .flat_map(|(tasks, _)| tasks)
            .collect()
    }

    /// Every table of either look that still belongs to a living process, with the tasks that use it.
    fn tables(&self) -> impl Iterator<Item = (Vec<TaskId>, &Table)> {
        let lives = |p: &&Process| {
            self.second
                .process(p.pid)
                .is_some_and(|q| q.start_ticks == p.start_ticks)
        };
        self.first
            .processes
            .iter()
            .chain(&self.second.processes)
            .filter(lives)
            .flat_map(|p| {
                let shares = |id: &TaskId| {
                    p.tasks
                        .iter()
                        .all(|t| t.tid != id.tid || t.own_table.is_none())
                };
                let common = tasks_of(p).into_iter().filter(shares).collect();
                let own = p.tasks.iter().filter_map(move |t| {
                    Some((
                        vec![TaskId {
                            pid: p.pid,
                            tid: t.tid,
                        }],
                        t.own_table.as_ref()?,
                    ))
                });
                std::iter::once((common, &p.table)).chain(own)
            })
    }

    fn somebody(
        &self,
        holders: &BTreeSet<TaskId>,
        d: &Descriptor,
        way: Way,
    ) -> Result<(), &'static str> {
        let told = |a: &Assumption| {
            matches!((a, &d.object),
                (Assumption::HangUpToldBefore { inode: i }, Object::Pipe { inode } | Object::UnixSocket { inode, .. })
                if i == inode)
                || matches!((a, &d.object),
                (Assumption::HangUpToldBefore { inode: i }, Object::Fifo { file, .. }) if *i == file.ino)
        };
        let edge = way == Way::Set { edge: true };
        if holders.is_empty() && !(edge && self.certificate.assumptions.iter().any(told)) {
            return Err("the other end is held by nobody in sight");
        }
        Ok(())
    }

    /// Adds those of the same session or user to whom descriptors are on their way.
    fn with_receivers(&self, process: &Process, mut wakers: BTreeSet<TaskId>) -> BTreeSet<TaskId> {
        let receives = |d: &Descriptor| {
            matches!(
                d.object,
                Object::UnixSocket {
                    fds_in_flight: 1..,
                    ..
                }
            )
        };
        wakers.extend(self.holders(receives).into_iter().filter(|t| {
            self.second
                .process(t.pid)
                .is_some_and(|p| p.session == process.session || p.uid == process.uid)
        }));
        wakers
    }
}

/// Epoll sets nest five deep at most (EP_MAX_NESTS).
const NESTING: usize = 5;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    Read,
    Write,
    Set { edge: bool },
}

fn tasks_of(process: &Process) -> BTreeSet<TaskId> {
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

fn same_pipe(a: &Descriptor, b: &Descriptor) -> bool {
    if a.access == Access::Path {
        return false;
    }
    match (&a.object, &b.object) {
        (Object::Pipe { inode: x }, Object::Pipe { inode: y }) => x == y,
        (Object::Fifo { file: x, .. }, Object::Fifo { file: y, .. }) => x == y,
        (
            Object::IoUring {
                registered_pipes, ..
            },
            Object::Pipe { inode },
        ) => registered_pipes.contains(inode),
        _ => false,
    }
}

/// Whether `a` is a ring with `b` among its registered files: which end, nobody says.
fn registered(a: &Descriptor, b: &Descriptor) -> bool {
    matches!((&a.object, &b.object),
        (Object::IoUring { registered_pipes, .. }, Object::Pipe { inode }) if registered_pipes.contains(inode))
}

fn registers(d: &Descriptor, pipes: &[u64]) -> bool {
    matches!(&d.object, Object::IoUring { registered_pipes, .. } if registered_pipes.iter().any(|p| pipes.contains(p)))
}

fn same_pty(a: (u32, Option<u64>), b: (u32, Option<u64>)) -> bool {
    a.0 == b.0 && (a.1 == b.1 || a.1.is_none() || b.1.is_none())
}
