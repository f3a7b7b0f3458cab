//! A script's steps as steps of the model, made as they are asked for. What would fail was refused before.

use std::cell::Cell;
use std::collections::VecDeque;
use std::path::Path;
use std::rc::Rc;

use pipeclog_pipemodel::simulate::{
    Access, ChannelId, Channels, Exit, Never, OnRefusal, ProcessId, Step as ModelStep, Until,
    Waiting, Writing,
};
use pipeclog_pipemodel::{End, WriteMode};

use super::found::LeaderEnding;
use crate::script::{Descriptor, Ending, FifoAccess, FifoUse, Size, Step, Steps, Stream};

/// A program of a world: a parent's, which is a list, or a script's, which need not fit in memory.
#[derive(Clone)]
pub(super) enum Program<'a> {
    List(std::vec::IntoIter<ModelStep>),
    Script(Box<ScriptProgram<'a>>),
}

impl Iterator for Program<'_> {
    type Item = ModelStep;

    fn next(&mut self) -> Option<ModelStep> {
        match self {
            Self::List(steps) => steps.next(),
            Self::Script(program) => program.next(),
        }
    }
}

/// What a standard descriptor of a process is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fd {
    Channel(ChannelId),
    /// `/dev/null`.
    Null,
    Closed,
}

/// The three of a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Fds {
    pub(super) stdin: Fd,
    pub(super) stdout: Fd,
    pub(super) stderr: Fd,
}

impl Fds {
    pub(super) fn get(self, descriptor: Descriptor) -> Fd {
        match descriptor {
            Descriptor::Stdin => self.stdin,
            Descriptor::Stdout => self.stdout,
            Descriptor::Stderr => self.stderr,
        }
    }

    pub(super) fn set(&mut self, descriptor: Descriptor, fd: Fd) {
        match descriptor {
            Descriptor::Stdin => self.stdin = fd,
            Descriptor::Stdout => self.stdout = fd,
            Descriptor::Stderr => self.stderr = fd,
        }
    }

    /// The end of a descriptor that reads or writes.
    pub(super) const fn end(descriptor: Descriptor) -> End {
        match descriptor {
            Descriptor::Stdin => End::Read,
            Descriptor::Stdout | Descriptor::Stderr => End::Write,
        }
    }
}

/// A child that a script starts.
#[derive(Clone, Copy, Debug)]
pub(super) struct Started {
    pub(super) process: ProcessId,
    pub(super) awaited: Awaited,
}

/// Whether the script's `wait` waits for a child.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Awaited {
    Yes,
    /// It lost its parent on purpose.
    No,
}

