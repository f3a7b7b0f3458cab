//! One process, whole: who it is, its tasks, its descriptors.

use std::sync::{Mutex, MutexGuard, PoisonError};

use pipeclog_waitgraph::snapshot::{
    Abi, Facet, Freezer, GoProgram, Namespaces, Pid, PosixTimers, Process, Syscall, Table, Task,
    Tid, Timeout, Toolchain, Untrusted, Wait,
};

use crate::gaps::{Gaps, Owner};
use crate::memo::Memo;
use crate::memory::Memory;
use crate::needs::Kinship;
use crate::parse::{
    CgroupPath, Stat, Status, WordSize, cgroups, is_frozen, timer_signals, word_size,
};
use crate::share::{PROCESSES_WORTH_A_THREAD, in_shares_from};
use crate::source::{Cause, Facts, ReadError, Source};
use crate::table::{Links, Pace, TableReader};
use crate::task::{self, TaskText};
use crate::toolchain;

/// Reads processes for one pass, on several threads if there are many.
pub(crate) struct ProcessReader<'a> {
    source: &'a dyn Source,
    facts: Facts,
    memo: Mutex<&'a mut Memo>,
}

impl<'a> ProcessReader<'a> {
    pub(crate) fn new(source: &'a dyn Source, memo: &'a mut Memo) -> Self {
        Self {
            source,
            facts: source.facts(),
            memo: Mutex::new(memo),
        }
    }

    /// Reads many processes; those that ended are missing.
    pub(crate) fn read_all(&self, wanted: &[(&Stat, Kinship)], gaps: &mut Gaps) -> Vec<Process> {
        let empty = gaps.empty();
        let shares = in_shares_from(PROCESSES_WORTH_A_THREAD, wanted, |share| {
            let mut gaps = empty.clone();
            let read = |(stat, kinship): &(&Stat, Kinship)| self.read(stat, *kinship, &mut gaps);
            let processes: Vec<Process> = share.iter().filter_map(read).collect();
            (processes, gaps)
        });
        let mut all = Vec::with_capacity(wanted.len());
        for (processes, found) in shares {
            all.extend(processes);
            gaps.add(found);
        }
        all
    }

    /// Reads a process; `None` if it ended. Its stat has been read to find it.
    pub(crate) fn read(&self, stat: &Stat, kinship: Kinship, gaps: &mut Gaps) -> Option<Process> {
        let pid = stat.pid;
        let mut owner = Owner {
            pid,
            tid: None,
            uid: None,
        };
        let status = self.status(owner, gaps)?;
        owner.uid = status.as_ref().map(|status| status.uids[0]);
        let texts = self.tasks(owner, gaps)?;
        if texts.is_empty() {
            return Some(unseen(stat, owner.uid));
        }
        // A leader that has exited has no files and no memory of its own; a living thread speaks for it.
        let alive = |text: &&TaskText| !matches!(text.stat.state, b'Z' | b'X');
        let leader = texts.iter().find(|text| text.tid == pid && alive(text));
        // Numbers wrap: a thread's may be below its leader's.
        let speaker = leader.or_else(|| texts.iter().find(alive));
        let speaker = speaker.map_or(pid, |text| text.tid);
        let base = speaker.to_string();
        let tables = TableReader {
            source: self.source,
            owner,
            tty_nr: stat.tty_nr,
            directory: &base,
        };
        let sleeps =
            |text: &TaskText| matches!(text.call, Syscall::Blocked { .. }) || !alive(&text);
        let pace = match texts.iter().all(sleeps) {
            true => Pace::Asleep,
            false => Pace::Running,
        };
        // What has exited holds nothing.
        let (table, links) = match texts.iter().any(|text| alive(&text)) {
            true => tables.read(pace, gaps),
            false => (Table::Complete(Vec::new()), Links::new()),
        };
        let abi = self.abi(&base);
        let memory = Memory::new(self.source, speaker, abi);
        let mut tasks = Vec::with_capacity(texts.len());
        for text in texts {
            tasks.push(self.task(text, &tables, &memory, (&table, &links), gaps));
        }
        let cmdline = self.cmdline(owner, stat, gaps);
        Some(Process {
            pid: Pid(pid),
            start_ticks: stat.start_ticks,
            ppid: Pid(stat.ppid),
            pgrp: stat.pgrp,
            session: stat.session,
            tty_nr: u64::from(stat.tty_nr),
            uid: owner.uid,
            tracer: status
                .as_ref()
                .map(|s| s.tracer)
                .filter(|&tracer| tracer != 0)
                .map(Pid),
            ns_pids: status.map(|status| status.ns_pids).unwrap_or_default(),
            exe: self
                .source
                .link(&format!("{base}/exe"))
                .ok()
                .map(Untrusted::new),
            comm: Untrusted::new(stat.comm.clone()),
            cmdline,
            memory: None,
            abi,
            go_program: self.go_program(&tasks, &memory),
            toolchain: Toolchain::NotLooked,
            namespaces: self.namespaces(&base, kinship),
            timers: self.timers(owner, &base, gaps),
            freezer: self.freezer(&base),
            table,
            tasks,
        })
    }

