//! Predictions in sentences.

use std::fmt;

use super::Prediction;
use super::found::{
    Blocked, BlockedOn, Channel, Ending, Found, LeaderEnding, Leak, NeverReason, Orders, Who,
};
use crate::bound::Bound;
use crate::script::{FifoAccess, Stream};

impl fmt::Display for Prediction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotModelled { reason } => write!(f, "not modelled: {reason}"),
            Self::Outcomes { outcomes, orders } => {
                for (index, outcome) in outcomes.iter().take(SHOWN).enumerate() {
                    if index > 0 {
                        f.write_str("; or, if the kernel lets them run in another order, it ")?;
                    }
                    write!(f, "{outcome}")?;
                }
                if outcomes.len() > SHOWN {
                    write!(f, "; or in {} other ways", outcomes.len() - SHOWN)?;
                }
                match orders {
                    Orders::Irrelevant | Orders::Explored(_) => Ok(()),
                    Orders::Incomplete => {
                        f.write_str(" (there were too many orders to try: there may be others)")
                    }
                }
            }
        }
    }
}

/// More outcomes than this say nothing to a reader; JSON has them all.
const SHOWN: usize = 2;

impl fmt::Display for Found {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.ending)?;
        if let Some(leader) = self.leader {
            write!(f, "; the child {leader}")?;
        }
        let mut mark = ": ";
        for blocked in &self.blocked {
            write!(f, "{mark}{blocked}")?;
            mark = "; ";
        }
        for leak in &self.leaks {
            write!(f, "{mark}{leak}")?;
            mark = "; ";
        }
        Ok(())
    }
}

impl fmt::Display for Ending {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Completes { after_us: 0 } => "completes",
            Self::Completes { after_us } => {
                return write!(f, "completes, not before {} ms", after_us / 1000);
            }
            Self::ArtificialDeadlock => "deadlocks (artificial)",
            Self::TrueDeadlock => "deadlocks (true)",
            Self::PollsForEver => "polls for ever",
            Self::Leaks => "leaks",
            Self::Waits { reason } => return write!(f, "waits: {reason}"),
            Self::Endless => "goes on for ever",
            Self::CutShort { by } => match by {
                Some(Bound::Deadline) => "is cut short by its deadline",
                Some(Bound::Limit) => "is cut short by its limit",
                None => "is cut short by its deadline or its limit",
            },
        })
    }
}

impl fmt::Display for NeverReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Parked => "a process is parked in a futex that nobody wakes",
            Self::Outside => "a process waits for the outside",
            Self::Stopped => "a process is stopped",
        })
    }
}

impl fmt::Display for LeaderEnding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Code(code) => write!(f, "exits with {code}"),
            Self::Signal(signal) => write!(f, "dies by SIG{}", signal.name()),
        }
    }
}

impl fmt::Display for Who {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Parent => f.write_str("the parent"),
            Self::ParentFeeding => f.write_str("the parent's writer"),
            Self::Child => f.write_str("the child"),
            Self::Descendant { writer } => write!(f, "descendant {writer}"),
            Self::Intermediate { writer } => write!(f, "a process above descendant {writer}"),
        }
    }
}

impl fmt::Display for Blocked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.who, self.on)
    }
}

impl fmt::Display for BlockedOn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Write {
                stream,
                at_byte,
                unread,
            } => write!(
                f,
                "is blocked in a write to {}, {at_byte} bytes in, of which {unread} are unread",
                stream
            ),
            Self::Read { stream, at_byte } => write!(
                f,
                "is blocked in a read of {}, after {at_byte} bytes",
                stream
            ),
            Self::ReadBoth => f.write_str("waits for bytes or the end of stdout and stderr"),
            Self::HangUp { stream } => write!(f, "waits for the end of {stream}"),
            Self::Open { fifo, access } => f.write_str(&match access {
                FifoAccess::Read => {
                    format!("is blocked in opening the FIFO {fifo:?} for reading, which nobody has open for writing")
                }
                FifoAccess::Write | FifoAccess::ReadWrite => {
                    format!("is blocked in opening the FIFO {fifo:?} for writing, which nobody has open for reading")
                }
            }),
            Self::Exit { of, polling } => {
                let how = if *polling { "polls" } else { "waits" };
                write!(f, "{how} for the exit of {of}")
            }
            Self::Never { reason } => f.write_str(match reason {
                NeverReason::Parked => "is parked",
                NeverReason::Outside => "waits for the outside",
                NeverReason::Stopped => "is stopped",
            }),
        }
    }
}

impl fmt::Display for Leak {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let stream = match self.stream {
            Stream::Stdout => "stdout",
            Stream::Stderr => "stderr",
        };
        write!(f, "{} withholds the end of {stream}", self.holder)?;
        match self.withheld_us {
            Some(us) => write!(f, " for {} ms", us / 1000),
            None => f.write_str(" for ever"),
        }
    }
}

impl fmt::Display for Channel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Stdin => f.write_str("stdin"),
            Self::Stdout => f.write_str("stdout"),
            Self::Stderr => f.write_str("stderr"),
            // With escapes: the name is the script's.
            Self::Fifo(path) => write!(f, "the FIFO {path:?}"),
        }
    }
}
