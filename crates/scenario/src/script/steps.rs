//! The one lowering: from a script to the system calls that a process makes.

use std::borrow::Cow;
use std::collections::VecDeque;
use std::path::Path;

use super::stdio::Outlet;
use super::write::Turns;
use super::{
    Background, Descriptor, FifoAccess, FifoUse, Fill, Knot, Op, Script, Signal, StdinOp, Stream,
    Times,
};
use crate::pattern::{Tag, TagKind};

/// What a process does next, a system call or a little more. A write is one write(2).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step<'a> {
    /// One write(2). A short write is continued by the process.
    Write(Chunk<'a>),
    /// Reads of standard input, `read_size` bytes at most each, until `limit` bytes have come or the end of file.
    Read {
        /// Bytes in all; to the end of file if there is none.
        limit: Option<u64>,
        /// Bytes of each read(2).
        read_size: usize,
    },
    /// Reads of standard input to the end of file; what each gave is written to standard output before the next.
    Echo {
        /// Bytes of each read(2).
        read_size: usize,
    },
    /// Waits until every writer of standard input has closed it, and reads nothing.
    AwaitHangup,
    /// Sleeps so many microseconds.
    Sleep {
        /// Microseconds.
        us: u64,
    },
    /// Runs on a processor for so many milliseconds.
    Compute {
        /// Milliseconds.
        ms: u64,
    },
    /// Waits in a futex for ever.
    Park,
    /// Closes a descriptor.
    Close(Descriptor),
    /// Sets O_NONBLOCK on a descriptor.
    Nonblock(Descriptor),
    /// Sets a pipe's capacity.
    Capacity {
        /// The descriptor of the pipe.
        stream: Descriptor,
        /// Bytes.
        bytes: u64,
    },
    /// Puts a pipe into packet mode.
    Packet(Stream),
    /// Starts a descendant; its steps are [`Script::steps_as`] of its script and this writer.
    Background {
        /// What is started.
        background: &'a Background,
        /// The number of its writer.
        writer: u8,
    },
    /// Waits for each child, in the order of their start.
    Wait,
    /// What follows, up to the matching [`Step::Join`], is done by a second thread.
    Thread,
    /// The second thread ends, and the first, which has waited in a futex for it, goes on.
    Join,
    /// What follows, up to the next one of these, is repeated for ever. No system call.
    Endless,
    /// Opens a FIFO, uses it and holds it.
    Fifo {
        /// The path.
        path: &'a Path,
        /// How it is opened.
        access: FifoAccess,
        /// What is done with it.
        then: FifoUse,
    },
    /// Waits for a connection that nobody makes.
    Accept,
    /// Starts processes that wait for each other, and is one of them.
    Knot(&'a Knot),
    /// Stops itself by SIGSTOP.
    Stop,
    /// The end; nothing follows.
    End(Ending),
}

/// How a process ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Ending {
    /// By exit, with this code.
    Code(u8),
    /// By this signal.
    Signal(Signal),
}

/// The bytes of one write(2).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Chunk<'a> {
    /// Where it goes.
    pub stream: Stream,
    /// Where it begins in all that this process itself says on the stream; echoed bytes do not count.
    pub offset: u64,
    /// How many bytes; never 0.
    pub len: usize,
    /// What the bytes are.
    pub content: Content<'a>,
}

/// What the bytes of a [`Chunk`] are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Content<'a> {
    /// A fill, a function of the tag and the offset.
    Fill {
        /// The kind.
        fill: Fill,
        /// The stream and the writer.
        tag: Tag,
    },
    /// These bytes: a prompt, or what a stdio buffer held. There are as many as the chunk has.
    Bytes(Cow<'a, [u8]>),
}

impl Chunk<'_> {
    /// Fills `out` with the bytes from the `from`th on. Past the end of the chunk `out` is left as it was.
    pub fn render(&self, from: usize, out: &mut [u8]) {
        let len = out.len().min(self.len.saturating_sub(from));
        let (out, _) = out.split_at_mut(len);
        match &self.content {
            Content::Fill { fill, tag } => fill.render(*tag, self.offset + from as u64, out),
            Content::Bytes(bytes) => {
                if let Some(bytes) = bytes.get(from..from + len) {
                    out.copy_from_slice(bytes);
                }
            }
        }
    }
}

