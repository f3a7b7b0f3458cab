//! The search through the orders of moves that can matter.

use std::collections::HashSet;

use super::advance::Grain;
use super::outcome::{Leak, Outcome};
use super::program::{ChannelId, ProcessId, Step, TaskId};
use super::state::{Channel, Place, Process, State};
use super::wait::Wait;
use super::{Budget, Orders, SimulateError};

/// What was found: the outcomes, each once, and how many orders it took.
pub(super) struct Found {
    pub(super) outcomes: Vec<Outcome>,
    pub(super) orders: Orders,
}

pub(super) fn explore<P: Iterator<Item = Step> + Clone>(
    start: State<'_, P>,
    budget: Budget,
) -> Result<Found, SimulateError> {
    let mut open = vec![start];
    let mut seen = HashSet::new();
    let mut outcomes: Vec<Outcome> = Vec::new();
    let mut moves_left = budget.moves;
    let mut orders = Orders::Irrelevant;
    while let Some(mut state) = open.pop() {
        match run(&mut state, &mut moves_left)? {
            Stop::Ended => {
                state.outcome().join(&mut outcomes);
            }
            Stop::Unsettled(movers) => {
                if seen.insert(state.key()) {
                    for task in movers {
                        for leaving in state.leavings(task) {
                            let mut branch = state.clone();
                            branch.wake_early(task);
                            match leaving {
                                None => branch.advance(task, Grain::One)?,
                                Some(leaving) => branch.leave(task, &leaving)?,
                            }
                            branch.forget_spins();
                            open.push(branch);
                        }
                    }
                }
                if seen.len() > budget.states {
                    orders = Orders::Incomplete;
                    break;
                }
                orders = Orders::Explored {
                    states: seen.len() as u64,
                };
            }
            Stop::OutOfMoves => {
                orders = Orders::Incomplete;
                break;
            }
        }
    }
    Ok(Found { outcomes, orders })
}

/// Why a run stops.
enum Stop {
    /// The root has ended, or nothing can move.
    Ended,
    /// Each of these could be next, and it may matter which.
    Unsettled(Vec<TaskId>),
    /// The budget is used up.
    OutOfMoves,
}

/// Goes on while the order cannot matter.
fn run<P: Iterator<Item = Step> + Clone>(
    state: &mut State<'_, P>,
    moves_left: &mut u64,
) -> Result<Stop, SimulateError> {
    while state.root_exit().is_none() {
        let Some(left) = moves_left.checked_sub(1) else {
            return Ok(Stop::OutOfMoves);
        };
        *moves_left = left;
        let mut movers = Vec::new();
        let settled = state.next_settled(&mut movers);
        if let Some((task, grain)) = settled {
            state.advance(task, grain)?;
            if !state.tasks[task.0].spins {
                state.forget_spins();
            }
        } else if movers.iter().any(|task| !state.tasks[task.0].spins) {
            movers.extend(state.sleepers());
            return Ok(Stop::Unsettled(movers));
        } else if !state.wake_next() {
            return Ok(Stop::Ended);
        }
    }
    Ok(Stop::Ended)
}

impl<P: Iterator<Item = Step> + Clone> State<'_, P> {
    /// The next task whose move cannot matter to the others. Those that can move, but not so, are put into `movers`.
    fn next_settled(&self, movers: &mut Vec<TaskId>) -> Option<(TaskId, Grain)> {
        for task in self.alive() {
            if self.wait(task).is_some() {
                continue;
            }
            match self.settled(task) {
                Some(grain) if !self.tasks[task.0].spins => return Some((task, grain)),
                Some(_) | None => movers.push(task),
            }
        }
        None
    }

    fn sleepers(&self) -> Vec<TaskId> {
        self.alive()
            .filter(|&task| self.wait(task) == Some(Wait::Sleep))
            .collect()
    }

    /// Time passes until the first sleeper wakes; a task that only repeats itself wakes nobody. Says whether there was one.
    fn wake_next(&mut self) -> bool {
        let next = self
            .sleepers()
            .into_iter()
            .filter(|task| !self.tasks[task.0].spins)
            .min_by_key(|&task| self.wakes_at(task));
        let Some(task) = next else { return false };
        let passed = self.wakes_at(task).saturating_sub(self.clock_us);
        let withheld: Vec<_> = self.withheld().collect();
        for (channel, holder) in withheld {
            self.note_leak(channel, holder, passed);
        }
        self.clock_us = self.clock_us.saturating_add(passed);
        true
    }

    fn note_leak(&mut self, channel: ChannelId, holder: ProcessId, passed: u64) {
        let known = self
            .leaks
            .iter_mut()
            .find(|leak| leak.channel == channel && leak.holder == holder);
        match known {
            Some(leak) => leak.withheld_us = leak.withheld_us.map(|us| us.saturating_add(passed)),
            None => self.leaks.push(Leak {
                channel,
                holder,
                withheld_us: Some(passed),
            }),
        }
    }

    /// A sleep ends before others have moved that need no sleep, as on a machine where they are slow.
    fn wake_early(&mut self, task: TaskId) {
        self.clock_us = self.clock_us.max(self.wakes_at(task));
    }

    fn wakes_at(&self, task: TaskId) -> u64 {
        let current = self.tasks[task.0].place.current;
        let sleeps_until = current.and_then(|current| current.progress.sleeps_until());
        sleeps_until.unwrap_or(0)
    }

    fn forget_spins(&mut self) {
        for task in &mut self.tasks {
            task.spins = false;
        }
    }

    fn key(&self) -> Key {
        Key {
            channels: self.channels.clone(),
            processes: self.processes.clone(),
            places: self.tasks.iter().map(|task| task.place.clone()).collect(),
            clock_us: self.clock_us,
            leaks: self.leaks.clone(),
        }
    }
}

/// A state in full, so that no two are ever taken for one.
#[derive(PartialEq, Eq, Hash)]
struct Key {
    channels: Vec<Channel>,
    processes: Vec<Process>,
    places: Vec<Place>,
    clock_us: u64,
    leaks: Vec<Leak>,
}
