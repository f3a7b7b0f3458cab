//! Which class a deadlock is of, and who must change: read off the waits of its members.

use std::collections::BTreeSet;

use crate::analysis::Analysis;
use crate::awaited::{Awaited, Full, What};
use crate::channel::{Channel, End};
use crate::class::Class;
use crate::graph::Graph;
use crate::snapshot::{Pid, Process};
use crate::wait::Wait;
use crate::world::TaskId;

/// What a deadlock is, and whose doing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Classified {
    pub(crate) class: Option<Class>,
    pub(crate) culprit: TaskId,
    /// The channel that the culprit must read, close or write.
    pub(crate) channel: Option<Channel>,
    /// Whose unread bytes or missing input it is.
    pub(crate) victim: Option<TaskId>,
}

/// Classifies the deadlock of `members`, whose story `cycle` tells.
pub(crate) fn classify(
    analysis: &Analysis<'_>,
    graph: &Graph,
    members: &BTreeSet<TaskId>,
    cycle: &[TaskId],
) -> Classified {
    let scene = Scene {
        analysis,
        graph,
        members,
        cycle,
    };
    // The class is that of the loop that is told; a full channel that only hangs on it comes last.
    scene
        .full_channel(cycle.iter().copied())
        .or_else(|| scene.fifo_order())
        .or_else(|| scene.fork_lock())
        .or_else(|| scene.empty_channel())
        .or_else(|| scene.full_channel(scene.in_order()))
        .unwrap_or_else(|| Classified {
            class: None,
            culprit: scene
                .sleeps_on_itself()
                .or_else(|| cycle.first().copied())
                .unwrap_or_else(|| scene.first_member()),
            channel: None,
            victim: None,
        })
}

/// The class of a loop by itself, whatever else hangs on it or on which it hangs.
pub(crate) fn class_of_loop(
    analysis: &Analysis<'_>,
    graph: &Graph,
    cycle: &[TaskId],
) -> Option<Class> {
    let scene = Scene {
        analysis,
        graph,
        members: &cycle.iter().copied().collect(),
        cycle,
    };
    let found = scene
        .full_channel(cycle.iter().copied())
        .or_else(|| scene.empty_channel());
    found?.class
}

struct Scene<'a> {
    analysis: &'a Analysis<'a>,
    graph: &'a Graph,
    members: &'a BTreeSet<TaskId>,
    cycle: &'a [TaskId],
}

