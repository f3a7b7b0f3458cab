//! What a task waits for, and who reads so eagerly that a writer never does.

use super::program::{ChannelId, Channels, Never, ProcessId, Step, TaskId, Until, Waiting};
use super::progress::Progress;
use super::state::{Body, Life, Room, Search, State};
use crate::pipe::{End, WriteMode};

/// What a task waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Wait {
    /// For room in a channel.
    Write {
        /// The channel.
        channel: ChannelId,
    },
    /// For bytes in a channel, or its end of file.
    Read {
        /// The channel.
        channel: ChannelId,
    },
    /// For bytes in any of a set, or the end of file of all.
    Drain {
        /// The channels.
        channels: Channels,
    },
    /// For the end of file alone.
    HangUp {
        /// The channel.
        channel: ChannelId,
    },
    /// For somebody to open the other end of a FIFO.
    Partner {
        /// The FIFO.
        channel: ChannelId,
        /// The end that nobody has open.
        end: End,
    },
    /// For the exit of a process.
    Exit {
        /// Which.
        process: ProcessId,
        /// How.
        how: Waiting,
    },
    /// For another task of the process.
    Join {
        /// Which.
        task: TaskId,
    },
    /// For time to pass.
    Sleep,
    /// For what no program of the world gives.
    Never(Never),
}

