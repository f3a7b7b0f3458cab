//! The classes of hangs: one name for each, the same in scenarios, reports and explanations.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

macro_rules! classes {
    ($($(#[$doc:meta])* $name:ident = $slug:literal,)*) => {
        /// A class of hangs or of look-alikes. Its slug is its name everywhere; the text of each is data
        /// (see [`crate::classes`]).
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
        pub enum Class {
            $($(#[$doc])* #[serde(rename = $slug)] $name,)*
        }

        impl Class {
            /// Every class, in the order of the taxonomy: artificial deadlocks, true ones and leaks, look-alikes.
            pub const ALL: &[Self] = &[$(Self::$name,)*];

            /// Its name for people and files.
            pub fn slug(self) -> &'static str {
                match self { $(Self::$name => $slug,)* }
            }
        }
    };
}

classes! {
    /// The parent waits for the child before it reads; the child writes into a full pipe.
    WaitThenRead = "wait-then-read",
    /// As above, but the parent asks again and again instead of sleeping.
    PollingWaiter = "polling-waiter",
    /// The parent reads one stream to its end while the child fills the other.
    SequentialRead = "sequential-read",
    /// One stream of a long-lived child is never read.
    UnreadStream = "unread-stream",
    /// The parent writes all input before it reads any output.
    WriteAllThenRead = "write-all-then-read",
    /// Poll said there was room, and a larger blocking write followed.
    OversizedWriteAfterPollout = "oversized-write-after-pollout",
    /// An event loop dropped the descriptor and never took it up again.
    BackPressureForgotten = "back-pressure-forgotten",
    /// One child is waited for, which hangs on another that nobody drains.
    JoinOrder = "join-order",
    /// Two branches from one source, joined by a reader that takes the other one first.
    Diamond = "diamond",
    /// A process is joined while its feeder thread still writes into a queue's pipe.
    QueueFeeder = "queue-feeder",
    /// The pipe is out of slots, not of bytes.
    SlotsFull = "slots-full",
    /// The user is over his share of pipe memory, and new pipes are small.
    ShrunkPipe = "shrunk-pipe",
    /// A log shim or a journal does not read.
    SinkStalled = "sink-stalled",
    /// Nobody reads the master of a terminal.
    PtyUnread = "pty-unread",
    /// Standard streams over a unix socket pair, full.
    SocketpairFull = "socketpair-full",
    /// The child has exited; its descendant keeps the write end.
    GrandchildHolds = "grandchild-holds",
    /// A sibling inherited the write end.
    LeakedToSibling = "leaked-to-sibling",
    /// The reader holds the write end itself.
    OwnWriteEnd = "own-write-end",
    /// The child reads its stdin to an end that the parent never makes.
    StdinNeverClosed = "stdin-never-closed",
    /// Both read; what one of them wrote sits in its own buffer.
    StdioBufferStandoff = "stdio-buffer-standoff",
    /// Both read, by protocol.
    CoprocessStandoff = "coprocess-standoff",
    /// Two FIFOs opened in opposite orders.
    FifoOpenOrder = "fifo-open-order",
    /// A child forked while another thread held a lock.
    ForkLock = "fork-lock",
    /// Every token of a jobserver is held.
    JobserverTokens = "jobserver-tokens",
    /// Alive, and working or about to.
    SlowChild = "slow-child",
    /// Stopped, traced or frozen.
    StoppedReader = "stopped-reader",
    /// A writer that ignores SIGPIPE and writes for ever.
    SigpipeIgnored = "sigpipe-ignored",
    /// O_NONBLOCK set through a shared description.
    SharedNonblock = "shared-nonblock",
    /// The exit was reaped by somebody else, or ignored.
    MissedExit = "missed-exit",
    /// Waits for the network, a terminal, a timer, a person.
    WaitingOutside = "waiting-outside",
    /// Held inside the kernel.
    KernelHeld = "kernel-held",
    /// A timeout that bounds the child and not the pipe.
    TimeoutThatDoesNotBound = "timeout-that-does-not-bound",
    /// The watchdog's own helper inherited the pipe.
    WatchdogIsTheCulprit = "watchdog-is-the-culprit",
}

/// A slug that names no class.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("failed to find the class {slug:?}: there is none of that name")]
pub struct UnknownClass {
    slug: String,
}

impl FromStr for Class {
    type Err = UnknownClass;

    fn from_str(slug: &str) -> Result<Self, UnknownClass> {
        let found = Self::ALL.iter().find(|c| c.slug() == slug);
        found.copied().ok_or_else(|| UnknownClass {
            slug: slug.escape_debug().collect(),
        })
    }
}

impl fmt::Display for Class {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.slug())
    }
}
