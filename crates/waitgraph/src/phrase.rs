//! Names and fragments of sentences: everything that comes from outside goes through the terminal's encoder here.

use std::collections::BTreeSet;

use crate::analysis::Analysis;
use crate::awaited::{Assumption, Awaited, Runtime, What};
use crate::channel::{Channel, Intent, opposite};
use crate::report::Actor;
use crate::snapshot::{Pid, Process, Task};
use crate::untrusted::Untrusted;
use crate::wait::Wait;
use crate::world::{TaskId, World};

/// Characters of a name that a sentence shows at most.
const NAME_CHARS: usize = 40;

/// A task as people know it; `None` if it is in no look.
pub(crate) fn actor(world: &World<'_>, task: TaskId) -> Option<Actor> {
    let process = world.process(task.pid)?;
    let own = process
        .tasks
        .iter()
        .find(|t| t.tid == task.tid && t.tid.0 != process.pid.0);
    Some(Actor {
        task,
        start_ticks: process.start_ticks,
        name: program(process),
        thread: own.map(|t| t.comm.clone()),
        command: process.cmdline.clone(),
        age_ms: process.age_ms(&world.second.scan),
    })
}

/// `python3 (812)`.
pub(crate) fn name_of(world: &World<'_>, pid: Pid) -> String {
    match world.process(pid) {
        Some(process) => format!("{} ({pid})", program(process).terminal(NAME_CHARS)),
        None => format!("process {pid}"),
    }
}

/// `python3 (812)`, or `thread reader (815) of python3 (812)`.
pub(crate) fn name_of_task(world: &World<'_>, task: TaskId) -> String {
    let process = name_of(world, task.pid);
    match world.task(task) {
        Some((_, t)) if task.tid.0 != task.pid.0 => {
            format!(
                "thread {} ({}) of {process}",
                thread_name(&t.comm),
                task.tid
            )
        }
        _ => process,
    }
}

/// `python3 (812)`, `python3 (812) and git (813)`, `python3 (812), git (813) and 3 more`.
pub(crate) fn names_of(world: &World<'_>, pids: &BTreeSet<Pid>) -> String {
    let names: Vec<String> = pids.iter().take(2).map(|p| name_of(world, *p)).collect();
    match (names.as_slice(), pids.len()) {
        ([], _) => "nobody in sight".to_owned(),
        ([one], _) => one.clone(),
        ([one, two], 2) => format!("{one} and {two}"),
        (names, all) => format!("{} and {} more", names.join(", "), all - names.len()),
    }
}

/// A thread's name; the kernel cuts it at 15 bytes, which may leave a blank at its end.
fn thread_name(comm: &Untrusted) -> String {
    comm.terminal(NAME_CHARS).trim_end().to_owned()
}

/// What a process is called: `comm`, unless that names a thread.
fn program(process: &Process) -> Untrusted {
    let comm = process.comm.as_bytes();
    let names_thread = comm.is_empty() || comm.ends_with(b"MainThread");
    let base = process
        .exe
        .as_ref()
        .and_then(|e| e.as_bytes().rsplit(|b| *b == b'/').next());
    // The link says so of a program whose file was replaced since.
    let base = base.map(|b| b.strip_suffix(b" (deleted)").unwrap_or(b));
    match base {
        Some(base) if names_thread || (comm.len() == 15 && base.starts_with(comm)) => base.into(),
        _ => process.comm.clone(),
    }
}

/// The system call, by name.
pub(crate) fn call(task: &Task) -> String {
    match &task.wait {
        Wait::Running => "running".to_owned(),
        Wait::Read { call, .. }
        | Wait::Write { call, .. }
        | Wait::Transfer { call, .. }
        | Wait::Poll { call, .. }
        | Wait::Other { call } => call.clone(),
        Wait::Accept { .. } => "accept".to_owned(),
        Wait::Connect { .. } => "connect".to_owned(),
        Wait::Epoll { .. } => "epoll_wait".to_owned(),
        Wait::Child { .. } => "wait4".to_owned(),
        Wait::Vfork => "vfork".to_owned(),
        Wait::Futex { .. } => "futex".to_owned(),
        Wait::Sleep { .. } => "nanosleep".to_owned(),
        Wait::Signal { .. } => "sigsuspend".to_owned(),
        Wait::Lock { .. } => "flock".to_owned(),
        Wait::FifoOpen { .. } => "open".to_owned(),
        Wait::IoUring { .. } => "io_uring_enter".to_owned(),
        Wait::Unknown => "unknown".to_owned(),
    }
}