    /// `None` if the process is gone, an empty status if it may not be read.
    #[expect(
        clippy::option_option,
        reason = "gone, unreadable and read are three outcomes of one read"
    )]
    fn status(&self, owner: Owner, gaps: &mut Gaps) -> Option<Option<Status>> {
        let path = format!("{}/status", owner.pid);
        let mut text = Vec::new();
        let error = match self.source.read(&path, &mut text) {
            Ok(()) => match Status::parse(&text) {
                Ok(status) => return Some(Some(status)),
                Err(_) => ReadError::new("parse", &path, Cause::Malformed),
            },
            Err(error) => error,
        };
        gaps.of(owner, Facet::Status, &error);
        match error.cause {
            Cause::Gone => None,
            _ => Some(None),
        }
    }

    /// `None` if the process is gone, no tasks if they are not shown.
    fn tasks(&self, owner: Owner, gaps: &mut Gaps) -> Option<Vec<TaskText>> {
        let path = format!("{}/task", owner.pid);
        let error = match self.source.numbers(&path) {
            Ok(tids) => {
                let read = |tid| task::read(self.source, owner, tid, gaps);
                let texts: Vec<_> = tids.into_iter().filter_map(read).collect();
                if !texts.is_empty() {
                    return Some(texts);
                }
                ReadError::new("read the tasks of", &path, Cause::Gone)
            }
            Err(error) => error,
        };
        gaps.of(owner, Facet::Process, &error);
        match error.cause {
            Cause::Gone => None,
            _ => Some(Vec::new()),
        }
    }

    fn task(
        &self,
        text: TaskText,
        tables: &TableReader<'_>,
        memory: &Memory<'_>,
        (shared, links): (&Table, &Links),
        gaps: &mut Gaps,
    ) -> Task {
        let directory = format!("{}/task/{}", tables.owner.pid, text.tid);
        let own = TableReader {
            directory: &directory,
            ..*tables
        };
        let speaks = text.tid.to_string() == tables.directory;
        let own_table = match speaks || matches!(text.stat.state, b'Z' | b'X') {
            true => None,
            false => own_table(&own, links, gaps),
        };
        let table = own_table.as_ref().unwrap_or(shared);
        let mut task = text.into_task(self.source, tables.owner, memory, table, gaps);
        task.own_table = own_table;
        task
    }

    fn abi(&self, base: &str) -> Abi {
        let mut auxv = Vec::new();
        let size = match self.source.read(&format!("{base}/auxv"), &mut auxv) {
            Ok(()) => word_size(&auxv),
            Err(_) => None,
        };
        match (self.facts.abi, size) {
            (Abi::X86_64, Some(WordSize::Four)) => Abi::I386,
            // 32-bit Arm has a table of its own, which we lack.
            (Abi::Aarch64, Some(WordSize::Four)) => Abi::Unknown,
            // Without a vector (a zombie, no permission) there is no call to decode either.
            (abi, _) => abi,
        }
    }

    fn cmdline(&self, owner: Owner, stat: &Stat, gaps: &mut Gaps) -> Vec<Untrusted> {
        let key = (stat.pid, stat.start_ticks, stat.arguments.start);
        if let Some(known) = self.memo().cmdlines.get(&key) {
            return known.clone();
        }
        // Since 4.17 the kernel takes no argument from a page of a file (CVE-2018-1120), so that a hung file system
        // hangs nobody here; the target's map is still locked for it.
        match self.source.read_bounded(&format!("{}/cmdline", stat.pid)) {
            Ok(text) if text.is_empty() => Vec::new(),
            Ok(text) => {
                let text = text.strip_suffix(b"\0").unwrap_or(&text);
                let words: Vec<_> = text.split(|&byte| byte == 0).map(Untrusted::new).collect();
                // Without permission the place is 0, and does not tell one exec from the next.
                if !stat.arguments.is_empty() {
                    self.memo().cmdlines.insert(key, words.clone());
                }
                words
            }
            Err(error) => {
                gaps.of(owner, Facet::Identity, &error);
                Vec::new()
            }
        }
    }

    /// Looks for Go's mark, where it matters: in a program with a thread in a timed futex, which may be Go's monitor.
    fn go_program(&self, tasks: &[Task], memory: &Memory<'_>) -> GoProgram {
        let timed = |task: &Task| {
            matches!(
                task.wait,
                Wait::Futex {
                    timeout: Timeout::After(_) | Timeout::At(_),
                    ..
                }
            )
        };
        if !tasks.iter().any(timed) {
            return GoProgram::NotLooked;
        }
        let Ok(maps) = memory.maps() else {
            return GoProgram::NotLooked;
        };
        match toolchain::is_go(maps, memory) {
            Some(true) => GoProgram::Yes,
            Some(false) => GoProgram::No,
            None => GoProgram::NotLooked,
        }
    }

    /// Of those whom nobody asked for, only the network's, in which sockets are looked up.
    fn namespaces(&self, base: &str, kinship: Kinship) -> Namespaces {
        let number = |name| {
            let link = self.source.link(&format!("{base}/ns/{name}")).ok()?;
            let digits = link.split(|&byte| byte == b'[').nth(1)?;
            crate::parse::count(digits.strip_suffix(b"]")?)
        };
        let family = |name| match kinship {
            Kinship::Family => number(name),
            Kinship::Stranger => None,
        };
        Namespaces {
            pid: family("pid"),
            net: number("net"),
            mnt: family("mnt"),
            user: family("user"),
        }
    }

    fn timers(&self, owner: Owner, base: &str, gaps: &mut Gaps) -> PosixTimers {
        match self.source.read_list(&format!("{base}/timers")) {
            Ok(text) => PosixTimers::Listed(timer_signals(&text)),
            Err(error) => {
                if error.cause != Cause::Gone {
                    gaps.of(owner, Facet::Timers, &error);
                }
                PosixTimers::Unread
            }
        }
    }

    fn freezer(&self, base: &str) -> Freezer {
        let mut text = Vec::new();
        if self
            .source
            .read(&format!("{base}/cgroup"), &mut text)
            .is_err()
        {
            return Freezer::Unknown;
        }
        let mut freezer = Freezer::Unknown;
        for group in cgroups(&text) {
            let key = (group.hierarchy, group.path.to_vec());
            let mut memo = self.memo();
            let says = memo.freezers.entry(key);
            match *says.or_insert_with(|| self.group_freezer(group)) {
                Some(Freezer::Frozen) => return Freezer::Frozen,
                Some(other) => freezer = other,
                None => {}
            }
        }
        freezer
    }

    fn memo(&self) -> MutexGuard<'_, &'a mut Memo> {
        self.memo.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn group_freezer(&self, group: CgroupPath<'_>) -> Option<Freezer> {
        match self.source.freezer(group.hierarchy, group.path) {
            Ok(file) => match is_frozen(group.hierarchy, &file)? {
                true => Some(Freezer::Frozen),
                false => Some(Freezer::Thawed),
            },
            // The root group alone has no such file, and cannot be frozen.
            Err(error) if error.cause == Cause::Gone && group.path == b"/" => Some(Freezer::Thawed),
            Err(_) => None,
        }
    }
}

