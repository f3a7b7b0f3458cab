//! From a wait-for graph to a knot: the same processes, each with the ends that it held, asleep in the calls that it slept in.

use std::collections::{BTreeMap, BTreeSet};

use pipeclog_waitgraph::awaited::{Full, What};
use pipeclog_waitgraph::certificate::Member;
use pipeclog_waitgraph::channel::Channel;
use pipeclog_waitgraph::report::{Report, ReportMember};
use pipeclog_waitgraph::snapshot::{
    ChildSet, Descriptor, FifoMode, FileId, Object, Peer, Pid, Process, Snapshot, State, Wait,
};

use super::{Act, CannotAct, act};
use crate::expect::Told;
use crate::script::{End, Knot, Medium, Op, Part, Side, Size, Sleep, Watched};
use crate::shape;
use crate::strategy::Strategy;

/// The loop of a deadlock and all that it hangs on.
pub(super) fn of_deadlock(report: &Report, look: &Snapshot) -> Result<Act, CannotAct> {
    let certificate = report
        .certificate
        .as_ref()
        .ok_or_else(|| CannotAct::new("there is no certificate"))?;
    let core = shape::core(report, certificate);
    let mut stage = Stage::new(report, look, core.iter().map(|member| member.task.pid));
    for member in &core {
        for awaited in &member.awaited {
            match &awaited.what {
                What::Partner { file, .. } => stage.add_channel(Key::Fifo(*file)),
                what => stage.add_channels(what.channel()),
            }
        }
    }
    for member in &core {
        stage.add_member(member)?;
    }
    stage.act(Told::Deadlocked)
}

/// A chain of which each waits for the next, and the last for nobody here.
pub(super) fn of_chain(report: &Report, look: &Snapshot, told: Told) -> Result<Act, CannotAct> {
    let chain: Vec<&ReportMember> = report.members.iter().filter(|m| m.in_loop).collect();
    let pids: BTreeSet<Pid> = chain.iter().map(|member| member.actor.task.pid).collect();
    if pids.len() != chain.len() || chain.is_empty() {
        return Err(CannotAct::new(
            "threads of one process wait for each other in it",
        ));
    }
    let mut stage = Stage::new(report, look, pids.iter().copied());
    for pair in chain.windows(2) {
        stage.add_channels(pair.first().and_then(|member| member.channel.as_ref()));
    }
    stage.chain = chain.iter().map(|member| member.actor.task.pid).collect();
    if !stage.is_in_order() {
        return Err(CannotAct::new("one waits in it for who has started it"));
    }
    stage.cast.clone_from(&stage.chain);
    for (at, member) in chain.iter().enumerate() {
        let next = chain.get(at + 1).map(|next| next.actor.task.pid);
        stage.add_link(member, next)?;
    }
    stage.act(told)
}

/// What the kernel knows a channel by, from whichever side.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Key {
    Pipe(u64),
    Fifo(FileId),
    /// The lower inode first.
    Socket(u64, u64),
    Pty(u32),
}

impl Key {
    /// None of an eventfd, by which a process wakes itself.
    fn of(channel: &Channel) -> Option<Self> {
        match channel {
            Channel::Pipe { inode } => Some(Self::Pipe(*inode)),
            Channel::Fifo { file, .. } => Some(Self::Fifo(*file)),
            Channel::Socket { inode, peer } => Some(Self::pair(*inode, *peer)),
            Channel::Pty { index, .. } => Some(Self::Pty(*index)),
            Channel::Eventfd { .. } => None,
        }
    }

    fn pair(one: u64, other: u64) -> Self {
        Self::Socket(one.min(other), one.max(other))
    }

    /// The channel of a descriptor, and the ends of it that it is.
    fn held(descriptor: &Descriptor) -> Option<(Self, Vec<Side>)> {
        let by_access = || {
            let reads = descriptor.access.reads().then_some(Side::Reads);
            let writes = descriptor.access.writes().then_some(Side::Writes);
            reads.into_iter().chain(writes).collect()
        };
        match &descriptor.object {
            Object::Pipe { inode } => Some((Self::Pipe(*inode), by_access())),
            Object::Fifo { file, .. } => Some((Self::Fifo(*file), by_access())),
            Object::UnixSocket {
                inode,
                peer: Peer::Inode(peer),
                ..
            } => {
                let side = if inode < peer {
                    Side::Reads
                } else {
                    Side::Writes
                };
                Some((Self::pair(*inode, *peer), vec![side]))
            }
            Object::PtyMaster { index, .. } => Some((Self::Pty(*index), vec![Side::Reads])),
            Object::PtySlave { index, .. } => Some((Self::Pty(*index), vec![Side::Writes])),
            _ => None,
        }
    }
}

