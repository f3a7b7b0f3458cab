//! One pass over `/proc`: list, choose, read, and follow what blocked tasks wait for until nobody new is needed.

use std::collections::{BTreeMap, BTreeSet};

use pipeclog_waitgraph::run::{Kin, Part, Runs};
use pipeclog_waitgraph::snapshot::{
    Facet, FileLock, GapKind, Listing, Observer, Pid, Process, SCHEMA_VERSION, Scan, Snapshot,
    Untrusted,
};

use crate::gaps::{Gaps, Owner};
use crate::holders::Holders;
use crate::index::Index;
use crate::locks;
use crate::memo::Memo;
use crate::needs::{self, Kinship, Need};
use crate::parse::{Lock, Stat, Status, TimerCounts, boot_ms, forks, timer_counts};
use crate::process::{self, ProcessReader};
use crate::scanner::Selection;
use crate::share::{WORTH_A_THREAD, in_shares, in_shares_from};
use crate::sockets::Sockets;
use crate::source::{Cause, Facts, ReadError, Source};
use crate::suspects;

/// How often `/proc` is listed again for processes that came in the meantime.
const MOST_LISTINGS: u32 = 4;

/// See the module.
pub(crate) struct Pass<'a> {
    source: &'a dyn Source,
    facts: Facts,
    memo: &'a mut Memo,
    gaps: Gaps,
    /// From how many processes on they are listed by several threads.
    worth_a_thread: usize,
    stats: BTreeMap<u32, Stat>,
    index: Index,
    sockets: Sockets,
    /// Read once somebody waits for one: the kernel waits for all its processors to list them.
    locks: Option<Vec<FileLock>>,
    family: BTreeSet<u32>,
    processes: BTreeMap<u32, Process>,
    /// Those whose waits were followed. Of the others who were read, it is enough to see them asleep.
    followed: BTreeSet<u32>,
    needs: BTreeSet<Need>,
    /// Who may signal whom, of those that were listed.
    runs: Runs,
    /// Whose run was read.
    runs_of: BTreeSet<Pid>,
    /// Who is traced by whom, of those who were asked: only if somebody waits for children, and each once.
    tracers: BTreeMap<u32, Option<u32>>,
}

/// Whether whoever waits is known to be woken in the end, so that nobody else needs to be looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Settled {
    Yes,
    No,
}

/// Runs one pass.
pub(crate) fn run(
    source: &dyn Source,
    selection: &Selection,
    memo: &mut Memo,
) -> Result<Snapshot, ReadError> {
    let mut pass = Pass::new(source, memo, Gaps::new(source, source.facts()));
    pass.memo.freezers.clear();
    let at_ms = machine_file(source, "uptime", boot_ms).unwrap_or(0);
    let forks_before = machine_file(source, "stat", forks);
    pass.list()?;
    pass.choose(selection);
    pass.read_family();
    let listing = pass.follow()?;
    pass.add_unread();
    let timers = pass.timer_counts();
    let observer = pass.observer();
    let forks_after = machine_file(source, "stat", forks);
    let mut text = Vec::new();
    let kernel = source
        .read("sys/kernel/osrelease", &mut text)
        .map(|()| text.trim_ascii().to_vec());
    Ok(Snapshot {
        schema_version: SCHEMA_VERSION,
        scan: Scan {
            at_ms,
            ticks_per_second: pass.facts.ticks_per_second,
            kernel: Untrusted::new(kernel.unwrap_or_default()),
            forks_before,
            forks_after,
            listing: if pass.gaps.hides_processes() {
                Listing::Partial
            } else {
                listing
            },
            real_timers: timers.map(|counts| counts.real),
            posix_timers: timers.map(|counts| counts.posix),
            observer_uid: pass.facts.uid,
            observer,
            runs_of: pass.runs_of.into_iter().collect(),
            dropped_before: 0,
        },
        processes: pass.processes.into_values().collect(),
        locks: pass.locks.unwrap_or_default(),
        peeks: Vec::new(),
        gaps: pass.gaps.into_list(),
    })
}

/// A number from a file of the machine.
pub(crate) fn machine_file<T>(
    source: &dyn Source,
    path: &str,
    parse: fn(&[u8]) -> Option<T>,
) -> Option<T> {
    let mut text = Vec::new();
    source.read(path, &mut text).ok()?;
    parse(&text)
}

/// The processes of a selection, without whom they wait for.
pub(crate) fn family(
    source: &dyn Source,
    selection: &Selection,
    memo: &mut Memo,
) -> Result<BTreeSet<u32>, ReadError> {
    let mut pass = Pass::new(source, memo, Gaps::unread(source.facts()));
    // A thread of ours would count as one who was born, and whoever takes pulses would have to list again for it each time.
    if *selection != Selection::Machine {
        pass.worth_a_thread = usize::MAX;
    }
    pass.list()?;
    pass.choose(selection);
    Ok(pass.family)
}