/// The table of a thread that does not share its process's. Without kcmp(2) that is seen by comparing what is open:
/// two tables with the same numbers and links would be taken for one, and differ in nothing that matters here.
fn own_table(own: &TableReader<'_>, shared: &Links, gaps: &mut Gaps) -> Option<Table> {
    // Unreadable for the thread means unreadable for the process, which has been noted.
    let links = own.links().ok()?;
    if links == *shared {
        None
    } else {
        Some(own.table(&links, gaps))
    }
}

/// A process of which only the stat line is known.
pub(crate) fn unseen(stat: &Stat, uid: Option<u32>) -> Process {
    let task = Task {
        tid: Tid(stat.pid),
        comm: Untrusted::new(stat.comm.clone()),
        state: task::state(stat.state),
        syscall: Syscall::Unread,
        wait: Wait::Unknown,
        switches_voluntary: None,
        switches_involuntary: None,
        signals: None,
        wchan: None,
        own_table: None,
    };
    Process {
        pid: Pid(stat.pid),
        start_ticks: stat.start_ticks,
        ppid: Pid(stat.ppid),
        pgrp: stat.pgrp,
        session: stat.session,
        tty_nr: u64::from(stat.tty_nr),
        uid,
        tracer: None,
        ns_pids: Vec::new(),
        exe: None,
        comm: Untrusted::new(stat.comm.clone()),
        cmdline: Vec::new(),
        memory: None,
        abi: Abi::Unknown,
        go_program: GoProgram::NotLooked,
        toolchain: Toolchain::NotLooked,
        namespaces: Namespaces::default(),
        timers: PosixTimers::Unread,
        freezer: Freezer::Unknown,
        table: Table::Unread,
        tasks: vec![task],
    }
}
