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

use build::Promises;
pub use found::{Blocked, BlockedOn, Ending, Found, LeaderEnding, Leak, NeverReason, Orders, Who};

use crate::plan::AfterExit;
use crate::script::Script;
use crate::strategy::Strategy;

/// Foretells what comes of a script under a parent, on a machine whose pipes are as `facts` say.
///
/// Deadlines, limits and kills are not asked: it is what comes of a parent that has none. The cost is that of the script's steps,
/// some tens of nanoseconds each, and of the orders that could matter.
#[must_use]
pub fn predict(script: &Script, parent: &Parent, facts: PipeFacts) -> Prediction {
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
        Simulated::Outcomes { outcomes, orders } => Prediction::Outcomes {
            outcomes: outcomes
                .iter()
                .map(|outcome| family.translate(outcome))
                .collect(),
            orders: orders.into(),
        },
        Simulated::NotModelled => Prediction::NotModelled {
            reason: NotModelled::Room,
        },
    })
}

fn contradiction(error: SimulateError) -> Prediction {
    let reason = match error {
        SimulateError::ResizeRace { .. } => NotModelled::Shrinking,
        SimulateError::Refused { .. } => NotModelled::Fails,
        other => NotModelled::Contradiction {
            what: other.to_string(),
        },
    };
    Prediction::NotModelled { reason }
}

/// Half a minute at most, where orders must be tried; what is left then is said to be incomplete.
const BUDGET: Budget = Budget {
    states: 50_000,
    moves: 1 << 31,
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
}

impl Parent {
    /// One that reads to the end of file and gives no input.
    #[must_use]
    pub const fn of(strategy: Strategy) -> Self {
        Self {
            strategy,
            after_exit: AfterExit::EndOfFile,
            stdin_bytes: None,
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

/// Why nothing is foretold.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, thiserror::Error)]
#[serde(rename_all = "snake_case", tag = "why")]
pub enum NotModelled {
    /// The outcome depends on the room in a socket or a terminal.
    #[error("it depends on the room in a socket or a terminal, which is not modelled")]
    Room,
    /// The script uses a FIFO.
    #[error("the script uses a FIFO, which others may open")]
    Fifo,
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
    /// A terminal is hung up when its session's leader exits, whoever holds it.
    #[error("the leader's exit hangs up the terminal under its descendants")]
    Hangup,
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