/// What a descriptor's channel is to its process: told by the channel, not by the number, since shells move numbers.
pub(crate) fn stream(process: &Process, task: &Task, channel: &Channel) -> Option<&'static str> {
    let is = |fd: u32| {
        process
            .table_of(task)
            .get(fd)
            .is_some_and(|d| holds(d, channel))
    };
    match (is(0), is(1), is(2)) {
        (false, true, true) => Some("stdout and stderr"),
        (false, true, false) => Some("stdout"),
        (false, false, true) => Some("stderr"),
        (true, false, false) => Some("stdin"),
        (true, true, false) => Some("stdin and stdout"),
        (true, _, true) => Some("standard streams"),
        (false, false, false) => None,
    }
}

fn holds(d: &crate::descriptor::Descriptor, channel: &Channel) -> bool {
    opposite(d, Intent::Any).is_some_and(|o| o.channel == *channel)
}

/// What `id` waits for, as a fragment after its name. `toward` is the next one in the story, whose part of a set is told.
pub(crate) fn waits(analysis: &Analysis<'_>, id: TaskId, toward: Option<TaskId>) -> String {
    let Some(awaited) = told(analysis, id, toward) else {
        let breaks = analysis.waiting(id).and_then(|w| w.breaks.first());
        return breaks.map_or_else(|| "waits".to_owned(), |b| b.why.clone());
    };
    one(analysis, id, awaited)
}

/// The part of a wait that concerns `toward`; the first part if none does.
pub(crate) fn told<'a>(
    analysis: &'a Analysis<'_>,
    id: TaskId,
    toward: Option<TaskId>,
) -> Option<&'a Awaited> {
    let awaited = &analysis.waiting(id)?.awaited;
    let concerns = |a: &&Awaited| toward.is_some_and(|t| a.wakers.contains(&t));
    // A full channel tells most; any between processes tells more than a signal that comes from the same child.
    let full = awaited.iter().filter(|a| a.what.shows_full());
    let is_eventfd = |c: &Channel| matches!(c, Channel::Eventfd { .. });
    let channels = awaited
        .iter()
        .filter(|a| a.what.channel().is_some_and(|c| !is_eventfd(c)));
    full.chain(channels)
        .find(concerns)
        .or_else(|| awaited.iter().find(concerns))
        .or_else(|| awaited.first())
}

fn one(analysis: &Analysis<'_>, id: TaskId, awaited: &Awaited) -> String {
    let world = &analysis.world;
    let mut wakers: BTreeSet<Pid> = awaited.wakers.iter().map(|t| t.pid).collect();
    // Holders of one's own side count as wakers there (a shutdown, an echo), which is not what people mean.
    if matches!(
        awaited.what.channel(),
        Some(Channel::Socket { .. } | Channel::Pty { .. })
    ) && wakers.len() > 1
    {
        wakers.remove(&id.pid);
    }
    let place = |channel: &Channel| {
        let found = world.task(id).and_then(|(p, t)| stream(p, t, channel));
        match (found, awaited.fd) {
            (Some(stream), _) => format!("its {stream}"),
            (None, Some(fd)) => format!("its descriptor {fd}"),
            (None, None) => "a descriptor".to_owned(),
        }
    };
    match &awaited.what {
        What::Data { channel } => format!(
            "waits to read from {}, {} that {} can write",
            place(channel),
            noun(channel),
            only(world, &wakers, id)
        ),
        What::Room { channel } => format!(
            "waits to write to {}, {} that {} can read",
            place(channel),
            noun(channel),
            only(world, &wakers, id)
        ),
        What::Change {
            channel: channel @ Channel::Eventfd { .. },
            ..
        } => {
            format!("waits for {} ({channel})", place(channel))
        }
        What::Change { channel, .. } => format!(
            "waits for something to happen at {}, {} whose other end {} holds",
            place(channel),
            noun(channel),
            only(world, &wakers, id)
        ),
        What::Exit { pid } => format!("waits for {} to exit", name_of(world, *pid)),
        What::ChildSignal => format!("waits for its child {} to exit", names_of(world, &wakers)),
        What::Futex => futex(world, id),
        What::Vfork { pid } => format!(
            "waits for its vfork child {} to exec or exit",
            name_of(world, *pid)
        ),
        What::Lock { file } => {
            format!(
                "waits for a lock on the file with inode {}, held by {}",
                file.ino,
                names_of(world, &wakers)
            )
        }
        What::Partner { path, .. } => format!(
            "waits for somebody to open the other side of the FIFO {}",
            path.terminal(80)
        ),
        What::Completion => "waits for a completion of its io_uring".to_owned(),
    }
}

fn only(world: &World<'_>, wakers: &BTreeSet<Pid>, me: TaskId) -> String {
    match wakers.iter().all(|p| *p == me.pid) {
        true if !wakers.is_empty() => "only it itself".to_owned(),
        _ => format!("only {}", names_of(world, wakers)),
    }
}

