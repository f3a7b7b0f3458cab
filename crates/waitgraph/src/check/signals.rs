//! Who could end the wait of a member by a signal: everybody of its run must be asleep for good, or be assumed to send none.

use std::collections::BTreeSet;

use crate::awaited::Assumption;
use crate::snapshot::{Observer, Pid, Process};

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
        let Some(observer) = &self.second.scan.observer else {
            let is_assumed = !silent.is_empty();
            return is_assumed
                .then_some(())
                .ok_or("who could signal a member was not looked at, and that is not among its assumptions");
        };
        let deadlocked = self.certificate.members.iter().map(|m| m.task.pid);
        let deadlocked: BTreeSet<Pid> = deadlocked.collect();
        for member in deadlocked
            .iter()
            .filter_map(|pid| self.second.process(*pid))
        {
            for other in &self.second.processes {
                let is_silent = silent.iter().any(|pids| pids.contains(&other.pid))
                    || observer.line.contains(&other.pid)
                    || observer.helpers.contains(&other.pid);
                let sleeps = || {
                    let mut tasks = tasks_of(other).into_iter();
                    tasks.all(|t| self.members.contains(&t) || self.is_inert(t))
                };
                if !is_silent && self.is_kin(observer, member, other) && !sleeps() {
                    return Err(
                        "somebody of its run lives who could signal a member, and that he does not is not among its assumptions",
                    );
                }
            }
        }
        Ok(())
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
    }

    /// A process, its parent, and so on, as long as the session is one and nobody looks on or keeps jobs at a terminal.
    fn line(&self, observer: &Observer, from: &Process) -> Vec<&Process> {
        let mut line: Vec<&Process> = self.second.process(from.pid).into_iter().collect();
        while let Some(child) = line.last().copied()
            && line.len() <= self.second.processes.len()
        {
            let above = self.second.process(child.ppid).filter(|parent| {
                let is_job = parent.session == parent.pid.0
                    && parent.tty_nr > 0
                    && parent.pgrp != child.pgrp;
                child.session == parent.session && !is_job && !observer.line.contains(&parent.pid)
            });
            match above {
                Some(parent) => line.push(parent),
                None => break,
            }
        }
        line
    }
}
