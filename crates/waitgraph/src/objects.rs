//! Waits on descriptors: from the number to the object, from the object to those who hold its other side.

use std::collections::BTreeSet;

use crate::awaited::{Assumption, BreakKind, Full, What};
use crate::channel::{Channel, End, Intent, opposite};
use crate::descriptor::{
    Access, Armed, Descriptor, EpollTarget, EventSet, Object, Peer, SocketTimeouts, Table,
};
use crate::snapshot::{Process, Task};
use crate::terminal::{self, SETTLED_MS};
use crate::wait::Wait;
use crate::waiting::{Waiting, awaits_signals};
use crate::wchan;
use crate::world::{World, has_exited, live_tasks};

/// How a task waits at a descriptor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Manner {
    /// A blocking read.
    Read,
    /// A blocking write.
    Write,
    /// One of a set.
    Set(EventSet),
}

/// What a ring may wait for at a descriptor: it does not say, and says nothing again that it said before.
const ANYTHING: EventSet = EventSet(EventSet::READ.0 | EventSet::WRITE.0 | EventSet::EDGE.0);

/// Epoll sets nest five deep at most (EP_MAX_NESTS, fs/eventpoll.c).
const MAX_NESTING: usize = 5;

/// Resolves a wait that goes through descriptors.
pub(crate) fn resolve(world: &World<'_>, process: &Process, task: &Task, waiting: &mut Waiting) {
    let table = process.table_of(task);
    let resolver = Resolver {
        world,
        process,
        task,
        table,
    };
    match &task.wait {
        Wait::Read { fd, .. } => resolver.number(*fd, Manner::Read, waiting),
        Wait::Write { fd, .. } => resolver.number(*fd, Manner::Write, waiting),
        Wait::Transfer { from, to, .. } => resolver.transfer(*from, *to, waiting),
        Wait::Accept { .. } => waiting.breaks(BreakKind::External, "waits for a connection"),
        Wait::Connect { .. } => waiting.breaks(BreakKind::External, "waits to be connected"),
        Wait::Poll { set, timeout, .. } => {
            waiting.timed(*timeout);
            match set {
                Some(set) => {
                    for entry in set {
                        resolver.number(entry.fd, Manner::Set(entry.events), waiting);
                    }
                }
                None => waiting.breaks(BreakKind::Unknown, "polls a set that could not be read"),
            }
        }
        Wait::Epoll { fd, timeout } => {
            waiting.timed(*timeout);
            resolver.number(*fd, Manner::Set(EventSet::READ), waiting);
        }
        Wait::IoUring { fd, timeout } => {
            waiting.timed(*timeout);
            resolver.ring(*fd, waiting);
        }
        _ => {}
    }
}

struct Resolver<'a> {
    world: &'a World<'a>,
    process: &'a Process,
    task: &'a Task,
    table: &'a Table,
}

