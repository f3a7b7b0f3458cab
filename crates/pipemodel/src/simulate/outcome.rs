//! What came of a simulation, and why it stands where it stands.

use super::program::{ChannelId, Channels, Exit, Never, ProcessId, Step, TaskId, Waiting};
use super::state::{Body, Channel, Life, State};
use super::wait::Wait;

/// How a run of a world ended, in one order of its moves (or in all of them).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Outcome {
    /// How it ended.
    pub ending: Ending,
    /// How the leader ended, if the root waited for it, or if nothing moves any more.
    pub leader: Option<Exit>,
    /// Bytes that the root's tasks read, by channel; where the root does not end, of a file also those that stand in it, which it could read
    /// at any time.
    pub read_by_root: Vec<(ChannelId, u64)>,
    /// Where the root waits for a task that goes on for ever: the channels that this task puts bytes into again and again.
    pub grows: Channels,
    /// Ends of file that were withheld after the leader's exit.
    pub leaks: Vec<Leak>,
    /// Who waits for what when nothing moves any more; empty if the root has ended.
    pub blocked: Vec<Blocked>,
}

/// How a run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Ending {
    /// The root ended.
    Completes {
        /// How.
        exit: Exit,
        /// How long the sleeps took that stood in its way, in microseconds; everything else is taken to take no time.
        after_us: u64,
    },
    /// No task that the root waits for can ever move, and one of them waits for room: a larger buffer would cure it.
    ArtificialDeadlock,
    /// As that, and none of them waits for room.
    TrueDeadlock,
    /// An artificial deadlock whose root looks alive: it looks for the exit and sleeps, for ever.
    PollsForEver,
    /// The leader has ended, and a holder of a write end that does not end withholds the end of file for ever.
    Leaks,
    /// It waits for what no program of the world gives.
    Waits(Never),
    /// It waits for a task that goes on for ever.
    Endless,
}

/// An end of file that somebody withholds after the leader's exit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Leak {
    /// The channel.
    pub channel: ChannelId,
    /// Who holds its write end.
    pub holder: ProcessId,
    /// For how long it sleeps meanwhile, in microseconds; nothing if it never ends by itself.
    pub withheld_us: Option<u64>,
}

/// A task that waits, and can never go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Blocked {
    /// The task.
    pub task: TaskId,
    /// What for.
    pub wait: Wait,
    /// The bytes that the task had moved through the channel it waits for: those of the write that blocks are counted. The next one is the
    /// byte at which it hangs.
    pub moved: u64,
    /// The unread bytes in that channel.
    pub unread: u64,
}

impl Outcome {
    /// Adds an outcome to those found. Of two that differ only in how long sleeps took, the one with less is kept: no order needs more.
    pub(super) fn join(self, outcomes: &mut Vec<Self>) {
        let known = outcomes.iter_mut().find(|known| {
            known.ending.without_time() == self.ending.without_time()
                && known.leader == self.leader
                && known.read_by_root == self.read_by_root
                && known.grows == self.grows
                && known.blocked == self.blocked
        });
        match known {
            None => outcomes.push(self),
            Some(known) if self.time() < known.time() => *known = self,
            Some(_) => {}
        }
    }

    /// How long the sleeps took, and then how long ends of file were withheld.
    fn time(&self) -> (u64, u64) {
        let after_us = self.ending.after_us().unwrap_or(0);
        let withheld = self.leaks.iter().filter_map(|leak| leak.withheld_us).sum();
        (after_us, withheld)
    }
}

impl Ending {
    /// How long it took, if it came to its end.
    const fn after_us(self) -> Option<u64> {
        match self {
            Self::Completes { after_us, .. } => Some(after_us),
            Self::ArtificialDeadlock
            | Self::TrueDeadlock
            | Self::PollsForEver
            | Self::Leaks
            | Self::Waits(_)
            | Self::Endless => None,
        }
    }

    fn without_time(mut self) -> Self {
        if let Self::Completes { after_us, .. } = &mut self {
            *after_us = 0;
        }
        self
    }
}

const ROOT: ProcessId = ProcessId(0);

