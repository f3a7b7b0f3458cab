//! Leaks: an end of file that never comes, because somebody keeps the write end who was never meant to.

use std::collections::{BTreeMap, BTreeSet};

use crate::analysis::Analysis;
use crate::awaited::{BreakKind, What};
use crate::channel::{Channel, End};
use crate::class::Class;
use crate::descriptor::Object;
use crate::snapshot::{Pid, Process, Snapshot, State, Task};
use crate::stall;
use crate::wait::{Timeout, Wait};
use crate::waiting::Waiting;
use crate::world::{TaskId, has_exited};

/// A reader that waits for an end of file, and who keeps it from coming.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Leak {
    pub(crate) reader: TaskId,
    /// Who waits for the reader to exit, and for those who do: the one who was asked about first.
    pub(crate) behind: Vec<TaskId>,
    /// Who made the pipe, as far as the numbers tell: the reader, or the program that gave it the end to read.
    pub(crate) maker: Pid,
    pub(crate) manner: Manner,
    pub(crate) channel: Channel,
    pub(crate) fd: Option<u32>,
    /// The holders, with the numbers they hold it under.
    pub(crate) holders: BTreeMap<Pid, BTreeSet<u32>>,
    pub(crate) class: Class,
}

/// How a reader waits for the end of file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Manner {
    /// Without a timeout.
    ForGood,
    /// With one, after which it went back to the same wait for as long as anybody looked, while no holder moved.
    AgainAndAgain,
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

/// The leak that a process hangs on: one of its own, or those of the children whose exit is all that it waits for.
pub(crate) fn of(analysis: &Analysis<'_>, looks: &[Snapshot], target: Pid) -> Option<Leak> {
    of_or_behind(analysis, looks, target, &mut BTreeSet::new())
}

/// The leak that a reader in this very process hangs on.
pub(crate) fn own(analysis: &Analysis<'_>, looks: &[Snapshot], pid: Pid) -> Option<Leak> {
    analysis
        .of_process(pid)
        .find_map(|waiting| find(analysis, looks, waiting))
}

/// `seen` bounds it: two processes can wait for each other's exit, by pidfds.
fn of_or_behind(
    analysis: &Analysis<'_>,
    looks: &[Snapshot],
    target: Pid,
    seen: &mut BTreeSet<Pid>,
) -> Option<Leak> {
    if !seen.insert(target) {
        return None;
    }
    own(analysis, looks, target).or_else(|| behind(analysis, looks, target, seen))
}

/// The leak behind a wait for children: every one of them must hang on one, since any that exits ends the wait.
fn behind(
    analysis: &Analysis<'_>,
    looks: &[Snapshot],
    target: Pid,
    seen: &mut BTreeSet<Pid>,
) -> Option<Leak> {
    let threads = || {
        let all = analysis.of_process(target);
        all.filter(|waiting| waiting.helper_of.is_none())
    };
    if threads().any(|waiting| !waiting.breaks.is_empty()) {
        return None;
    }
    let waiter = threads().find(|waiting| awaits_exits_alone(waiting))?;
    let children: BTreeSet<Pid> = waiter.wakers().iter().map(|waker| waker.pid).collect();
    let leaks: Option<Vec<Leak>> = children
        .into_iter()
        .map(|child| of_or_behind(analysis, looks, child, seen))
        .collect();
    let mut leak = leaks?.into_iter().next()?;
    leak.behind.insert(0, waiter.task);
    Some(leak)
}

fn awaits_exits_alone(waiting: &Waiting) -> bool {
    let is_exit = |what: &What| matches!(what, What::Exit { .. } | What::ChildSignal);
    !waiting.awaited.is_empty() && waiting.awaited.iter().all(|a| is_exit(&a.what))
}

/// The leak that `waiting` hangs on, if all that it waits for is an end of file that leaked ends withhold.
fn find(analysis: &Analysis<'_>, looks: &[Snapshot], waiting: &Waiting) -> Option<Leak> {
    let excused = [BreakKind::External, BreakKind::Stopped, BreakKind::Unknown];
    if waiting.is_broken_by(&excused) {
        return None;
    }
    let (process, task) = analysis.world.task(waiting.task)?;
    let mut leak: Option<Leak> = None;
    for awaited in &waiting.awaited {
        let channel = match &awaited.what {
            What::Data { channel } | What::Change { channel, .. } => channel,
            // A wake-up by a child is no way out once only leaked ends are left.
            What::ChildSignal => continue,
            // Nor is its reaping by another thread.
            What::Exit { .. } if awaited.wakers.iter().all(|w| w.pid == process.pid) => continue,
            // A ring with nothing registered waits for the other descriptors of its process, which are in the list.
            What::Completion if awaited.wakers.is_empty() => continue,
            _ => return None,
        };
        if matches!(channel, Channel::Eventfd { .. }) {
            continue;
        }
        let fd = awaited.fd?;
        let read_end = read_end(channel)?;
        let reads = |pid: Pid| {
            analysis
                .world
                .holding_processes(read_end)
                .contains_key(&pid)
        };
        // The other side of a terminal that sees no end of what is typed.
        if !reads(process.pid) {
            return None;
        }
        let holders = analysis.world.holding_processes(write_end(channel)?);
        // A process's own self-pipe brings no end of file, and is not meant to.
        if holders.keys().all(|pid| *pid == process.pid) {
            continue;
        }
        let maker = maker(analysis, process, read_end, fd);
        let kinds: Vec<Holding> = holders
            .iter()
            .map(|(pid, fds)| holding(analysis, process, maker, *pid, fds))
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
            behind: Vec::new(),
            maker: maker.map_or(process.pid, |maker| maker.pid),
            manner: Manner::ForGood,
            channel: channel.clone(),
            fd: Some(fd),
            holders,
            class,
        });
    }
    let leak = leak?;
    if !waiting.is_broken_by(&[BreakKind::Live, BreakKind::Timer]) {
        return Some(leak);
    }
    let is_leak = leak.class == Class::GrandchildHolds
        && only_its_own_timeout_wakes(analysis, waiting, process, task)
        && comes_back(looks, process, task)
        && leak.holders.keys().all(|pid| slept(looks, *pid));
    is_leak.then_some(Leak {
        manner: Manner::AgainAndAgain,
        ..leak
    })
}

