//! Whether a program does only what its world declares.

use super::SimulateError;
use super::program::{ChannelId, ProcessId, Step, TaskId};
use super::state::State;
use super::world::Hold;
use crate::pipe::End;

impl<P: Iterator<Item = Step> + Clone> State<'_, P> {
    /// A task that reads otherwise than by a drain to the end has not promised not to.
    pub(super) fn check_promise(
        &self,
        task: TaskId,
        channel: ChannelId,
    ) -> Result<(), SimulateError> {
        if self.world.tasks[task.0].drains.contains(channel) {
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

    pub(super) fn check_use(
        &self,
        task: TaskId,
        channel: ChannelId,
        end: End,
    ) -> Result<(), SimulateError> {
        let used = match end {
            End::Read => self.facts.reads[task.0],
            End::Write => self.facts.writes[task.0],
        };
        let process = self.world.tasks[task.0].process;
        if !used.contains(channel) {
            Err(SimulateError::UndeclaredUse { task, channel, end })
        } else if self.processes[process.0].held(channel, end) == 0 {
            Err(SimulateError::NotHeld { task, channel, end })
        } else {
            Ok(())
        }
    }
}
