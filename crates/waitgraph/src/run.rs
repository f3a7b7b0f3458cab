//! Who belongs to one run: the processes that were started together, of which one may signal another.
//!
//! Nobody can tell from outside whom a process is going to signal, and root may signal everybody. But whoever ends a process on
//! purpose has its number by kinship: it started it, like a supervisor or timeout(1); it was started beside it, like
//! `(sleep 60; kill $pid) &` in a script; or it signals its own process group. So the run of a process is
//! - the tree of its session, below the shell that keeps it as a job of its own at a terminal (credentials(7)), and whoever
//!   descends from that tree's top, in whatever session;
//! - who made that session for it, if that is not init;
//! - its process group.
//!
//! Any program that leads a session at a terminal and gives its child a process group looks like that shell, and one that is none
//! may end the child in time: it is left out only while it sleeps as a shell does, which whoever judges has to see.
//!
//! Whoever looks, and whoever started him, ask and are in no run. Signals from outside the run (a person at the terminal, another
//! job of the shell, init, a stranger) are excluded by the closed world, which is printed.

use std::collections::{BTreeMap, BTreeSet};

use crate::snapshot::{Observer, Pid, Process};

/// How a process stands to others (proc_pid_stat(5)).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Kin {
    /// Its number.
    pub pid: Pid,
    /// Its parent.
    pub ppid: Pid,
    /// Its process group.
    pub pgrp: u32,
    /// Its session.
    pub session: u32,
    /// Its controlling terminal, 0 for none.
    pub tty_nr: u64,
}

impl From<&Process> for Kin {
    fn from(process: &Process) -> Self {
        Self {
            pid: process.pid,
            ppid: process.ppid,
            pgrp: process.pgrp,
            session: process.session,
            tty_nr: process.tty_nr,
        }
    }
}

/// A part of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Part {
    /// The tree below the uppermost of its session, and who made that session for it.
    Tree(Pid),
    /// A process group, by its number.
    Group(u32),
}

/// The runs of many processes.
#[derive(Debug)]
pub struct Runs {
    kin: BTreeMap<Pid, Kin>,
    observer: Observer,
    below: BTreeMap<Pid, Vec<Pid>>,
    children: BTreeMap<Pid, Vec<Pid>>,
    groups: BTreeMap<u32, Vec<Pid>>,
}

impl Runs {
    /// Sorts everybody who is known into runs, as `observer` sees them.
    pub fn new(everybody: impl IntoIterator<Item = Kin>, observer: Observer) -> Self {
        let mut runs = Self {
            kin: everybody.into_iter().map(|kin| (kin.pid, kin)).collect(),
            observer,
            below: BTreeMap::new(),
            children: BTreeMap::new(),
            groups: BTreeMap::new(),
        };
        let all: Vec<Kin> = runs.kin.values().copied().collect();
        for kin in all {
            let top = runs.top(kin);
            runs.below.entry(top.pid).or_default().push(kin.pid);
            runs.children.entry(kin.ppid).or_default().push(kin.pid);
            runs.groups.entry(kin.pgrp).or_default().push(kin.pid);
        }
        runs
    }

    /// The run of `pid`, itself among it unless it looks itself.
    pub fn of(&self, pid: Pid) -> BTreeSet<Pid> {
        self.of_all([pid])
    }

    /// The runs of all of `pids` together.
    pub fn of_all(&self, pids: impl IntoIterator<Item = Pid>) -> BTreeSet<Pid> {
        let parts = pids.into_iter().flat_map(|pid| self.parts(pid));
        let parts: BTreeSet<Part> = parts.collect();
        parts
            .into_iter()
            .flat_map(|part| self.members(part))
            .collect()
    }

    /// What the run of `pid` is made of. Many share a part, so whoever needs many runs looks at each part once.
    pub fn parts(&self, pid: Pid) -> Vec<Part> {
        let Some(kin) = self.kin.get(&pid) else {
            return Vec::new();
        };
        let mut parts = vec![Part::Tree(self.top(*kin).pid)];
        // A group whose number is hidden may be anybody's, and in the observers' own are those whom whoever asks has started.
        if kin.pgrp != 0 && !self.observer.groups.contains(&kin.pgrp) {
            parts.push(Part::Group(kin.pgrp));
        }
        parts
    }

