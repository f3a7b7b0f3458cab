//! What would come of a script under a strategy, before anything runs.
//!
//! The script's steps and the strategy's plan are lowered to programs of the model, and run against each other on model pipes
//! ([`pipeclog_pipemodel::simulate`]). What cannot be modelled exactly is not guessed: the prediction says so, and why.
//!
//! ```
//! use pipeclog_scenario::predict::{Parent, PipeFacts, predict};
//! use pipeclog_scenario::script::Script;
//! use pipeclog_scenario::strategy::Strategy;
//!
//! let script = Script::from_json(
//!     r#"{"ops": [{"op": "write", "stdout": "1M", "write_size": 2049}]}"#,
//! )?;
//! let prediction = predict(&script, &Parent::of(Strategy::WaitThenRead), PipeFacts::USUAL);
//! assert_eq!(
//!     prediction.to_string(),
//!     "deadlocks (artificial): the parent waits for the exit of the child; \
//!      the child is blocked in a write to stdout, 32784 bytes in, of which 32784 are unread"
//! );
//! # Ok::<(), pipeclog_scenario::script::ScriptError>(())
//! ```

mod bounded;
mod build;
mod family;
mod found;
mod program;
mod walk;
mod words;

use pipeclog_pipemodel::limits::{Limits, NewPipe, Privilege};
use pipeclog_pipemodel::simulate::{Budget, SimulateError, Simulated, simulate};
use pipeclog_pipemodel::{Geometry, PageSize};
use serde::{Deserialize, Serialize};

use bounded::Reads;
use build::Promises;
pub use found::{
    Blocked, BlockedOn, Channel, Ending, Found, LeaderEnding, Leak, NeverReason, Orders, Who,
};

use crate::bound::Limit;
use crate::plan::AfterExit;
use crate::script::Script;
use crate::strategy::Strategy;

/// Foretells what comes of a script under a parent, on a machine whose pipes are as `facts` say.
///
/// Of time it knows the sleeps alone: a deadline that none of them reaches is taken not to pass. The cost is that of the script's steps,
/// some tens of nanoseconds each (equal ones in a row are one), and of the orders that could matter.
#[must_use]
pub fn predict(script: &Script, parent: &Parent, facts: PipeFacts) -> Prediction {
    let AfterExit::Grace { .. } = parent.after_exit else {
        return simulated(script, parent, facts);
    };
    let alone = |after_exit| Parent {
        after_exit,
        deadline_us: None,
        limit: None,
        ..*parent
    };
    let none = simulated(script, &alone(AfterExit::Drain), facts);
    let endless = simulated(script, &alone(AfterExit::EndOfFile), facts);
    if !bounded::grace_is_idle(parent, &none, &endless) {
        return Prediction::NotModelled {
            reason: NotModelled::Grace,
        };
    }
    let drains = Parent {
        after_exit: AfterExit::Drain,
        ..*parent
    };
    simulated(script, &drains, facts)
}

fn simulated(script: &Script, parent: &Parent, facts: PipeFacts) -> Prediction {
    match run(script, parent, facts, Promises::Made) {
        Ok(prediction) => prediction,
        Err(SimulateError::NotDrained { .. }) => {
            run(script, parent, facts, Promises::NotMade).unwrap_or_else(contradiction)
        }
        Err(error) => contradiction(error),
    }
}

fn run(
    script: &Script,
    parent: &Parent,
    facts: PipeFacts,
    promises: Promises,
) -> Result<Prediction, SimulateError> {
    let family = match build::family(script, parent, facts, promises) {
        Ok(family) => family,
        Err(reason) => return Ok(Prediction::NotModelled { reason }),
    };
    Ok(match simulate(&family.world, BUDGET)? {
        Simulated::Outcomes { outcomes, .. } if outcomes.is_empty() => Prediction::NotModelled {
            reason: NotModelled::TooLong,
        },
        Simulated::Outcomes { outcomes, orders } => {
            let mut found: Vec<Found> = Vec::new();
            for outcome in &outcomes {
                let reads = if outcome.grows.meets(family.reads) {
                    Reads::Endless
                } else {
                    Reads::Counted
                };
                let cut = bounded::cut(parent, family.translate(outcome), reads);
                if !found.contains(&cut) {
                    found.push(cut);
                }
            }
            Prediction::Outcomes {
                outcomes: found,
                orders: orders.into(),
            }
        }
        Simulated::NotModelled => Prediction::NotModelled {
            reason: NotModelled::Room,
        },
    })
}

