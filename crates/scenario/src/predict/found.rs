//! What was found of an order of moves, in the words of scripts and strategies.

use pipeclog_pipemodel::simulate as model;
use serde::{Deserialize, Serialize};

use crate::bound::Bound;
use crate::script::{FifoAccess, Signal, Stream};

/// One outcome.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Found {
    /// How it ends.
    #[serde(flatten)]
    pub ending: Ending,
    /// How the child itself ended, if it did and the parent learnt of it.
    pub leader: Option<LeaderEnding>,
    /// Bytes that the parent read of standard output (of both streams, where they are one); nothing where it reads none.
    pub stdout_bytes: Option<u64>,
    /// The same of standard error.
    pub stderr_bytes: Option<u64>,
    /// Ends of file that were withheld after the child's exit.
    pub leaks: Vec<Leak>,
    /// Who waits for what, the parent first; empty where it completes.
    pub blocked: Vec<Blocked>,
}

/// How it ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "ending")]
pub enum Ending {
    /// The parent ends.
    Completes {
        /// Not before this, for the sleeps alone; everything else is taken to take no time.
        after_us: u64,
    },
    /// A deadlock that a larger pipe would cure.
    ArtificialDeadlock,
    /// A deadlock that no pipe cures.
    TrueDeadlock,
    /// The parent polls for an exit that cannot come.
    PollsForEver,
    /// A descendant withholds the end of file for ever.
    Leaks,
    /// The parent waits for what never comes from within.
    Waits {
        /// What for.
        #[serde(rename = "for")]
        reason: NeverReason,
    },
    /// The child goes on for ever, and so the parent does.
    Endless,
    /// A bound of the parent's own ends it, or lets it keep less than there was.
    CutShort {
        /// Which; nothing where it may be either, whichever comes first.
        by: Option<Bound>,
    },
}

impl Ending {
    /// The same, or of two that complete the earlier; nothing if they differ otherwise.
    pub(super) fn or(self, other: Self) -> Option<Self> {
        match (self, other) {
            (Self::Completes { after_us: one }, Self::Completes { after_us: other }) => {
                Some(Self::Completes {
                    after_us: one.min(other),
                })
            }
            (one, other) => (one == other).then_some(one),
        }
    }
}

/// Why a task never goes on by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NeverReason {
    /// In a futex that nobody wakes.
    Parked,
    /// For the outside.
    Outside,
    /// Stopped.
    Stopped,
}

/// How the child ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LeaderEnding {
    /// By exit.
    Code(u8),
    /// By a signal.
    Signal(Signal),
}

/// Who does something.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "who")]
pub enum Who {
    /// The parent.
    Parent,
    /// The part of the parent that writes the child's input.
    ParentFeeding,
    /// The child.
    Child,
    /// A background descendant.
    Descendant {
        /// Its number, from 1.
        writer: u8,
    },
    /// A process between the child and that descendant, which waits for it.
    Intermediate {
        /// The descendant's number.
        writer: u8,
    },
}

/// A stream that somebody withholds the end of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Leak {
    /// Which.
    pub stream: Stream,
    /// Who holds it.
    #[serde(flatten)]
    pub holder: Who,
    /// For how long, where it ends.
    pub withheld_us: Option<u64>,
}

/// Somebody who waits for ever.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Blocked {
    /// Who.
    #[serde(flatten)]
    pub who: Who,
    /// For what.
    pub on: BlockedOn,
}

/// What somebody reads or writes.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Channel {
    /// The child's standard input.
    Stdin,
    /// Its standard output.
    Stdout,
    /// Its standard error.
    Stderr,
    /// A FIFO, by the path that the script names.
    Fifo(String),
}

impl Channel {
    /// Which of the child's output streams it is, if it is one.
    #[must_use]
    pub const fn output(&self) -> Option<Stream> {
        match self {
            Self::Stdout => Some(Stream::Stdout),
            Self::Stderr => Some(Stream::Stderr),
            Self::Stdin | Self::Fifo(_) => None,
        }
    }
}

/// What somebody waits for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "call")]
pub enum BlockedOn {
    /// For room.
    Write {
        /// The stream or FIFO.
        stream: Channel,
        /// The bytes that it has put into the stream, those of the write that blocks included: the next is the byte at which it hangs.
        at_byte: u64,
        /// The bytes in the pipe.
        unread: u64,
    },
    /// For bytes or the end of file.
    Read {
        /// The stream or FIFO.
        stream: Channel,
        /// The bytes that it has read.
        at_byte: u64,
    },
    /// For bytes or the end of file of either output stream.
    ReadBoth,
    /// For the end of file alone.
    HangUp {
        /// The stream.
        stream: Channel,
    },
    /// In open(2), for somebody to open the other end.
    Open {
        /// The FIFO, by the path that the script names.
        fifo: String,
        /// What it is opened for: reading or writing.
        access: FifoAccess,
    },
    /// For an exit.
    Exit {
        /// Whose.
        of: Who,
        /// Whether it sleeps until then, or looks again and again.
        polling: bool,
    },
    /// For what never comes.
    Never {
        /// Why.
        reason: NeverReason,
    },
}

/// Which orders were tried.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Orders {
    /// One: no other can change anything.
    Irrelevant,
    /// All that could change something, from so many states.
    Explored(u64),
    /// Not all: there may be other outcomes.
    Incomplete,
}

impl From<model::Orders> for Orders {
    fn from(orders: model::Orders) -> Self {
        match orders {
            model::Orders::Irrelevant => Self::Irrelevant,
            model::Orders::Explored { states } => Self::Explored(states),
            model::Orders::Incomplete => Self::Incomplete,
        }
    }
}

impl From<model::Never> for NeverReason {
    fn from(never: model::Never) -> Self {
        match never {
            model::Never::Parked => Self::Parked,
            model::Never::Outside => Self::Outside,
            model::Never::Stopped => Self::Stopped,
        }
    }
}

impl From<model::Ending> for Ending {
    fn from(ending: model::Ending) -> Self {
        match ending {
            model::Ending::Completes { after_us, .. } => Self::Completes { after_us },
            model::Ending::ArtificialDeadlock => Self::ArtificialDeadlock,
            model::Ending::TrueDeadlock => Self::TrueDeadlock,
            model::Ending::PollsForEver => Self::PollsForEver,
            model::Ending::Leaks => Self::Leaks,
            model::Ending::Waits(never) => Self::Waits {
                reason: never.into(),
            },
            model::Ending::Endless => Self::Endless,
        }
    }
}

impl LeaderEnding {
    /// A signal's number in the model is its place among those that a script can name.
    pub(super) fn of_model(exit: model::Exit) -> Self {
        match exit {
            model::Exit::Code(code) => Self::Code(code),
            model::Exit::BrokenPipe => Self::Signal(Signal::Pipe),
            model::Exit::Signal(place) => Self::Signal(
                Signal::ALL
                    .get(usize::from(place))
                    .copied()
                    .unwrap_or(Signal::Kill),
            ),
        }
    }

    pub(super) fn signal_in_model(signal: Signal) -> model::Exit {
        let place = Signal::ALL.iter().position(|other| *other == signal);
        match place.and_then(|place| u8::try_from(place).ok()) {
            Some(_) if signal == Signal::Pipe => model::Exit::BrokenPipe,
            Some(place) => model::Exit::Signal(place),
            None => model::Exit::Signal(u8::MAX),
        }
    }
}
