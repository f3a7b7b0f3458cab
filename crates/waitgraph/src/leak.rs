//! Leaks: an end of file that never comes, because somebody keeps the write end who was never meant to.

use std::collections::{BTreeMap, BTreeSet};

use crate::analysis::Analysis;
use crate::awaited::{BreakKind, What};
use crate::channel::{Channel, End};
use crate::class::Class;
use crate::snapshot::{Pid, Process};
use crate::waiting::Waiting;
use crate::world::{TaskId, has_exited};

/// A reader that waits for an end of file, and who keeps it from coming.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Leak {
    pub(crate) reader: TaskId,
    pub(crate) channel: Channel,
    pub(crate) fd: Option<u32>,
    /// The holders, with the numbers they hold it under.
    pub(crate) holders: BTreeMap<Pid, BTreeSet<u32>>,
    pub(crate) class: Class,
}

/// How a process came to hold a write end, as far as its family and the number tell.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Holding {
    /// It is meant to: a child with it on a standard stream, a fork without exec, whoever made the pipe.
    OnPurpose,
    /// Its parent, which was given the end, has gone.
    Orphan,
    /// Another program has it at a number that no program is given on purpose.
    Inherited,
}

/// The leak that `waiting` hangs on, if all that it waits for is an end of file that leaked ends withhold.
pub(crate) fn find(analysis: &Analysis<'_>, waiting: &Waiting) -> Option<Leak> {
    let excused = [
        BreakKind::Live,
        BreakKind::Timer,
        BreakKind::External,
        BreakKind::Stopped,
        BreakKind::Unknown,
    ];
    if waiting.is_broken_by(&excused) {
        return None;
    }
    let (process, _) = analysis.world.task(waiting.task)?;
    let mut leak: Option<Leak> = None;
    for awaited in &waiting.awaited {
        let channel = match &awaited.what {
            What::Data { channel } | What::Change { channel, .. } => channel,
            // A wake-up by a child is no way out once only leaked ends are left.
            What::ChildSignal => continue,
            // A ring with nothing registered waits for the other descriptors of its process, which are in the list.
            What::Completion if awaited.wakers.is_empty() => continue,
            _ => return None,
        };
        if matches!(channel, Channel::Eventfd { .. }) {
            continue;
        }
        let fd = awaited.fd?;
        let holders = analysis.world.holding_processes(write_end(channel)?);
        // A process's own self-pipe brings no end of file, and is not meant to.
        if holders.keys().all(|pid| *pid == process.pid) {
            continue;
        }
        let kinds: Vec<Holding> = holders
            .iter()
            .map(|(pid, fds)| holding(analysis, process, fd, *pid, fds))
            .collect();
        if kinds.is_empty() || kinds.contains(&Holding::OnPurpose) {
            return None;
        }
        let class = if kinds.contains(&Holding::Orphan) {
            Class::GrandchildHolds
        } else {
            Class::LeakedToSibling
        };
        leak.get_or_insert(Leak {
            reader: waiting.task,
            channel: channel.clone(),
            fd: Some(fd),
            holders,
            class,
        });
    }
    leak
}

fn write_end(channel: &Channel) -> Option<End> {
    match channel {
        Channel::Pipe { inode } => Some(End::PipeWrite(*inode)),
        // A socket's other side is closed by its last holder too.
        Channel::Socket { peer, .. } => Some(End::Socket(*peer)),
        Channel::Fifo { .. } | Channel::Pty { .. } | Channel::Eventfd { .. } => None,
    }
}

fn holding(
    analysis: &Analysis<'_>,
    reader: &Process,
    fd: u32,
    holder: Pid,
    fds: &BTreeSet<u32>,
) -> Holding {
    let world = &analysis.world;
    let Some(process) = world.process(holder) else {
        return Holding::OnPurpose;
    };
    let same_program = process.exe.is_none() || process.exe == reader.exe;
    let beyond_stdio = fds.iter().all(|fd| *fd > 2);
    let forked = same_program && beyond_stdio;
    if holder == reader.pid || forked || world.ancestors(reader.pid).contains(&holder) {
        return Holding::OnPurpose;
    }
    let inherited = if beyond_stdio {
        Holding::Inherited
    } else {
        Holding::OnPurpose
    };
    if world.is_descendant(holder, reader.pid) {
        let parent = world.process(process.ppid);
        let parent_gone = parent.is_none_or(has_exited);
        return if parent_gone {
            Holding::Orphan
        } else {
            inherited
        };
    }
    // Whoever reads on a number beyond the standard streams made the pipe itself, and gave its write end to children
    // of its own: a holder that started later and is none of them was adopted by another when its parent went.
    let reader_made_it = fd > 2;
    let started_later = process.start_ticks >= reader.start_ticks;
    let adopted_by_init = process.ppid.0 <= 1 && reader.ppid.0 > 1;
    if adopted_by_init || (reader_made_it && started_later) {
        Holding::Orphan
    } else {
        inherited
    }
}