impl<'a> Pass<'a> {
    fn new(source: &'a dyn Source, memo: &'a mut Memo, gaps: Gaps) -> Self {
        Self {
            source,
            facts: source.facts(),
            memo,
            gaps,
            worth_a_thread: WORTH_A_THREAD,
            stats: BTreeMap::new(),
            index: Index::default(),
            sockets: Sockets::default(),
            locks: None,
            family: BTreeSet::new(),
            processes: BTreeMap::new(),
            followed: BTreeSet::new(),
            needs: BTreeSet::new(),
            runs: Runs::new([], Observer::default()),
            runs_of: BTreeSet::new(),
            tracers: BTreeMap::new(),
        }
    }

    /// Lists the processes; returns those that were not known.
    fn list(&mut self) -> Result<Vec<u32>, ReadError> {
        let pids = self.source.numbers(".")?.into_iter();
        let unknown: Vec<u32> = pids.filter(|pid| !self.stats.contains_key(pid)).collect();
        let source = self.source;
        let stats = in_shares_from(self.worth_a_thread, &unknown, |share| {
            let mut text = Vec::new();
            let read = |&pid: &u32| (pid, stat(source, pid, &mut text));
            share.iter().map(read).collect::<Vec<_>>()
        });
        let mut new = Vec::new();
        for (pid, stat) in stats.into_iter().flatten() {
            match stat {
                Ok(stat) if stat.is_reaped() => {}
                Ok(stat) => {
                    if !stat.is_kernel_worker() {
                        new.push(pid);
                    }
                    // A kernel thread is kept too, so that it is not read again.
                    self.stats.insert(pid, stat);
                }
                Err(error) if error.cause == Cause::Gone => {}
                Err(error) => {
                    let owner = Owner {
                        pid,
                        tid: None,
                        uid: None,
                    };
                    self.gaps.of(owner, Facet::Process, &error);
                }
            }
        }
        Ok(new)
    }

    fn choose(&mut self, selection: &Selection) {
        let programs = self.stats.values().filter(|stat| !stat.is_kernel_worker());
        match selection {
            Selection::Tree(roots) => {
                self.family = roots.iter().map(|pid| pid.0).collect();
                // Ascending pids are not ascending ages once numbers wrap: repeat until nothing is added.
                loop {
                    let before = self.family.len();
                    let children = programs
                        .clone()
                        .filter(|stat| self.family.contains(&stat.ppid));
                    let found: Vec<u32> = children.map(|stat| stat.pid).collect();
                    self.family.extend(found);
                    if self.family.len() == before {
                        break;
                    }
                }
            }
            Selection::Session(session) => {
                self.family = programs
                    .filter(|stat| stat.session == *session)
                    .map(|stat| stat.pid)
                    .collect();
            }
            Selection::Machine => {
                let programs: Vec<&Stat> = programs.collect();
                let (source, facts) = (self.source, self.facts);
                let suspects = in_shares(&programs, |share| {
                    let suspects = share
                        .iter()
                        .filter(|stat| suspects::is_suspect(source, facts, stat));
                    suspects.map(|stat| stat.pid).collect::<Vec<_>>()
                });
                self.family = suspects.into_iter().flatten().collect();
            }
        }
        for &pid in &self.family {
            if !self.stats.contains_key(&pid) {
                let error = ReadError::new("find process", &pid.to_string(), Cause::Gone);
                self.gaps.of(
                    Owner {
                        pid,
                        tid: None,
                        uid: None,
                    },
                    Facet::Process,
                    &error,
                );
            }
        }
    }

    fn read_family(&mut self) {
        let family = self.family.clone();
        self.read(&family);
        for pid in family {
            self.include(pid);
            self.needs.insert(Need::Run(Pid(pid)));
        }
    }

    /// Reads a process, and notes what its blocked tasks need, each once.
    fn include(&mut self, pid: u32) {
        if !self.stats.contains_key(&pid) || !self.followed.insert(pid) {
            return;
        }
        self.read(&BTreeSet::from([pid]));
        let kinship = self.kinship(pid);
        if let Some(process) = self.processes.get(&pid) {
            self.needs.extend(needs::of(process, kinship));
        }
    }

    fn kinship(&self, pid: u32) -> Kinship {
        match self.family.contains(&pid) {
            true => Kinship::Family,
            false => Kinship::Stranger,
        }
    }

