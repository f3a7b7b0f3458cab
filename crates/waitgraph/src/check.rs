//! The checker: verifies a certificate against the two looks, and shares no code with what made it.
//!
//! It goes from each member back to the raw tables, works out anew who could wake it, and refuses unless the certificate
//! lists exactly these or more and every one of them is a member itself. Whatever it has no rule for, it refuses. Only it
//! can make a [`Proof`], and a verdict of deadlock cannot be written down without one.

use std::collections::BTreeSet;

use serde::Serialize;

use crate::awaited::Assumption;
use crate::certificate::{Certificate, Member};
use crate::descriptor::Table;
use crate::snapshot::{Freezer, Listing, Pid, PosixTimers, Process, Snapshot, State, Task};
use crate::wait::{SignalSet, Syscall, Wait};
use crate::waiting::{handles_signals_on_purpose, is_first_on_a_lock};
use crate::world::TaskId;

mod needed;
mod object;
mod signals;
mod terminal;

use needed::{Needed, exited};
use terminal::{Flow, is_under_way};

/// A certificate that was checked; nothing else makes one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct Proof {
    certificate: Certificate,
}

impl Proof {
    /// What was checked.
    pub fn certificate(&self) -> &Certificate {
        &self.certificate
    }

    /// Whether it stands on nothing but the closed world.
    pub fn is_strict(&self) -> bool {
        self.certificate.assumptions.is_empty()
    }
}

/// Why a certificate was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("failed to verify the certificate{}: {why}", at(.task))]
pub struct Refusal {
    task: Option<TaskId>,
    why: &'static str,
}

fn at(task: &Option<TaskId>) -> String {
    task.map(|t| format!(" at task {} of process {}", t.tid, t.pid))
        .unwrap_or_default()
}

/// Verifies `certificate` against two looks, the second taken after the first.
///
/// # Errors
/// A [`Refusal`] that names the first member found wanting, and why.
pub fn check(
    first: &Snapshot,
    second: &Snapshot,
    certificate: &Certificate,
) -> Result<Proof, Refusal> {
    let refuse = |why| Err(Refusal { task: None, why });
    if certificate.members.is_empty() {
        return refuse("it has no members");
    }
    let nobody_forked = first.scan.listing != Listing::Partial
        && first.scan.forks_before.is_some()
        && first.scan.forks_before == second.scan.forks_after;
    let complete = match second.scan.listing {
        Listing::Closed => true,
        Listing::Open => nobody_forked,
        Listing::Partial => false,
    };
    if !complete && !certificate.assumptions.contains(&Assumption::NobodyMissed) {
        return refuse("the scan may have missed a process, and that is not among its assumptions");
    }
    let claimed = || certificate.members.iter().chain(&certificate.relatives);
    let checker = Checker {
        first,
        second,
        certificate,
        members: claimed().map(|m| m.task).collect(),
    };
    let mut flows = Vec::new();
    for member in claimed() {
        let found = checker.member(member).map_err(|why| Refusal {
            task: Some(member.task),
            why,
        })?;
        flows.extend(found);
    }
    if is_under_way(&flows) {
        return refuse(
            "members wait for room and for data in one direction of a terminal: its bytes are under way",
        );
    }
    checker
        .family()
        .and_then(|()| checker.nobody_signals())
        .map_err(|why| Refusal { task: None, why })?;
    Ok(Proof {
        certificate: certificate.clone(),
    })
}

struct Checker<'a> {
    first: &'a Snapshot,
    second: &'a Snapshot,
    certificate: &'a Certificate,
    /// All that are claimed to be asleep for good: the deadlocked, and their relatives.
    members: BTreeSet<TaskId>,
}