impl Resolver<'_> {
    fn number(&self, fd: u32, manner: Manner, waiting: &mut Waiting) {
        match self.table.get(fd) {
            Some(descriptor) => self.descriptor(descriptor, manner, 0, waiting),
            // Closed by another thread, or the table is not known: the kernel still holds what it waits for.
            None => waiting.breaks(
                BreakKind::Unknown,
                format!("waits on descriptor {fd}, which is not in its table"),
            ),
        }
    }

    fn descriptor(&self, d: &Descriptor, manner: Manner, depth: usize, waiting: &mut Waiting) {
        if let Some(why) = self.misfit(d, manner) {
            return waiting.breaks(BreakKind::Unknown, why);
        }
        let intent = match manner {
            Manner::Read => Intent::Read,
            Manner::Write => Intent::Write,
            Manner::Set(_) => Intent::Any,
        };
        if let Some(other) = opposite(d, intent) {
            self.channel(
                d,
                manner,
                &other.channel,
                &other.ends,
                &other.own_side,
                waiting,
            );
            return;
        }
        let fd = Some(d.fd);
        match &d.object {
            Object::UnixSocket {
                peer: Peer::Listening,
                ..
            } => {
                waiting.breaks(
                    BreakKind::External,
                    format!("waits for connections on descriptor {}", d.fd),
                );
            }
            Object::UnixSocket { .. } => waiting.breaks(
                BreakKind::Unknown,
                format!(
                    "waits on the unix socket at descriptor {}, whose other end is not known",
                    d.fd
                ),
            ),
            Object::Pidfd { target } => match target.and_then(|pid| self.world.process(pid)) {
                Some(child) if !has_exited(child) => {
                    waiting.add(fd, What::Exit { pid: child.pid }, live_tasks(child));
                }
                // Who asks for nothing but the hang-up has seen the exit, and is woken once the parent reaps it (pidfd_poll, fs/pidfs.c).
                Some(zombie) if matches!(manner, Manner::Set(events) if !events.reads()) => {
                    let parent = self.world.process(zombie.ppid);
                    let reapers = parent.map(live_tasks).unwrap_or_default();
                    waiting.add(fd, What::Exit { pid: zombie.pid }, reapers);
                }
                _ => waiting.breaks(BreakKind::Unknown, "waits for a process that has exited"),
            },
            Object::Signalfd { mask } => awaits_signals(self.world, self.process, *mask, waiting),
            Object::Timerfd {
                armed: Armed::Disarmed,
            } => {}
            Object::Timerfd {
                armed: Armed::Armed,
            } => {
                waiting.breaks(
                    BreakKind::Timer,
                    format!("waits for the timer at descriptor {}", d.fd),
                );
            }
            Object::Timerfd {
                armed: Armed::Unknown,
            } => waiting.breaks(
                BreakKind::Timer,
                format!(
                    "waits for the timer at descriptor {}, which may be armed",
                    d.fd
                ),
            ),
            Object::Epoll { targets } if depth < MAX_NESTING => {
                for target in targets {
                    self.epoll_target(target, depth + 1, waiting);
                }
            }
            Object::Epoll { .. } => {
                waiting.breaks(BreakKind::Unknown, "waits on epoll sets nested too deep")
            }
            Object::FileEvents => {
                waiting.breaks(BreakKind::External, "waits for file-system events")
            }
            Object::OtherSocket { family, .. } => waiting.breaks(
                BreakKind::External,
                format!(
                    "waits on a socket ({}) at descriptor {}",
                    family.terminal(20),
                    d.fd
                ),
            ),
            Object::Device { path, .. } => {
                waiting.breaks(
                    BreakKind::External,
                    format!("waits on the device {}", path.terminal(80)),
                );
            }
            // Polling a regular file returns at once, so it adds nothing to a set that sleeps.
            Object::File { .. } if matches!(manner, Manner::Set(_)) => {}
            Object::File { path } => {
                waiting.breaks(
                    BreakKind::Unknown,
                    format!("waits on the file {}", path.terminal(80)),
                );
            }
            Object::IoUring { .. } => self.ring(d.fd, waiting),
            _ => waiting.breaks(
                BreakKind::Unknown,
                format!(
                    "waits on descriptor {}, and what it is could not be told",
                    d.fd
                ),
            ),
        }
    }

    fn channel(
        &self,
        d: &Descriptor,
        manner: Manner,
        channel: &Channel,
        ends: &[End],
        own_side: &[End],
        waiting: &mut Waiting,
    ) {
        let mut wakers = BTreeSet::new();
        for end in ends {
            let holders = self.world.holders(*end);
            if holders.is_empty() {
                self.unheld(d, manner, channel, waiting);
            }
            wakers.extend(holders.into_keys());
        }
        for end in own_side {
            wakers.extend(self.world.holders(*end).into_keys());
        }
        let what = match manner {
            // An eventfd written to its brim is told by nothing; whoever holds it can change it.
            _ if matches!(channel, Channel::Eventfd { .. }) => What::Change {
                channel: channel.clone(),
                full: Full::NotSaid,
            },
            Manner::Read => What::Data {
                channel: channel.clone(),
            },
            Manner::Write => What::Room {
                channel: channel.clone(),
            },
            Manner::Set(events) => What::Change {
                channel: channel.clone(),
                full: asks_for_room(d, events),
            },
        };
        let events = match manner {
            Manner::Read => EventSet::READ,
            Manner::Write => EventSet::WRITE,
            Manner::Set(events) => events,
        };
        waiting.terminals.extend(terminal::uses(d, events));
        self.in_flight(&mut wakers, waiting);
        self.assume(d, manner, channel, waiting);
        waiting.add(Some(d.fd), what, wakers);
    }

    /// Nobody who can be seen holds the other side, and yet the task sleeps: somebody holds it unseen.
    fn unheld(&self, d: &Descriptor, manner: Manner, channel: &Channel, waiting: &mut Waiting) {
        let inode = inode_of(channel);
        match manner {
            Manner::Set(events) if events.edge_triggered() => {
                waiting
                    .assumptions
                    .insert(Assumption::HangUpToldBefore { inode });
            }
            _ if matches!(channel, Channel::Pty { .. }) => {
                waiting.breaks(
                    BreakKind::External,
                    format!("waits on the {channel}, whose other side is not in sight"),
                );
            }
            _ => waiting.breaks(
                BreakKind::Unknown,
                format!(
                    "waits on descriptor {} ({channel}), whose other end nobody in sight holds",
                    d.fd
                ),
            ),
        }
    }

    /// Descriptors on their way through a socket may be the other end; who receives them could then wake the task.
    fn in_flight(&self, wakers: &mut BTreeSet<crate::world::TaskId>, waiting: &mut Waiting) {
        for receiver in &self.world.receivers {
            let Some(process) = self.world.process(receiver.pid) else {
                continue;
            };
            if process.session == self.process.session || process.uid == self.process.uid {
                wakers.insert(*receiver);
            } else {
                waiting
                    .assumptions
                    .insert(Assumption::InFlightElsewhere { pid: receiver.pid });
            }
        }
    }

    fn assume(&self, d: &Descriptor, manner: Manner, channel: &Channel, waiting: &mut Waiting) {
        if let Channel::Fifo { file, path } = channel {
            waiting.assumptions.insert(Assumption::ClosedFifo {
                file: *file,
                path: path.clone(),
            });
        }
        if let Channel::Pty { index, .. } = channel
            && self.world.apart_ms() < SETTLED_MS
        {
            waiting
                .assumptions
                .insert(Assumption::TerminalSettled { index: *index });
        }
        // A set has its own timeout, and these options do not touch it.
        if let (
            Object::UnixSocket {
                inode, timeouts, ..
            },
            Manner::Read | Manner::Write,
        ) = (&d.object, manner)
        {
            match timeouts {
                SocketTimeouts::Unset => {}
                SocketTimeouts::Set => {
                    waiting.breaks(
                        BreakKind::Timer,
                        format!("waits on descriptor {}, a socket with a timeout", d.fd),
                    );
                }
                SocketTimeouts::NotLooked => {
                    waiting
                        .assumptions
                        .insert(Assumption::NoSocketTimeout { inode: *inode });
                }
            }
        }
    }

    /// Registered files are known by what they are: their number may be closed, and used for something else.
    fn epoll_target(&self, target: &EpollTarget, depth: usize, waiting: &mut Waiting) {
        let manner = Manner::Set(target.events);
        let same_file = |d: &&Descriptor| d.id == Some(target.file);
        let at_number = self.table.get(target.fd).filter(|d| same_file(d));
        let open: Vec<&Descriptor> = match at_number {
            Some(d) => vec![d],
            // Anonymous inodes share one number, so this may be several; any of them may be meant.
            None => self.table.known().iter().filter(same_file).collect(),
        };
        if !open.is_empty() {
            for d in open {
                self.descriptor(d, manner, depth, waiting);
            }
            return;
        }
        match self.world.object(target.file) {
            // Closed here and open elsewhere, so still registered. Which end is not known: both count.
            Some(object) => {
                let d = Descriptor {
                    fd: target.fd,
                    access: Access::Unknown,
                    flags: 0,
                    id: Some(target.file),
                    object: object.clone(),
                };
                self.descriptor(&d, manner, depth, waiting);
            }
            None => waiting.breaks(
                BreakKind::Unknown,
                format!(
                    "waits on an epoll set with a file (inode {}) that no table in sight has",
                    target.file.ino
                ),
            ),
        }
    }

    fn transfer(&self, from: u32, to: u32, waiting: &mut Waiting) {
        let is_file = |fd| {
            matches!(
                self.table.get(fd),
                Some(Descriptor {
                    object: Object::File { .. },
                    ..
                })
            )
        };
        // A regular file is never waited for; of two channels either may be what it waits for.
        if !is_file(from) {
            self.number(from, Manner::Read, waiting);
        }
        if !is_file(to) {
            self.number(to, Manner::Write, waiting);
        }
        if waiting.awaited.is_empty() && waiting.breaks.is_empty() {
            waiting.breaks(BreakKind::Unknown, "copies between files and sleeps");
        }
    }

    /// A ring shows which operations it waits for and not on what: any descriptor of the process may be meant.
    fn ring(&self, fd: u32, waiting: &mut Waiting) {
        let ring = match self.table.get(fd) {
            Some(Descriptor {
                object: Object::IoUring {
                    registered_pipes, ..
                },
                ..
            }) => registered_pipes,
            _ => {
                return waiting.breaks(
                    BreakKind::Unknown,
                    "waits on an io_uring that is not in its table",
                );
            }
        };
        if !matches!(self.table, Table::Complete(_)) {
            return waiting.breaks(
                BreakKind::Unknown,
                "waits on an io_uring, and its table is not complete",
            );
        }
        let mut wakers = BTreeSet::new();
        for inode in ring {
            wakers.extend(self.world.holders(End::PipeRead(*inode)).into_keys());
            wakers.extend(self.world.holders(End::PipeWrite(*inode)).into_keys());
        }
        waiting.add(Some(fd), What::Completion, wakers);
        for d in self.table.known() {
            match &d.object {
                Object::File { .. } | Object::IoUring { .. } => {}
                // Standard descriptors that lead to a terminal or a device come with the process, and are not what a
                // ring is made for.
                Object::Device { .. } | Object::PtySlave { .. } if d.fd <= 2 => {}
                object if object.is_ever_ready() => {}
                // Its exit is complete: whatever the ring sleeps for yet is another thing.
                Object::Pidfd {
                    target: Some(target),
                } if self.world.process(*target).is_some_and(has_exited) => {}
                _ => self.descriptor(d, Manner::Set(ANYTHING), MAX_NESTING, waiting),
            }
        }
        waiting
            .assumptions
            .insert(Assumption::RingDescriptors { task: waiting.task });
    }

    /// What the descriptor is must fit what the task does with it; if not, its number was closed and used again.
    fn misfit(&self, d: &Descriptor, manner: Manner) -> Option<String> {
        let wrong_way = match manner {
            Manner::Read => !d.access.reads(),
            Manner::Write => !d.access.writes(),
            Manner::Set(_) => d.access == Access::Path,
        };
        if wrong_way {
            return Some(format!(
                "waits on descriptor {}, which is open the other way: the number was used again",
                d.fd
            ));
        }
        let blocking = matches!(manner, Manner::Read | Manner::Write);
        let name = self.task.wchan.as_ref()?;
        (blocking && wchan::contradicts(name.as_bytes(), &d.object)).then(|| {
            format!("waits on descriptor {}, and the kernel shows another kind of wait: the number was used again", d.fd)
        })
    }
}

fn asks_for_room(d: &Descriptor, events: EventSet) -> Full {
    let is_eventfd = matches!(d.object, Object::Eventfd { .. });
    if events.writes() && !events.edge_triggered() && d.access.writes() && !is_eventfd {
        Full::Yes
    } else {
        Full::NotSaid
    }
}

fn inode_of(channel: &Channel) -> u64 {
    match channel {
        Channel::Pipe { inode } | Channel::Socket { inode, .. } => *inode,
        Channel::Fifo { file, .. } => file.ino,
        Channel::Pty { index, .. } => u64::from(*index),
        Channel::Eventfd { id } => *id,
    }
}
