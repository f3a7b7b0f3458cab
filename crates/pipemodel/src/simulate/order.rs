//! Whether the order of moves can matter.
//!
//! A move is *settled* if it commutes with all that any other task could do before the mover moves again: then it may go
//! first, and no outcome is lost (a persistent set of one, in the words of partial-order reduction: Godefroid 1996). Who could move before is
//! found as the diagnosis finds deadlocks: from the tasks that can go on now, add whom they could let go on, until nothing is added.

use super::advance::Grain;
use super::program::{ChannelId, Channels, OnBrokenPipe, OnRefusal, Step, TaskId, Until};
use super::progress::Progress;
use super::state::{Body, Life, Search, State};
use super::wait::Wait;
use crate::pipe::End;

/// A set of tasks.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Tasks(u64);

impl Tasks {
    fn insert(&mut self, task: TaskId) {
        self.0 |= 1 << task.0;
    }

    fn contains(self, task: TaskId) -> bool {
        self.0 & (1 << task.0) != 0
    }

    fn iter(self) -> impl Iterator<Item = TaskId> {
        (0..u64::BITS as usize)
            .map(TaskId)
            .filter(move |&task| self.contains(task))
    }
}

/// Who else could move.
#[derive(Clone, Copy)]
pub(super) enum Before {
    /// Before the task moves again.
    NextMove,
    /// Before it has done a run of writes, the first of which may already let others read.
    EndOfRun(ChannelId),
}