impl<P: Iterator<Item = Step> + Clone> State<'_, P> {
    /// The outcome, when the root has ended or nothing can move.
    pub(super) fn outcome(&self) -> Outcome {
        let grows = self
            .tasks
            .iter()
            .filter(|task| task.spins)
            .fold(Channels::default(), |all, task| all.union(task.grows));
        let ending = match self.root_exit() {
            Some(exit) => Ending::Completes {
                exit,
                after_us: self.clock_us,
            },
            None => self.standstill(),
        };
        let completes = ending.after_us().is_some();
        let mut leaks = self.leaks.clone();
        if ending == Ending::Leaks {
            leaks.extend(self.withheld().map(|(channel, holder)| Leak {
                channel,
                holder,
                withheld_us: None,
            }));
        }
        Outcome {
            ending,
            leader: if completes && !self.leader_reaped {
                None
            } else {
                self.leader_exit()
            },
            read_by_root: self.read_by_root(ending),
            grows,
            leaks,
            blocked: if completes {
                Vec::new()
            } else {
                self.blocked()
            },
        }
    }

    /// Why the root cannot end, from those whom it waits for.
    fn standstill(&self) -> Ending {
        let members = self.waited_for();
        let spins = members.iter().any(|&(task, _)| self.tasks[task.0].spins);
        let never = members.iter().find_map(|&(_, wait)| match wait {
            Some(Wait::Never(never)) => Some(never),
            _ => None,
        });
        if (spins || never.is_some()) && self.withheld().next().is_some() {
            return Ending::Leaks;
        }
        if spins {
            return Ending::Endless;
        }
        if let Some(never) = never {
            return Ending::Waits(never);
        }
        let any = |test: fn(Wait) -> bool| members.iter().any(|&(_, wait)| wait.is_some_and(test));
        let for_room = any(|wait| matches!(wait, Wait::Write { .. }));
        let polls = any(|wait| {
            matches!(
                wait,
                Wait::Exit {
                    how: Waiting::Polling,
                    ..
                }
            )
        });
        match (for_room, polls) {
            (_, true) => Ending::PollsForEver,
            (true, false) => Ending::ArtificialDeadlock,
            (false, false) => Ending::TrueDeadlock,
        }
    }

    /// The root's main task, those that could wake it, those that could wake these, and so on.
    fn waited_for(&self) -> Vec<(TaskId, Option<Wait>)> {
        let main = self.world.processes.first().and_then(|root| root.main);
        let mut members: Vec<_> = main
            .into_iter()
            .map(|task| (task, self.wait(task)))
            .collect();
        let mut next = 0;
        while let Some(&(_, wait)) = members.get(next) {
            next += 1;
            let Some(wait) = wait else { continue };
            for other in self.alive() {
                let known = members.iter().any(|&(member, _)| member == other);
                if !known && self.could_wake(other, wait) {
                    members.push((other, self.wait(other)));
                }
            }
        }
        members
    }

    /// Write ends that withhold an end of file from the root, after the leader's exit and against the root's will.
    pub(super) fn withheld(&self) -> impl Iterator<Item = (ChannelId, ProcessId)> + '_ {
        let awaited = move |channel: ChannelId| {
            self.alive().any(|task| {
                self.world.tasks[task.0].process == ROOT
                    && match self.wait(task) {
                        Some(Wait::Read { channel: on } | Wait::HangUp { channel: on }) => {
                            on == channel
                        }
                        Some(Wait::Drain { channels }) => channels.contains(channel),
                        _ => false,
                    }
            })
        };
        let holds = move |process: ProcessId, channel: ChannelId| {
            self.processes[process.0].life == Life::Alive
                && self.processes[process.0].writes[channel.0] > 0
        };
        let leader_gone = self.leader_exit().is_some();
        (0..self.channels.len())
            .map(ChannelId)
            .filter(move |&channel| leader_gone && awaited(channel) && !holds(ROOT, channel))
            .flat_map(move |channel| {
                (1..self.processes.len())
                    .map(ProcessId)
                    .filter(move |&process| holds(process, channel))
                    .map(move |process| (channel, process))
            })
    }

    fn read_by_root(&self, ending: Ending) -> Vec<(ChannelId, u64)> {
        let goes_on = ending.after_us().is_none();
        (0..self.channels.len())
            .map(|channel| {
                let in_file = match self.channels[channel].body {
                    Body::File { unread } if goes_on => unread,
                    Body::File { .. } | Body::Pipe(_) | Body::Null | Body::Unmodelled { .. } => 0,
                };
                let read = (0..self.tasks.len())
                    .filter(|&task| self.world.tasks[task].process == ROOT)
                    .map(|task| self.tasks[task].place.read[channel])
                    .fold(in_file, u64::saturating_add);
                (ChannelId(channel), read)
            })
            .collect()
    }

    fn blocked(&self) -> Vec<Blocked> {
        self.waited_for()
            .into_iter()
            .filter_map(|(task, wait)| {
                let wait = wait?;
                let place = &self.tasks[task.0].place;
                let (moved, unread) = match wait {
                    Wait::Write { channel } => {
                        (place.written[channel.0], self.channels[channel.0].unread())
                    }
                    Wait::Read { channel } | Wait::HangUp { channel } => {
                        (place.read[channel.0], self.channels[channel.0].unread())
                    }
                    Wait::Drain { channels } => (
                        channels.iter().map(|channel| place.read[channel.0]).sum(),
                        0,
                    ),
                    Wait::Partner { .. }
                    | Wait::Exit { .. }
                    | Wait::Join { .. }
                    | Wait::Sleep
                    | Wait::Never(_) => (0, 0),
                };
                Some(Blocked {
                    task,
                    wait,
                    moved,
                    unread,
                })
            })
            .collect()
    }
}

impl Channel {
    /// Whether its room is not modelled.
    pub(super) fn is_unmodelled(&self) -> bool {
        matches!(self.body, Body::Unmodelled { .. })
    }
}
