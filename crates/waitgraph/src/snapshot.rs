//! What `/proc` said at one moment, as plain data.
//!
//! The reader of `/proc` turns bytes into these types and judges nothing; what they mean (who can wake whom) is decided
//! by the rest of this crate. Whatever could not be read is a [`Gap`], never a missing entry that looks like a fact.

use serde::{Deserialize, Serialize};

pub use crate::descriptor::{
    Access, Armed, Descriptor, EpollTarget, EventSet, FileId, Object, Peer, SocketKind,
    SocketTimeouts, Table,
};
pub use crate::gap::{Facet, Gap, GapKind};
pub use crate::untrusted::Untrusted;
pub use crate::wait::{
    ChildSet, FifoMode, FutexScope, LockKind, PollEntry, SignalSet, Syscall, Timeout, Wait,
};

/// The version of the snapshot's JSON form; raised when a field changes its meaning or goes.
pub const SCHEMA_VERSION: u32 = 1;

/// A process, by its number in the namespace of the `/proc` that was read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(transparent)]
pub struct Pid(pub u32);

/// A task (thread), by its number in the namespace of the `/proc` that was read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(transparent)]
pub struct Tid(pub u32);

/// Everything that one pass over `/proc` found. `processes` are in ascending order of pid.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Snapshot {
    /// [`SCHEMA_VERSION`] of the writer.
    pub schema_version: u32,
    /// The machine and the pass itself.
    pub scan: Scan,
    /// Every process that was seen, kernel threads left out.
    pub processes: Vec<Process>,
    /// The waiters and holders of `/proc/locks`.
    pub locks: Vec<FileLock>,
    /// What was looked at inside channels, empty unless that was asked for by name.
    pub peeks: Vec<Peek>,
    /// What could not be read.
    pub gaps: Vec<Gap>,
}

/// Facts of the machine and of the pass that the rules need.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Scan {
    /// Milliseconds since boot, on the clock that start times use (CLOCK_BOOTTIME), when the pass began.
    pub at_ms: u64,
    /// Clock ticks a second, the unit of [`Process::start_ticks`] (sysconf(3), `_SC_CLK_TCK`).
    pub ticks_per_second: u32,
    /// Release of the kernel, as uname(2) says it.
    pub kernel: Untrusted,
    /// `processes` of /proc/stat before the first read of the pass and after its last: forks since boot.
    pub forks_before: Option<u64>,
    /// See `forks_before`.
    pub forks_after: Option<u64>,
    /// Whether every process that lived at the end of the pass was visited in it.
    pub listing: Listing,
    /// Armed interval timers on the whole machine: lines with `it_real_fn` in /proc/timer_list. `None`: unreadable.
    pub real_timers: Option<u32>,
    /// Armed POSIX timers on the whole machine: lines with `posix_timer_fn` in /proc/timer_list.
    pub posix_timers: Option<u32>,
    /// Effective user of the observer.
    pub observer_uid: u32,
    /// Looks that were taken between the one before and this one, and not kept, since they showed nothing of their own.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub dropped_before: u32,
    /// Who looked.
    #[serde(default)]
    pub observer: Observer,
    /// Whose run ([`crate::run`]) was read whole, in ascending order: of others (a shell above a job that was looked at, anybody in
    /// looks of an older version) nobody knows who could wake or signal them.
    #[serde(default)]
    pub runs_of: Vec<Pid>,
}

/// Who looked: nobody of these signals those whom they look at, until they have seen.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Observer {
    /// It, its parent, and so on to the first process in sight.
    pub line: Vec<Pid>,
    /// Processes that work for it, and signal others at its word alone.
    pub helpers: Vec<Pid>,
    /// The process groups of that line, in which whoever asks has all that he started without job control.
    pub groups: Vec<u32>,
}

/// Whether a pass saw every process. A process missed could hold the other end, so an open listing proves nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Listing {
    /// After the last process was read, /proc was listed again and had no process that the pass had not visited
    /// (new ones were visited, and it was listed once more, until nothing was new).
    Closed,
    /// New processes kept appearing, or the pass visited those of an earlier look only. It still counts as complete
    /// if the fork count did not change from the start of the first look to the end of this one.
    Open,
    /// Only part of the machine was looked at, on purpose: others may hold any end.
    Partial,
}

