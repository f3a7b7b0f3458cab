//! A script gone through once, for what must be known before the first of its steps.

use pipeclog_pipemodel::simulate::{ChannelKind, Hold, OnBrokenPipe, ProcessId, Step, Waiting};

use super::NotModelled;
use super::build::{Builder, list};
use super::found::Who;
use super::program::{Awaited, Fd, Fds, Started};
use crate::plan::Wiring;
use crate::script::{
    Background, Descriptor, Intermediates, Op, Script, StdinOp, Times, WouldBlock,
};

/// A script on the way.
pub(super) struct Walk<'a> {
    pub(super) script: &'a Script,
    pub(super) who: Who,
    pub(super) process: ProcessId,
    pub(super) fds: Fds,
    pub(super) next_writer: u8,
    pub(super) children: Vec<Started>,
    pub(super) uses: Vec<Hold>,
    pub(super) reads: Reads,
}

/// How a script reads its input.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Reads {
    Nothing,
    ToTheEnd,
    Otherwise,
}

impl Walk<'_> {
    fn use_end(&mut self, descriptor: Descriptor) {
        if let Fd::Channel(channel) = self.fds.get(descriptor) {
            self.uses.push(Hold {
                channel,
                end: Fds::end(descriptor),
            });
        }
    }
}

impl<'a> Builder<'a> {
    /// Goes through the operations in the order of the steps, for what must be known before the first of them: who is started with
    /// which descriptors, and which ends are used.
    pub(super) fn walk(&mut self, ops: &'a [Op], walk: &mut Walk<'a>) -> Result<(), NotModelled> {
        for op in ops {
            match op {
                Op::Write(write) => {
                    if write.stdout.0 > 0 {
                        walk.use_end(Descriptor::Stdout);
                    }
                    if write.stderr.0 > 0 {
                        walk.use_end(Descriptor::Stderr);
                    }
                }
                Op::Prompt { stream, .. } => walk.use_end((*stream).into()),
                Op::Stdin { action, .. } => {
                    if fails_on_closed(op, walk.fds) {
                        return Err(NotModelled::Fails);
                    }
                    walk.use_end(Descriptor::Stdin);
                    match action {
                        StdinOp::ReadAll => walk.reads = walk.reads.max(Reads::ToTheEnd),
                        StdinOp::Echo => {
                            walk.reads = Reads::Otherwise;
                            walk.use_end(Descriptor::Stdout);
                        }
                        StdinOp::Read(_) | StdinOp::Never => walk.reads = Reads::Otherwise,
                    }
                }
                Op::Close { stream } => walk.fds.set(*stream, Fd::Closed),
                Op::Nonblock { stream } => self.note_nonblock(walk, *stream)?,
                Op::Capacity { stream, bytes } => {
                    self.check_pipe(walk, *stream, bytes.0)?;
                    walk.use_end(*stream);
                    self.alter(walk, *stream);
                    if *stream == Descriptor::Stdin {
                        walk.reads = Reads::Otherwise;
                    }
                }
                Op::Packet { stream } => {
                    self.check_pipe(walk, (*stream).into(), 0)?;
                    self.check_unwritten(walk, (*stream).into())?;
                    walk.use_end((*stream).into());
                    self.alter(walk, (*stream).into());
                }
                Op::Background(background) => {
                    let writer = walk.next_writer;
                    let within = background.script.descendants();
                    walk.next_writer = writer.saturating_add(1).saturating_add(within);
                    let child = self.add_background(background, writer, walk)?;
                    walk.children.push(child);
                }
                Op::Thread { ops } => self.walk(ops, walk)?,
                Op::Repeat { times, ops } => {
                    self.walk(ops, walk)?;
                    // The second time what the first has closed is closed from the beginning.
                    let again = !matches!(times, Times::Times(0 | 1));
                    if again && Op::all(ops).any(|op| fails_on_closed(op, walk.fds)) {
                        return Err(NotModelled::Fails);
                    }
                }
                Op::Fifo { .. } => return Err(NotModelled::Fifo),
                Op::Flush { .. }
                | Op::Sleep { .. }
                | Op::Compute { .. }
                | Op::Park {}
                | Op::Wait {}
                | Op::Accept {}
                | Op::Stop {}
                | Op::Exit { .. }
                | Op::Die { .. } => {}
            }
        }
        Ok(())
    }

