//! Programs that block on each other's channels, run to their end or to where they hang, before anything really runs.
//!
//! A [`World`] has channels, processes and tasks; a task's program is an iterator of blocking [`Step`]s. [`simulate`] says what comes of it
//! and, where the order in which the kernel lets tasks run could matter, tries every order that could (within a [`Budget`]) and
//! returns every outcome. Time is the sleeps alone: whatever else takes time takes none here, and an order that needs a
//! sleep to end early is tried where it could matter.
//!
//! What is exact: pipes and FIFOs, slot by slot; files and `/dev/null`. What is not modelled is the room of sockets and terminals: a
//! world with such channels is run with no room and with endless room, and only an outcome that is the same for both is given
//! (a larger buffer never makes a program hang that a smaller one lets pass: Parks 1995).

mod advance;
mod check;
mod explore;
mod fifo;
mod lap;
mod order;
mod outcome;
mod program;
mod progress;
mod state;
mod transfer;
mod wait;
mod world;

use std::error::Error;
use std::fmt;

pub use outcome::{Blocked, Ending, Leak, Outcome};
pub use program::{
    Access, ChannelId, Channels, Exit, Never, OnBrokenPipe, OnRefusal, ProcessId, Step, TaskId,
    Until, Waiting, Writing,
};
pub use wait::Wait;
pub use world::{ChannelKind, Hold, MAX_MEMBERS, World};

use crate::pipe::End;
use state::{Facts, Room, State};

/// Runs a world.
///
/// # Errors
///
/// [`SimulateError`], if the world contradicts itself, which is a mistake of whoever made it; or at a race that the model does not decide.
pub fn simulate<P: Iterator<Item = Step> + Clone>(
    world: &World<P>,
    budget: Budget,
) -> Result<Simulated, SimulateError> {
    if world.channels.len() > MAX_MEMBERS || world.tasks.len() > MAX_MEMBERS {
        return Err(SimulateError::TooLarge);
    }
    let facts = Facts::of(world);
    let endless = explore::explore(State::new(world, &facts, Room::Endless), budget)?;
    let unmodelled = State::new(world, &facts, Room::Endless)
        .channels
        .iter()
        .any(state::Channel::is_unmodelled);
    if unmodelled {
        let nothing = explore::explore(State::new(world, &facts, Room::Nothing), budget)?;
        if !same(&endless.outcomes, &nothing.outcomes) {
            return Ok(Simulated::NotModelled);
        }
        // They agree as far as both were searched.
        if nothing.orders == Orders::Incomplete {
            return Ok(Simulated::Outcomes {
                outcomes: endless.outcomes,
                orders: Orders::Incomplete,
            });
        }
    }
    Ok(Simulated::Outcomes {
        outcomes: endless.outcomes,
        orders: endless.orders,
    })
}

/// How much work a simulation may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Budget {
    /// States at which more than one order was tried.
    pub states: usize,
    /// Moves in all; a run of equal writes that nobody can come between is one.
    pub moves: u64,
}

impl Budget {
    /// Seconds at most, and far more than any capture of one child needs.
    pub const USUAL: Self = Self {
        states: 100_000,
        moves: 1 << 31,
    };
}

/// What a simulation found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Simulated {
    /// Every outcome that there can be (unless `orders` is incomplete): one if the order does not matter.
    Outcomes {
        /// The outcomes, each once.
        outcomes: Vec<Outcome>,
        /// Which orders were tried.
        orders: Orders,
    },
    /// It depends on the room in a socket or a terminal.
    NotModelled,
}

/// Which orders of moves were tried.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Orders {
    /// One, and any other gives the same.
    Irrelevant,
    /// All that could matter, from so many states.
    Explored {
        /// States at which more than one order was tried.
        states: u64,
    },
    /// The budget was used up: there may be other outcomes.
    Incomplete,
}

/// Outcomes agree if they end alike and deliver alike; who waited where meanwhile is the channel's affair, and of what goes on for ever so
/// is how much has come.
fn same(left: &[Outcome], right: &[Outcome]) -> bool {
    let essence = |outcomes: &[Outcome]| {
        let mut essence: Vec<_> = outcomes
            .iter()
            .map(|outcome| {
                let read = if outcome.ending == Ending::Endless {
                    Vec::new()
                } else {
                    outcome.read_by_root.clone()
                };
                (outcome.ending, outcome.leader, outcome.grows, read)
            })
            .collect();
        essence.sort_by_key(|(_, _, _, read)| read.clone());
        essence
    };
    essence(left) == essence(right)
}