impl Scene<'_> {
    fn first_member(&self) -> TaskId {
        self.members.first().copied().unwrap_or(TaskId {
            pid: Pid(0),
            tid: crate::snapshot::Tid(0),
        })
    }

    /// Who waits for a lock that his own process alone could release, and for nothing else: nobody of the others can help him.
    fn sleeps_on_itself(&self) -> Option<TaskId> {
        let own = |t: &TaskId| self.awaited(*t).all(|a| a.what == What::Futex);
        let alone = |t: &TaskId| {
            let mut threads = self.members.iter().filter(|other| other.pid == t.pid);
            threads.all(own)
        };
        self.in_order().find(alone)
    }

    /// Members, those of the story first.
    fn in_order(&self) -> impl Iterator<Item = TaskId> {
        let rest = self.members.iter().filter(|t| !self.cycle.contains(t));
        self.cycle.iter().chain(rest).copied()
    }

    /// Whom `id` waits for in the loop that is told.
    fn next(&self, id: TaskId) -> Option<TaskId> {
        let at = self.cycle.iter().position(|t| *t == id)?;
        self.cycle.get(at + 1).or(self.cycle.first()).copied()
    }

    fn wait(&self, id: TaskId) -> Option<&Wait> {
        self.analysis.world.task(id).map(|(_, t)| &t.wait)
    }

    fn process(&self, pid: Pid) -> Option<&Process> {
        self.analysis.world.process(pid)
    }

    fn awaited(&self, id: TaskId) -> impl Iterator<Item = &Awaited> {
        self.analysis
            .waiting(id)
            .into_iter()
            .flat_map(|w| w.awaited.iter())
    }

    /// Who, other than the waiter, could end a wait: first one in the story, then an ancestor, then any.
    fn answerer(&self, of: TaskId, wakers: &BTreeSet<TaskId>) -> Option<Pid> {
        let others = || wakers.iter().map(|t| t.pid).filter(|p| *p != of.pid);
        let above = self.analysis.world.ancestors(of.pid);
        others()
            .find(|p| self.cycle.iter().any(|t| t.pid == *p))
            .or_else(|| others().find(|p| above.contains(p)))
            .or_else(|| others().next())
    }

    /// The class of a deadlock in which one of `tasks` waits for room.
    fn full_channel(&self, tasks: impl Iterator<Item = TaskId>) -> Option<Classified> {
        let full: Vec<(TaskId, What, BTreeSet<TaskId>)> = tasks
            .filter_map(|id| {
                let full = || self.awaited(id).filter(|a| a.what.shows_full());
                let toward_next =
                    |a: &&Awaited| self.next(id).is_some_and(|n| a.wakers.contains(&n));
                let found = full().find(toward_next).or_else(|| full().next())?;
                Some((id, found.what.clone(), found.wakers.clone()))
            })
            .collect();
        // Where both sides write, the one that started the other is the one to change.
        let reader_is_above = |(writer, _, wakers): &&(TaskId, What, BTreeSet<TaskId>)| {
            let reader = self.answerer(*writer, wakers);
            reader.is_some_and(|r| self.analysis.world.is_descendant(writer.pid, r))
        };
        let (writer, what, wakers) = full
            .iter()
            .find(reader_is_above)
            .or_else(|| full.first())?
            .clone();
        let channel = what.channel()?.clone();
        let reader = self.answerer(writer, &wakers).unwrap_or(writer.pid);
        let (class, culprit) = self.how_it_does_not_read(reader, writer, &channel);
        let class = match (&channel, class) {
            (Channel::Pty { .. }, _) => Class::PtyUnread,
            (Channel::Socket { .. }, Class::UnreadStream) => Class::SocketpairFull,
            (_, class) => class,
        };
        Some(Classified {
            class: Some(class),
            culprit,
            channel: Some(channel),
            victim: Some(writer),
        })
    }

    /// What `reader` does instead of reading `channel`: its thread in the story if that says, else any of its threads.
    fn how_it_does_not_read(
        &self,
        reader: Pid,
        writer: TaskId,
        channel: &Channel,
    ) -> (Class, TaskId) {
        let is_told = |t: &TaskId| self.cycle.contains(t) && *t != writer;
        let threads: Vec<TaskId> = self.in_order().filter(|t| t.pid == reader).collect();
        let told: Vec<TaskId> = threads.iter().copied().filter(is_told).collect();
        let fallback = threads.first().copied().unwrap_or(writer);
        self.how_they_do_not_read(&told, writer, channel)
            .or_else(|| self.how_they_do_not_read(&threads, writer, channel))
            .unwrap_or((Class::UnreadStream, fallback))
    }

    /// The same of these threads alone, the telling ones first.
    fn how_they_do_not_read(
        &self,
        threads: &[TaskId],
        writer: TaskId,
        channel: &Channel,
    ) -> Option<(Class, TaskId)> {
        let thread = |is: &dyn Fn(&Wait) -> bool| {
            threads
                .iter()
                .copied()
                .find(|t| self.wait(*t).is_some_and(is))
        };
        if let Some(t) = thread(&|w| matches!(w, Wait::Read { .. })) {
            return Some((self.reads_another(t, writer), t));
        }
        if let Some(t) = thread(&|w| matches!(w, Wait::Write { .. })) {
            return Some((self.writes_meanwhile(t, writer), t));
        }
        let polls = threads
            .iter()
            .find_map(|t| Some((*t, self.polls_others_for(*t)?)));
        match polls {
            Some((t, Full::NotSaid)) => return Some((Class::UnreadStream, t)),
            Some((t, Full::Yes)) => return Some((self.writes_meanwhile(t, writer), t)),
            None => {}
        }
        if let Some(t) =
            thread(&|w| matches!(w, Wait::Child { .. } | Wait::Signal { .. } | Wait::Vfork))
        {
            return Some((self.waits_for_exit(t, writer, channel), t));
        }
        if let Some(t) = thread(&|w| matches!(w, Wait::Epoll { .. } | Wait::IoUring { .. })) {
            return Some((Class::BackPressureForgotten, t));
        }
        let awaits_exit = |t: &TaskId| {
            self.awaited(*t)
                .any(|a| matches!(a.what, What::Exit { .. } | What::ChildSignal))
        };
        let waiter = threads.iter().copied().find(awaits_exit);
        waiter.map(|t| (Class::WaitThenRead, t))
    }

    /// What a poll set of channels to others asks of them: room, if it asks for nothing else. A process's own self-pipe
    /// or eventfd is no such channel.
    fn polls_others_for(&self, task: TaskId) -> Option<Full> {
        if !matches!(self.wait(task), Some(Wait::Poll { .. })) {
            return None;
        }
        let asked: Vec<Full> = self
            .awaited(task)
            .filter(|a| a.wakers.iter().any(|w| w.pid != task.pid))
            .filter_map(|a| match a.what {
                What::Change { full, .. } => Some(full),
                _ => None,
            })
            .collect();
        let only_room = asked.iter().all(|full| *full == Full::Yes);
        let asks = if only_room { Full::Yes } else { Full::NotSaid };
        (!asked.is_empty()).then_some(asks)
    }

    fn reads_another(&self, reader: TaskId, writer: TaskId) -> Class {
        // The child that was started may well be a shell, and the writer its own child.
        let same = |w: &TaskId| {
            w.pid == writer.pid || self.analysis.world.is_descendant(writer.pid, w.pid)
        };
        let from_same = self.awaited(reader).any(|a| a.wakers.iter().any(same));
        if from_same {
            Class::SequentialRead
        } else {
            Class::Diamond
        }
    }

    fn writes_meanwhile(&self, reader: TaskId, writer: TaskId) -> Class {
        let to_same = self
            .awaited(reader)
            .any(|a| a.wakers.iter().any(|w| w.pid == writer.pid));
        let by_way_of_others = self.graph.reach(reader).contains(&writer);
        if to_same || by_way_of_others {
            Class::WriteAllThenRead
        } else {
            Class::UnreadStream
        }
    }

    fn waits_for_exit(&self, waiter: TaskId, writer: TaskId, channel: &Channel) -> Class {
        let is_leader = writer.tid.0 == writer.pid.0;
        let holds_both = match channel {
            Channel::Pipe { inode } => self
                .analysis
                .world
                .holding_processes(End::PipeRead(*inode))
                .contains_key(&writer.pid),
            _ => false,
        };
        let awaited: BTreeSet<Pid> = self
            .awaited(waiter)
            .flat_map(|a| a.wakers.iter().map(|w| w.pid))
            .collect();
        let concerns_writer = awaited.contains(&writer.pid)
            || self
                .analysis
                .world
                .ancestors(writer.pid)
                .iter()
                .any(|a| awaited.contains(a));
        match (concerns_writer, is_leader, holds_both) {
            (true, false, true) => Class::QueueFeeder,
            (true, _, _) => Class::WaitThenRead,
            (false, _, _) => Class::JoinOrder,
        }
    }

    fn fifo_order(&self) -> Option<Classified> {
        let opener = self
            .in_order()
            .find(|t| matches!(self.wait(*t), Some(Wait::FifoOpen { .. })))?;
        Some(Classified {
            class: Some(Class::FifoOpenOrder),
            culprit: opener,
            channel: None,
            victim: None,
        })
    }

    /// A single thread on a private lock, in a process that runs its parent's program: forked, and not exec'd.
    fn fork_lock(&self) -> Option<Classified> {
        let stuck = self.in_order().find(|t| {
            let Some(process) = self.process(t.pid) else {
                return false;
            };
            let parent = self.process(process.ppid);
            process.tasks.len() == 1
                && matches!(self.wait(*t), Some(Wait::Futex { .. }))
                && parent.is_some_and(|p| p.exe.is_some() && p.exe == process.exe)
                && self.members.iter().any(|m| m.pid == process.ppid)
        })?;
        let parent = self.process(stuck.pid)?.ppid;
        let culprit = self.in_order().find(|t| t.pid == parent)?;
        Some(Classified {
            class: Some(Class::ForkLock),
            culprit,
            channel: None,
            victim: Some(stuck),
        })
    }

    fn empty_channel(&self) -> Option<Classified> {
        let readers = self.in_order().filter_map(|id| {
            let a = self
                .awaited(id)
                .find(|a| matches!(a.what, What::Data { .. } | What::Change { .. }))?;
            Some((id, a.what.channel()?.clone(), a.wakers.clone()))
        });
        let readers: Vec<_> = readers
            .filter(|(_, c, _)| !matches!(c, Channel::Eventfd { .. }))
            .collect();
        let class_of = |(reader, channel, wakers): &(TaskId, Channel, BTreeSet<TaskId>)| {
            self.own_or_shared_end(*reader, channel, wakers)
                .or_else(|| self.leaked_end(*reader, channel))
        };
        readers.iter().find_map(class_of).or_else(|| {
            readers
                .iter()
                .find_map(|(reader, _, wakers)| self.no_input(*reader, wakers))
        })
    }

    fn own_or_shared_end(
        &self,
        reader: TaskId,
        channel: &Channel,
        wakers: &BTreeSet<TaskId>,
    ) -> Option<Classified> {
        let (read_end, write_end) = ends(channel)?;
        let holds_both: BTreeSet<Pid> = {
            let writers = self.analysis.world.holding_processes(write_end);
            let readers = self.analysis.world.holding_processes(read_end);
            writers
                .into_keys()
                .filter(|p| readers.contains_key(p))
                .collect()
        };
        let classified = |class| {
            Some(Classified {
                class: Some(class),
                culprit: reader,
                channel: Some(channel.clone()),
                victim: None,
            })
        };
        let builds = |pid: &Pid| {
            let name = self
                .process(*pid)
                .map(|p| p.comm.as_bytes())
                .unwrap_or_default();
            [&b"make"[..], b"gmake", b"cargo", b"rustc", b"ninja"].contains(&name)
        };
        if !holds_both.contains(&reader.pid) {
            None
        } else if holds_both.len() > 1 && holds_both.iter().any(builds) {
            classified(Class::JobserverTokens)
        } else if self.reads_only(reader, channel)
            && !self.is_read_by_one_of(wakers, reader)
            && !self.is_woken_by_threads(reader, wakers)
        {
            classified(Class::OwnWriteEnd)
        } else {
            None
        }
    }

    /// Whether all that `reader` waits for is this channel: an event loop's self-pipe is one of many.
    fn reads_only(&self, reader: TaskId, channel: &Channel) -> bool {
        self.awaited(reader)
            .all(|a| a.what.channel().is_none_or(|c| c == channel))
    }

    /// Whether it polls a pipe for its process's other threads, who wake it by that (Tcl's notifier).
    fn is_woken_by_threads(&self, reader: TaskId, wakers: &BTreeSet<TaskId>) -> bool {
        matches!(
            self.wait(reader),
            Some(Wait::Poll { .. } | Wait::Epoll { .. })
        ) && wakers.iter().any(|w| w.pid == reader.pid && *w != reader)
    }

    /// Whether one of `wakers`, in another process, waits in turn for what `reader` would write: then neither lacks an end
    /// of file.
    fn is_read_by_one_of(&self, wakers: &BTreeSet<TaskId>, reader: TaskId) -> bool {
        wakers.iter().filter(|w| w.pid != reader.pid).any(|w| {
            self.awaited(*w).any(|a| {
                matches!(a.what, What::Data { .. } | What::Change { .. })
                    && a.wakers.iter().any(|r| r.pid == reader.pid)
            })
        })
    }

    /// A sibling of the reader, another program, that holds the write end at a number no program is given on purpose.
    fn leaked_end(&self, reader: TaskId, channel: &Channel) -> Option<Classified> {
        let (_, write_end) = ends(channel)?;
        let me = self.process(reader.pid)?;
        let sibling = |pid: &Pid, fds: &BTreeSet<u32>| {
            self.process(*pid).is_some_and(|p| {
                p.pid != me.pid
                    && p.ppid == me.ppid
                    && p.exe != me.exe
                    && fds.iter().all(|fd| *fd > 2)
            })
        };
        let holders = self.analysis.world.holding_processes(write_end);
        let holder = holders
            .iter()
            .find(|(pid, fds)| sibling(pid, fds))
            .map(|(pid, _)| *pid)?;
        let culprit = self.in_order().find(|t| t.pid == me.ppid).unwrap_or(reader);
        let victim = self.in_order().find(|t| t.pid == holder);
        Some(Classified {
            class: Some(Class::LeakedToSibling),
            culprit,
            channel: Some(channel.clone()),
            victim,
        })
    }

    fn no_input(&self, reader: TaskId, wakers: &BTreeSet<TaskId>) -> Option<Classified> {
        let giver = self.answerer(reader, wakers)?;
        let giver_is_above = self.analysis.world.ancestors(reader.pid).contains(&giver);
        let (child, parent) = if giver_is_above {
            (reader.pid, giver)
        } else {
            (giver, reader.pid)
        };
        let child_task = self.in_order().find(|t| t.pid == child)?;
        let parent_task = self.thread_that_waits_for(parent, child)?;
        let child_reads = self
            .awaited(child_task)
            .any(|a| matches!(a.what, What::Data { .. } | What::Change { .. }));
        if !child_reads {
            return None;
        }
        let parent_reads = self.awaited(parent_task).any(|a| {
            matches!(a.what, What::Data { .. } | What::Change { .. })
                && a.wakers.iter().any(|w| w.pid == child)
        });
        let program = self.process(child).map(program_name).unwrap_or_default();
        let (class, culprit) = if !parent_reads || READ_TO_THE_END.contains(&program.as_str()) {
            (Class::StdinNeverClosed, parent_task)
        } else if BUFFERED.iter().any(|b| program.starts_with(b)) {
            (Class::StdioBufferStandoff, child_task)
        } else {
            (Class::CoprocessStandoff, parent_task)
        };
        let channel = self
            .awaited(child_task)
            .find(|a| a.wakers.iter().any(|w| w.pid == parent))
            .and_then(|a| a.what.channel().cloned());
        let victim = if culprit == parent_task {
            child_task
        } else {
            parent_task
        };
        Some(Classified {
            class: Some(class),
            culprit,
            channel,
            victim: Some(victim),
        })
    }

    /// The thread of `waiter` that waits for `other`, those in a call of the kernel first.
    fn thread_that_waits_for(&self, waiter: Pid, other: Pid) -> Option<TaskId> {
        let threads = || self.in_order().filter(|t| t.pid == waiter);
        let waits = |t: &TaskId| {
            self.awaited(*t)
                .any(|a| a.wakers.iter().any(|w| w.pid == other))
        };
        let in_kernel = |t: &TaskId| !matches!(self.wait(*t), Some(Wait::Futex { .. }));
        threads()
            .find(|t| waits(t) && in_kernel(t))
            .or_else(|| threads().find(waits))
            .or_else(|| threads().next())
    }
}

