//! What a task's next move does: one system call's hold on a pipe, or as many as change nothing for anybody else.

use super::SimulateError;
use super::program::{
    ChannelId, Channels, Exit, OnBrokenPipe, OnRefusal, ProcessId, Step, TaskId, Until, Writing,
};
use super::progress::Progress;
use super::state::{Current, Life, State};
use super::transfer::{Put, Refused};
use crate::pipe::End;

/// How much a move may do.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Grain {
    /// One system call: others may come between this and the next.
    One,
    /// A whole run of equal writes: nobody can come between them.
    Run,
}

impl<P: Iterator<Item = Step> + Clone> State<'_, P> {
    /// Moves a task that waits for nothing.
    pub(super) fn advance(&mut self, task: TaskId, grain: Grain) -> Result<(), SimulateError> {
        let Some(current) = self.tasks[task.0].place.current else {
            return Ok(());
        };
        match current.step {
            Step::Write { to, bytes, how } => {
                self.check_use(task, to, End::Write)?;
                self.write(task, current, to, bytes, how, grain)?;
            }
            Step::Read {
                from,
                bytes,
                per_read,
            } => {
                self.check_use(task, from, End::Read)?;
                self.check_promise(task, from)?;
                let before = current.progress.read();
                let got = self.take(task, from, per_read.min(bytes - before));
                if got == 0 || before + got == bytes {
                    self.next(task);
                } else {
                    self.set_progress(task, Progress::Reading(before + got));
                }
            }
            Step::Echo {
                from,
                to,
                per_read,
                how,
            } => {
                self.check_use(task, from, End::Read)?;
                self.check_promise(task, from)?;
                self.check_use(task, to, End::Write)?;
                self.echo(task, current.progress, (from, to), per_read, how)?;
            }
            Step::Drain { from, until } => {
                let mut got = 0;
                for channel in from.iter() {
                    self.check_use(task, channel, End::Read)?;
                    if until != Until::EndOfFile {
                        self.check_promise(task, channel)?;
                    }
                    got += self.take(task, channel, u64::MAX);
                }
                // It ends only on a look that finds nothing: until then a writer may come in between.
                if got == 0 && self.drain_is_over(from, until) {
                    self.next(task);
                }
            }
            Step::Sleep { us } => match current.progress.sleeps_until() {
                Some(_) => self.next(task),
                None => {
                    let until = self.clock_us.saturating_add(us);
                    self.set_progress(task, Progress::SleepingUntil(until));
                }
            },
            Step::Close { channel, end } => {
                let process = self.world.tasks[task.0].process;
                if self.channels[channel.0].is_fifo() {
                    return Err(SimulateError::FifoClosed { task, channel });
                }
                if self.world.processes[process.0].main != Some(task) {
                    self.check_use(task, channel, end)?;
                }
                if self.processes[process.0].held(channel, end) == 0 {
                    return Err(SimulateError::NotHeld { task, channel, end });
                }
                self.close(process, channel, end, 1)?;
                self.next(task);
            }
            Step::Open { channel, access } => match current.progress.opens() {
                Some(_) => self.next(task),
                None => match self.open(task, channel, access)? {
                    Some(waits) => self.set_progress(task, waits),
                    None => self.next(task),
                },
            },
            Step::Resize {
                channel,
                end,
                bytes,
                on_refusal,
            } => {
                self.check_use(task, channel, end)?;
                self.check_altered(task, channel)?;
                let refused = self.resize(channel, bytes)?;
                match (refused, on_refusal) {
                    (Refused::Yes, OnRefusal::Exit(exit)) => {
                        self.begin_to_leave(task, exit)?;
                    }
                    (Refused::Yes, OnRefusal::Unmodelled) => {
                        return Err(SimulateError::Refused { task, channel });
                    }
                    (Refused::Yes, OnRefusal::GoOn) | (Refused::No, _) => self.next(task),
                }
            }
            Step::SetMode { channel, mode } => {
                self.check_use(task, channel, End::Write)?;
                self.check_altered(task, channel)?;
                self.channels[channel.0].mode = mode;
                self.next(task);
            }
            Step::Spawn { process } => {
                self.check_inheritance(task, process)?;
                self.start_process(process);
                self.next(task);
            }
            Step::Start { task: other } => {
                self.start_task(other);
                self.next(task);
            }
            Step::AwaitHangUp { on } => {
                self.check_use(task, on, End::Read)?;
                self.next(task);
            }
            Step::WaitExit { process, .. } => {
                let by_root = self.world.tasks[task.0].process == ProcessId(0);
                self.processes[process.0].awaited = true;
                self.leader_reaped |= by_root && self.world.leader == Some(process);
                self.next(task);
            }
            Step::Join { .. } => self.next(task),
            Step::LoopMark => {
                let lap = self.lap_of(task);
                let this = &mut self.tasks[task.0];
                this.spins = this.last_lap.as_ref() == Some(&lap);
                this.last_lap = Some(lap);
                let before = std::mem::take(&mut this.written_before);
                this.grows = (before.iter().zip(&this.place.written))
                    .enumerate()
                    .filter(|(_, (before, now))| now > before)
                    .fold(Channels::default(), |grows, (channel, _)| {
                        grows.with(ChannelId(channel))
                    });
                this.written_before.clone_from(&this.place.written);
                self.next(task);
            }
            Step::WriteAgain { .. } => self.next(task),
            Step::GiveUp => return Err(SimulateError::GivenUp { task }),
            Step::Exit(exit) => self.end(task, exit)?,
            // Nothing ends this wait, so nobody moves such a task.
            Step::Never(_) => {}
        }
        Ok(())
    }

    fn write(
        &mut self,
        task: TaskId,
        current: Current,
        to: ChannelId,
        bytes: u64,
        how: Writing,
        grain: Grain,
    ) -> Result<(), SimulateError> {
        let times = match grain {
            Grain::Run => current.times,
            Grain::One => 1,
        };
        let before = current.progress.written();
        match self.put(task, to, bytes, before, how, times) {
            Put::Broken => return self.broken_pipe(task),
            Put::Done(0) => {}
            Put::Done(done) => self.completed(task, done),
            Put::Partial { done, put } => {
                if done > 0 {
                    self.completed(task, done);
                }
                self.set_progress(task, Progress::Writing(put));
            }
        }
        Ok(())
    }

    fn echo(
        &mut self,
        task: TaskId,
        progress: Progress,
        (from, to): (ChannelId, ChannelId),
        per_read: u64,
        how: Writing,
    ) -> Result<(), SimulateError> {
        let (pending, before) = progress.echoed();
        if pending == 0 {
            match self.take(task, from, per_read) {
                0 => self.next(task),
                got => self.set_progress(
                    task,
                    Progress::Echoing {
                        pending: got,
                        put: None,
                    },
                ),
            }
            return Ok(());
        }
        let (pending, put) = match self.put(task, to, pending, before, how, 1) {
            Put::Broken => return self.broken_pipe(task),
            Put::Done(_) => (0, None),
            Put::Partial { put, .. } => (pending, Some(put)),
        };
        self.set_progress(task, Progress::Echoing { pending, put });
        Ok(())
    }

    fn broken_pipe(&mut self, task: TaskId) -> Result<(), SimulateError> {
        match self.world.tasks[task.0].on_broken_pipe {
            OnBrokenPipe::GoOn => {
                // An echo that nobody reads goes on reading.
                let echoes = matches!(
                    self.tasks[task.0].place.current,
                    Some(Current {
                        step: Step::Echo { .. },
                        ..
                    })
                );
                if echoes {
                    self.set_progress(task, Progress::Fresh);
                } else {
                    self.completed(task, 1);
                }
                Ok(())
            }
            OnBrokenPipe::Die => self.begin_to_leave(task, Exit::BrokenPipe),
            OnBrokenPipe::Exit => self.begin_to_leave(task, Exit::Code(1)),
        }
    }

    fn end(&mut self, task: TaskId, exit: Exit) -> Result<(), SimulateError> {
        let process = self.world.tasks[task.0].process;
        if self.world.processes[process.0].main == Some(task) {
            self.tasks[task.0].place.life = Life::Ended(exit);
            self.end_process(process, exit)
        } else {
            self.tasks[task.0].place.life = Life::Ended(exit);
            self.tasks[task.0].place.current = None;
            Ok(())
        }
    }

    pub(super) fn end_process(
        &mut self,
        process: ProcessId,
        exit: Exit,
    ) -> Result<(), SimulateError> {
        let main = self.world.processes[process.0].main;
        self.check_hang_up(process)?;
        self.processes[process.0].life = Life::Ended(exit);
        for task in (0..self.tasks.len()).map(TaskId) {
            if self.world.tasks[task.0].process != process {
                continue;
            }
            let place = &mut self.tasks[task.0].place;
            // A feeder that the root leaves behind dies with it; a reader that is left would not drain what it promised to.
            let may_be_left =
                process == ProcessId(0) && self.facts.reads[task.0] == Channels::default();
            if place.life == Life::Alive && main != Some(task) && !may_be_left {
                return Err(SimulateError::TasksLeft { process, task });
            }
            place.life = Life::Ended(exit);
            place.current = None;
        }
        for channel in (0..self.channels.len()).map(ChannelId) {
            self.close(process, channel, End::Write, u32::MAX)?;
            self.close(process, channel, End::Read, u32::MAX)?;
        }
        Ok(())
    }

    /// So many of the current run's writes are done.
    fn completed(&mut self, task: TaskId, done: u64) {
        match &mut self.tasks[task.0].place.current {
            Some(current) if current.times > done => {
                current.times -= done;
                current.progress = Progress::Fresh;
            }
            Some(_) | None => self.next(task),
        }
    }

    fn set_progress(&mut self, task: TaskId, progress: Progress) {
        if let Some(current) = &mut self.tasks[task.0].place.current {
            current.progress = progress;
        }
    }

    fn next(&mut self, task: TaskId) {
        self.tasks[task.0].fetch();
    }
}