impl Checker<'_> {
    /// Verifies one member; gives what it waits for at terminals.
    fn member(&self, member: &Member) -> Result<Vec<Flow>, &'static str> {
        let (process, task) =
            find(self.second, member.task).ok_or("it is not in the second look")?;
        let (before, task_before) =
            find(self.first, member.task).ok_or("it is not in the first look")?;
        if process.start_ticks != member.start_ticks || before.start_ticks != member.start_ticks {
            return Err("its number belongs to another process");
        }
        if task_before.syscall != task.syscall
            || task_before.wait != task.wait
            || task_before.state != task.state
        {
            return Err("the two looks differ");
        }
        let counts = (task.switches_voluntary, task.switches_involuntary);
        if counts
            != (
                task_before.switches_voluntary,
                task_before.switches_involuntary,
            )
            || counts.0.is_none()
            || counts.1.is_none()
        {
            return Err("it ran between the looks, or may have");
        }
        if !matches!(task.syscall, Syscall::Blocked { .. }) || task.wait != member.wait {
            return Err("it does not sleep in the call that is claimed");
        }
        let asleep = task.state == State::Sleeping
            || (task.state == State::Disk && task.wait == Wait::Vfork);
        let frozen = process.freezer == Freezer::Frozen
            || task
                .wchan
                .as_ref()
                .is_some_and(|w| w.as_bytes() == b"get_signal");
        if !asleep || frozen {
            return Err("it is not asleep in its call");
        }
        self.no_timer(process)?;
        let awaits_signal = Assumption::NoSignalAwaited { pid: process.pid };
        if is_first_on_a_lock(member.task, process)
            && handles_signals_on_purpose(process)
            && !self.assumes(&awaits_signal)
        {
            return Err("it may wait for a signal that it handles");
        }
        let needs = self.needed(process, task)?;
        self.covers(member, &needs.each)?;
        Ok(needs.flows)
    }

    fn covers(&self, member: &Member, needed: &[Needed]) -> Result<(), &'static str> {
        if needed.is_empty() || needed.len() != member.awaited.len() {
            return Err("what it waits for is not what is listed");
        }
        for ((fd, wakers), listed) in needed.iter().zip(&member.awaited) {
            if *fd != listed.fd || !wakers.is_subset(&listed.wakers) {
                return Err("somebody who can wake it is not listed");
            }
            for waker in &listed.wakers {
                if !self.members.contains(waker) && !self.is_inert(*waker) {
                    return Err("somebody who can wake it is not a member");
                }
            }
        }
        Ok(())
    }

    fn assumes(&self, assumption: &Assumption) -> bool {
        self.certificate.assumptions.contains(assumption)
    }

    fn is_inert(&self, waker: TaskId) -> bool {
        let assumed =
            |a: &Assumption| matches!(a, Assumption::InertHelper { task, .. } if *task == waker);
        find(self.second, waker).is_some_and(|(_, t)| matches!(t.wait, Wait::Futex { .. }))
            && self.certificate.assumptions.iter().any(assumed)
    }

    fn no_timer(&self, process: &Process) -> Result<(), &'static str> {
        let scan = &self.second.scan;
        let posix_timer = match &process.timers {
            PosixTimers::Listed(signals) => !signals.is_empty() && signals.as_slice() != [26],
            PosixTimers::Unread => !self.assumes(&Assumption::NoPosixTimer { pid: process.pid }),
        };
        let alarm = process
            .tasks
            .iter()
            .any(|t| t.signals.is_some_and(|s| s.caught.has(SignalSet::ALRM)))
            && !self.assumes(&Assumption::NoAlarm { pid: process.pid });
        if (posix_timer && scan.posix_timers != Some(0)) || (alarm && scan.real_timers != Some(0)) {
            return Err("a timer may be armed in it");
        }
        Ok(())
    }

    /// Processes whose tables are not known must be assumed to hold nothing, if they are of a member's family: one of
    /// the same session, a descendant, a parent, or an orphan that started no earlier than the first member. Init is
    /// none of them.
    fn family(&self) -> Result<(), &'static str> {
        let members: Vec<&Process> = self
            .members
            .iter()
            .filter_map(|m| self.second.process(m.pid))
            .collect();
        let is_member = |pid: Pid| members.iter().any(|m| m.pid == pid);
        let started = members.iter().map(|m| m.start_ticks).min();
        let unread = |p: &&Process| {
            let tables = p
                .tasks
                .iter()
                .filter_map(|t| t.own_table.as_ref())
                .chain([&p.table]);
            !exited(p)
                && p.pid.0 > 1
                && !is_member(p.pid)
                && tables.into_iter().any(|t| *t == Table::Unread)
        };
        for process in self.second.processes.iter().filter(unread) {
            let related = members.iter().any(|m| m.session == process.session)
                || members
                    .iter()
                    .any(|m| m.ppid == process.pid || self.descends(process, m.pid))
                || (process.ppid.0 <= 1 && started.is_some_and(|s| process.start_ticks >= s));
            if related && !self.assumes(&Assumption::HoldsNothing { pid: process.pid }) {
                return Err(
                    "a process of its family could not be read, and that is not among its assumptions",
                );
            }
        }
        Ok(())
    }

    fn descends(&self, process: &Process, from: Pid) -> bool {
        let mut at = process.ppid;
        // No line of descent is longer than there are processes, however torn the look may be.
        for _ in &self.second.processes {
            if at == from {
                return true;
            }
            match self.second.process(at) {
                Some(parent) => at = parent.ppid,
                None => return false,
            }
        }
        false
    }
}

fn find(snapshot: &Snapshot, id: TaskId) -> Option<(&Process, &Task)> {
    let process = snapshot.processes.iter().find(|p| p.pid == id.pid)?;
    Some((process, process.tasks.iter().find(|t| t.tid == id.tid)?))
}