    /// Who belongs to a part of a run, without whoever looks.
    pub fn members(&self, part: Part) -> BTreeSet<Pid> {
        let mut members = BTreeSet::new();
        match part {
            Part::Tree(top) => {
                members.extend(self.kin.get(&top).and_then(|top| self.maker(*top)));
                members.extend(self.below.get(&top).into_iter().flatten());
                members.extend(self.descendants(top));
            }
            Part::Group(group) => members.extend(self.groups.get(&group).into_iter().flatten()),
        }
        members.retain(|pid| !self.looks(*pid));
        members
    }

    /// The children of a process.
    pub fn children(&self, of: Pid) -> &[Pid] {
        self.children.get(&of).map_or(&[], Vec::as_slice)
    }

    /// Who seems to keep `pid` as a job at a terminal. He is in the run of `pid` unless he sleeps as a shell does.
    pub fn keeper_of_jobs(&self, pid: Pid) -> Option<Pid> {
        let top = self.top(*self.kin.get(&pid)?);
        let parent = self.kin.get(&top.ppid)?;
        let keeps = parent.session == top.session && keeps_as_job(*parent, top);
        (keeps && !self.looks(parent.pid)).then_some(parent.pid)
    }

    fn looks(&self, pid: Pid) -> bool {
        self.observer.line.contains(&pid) || self.observer.helpers.contains(&pid)
    }

    /// All who descend from `top`, whatever their session, but nobody by way of the observer.
    fn descendants(&self, top: Pid) -> BTreeSet<Pid> {
        let mut found = BTreeSet::from([top]);
        let mut open = vec![top];
        while let Some(pid) = open.pop() {
            if self.observer.line.contains(&pid) {
                continue;
            }
            let children = self.children.get(&pid).into_iter().flatten();
            open.extend(children.filter(|child| found.insert(**child)));
        }
        found
    }

    /// The uppermost of its session, below the observer's line and below a shell that has it as a job.
    fn top(&self, of: Kin) -> Kin {
        let mut at = of;
        // A torn look could show a loop, and no line is longer than there are processes.
        for _ in 0..self.kin.len() {
            match self.kin.get(&at.ppid) {
                Some(parent) if parent.session == at.session && !self.is_above(*parent, at) => {
                    at = *parent
                }
                _ => break,
            }
        }
        at
    }

    fn is_above(&self, parent: Kin, child: Kin) -> bool {
        keeps_as_job(parent, child) || self.observer.line.contains(&parent.pid)
    }

    fn maker(&self, top: Kin) -> Option<Pid> {
        let parent = self.kin.get(&top.ppid)?;
        (parent.session != top.session && parent.pid.0 > 1).then_some(parent.pid)
    }
}

fn keeps_as_job(parent: Kin, child: Kin) -> bool {
    let leads_at_terminal = parent.pid.0 == parent.session && parent.tty_nr != 0;
    leads_at_terminal && parent.pgrp != child.pgrp
}

#[cfg(test)]
mod tests {
    use super::*;

    /// pid, ppid, pgrp, session, at a terminal.
    fn runs(rows: &[(u32, u32, u32, u32, bool)], observer: Observer) -> Runs {
        let kin = |&(pid, ppid, pgrp, session, terminal): &(u32, u32, u32, u32, bool)| Kin {
            pid: Pid(pid),
            ppid: Pid(ppid),
            pgrp,
            session,
            tty_nr: u64::from(terminal),
        };
        Runs::new(rows.iter().map(kin), observer)
    }

    fn of(rows: &[(u32, u32, u32, u32, bool)], observer: Observer, pid: u32) -> Vec<u32> {
        let run = runs(rows, observer).of(Pid(pid));
        run.into_iter().map(|pid| pid.0).collect()
    }

