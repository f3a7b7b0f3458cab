//! Whether two looks at a trial show that nothing in it moves, or will by itself: pure functions of snapshots.
//!
//! This is evidence of a hang, not a proof of a deadlock: it does not ask who could wake whom.

use std::time::Duration;

use crate::watch::Patience;
use pipeclog_scenario::outcome::{EndedBy, Role};
use pipeclog_waitgraph::snapshot::{Pid, Process, Snapshot, State, Task, Timeout, Wait};

/// Who is who in a trial.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Cast {
    /// The process that runs the trial, a part of the snapshot and not of the trial.
    pub(crate) observer: Pid,
    /// The parent: the leader of the trial's process group.
    pub(crate) parent: Pid,
}

impl Cast {
    /// What a process of the snapshot is to the trial; nothing if it is the observer or a stranger that holds an end.
    pub(crate) fn role(self, snapshot: &Snapshot, process: &Process) -> Option<Role> {
        if process.pid == self.parent {
            return Some(Role::Parent);
        }
        if process.ppid == self.parent {
            return Some(Role::Child);
        }
        let mut ancestor = process.ppid;
        // Bounded by the number of processes: a chain of parents has no loop.
        for _ in 0..snapshot.processes.len() {
            if ancestor == self.observer || ancestor == self.parent {
                return Some(Role::Descendant);
            }
            ancestor = snapshot.process(ancestor)?.ppid;
        }
        None
    }

    /// The processes of the trial, with what they are to it.
    pub(crate) fn members<'a>(
        self,
        snapshot: &'a Snapshot,
    ) -> impl Iterator<Item = (Role, &'a Process)> + 'a {
        snapshot
            .processes
            .iter()
            .filter(move |process| process.pid != self.observer)
            .filter_map(move |process| Some((self.role(snapshot, process)?, process)))
    }
}

/// Looks at a trial between which nothing moved.
#[derive(Debug)]
pub(crate) struct Window {
    first: Snapshot,
    /// Looks between the first and the last, [`BETWEEN`] apart at least.
    between: Vec<Snapshot>,
    /// The last look at which the parent was not awake.
    last: Snapshot,
    /// The last look of all, if the parent was awake.
    awake: Option<Snapshot>,
    /// Nothing at the first look.
    still: Option<Still>,
}

/// The looks of a long window are some tens, not some thousands.
const BETWEEN: Duration = Duration::from_millis(500);

impl Window {
    /// A window of one look, which says nothing yet.
    pub(crate) fn new(look: Snapshot) -> Self {
        Self {
            first: look.clone(),
            between: Vec::new(),
            last: look,
            awake: None,
            still: None,
        }
    }

    /// The window with one more look; a new one if something moved.
    pub(crate) fn then(self, look: Snapshot, cast: Cast, bound: Duration) -> Self {
        match motion(&self.last, &look, cast, bound) {
            // A quiet in which timers ran out says nothing of one in which none is left, and the other way round; nor does what the
            // parent was at before the first wait with a timer.
            Motion::None(still @ Still::AllButTimers) if self.still != Some(still) => Self {
                still: Some(still),
                ..Self::new(look)
            },
            Motion::None(still) if self.still == Some(Still::AllButTimers) && !still.is_timed() => {
                Self::of_two(self.last, look, still)
            }
            Motion::None(still) => self.longer(look, still),
            // A parent that polls is met awake now and then. The next look is held against the last at which it slept, so
            // whatever it did meanwhile to the others will show.
            Motion::ParentRuns => self.past_awake(look, cast, bound),
            Motion::Some => Self::new(look),
        }
    }

    fn longer(mut self, look: Snapshot, still: Still) -> Self {
        let since = self.between.last().unwrap_or(&self.first).scan.at_ms;
        let apart = Duration::from_millis(look.scan.at_ms.saturating_sub(since));
        if apart >= BETWEEN {
            self.between.push(look.clone());
        }
        Self {
            last: look,
            awake: None,
            still: Some(still),
            ..self
        }
    }

    fn of_two(first: Snapshot, last: Snapshot, still: Still) -> Self {
        Self {
            first,
            between: Vec::new(),
            last,
            awake: None,
            still: Some(still),
        }
    }

    /// A parent that was awake, and sleeps for good since, is quiet from then on.
    fn past_awake(self, look: Snapshot, cast: Cast, bound: Duration) -> Self {
        match self.awake {
            Some(awake) => match motion(&awake, &look, cast, bound) {
                Motion::None(still) => Self::of_two(awake, look, still),
                Motion::ParentRuns | Motion::Some => Self {
                    awake: Some(look),
                    ..self
                },
            },
            None => Self {
                awake: Some(look),
                ..self
            },
        }
    }

    /// What kind of hang it is, once nothing has moved for long enough.
    pub(crate) fn hang(&self, patience: Patience) -> Option<EndedBy> {
        let still_ms = self.last.scan.at_ms.saturating_sub(self.first.scan.at_ms);
        let still = self.still?;
        let enough = match still {
            Still::All | Still::LeaderGone => patience.quiet,
            Still::AllButNaps => patience.polling,
            Still::AllButTimers => patience.timers?,
        };
        (Duration::from_millis(still_ms) >= enough).then(|| still.ends_by())
    }

    /// Its first look, and some of those that followed.
    pub(crate) fn looks(&self) -> impl Iterator<Item = &Snapshot> {
        std::iter::once(&self.first).chain(&self.between)
    }
}

