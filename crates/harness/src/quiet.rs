//! Whether two looks at a trial show that nothing in it moves, or will by itself: pure functions of snapshots.
//!
//! This is evidence of a hang, not a proof of a deadlock: it does not ask who could wake whom.

use std::time::Duration;

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

/// What two looks, `first` before `second`, say of a trial; nothing if something moved, or will by a timer of its own within
/// `bound`.
pub(crate) fn judge(
    first: &Snapshot,
    second: &Snapshot,
    cast: Cast,
    bound: Duration,
) -> Option<EndedBy> {
    let mut polls = false;
    for (role, process) in cast.members(second) {
        let before = first
            .process(process.pid)
            .filter(|before| before.start_ticks == process.start_ticks)?;
        for task in &process.tasks {
            let before = before.tasks.iter().find(|before| before.tid == task.tid)?;
            match activity(before, task, bound) {
                Activity::None => {}
                Activity::Sleeps if role == Role::Parent => polls = true,
                Activity::Sleeps | Activity::Runs => return None,
            }
        }
    }
    let living = |wanted| {
        cast.members(second)
            .any(|(role, process)| role == wanted && !is_dead(process))
    };
    Some(if polls {
        EndedBy::Polling
    } else if !living(Role::Child) && living(Role::Descendant) {
        EndedBy::LeaderGone
    } else {
        EndedBy::Quiescence
    })
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