    #[test]
    fn a_run_is_the_job_of_a_shell_at_a_terminal_and_not_the_other_jobs() {
        // init, terminal emulator, shell, job of two, another job.
        let rows = [
            (1, 0, 1, 1, false),
            (20, 1, 20, 20, false),
            (30, 20, 30, 30, true),
            (40, 30, 40, 30, true),
            (41, 40, 40, 30, true),
            (50, 30, 50, 30, true),
        ];
        assert_eq!(of(&rows, Observer::default(), 41), [40, 41]);
        assert_eq!(of(&rows, Observer::default(), 50), [50]);
        let keeper = |observer, pid| runs(&rows, observer).keeper_of_jobs(Pid(pid));
        assert_eq!(keeper(Observer::default(), 41), Some(Pid(30)));
        assert_eq!(keeper(Observer::default(), 30), None);
        let observer = Observer {
            line: vec![Pid(50), Pid(30), Pid(20), Pid(1)],
            ..Observer::default()
        };
        assert_eq!(keeper(observer, 41), None);
    }

    #[test]
    fn whoever_descends_from_the_top_is_of_the_run_unless_it_is_by_way_of_whoever_looks() {
        // A script, a member, a watchdog in a session of its own with a child in yet another, an orphan.
        let rows = [
            (20, 1, 20, 20, false),
            (21, 20, 20, 20, false),
            (30, 20, 30, 30, false),
            (31, 30, 31, 31, false),
            (40, 1, 40, 40, false),
        ];
        assert_eq!(of(&rows, Observer::default(), 21), [20, 21, 30, 31]);
        let observer = Observer {
            line: vec![Pid(30)],
            ..Observer::default()
        };
        assert_eq!(of(&rows, observer, 21), [20, 21]);
        let torn = [(20, 21, 20, 20, false), (21, 20, 21, 21, false)];
        assert_eq!(of(&torn, Observer::default(), 20), [20, 21]);
    }

    #[test]
    fn who_makes_a_session_for_a_command_is_of_its_run_and_init_is_not() {
        let rows = [
            (1, 0, 1, 1, false),
            (20, 1, 20, 20, false),
            (21, 20, 20, 20, false),
            (30, 20, 30, 30, false),
            (31, 30, 30, 30, false),
        ];
        assert_eq!(of(&rows, Observer::default(), 31), [20, 30, 31]);
        assert_eq!(of(&rows, Observer::default(), 21), [20, 21, 30, 31]);
        // One without job control at a terminal of its own, as pexpect starts it.
        let at_terminal = [(20, 1, 20, 20, false), (30, 20, 30, 30, true)];
        assert_eq!(of(&at_terminal, Observer::default(), 30), [20, 30]);
    }

    #[test]
    fn orphans_of_the_group_are_of_the_run_unless_the_group_is_hidden_or_the_observers() {
        let rows = |group| [(40, 1, group, 30, false), (60, 1, group, 31, false)];
        assert_eq!(of(&rows(40), Observer::default(), 40), [40, 60]);
        assert_eq!(of(&rows(0), Observer::default(), 40), [40]);
        let observer = Observer {
            groups: vec![9, 40],
            ..Observer::default()
        };
        assert_eq!(of(&rows(40), observer, 40), [40]);
    }

    #[test]
    fn who_looks_and_who_started_him_and_who_helps_him_are_in_no_run() {
        let rows = [
            (10, 1, 10, 10, false),
            (11, 10, 10, 10, false),
            (12, 11, 10, 10, false),
            (13, 12, 10, 10, false),
            (14, 12, 10, 10, false),
        ];
        let observer = |helpers: &[u32]| Observer {
            line: vec![Pid(11), Pid(10)],
            helpers: helpers.iter().map(|pid| Pid(*pid)).collect(),
            groups: vec![10],
        };
        assert_eq!(of(&rows, observer(&[]), 13), [12, 13, 14]);
        // What it adopts belongs together all the same.
        assert_eq!(of(&rows, observer(&[12]), 13), [13, 14]);
    }
}