/// The processes and channels that are put together.
struct Stage<'a> {
    look: &'a Snapshot,
    /// Parents before their children.
    cast: Vec<Pid>,
    channels: Vec<Key>,
    /// Of a chain, its order: one that none of them has started is started by the one that waits for it.
    chain: Vec<Pid>,
    threads: BTreeMap<Pid, Vec<Sleep>>,
    /// What the channels held, where that was looked into.
    capacities: BTreeMap<u64, u64>,
}

impl<'a> Stage<'a> {
    fn new(report: &Report, look: &'a Snapshot, pids: impl Iterator<Item = Pid>) -> Self {
        let pids: BTreeSet<Pid> = pids.collect();
        let mut cast: Vec<Pid> = pids.iter().copied().collect();
        cast.sort_by_key(|pid| (above(look, *pid, &pids).len(), *pid));
        let inside = report.inside.iter();
        let capacities = inside.filter_map(|i| Some((i.peek.inode, i.peek.capacity_bytes?)));
        Self {
            look,
            cast,
            channels: Vec::new(),
            chain: Vec::new(),
            threads: BTreeMap::new(),
            capacities: capacities.collect(),
        }
    }

    /// Whether nobody in the chain was started by one who stands after him.
    fn is_in_order(&self) -> bool {
        self.chain.iter().enumerate().all(|(at, pid)| {
            let after = self.chain.iter().skip(at + 1).copied().collect();
            above(self.look, *pid, &after).is_empty()
        })
    }

    fn add_channels(&mut self, channel: Option<&Channel>) {
        if let Some(key) = channel.and_then(Key::of) {
            self.add_channel(key);
        }
    }

    fn add_channel(&mut self, key: Key) {
        if !self.channels.contains(&key) {
            self.channels.push(key);
        }
    }