impl Facts {
    fn of<P>(world: &World<P>) -> Self {
        let used = |end: End| {
            world
                .tasks
                .iter()
                .map(|task| {
                    let channels: Vec<_> = task
                        .uses
                        .iter()
                        .filter(|hold| hold.end == end)
                        .map(|hold| hold.channel)
                        .collect();
                    Channels::of(&channels)
                })
                .collect::<Vec<_>>()
        };
        let reads = used(End::Read);
        let sole_reader = (0..world.channels.len())
            .map(|channel| {
                let mut readers = (0..reads.len())
                    .filter(|&task| reads[task].contains(ChannelId(channel)))
                    .map(TaskId);
                match (readers.next(), readers.next()) {
                    (Some(only), None) => Some(only),
                    _ => None,
                }
            })
            .collect();
        Self {
            writes: used(End::Write),
            reads,
            sole_reader,
        }
    }
}

/// A world that contradicts itself, or that only a stopwatch could decide.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum SimulateError {
    /// A program uses an end that its task does not name.
    UndeclaredUse {
        /// The task.
        task: TaskId,
        /// The channel.
        channel: ChannelId,
        /// The end.
        end: End,
    },
    /// A program uses an end that its process does not hold, or no more.
    NotHeld {
        /// The task.
        task: TaskId,
        /// The channel.
        channel: ChannelId,
        /// The end.
        end: End,
    },
    /// A program resizes a channel, or switches its mode, of which that was not said.
    UndeclaredChange {
        /// The task.
        task: TaskId,
        /// The channel.
        channel: ChannelId,
    },
    /// A task breaks its promise to drain a channel to the end of file.
    NotDrained {
        /// The task.
        task: TaskId,
        /// The channel.
        channel: ChannelId,
    },
    /// A process ended before its main task had joined the others.
    TasksLeft {
        /// The process.
        process: ProcessId,
        /// A task that was left.
        task: TaskId,
    },
    /// A program opens what is no FIFO.
    NotAFifo {
        /// The task.
        task: TaskId,
        /// The channel.
        channel: ChannelId,
    },
    /// A program closes a FIFO before its process ends, which is not modelled.
    FifoClosed {
        /// The task.
        task: TaskId,
        /// The channel.
        channel: ChannelId,
    },
    /// The leader ended, and a process that this hangs up may have been alive.
    HungUp {
        /// The process.
        process: ProcessId,
    },
    /// A pipe that has been written to is made smaller while a reader drains it: whether the kernel refuses depends on how far the
    /// reader is.
    ResizeRace {
        /// The channel.
        channel: ChannelId,
    },
    /// A pipe refuses to be resized, and what the program does then is not modelled.
    Refused {
        /// The task.
        task: TaskId,
        /// The channel.
        channel: ChannelId,
    },
    /// A program gave up ([`Step::GiveUp`]).
    GivenUp {
        /// The task.
        task: TaskId,
    },
    /// More than [`MAX_MEMBERS`] channels or tasks.
    TooLarge,
}

impl fmt::Display for SimulateError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::UndeclaredUse { task, channel, end } => write!(
                f,
                "failed to simulate task {}: its program uses the {end:?} end of channel {}, which it does not declare",
                task.0, channel.0
            ),
            Self::NotHeld { task, channel, end } => write!(
                f,
                "failed to simulate task {}: its program uses the {end:?} end of channel {}, which its process does not hold",
                task.0, channel.0
            ),
            Self::UndeclaredChange { task, channel } => write!(
                f,
                "failed to simulate task {}: it alters channel {}, which is not declared",
                task.0, channel.0
            ),
            Self::NotDrained { task, channel } => write!(
                f,
                "failed to simulate task {}: it does not drain channel {} to its end of file, as it promised",
                task.0, channel.0
            ),
            Self::TasksLeft { process, task } => write!(
                f,
                "failed to simulate process {}: it ended before its main task had joined task {}",
                process.0, task.0
            ),
            Self::NotAFifo { task, channel } => write!(
                f,
                "failed to simulate task {}: it opens channel {}, which is no FIFO",
                task.0, channel.0
            ),
            Self::FifoClosed { task, channel } => write!(
                f,
                "failed to simulate task {}: it closes channel {}, a FIFO, before its process ends",
                task.0, channel.0
            ),
            Self::HungUp { process } => write!(
                f,
                "failed to simulate process {}: the leader's exit hangs it up",
                process.0
            ),
            Self::ResizeRace { channel } => write!(
                f,
                "failed to simulate the shrinking of channel {}: it depends on how far its reader is",
                channel.0
            ),
            Self::Refused { task, channel } => write!(
                f,
                "failed to simulate task {}: channel {} refuses to be resized, and what follows is not modelled",
                task.0, channel.0
            ),
            Self::GivenUp { task } => write!(
                f,
                "failed to simulate task {}: its program is too long",
                task.0
            ),
            Self::TooLarge => write!(
                f,
                "failed to simulate the world: it has more than {MAX_MEMBERS} channels or tasks"
            ),
        }
    }
}

impl Error for SimulateError {}

#[cfg(test)]
mod law;
#[cfg(test)]
mod tests;
