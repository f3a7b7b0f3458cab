//! What a member waits for, who can end that, what breaks a proof, and what a weaker one assumes.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::channel::Channel;
use crate::descriptor::FileId;
use crate::snapshot::Pid;
use crate::untrusted::Untrusted;
use crate::world::TaskId;

/// One thing a task waits for; it waits for *any* of several.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Awaited {
    /// The descriptor it goes through, where there is one.
    pub fd: Option<u32>,
    /// What would have to happen.
    pub what: What,
    /// Every task that can make it happen.
    pub wakers: BTreeSet<TaskId>,
}

/// What would have to happen for a task to wake.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case", tag = "event")]
pub enum What {
    /// Somebody writes into a channel that is empty, or the last writer closes it.
    Data {
        /// The channel.
        channel: Channel,
    },
    /// Somebody reads from a channel that is full, or the last reader closes it.
    Room {
        /// The channel.
        channel: Channel,
    },
    /// Anything happens at a channel that a poll or epoll set names.
    Change {
        /// The channel.
        channel: Channel,
        /// Whether the set says, level-triggered, that it has no room: then the channel is full.
        full: Full,
    },
    /// A process exits.
    Exit {
        /// Which.
        pid: Pid,
    },
    /// SIGCHLD, which a handler, a signalfd or a sigwait turns into a wake-up.
    ChildSignal,
    /// A thread of the same memory wakes a futex.
    Futex,
    /// A vfork child execs or exits.
    Vfork {
        /// The child.
        pid: Pid,
    },
    /// A file lock is released.
    Lock {
        /// The file.
        file: FileId,
    },
    /// Somebody opens a FIFO in the other direction.
    Partner {
        /// The FIFO.
        file: FileId,
        /// Its path, as the caller gave it.
        path: Untrusted,
    },
    /// A completion of an io_uring, on some descriptor of the process.
    Completion,
}

/// What a poll set says about room in a channel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Full {
    /// Somebody waits, level-triggered, for room: there is none.
    Yes,
    /// Nobody asks for room, or the waiter is edge-triggered and may sleep although there is some.
    NotSaid,
}

impl What {
    /// The channel in question.
    pub fn channel(&self) -> Option<&Channel> {
        match self {
            Self::Data { channel } | Self::Room { channel } | Self::Change { channel, .. } => {
                Some(channel)
            }
            Self::Exit { .. }
            | Self::ChildSignal
            | Self::Futex
            | Self::Vfork { .. }
            | Self::Lock { .. }
            | Self::Partner { .. }
            | Self::Completion => None,
        }
    }

    /// Whether the wait itself shows that the channel is full.
    pub fn shows_full(&self) -> bool {
        matches!(
            self,
            Self::Room { .. }
                | Self::Change {
                    full: Full::Yes,
                    ..
                }
        )
    }

    /// Whether it is an object of the kernel, and not only a futex.
    pub fn is_kernel_object(&self) -> bool {
        !matches!(self, Self::Futex)
    }
}

/// Why a task cannot count as asleep for good.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Break {
    /// The kind of reason.
    pub kind: BreakKind,
    /// The reason: a fragment that goes on after the task's name.
    pub why: String,
}

/// Kinds of [`Break`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum BreakKind {
    /// It runs, ran between the looks, or is in a state that ends by itself.
    Live,
    /// Its wait has a timeout, or a timer may fire in it.
    Timer,
    /// The network, a terminal, a person, a file-system event, a signal.
    External,
    /// It is stopped, traced or frozen.
    Stopped,
    /// What it waits for could not be told.
    Unknown,
}

/// What a `probable` verdict takes for granted.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case", tag = "assumes")]
pub enum Assumption {
    /// A runtime's own helper thread, asleep with a timeout, does not do the awaited thing.
    InertHelper {
        /// The helper.
        task: TaskId,
        /// Its name.
        name: Untrusted,
        /// The runtime.
        runtime: Runtime,
    },
    /// Nobody else opens this FIFO.
    ClosedFifo {
        /// The FIFO.
        file: FileId,
        /// One of its paths.
        path: Untrusted,
    },
    /// The process that /proc/locks names still holds the lock (it names the first locker only); or, where that one has
    /// gone, those do who have the file open.
    FirstLocker {
        /// The locked file.
        file: FileId,
    },
    /// What an io_uring waits for is among the descriptors of its process.
    RingDescriptors {
        /// The waiter.
        task: TaskId,
    },
    /// SIGALRM has a handler, and no alarm is set.
    NoAlarm {
        /// The process.
        pid: Pid,
    },
    /// Its POSIX timers could not be read, and none is armed.
    NoPosixTimer {
        /// The process.
        pid: Pid,
    },
    /// A socket has no SO_RCVTIMEO and no SO_SNDTIMEO.
    NoSocketTimeout {
        /// Inode of the socket.
        inode: u64,
    },
    /// A process of the family whose descriptors could not be read holds no end of these channels.
    HoldsNothing {
        /// The process.
        pid: Pid,
    },
    /// Descriptors that are on their way to this process are no ends of these channels.
    InFlightElsewhere {
        /// The receiver.
        pid: Pid,
    },
    /// An edge-triggered set watches an end whose other side nobody holds; that it hung up was told before.
    HangUpToldBefore {
        /// Inode of the channel.
        inode: u64,
    },
    /// The looks are less than 100 ms apart, and yet no byte is under way inside this terminal: the kernel's worker that
    /// moves them (`flush_to_ldisc`, drivers/tty/tty_buffer.c) is seen in no look.
    TerminalSettled {
        /// The N of /dev/pts/N.
        index: u32,
    },
    /// A process that handles signals on purpose, and whose first thread sleeps on a lock of its own while others wait elsewhere, waits for
    /// none of these signals.
    NoSignalAwaited {
        /// The process.
        pid: Pid,
    },
    /// None of these, who belong to the run of a member ([`crate::run`]) and are not asleep for good, signals a member.
    NoSignal {
        /// Who they are.
        pids: BTreeSet<Pid>,
    },
    /// Nobody whom the looks leave out wakes or signals these members: they were taken of others, or by an older version, and may
    /// not show all of their run and children.
    RunUnread {
        /// The members whose run was not read whole.
        pids: BTreeSet<Pid>,
    },
    /// The scan may have missed a process that was just started (or left others out on purpose), and it holds no end.
    NobodyMissed,
}

/// A language runtime with threads of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Runtime {
    /// The HotSpot Java virtual machine.
    HotSpot,
    /// Go.
    Go,
}
