//! What a blocked system call waits for: numbers decoded into types, meaning left to the graph.

use serde::{Deserialize, Serialize};

use crate::descriptor::EventSet;
use crate::descriptor::FileId;
use crate::untrusted::Untrusted;

/// The line of /proc/PID/task/TID/syscall.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Syscall {
    /// `running`.
    Running,
    /// `-1 SP PC`: blocked, but not in a system call (a fault, a signal stop, a zombie).
    Outside,
    /// Blocked in a call.
    Blocked {
        /// Its number, in the table of the process's [`crate::snapshot::Abi`].
        number: u64,
        /// The six argument registers.
        args: [u64; 6],
        /// Stack pointer.
        sp: u64,
        /// Program counter.
        pc: u64,
    },
    /// It could not be read.
    Unread,
}

/// What a task waits for, as far as its system call says.
///
/// Descriptor numbers are looked up in the task's table by the graph, not here.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case", tag = "for")]
pub enum Wait {
    /// It runs, or is about to.
    Running,
    /// read(2), readv, pread, recv*: data or end of file on a descriptor.
    Read {
        /// The descriptor.
        fd: u32,
        /// The call's name, for people.
        call: String,
    },
    /// write(2), writev, pwrite, send*, vmsplice into a pipe: room on a descriptor.
    Write {
        /// The descriptor.
        fd: u32,
        /// The call's name.
        call: String,
    },
    /// splice(2), tee(2), sendfile(2): data on one descriptor or room on another; the number does not tell which.
    Transfer {
        /// Where data comes from.
        from: u32,
        /// Where it goes to.
        to: u32,
        /// The call's name.
        call: String,
    },
    /// accept(2) or accept4(2).
    Accept {
        /// The listening descriptor.
        fd: u32,
    },
    /// connect(2), to a backlog that is full.
    Connect {
        /// The socket.
        fd: u32,
    },
    /// poll, ppoll, select, pselect6: any of several descriptors.
    Poll {
        /// The set; `None` if the target's memory could not be read (a gap says why).
        set: Option<Vec<PollEntry>>,
        /// How long.
        timeout: Timeout,
        /// Signals that may end it besides those unblocked anyway (ppoll and pselect6 give a mask to wait under).
        mask: Option<SignalSet>,
        /// The call's name.
        call: String,
    },
    /// epoll_wait and its kin; the set is in the descriptor's fdinfo.
    Epoll {
        /// The epoll descriptor.
        fd: u32,
        /// How long; any negative number of milliseconds is [`Timeout::Never`].
        timeout: Timeout,
    },
    /// wait4(2) or waitid(2).
    Child {
        /// Which children.
        children: ChildSet,
    },
    /// clone(2) with CLONE_VFORK, or vfork(2): until the child execs or exits.
    Vfork,
    /// futex(2) and its kin.
    Futex {
        /// The address (of the first word, for futex_waitv).
        address: u64,
        /// Whether others can reach it.
        scope: FutexScope,
        /// The value it expects: in a join, the number of the joined thread, in its own namespace.
        expected: u32,
        /// How long.
        timeout: Timeout,
    },
    /// nanosleep(2) or clock_nanosleep(2).
    Sleep {
        /// How long.
        timeout: Timeout,
    },
    /// pause, rt_sigsuspend, rt_sigtimedwait: a signal.
    Signal {
        /// The signals that end it: for rt_sigtimedwait its set; for the others those caught and not in the mask
        /// that the call sets (the mask alone, if the handlers are unknown).
        awaited: SignalSet,
        /// How long.
        timeout: Timeout,
    },
    /// flock(2) or fcntl(2) with F_SETLKW or F_OFD_SETLKW.
    Lock {
        /// The descriptor.
        fd: u32,
        /// Which family.
        kind: LockKind,
    },
    /// open(2) of a FIFO that nobody has open for the other direction.
    FifoOpen {
        /// The path as the caller gave it; `None` if its memory could not be read.
        path: Option<Untrusted>,
        /// The FIFO that path resolves to, if it is one.
        file: Option<FileId>,
        /// How it opens it.
        mode: FifoMode,
    },
    /// io_uring_enter(2), for completions.
    IoUring {
        /// The ring.
        fd: u32,
        /// How long (IORING_ENTER_EXT_ARG carries one).
        timeout: Timeout,
    },
    /// A call that this program has no rule for.
    Other {
        /// Its name, or `syscall N`.
        call: String,
    },
    /// Nothing is known: the file `syscall` could not be read, or the decoding failed (a gap says why).
    Unknown,
}