impl<P: Iterator<Item = Step> + Clone> State<'_, P> {
    /// What an alive task waits for; nothing if it can go on now.
    pub(super) fn wait(&self, task: TaskId) -> Option<Wait> {
        let current = self.tasks[task.0].place.current.as_ref()?;
        let process = self.world.tasks[task.0].process;
        match current.step {
            Step::Write { to, .. } => self.write_wait(process, to, current.progress.written()),
            Step::Read { from, .. } => self.read_wait(from),
            Step::Echo { from, to, .. } => match current.progress.echoed() {
                (0, _) => self.read_wait(from),
                (1.., put) => self.write_wait(process, to, put),
            },
            Step::Drain { from, until } => self.drain_wait(from, until),
            Step::AwaitHangUp { on } => {
                let channel = &self.channels[on.0];
                (channel.writers > 0 && channel.waits_for_writers())
                    .then_some(Wait::HangUp { channel: on })
            }
            Step::Open { channel, .. } => self.partner_wait(channel, current.progress),
            Step::WaitExit { process, how } => match self.processes[process.0].life {
                Life::Ended(_) => None,
                Life::Alive | Life::NotYet => Some(Wait::Exit { process, how }),
            },
            Step::Join { task } => match self.tasks[task.0].place.life {
                Life::Ended(_) => None,
                Life::Alive | Life::NotYet => Some(Wait::Join { task }),
            },
            Step::Sleep { .. } => {
                let until_us = current.progress.sleeps_until();
                until_us
                    .is_some_and(|until_us| until_us > self.clock_us)
                    .then_some(Wait::Sleep)
            }
            Step::Never(never) => Some(Wait::Never(never)),
            Step::Close { .. }
            | Step::Resize { .. }
            | Step::SetMode { .. }
            | Step::Spawn { .. }
            | Step::Start { .. }
            | Step::LoopMark
            | Step::WriteAgain { .. }
            | Step::GiveUp
            | Step::Exit(_) => None,
        }
    }

    /// Of a write of which so much is in, or that has not begun.
    fn write_wait(&self, writer: ProcessId, to: ChannelId, put: Option<u64>) -> Option<Wait> {
        let channel = &self.channels[to.0];
        let goes = match &channel.body {
            Body::File { .. } | Body::Null => true,
            Body::Pipe(_) | Body::Unmodelled { .. }
                if channel.readers == 0 || self.drainer(to, writer).is_some() =>
            {
                true
            }
            Body::Unmodelled { .. } => self.room == Room::Endless,
            // Entering write(2) looks at the last slot, and that can be done on a full pipe.
            Body::Pipe(pipe) => put.is_none() || !pipe.is_full(),
        };
        (!goes).then_some(Wait::Write { channel: to })
    }

    fn partner_wait(&self, channel: ChannelId, progress: Progress) -> Option<Wait> {
        let (end, seen) = progress.opens()?;
        let opens = self.channels[channel.0].opens?;
        (opens.of(end) == seen).then_some(Wait::Partner { channel, end })
    }

    fn read_wait(&self, from: ChannelId) -> Option<Wait> {
        let channel = &self.channels[from.0];
        (channel.unread() == 0 && channel.writers > 0 && channel.waits_for_writers())
            .then_some(Wait::Read { channel: from })
    }

    fn drain_wait(&self, from: Channels, until: Until) -> Option<Wait> {
        let something = from
            .iter()
            .any(|channel| self.channels[channel.0].unread() > 0);
        (!something && !self.drain_is_over(from, until)).then_some(Wait::Drain { channels: from })
    }

    /// Whether a drain ends, once nothing is left to read.
    pub(super) fn drain_is_over(&self, from: Channels, until: Until) -> bool {
        let ended = from.iter().all(|channel| {
            let channel = &self.channels[channel.0];
            channel.writers == 0 || !channel.waits_for_writers()
        });
        ended
            || match until {
                Until::EndOfFile => false,
                Until::ExitOf(process) => {
                    matches!(self.processes[process.0].life, Life::Ended(_))
                }
            }
    }

    /// The task that, while `writer` lives, reads a channel until its end of file and does nothing else with it, nor anybody else: what
    /// `writer` writes there goes in at once, whatever the room, and in whatever order. An echo is one if its output has one in turn.
    pub(super) fn drainer(&self, channel: ChannelId, writer: ProcessId) -> Option<TaskId> {
        self.drainer_within(channel, writer, self.channels.len())
    }

    fn drainer_within(
        &self,
        channel: ChannelId,
        writer: ProcessId,
        depth: usize,
    ) -> Option<TaskId> {
        match self.search {
            Search::Reduced => {}
            #[cfg(test)]
            Search::Exhaustive => return None,
        }
        // Whoever reads a file takes what is there at that moment.
        if !self.channels[channel.0].waits_for_writers() {
            return None;
        }
        let task = self.facts.sole_reader[channel.0]?;
        let place = &self.tasks[task.0].place;
        if place.life != Life::Alive || self.channels[channel.0].unread() > 0 {
            return None;
        }
        let current = place.current.as_ref()?;
        let drains = match current.step {
            Step::Drain { from, until } => {
                from.contains(channel)
                    && match until {
                        Until::EndOfFile => true,
                        // What another writer puts in may be cut off by that exit, and then it matters what joined it; and one look
                        // takes from all channels, so that it matters when that is.
                        Until::ExitOf(process) => {
                            process == writer
                                && from
                                    .iter()
                                    .all(|channel| self.writes_alone(process, channel))
                        }
                    }
            }
            Step::Echo { from, to, .. } => {
                let (pending, _) = current.progress.echoed();
                let echoer = self.world.tasks[task.0].process;
                let packets = self.channels[channel.0].mode == WriteMode::Packet
                    || self.world.altered.contains(channel);
                from == channel
                    && pending == 0
                    && !packets
                    && match self.channels[to.0].body {
                        Body::Null => true,
                        Body::File { .. } => self.is_read_after(to, echoer),
                        Body::Pipe(_) | Body::Unmodelled { .. } => {
                            depth > 0 && self.drainer_within(to, echoer, depth - 1).is_some()
                        }
                    }
            }
            Step::Write { .. }
            | Step::Read { .. }
            | Step::AwaitHangUp { .. }
            | Step::Close { .. }
            | Step::Open { .. }
            | Step::Resize { .. }
            | Step::SetMode { .. }
            | Step::Spawn { .. }
            | Step::Start { .. }
            | Step::WaitExit { .. }
            | Step::Join { .. }
            | Step::Sleep { .. }
            | Step::Never(_)
            | Step::LoopMark
            | Step::WriteAgain { .. }
            | Step::GiveUp
            | Step::Exit(_) => false,
        };
        drains.then_some(task)
    }
}

impl<P> State<'_, P> {
    /// Whether whoever reads a channel waits for a process to exit before.
    fn is_read_after(&self, channel: ChannelId, writer: ProcessId) -> bool {
        self.tasks.iter().enumerate().all(|(index, task)| {
            let waits = task.place.current.is_some_and(
                |current| matches!(current.step, Step::WaitExit { process, .. } if process == writer),
            );
            matches!(task.place.life, Life::Ended(_))
                || !self.facts.reads[index].contains(channel)
                || waits
        })
    }

    /// Whether a process lives, and no task of another will ever write to a channel.
    fn writes_alone(&self, process: ProcessId, channel: ChannelId) -> bool {
        self.processes[process.0].life == Life::Alive
            && self.tasks.iter().enumerate().all(|(index, task)| {
                matches!(task.place.life, Life::Ended(_))
                    || self.world.tasks[index].process == process
                    || !self.facts.writes[index].contains(channel)
            })
    }
}
