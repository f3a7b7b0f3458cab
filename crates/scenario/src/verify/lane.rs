//! What one process says on the verified stream, in order.

use std::borrow::Cow;

use super::Source;
use crate::pattern::Tag;
use crate::script::{Content, Descriptor, Fill, Input, Step, Steps, Stream};

/// The bytes that one writer must have written, made as they are asked for.
#[derive(Debug)]
pub(super) struct Lane<'a> {
    steps: Steps<'a>,
    source: Source,
    input: Input<'a>,
    /// Bytes of the input that the script has read so far.
    consumed: u64,
    stdin_open: bool,
    stdout_open: bool,
    stderr_open: bool,
    now: Option<Run<'a>>,
    next: Option<Run<'a>>,
    /// The script has come to operations that repeat for ever.
    endless: bool,
}

/// Bytes of one kind, perhaps of many writes.
#[derive(Debug)]
struct Run<'a> {
    kind: RunKind<'a>,
    /// Where the run goes on, in what its kind counts.
    offset: u64,
    left: u64,
}

#[derive(Debug)]
enum RunKind<'a> {
    Fill(Fill, Tag),
    Input,
    /// The offset counts within these bytes.
    Bytes(Cow<'a, [u8]>),
}

/// What stands at a place of the stream by the script.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    /// A byte of the pattern of this tag.
    Record(Tag, u64),
    /// A byte that says nothing of itself.
    Plain,
}

/// How far a lane goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Rest {
    Bytes(u64),
    Endless,
}

/// Writes are joined to runs until they are worth a call of memcmp.
const RUN_LEN: u64 = 64 << 10;

impl<'a> Lane<'a> {
    pub(super) fn new(steps: Steps<'a>, source: Source, input: Input<'a>) -> Self {
        Self {
            steps,
            source,
            input,
            consumed: 0,
            stdin_open: true,
            stdout_open: true,
            stderr_open: true,
            now: None,
            next: None,
            endless: false,
        }
    }

    pub(super) fn writer(&self) -> u8 {
        self.steps.writer()
    }

    pub(super) fn has_more(&mut self) -> bool {
        self.place().is_some()
    }

    /// What stands next; nothing at the end.
    pub(super) fn place(&mut self) -> Option<Place> {
        let input = self.input;
        let run = self.run()?;
        Some(match &run.kind {
            RunKind::Fill(Fill::Pattern, tag) => Place::Record(*tag, run.offset),
            RunKind::Fill(..) | RunKind::Bytes(_) => Place::Plain,
            RunKind::Input => match input {
                Input::Pattern(_) => Place::Record(Tag::STDIN, run.offset),
                Input::Bytes(_) => Place::Plain,
            },
        })
    }

    /// Renders the next bytes into `out` and moves past them: as many as `out` has and are of one place. None are
    /// left only at the end.
    pub(super) fn take(&mut self, out: &mut [u8]) -> usize {
        let input = self.input;
        let Some(run) = self.run() else { return 0 };
        let len = usize::try_from(run.left)
            .unwrap_or(usize::MAX)
            .min(out.len());
        run.render(&input, &mut out[..len]);
        run.pass(len as u64);
        len
    }

    /// Moves past so many bytes, or to the end.
    pub(super) fn skip(&mut self, bytes: u64) {
        let mut left = bytes;
        while left > 0
            && let Some(run) = self.run()
        {
            let len = run.left.min(left);
            run.pass(len);
            left -= len;
        }
    }

    /// Moves to the end, or past `limit` bytes if that comes first, and counts.
    pub(super) fn rest(&mut self, limit: Option<u64>) -> Rest {
        let mut bytes = 0;
        while let Some(run) = self.run() {
            bytes += run.left;
            run.pass(run.left);
            match limit {
                Some(limit) if bytes >= limit => return Rest::Bytes(limit),
                None if self.endless => return Rest::Endless,
                Some(_) | None => {}
            }
        }
        if self.endless {
            Rest::Endless
        } else {
            Rest::Bytes(bytes)
        }
    }