/// What of a trial does not move.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Still {
    /// All of it.
    All,
    /// All of it, where the child has exited and somebody whom it started has not.
    LeaderGone,
    /// All but a parent that comes back from plain sleeps.
    AllButNaps,
    /// All but a parent that comes back from waits with a timeout, where the child has exited and somebody whom it started has not: a
    /// loop of select(2), the helper threads of a runtime, or a grace period that may still end. While the child lives it may be on its
    /// way to be killed, which some libraries take half a minute for, and nothing is said.
    AllButTimers,
}

impl Still {
    fn is_timed(self) -> bool {
        self == Self::AllButTimers
    }

    fn ends_by(self) -> EndedBy {
        match self {
            Self::All => EndedBy::Quiescence,
            Self::LeaderGone => EndedBy::LeaderGone,
            Self::AllButNaps | Self::AllButTimers => EndedBy::Polling,
        }
    }
}

/// What two looks, one before the other, say of a trial.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Motion {
    /// Nothing moved, nor will by a timer of its own within the bound.
    None(Still),
    /// The parent alone was awake in the second.
    ParentRuns,
    /// Something moved, or will, or came or went.
    Some,
}

fn motion(first: &Snapshot, second: &Snapshot, cast: Cast, bound: Duration) -> Motion {
    let (mut naps, mut times, mut runs) = (false, false, false);
    for (role, process) in cast.members(second) {
        let Some(before) = first
            .process(process.pid)
            .filter(|before| before.start_ticks == process.start_ticks)
        else {
            return Motion::Some;
        };
        for task in &process.tasks {
            let Some(before) = before.tasks.iter().find(|before| before.tid == task.tid) else {
                return Motion::Some;
            };
            match (activity(before, task, bound), role) {
                (Activity::None, _) => {}
                (Activity::Naps, Role::Parent) => naps = true,
                (Activity::Times, Role::Parent) => times = true,
                (Activity::Runs, Role::Parent) => runs = true,
                (_, Role::Child | Role::Descendant) => return Motion::Some,
            }
        }
    }
    let living = |wanted| {
        cast.members(second)
            .any(|(role, process)| role == wanted && !is_dead(process))
    };
    let leader_gone = !living(Role::Child) && living(Role::Descendant);
    match (times, leader_gone) {
        _ if runs => Motion::ParentRuns,
        (true, false) => Motion::ParentRuns,
        (true, true) => Motion::None(Still::AllButTimers),
        (false, _) if naps => Motion::None(Still::AllButNaps),
        (false, true) => Motion::None(Still::LeaderGone),
        (false, false) => Motion::None(Still::All),
    }
}

fn is_dead(process: &Process) -> bool {
    process
        .tasks
        .iter()
        .all(|task| matches!(task.state, State::Zombie | State::Dead))
}

enum Activity {
    /// It did not run in between, and no timer will wake it in time.
    None,
    /// It is in a plain sleep, and may have come back to it from others.
    Naps,
    /// The same of a wait for something with a timeout.
    Times,
    /// It runs, or may.
    Runs,
}

fn activity(before: &Task, task: &Task, bound: Duration) -> Activity {
    let ran = before.switches_voluntary != task.switches_voluntary
        || before.switches_involuntary != task.switches_involuntary
        || task.switches_voluntary.is_none();
    match task.state {
        State::Zombie | State::Dead | State::Stopped | State::Traced => Activity::None,
        State::Sleeping
            if !wakes_within(&task.wait, bound) && !ran && before.syscall == task.syscall =>
        {
            Activity::None
        }
        State::Sleeping if matches!(task.wait, Wait::Sleep { .. }) => Activity::Naps,
        State::Sleeping if is_timed(&task.wait) && wakes_within(&task.wait, bound) => {
            Activity::Times
        }
        State::Sleeping | State::Running | State::Disk | State::Other | State::Unread => {
            Activity::Runs
        }
    }
}

/// Whether it waits for something, with a timeout that could be read.
fn is_timed(wait: &Wait) -> bool {
    match wait {
        Wait::Poll { timeout, .. }
        | Wait::Epoll { timeout, .. }
        | Wait::Futex { timeout, .. }
        | Wait::Signal { timeout, .. }
        | Wait::IoUring { timeout, .. } => matches!(timeout, Timeout::After(_) | Timeout::At(_)),
        Wait::Sleep { .. }
        | Wait::Running
        | Wait::Read { .. }
        | Wait::Write { .. }
        | Wait::Transfer { .. }
        | Wait::Accept { .. }
        | Wait::Connect { .. }
        | Wait::Child { .. }
        | Wait::Vfork
        | Wait::Lock { .. }
        | Wait::FifoOpen { .. }
        | Wait::Other { .. }
        | Wait::Unknown => false,
    }
}

/// Whether a timer of its own may wake it before the trial is over.
fn wakes_within(wait: &Wait, bound: Duration) -> bool {
    match wait {
        Wait::Poll { timeout, .. }
        | Wait::Epoll { timeout, .. }
        | Wait::Futex { timeout, .. }
        | Wait::Sleep { timeout }
        | Wait::Signal { timeout, .. }
        | Wait::IoUring { timeout, .. } => match timeout {
            Timeout::Never => false,
            Timeout::After(nanoseconds) => u128::from(*nanoseconds) < bound.as_nanos(),
            Timeout::At(_) | Timeout::Unread => true,
        },
        Wait::Running | Wait::Other { .. } | Wait::Unknown => true,
        Wait::Read { .. }
        | Wait::Write { .. }
        | Wait::Transfer { .. }
        | Wait::Accept { .. }
        | Wait::Connect { .. }
        | Wait::Child { .. }
        | Wait::Vfork
        | Wait::Lock { .. }
        | Wait::FifoOpen { .. } => false,
    }
}

#[cfg(test)]
mod tests;
