//! One task's wait, resolved against both looks: what it waits for, who can wake it, and what breaks a proof.

use std::collections::BTreeSet;

use crate::awaited::{Assumption, Awaited, Break, BreakKind, Runtime, What};
use crate::channel::Channel;
use crate::snapshot::{Freezer, Pid, PosixTimers, Process, Signals, State, Task};
use crate::terminal::Use;
use crate::wait::{SignalSet, Syscall, Timeout, Wait};
use crate::world::{TaskId, World, live_tasks};
use crate::{inert, objects, tasks};

/// A task's wait, resolved.
#[derive(Debug, Clone)]
pub(crate) struct Waiting {
    pub(crate) task: TaskId,
    pub(crate) awaited: Vec<Awaited>,
    pub(crate) breaks: BTreeSet<Break>,
    pub(crate) assumptions: BTreeSet<Assumption>,
    /// A runtime's helper thread, which the second tier leaves out of everybody's wakers.
    pub(crate) helper_of: Option<Runtime>,
    /// What it needs of terminals.
    pub(crate) terminals: BTreeSet<Use>,
}

impl Waiting {
    pub(crate) fn wakers(&self) -> BTreeSet<TaskId> {
        self.awaited
            .iter()
            .flat_map(|a| a.wakers.iter().copied())
            .collect()
    }

    pub(crate) fn is_broken_by(&self, kinds: &[BreakKind]) -> bool {
        self.breaks.iter().any(|b| kinds.contains(&b.kind))
    }

    pub(crate) fn add(
        &mut self,
        fd: Option<u32>,
        what: What,
        wakers: impl IntoIterator<Item = TaskId>,
    ) {
        self.awaited.push(Awaited {
            fd,
            what,
            wakers: wakers.into_iter().collect(),
        });
    }

    pub(crate) fn breaks(&mut self, kind: BreakKind, why: impl Into<String>) {
        self.breaks.insert(Break {
            kind,
            why: why.into(),
        });
    }

    pub(crate) fn timed(&mut self, timeout: Timeout) {
        let why = match timeout {
            Timeout::Never => return,
            Timeout::After(ns) => format!("waits with a timeout of {} ms", ns / 1_000_000),
            Timeout::At(_) => "waits until a set time".to_owned(),
            Timeout::Unread => "waits with a timeout that could not be read".to_owned(),
        };
        self.breaks(BreakKind::Timer, why);
    }
}

/// Resolves the wait of `id`; everything that is not known becomes a break.
pub(crate) fn resolve(world: &World<'_>, id: TaskId) -> Waiting {
    let mut waiting = Waiting {
        task: id,
        awaited: Vec::new(),
        breaks: BTreeSet::new(),
        assumptions: BTreeSet::new(),
        helper_of: None,
        terminals: BTreeSet::new(),
    };
    let Some((process, task)) = world.task(id) else {
        waiting.breaks(BreakKind::Unknown, "could not be read");
        return waiting;
    };
    state(world, process, task, &mut waiting);
    call(world, process, task, &mut waiting);
    signals(world, process, task, &mut waiting);
    timers(world, process, &mut waiting);
    if waiting.awaited.is_empty() && waiting.breaks.is_empty() {
        waiting.breaks(BreakKind::External, "waits for nothing but a signal");
    }
    waiting.helper_of = inert::helper_of(process, task);
    waiting
}

fn state(world: &World<'_>, process: &Process, task: &Task, waiting: &mut Waiting) {
    if is_frozen(process, task) {
        waiting.breaks(BreakKind::Stopped, "is frozen by its control group");
    }
    match task.state {
        State::Sleeping => {}
        State::Stopped => waiting.breaks(BreakKind::Stopped, "is stopped"),
        State::Traced => waiting.breaks(BreakKind::Stopped, "is stopped by its tracer"),
        // The parent of a vfork sleeps uninterruptibly until the child execs or exits.
        State::Disk if task.wait == Wait::Vfork => {}
        State::Disk => waiting.breaks(
            BreakKind::Live,
            "is in an uninterruptible wait inside the kernel",
        ),
        State::Running => waiting.breaks(BreakKind::Live, "runs"),
        State::Zombie | State::Dead | State::Other => {
            waiting.breaks(BreakKind::Live, "is in transition")
        }
        State::Unread => waiting.breaks(BreakKind::Unknown, "could not be read"),
    }
    if task.switches_voluntary.is_none() || task.switches_involuntary.is_none() {
        waiting.breaks(
            BreakKind::Unknown,
            "does not show whether it ran between the looks",
        );
    } else if !world.is_unmoved(process, task) {
        waiting.breaks(BreakKind::Live, "ran between the looks");
    }
}