/// The steps of a process, made one by one.
#[derive(Debug, Clone)]
pub struct Steps<'a> {
    writer: u8,
    /// The number that the next descendant gets: they count in the order in which the script names them.
    next_writer: u8,
    frames: Vec<Frame<'a>>,
    turns: Option<Turns<'a>>,
    stdout: Outlet,
    stderr: Outlet,
    queue: VecDeque<Step<'a>>,
    /// Writes and operations gone through so far, buffered ones included.
    gone_through: u64,
}

#[derive(Debug, Clone)]
struct Frame<'a> {
    ops: &'a [Op],
    next: usize,
    at_end: AtEnd,
}

#[derive(Debug, Clone, Copy)]
enum AtEnd {
    /// So many more times, the present one not counted.
    Again(u64),
    Endless,
    Join,
    Exit,
}

impl<'a> Steps<'a> {
    pub(super) fn new(script: &'a Script, writer: u8) -> Self {
        Self {
            writer,
            next_writer: writer.saturating_add(1),
            frames: vec![Frame {
                ops: &script.ops,
                next: 0,
                at_end: AtEnd::Exit,
            }],
            turns: None,
            stdout: Outlet::new(script.stdout_buffer),
            stderr: Outlet::new(script.stderr_buffer),
            queue: VecDeque::new(),
            gone_through: 0,
        }
    }

    /// The number of the process whose steps these are; 0 is the leader.
    #[must_use]
    pub fn writer(&self) -> u8 {
        self.writer
    }

    /// How much work the steps so far were: writes and operations gone through, those too that made no step.
    pub(crate) fn gone_through(&self) -> u64 {
        self.gone_through
    }

    /// After a write: takes the writes that follow at once and are equal to it, and says how many. It need not find all, and costs as
    /// much as one.
    pub(crate) fn take_equal(&mut self) -> u64 {
        let (true, Some(turns)) = (self.queue.is_empty(), &mut self.turns) else {
            return 0;
        };
        let buffered = !(self.stdout.is_unbuffered() && self.stderr.is_unbuffered());
        let Some(equal) = (!buffered).then(|| turns.take_equal()).flatten() else {
            return 0;
        };
        let outlet = match equal.stream {
            Stream::Stdout => &mut self.stdout,
            Stream::Stderr => &mut self.stderr,
        };
        outlet.skip(equal.times * equal.bytes);
        equal.times
    }

    /// Nothing more: for a step that never ends.
    pub(crate) fn end_here(&mut self) {
        self.frames.clear();
        self.turns = None;
        self.queue.clear();
    }

    fn take_turn(&mut self) -> bool {
        let Some(turns) = &mut self.turns else {
            return false;
        };
        let Some((stream, len)) = turns.next() else {
            self.turns = None;
            return false;
        };
        let write = turns.write();
        let source = self.fill(write.fill, stream);
        self.put(stream, source, len);
        if write.delay_us > 0 {
            self.queue.push_back(Step::Sleep { us: write.delay_us });
        }
        true
    }