    fn note_nonblock(&mut self, walk: &Walk<'a>, stream: Descriptor) -> Result<(), NotModelled> {
        if walk.fds.get(stream) == Fd::Closed {
            return Err(NotModelled::Fails);
        }
        // Whoever reads waits in poll(2) then, to the same effect.
        if let (Descriptor::Stdout | Descriptor::Stderr, Fd::Channel(channel)) =
            (stream, walk.fds.get(stream))
        {
            if walk.script.would_block != WouldBlock::Wait {
                return Err(NotModelled::WouldBlock);
            }
            // Those whose scripts were gone through before; later ones are checked when they come.
            let world = &self.family.world;
            if world.writers(channel).next().is_some() {
                return Err(NotModelled::SharedNonblock);
            }
            self.nonblock.push((channel, walk.who));
        }
        Ok(())
    }

    fn check_pipe(&self, walk: &Walk<'a>, of: Descriptor, bytes: u64) -> Result<(), NotModelled> {
        match walk.fds.get(of) {
            Fd::Channel(channel) => match self.family.world.kind(channel) {
                ChannelKind::Pipe { .. } if bytes <= self.facts.largest_bytes => Ok(()),
                ChannelKind::Pipe { .. }
                | ChannelKind::File { .. }
                | ChannelKind::Null
                | ChannelKind::Unmodelled => Err(NotModelled::PipeOnly),
            },
            Fd::Null | Fd::Closed => Err(NotModelled::Fails),
        }
    }

    fn alter(&mut self, walk: &Walk<'a>, descriptor: Descriptor) {
        if let Fd::Channel(channel) = walk.fds.get(descriptor) {
            self.family.world.altered(channel);
        }
    }

    /// A read that finds bytes and a packet behind them may cut the packet off, depending on how long it is.
    fn check_unwritten(&self, walk: &Walk<'a>, of: Descriptor) -> Result<(), NotModelled> {
        match walk.fds.get(of) {
            Fd::Channel(channel) => {
                let before = walk.uses.contains(&Hold::write(channel))
                    || self.family.world.writers(channel).next().is_some();
                if before {
                    Err(NotModelled::LatePacket)
                } else {
                    Ok(())
                }
            }
            Fd::Null | Fd::Closed => Ok(()),
        }
    }

    fn add_background(
        &mut self,
        background: &'a Background,
        writer: u8,
        walk: &Walk<'a>,
    ) -> Result<Started, NotModelled> {
        if self.wiring == Wiring::Terminal {
            return Err(NotModelled::Hangup);
        }
        let kept = |descriptor| match walk.fds.get(descriptor) {
            Fd::Channel(channel) if background.keep.contains(&descriptor) => Fd::Channel(channel),
            Fd::Channel(_) | Fd::Null | Fd::Closed => Fd::Null,
        };
        let fds = Fds {
            stdin: kept(Descriptor::Stdin),
            stdout: kept(Descriptor::Stdout),
            stderr: kept(Descriptor::Stderr),
        };
        let between = match background.intermediates {
            Intermediates::Wait => background.depth.saturating_sub(1),
            // They are gone before the next step.
            Intermediates::Exit => 0,
        };
        let mut above = Vec::new();
        let mut parent = walk.process;
        for _ in 0..between {
            parent = self.add_process(Who::Intermediate { writer }, parent, fds);
            above.push(parent);
        }
        let who = Who::Descendant { writer };
        let mut first = self.add_script(&background.script, who, writer, parent, fds)?;
        for process in above.into_iter().rev() {
            let steps = vec![
                Step::Spawn { process: first },
                Step::WaitExit {
                    process: first,
                    how: Waiting::Blocking,
                },
            ];
            let world = &mut self.family.world;
            let task = world.task(process, &[], OnBrokenPipe::Die, list(steps));
            self.family.tasks.push((task, Who::Intermediate { writer }));
            first = process;
        }
        let lost = background.depth > 1 && background.intermediates == Intermediates::Exit;
        Ok(Started {
            process: first,
            awaited: if lost { Awaited::No } else { Awaited::Yes },
        })
    }
}

/// Whether an operation ends the script with an error if a descriptor that it needs is closed. Reads and writes do not.
fn fails_on_closed(op: &Op, fds: Fds) -> bool {
    let closed = |descriptor| fds.get(descriptor) == Fd::Closed;
    match op {
        Op::Stdin { action, .. } => *action == StdinOp::Never && closed(Descriptor::Stdin),
        Op::Nonblock { stream } | Op::Capacity { stream, .. } => closed(*stream),
        Op::Packet { stream } => closed((*stream).into()),
        _ => false,
    }
}
