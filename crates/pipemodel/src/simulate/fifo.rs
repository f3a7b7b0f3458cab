//! FIFOs: how they are opened, what the last to close one takes with it, and in which orders they are closed.

use super::SimulateError;
use super::program::{Access, ChannelId, Exit, ProcessId, Step, TaskId};
use super::progress::Progress;
use super::state::{Body, Channel, Current, Life, Process, State};
use super::world::ChannelKind;
use crate::pipe::{End, Pipe};

impl Channel {
    pub(super) const fn is_fifo(&self) -> bool {
        self.opens.is_some()
    }
}

impl<P: Iterator<Item = Step> + Clone> State<'_, P> {
    /// open(2): it counts as a holder at once, whether or not it then has to wait (`fifo_open`).
    pub(super) fn open(
        &mut self,
        task: TaskId,
        channel: ChannelId,
        access: Access,
    ) -> Result<Option<Progress>, SimulateError> {
        let process = self.world.tasks[task.0].process;
        for &end in access.ends() {
            self.check_declared(task, channel, end)?;
            *self.processes[process.0].held_mut(channel, end) += 1;
            *self.channels[channel.0].holders_mut(end) += 1;
        }
        self.processes[process.0].opened[channel.0] += 1;
        let Some(opens) = &mut self.channels[channel.0].opens else {
            return Err(SimulateError::NotAFifo { task, channel });
        };
        for &end in access.ends() {
            opens.count(end);
        }
        let partner = match access {
            Access::Read => End::Write,
            Access::Write => End::Read,
            Access::Both => return Ok(None),
        };
        let seen = opens.of(partner);
        let alone = *self.channels[channel.0].holders_mut(partner) == 0;
        Ok(alone.then_some(Progress::Opening { partner, seen }))
    }

    /// What nobody has open any more is empty when it is opened again (`put_pipe_info`).
    pub(super) fn forget_unread(&mut self, channel: ChannelId) {
        let state = &mut self.channels[channel.0];
        if state.readers > 0 || state.writers > 0 {
            return;
        }
        if let (ChannelKind::Fifo { geometry }, Body::Pipe(pipe)) =
            (self.world.kind(channel), &mut state.body)
        {
            *pipe = Pipe::new(geometry);
        }
    }

    /// Whether it does not matter when a process closes its FIFOs, nor in which order: whoever opens one before or after finds it open or
    /// closed, and full or empty.
    pub(super) fn leaving_is_settled(&self, task: TaskId) -> bool {
        let process = self.world.tasks[task.0].process;
        let one_at_most = self.seen_by_others(task).len() <= 1;
        let mut opened = (0..self.channels.len())
            .map(ChannelId)
            .filter(|channel| self.processes[process.0].opened[channel.0] > 0);
        one_at_most && opened.all(|channel| self.is_untouched(task, channel))
    }

    /// What the next move of a task may be, if it is to end its process: the kernel closes what that had open one after the other, in no
    /// order that it promises. Pipes only ever lose holders, so that their order is all one; a FIFO may be opened by somebody who has seen
    /// another one closed. Nothing stands for the move that the step says.
    pub(super) fn leavings(&self, task: TaskId) -> Vec<Option<Leaving>> {
        let ends = match self.tasks[task.0].place.current {
            Some(Current {
                step: Step::Exit(_),
                ..
            }) => true,
            Some(_) | None => false,
        };
        let leavings = if ends {
            self.seen_by_others(task)
        } else {
            Vec::new()
        };
        if leavings.len() > 1 {
            leavings.into_iter().map(Some).collect()
        } else {
            vec![None]
        }
    }

    /// What the task's process has open of FIFOs that others may yet use.
    fn seen_by_others(&self, task: TaskId) -> Vec<Leaving> {
        let process = self.world.tasks[task.0].process;
        let Process { opened, .. } = &self.processes[process.0];
        let mut seen = Vec::new();
        for channel in (0..self.channels.len()).map(ChannelId) {
            if opened[channel.0] == 0 || !self.is_used_by_others(process, channel) {
                continue;
            }
            let held: Vec<_> = [End::Read, End::Write]
                .into_iter()
                .filter(|&end| self.processes[process.0].held(channel, end) > 0)
                .collect();
            // Of one description both ends go at once.
            if opened[channel.0] == 1 {
                seen.push(Leaving {
                    channel,
                    ends: held,
                });
            } else {
                seen.extend(held.into_iter().map(|end| Leaving {
                    channel,
                    ends: vec![end],
                }));
            }
        }
        seen
    }

    /// Whether another process may yet use a channel: also one that waits, for the first of the closings may let it go.
    fn is_used_by_others(&self, process: ProcessId, channel: ChannelId) -> bool {
        self.tasks.iter().enumerate().any(|(index, task)| {
            let ended = matches!(task.place.life, Life::Ended(_));
            let used = self.facts.reads[index].contains(channel)
                || self.facts.writes[index].contains(channel);
            !ended && self.world.tasks[index].process != process && used
        })
    }

    /// Closes one of those.
    pub(super) fn leave(&mut self, task: TaskId, leaving: &Leaving) -> Result<(), SimulateError> {
        let process = self.world.tasks[task.0].process;
        let &Leaving { channel, ref ends } = leaving;
        for &end in ends {
            self.close(process, channel, end, u32::MAX)?;
        }
        let gone = [End::Read, End::Write]
            .into_iter()
            .all(|end| self.processes[process.0].held(channel, end) == 0);
        if gone {
            self.processes[process.0].opened[channel.0] = 0;
        }
        Ok(())
    }

    /// Ends the process of a task, now or, if the order in which it closes its FIFOs can matter, step by step.
    pub(super) fn begin_to_leave(&mut self, task: TaskId, exit: Exit) -> Result<(), SimulateError> {
        if self.seen_by_others(task).len() > 1 {
            self.tasks[task.0].place.current = Some(Current {
                step: Step::Exit(exit),
                times: 1,
                progress: Progress::Fresh,
            });
            return Ok(());
        }
        self.end_process(self.world.tasks[task.0].process, exit)
    }
}

/// Ends of a FIFO that are closed at once.
pub(super) struct Leaving {
    channel: ChannelId,
    ends: Vec<End>,
}