    fn fill(&self, fill: Fill, stream: Stream) -> Content<'a> {
        let kind = match stream {
            Stream::Stdout => TagKind::Stdout,
            Stream::Stderr => TagKind::Stderr,
        };
        // The check of a script bounds the number of writers; without it the leader's tag is as good as any.
        let leader = match stream {
            Stream::Stdout => Tag::STDOUT,
            Stream::Stderr => Tag::STDERR,
        };
        Content::Fill {
            fill,
            tag: Tag::new(kind, self.writer).unwrap_or(leader),
        }
    }

    fn put(&mut self, stream: Stream, content: Content<'a>, len: u64) {
        let queue = &mut self.queue;
        let outlet = match stream {
            Stream::Stdout => &mut self.stdout,
            Stream::Stderr => &mut self.stderr,
        };
        outlet.put(stream, content, len, queue);
    }

    fn flush(&mut self, stream: Stream) {
        match stream {
            Stream::Stdout => self.stdout.flush(stream, &mut self.queue),
            Stream::Stderr => self.stderr.flush(stream, &mut self.queue),
        }
    }

    /// glibc walks its list of streams from the newest, which ends in stderr, stdout, stdin.
    fn end(&mut self, ending: Ending) {
        match ending {
            Ending::Code(_) => {
                self.flush(Stream::Stderr);
                self.flush(Stream::Stdout);
            }
            Ending::Signal(_) => {}
        }
        self.frames.clear();
        self.queue.push_back(Step::End(ending));
    }

    /// Goes on in the script; false if there is nothing left.
    fn advance(&mut self) -> bool {
        let Some(frame) = self.frames.last_mut() else {
            return false;
        };
        if let Some(op) = frame.ops.get(frame.next) {
            frame.next += 1;
            self.lower(op);
            return true;
        }
        match &mut frame.at_end {
            AtEnd::Endless => {
                frame.next = 0;
                self.queue.push_back(Step::Endless);
            }
            AtEnd::Again(left) if *left > 0 => {
                *left -= 1;
                frame.next = 0;
            }
            AtEnd::Again(_) => {
                self.frames.pop();
            }
            AtEnd::Join => {
                self.frames.pop();
                self.queue.push_back(Step::Join);
            }
            AtEnd::Exit => self.end(Ending::Code(0)),
        }
        true
    }

    fn lower(&mut self, op: &'a Op) {
        let step = match op {
            Op::Write(write) => {
                self.turns = Some(Turns::new(write));
                return;
            }
            Op::Prompt { text, stream } => {
                let bytes = text.as_bytes();
                return self.put(
                    *stream,
                    Content::Bytes(Cow::Borrowed(bytes)),
                    bytes.len() as u64,
                );
            }
            Op::Flush { stream } => return self.flush(*stream),
            Op::Stdin { action, read_size } => stdin(*action, read_size.0),
            Op::Sleep { ms } => Step::Sleep {
                us: ms.saturating_mul(1000),
            },
            Op::Compute { ms } => Step::Compute { ms: *ms },
            Op::Park {} => Step::Park,
            Op::Close { stream } => {
                match stream {
                    Descriptor::Stdin => {}
                    Descriptor::Stdout => self.flush(Stream::Stdout),
                    Descriptor::Stderr => self.flush(Stream::Stderr),
                }
                Step::Close(*stream)
            }
            Op::Nonblock { stream } => Step::Nonblock(*stream),
            Op::Capacity { stream, bytes } => Step::Capacity {
                stream: *stream,
                bytes: bytes.0,
            },
            Op::Packet { stream } => Step::Packet(*stream),
            Op::Background(background) => {
                let writer = self.next_writer;
                let within = background.script.descendants();
                self.next_writer = writer.saturating_add(1).saturating_add(within);
                Step::Background { background, writer }
            }
            Op::Wait {} => Step::Wait,
            Op::Thread { ops } => {
                self.frames.push(Frame {
                    ops,
                    next: 0,
                    at_end: AtEnd::Join,
                });
                Step::Thread
            }
            Op::Repeat { times, ops } => return self.repeat(*times, ops),
            Op::Fifo { path, access, then } => Step::Fifo {
                path,
                access: *access,
                then: *then,
            },
            Op::Accept {} => Step::Accept,
            Op::Knot(knot) => Step::Knot(knot),
            Op::Stop {} => Step::Stop,
            Op::Exit { code } => return self.end(Ending::Code(*code)),
            Op::Die { signal } => return self.end(Ending::Signal(*signal)),
        };
        self.queue.push_back(step);
    }

    fn repeat(&mut self, times: Times, ops: &'a [Op]) {
        let at_end = match times {
            Times::Times(0) => return,
            Times::Times(times) => AtEnd::Again(times - 1),
            Times::Endless(_) => {
                self.queue.push_back(Step::Endless);
                AtEnd::Endless
            }
        };
        self.frames.push(Frame {
            ops,
            next: 0,
            at_end,
        });
    }
}

fn stdin<'a>(action: StdinOp, read_size: u64) -> Step<'a> {
    let read_size = usize::try_from(read_size).unwrap_or(usize::MAX);
    match action {
        StdinOp::ReadAll => Step::Read {
            limit: None,
            read_size,
        },
        StdinOp::Read(bytes) => Step::Read {
            limit: Some(bytes.0),
            read_size,
        },
        StdinOp::Echo => Step::Echo { read_size },
        StdinOp::Never => Step::AwaitHangup,
    }
}

impl<'a> Iterator for Steps<'a> {
    type Item = Step<'a>;

    fn next(&mut self) -> Option<Step<'a>> {
        loop {
            if let Some(step) = self.queue.pop_front() {
                return Some(step);
            }
            self.gone_through += 1;
            if !self.take_turn() && !self.advance() {
                return None;
            }
        }
    }
}