impl<P: Iterator<Item = Step> + Clone> State<'_, P> {
    /// How much of a task's next moves commutes with whatever others could do before; nothing if not even the next one does.
    pub(super) fn settled(&self, task: TaskId) -> Option<Grain> {
        let Some(current) = &self.tasks[task.0].place.current else {
            return Some(Grain::One);
        };
        match self.search {
            Search::Reduced => {}
            #[cfg(test)]
            Search::Exhaustive => return None,
        }
        match current.step {
            Step::Write { to, .. }
                if current.times > 1 && self.write_is_settled(task, to, Before::EndOfRun(to)) =>
            {
                Some(Grain::Run)
            }
            step => self
                .is_settled(task, step, current.progress)
                .then_some(Grain::One),
        }
    }

    fn is_settled(&self, task: TaskId, step: Step, progress: Progress) -> bool {
        let process = self.world.tasks[task.0].process;
        match step {
            Step::Write { to, .. } => self.write_is_settled(task, to, Before::NextMove),
            Step::Echo { from, to, .. } => match progress.echoed() {
                (0, _) => {
                    self.drainer(from, process) == Some(task) || self.read_is_settled(task, from)
                }
                (1.., _) => self.write_is_settled(task, to, Before::NextMove),
            },
            Step::Read { from, .. } => self.read_is_settled(task, from),
            Step::Drain { from, until } => {
                self.drain_goes_on(task, from, until)
                    || from
                        .iter()
                        .all(|channel| self.read_is_settled(task, channel))
            }
            Step::Close {
                channel,
                end: End::Read,
            } => self.closing_is_settled(task, channel, 1),
            Step::Exit(_) => self.ending_is_settled(task),
            // In open(2) already, its partner has come, and will have come whatever else moves.
            Step::Open { channel, .. } => {
                progress.opens().is_some() || self.is_untouched(task, channel)
            }
            Step::Resize {
                channel,
                on_refusal,
                ..
            } => {
                self.is_untouched(task, channel)
                    && match on_refusal {
                        OnRefusal::GoOn | OnRefusal::Unmodelled => true,
                        OnRefusal::Exit(_) => self.ending_is_settled(task),
                    }
            }
            Step::SetMode { channel, .. } => self.is_untouched(task, channel),
            // These let others go on, and take nothing from them.
            Step::Close {
                end: End::Write, ..
            }
            | Step::AwaitHangUp { .. }
            | Step::Spawn { .. }
            | Step::Start { .. }
            | Step::WaitExit { .. }
            | Step::Join { .. }
            | Step::Sleep { .. }
            | Step::LoopMark
            | Step::WriteAgain { .. }
            | Step::GiveUp
            | Step::Never(_) => true,
        }
    }

    pub(super) fn is_untouched(&self, task: TaskId, channel: ChannelId) -> bool {
        !self.could_be_touched(task, Before::NextMove, channel, End::Read)
            && !self.could_be_touched(task, Before::NextMove, channel, End::Write)
    }

    /// The end of the task's process.
    fn ending_is_settled(&self, task: TaskId) -> bool {
        (0..self.channels.len())
            .map(ChannelId)
            .all(|channel| self.closing_is_settled(task, channel, u32::MAX))
            && self.leaving_is_settled(task)
    }

    pub(super) fn write_is_settled(&self, task: TaskId, to: ChannelId, before: Before) -> bool {
        let process = self.world.tasks[task.0].process;
        match self.channels[to.0].body {
            Body::Null => true,
            // Whoever reads a file that is being written gets more or less of it.
            Body::File { .. } => !self.could_be_touched(task, before, to, End::Read),
            // It breaks, and may end the process.
            Body::Pipe(_) | Body::Unmodelled { .. }
                if self.channels[to.0].readers == 0 && !self.may_get_reader(task, to, before) =>
            {
                match self.world.tasks[task.0].on_broken_pipe {
                    OnBrokenPipe::GoOn => true,
                    OnBrokenPipe::Die | OnBrokenPipe::Exit => self.ending_is_settled(task),
                }
            }
            Body::Pipe(_) | Body::Unmodelled { .. } => {
                self.drainer(to, process).is_some()
                    || (!self.could_be_touched(task, before, to, End::Read)
                        && !self.could_be_touched(task, before, to, End::Write))
            }
        }
    }

    /// Whether a FIFO that nobody reads may be opened by a reader yet; a pipe cannot.
    fn may_get_reader(&self, task: TaskId, channel: ChannelId, before: Before) -> bool {
        self.channels[channel.0].is_fifo()
            && self.could_be_touched(task, before, channel, End::Read)
    }

    /// A drain that a drain follows: whatever is there is taken, now or later.
    fn drain_goes_on(&self, task: TaskId, from: Channels, until: Until) -> bool {
        until == Until::EndOfFile
            && from.iter().all(|channel| {
                self.facts.sole_reader[channel.0] == Some(task)
                    && self.channels[channel.0].waits_for_writers()
            })
    }

    fn read_is_settled(&self, task: TaskId, from: ChannelId) -> bool {
        if matches!(self.channels[from.0].body, Body::Null) {
            return true;
        }
        !self.could_be_touched(task, Before::NextMove, from, End::Write)
            && (self.facts.sole_reader[from.0] == Some(task)
                || !self.could_be_touched(task, Before::NextMove, from, End::Read))
    }

    /// A process gives up a read end: once all have, a write breaks its pipe, and one that comes before does not. To a writer that does
    /// not mind it is all one. That others still hold the end is no excuse: they too may close it, before the write.
    fn closing_is_settled(&self, task: TaskId, channel: ChannelId, count: u32) -> bool {
        let process = self.world.tasks[task.0].process;
        let held = self.processes[process.0].held(channel, End::Read);
        if held == 0 || held > count {
            return true;
        }
        let others = self.could_move(task, Before::NextMove);
        !others.iter().any(|other| {
            self.facts.writes[other.0].contains(channel)
                && (self.world.tasks[other.0].on_broken_pipe != OnBrokenPipe::GoOn
                    || self.world.altered.contains(channel))
        })
    }

    fn could_be_touched(&self, task: TaskId, before: Before, channel: ChannelId, end: End) -> bool {
        self.could_move(task, before).iter().any(|other| {
            // A drain takes what is there, now or later, and lets a writer go on that it finds blocked.
            let only_drains = end == End::Read
                && self.facts.sole_reader[channel.0] == Some(other)
                && self.promises(other, channel);
            !only_drains && self.touches(other, channel, end)
        })
    }

    /// Whether a task may ever use an end, or close it by ending its process.
    fn touches(&self, task: TaskId, channel: ChannelId, end: End) -> bool {
        let used = match end {
            End::Read => self.facts.reads[task.0],
            End::Write => self.facts.writes[task.0],
        };
        // That a pipe loses a writer takes nothing from anybody; a FIFO's next reader may have to wait for another one.
        let closing_matters = end == End::Read || self.channels[channel.0].is_fifo();
        used.contains(channel) || (closing_matters && self.closes(task, channel, end))
    }

    /// Whether a task's process holds an end, and the task, its main one, may close it or exit.
    fn closes(&self, task: TaskId, channel: ChannelId, end: End) -> bool {
        let process = self.world.tasks[task.0].process;
        self.world.processes[process.0].main == Some(task)
            && match self.processes[process.0].life {
                Life::Alive => self.processes[process.0].held(channel, end) > 0,
                Life::NotYet => self.world.processes[process.0]
                    .holds
                    .iter()
                    .any(|hold| hold.channel == channel && hold.end == end),
                Life::Ended(_) => false,
            }
    }

    /// The tasks other than `task` that could move: at most these, perhaps fewer.
    fn could_move(&self, task: TaskId, before: Before) -> Tasks {
        let mut movers = Tasks(0);
        loop {
            let known = movers;
            for other in (0..self.tasks.len()).map(TaskId) {
                if other != task
                    && !movers.contains(other)
                    && self.could_be_let_go(other, movers, before)
                {
                    movers.insert(other);
                }
            }
            if movers == known {
                return movers;
            }
        }
    }

    fn could_be_let_go(&self, task: TaskId, movers: Tasks, before: Before) -> bool {
        match self.tasks[task.0].place.life {
            Life::Ended(_) => false,
            Life::NotYet => self.could_be_started(task, movers),
            Life::Alive => match self.wait(task) {
                None | Some(Wait::Sleep) => true,
                Some(Wait::Never(_)) => false,
                Some(wait) => {
                    before.lets_go(wait) || movers.iter().any(|mover| self.could_wake(mover, wait))
                }
            },
        }
    }

    fn could_be_started(&self, task: TaskId, movers: Tasks) -> bool {
        let process = self.world.tasks[task.0].process;
        let starter = if self.world.processes[process.0].main == Some(task) {
            self.world.processes[process.0].parent
        } else {
            Some(process)
        };
        movers
            .iter()
            .any(|mover| starter == Some(self.world.tasks[mover.0].process))
    }

    /// Whether a move of one task could end another's wait.
    pub(super) fn could_wake(&self, mover: TaskId, wait: Wait) -> bool {
        let writes = |channel| {
            self.facts.writes[mover.0].contains(channel) || self.closes(mover, channel, End::Write)
        };
        match wait {
            // Growing a pipe makes room too; only its users at the write end are taken to do that.
            Wait::Write { channel } => {
                self.touches(mover, channel, End::Read)
                    || self.facts.writes[mover.0].contains(channel)
            }
            Wait::Read { channel } | Wait::HangUp { channel } => writes(channel),
            Wait::Partner { channel, end } => match end {
                End::Read => self.facts.reads[mover.0].contains(channel),
                End::Write => self.facts.writes[mover.0].contains(channel),
            },
            Wait::Drain { channels } => channels.iter().any(writes) || self.ends_drains(mover),
            Wait::Exit { process, .. } => self.world.tasks[mover.0].process == process,
            Wait::Join { task } => mover == task,
            Wait::Sleep | Wait::Never(_) => false,
        }
    }

    /// A drain may end with the leader, whom any of its tasks may end.
    fn ends_drains(&self, mover: TaskId) -> bool {
        self.world.leader == Some(self.world.tasks[mover.0].process)
    }
}

impl Before {
    /// Whether the run's own writes end a wait.
    fn lets_go(self, wait: Wait) -> bool {
        let Self::EndOfRun(written) = self else {
            return false;
        };
        match wait {
            Wait::Read { channel } => channel == written,
            Wait::Drain { channels } => channels.contains(written),
            Wait::Write { .. }
            | Wait::HangUp { .. }
            | Wait::Partner { .. }
            | Wait::Exit { .. }
            | Wait::Join { .. }
            | Wait::Sleep
            | Wait::Never(_) => false,
        }
    }
}