/// Whether nothing keeps the wait from lasting but the timeout that it was given, and that it may have run by it.
fn only_its_own_timeout_wakes(
    analysis: &Analysis<'_>,
    waiting: &Waiting,
    process: &Process,
    task: &Task,
) -> bool {
    let reasons = |kind| waiting.breaks.iter().filter(|b| b.kind == kind).count();
    let ran = usize::from(!analysis.world.is_unmoved(process, task));
    // An alarm, or a timer of the process, would be a second reason; a signal to handle too.
    reasons(BreakKind::Timer) == 1 && reasons(BreakKind::Live) == ran
}

/// Whether the task was met, often and for long enough, in the wait with a timeout that it is in now, and otherwise only on its way from
/// one to the next.
fn comes_back(looks: &[Snapshot], process: &Process, task: &Task) -> bool {
    let Some(watched_now) = watched(process, task) else {
        return false;
    };
    let mut met = Vec::with_capacity(looks.len());
    for look in looks {
        let then = look
            .process(process.pid)
            .filter(|then| then.start_ticks == process.start_ticks)
            .and_then(|then| Some((then, then.tasks.iter().find(|t| t.tid == task.tid)?)));
        match then {
            Some((_, task)) if task.state == State::Running => {}
            Some((process, task)) if watched(process, task).as_ref() == Some(&watched_now) => {
                met.push(look);
            }
            _ => return false,
        }
    }
    stall::is_window(met)
}

/// What a task that sleeps in a wait with a timeout watches; nothing if it does not.
fn watched<'a>(process: &'a Process, task: &'a Task) -> Option<Vec<(u32, &'a Object)>> {
    if task.state != State::Sleeping {
        return None;
    }
    let (numbers, timeout): (Vec<u32>, _) = match &task.wait {
        Wait::Poll {
            set: Some(set),
            timeout,
            ..
        } => (set.iter().map(|entry| entry.fd).collect(), timeout),
        Wait::Epoll { fd, timeout } => (vec![*fd], timeout),
        _ => return None,
    };
    if *timeout == Timeout::Never {
        return None;
    }
    let table = process.table_of(task);
    let object = |fd: u32| Some((fd, &table.get(fd)?.object));
    numbers.into_iter().map(object).collect()
}

/// Whether no task of a process ran between the first look and the last: then it has written nothing meanwhile.
fn slept(looks: &[Snapshot], pid: Pid) -> bool {
    let process = looks.last().and_then(|look| look.process(pid));
    process.is_some_and(|process| {
        process.tasks.iter().all(|task| {
            let id = TaskId { pid, tid: task.tid };
            stall::never_moved(looks, id)
        })
    })
}

fn write_end(channel: &Channel) -> Option<End> {
    match channel {
        Channel::Pipe { inode } => Some(End::PipeWrite(*inode)),
        // A socket's other side is closed by its last holder too, and so is a terminal's: its master reads EIO then.
        Channel::Socket { peer, .. } => Some(End::Socket(*peer)),
        Channel::Pty { index, devpts } => Some(End::PtySlave(*index, *devpts)),
        Channel::Fifo { .. } | Channel::Eventfd { .. } => None,
    }
}

fn read_end(channel: &Channel) -> Option<End> {
    match channel {
        Channel::Pipe { inode } => Some(End::PipeRead(*inode)),
        Channel::Socket { inode, .. } => Some(End::Socket(*inode)),
        Channel::Pty { index, devpts } => Some(End::PtyMaster(*index, *devpts)),
        Channel::Fifo { .. } | Channel::Eventfd { .. } => None,
    }
}

/// Who made the pipe: whoever has its read end on a number beyond the standard streams, since no program is given it there. A reader on
/// a standard stream was given it, by the first of its ancestors who still has it on such numbers alone (`coproc` and `cat <&$from`).
fn maker<'a>(
    analysis: &'a Analysis<'_>,
    reader: &'a Process,
    read_end: End,
    fd: u32,
) -> Option<&'a Process> {
    if fd > 2 {
        return Some(reader);
    }
    let world = &analysis.world;
    let holders = world.holding_processes(read_end);
    let beyond_stdio = |fds: &BTreeSet<u32>| fds.iter().all(|fd| *fd > 2);
    let mut above = world.ancestors(reader.pid).into_iter();
    above
        .rfind(|pid| holders.get(pid).is_some_and(beyond_stdio))
        .and_then(|pid| world.process(pid))
}

fn holding(
    analysis: &Analysis<'_>,
    reader: &Process,
    maker: Option<&Process>,
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
    let head = maker.unwrap_or(reader);
    if world.is_descendant(holder, head.pid) {
        let parent = world.process(process.ppid);
        let parent_gone = parent.is_none_or(has_exited);
        return if parent_gone {
            Holding::Orphan
        } else {
            inherited
        };
    }
    // Who made the pipe gave its write end to children of its own: a holder that started later and is none of them was adopted
    // by another when its parent went.
    let started_later = process.start_ticks >= head.start_ticks;
    let adopted_by_init = process.ppid.0 <= 1 && reader.ppid.0 > 1;
    if adopted_by_init || (maker.is_some() && started_later) {
        Holding::Orphan
    } else {
        inherited
    }
}
