//! A script gone through once, for what must be known before the first of its steps.

use std::path::{Component, Path};

use pipeclog_pipemodel::simulate::{ChannelKind, Hold, OnBrokenPipe, ProcessId, Step, Waiting};

use super::NotModelled;
use super::build::{Builder, Place, list};
use super::found::Who;
use super::program::{Awaited, Fd, Fds, Started, model_access};
use crate::script::{
    Background, BrokenPipe, Descriptor, FifoAccess, FifoUse, Intermediates, Op, Script, Session,
    StdinOp, Times, WouldBlock,
};

/// A script on the way.
pub(super) struct Walk<'a> {
    pub(super) script: &'a Script,
    pub(super) who: Who,
    pub(super) process: ProcessId,
    pub(super) fds: Fds,
    pub(super) session: Session,
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
                    check_descriptors(times, ops)?;
                }
                Op::Knot(_) => return Err(NotModelled::Knot),
                Op::Fifo { path, access, then } => self.open_fifo(path, *access, *then, walk)?,
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
                | ChannelKind::Fifo { .. }
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

    fn open_fifo(
        &mut self,
        path: &'a Path,
        access: FifoAccess,
        then: FifoUse,
        walk: &mut Walk<'a>,
    ) -> Result<(), NotModelled> {
        let known = self.family.fifos.iter().find(|(of, _)| *of == path);
        let channel = if let Some((_, channel)) = known {
            *channel
        } else {
            if self
                .family
                .fifos
                .iter()
                .any(|(other, _)| !is_plain(other) || !is_plain(path))
            {
                return Err(NotModelled::FifoNames);
            }
            let channel = self.family.world.channel(ChannelKind::Fifo {
                geometry: self.facts.new_pipe,
            });
            self.family.fifos.push((path, channel));
            channel
        };
        let breaks =
            matches!(then, FifoUse::Write(_)) && walk.script.broken_pipe != BrokenPipe::Die;
        if breaks {
            return Err(NotModelled::Fails);
        }
        let ends = model_access(access).ends();
        walk.uses
            .extend(ends.iter().map(|&end| Hold { channel, end }));
        Ok(())
    }

    fn add_background(
        &mut self,
        background: &'a Background,
        writer: u8,
        walk: &Walk<'a>,
    ) -> Result<Started, NotModelled> {
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
        let mut place = Place {
            who: Who::Intermediate { writer },
            writer,
            parent: walk.process,
            fds,
            session: match walk.session {
                Session::Inherited => background.session,
                Session::Own => Session::Own,
            },
        };
        for _ in 0..between {
            place.parent = self.add_process(place);
            self.note_hang_up(place.parent, place);
            above.push(place.parent);
        }
        place.who = Who::Descendant { writer };
        let mut first = self.add_script(&background.script, place)?;
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
        Op::Write(_)
        | Op::Prompt { .. }
        | Op::Flush { .. }
        | Op::Sleep { .. }
        | Op::Compute { .. }
        | Op::Park {}
        | Op::Close { .. }
        | Op::Background(_)
        | Op::Wait {}
        | Op::Thread { .. }
        | Op::Repeat { .. }
        | Op::Fifo { .. }
        | Op::Accept {}
        | Op::Knot(_)
        | Op::Stop {}
        | Op::Exit { .. }
        | Op::Die { .. } => false,
    }
}

/// A FIFO stays open, and one process has so many descriptors at least.
const DESCRIPTORS_MAX: u64 = 256;

/// A loop that opens FIFOs again and again comes to the end of its descriptors.
fn check_descriptors(times: &Times, ops: &[Op]) -> Result<(), NotModelled> {
    let opened = Op::all(ops)
        .filter(|op| matches!(op, Op::Fifo { .. }))
        .count() as u64;
    let in_all = match times {
        Times::Times(times) => opened.saturating_mul(*times),
        Times::Endless(_) if opened > 0 => u64::MAX,
        Times::Endless(_) => 0,
    };
    if in_all > DESCRIPTORS_MAX {
        Err(NotModelled::Fails)
    } else {
        Ok(())
    }
}

/// Whether a path is the only way to write itself, but for links: `a` and `./a` and `/home/a` may be the same.
fn is_plain(path: &Path) -> bool {
    path.components()
        .all(|component| matches!(component, Component::Normal(_)))
}
