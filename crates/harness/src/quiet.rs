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
    last: Snapshot,
    /// Nothing at the first look.
    ended_by: Option<EndedBy>,
}

impl Window {
    /// A window of one look, which says nothing yet.
    pub(crate) fn new(look: Snapshot) -> Self {
        Self {
            first: look.clone(),
            last: look,
            ended_by: None,
        }
    }

    /// The window with one more look; a new one if something moved.
    pub(crate) fn then(self, look: Snapshot, cast: Cast, bound: Duration) -> Self {
        match motion(&self.last, &look, cast, bound) {
            Motion::None(ended_by) => Self {
                first: self.first,
                last: look,
                ended_by: Some(ended_by),
            },
            // A parent that polls is met awake now and then. The next look is held against the last at which it slept, so
            // whatever it did meanwhile to the others will show.
            Motion::ParentRuns => self,
            Motion::Some => Self::new(look),
        }
    }

    /// What kind of hang it is, once nothing has moved for long enough.
    pub(crate) fn hang(&self, patience: Patience) -> Option<EndedBy> {
        let still_ms = self.last.scan.at_ms.saturating_sub(self.first.scan.at_ms);
        let enough = match self.ended_by? {
            EndedBy::Polling => patience.polling,
            EndedBy::Proof
            | EndedBy::Quiescence
            | EndedBy::LeaderGone
            | EndedBy::Diagnosis
            | EndedBy::Deadline => patience.quiet,
        };
        self.ended_by
            .filter(|_| Duration::from_millis(still_ms) >= enough)
    }

    /// Its first look.
    pub(crate) fn first(&self) -> &Snapshot {
        &self.first
    }
}

/// What two looks, one before the other, say of a trial.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Motion {
    /// Nothing moved, nor will by a timer of its own within the bound.
    None(EndedBy),
    /// The parent alone was awake in the second.
    ParentRuns,
    /// Something moved, or will, or came or went.
    Some,
}

fn motion(first: &Snapshot, second: &Snapshot, cast: Cast, bound: Duration) -> Motion {
    let (mut polls, mut runs) = (false, false);
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
                (Activity::Sleeps, Role::Parent) => polls = true,
                (Activity::Runs, Role::Parent) => runs = true,
                (Activity::Sleeps | Activity::Runs, Role::Child | Role::Descendant) => {
                    return Motion::Some;
                }
            }
        }
    }
    let living = |wanted| {
        cast.members(second)
            .any(|(role, process)| role == wanted && !is_dead(process))
    };
    if runs {
        Motion::ParentRuns
    } else if polls {
        Motion::None(EndedBy::Polling)
    } else if !living(Role::Child) && living(Role::Descendant) {
        Motion::None(EndedBy::LeaderGone)
    } else {
        Motion::None(EndedBy::Quiescence)
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
    Sleeps,
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
        State::Sleeping if matches!(task.wait, Wait::Sleep { .. }) => Activity::Sleeps,
        State::Sleeping | State::Running | State::Disk | State::Other | State::Unread => {
            Activity::Runs
        }
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