/// One process.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Process {
    /// Its number.
    pub pid: Pid,
    /// Start time in clock ticks since boot (field 22 of proc_pid_stat(5)): pid and start name a process for good.
    pub start_ticks: u64,
    /// Parent, 0 where it is outside the namespace.
    pub ppid: Pid,
    /// Process group.
    pub pgrp: u32,
    /// Session.
    pub session: u32,
    /// Controlling terminal (`tty_nr` of stat), 0 for none.
    pub tty_nr: u64,
    /// Real user; `None` if the status file could not be read.
    pub uid: Option<u32>,
    /// Who traces it.
    pub tracer: Option<Pid>,
    /// `NSpid` of status: its number in each namespace from the reader's inwards; empty if unknown.
    pub ns_pids: Vec<u32>,
    /// The program, as the link `exe` names it.
    pub exe: Option<Untrusted>,
    /// `comm`, at most 15 bytes and not unique.
    pub comm: Untrusted,
    /// The arguments; empty for a zombie, and where they were not read.
    pub cmdline: Vec<Untrusted>,
    /// The lowest pid among the processes known to share its memory (kcmp(2), KCMP_VM); `None`: not compared.
    pub memory: Option<Pid>,
    /// Which table of system calls it uses.
    pub abi: Abi,
    /// Whether the program was built by Go, whose monitor thread is then told from a program's own timers.
    pub go_program: GoProgram,
    /// What built a program that says nothing of it by its name; looked at in those who must change alone.
    #[serde(default, skip_serializing_if = "Toolchain::is_unknown")]
    pub toolchain: Toolchain,
    /// Identity of namespaces, where readable.
    pub namespaces: Namespaces,
    /// What says whether timers may fire in it.
    pub timers: PosixTimers,
    /// Whether its cgroup is frozen.
    pub freezer: Freezer,
    /// Its descriptors: from /proc/PID/fd, or from a living thread's where the leader has exited.
    pub table: Table,
    /// Its tasks in ascending order; the kernel's workers of io_uring (`iou-wrk`, `iou-sqp`) left out.
    pub tasks: Vec<Task>,
}

/// One task (thread).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Task {
    /// Its number; the leader's is the pid.
    pub tid: Tid,
    /// Its own name.
    pub comm: Untrusted,
    /// Its state.
    pub state: State,
    /// The line of the file `syscall`.
    pub syscall: Syscall,
    /// What that call waits for, decoded.
    pub wait: Wait,
    /// `voluntary_ctxt_switches`; two looks with the same counts saw a task that did not run in between.
    pub switches_voluntary: Option<u64>,
    /// `nonvoluntary_ctxt_switches`.
    pub switches_involuntary: Option<u64>,
    /// Signal masks; `None` if the status file could not be read.
    pub signals: Option<Signals>,
    /// Where the kernel says it sleeps. A hint: names change between kernels, and `0` may mean "not yours to see".
    pub wchan: Option<Untrusted>,
    /// Its own descriptor table, where it does not share its process's.
    pub own_table: Option<Table>,
}

/// State of a task, from its stat file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// R.
    Running,
    /// S.
    Sleeping,
    /// D.
    Disk,
    /// T.
    Stopped,
    /// t.
    Traced,
    /// Z.
    Zombie,
    /// X.
    Dead,
    /// I, P or a letter that a newer kernel has.
    Other,
    /// The stat file could not be read.
    Unread,
}

/// Signal masks of a task (`SigBlk`, `SigIgn`, `SigCgt`, and `SigPnd | ShdPnd` of status).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Signals {
    /// Blocked by this task.
    pub blocked: SignalSet,
    /// Ignored by the process.
    pub ignored: SignalSet,
    /// Caught by a handler of the process.
    pub caught: SignalSet,
    /// Pending for the task or its process.
    pub pending: SignalSet,
}

/// The system-call table of a process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Abi {
    /// x86-64.
    X86_64,
    /// i386, on its own kernel or under x86-64.
    I386,
    /// 64-bit Arm.
    Aarch64,
    /// Could not be told; its calls are not decoded.
    Unknown,
}

