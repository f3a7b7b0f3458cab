//! Who could end the wait of a member by a signal: everybody of its run must be asleep for good, or be assumed to send none.

use std::collections::BTreeSet;

use crate::awaited::Assumption;
use crate::descriptor::Object;
use crate::snapshot::{Freezer, Observer, Pid, PosixTimers, Process, State, Task};
use crate::wait::{Syscall, Timeout, Wait};

use super::Checker;
use super::needed::tasks_of;

impl Checker<'_> {
    pub(super) fn nobody_signals(&self) -> Result<(), &'static str> {
        let silent: Vec<&BTreeSet<Pid>> = self
            .certificate
            .assumptions
            .iter()
            .filter_map(|a| match a {
                Assumption::NoSignal { pids } => Some(pids),
                _ => None,
            })
            .collect();
        let observer = &self.second.scan.observer;
        let deadlocked = self.certificate.members.iter().map(|m| m.task.pid);
        let deadlocked: BTreeSet<Pid> = deadlocked.collect();
        for member in deadlocked
            .iter()
            .filter_map(|pid| self.second.process(*pid))
        {
            if !self.second.scan.runs_of.contains(&member.pid) && !self.assumes_of(member.pid) {
                return Err(
                    "the looks were not taken of a member, and that nobody whom they leave out wakes it is not among its assumptions",
                );
            }
            for other in &self.second.processes {
                let is_silent = silent.iter().any(|pids| pids.contains(&other.pid))
                    || observer.line.contains(&other.pid)
                    || observer.helpers.contains(&other.pid);
                let sleeps = || {
                    let mut tasks = tasks_of(other).into_iter();
                    tasks.all(|t| self.members.contains(&t) || self.is_inert(t))
                };
                if is_silent || sleeps() {
                    continue;
                }
                if self.is_kin(observer, member, other) {
                    return Err(
                        "somebody of its run lives who could signal a member, and that he does not is not among its assumptions",
                    );
                }
                if self.has_as_job(observer, other, member) && !self.idles(other) {
                    return Err(
                        "who leads the session of a member at its terminal does not sleep as a shell does, and that he does not signal is not among its assumptions",
                    );
                }
            }
        }
        Ok(())
    }

    fn assumes_of(&self, pid: Pid) -> bool {
        let mut assumptions = self.certificate.assumptions.iter();
        assumptions.any(|a| matches!(a, Assumption::RunUnread { pids } if pids.contains(&pid)))
    }

    /// Whether `other` is of the run of `member`: by their lines of descent, each up to where the run ends.
    fn is_kin(&self, observer: &Observer, member: &Process, other: &Process) -> bool {
        let groups_count = member.pgrp != 0 && !observer.groups.contains(&member.pgrp);
        if other.pid == member.pid || (groups_count && other.pgrp == member.pgrp) {
            return true;
        }
        let line = self.line(observer, member);
        let Some(top) = line.last() else {
            return false;
        };
        let made_session =
            top.ppid == other.pid && top.session != other.session && other.pid.0 != 1;
        made_session
            || self
                .line(observer, other)
                .last()
                .is_some_and(|last| last.pid == top.pid)
            || self.comes_from(observer, other, top.pid)
    }

    /// Whether `top` is among the ancestors of `from`, with nobody who looks on from there to here.
    fn comes_from(&self, observer: &Observer, from: &Process, top: Pid) -> bool {
        let mut at = Some(from);
        for _ in &self.second.processes {
            match at {
                Some(process)
                    if !observer.line.contains(&process.pid)
                        && !observer.line.contains(&process.ppid) =>
                {
                    if process.ppid == top {
                        return true;
                    }
                    at = self.second.process(process.ppid);
                }
                _ => return false,
            }
        }
        false
    }

    /// Whether `shell` is where the line of `member` ends, for it seems to keep that as a job.
    fn has_as_job(&self, observer: &Observer, shell: &Process, member: &Process) -> bool {
        self.line(observer, member)
            .last()
            .is_some_and(|top| top.ppid == shell.pid && is_job(shell, top))
    }

    /// Whether all of a shell sleeps until its terminal, a child or a signal of its own wakes it.
    fn idles(&self, shell: &Process) -> bool {
        let mut tasks = shell.tasks.iter().filter(|t| {
            // What has exited does nothing.
            !matches!(t.state, State::Zombie | State::Dead)
        });
        !shell.tasks.is_empty()
            && shell.freezer != Freezer::Frozen
            && self.has_no_timer(shell)
            && tasks.all(|task| self.idles_in(shell, task))
    }

    /// A shell that handles SIGALRM by habit has no alarm set while it waits.
    fn has_no_timer(&self, shell: &Process) -> bool {
        let by_habit = [&b"zsh"[..], b"ksh", b"mksh", b"lksh"].contains(&shell.comm.as_bytes());
        let handles = |number: u32| {
            let mut signals = shell.tasks.iter().filter_map(|t| t.signals);
            signals.any(|s| s.caught.has(number))
        };
        let scan = &self.second.scan;
        let no_alarm = scan.real_timers == Some(0) || !handles(14) || handles(26) || by_habit;
        let no_posix_timer = scan.posix_timers == Some(0)
            || matches!(&shell.timers, PosixTimers::Listed(listed) if listed.iter().all(|s| *s == 26));
        no_alarm && no_posix_timer
    }

    fn idles_in(&self, shell: &Process, task: &Task) -> bool {
        let earlier = self.first.process(shell.pid);
        let earlier = earlier.filter(|p| p.start_ticks == shell.start_ticks);
        let mut earlier = earlier.into_iter().flat_map(|p| &p.tasks);
        let slept_on = earlier.any(|t| {
            t.tid == task.tid
                && t.syscall == task.syscall
                && t.switches_voluntary == task.switches_voluntary
                && t.switches_involuntary == task.switches_involuntary
        });
        let is_blocked =
            task.state == State::Sleeping && matches!(task.syscall, Syscall::Blocked { .. });
        let descriptors: Vec<u32> = match &task.wait {
            Wait::Child { .. }
            | Wait::Signal {
                timeout: Timeout::Never,
                ..
            } => Vec::new(),
            Wait::Read { fd, .. } => vec![*fd],
            Wait::Poll {
                set: Some(set),
                timeout: Timeout::Never,
                ..
            } => set.iter().map(|entry| entry.fd).collect(),
            _ => return false,
        };
        let table = task.own_table.as_ref().unwrap_or(&shell.table).known();
        // A timer, the network or a set of sets is not what a shell waits for.
        let brings = |fd: &u32| {
            table.iter().any(|d| {
                d.fd == *fd
                    && matches!(
                        d.object,
                        Object::Device { .. }
                            | Object::Eventfd { .. }
                            | Object::Fifo { .. }
                            | Object::FileEvents
                            | Object::Pipe { .. }
                            | Object::PtySlave { .. }
                            | Object::Signalfd { .. }
                    )
            })
        };
        slept_on && is_blocked && descriptors.iter().all(brings)
    }

    /// A process, its parent, and so on, as long as the session is one and nobody looks on or keeps jobs at a terminal.
    fn line(&self, observer: &Observer, from: &Process) -> Vec<&Process> {
        let mut line: Vec<&Process> = self.second.process(from.pid).into_iter().collect();
        while let Some(child) = line.last().copied()
            && line.len() <= self.second.processes.len()
        {
            let above = self.second.process(child.ppid).filter(|parent| {
                child.session == parent.session
                    && !is_job(parent, child)
                    && !observer.line.contains(&parent.pid)
            });
            match above {
                Some(parent) => line.push(parent),
                None => break,
            }
        }
        line
    }
}

/// Whether `child` is, or looks like, a job that `shell` keeps at a terminal.
fn is_job(shell: &Process, child: &Process) -> bool {
    shell.session == child.session
        && shell.session == shell.pid.0
        && shell.tty_nr > 0
        && shell.pgrp != child.pgrp
}
