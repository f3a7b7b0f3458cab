//! How bytes go into channels and out of them, and how ends are closed.

use super::SimulateError;
use super::order::Before;
use super::program::{ChannelId, ProcessId, Step, TaskId, Writing};
use super::state::{Body, Current, State};
use crate::pipe::End;

/// The smallest page of any Linux: larger ones have their ends among its.
const FILE_PAGE_BYTES: u64 = 4096;

/// Whether a pipe was left as it was.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Refused {
    Yes,
    No,
}

/// What came of putting bytes in.
pub(super) enum Put {
    /// Nobody reads.
    Broken,
    /// So many writes are done.
    Done(u64),
    /// So many are done, and of the next so many bytes are in.
    Partial { done: u64, put: u64 },
}

impl<P: Iterator<Item = Step> + Clone> State<'_, P> {
    /// Puts bytes into a channel: `times` writes of `bytes`, the first of which has `before` bytes in if it has begun.
    pub(super) fn put(
        &mut self,
        task: TaskId,
        to: ChannelId,
        bytes: u64,
        before: Option<u64>,
        how: Writing,
        times: u64,
    ) -> Put {
        let process = self.world.tasks[task.0].process;
        let drainer = self.drainer(to, process);
        let seen_after = self.is_seen_after(task, to);
        let channel = &mut self.channels[to.0];
        let mode = channel.mode;
        let all = || bytes.saturating_mul(times) - before.unwrap_or(0);
        let (result, put) = match &mut channel.body {
            Body::File { unread } => {
                let begun = before.unwrap_or(0);
                let (result, put) = match seen_after {
                    Some(part) if part < bytes - begun => {
                        let put = begun + part;
                        (Put::Partial { done: 0, put }, part)
                    }
                    Some(_) => (Put::Done(1), bytes - begun),
                    None => (Put::Done(times), all()),
                };
                *unread = unread.saturating_add(put);
                (result, put)
            }
            Body::Null => (Put::Done(times), all()),
            Body::Pipe(_) | Body::Unmodelled { .. } if channel.readers == 0 => return Put::Broken,
            Body::Pipe(_) | Body::Unmodelled { .. } if drainer.is_some() => {
                (Put::Done(times), all())
            }
            Body::Unmodelled { unread } => {
                *unread = unread.saturating_add(all());
                (Put::Done(times), all())
            }
            Body::Pipe(pipe) => {
                let start = pipe.written_bytes();
                let result = match (before, how) {
                    (Some(before), _) => {
                        let left = bytes - before;
                        let put = match how {
                            Writing::Blocking => pipe.go_on_writing(left, mode),
                            Writing::Polled => pipe.begin_write(left, mode),
                        };
                        if put == left {
                            Put::Done(1)
                        } else {
                            Put::Partial {
                                done: 0,
                                put: before + put,
                            }
                        }
                    }
                    (None, _) => {
                        let run = pipe.begin_writes(bytes, times, mode);
                        match run.partial {
                            None => Put::Done(run.completed),
                            Some(put) => Put::Partial {
                                done: run.completed,
                                put,
                            },
                        }
                    }
                };
                (result, pipe.written_bytes() - start)
            }
        };
        let written = &mut self.tasks[task.0].place.written[to.0];
        *written = written.saturating_add(put);
        if let Some(drainer) = drainer {
            self.deliver(drainer, to, put);
        }
        result
    }

    /// After how many bytes whoever reads a file may find a part of a write in it; nothing, if nobody can read it meanwhile. The kernel
    /// copies a page at a time at least, and the file grows with each (`generic_perform_write`).
    fn is_seen_after(&self, task: TaskId, to: ChannelId) -> Option<u64> {
        let is_file = matches!(self.channels[to.0].body, Body::File { .. });
        if !is_file || self.write_is_settled(task, to, Before::NextMove) {
            return None;
        }
        let written = self.tasks.iter().map(|task| task.place.written[to.0]);
        let length = written.fold(0, u64::saturating_add);
        Some(FILE_PAGE_BYTES - length % FILE_PAGE_BYTES)
    }

    /// Bytes go through a drainer: it has read them, and if it is an echo, written them in turn.
    fn deliver(&mut self, drainer: TaskId, channel: ChannelId, bytes: u64) {
        let place = &mut self.tasks[drainer.0].place;
        place.read[channel.0] = place.read[channel.0].saturating_add(bytes);
        let Some(Current {
            step: Step::Echo { to, .. },
            ..
        }) = place.current
        else {
            return;
        };
        place.written[to.0] = place.written[to.0].saturating_add(bytes);
        let echoer = self.world.tasks[drainer.0].process;
        match &mut self.channels[to.0].body {
            Body::File { unread } => *unread = unread.saturating_add(bytes),
            Body::Null => {}
            Body::Pipe(_) | Body::Unmodelled { .. } => {
                if let Some(next) = self.drainer(to, echoer) {
                    self.deliver(next, to, bytes);
                }
            }
        }
    }

    pub(super) fn resize(
        &mut self,
        channel: ChannelId,
        bytes: u64,
    ) -> Result<Refused, SimulateError> {
        let raced = self.is_read_at_any_moment(channel) && self.was_written(channel);
        let Body::Pipe(pipe) = &mut self.channels[channel.0].body else {
            return Ok(Refused::Yes);
        };
        let before = pipe.geometry();
        let refused = pipe.resize(bytes).is_err();
        if raced && (refused || pipe.geometry().slots() < before.slots()) {
            return Err(SimulateError::ResizeRace { channel });
        }
        Ok(if refused { Refused::Yes } else { Refused::No })
    }

    /// Whether somebody drains a channel: what went through at once in the model may still be in the ring of a real pipe.
    fn is_read_at_any_moment(&self, channel: ChannelId) -> bool {
        let Some(reader) = self.facts.sole_reader[channel.0] else {
            return false;
        };
        match self.tasks[reader.0].place.current {
            Some(Current {
                step: Step::Drain { from, .. },
                ..
            }) => from.contains(channel),
            Some(Current {
                step: Step::Echo { from, .. },
                ..
            }) => from == channel,
            Some(_) | None => false,
        }
    }

    fn was_written(&self, channel: ChannelId) -> bool {
        self.tasks
            .iter()
            .any(|task| task.place.written[channel.0] > 0)
    }

    /// One read(2): how many bytes come, 0 if nothing is there.
    pub(super) fn take(&mut self, task: TaskId, from: ChannelId, bytes: u64) -> u64 {
        let got = match &mut self.channels[from.0].body {
            Body::Pipe(pipe) => pipe
                .try_read(bytes)
                .map_or(0, |range| range.end - range.start),
            Body::File { unread } | Body::Unmodelled { unread } => {
                let got = bytes.min(*unread);
                *unread -= got;
                got
            }
            Body::Null => 0,
        };
        let read = &mut self.tasks[task.0].place.read[from.0];
        *read = read.saturating_add(got);
        got
    }

    /// A process closes up to `count` descriptors of an end.
    pub(super) fn close(
        &mut self,
        process: ProcessId,
        channel: ChannelId,
        end: End,
        count: u32,
    ) -> Result<(), SimulateError> {
        let held = self.processes[process.0].held_mut(channel, end);
        let closed = count.min(*held);
        *held -= closed;
        let gives_up = closed > 0 && *held == 0;
        *self.channels[channel.0].holders_mut(end) -= closed;
        if closed > 0 {
            self.forget_unread(channel);
        }
        let still_written =
            self.channels[channel.0].writers > 0 || self.channels[channel.0].unread() > 0;
        let promised = self.facts.sole_reader[channel.0].filter(|&reader| {
            self.world.tasks[reader.0].process == process && self.promises(reader, channel)
        });
        match promised {
            Some(task) if end == End::Read && gives_up && still_written => {
                Err(SimulateError::NotDrained { task, channel })
            }
            Some(_) | None => Ok(()),
        }
    }
}
