//! Who could wake somebody at a descriptor, worked out from the raw tables alone.

use std::collections::BTreeSet;

use crate::awaited::Assumption;
use crate::descriptor::{
    Access, Armed, Descriptor, EventSet, FileId, Object, Peer, SocketTimeouts, Table,
};
use crate::snapshot::Process;
use crate::world::TaskId;

use super::Checker;
use super::needed::{Needs, exited, tasks_of};
use super::terminal::flows;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Way {
    Read,
    Write,
    Set { events: EventSet },
}

impl Way {
    /// Whether data to read, and whether room to write, is what it waits for.
    fn asks(self) -> (bool, bool) {
        match self {
            Self::Read => (true, false),
            Self::Write => (false, true),
            Self::Set { events } => (events.reads(), events.writes()),
        }
    }
}

/// Epoll sets nest five deep at most (EP_MAX_NESTS).
pub(super) const NESTING: usize = 5;

impl Checker<'_> {
    pub(super) fn object(
        &self,
        process: &Process,
        d: &Descriptor,
        way: Way,
        table: &Table,
        depth: usize,
        needed: &mut Needs,
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
                needed
                    .each
                    .push((Some(d.fd), self.with_receivers(process, wakers)));
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
                needed
                    .each
                    .push((Some(d.fd), self.with_receivers(process, wakers)));
            }
            Object::PtyMaster { index, devpts } | Object::PtySlave { index, devpts } => {
                if !self.is_settled()
                    && !self.assumes(&Assumption::TerminalSettled { index: *index })
                {
                    return Err(
                        "bytes may be under way inside its terminal, and that none are is not among its assumptions",
                    );
                }
                let is_master = matches!(d.object, Object::PtyMaster { .. });
                needed.flows.extend(flows(d, way.asks()));
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
                needed
                    .each
                    .push((Some(d.fd), self.with_receivers(process, wakers)));
            }
            Object::Eventfd { id } => {
                let wakers =
                    self.holders(|o| matches!(o.object, Object::Eventfd { id: i } if i == *id));
                needed
                    .each
                    .push((Some(d.fd), self.with_receivers(process, wakers)));
            }
            Object::Pidfd { target: Some(pid) } => {
                let target = self.second.process(*pid).filter(|p| !exited(p));
                needed.each.push((
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
                        events: target.events,
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

    /// Every task that has, in either look, a descriptor of which `is` holds.
    pub(super) fn holders(&self, is: impl Fn(&Descriptor) -> bool) -> BTreeSet<TaskId> {
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
        let edge = matches!(way, Way::Set { events } if events.edge_triggered());
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

pub(super) fn same_pty(a: (u32, Option<u64>), b: (u32, Option<u64>)) -> bool {
    a.0 == b.0 && (a.1 == b.1 || a.1.is_none() || b.1.is_none())
}