/// A frozen task of cgroup v2 shows S; only the freezer file, or where it sleeps, tells.
fn is_frozen(process: &Process, task: &Task) -> bool {
    process.freezer == Freezer::Frozen
        || (task.state == State::Sleeping
            && task
                .wchan
                .as_ref()
                .is_some_and(|w| w.as_bytes() == b"get_signal"))
}

fn call(world: &World<'_>, process: &Process, task: &Task, waiting: &mut Waiting) {
    match task.syscall {
        Syscall::Blocked { .. } => {}
        Syscall::Running => return waiting.breaks(BreakKind::Live, "runs"),
        // Stopped tasks show it as well, and have said so already.
        Syscall::Outside => {
            return waiting.breaks(BreakKind::Unknown, "sleeps outside any system call");
        }
        Syscall::Unread => {
            return waiting.breaks(BreakKind::Unknown, "does not show its system call");
        }
    }
    match &task.wait {
        Wait::Running => waiting.breaks(BreakKind::Live, "runs"),
        Wait::Read { .. }
        | Wait::Write { .. }
        | Wait::Transfer { .. }
        | Wait::Accept { .. }
        | Wait::Connect { .. }
        | Wait::Poll { .. }
        | Wait::Epoll { .. }
        | Wait::IoUring { .. } => objects::resolve(world, process, task, waiting),
        Wait::Child { .. }
        | Wait::Vfork
        | Wait::Futex { .. }
        | Wait::Lock { .. }
        | Wait::FifoOpen { .. } => tasks::resolve(world, process, task, waiting),
        Wait::Sleep {
            timeout: Timeout::Never,
        } => {
            waiting.breaks(BreakKind::Unknown, "sleeps with no end that could be read");
        }
        Wait::Sleep { timeout } => waiting.timed(*timeout),
        Wait::Signal { awaited, timeout } => {
            waiting.timed(*timeout);
            awaits_signals(world, process, *awaited, waiting);
        }
        Wait::Other { call } => waiting.breaks(
            BreakKind::Unknown,
            format!("waits in {call}, for which there is no rule"),
        ),
        Wait::Unknown => waiting.breaks(
            BreakKind::Unknown,
            "waits for something that could not be read",
        ),
    }
}

/// Signals that a program waiting for its children handles as a matter of course; whoever waits for others waits for
/// the outside. 32 and 33 are the C library's own. SIGALRM comes from the process's own timer (mksh always handles it),
/// and whether one may be set is asked of every process that handles it.
pub(crate) const ROUTINE: [u32; 9] = [
    SignalSet::CHLD,
    SignalSet::ALRM,
    SignalSet::INT,
    SignalSet::QUIT,
    SignalSet::HUP,
    SignalSet::TERM,
    SignalSet::WINCH,
    32,
    33,
];

/// A wait for a set of signals: SIGCHLD comes from children, anything else from outside.
pub(crate) fn awaits_signals(
    world: &World<'_>,
    process: &Process,
    awaited: SignalSet,
    waiting: &mut Waiting,
) {
    let children = child_tasks(world, process);
    if !awaited.has(SignalSet::CHLD) || !awaited.without(SignalSet::of(&ROUTINE)).is_empty() {
        waiting.breaks(BreakKind::External, "waits for a signal");
    } else if children.is_empty() {
        waiting.breaks(
            BreakKind::External,
            "waits for SIGCHLD and has no child that lives",
        );
    } else {
        waiting.add(None, What::ChildSignal, children);
    }
}

/// SIGCHLD that any thread of the process handles can set off every other one (Node, Ruby, shells).
fn signals(world: &World<'_>, process: &Process, task: &Task, waiting: &mut Waiting) {
    let handles_child =
        |s: &Signals| s.caught.has(SignalSet::CHLD) && !s.blocked.has(SignalSet::CHLD);
    if process
        .tasks
        .iter()
        .any(|t| t.signals.as_ref().is_some_and(handles_child))
    {
        let children = child_tasks(world, process);
        if !children.is_empty() {
            waiting.add(None, What::ChildSignal, children);
        }
    }
    if let Some(s) = &task.signals
        && !s.pending.without(s.blocked).without(s.ignored).is_empty()
    {
        waiting.breaks(BreakKind::Live, "has a signal to handle");
    }
}

/// Every live task of every child.
fn child_tasks(world: &World<'_>, process: &Process) -> Vec<TaskId> {
    world
        .children(process.pid)
        .into_iter()
        .flat_map(live_tasks)
        .collect()
}