fn contradiction(error: SimulateError) -> Prediction {
    let reason = match error {
        SimulateError::ResizeRace { .. } => NotModelled::Shrinking,
        SimulateError::Refused { .. } => NotModelled::Fails,
        SimulateError::GivenUp { .. } => NotModelled::TooLong,
        SimulateError::HungUp { .. } => NotModelled::Hangup,
        other => NotModelled::Contradiction {
            what: other.to_string(),
        },
    };
    Prediction::NotModelled { reason }
}

/// Some seconds at most, where orders must be tried; what is left then is said to be incomplete.
const BUDGET: Budget = Budget {
    states: 50_000,
    moves: 1 << 26,
};

/// A parent, as far as it matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Parent {
    /// How it captures.
    pub strategy: Strategy,
    /// What ends its reading once the child has exited.
    pub after_exit: AfterExit,
    /// Bytes that it gives to the child's standard input; nothing means `/dev/null`.
    pub stdin_bytes: Option<u64>,
    /// When it ends the child, in microseconds from its start.
    pub deadline_us: Option<u64>,
    /// How much it keeps of each stream.
    pub limit: Option<Limit>,
}

impl Parent {
    /// One that reads to the end of file, gives no input and has no bounds.
    #[must_use]
    pub const fn of(strategy: Strategy) -> Self {
        Self {
            strategy,
            after_exit: AfterExit::EndOfFile,
            stdin_bytes: None,
            deadline_us: None,
            limit: None,
        }
    }
}

/// What pipes are like on the machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PipeFacts {
    /// What a new pipe is.
    pub new_pipe: Geometry,
    /// What a pipe may be grown to, in bytes.
    pub largest_bytes: u64,
}

impl PipeFacts {
    /// 65,536 bytes, and 1 MiB at most: Linux with 4 KiB pages, as it comes, far from its limits.
    pub const USUAL: Self = Self {
        new_pipe: Geometry::DEFAULT,
        largest_bytes: 1 << 20,
    };

    /// By a machine's limits, and the pages of the pipes that the user has already. Nothing, if the kernel would refuse a pipe.
    #[must_use]
    pub fn of_limits(limits: &Limits, user_pages: u64, privilege: Privilege) -> Option<Self> {
        let new_pipe = limits.new_pipe(user_pages, privilege).ok()?.geometry()?;
        let shrunk = matches!(
            limits.new_pipe(user_pages, privilege),
            Ok(NewPipe::Shrunk(_))
        );
        Some(Self {
            new_pipe,
            largest_bytes: if shrunk {
                new_pipe.capacity_bytes()
            } else {
                u64::from(limits.max_bytes)
            },
        })
    }

    /// The page size.
    pub(crate) fn page(self) -> PageSize {
        self.new_pipe.page()
    }
}

/// What is foretold.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "is")]
pub enum Prediction {
    /// Every outcome that there can be.
    Outcomes {
        /// One, unless the order in which the kernel lets processes run can change it.
        outcomes: Vec<Found>,
        /// Which orders were tried.
        orders: Orders,
    },
    /// Nothing is foretold.
    NotModelled {
        /// Why.
        reason: NotModelled,
    },
}

impl Prediction {
    /// The outcome, if there can be only one.
    #[must_use]
    pub fn only(&self) -> Option<&Found> {
        match self {
            Self::Outcomes { outcomes, orders } if *orders != Orders::Incomplete => {
                match outcomes.as_slice() {
                    [only] => Some(only),
                    _ => None,
                }
            }
            Self::Outcomes { .. } | Self::NotModelled { .. } => None,
        }
    }