/// The steps of one script.
#[derive(Clone)]
pub(super) struct ScriptProgram<'a> {
    steps: Steps<'a>,
    fds: Fds,
    /// The streams that were made non-blocking.
    nonblocking: Channels,
    /// In the order in which the steps start them.
    children: Rc<[Started]>,
    /// The FIFOs, by the paths that the steps name.
    fifos: Rc<[(&'a Path, ChannelId)]>,
    started: usize,
    unawaited: VecDeque<Started>,
    ready: VecDeque<ModelStep>,
    /// What all scripts of a world, in all orders that are tried, may still go through.
    budget: Rc<Cell<u64>>,
}

impl<'a> ScriptProgram<'a> {
    pub(super) fn new(
        steps: Steps<'a>,
        fds: Fds,
        children: Vec<Started>,
        fifos: Rc<[(&'a Path, ChannelId)]>,
        budget: Rc<Cell<u64>>,
    ) -> Self {
        Self {
            budget,
            steps,
            fds,
            nonblocking: Channels::default(),
            children: children.into(),
            fifos,
            started: 0,
            unawaited: VecDeque::new(),
            ready: VecDeque::new(),
        }
    }

    /// The step as one of the model, if it is one there; a wait for several children is put into `ready`.
    fn lower(&mut self, step: &Step<'_>) -> Option<ModelStep> {
        match step {
            Step::Write(chunk) => {
                let times = self.steps.take_equal();
                let write = self.write(chunk.stream, chunk.len as u64)?;
                if times > 0 {
                    self.ready.push_back(ModelStep::WriteAgain { times });
                }
                Some(write)
            }
            Step::Read { limit, read_size } => self.read(*limit, *read_size as u64),
            Step::Echo { read_size } => self.echo(*read_size as u64),
            Step::AwaitHangup => match self.fds.stdin {
                Fd::Channel(on) => Some(ModelStep::AwaitHangUp { on }),
                Fd::Null | Fd::Closed => None,
            },
            Step::Sleep { us } => Some(ModelStep::Sleep { us: *us }),
            Step::Compute { ms } => Some(ModelStep::Sleep {
                us: ms.saturating_mul(1000),
            }),
            Step::Park => Some(ModelStep::Never(Never::Parked)),
            // Never gone through: a script with a knot is not modelled.
            Step::Knot(_) => None,
            Step::Accept => Some(ModelStep::Never(Never::Outside)),
            Step::Stop => Some(ModelStep::Never(Never::Stopped)),
            Step::Close(descriptor) => self.close(*descriptor),
            Step::Nonblock(descriptor) => match self.fds.get(*descriptor) {
                Fd::Channel(channel) => {
                    self.nonblocking = self.nonblocking.with(channel);
                    None
                }
                Fd::Null | Fd::Closed => None,
            },
            Step::Capacity { stream, bytes } => match self.fds.get(*stream) {
                Fd::Channel(channel) => Some(ModelStep::Resize {
                    channel,
                    end: Fds::end(*stream),
                    bytes: *bytes,
                    on_refusal: OnRefusal::Unmodelled,
                }),
                Fd::Null | Fd::Closed => None,
            },
            Step::Packet(stream) => match self.fds.get((*stream).into()) {
                Fd::Channel(channel) => Some(ModelStep::SetMode {
                    channel,
                    mode: WriteMode::Packet,
                }),
                Fd::Null | Fd::Closed => None,
            },
            Step::Background { .. } => self.start(),
            Step::Wait => {
                self.ready.extend(self.unawaited.drain(..).map(wait_for));
                None
            }
            Step::Endless => Some(ModelStep::LoopMark),
            Step::End(Ending::Code(code)) => Some(ModelStep::Exit(Exit::Code(*code))),
            Step::End(Ending::Signal(signal)) => {
                Some(ModelStep::Exit(LeaderEnding::signal_in_model(*signal)))
            }
            Step::Fifo { path, access, then } => {
                let (_, channel) = *self.fifos.iter().find(|(of, _)| of == path)?;
                self.ready.extend(use_fifo(channel, *then));
                Some(ModelStep::Open {
                    channel,
                    access: model_access(*access),
                })
            }
            // The first thread only waits for the second, so that their steps are those of one.
            Step::Thread | Step::Join => None,
        }
    }

    fn write(&self, stream: Stream, bytes: u64) -> Option<ModelStep> {
        match self.fds.get(stream.into()) {
            Fd::Channel(to) => Some(ModelStep::Write {
                to,
                bytes,
                how: self.how(to),
            }),
            Fd::Null | Fd::Closed => None,
        }
    }

    fn how(&self, to: ChannelId) -> Writing {
        if self.nonblocking.contains(to) {
            Writing::Polled
        } else {
            Writing::Blocking
        }
    }

    fn read(&self, limit: Option<u64>, per_read: u64) -> Option<ModelStep> {
        let Fd::Channel(from) = self.fds.stdin else {
            return None;
        };
        Some(match limit {
            None => ModelStep::Drain {
                from: Channels::of(&[from]),
                until: Until::EndOfFile,
            },
            Some(0) => return None,
            Some(bytes) => ModelStep::Read {
                from,
                bytes,
                per_read,
            },
        })
    }

    fn echo(&self, per_read: u64) -> Option<ModelStep> {
        match (self.fds.stdin, self.fds.stdout) {
            (Fd::Channel(from), Fd::Channel(to)) => Some(ModelStep::Echo {
                from,
                to,
                per_read,
                how: self.how(to),
            }),
            // What is written goes nowhere.
            (Fd::Channel(_), Fd::Null | Fd::Closed) => self.read(None, per_read),
            (Fd::Null | Fd::Closed, _) => None,
        }
    }

    fn close(&mut self, descriptor: Descriptor) -> Option<ModelStep> {
        let fd = self.fds.get(descriptor);
        self.fds.set(descriptor, Fd::Closed);
        match fd {
            Fd::Channel(channel) => Some(ModelStep::Close {
                channel,
                end: Fds::end(descriptor),
            }),
            Fd::Null | Fd::Closed => None,
        }
    }

    fn start(&mut self) -> Option<ModelStep> {
        let child = *self.children.get(self.started)?;
        self.started += 1;
        if child.awaited == Awaited::Yes {
            self.unawaited.push_back(child);
        }
        Some(ModelStep::Spawn {
            process: child.process,
        })
    }
}

/// In chunks, as the child does it.
fn use_fifo(channel: ChannelId, then: FifoUse) -> Vec<ModelStep> {
    let chunk = FifoUse::CHUNK_BYTES;
    let write = |bytes: u64| {
        (bytes > 0).then_some(ModelStep::Write {
            to: channel,
            bytes,
            how: Writing::Blocking,
        })
    };
    match then {
        FifoUse::Hold | FifoUse::Read(Size(0)) => Vec::new(),
        FifoUse::Read(Size(bytes)) => vec![ModelStep::Read {
            from: channel,
            bytes,
            per_read: chunk,
        }],
        FifoUse::Write(Size(bytes)) => {
            let whole = bytes / chunk;
            let again = (whole > 1).then(|| ModelStep::WriteAgain { times: whole - 1 });
            write(chunk.min(whole * chunk))
                .into_iter()
                .chain(again)
                .chain(write(bytes % chunk))
                .collect()
        }
    }
}

pub(super) const fn model_access(access: FifoAccess) -> Access {
    match access {
        FifoAccess::Read => Access::Read,
        FifoAccess::Write => Access::Write,
        FifoAccess::ReadWrite => Access::Both,
    }
}

fn wait_for(child: Started) -> ModelStep {
    ModelStep::WaitExit {
        process: child.process,
        how: Waiting::Blocking,
    }
}

impl Iterator for ScriptProgram<'_> {
    type Item = ModelStep;

    fn next(&mut self) -> Option<ModelStep> {
        loop {
            if let Some(step) = self.ready.pop_front() {
                return Some(step);
            }
            let before = self.steps.gone_through();
            let step = self.steps.next()?;
            let cost = self.steps.gone_through() - before;
            let Some(left) = self.budget.get().checked_sub(cost) else {
                return Some(ModelStep::GiveUp);
            };
            self.budget.set(left);
            if let Some(lowered) = self.lower(&step) {
                return Some(lowered);
            }
        }
    }
}