/// Whether the executable carries Go's build information (the bytes `\xff Go buildinf:`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum GoProgram {
    /// It does.
    Yes,
    /// It does not.
    No,
    /// The executable was not read.
    NotLooked,
}

/// What built a native program, by texts that its compiler leaves in it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Toolchain {
    /// Nobody looked, or it could not be read.
    #[default]
    NotLooked,
    /// rustc: the places in the standard library that panics tell of, which strip(1) does not remove.
    Rust,
    /// Go: the build information that Go's linker puts into every program.
    Go,
    /// None of these, as far as was looked.
    Other,
}

impl Toolchain {
    fn is_unknown(&self) -> bool {
        *self == Self::NotLooked
    }
}

/// Namespace identities (inode numbers of /proc/PID/ns/*); `None` where unreadable.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Namespaces {
    /// Pid namespace.
    pub pid: Option<u64>,
    /// Network namespace: unix peers can be asked for in one's own only.
    pub net: Option<u64>,
    /// Mount namespace.
    pub mnt: Option<u64>,
    /// User namespace.
    pub user: Option<u64>,
}

/// POSIX timers of a process (/proc/PID/timers lists them, and does not say whether they are armed).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PosixTimers {
    /// The file was read; the signal of each timer, 0 for one that does not signal.
    Listed(Vec<u32>),
    /// The file could not be read.
    Unread,
}

/// Whether a control group keeps a process from running.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Freezer {
    /// `cgroup.freeze` (or v1's `freezer.state`) says no.
    Thawed,
    /// It says yes.
    Frozen,
    /// There is no such file, or it was not read.
    Unknown,
}

/// A lock of /proc/locks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileLock {
    /// Which family of locks.
    pub kind: LockKind,
    /// The file.
    pub file: FileId,
    /// Who took it first; the descriptor may have been passed on since.
    pub holder: Option<Pid>,
    /// Who waits for it (the `->` lines).
    pub waiters: Vec<Pid>,
}

/// What is inside a channel: read only when asked for by name, since it opens a duplicate for a moment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Peek {
    /// Inode of the pipe, or of the socket that the bytes wait at.
    pub inode: u64,
    /// Bytes unread in it (FIONREAD).
    pub unread_bytes: Option<u64>,
    /// F_GETPIPE_SZ of a pipe.
    pub capacity_bytes: Option<u64>,
    /// The first bytes that are stuck.
    pub head: Untrusted,
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "serde asks for a reference"
)]
fn is_zero(count: &u32) -> bool {
    *count == 0
}

impl Snapshot {
    /// The process of that number.
    pub fn process(&self, pid: Pid) -> Option<&Process> {
        let at = self.processes.binary_search_by_key(&pid, |p| p.pid).ok()?;
        self.processes.get(at)
    }

    /// Whether no process that lived at the end of this look, which followed `first`, can have been missed: this look
    /// visited all of them, or nobody forked from the beginning of the first to the end of this one.
    pub fn is_complete_after(&self, first: &Self) -> bool {
        match self.scan.listing {
            Listing::Closed => true,
            Listing::Open => {
                let nobody_forked = first.scan.forks_before.is_some()
                    && first.scan.forks_before == self.scan.forks_after;
                nobody_forked && first.scan.listing != Listing::Partial
            }
            Listing::Partial => false,
        }
    }
}

impl Process {
    /// How long it has lived, in milliseconds.
    pub fn age_ms(&self, scan: &Scan) -> u64 {
        let hz = u64::from(scan.ticks_per_second.max(1));
        scan.at_ms
            .saturating_sub(self.start_ticks.saturating_mul(1000) / hz)
    }

    /// Its first thread, which has its number; another where that is not to be seen. Numbers wrap, so the lowest need not be it.
    pub fn leader(&self) -> Option<&Task> {
        let leader = self.tasks.iter().find(|task| task.tid.0 == self.pid.0);
        leader.or_else(|| self.tasks.first())
    }

    /// The table that `task` uses.
    pub fn table_of<'a>(&'a self, task: &'a Task) -> &'a Table {
        task.own_table.as_ref().unwrap_or(&self.table)
    }
}

impl std::fmt::Display for Pid {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}

impl std::fmt::Display for Tid {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}
