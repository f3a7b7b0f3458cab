//! Stalls: a writer that waits for room, and readers that live and, for as long as anybody looked, did not read.

use crate::analysis::Analysis;
use crate::channel::Channel;
use crate::class::Class;
use crate::snapshot::{Pid, Snapshot, State, Task};
use crate::wait::{Syscall, Timeout, Wait};
use crate::world::TaskId;

/// Looks that a stall takes at least: two prove nothing about what happens between them.
pub(crate) const MIN_LOOKS: usize = 3;
/// How long the looks must span at least, in milliseconds: a reader may well be busy for less.
pub(crate) const MIN_WINDOW_MS: u64 = 1_000;

/// A writer and the reader that does not read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Stall {
    pub(crate) writer: TaskId,
    pub(crate) reader: TaskId,
    pub(crate) channel: Channel,
    pub(crate) class: Class,
}

/// The stall at the channel that `writer` waits to write to, if over all `looks` it did not move, and no thread of any
/// reader was seen to read or to watch that channel.
pub(crate) fn find(analysis: &Analysis<'_>, looks: &[Snapshot], writer: TaskId) -> Option<Stall> {
    if !is_window(looks) || !never_moved(looks, writer) {
        return None;
    }
    let waiting = analysis.waiting(writer)?;
    let awaited = waiting.awaited.iter().find(|a| a.what.shows_full())?;
    let channel = awaited.what.channel()?.clone();
    let readers: Vec<Pid> = {
        let mut pids: Vec<Pid> = awaited
            .wakers
            .iter()
            .map(|t| t.pid)
            .filter(|p| *p != writer.pid)
            .collect();
        pids.dedup();
        pids
    };
    let reader = *readers.first()?;
    if readers
        .iter()
        .any(|r| looks.iter().any(|look| attends(look, *r, &channel)))
    {
        return None;
    }
    let seen: Vec<&Task> = looks
        .iter()
        .filter_map(|l| l.process(reader))
        .flat_map(|p| &p.tasks)
        .collect();
    // A reader that is no relative is a sink: a log's reader, a journal.
    let is_relative = analysis.world.is_descendant(writer.pid, reader);
    let class = if is_relative {
        class_of(&seen)
    } else {
        Class::SinkStalled
    };
    let task = culprit(looks, reader)?;
    Some(Stall {
        writer,
        reader: task,
        channel,
        class,
    })
}

/// Whether the looks are as many, and span as long, as it takes to say that something did not happen in between.
pub(crate) fn is_window<'a>(looks: impl IntoIterator<Item = &'a Snapshot>) -> bool {
    let times: Vec<u64> = looks.into_iter().map(|look| look.scan.at_ms).collect();
    let (Some(first), Some(last)) = (times.first(), times.last()) else {
        return false;
    };
    times.len() >= MIN_LOOKS && last.saturating_sub(*first) >= MIN_WINDOW_MS
}

/// Whether a task sat in the same call at every look, and did not run in between.
pub(crate) fn never_moved(looks: &[Snapshot], id: TaskId) -> bool {
    let counts = |look: &Snapshot| {
        let task = look
            .process(id.pid)?
            .tasks
            .iter()
            .find(|t| t.tid == id.tid)?;
        (task.state == State::Sleeping).then_some(())?;
        Some((
            task.syscall.clone(),
            task.switches_voluntary?,
            task.switches_involuntary?,
        ))
    };
    let first = looks.first().and_then(counts);
    first.is_some() && looks.iter().all(|look| counts(look) == first)
}

/// Whether a thread of `reader` reads the channel, watches it, or does something that cannot be told from that.
fn attends(look: &Snapshot, reader: Pid, channel: &Channel) -> bool {
    let Some(process) = look.process(reader) else {
        return false;
    };
    process.tasks.iter().any(|task| {
        let table = process.table_of(task);
        let is_it = |fd: u32| {
            table
                .get(fd)
                .is_some_and(|d| is_channel(&d.object, channel))
        };
        match &task.wait {
            Wait::Read { fd, .. } | Wait::Transfer { from: fd, .. } => is_it(*fd),
            Wait::Poll { set: Some(set), .. } => {
                set.iter().any(|e| e.events.reads() && is_it(e.fd))
            }
            Wait::Epoll { fd, .. } => epoll_has(table, *fd, channel),
            // Running threads do not read what stays full, but one may be about to; the looks are many.
            Wait::Running => false,
            Wait::Poll { set: None, .. } | Wait::IoUring { .. } | Wait::Unknown => {
                !matches!(task.syscall, Syscall::Running)
            }
            _ => false,
        }
    })
}

fn epoll_has(table: &crate::descriptor::Table, epoll: u32, channel: &Channel) -> bool {
    use crate::descriptor::Object;
    let Some(Object::Epoll { targets }) = table.get(epoll).map(|d| &d.object) else {
        return true;
    };
    targets.iter().filter(|t| t.events.reads()).any(|t| {
        let same = |d: &&crate::descriptor::Descriptor| d.id == Some(t.file);
        table
            .known()
            .iter()
            .filter(same)
            .any(|d| is_channel(&d.object, channel))
    })
}

fn is_channel(object: &crate::descriptor::Object, channel: &Channel) -> bool {
    use crate::descriptor::Object;
    match (object, channel) {
        (Object::Pipe { inode }, Channel::Pipe { inode: i }) => inode == i,
        (Object::Fifo { file, .. }, Channel::Fifo { file: f, .. }) => file == f,
        (Object::UnixSocket { inode, .. }, Channel::Socket { inode: a, peer: b }) => {
            inode == a || inode == b
        }
        (Object::PtyMaster { index, .. }, Channel::Pty { index: i, .. }) => index == i,
        _ => false,
    }
}

/// A parent that only ever sleeps for a while asks for its child again and again, whatever it was at where it was met awake; an event
/// loop has dropped the descriptor.
fn class_of(seen: &[&Task]) -> Class {
    let naps = |t: &Task| match &t.wait {
        Wait::Sleep { .. } | Wait::Running => true,
        Wait::Poll {
            set: Some(set),
            timeout,
            ..
        } => set.is_empty() && *timeout != Timeout::Never,
        Wait::Futex { timeout, .. } => *timeout != Timeout::Never,
        Wait::Child { .. } | Wait::Signal { .. } => true,
        _ => false,
    };
    if seen.iter().any(|t| matches!(t.wait, Wait::Epoll { .. })) {
        Class::BackPressureForgotten
    } else if seen.iter().all(|t| t.state != State::Sleeping || naps(t)) {
        Class::PollingWaiter
    } else {
        Class::UnreadStream
    }
}

fn culprit(looks: &[Snapshot], reader: Pid) -> Option<TaskId> {
    let process = looks.last()?.process(reader)?;
    process.leader().map(|t| TaskId {
        pid: process.pid,
        tid: t.tid,
    })
}