    /// How it ends, if that is the same in every order: the byte at which it hangs need not be, nor, where it completes, the time. Of
    /// several times it is the shortest.
    #[must_use]
    pub fn ending(&self) -> Option<Ending> {
        let Self::Outcomes { outcomes, orders } = self else {
            return None;
        };
        let (first, rest) = outcomes.split_first()?;
        let all = rest
            .iter()
            .try_fold(first.ending, |ending, other| ending.or(other.ending))?;
        (*orders != Orders::Incomplete).then_some(all)
    }
}

/// How many predictions decide how much.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Foretold {
    /// One outcome.
    pub decided: u64,
    /// Several outcomes, all of them named.
    pub several: u64,
    /// No outcome can be excluded: it is not modelled, or there were too many orders to try.
    pub not_modelled: u64,
}

impl<'a> FromIterator<&'a Prediction> for Foretold {
    fn from_iter<I: IntoIterator<Item = &'a Prediction>>(predictions: I) -> Self {
        let mut counts = Self::default();
        for prediction in predictions {
            match prediction {
                Prediction::Outcomes {
                    orders: Orders::Incomplete,
                    ..
                }
                | Prediction::NotModelled { .. } => counts.not_modelled += 1,
                Prediction::Outcomes { outcomes, .. } if outcomes.len() == 1 => counts.decided += 1,
                Prediction::Outcomes { .. } => counts.several += 1,
            }
        }
        counts
    }
}

/// Why nothing is foretold.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, thiserror::Error)]
#[serde(rename_all = "snake_case", tag = "why")]
pub enum NotModelled {
    /// The outcome depends on the room in a socket or a terminal.
    #[error("it depends on the room in a socket or a terminal, which is not modelled")]
    Room,
    /// FIFOs by names that may be those of one.
    #[error("its FIFOs may or may not be the same: name each by one plain relative path")]
    FifoNames,
    /// The script does something when a write would block that depends on when it is tried.
    #[error("what comes of a write that would block depends on the moment")]
    WouldBlock,
    /// One process makes a stream non-blocking that others write to.
    #[error("a stream is made non-blocking under the hands of other processes")]
    SharedNonblock,
    /// The script sets the capacity or the mode of what is no pipe, or asks for more than the machine allows.
    #[error(
        "the script asks of a stream what only a pipe can do, or more than this machine allows"
    )]
    PipeOnly,
    /// The script asks for what fails, and then says so on its standard error.
    #[error(
        "the script asks of a stream what fails, and the message that it ends with is not modelled"
    )]
    Fails,
    /// Packet mode is switched on after bytes were written.
    #[error(
        "packet mode begins after bytes were written, and what a read cuts off depends on the moment"
    )]
    LatePacket,
    /// A pipe is made smaller while its reader drains it.
    #[error("a pipe is made smaller while it is read, which succeeds or not by the moment")]
    Shrinking,
    /// When its session's leader exits, a terminal sends SIGHUP to the processes in its foreground, and these may or may not ignore it.
    #[error(
        "the child's exit sends SIGHUP to its descendants on the terminal, and whether it ends them depends on what they inherited"
    )]
    Hangup,
    /// What a descendant writes after the child's exit comes within the grace period or not.
    #[error(
        "what a descendant writes after the child's exit may come within the grace period or not"
    )]
    Grace,
    /// The hang is said, and not what leads to it.
    #[error("the script says who waits for whom, and nothing comes of it but that")]
    Knot,
    /// More steps, or more orders of them, than are gone through.
    #[error(
        "it takes more steps to foretell than are worth it: make it shorter, or its writes larger or more alike"
    )]
    TooLong,
    /// More processes than the model takes.
    #[error("there are more than {max} processes and threads")]
    TooMany {
        /// The most.
        max: usize,
    },
    /// The script contradicts itself in a way that its check does not find.
    #[error("{what}")]
    Contradiction {
        /// What the simulation found.
        what: String,
    },
}

#[cfg(test)]
mod tests;