    /// Reads those of them who were not yet.
    fn read(&mut self, pids: &BTreeSet<u32>) {
        let unread = pids.iter().filter(|pid| !self.processes.contains_key(pid));
        let stats = unread.filter_map(|pid| self.stats.get(pid));
        let programs = stats.filter(|stat| !stat.is_kernel_worker());
        let wanted: Vec<(&Stat, Kinship)> = programs
            .map(|stat| (stat, self.kinship(stat.pid)))
            .collect();
        let reader = ProcessReader::new(self.source, self.memo);
        for mut process in reader.read_all(&wanted, &mut self.gaps) {
            self.sockets.fill(self.source, &mut process, &mut self.gaps);
            self.processes.insert(process.pid.0, process);
        }
    }

    /// Looks at every process of the machine for what is needed, until nobody new is needed and nobody new has come.
    fn follow(&mut self) -> Result<Listing, ReadError> {
        for _ in 0..MOST_LISTINGS {
            self.index_all();
            self.close();
            if self.list()?.is_empty() {
                return Ok(Listing::Closed);
            }
        }
        Ok(Listing::Open)
    }

    fn index_all(&mut self) {
        let programs = self
            .stats
            .iter()
            .filter(|(_, stat)| !stat.is_kernel_worker());
        let unvisited = programs.filter(|(pid, _)| !self.index.has_visited(**pid));
        let directories = unvisited.map(|(&pid, stat)| {
            let speaker = match (stat.state, stat.threads) {
                (b'Z', 2..) => living_thread(self.source, pid),
                _ => None,
            };
            (pid, format!("{}/fd", speaker.unwrap_or(pid)))
        });
        let directories: Vec<(u32, String)> = directories.collect();
        self.index.visit_all(self.source, &directories);
        // Who moves an end from one number to another while he is visited may seem to have it under neither.
        let runs = |pid: &u32| self.stats.get(pid).is_some_and(|stat| stat.state == b'R');
        let running = directories.into_iter().filter(|(pid, _)| runs(pid));
        let running: Vec<(u32, String)> = running.collect();
        self.index.visit_all(self.source, &running);
    }

    fn close(&mut self) {
        self.runs = self.sort_into_runs();
        let mut done: BTreeSet<Need> = BTreeSet::new();
        let mut parts: BTreeSet<Part> = BTreeSet::new();
        loop {
            let open: Vec<Need> = self.needs.difference(&done).copied().collect();
            if open.is_empty() {
                return;
            }
            let holders = open
                .into_iter()
                .map(|need| (need, self.holders(need, &mut parts)));
            let open: Vec<(Need, BTreeSet<u32>)> = holders.collect();
            // Of children, one may be enough.
            let whole = open
                .iter()
                .filter(|(need, _)| !matches!(need, Need::AnyChild(_)));
            let whole: BTreeSet<u32> = whole.flat_map(|(_, pids)| pids).copied().collect();
            self.read(&whole.difference(&self.followed).copied().collect());
            for (need, holders) in open {
                done.insert(need);
                if self.fill(need, holders) == Settled::No
                    && let Need::Children(parent) | Need::AnyChild(parent) = need
                {
                    self.needs.insert(Need::Traced(parent));
                }
            }
        }
    }

    /// Reads whoever is needed for one thing.
    fn fill(&mut self, need: Need, holders: BTreeSet<u32>) -> Settled {
        if let Need::Run(pid) = need {
            self.runs_of.insert(pid);
            if let Some(Pid(keeper)) = self.runs.keeper_of_jobs(pid) {
                self.read(&BTreeSet::from([keeper]));
            }
        }
        for pid in holders {
            self.include(pid);
            // Whom only a run brings in is no member: who could signal him is not asked.
            if !matches!(need, Need::Run(_)) {
                self.needs.insert(Need::Run(Pid(pid)));
            }
            let lives = || self.processes.get(&pid).is_some_and(needs::is_live);
            if matches!(need, Need::AnyChild(_)) && lives() {
                return Settled::Yes;
            }
        }
        Settled::No
    }

    /// `parts` are those parts of runs that were asked for already.
    fn holders(&mut self, need: Need, parts: &mut BTreeSet<Part>) -> BTreeSet<u32> {
        match need {
            Need::Children(parent) | Need::AnyChild(parent) => {
                let children = self.runs.children(parent).iter();
                children.map(|pid| pid.0).collect()
            }
            Need::Traced(tracer) => self.traced_by(tracer),
            Need::Process(pid) => BTreeSet::from([pid.0]),
            Need::Run(pid) => {
                let new = self.runs.parts(pid).into_iter();
                let new = new.filter(|part| parts.insert(*part));
                let members = new.flat_map(|part| self.runs.members(part));
                members.map(|pid| pid.0).collect()
            }
            Need::Locks(file) => {
                let locks = self.known_locks().iter().filter(|lock| lock.file == file);
                let pids = locks.flat_map(|lock| lock.holder.iter().chain(&lock.waiters));
                pids.map(|pid| pid.0).collect()
            }
            _ => Holders {
                source: self.source,
                index: &mut self.index,
                stats: &self.stats,
            }
            .of(need),
        }
    }