    fn process(&self, pid: Pid) -> Result<&'a Process, CannotAct> {
        self.look
            .process(pid)
            .ok_or_else(|| CannotAct::new(format!("process {pid} is not in the look")))
    }

    fn add_member(&mut self, member: &Member) -> Result<(), CannotAct> {
        let pid = member.task.pid;
        if let Some(sleep) = self.sleep_of(member)? {
            self.add_thread(pid, sleep);
        }
        Ok(())
    }

    fn add_thread(&mut self, pid: Pid, sleep: Sleep) {
        let threads = self.threads.entry(pid).or_default();
        if !threads.contains(&sleep) {
            threads.push(sleep);
        }
    }

    /// What a member of a deadlock sleeps in; nothing of a thread beside the first that waits for others of its own process.
    fn sleep_of(&self, member: &Member) -> Result<Option<Sleep>, CannotAct> {
        let pid = member.task.pid;
        let children = || -> Result<Vec<usize>, CannotAct> {
            let exits = member
                .awaited
                .iter()
                .filter_map(|awaited| match awaited.what {
                    What::Exit { pid } => Some(pid),
                    _ => None,
                });
            exits.map(|child| self.child(pid, child)).collect()
        };
        let for_signal = || member.awaited.iter().any(|a| a.what == What::ChildSignal);
        let sleep = match &member.wait {
            Wait::Futex { .. } => {
                let mut wakers = member.awaited.iter().flat_map(|a| &a.wakers);
                if wakers.any(|waker| waker.pid != pid) {
                    return Err(CannotAct::new(format!(
                        "process {pid} waits for a futex that another process shares"
                    )));
                }
                // Which thread is the first one says whose the others are: a feeder, or a program's own.
                return Ok((member.task.tid.0 == pid.0).then_some(Sleep::Park {}));
            }
            Wait::Read { fd, .. } => Sleep::Read {
                end: self.end(member, *fd, Side::Reads)?,
            },
            Wait::Write { fd, .. } => Sleep::Write {
                end: self.end(member, *fd, Side::Writes)?,
            },
            Wait::Poll { .. } => Sleep::Poll {
                set: self.watched(member, children()?)?,
            },
            Wait::Epoll { .. } => Sleep::Epoll {
                set: self.watched(member, children()?)?,
            },
            Wait::Child { children: set } => Sleep::Wait {
                child: match (set, children()?.as_slice()) {
                    (ChildSet::Pid(_) | ChildSet::Pidfd(_), [one]) => Some(*one),
                    _ => None,
                },
            },
            Wait::Signal { .. } if for_signal() => Sleep::ChildSignal {},
            Wait::FifoOpen {
                file: Some(file),
                mode,
                ..
            } => Sleep::Open {
                end: End {
                    channel: self.channel(Key::Fifo(*file))?,
                    side: match mode {
                        FifoMode::Read => Side::Reads,
                        FifoMode::Write => Side::Writes,
                    },
                },
            },
            other => return Err(unknown_call(pid, other)),
        };
        if for_signal() && !matches!(sleep, Sleep::ChildSignal {}) {
            return Err(CannotAct::new(format!(
                "process {pid} would be woken by SIGCHLD too, in a call that waits for something else"
            )));
        }
        Ok(Some(sleep))
    }

    fn watched(&self, member: &Member, exits: Vec<usize>) -> Result<Watched, CannotAct> {
        let mut set = Watched {
            exits,
            ..Watched::default()
        };
        for awaited in &member.awaited {
            let What::Change { channel, full } = &awaited.what else {
                continue;
            };
            let (Some(fd), Some(_)) = (awaited.fd, Key::of(channel)) else {
                continue;
            };
            let (side, ends) = match full {
                Full::Yes => (Side::Writes, &mut set.room),
                Full::NotSaid => (Side::Reads, &mut set.data),
            };
            let end = self.end(member, fd, side)?;
            if !ends.contains(&end) {
                ends.push(end);
            }
        }
        if set == Watched::default() {
            return Err(CannotAct::new(format!(
                "process {} polls what only its own threads can change",
                member.task.pid
            )));
        }
        Ok(set)
    }

    /// One member of a chain; `next` is whom it waits for.
    fn add_link(&mut self, member: &ReportMember, next: Option<Pid>) -> Result<(), CannotAct> {
        let pid = member.actor.task.pid;
        let process = self.process(pid)?;
        let found = process
            .tasks
            .iter()
            .find(|t| t.tid == member.actor.task.tid);
        let task = found.ok_or_else(|| CannotAct::new("a thread of it is not in the look"))?;
        let end = |fd: u32, side| self.end_of(process, process.table_of(task).get(fd), side);
        let sleep = match (&task.wait, next, task.state) {
            (_, None, State::Stopped | State::Traced) => Sleep::Stop {},
            (Wait::Sleep { .. }, None, _) => Sleep::Nap {},
            (Wait::Accept { .. }, None, _) => Sleep::Accept {},
            (Wait::Read { fd, .. }, Some(_), _) => Sleep::Read {
                end: end(*fd, Side::Reads)?,
            },
            (Wait::Write { fd, .. }, Some(_), _) => Sleep::Write {
                end: end(*fd, Side::Writes)?,
            },
            (Wait::Child { .. }, Some(next), _) => Sleep::Wait {
                child: Some(self.child(pid, next)?),
            },
            (wait @ (Wait::Poll { .. } | Wait::Epoll { .. }), Some(next), _) => {
                let mut set = Watched::default();
                match (&member.channel, member.fd) {
                    (Some(_), Some(fd)) => set.data.push(end(fd, Side::Reads)?),
                    _ => set.exits.push(self.child(pid, next)?),
                }
                match wait {
                    Wait::Epoll { .. } => Sleep::Epoll { set },
                    _ => Sleep::Poll { set },
                }
            }
            (wait, _, _) => return Err(unknown_call(pid, wait)),
        };
        self.add_thread(pid, sleep);
        Ok(())
    }

    fn child(&self, parent: Pid, child: Pid) -> Result<usize, CannotAct> {
        let is_child = self.process(child)?.ppid == parent;
        let at = self.cast.iter().position(|pid| *pid == child);
        at.filter(|_| is_child).ok_or_else(|| {
            CannotAct::new(format!(
                "process {parent} waits for the exit of {child}, which is no child of it"
            ))
        })
    }

    fn channel(&self, key: Key) -> Result<usize, CannotAct> {
        let at = self.channels.iter().position(|known| *known == key);
        at.ok_or_else(|| CannotAct::new("a channel that nobody waits for"))
    }

    /// The end that a member waits at by one of its descriptors; of one that is open both ways, `side`.
    fn end(&self, member: &Member, fd: u32, side: Side) -> Result<End, CannotAct> {
        let process = self.process(member.task.pid)?;
        let task = process.tasks.iter().find(|t| t.tid == member.task.tid);
        let table = task.map_or(&process.table, |task| process.table_of(task));
        // An epoll set keeps the number that was registered, which may be another file's by now.
        self.end_of(process, table.get(fd), side)
    }

    fn end_of(
        &self,
        process: &Process,
        descriptor: Option<&Descriptor>,
        side: Side,
    ) -> Result<End, CannotAct> {
        let (key, sides) = descriptor.and_then(Key::held).ok_or_else(|| {
            CannotAct::new(format!(
                "process {} waits at a descriptor that is no pipe, FIFO, unix socket or terminal",
                process.pid
            ))
        })?;
        let side = sides.iter().find(|has| **has == side).or(sides.first());
        Ok(End {
            channel: self.channel(key)?,
            side: *side.ok_or_else(|| CannotAct::new("an end that can do nothing"))?,
        })
    }

    /// The ends that a process holds of the channels in question.
    fn holds(&self, process: &Process) -> BTreeSet<End> {
        let held = process.table.known().iter().filter_map(Key::held);
        held.filter_map(|(key, sides)| Some((self.channel(key).ok()?, sides)))
            .flat_map(|(channel, sides)| sides.into_iter().map(move |side| End { channel, side }))
            .collect()
    }

    fn act(self, told: Told) -> Result<Act, CannotAct> {
        let fifos: Vec<String> = (0..self.channels.len())
            .map(|at| format!("fifo{at}"))
            .collect();
        let is_fifo = |at: &usize| matches!(self.channels.get(*at), Some(Key::Fifo(_)));
        let channels = self
            .channels
            .iter()
            .zip(&fifos)
            .map(|(key, path)| match key {
                Key::Pipe(inode) => Medium::Pipe {
                    capacity: self.capacities.get(inode).copied().map(Size),
                },
                Key::Fifo(_) => Medium::Fifo { path: path.into() },
                Key::Socket(..) => Medium::Socket {},
                Key::Pty(_) => Medium::Pty {},
            });
        let knot = Knot {
            channels: channels.collect(),
            processes: self.parts()?,
        };
        let names = (0..fifos.len())
            .filter(is_fifo)
            .filter_map(|at| fifos.get(at).cloned());
        Ok(Act {
            fifos: names.collect(),
            ..act(vec![Op::Knot(knot)], Strategy::Inherit, told)
        })
    }

    /// The processes; where they have no common ancestor among them, one goes before that only waits for them.
    fn parts(&self) -> Result<Vec<Part>, CannotAct> {
        let pids: BTreeSet<Pid> = self.cast.iter().copied().collect();
        let parent = |pid: &Pid| {
            let in_chain = self.chain.iter().position(|other| other == pid);
            let waiter = in_chain
                .and_then(|at| self.chain.get(at.checked_sub(1)?))
                .copied();
            above(self.look, *pid, &pids).first().copied().or(waiter)
        };
        let roots = self.cast.iter().filter(|pid| parent(pid).is_none()).count();
        let host = usize::from(roots > 1);
        let shift = |at: usize| at + host;
        let mut parts = Vec::new();
        if host == 1 {
            parts.push(Part {
                name: None,
                parent: None,
                holds: Vec::new(),
                threads: vec![Sleep::Wait { child: None }],
            });
        }
        for pid in &self.cast {
            let process = self.process(*pid)?;
            let place = parent(pid).and_then(|above| self.cast.iter().position(|p| *p == above));
            let mut threads = self.threads.get(pid).cloned().unwrap_or_default();
            if threads.is_empty() {
                threads.push(Sleep::Park {});
            }
            threads.iter_mut().for_each(|sleep| renumber(sleep, &shift));
            parts.push(Part {
                name: plain_name(process),
                parent: place.map(shift).or((host == 1).then_some(0)),
                holds: self.holds(process).into_iter().collect(),
                threads,
            });
        }
        Ok(parts)
    }
}