    fn run(&mut self) -> Option<&mut Run<'a>> {
        if self.now.as_ref().is_none_or(|run| run.left == 0) {
            self.now = self.next.take().or_else(|| self.look());
            self.join();
        }
        self.now.as_mut()
    }

    /// Joins the writes that follow to the present run.
    fn join(&mut self) {
        while self.next.is_none() && self.now.as_ref().is_some_and(|now| now.left < RUN_LEN) {
            let Some(run) = self.look() else { return };
            match &mut self.now {
                Some(now) if now.is_followed_by(&run) => now.left += run.left,
                _ => self.next = Some(run),
            }
        }
    }

    /// The next bytes that the script says on this source.
    fn look(&mut self) -> Option<Run<'a>> {
        let mut rounds = 0;
        loop {
            match self.steps.next()? {
                Step::Write(chunk) if self.hears(chunk.stream) => {
                    let (kind, offset) = match chunk.content {
                        Content::Fill { fill, tag } => (RunKind::Fill(fill, tag), chunk.offset),
                        Content::Bytes(bytes) => (RunKind::Bytes(bytes), 0),
                    };
                    return Some(Run {
                        kind,
                        offset,
                        left: chunk.len as u64,
                    });
                }
                Step::Read { limit, .. } => {
                    let unread = self.unread();
                    self.consumed += limit.unwrap_or(unread).min(unread);
                }
                Step::Echo { .. } => {
                    let (offset, left) = (self.consumed, self.unread());
                    self.consumed += left;
                    if left > 0 && self.hears(Stream::Stdout) {
                        return Some(Run {
                            kind: RunKind::Input,
                            offset,
                            left,
                        });
                    }
                }
                Step::Close(Descriptor::Stdin) => self.stdin_open = false,
                Step::Close(Descriptor::Stdout) => self.stdout_open = false,
                Step::Close(Descriptor::Stderr) => self.stderr_open = false,
                Step::Endless => {
                    self.endless = true;
                    rounds += 1;
                    // A whole round without a word on this source: none will ever come.
                    if rounds == 2 {
                        self.endless = false;
                        self.steps.end_here();
                        return None;
                    }
                }
                Step::Park | Step::Accept | Step::Knot(_) | Step::End(_) => {
                    self.steps.end_here();
                    return None;
                }
                Step::Write(_)
                | Step::AwaitHangup
                | Step::Sleep { .. }
                | Step::Compute { .. }
                | Step::Nonblock(_)
                | Step::Capacity { .. }
                | Step::Packet(_)
                | Step::Background { .. }
                | Step::Wait
                | Step::Thread
                | Step::Join
                | Step::Fifo { .. }
                | Step::Stop => {}
            }
        }
    }

    fn unread(&self) -> u64 {
        if self.stdin_open {
            self.input.len() - self.consumed
        } else {
            0
        }
    }

    fn hears(&self, stream: Stream) -> bool {
        match (self.source, stream) {
            (Source::Stdout | Source::Merged, Stream::Stdout) => self.stdout_open,
            (Source::Stderr | Source::Merged, Stream::Stderr) => self.stderr_open,
            (Source::Stdout, Stream::Stderr) | (Source::Stderr, Stream::Stdout) => false,
        }
    }
}

impl<'a> Run<'a> {
    fn is_followed_by(&self, next: &Run<'a>) -> bool {
        match (&self.kind, &next.kind) {
            (RunKind::Fill(fill, tag), RunKind::Fill(next_fill, next_tag)) => {
                (fill, tag) == (next_fill, next_tag) && self.offset + self.left == next.offset
            }
            _ => false,
        }
    }

    fn pass(&mut self, bytes: u64) {
        self.offset += bytes;
        self.left -= bytes;
    }

    fn render(&self, input: &Input<'_>, out: &mut [u8]) {
        match &self.kind {
            RunKind::Fill(fill, tag) => fill.render(*tag, self.offset, out),
            RunKind::Input => input.render(self.offset, out),
            RunKind::Bytes(bytes) => {
                let from = usize::try_from(self.offset).unwrap_or(usize::MAX);
                if let Some(bytes) = bytes.get(from..).and_then(|bytes| bytes.get(..out.len())) {
                    out.copy_from_slice(bytes);
                }
            }
        }
    }
}