    fn sort_into_runs(&self) -> Runs {
        let programs = self.stats.values().filter(|stat| !stat.is_kernel_worker());
        let kin = programs.map(|stat| Kin {
            pid: Pid(stat.pid),
            ppid: Pid(stat.ppid),
            pgrp: stat.pgrp,
            session: stat.session,
            tty_nr: u64::from(stat.tty_nr),
        });
        Runs::new(kin, self.observer())
    }

    /// This process and whoever started it; nobody where the root is another namespace's, or a recording without it.
    fn observer(&self) -> Observer {
        let me = stat(self.source, "self", &mut Vec::new());
        let own = me.ok();
        let parent = |stat: &&Stat| self.stats.get(&stat.ppid);
        let line = || std::iter::successors(own.as_ref(), parent).take(self.stats.len() + 1);
        let mut groups: Vec<u32> = line().map(|stat| stat.pgrp).collect();
        groups.dedup();
        Observer {
            line: line().map(|stat| Pid(stat.pid)).collect(),
            helpers: self.memo.helpers.clone(),
            groups,
        }
    }

    /// Those whom a process traces, and which wait4(2) reports as well. Only they say so: all are asked, once.
    fn traced_by(&mut self, tracer: Pid) -> BTreeSet<u32> {
        let programs = self.stats.values().filter(|stat| !stat.is_kernel_worker());
        let pids = programs.map(|stat| stat.pid);
        let unasked: Vec<u32> = pids.filter(|pid| !self.tracers.contains_key(pid)).collect();
        let source = self.source;
        let asked = in_shares(&unasked, |share| {
            let ask = |&pid: &u32| (pid, status(source, pid).map(|status| status.tracer));
            share.iter().map(ask).collect::<Vec<_>>()
        });
        self.tracers.extend(asked.into_iter().flatten());
        let traced = self.tracers.iter().filter(|(_, by)| **by == Some(tracer.0));
        traced.map(|(pid, _)| *pid).collect()
    }

    /// Adds those whose descriptors we may not see: any of them may hold anything.
    fn add_unread(&mut self) {
        for (&pid, error) in &self.index.unread {
            let Some(stat) = self.stats.get(&pid) else {
                continue;
            };
            if self.processes.contains_key(&pid) {
                continue;
            }
            let uid = status(self.source, pid).map(|status| status.uids[0]);
            self.gaps.of(
                Owner {
                    pid,
                    tid: None,
                    uid,
                },
                Facet::Descriptors,
                error,
            );
            self.processes.insert(pid, process::unseen(stat, uid));
        }
    }

    fn known_locks(&mut self) -> &[FileLock] {
        let locks = match self.locks.take() {
            Some(locks) => locks,
            None => self.read_locks(),
        };
        self.locks.insert(locks)
    }

    fn read_locks(&mut self) -> Vec<FileLock> {
        let text = match self.source.read_list("locks") {
            Ok(text) => text,
            Err(error) => {
                self.gaps.machine_read(Facet::Locks, &error);
                return Vec::new();
            }
        };
        let (lines, unread) = Lock::parse_all(&text);
        if unread > 0 {
            let why = format!("failed to parse {unread} lines of /proc/locks");
            self.gaps
                .machine(GapKind::Malformed, Facet::Locks, why, None);
        }
        locks::gather(&lines)
    }

    fn timer_counts(&mut self) -> Option<TimerCounts> {
        match self.source.read_bounded("timer_list") {
            Ok(text) => timer_counts(&text),
            Err(error) => {
                self.gaps.machine_read(Facet::Timers, &error);
                None
            }
        }
    }
}

/// The first thread of a process, other than its exited leader.
fn living_thread(source: &dyn Source, pid: u32) -> Option<u32> {
    let tids = source.numbers(&format!("{pid}/task")).ok()?;
    tids.into_iter().find(|&tid| tid != pid)
}

fn stat(
    source: &dyn Source,
    pid: impl std::fmt::Display,
    text: &mut Vec<u8>,
) -> Result<Stat, ReadError> {
    let path = format!("{pid}/stat");
    source.read(&path, text)?;
    Stat::parse(text).map_err(|_| ReadError::new("parse", &path, Cause::Malformed))
}

fn status(source: &dyn Source, pid: u32) -> Option<Status> {
    let mut text = Vec::new();
    source.read(&format!("{pid}/status"), &mut text).ok()?;
    Status::parse(&text).ok()
}