/// A process whose tasks all wait for each other alone, and that handles a signal which nobody handles as a matter of
/// course, may well sleep until that signal comes: `Event().wait()` or a self-pipe beside a SIGTERM handler. Where a runtime
/// handles them whatever the program does, so may one in which everybody sleeps on locks and eventfds alone: a Java server's
/// latch, Ruby's `sleep`, a Go program in `signal.Notify` (Go itself ends one in which nobody waits for a signal either).
pub(crate) fn note_awaited_signals(world: &World<'_>, waits: &mut [Waiting]) {
    let mut reaches_out: BTreeSet<Pid> = BTreeSet::new();
    let mut has_channels: BTreeSet<Pid> = BTreeSet::new();
    for waiting in waits.iter().filter(|w| w.helper_of.is_none()) {
        let pid = waiting.task.pid;
        if !waiting.breaks.is_empty() || waiting.wakers().iter().any(|w| w.pid != pid) {
            reaches_out.insert(pid);
        }
        if !waiting.awaited.iter().all(|a| is_own_lock(&a.what)) {
            has_channels.insert(pid);
        }
    }
    for waiting in waits {
        let pid = waiting.task.pid;
        let may_wait_for_one = |process: &Process| match has_channels.contains(&pid) {
            true => handles_signals_on_purpose(process),
            false => handles_telling_signals(process),
        };
        let Some(process) = world.process(pid) else {
            continue;
        };
        if !reaches_out.contains(&pid) && may_wait_for_one(process) {
            let why =
                "sleeps on its own objects and handles signals, one of which it may be waiting for";
            waiting.breaks(BreakKind::External, why);
        } else if is_first_on_a_lock(waiting.task, process) && handles_signals_on_purpose(process) {
            let assumption = Assumption::NoSignalAwaited { pid };
            waiting.assumptions.insert(assumption);
        }
    }
}

/// Whether a program's first thread, to which runtimes leave its signals, sleeps on a lock: it may wait there for others to end, or for a
/// signal.
pub(crate) fn is_first_on_a_lock(id: TaskId, process: &Process) -> bool {
    let mut tasks = process.tasks.iter().filter(|t| t.tid == id.tid);
    id.tid.0 == id.pid.0 && tasks.any(|t| matches!(t.wait, Wait::Futex { .. }))
}

fn is_own_lock(what: &What) -> bool {
    matches!(what, What::Futex) || matches!(what.channel(), Some(Channel::Eventfd { .. }))
}

pub(crate) fn handles_signals_on_purpose(process: &Process) -> bool {
    handles_telling_signals(process)
        && !catches_as_a_matter_of_course(caught_by(process))
        && !inert::is_hotspot(process)
        // Expect catches SIGTERM from its start.
        && process.comm.as_bytes() != b"expect"
}

/// SIGHUP, SIGUSR1, SIGUSR2, SIGTERM, SIGIO.
fn handles_telling_signals(process: &Process) -> bool {
    let telling = [SignalSet::HUP, 10, 12, SignalSet::TERM, 29];
    let caught = caught_by(process);
    telling.iter().any(|n| caught.has(*n))
}

fn caught_by(process: &Process) -> SignalSet {
    SignalSet(
        process
            .tasks
            .iter()
            .filter_map(|t| t.signals)
            .fold(0, |all, s| all | s.caught.0),
    )
}

/// Programs that catch whatever could end them (sort, Ruby, Go, a shell with a trap on exit) catch SIGVTALRM too;
/// whoever sets an alarm catches SIGALRM and not that.
fn catches_as_a_matter_of_course(caught: SignalSet) -> bool {
    caught.has(26)
}

fn timers(world: &World<'_>, process: &Process, waiting: &mut Waiting) {
    let scan = &world.second.scan;
    match &process.timers {
        PosixTimers::Listed(signals) if signals.is_empty() || scan.posix_timers == Some(0) => {}
        // Ruby makes one timer with SIGVTALRM at its start, and disarms it while it idles.
        PosixTimers::Listed(signals) if signals.as_slice() == [26] => {}
        PosixTimers::Listed(_) => {
            waiting.breaks(BreakKind::Timer, "has a POSIX timer that may be armed")
        }
        PosixTimers::Unread if scan.posix_timers == Some(0) => {}
        PosixTimers::Unread => {
            waiting
                .assumptions
                .insert(Assumption::NoPosixTimer { pid: process.pid });
        }
    }
    let caught = caught_by(process);
    if caught.has(SignalSet::ALRM) && scan.real_timers != Some(0) {
        let by_habit = matches!(process.comm.as_bytes(), b"mksh" | b"lksh" | b"ksh" | b"zsh");
        if by_habit || catches_as_a_matter_of_course(caught) {
            waiting
                .assumptions
                .insert(Assumption::NoAlarm { pid: process.pid });
        } else {
            waiting.breaks(BreakKind::Timer, "handles SIGALRM, and an alarm may be set");
        }
    }
}