/// Programs that write nothing before their input ends.
pub(crate) const READ_TO_THE_END: [&str; 12] = [
    "sort",
    "wc",
    "tac",
    "tail",
    "md5sum",
    "sha1sum",
    "sha256sum",
    "sha512sum",
    "b2sum",
    "cksum",
    "gzip",
    "xz",
];

/// Programs that keep what they write in a buffer when it goes to a pipe (or interpreters whose programs do).
pub(crate) const BUFFERED: [&str; 19] = [
    "awk", "gawk", "mawk", "sed", "grep", "cut", "tr", "uniq", "bc", "dc", "jq", "python", "perl",
    "ruby", "php", "lua", "tclsh", "gdb", "R",
];

/// The name of the program, for comparing with lists of well-known ones.
fn program_name(process: &Process) -> String {
    String::from_utf8_lossy(process.comm.as_bytes()).into_owned()
}

fn ends(channel: &Channel) -> Option<(End, End)> {
    match channel {
        Channel::Pipe { inode } => Some((End::PipeRead(*inode), End::PipeWrite(*inode))),
        Channel::Fifo { file, .. } => Some((End::FifoRead(*file), End::FifoWrite(*file))),
        Channel::Socket { .. } | Channel::Pty { .. } | Channel::Eventfd { .. } => None,
    }
}
