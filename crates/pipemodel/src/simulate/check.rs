//! Whether a program does only what its world declares.

use super::SimulateError;
use super::program::{ChannelId, ProcessId, Step, TaskId};
use super::state::{Life, State};
use super::world::Hold;
use crate::pipe::End;

impl<P: Iterator<Item = Step> + Clone> State<'_, P> {
    /// Whether a task has promised to drain a channel. The end of a file is where its bytes end at that moment: to drain one is to read it
    /// once, and a promise of that tells nothing.
    pub(super) fn promises(&self, task: TaskId, channel: ChannelId) -> bool {
        self.world.tasks[task.0].drains.contains(channel)
            && self.channels[channel.0].waits_for_writers()
    }

    /// A task that reads otherwise than by a drain to the end has not promised not to.
    pub(super) fn check_promise(
        &self,
        task: TaskId,
        channel: ChannelId,
    ) -> Result<(), SimulateError> {
        if self.promises(task, channel) {
            Err(SimulateError::NotDrained { task, channel })
        } else {
            Ok(())
        }
    }

    pub(super) fn check_altered(
        &self,
        task: TaskId,
        channel: ChannelId,
    ) -> Result<(), SimulateError> {
        if self.world.altered.contains(channel) {
            Ok(())
        } else {
            Err(SimulateError::UndeclaredChange { task, channel })
        }
    }

    pub(super) fn check_inheritance(
        &self,
        task: TaskId,
        child: ProcessId,
    ) -> Result<(), SimulateError> {
        let process = self.world.tasks[task.0].process;
        let missing = self.world.processes[child.0]
            .holds
            .iter()
            .find(|hold| self.processes[process.0].held(hold.channel, hold.end) == 0);
        match missing {
            None => Ok(()),
            Some(&Hold { channel, end }) => Err(SimulateError::NotHeld { task, channel, end }),
        }
    }

    /// Whoever was not waited for may have been alive when the leader ended, in another order of moves if not in this.
    pub(super) fn check_hang_up(&self, ends: ProcessId) -> Result<(), SimulateError> {
        if self.world.leader != Some(ends) {
            return Ok(());
        }
        let hung_up = self.world.hung_up.iter().find(|process| {
            let process = &self.processes[process.0];
            process.life != Life::NotYet && !process.awaited
        });
        match hung_up {
            Some(&process) => Err(SimulateError::HungUp { process }),
            None => Ok(()),
        }
    }

    pub(super) fn check_declared(
        &self,
        task: TaskId,
        channel: ChannelId,
        end: End,
    ) -> Result<(), SimulateError> {
        let used = match end {
            End::Read => self.facts.reads[task.0],
            End::Write => self.facts.writes[task.0],
        };
        if used.contains(channel) {
            Ok(())
        } else {
            Err(SimulateError::UndeclaredUse { task, channel, end })
        }
    }

    pub(super) fn check_use(
        &self,
        task: TaskId,
        channel: ChannelId,
        end: End,
    ) -> Result<(), SimulateError> {
        self.check_declared(task, channel, end)?;
        let process = self.world.tasks[task.0].process;
        if self.processes[process.0].held(channel, end) == 0 {
            Err(SimulateError::NotHeld { task, channel, end })
        } else {
            Ok(())
        }
    }
}