fn renumber(sleep: &mut Sleep, shift: &impl Fn(usize) -> usize) {
    match sleep {
        Sleep::Wait { child: Some(child) } => *child = shift(*child),
        Sleep::Poll { set } | Sleep::Epoll { set } => {
            set.exits.iter_mut().for_each(|exit| *exit = shift(*exit));
        }
        _ => {}
    }
}

/// Those of `among` above `pid`, the nearest first.
fn above(look: &Snapshot, pid: Pid, among: &BTreeSet<Pid>) -> Vec<Pid> {
    let up = |process: &&Process| look.process(process.ppid);
    std::iter::successors(look.process(pid), up)
        .skip(1)
        .take(look.processes.len())
        .map(|process| process.pid)
        .filter(|pid| among.contains(pid))
        .collect()
}

/// A name decides about some classes (who is a filter, who a build tool); one that is not plain decides about none.
fn plain_name(process: &Process) -> Option<String> {
    let name = process.comm.escaped();
    let is_plain = (1..=15).contains(&name.len()) && name.bytes().all(|b| b.is_ascii_graphic());
    is_plain.then_some(name)
}

fn unknown_call(pid: Pid, wait: &Wait) -> CannotAct {
    let call = match wait {
        Wait::Transfer { call, .. } | Wait::Other { call } => call.as_str(),
        Wait::IoUring { .. } => "io_uring_enter",
        Wait::Vfork => "vfork",
        Wait::Lock { .. } => "a wait for a file lock",
        Wait::Connect { .. } => "connect",
        Wait::Signal { .. } => "a wait for a signal",
        Wait::FifoOpen { .. } => "an open of a FIFO that is not known",
        Wait::Sleep { .. } => "a sleep",
        Wait::Futex { .. } => "a futex",
        Wait::Running => "no call: it runs",
        _ => "a call that could not be told",
    };
    CannotAct::new(format!(
        "process {pid} is in {call}, which chatty has no part for"
    ))
}