/// One entry of a poll set; of select's three sets, one entry for each descriptor in any of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct PollEntry {
    /// The descriptor (negative ones, which poll ignores, are left out).
    pub fd: u32,
    /// The events; 0 still reports hang-up and error.
    pub events: EventSet,
}

/// How long a call waits at most.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Timeout {
    /// For ever.
    Never,
    /// For so many nanoseconds from its start.
    After(u64),
    /// Until so many nanoseconds of some clock.
    At(u64),
    /// There is one, and the target's memory that holds it could not be read.
    Unread,
}

/// Which children a call waits for, in the numbers of the waiter's own pid namespace.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum ChildSet {
    /// Any child (-1, P_ALL).
    Any,
    /// One.
    Pid(u32),
    /// Those of a process group; 0 is the waiter's own.
    Group(u32),
    /// The one that a pidfd names (P_PIDFD).
    Pidfd(u32),
}

/// Who can reach a futex.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum FutexScope {
    /// The call says FUTEX_PRIVATE_FLAG.
    PrivateFlag,
    /// The address lies in a private mapping (`p` in maps): the flag is only an optimisation.
    PrivateMapping,
    /// The address lies in a shared mapping.
    SharedMapping,
    /// The map could not be read.
    Unknown,
}

/// Families of file locks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum LockKind {
    /// flock(2).
    Flock,
    /// fcntl(2), owned by a process.
    Record,
    /// fcntl(2), owned by an open file description.
    OpenFile,
}

/// Direction in which a FIFO is opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum FifoMode {
    /// O_RDONLY: waits for a writer.
    Read,
    /// O_WRONLY: waits for a reader.
    Write,
}

/// A set of signals in the bits of status: signal N is bit N - 1. In JSON, sixteen hexadecimal digits as there.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct SignalSet(pub u64);

impl SignalSet {
    /// SIGHUP.
    pub const HUP: u32 = 1;
    /// SIGINT.
    pub const INT: u32 = 2;
    /// SIGQUIT.
    pub const QUIT: u32 = 3;
    /// SIGALRM.
    pub const ALRM: u32 = 14;
    /// SIGTERM.
    pub const TERM: u32 = 15;
    /// SIGCHLD.
    pub const CHLD: u32 = 17;
    /// SIGWINCH.
    pub const WINCH: u32 = 28;

    /// The set of these signals; numbers outside 1 to 64 are ignored.
    pub fn of(signals: &[u32]) -> Self {
        Self(
            signals
                .iter()
                .filter(|n| (1..=64).contains(*n))
                .fold(0, |set, n| set | 1 << (n - 1)),
        )
    }

    /// Whether signal `number` is in it.
    pub fn has(self, number: u32) -> bool {
        (1..=64).contains(&number) && self.0 >> (number - 1) & 1 == 1
    }

    /// Those that are here and not in `other`.
    #[must_use]
    pub fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }

    /// Whether it is empty.
    pub fn is_empty(self) -> bool {
        self.0 == 0
    }
}

impl Serialize for SignalSet {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&format!("{:016x}", self.0))
    }
}

impl<'de> Deserialize<'de> for SignalSet {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let digits = String::deserialize(deserializer)?;
        u64::from_str_radix(&digits, 16).map(Self).map_err(|_| {
            serde::de::Error::custom(
                "failed to read a signal set: not hexadecimal digits of at most 64 bits",
            )
        })
    }
}