fn noun(channel: &Channel) -> &'static str {
    match channel {
        Channel::Pipe { .. } => "a pipe",
        Channel::Fifo { .. } => "a FIFO",
        Channel::Socket { .. } => "a socket",
        Channel::Pty { .. } => "a terminal",
        Channel::Eventfd { .. } => "an eventfd",
    }
}

/// The value that a join expects is the number of the joined thread.
fn futex(world: &World<'_>, id: TaskId) -> String {
    let joined = world.task(id).and_then(|(process, task)| match task.wait {
        Wait::Futex { expected, .. } => process
            .tasks
            .iter()
            .find(|t| t.tid.0 == expected && t.tid != id.tid),
        _ => None,
    });
    match joined {
        Some(thread) => format!(
            "waits for its thread {} ({}) to end",
            thread_name(&thread.comm),
            thread.tid
        ),
        None => "waits for a lock of its own process".to_owned(),
    }
}

/// An assumption in words.
pub(crate) fn assumption(analysis: &Analysis<'_>, assumption: &Assumption) -> String {
    let world = &analysis.world;
    match assumption {
        Assumption::InertHelper { task, name, runtime } => {
            let runtime = match runtime {
                Runtime::HotSpot => "the Java virtual machine",
                Runtime::Go => "the Go runtime",
            };
            format!(
                "thread {} ({}) of {} is a helper of {runtime} and reads no pipe",
                thread_name(name),
                task.tid,
                name_of(world, task.pid)
            )
        }
        Assumption::ClosedFifo { path, .. } => format!("nobody else opens the FIFO {}", path.terminal(80)),
        Assumption::FirstLocker { file } => {
            format!("whoever took the lock on inode {} first still holds it, or passed it on to those named", file.ino)
        }
        Assumption::RingDescriptors { task } => {
            format!("what the io_uring of {} waits for is among its descriptors", name_of(world, task.pid))
        }
        Assumption::NoAlarm { pid } => {
            format!("{} handles SIGALRM, and no alarm is set", name_of(world, *pid))
        }
        Assumption::NoPosixTimer { pid } => {
            format!("no timer of {} is armed (its timers could not be read)", name_of(world, *pid))
        }
        Assumption::NoSignalAwaited { pid } => {
            format!(
                "{} waits for none of the signals that it handles, though its first thread sleeps on a lock of its own",
                name_of(world, *pid)
            )
        }
        Assumption::NoSocketTimeout { inode } => {
            format!("socket {inode} has no SO_RCVTIMEO and no SO_SNDTIMEO (nobody asked)")
        }
        Assumption::HoldsNothing { pid } => {
            format!("{} holds no end of these channels (its descriptors could not be read)", name_of(world, *pid))
        }
        Assumption::InFlightElsewhere { pid } => {
            format!("the descriptors that are on their way to {} are no ends of these channels", name_of(world, *pid))
        }
        Assumption::HangUpToldBefore { inode } => {
            format!("channel {inode}, which nobody in sight holds the other end of, told of its hang-up before")
        }
        Assumption::TerminalSettled { index } => {
            format!("no byte is under way inside the terminal /dev/pts/{index}, whose kernel worker no look shows (the looks are less than 100 ms apart)")
        }
        Assumption::NoSignal { pids } => nobody_signals(analysis, pids),
        Assumption::RunUnread { pids } => {
            let numbers: Vec<String> = pids.iter().map(Pid::to_string).collect();
            format!(
                "nobody whom these looks leave out wakes or signals {} (they were not taken of it; \
                 `pipeclog diagnose --save FILE {}` takes some that show everybody)",
                names_of(world, pids),
                numbers.join(" ")
            )
        }
        Assumption::NobodyMissed => {
            "no process that was started during the look, or left out of it, holds an end of these channels".to_owned()
        }
    }
}

/// At most this many who could signal are named.
const NAMED: usize = 4;

/// Those first of whom it is known why they may act; who waits for them comes after.
fn nobody_signals(analysis: &Analysis<'_>, pids: &BTreeSet<Pid>) -> String {
    let why = |pid: Pid| {
        let mut breaks = analysis.of_process(pid).flat_map(|w| &w.breaks);
        breaks.next().map(|b| b.why.as_str())
    };
    let (act, wait): (Vec<Pid>, Vec<Pid>) = pids.iter().partition(|pid| why(**pid).is_some());
    let told = act.iter().chain(&wait).take(NAMED).map(|pid| {
        let name = name_of(&analysis.world, *pid);
        why(*pid).map_or(name.clone(), |why| format!("{name}, which {why}"))
    });
    let mut told: Vec<String> = told.collect();
    match pids.len().saturating_sub(NAMED) {
        0 => {}
        more => told.push(format!("{more} more")),
    }
    format!(
        "nobody who lives on and was started with these signals one of them: {}",
        told.join("; ")
    )
}
