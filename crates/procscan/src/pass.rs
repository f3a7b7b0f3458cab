//! One pass over `/proc`: list, choose, read, and follow what blocked tasks wait for until nobody new is needed.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use pipeclog_waitgraph::snapshot::{
    Facet, FileLock, GapKind, Listing, Pid, Process, SCHEMA_VERSION, Scan, Snapshot, Untrusted,
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
use crate::sockets::Sockets;
use crate::source::{Cause, Facts, ReadError, Source};

/// How often `/proc` is listed again for processes that came in the meantime.
const MOST_LISTINGS: u32 = 4;

/// See the module.
pub(crate) struct Pass<'a> {
    source: &'a dyn Source,
    facts: Facts,
    memo: &'a mut Memo,
    gaps: Gaps,
    stats: BTreeMap<u32, Stat>,
    index: Index,
    sockets: Sockets,
    locks: Vec<FileLock>,
    family: BTreeSet<u32>,
    processes: BTreeMap<u32, Process>,
    needs: BTreeSet<Need>,
    /// Who is traced, and by whom; asked for only if somebody waits for children.
    tracers: Option<Vec<(u32, u32)>>,
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
    pass.read_locks();
    pass.list()?;
    pass.choose(selection);
    pass.read_family();
    let listing = pass.follow()?;
    pass.add_unread();
    let timers = pass.timer_counts();
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
        },
        processes: pass.processes.into_values().collect(),
        locks: pass.locks,
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
            stats: BTreeMap::new(),
            index: Index::default(),
            sockets: Sockets::default(),
            locks: Vec::new(),
            family: BTreeSet::new(),
            processes: BTreeMap::new(),
            needs: BTreeSet::new(),
            tracers: None,
        }
    }

    /// Lists the processes; returns those that were not known.
    fn list(&mut self) -> Result<Vec<u32>, ReadError> {
        let mut new = Vec::new();
        let mut text = Vec::new();
        for pid in self.source.numbers(".")? {
            if self.stats.contains_key(&pid) {
                continue;
            }
            let path = format!("{pid}/stat");
            let error = match self.source.read(&path, &mut text) {
                Ok(()) => match Stat::parse(&text) {
                    Ok(stat) if stat.is_reaped() => continue,
                    Ok(stat) => {
                        if !stat.is_kernel_worker() {
                            new.push(pid);
                        }
                        // A kernel thread is kept too, so that it is not read again.
                        self.stats.insert(pid, stat);
                        continue;
                    }
                    Err(_) => ReadError::new("parse", &path, Cause::Malformed),
                },
                Err(error) => error,
            };
            if error.cause != Cause::Gone {
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
                let suspects: Vec<u32> = programs
                    .filter(|stat| crate::suspects::is_suspect(self.source, self.facts, stat))
                    .map(|stat| stat.pid)
                    .collect();
                self.family = suspects.into_iter().collect();
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
        for pid in self.family.clone() {
            self.include(pid);
        }
    }

    /// Reads a process, and notes what its blocked tasks need.
    fn include(&mut self, pid: u32) {
        let Some(stat) = self.stats.get(&pid).filter(|stat| !stat.is_kernel_worker()) else {
            return;
        };
        let kinship = match self.family.contains(&pid) {
            true => Kinship::Family,
            false => Kinship::Stranger,
        };
        let reader = ProcessReader {
            source: self.source,
            facts: self.facts,
        };
        let read = reader.read(stat, kinship, self.memo, &mut self.gaps);
        let Some(mut process) = read else {
            return;
        };
        self.sockets.fill(self.source, &mut process, &mut self.gaps);
        self.needs.extend(needs::of(&process, kinship));
        self.processes.insert(pid, process);
    }

    /// Looks at every process of the machine for what is needed, until nobody new is needed and nobody new has come.
    fn follow(&mut self) -> Result<Listing, ReadError> {
        for _ in 0..MOST_LISTINGS {
            self.tracers = None;
            self.index_all();
            self.close();
            if self.list()?.is_empty() {
                return Ok(Listing::Closed);
            }
        }
        Ok(Listing::Open)
    }

    fn index_all(&mut self) {
        for (&pid, stat) in &self.stats {
            if stat.is_kernel_worker() || self.index.has_visited(pid) {
                continue;
            }
            let directory = match (stat.state, stat.threads) {
                (b'Z', 2..) => living_thread(self.source, pid),
                _ => None,
            };
            let speaker = directory.unwrap_or(pid);
            self.index.visit(self.source, pid, &format!("{speaker}/fd"));
        }
    }

    fn close(&mut self) {
        let mut done: BTreeSet<Need> = BTreeSet::new();
        loop {
            let open: VecDeque<Need> = self.needs.difference(&done).copied().collect();
            if open.is_empty() {
                return;
            }
            for need in open {
                done.insert(need);
                for pid in self.holders(need) {
                    if !self.processes.contains_key(&pid) {
                        self.include(pid);
                    }
                    let settles = matches!(need, Need::AnyChild(_));
                    if settles && self.processes.get(&pid).is_some_and(needs::is_live) {
                        break;
                    }
                }
            }
        }
    }

    fn holders(&mut self, need: Need) -> BTreeSet<u32> {
        match need {
            Need::Children(parent) | Need::AnyChild(parent) => self.children(parent),
            Need::Process(pid) => BTreeSet::from([pid.0]),
            Need::Locks(file) => {
                let locks = self.locks.iter().filter(|lock| lock.file == file);
                let pids = locks.flat_map(|lock| lock.holder.iter().chain(&lock.waiters));
                pids.map(|pid| pid.0).collect()
            }
            _ => Holders {
                source: self.source,
                index: &self.index,
                stats: &self.stats,
            }
            .of(need),
        }
    }

    /// Children, and those whom the process traces: wait4 reports both.
    fn children(&mut self, parent: Pid) -> BTreeSet<u32> {
        let source = self.source;
        let programs = self.stats.values().filter(|stat| !stat.is_kernel_worker());
        let mut found: BTreeSet<u32> = programs
            .clone()
            .filter(|stat| stat.ppid == parent.0)
            .map(|stat| stat.pid)
            .collect();
        // Whom a process traces, only the traced say: all of them are asked, once.
        let tracers = self.tracers.get_or_insert_with(|| {
            programs
                .filter_map(|stat| Some((stat.pid, tracer(source, stat.pid)?)))
                .collect()
        });
        found.extend(
            tracers
                .iter()
                .filter(|(_, tracer)| *tracer == parent.0)
                .map(|(pid, _)| *pid),
        );
        found
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

    fn read_locks(&mut self) {
        let text = match self.source.read_list("locks") {
            Ok(text) => text,
            Err(error) => return self.gaps.machine_read(Facet::Locks, &error),
        };
        let (lines, unread) = Lock::parse_all(&text);
        if unread > 0 {
            let why = format!("failed to parse {unread} lines of /proc/locks");
            self.gaps
                .machine(GapKind::Malformed, Facet::Locks, why, None);
        }
        self.locks = locks::gather(&lines);
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

fn status(source: &dyn Source, pid: u32) -> Option<Status> {
    let mut text = Vec::new();
    source.read(&format!("{pid}/status"), &mut text).ok()?;
    Status::parse(&text).ok()
}

fn tracer(source: &dyn Source, pid: u32) -> Option<u32> {
    status(source, pid)
        .map(|status| status.tracer)
        .filter(|&tracer| tracer != 0)
}
