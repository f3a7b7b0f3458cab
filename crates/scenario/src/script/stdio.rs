//! Buffering inside a process, as glibc's stdio does it.
//!
//! This follows `_IO_new_file_xsputn`, `_IO_new_file_overflow` and `_IO_default_xsputn` of glibc's
//! `libio/fileops.c` and `libio/genops.c`, down to their oddities: the buffer stands only after the first write, so
//! a first write of 4,096 bytes goes out at once and a second one stays; and the first write to a line-buffered
//! stream goes out a line at a time.

use std::borrow::Cow;
use std::collections::VecDeque;

use super::{Buffering, Chunk, Content, Fill, Step, Stream};
use crate::pattern::Tag;

/// st_blksize of a pipe (and BUFSIZ's rule, setvbuf(3)): glibc takes it as the size of the buffer.
const BUFFER_LEN: usize = 4096;

/// One stream of a process, with the place that it has come to.
#[derive(Debug, Clone)]
pub(super) struct Outlet {
    /// Bytes put so far, buffered ones included.
    offset: u64,
    buffering: Buffering,
    /// Whether the buffer has been allocated, which the first write does.
    begun: bool,
    buffer: Vec<u8>,
    held: Held,
}

/// What stands in a buffer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Held {
    Nothing,
    /// Bytes of one fill only: they can be said to be that, and need no memory of their own.
    Fill(Fill, Tag),
    Mixed,
}

impl Outlet {
    pub(super) fn new(buffering: Buffering) -> Self {
        Self {
            offset: 0,
            buffering,
            begun: false,
            buffer: Vec::new(),
            held: Held::Nothing,
        }
    }

    /// One call of `fwrite` or `printf`, or of write(2) where nothing is buffered.
    pub(super) fn put<'a>(
        &mut self,
        stream: Stream,
        content: Content<'a>,
        len: u64,
        queue: &mut VecDeque<Step<'a>>,
    ) {
        let Ok(len) = usize::try_from(len) else {
            return;
        };
        if len == 0 {
            return;
        }
        let whole = Chunk {
            stream,
            offset: self.offset,
            len,
            content,
        };
        self.offset += len as u64;
        match self.buffering {
            Buffering::None => queue.push_back(Step::Write(whole)),
            Buffering::Line => self.put_lines(&whole, queue),
            Buffering::Full => self.put_full(&whole, queue),
        }
    }

    /// Counts bytes that are written without being told step by step.
    pub(super) fn skip(&mut self, bytes: u64) {
        self.offset += bytes;
    }

    /// Whether each write is a write(2) of its own.
    pub(super) fn is_unbuffered(&self) -> bool {
        self.buffering == Buffering::None
    }

    /// Writes what the buffer holds.
    pub(super) fn flush(&mut self, stream: Stream, queue: &mut VecDeque<Step<'_>>) {
        let held = self.buffer.len();
        self.flush_before(stream, self.offset - held as u64, queue);
    }

    /// `at` is the offset of the first byte in the buffer.
    fn flush_before(&mut self, stream: Stream, at: u64, queue: &mut VecDeque<Step<'_>>) {
        if self.buffer.is_empty() {
            return;
        }
        let len = self.buffer.len();
        let content = match self.held {
            Held::Fill(fill, tag) => Content::Fill { fill, tag },
            Held::Nothing | Held::Mixed => Content::Bytes(Cow::Owned(self.buffer.clone())),
        };
        self.buffer.clear();
        self.held = Held::Nothing;
        queue.push_back(Step::Write(Chunk {
            stream,
            offset: at,
            len,
            content,
        }));
    }

    fn room(&self) -> usize {
        if self.begun {
            BUFFER_LEN.saturating_sub(self.buffer.len())
        } else {
            0
        }
    }

    fn put_full<'a>(&mut self, whole: &Chunk<'a>, queue: &mut VecDeque<Step<'a>>) {
        let taken = self.room().min(whole.len);
        self.hold(whole, 0, taken);
        if taken == whole.len {
            return;
        }
        self.flush_before(
            whole.stream,
            whole.offset + taken as u64 - self.held(),
            queue,
        );
        self.begun = true;
        let after = write_blocks(whole, taken, queue);
        self.hold(whole, after, whole.len - after);
    }

    fn put_lines<'a>(&mut self, whole: &Chunk<'a>, queue: &mut VecDeque<Step<'a>>) {
        let fits = self.begun && self.room() >= whole.len;
        let mut taken = self.room().min(whole.len);
        if fits {
            let mut bytes = vec![0; whole.len];
            whole.render(0, &mut bytes);
            match bytes.iter().rposition(|&byte| byte == b'\n') {
                Some(newline) => taken = newline + 1,
                None => {
                    self.note(whole);
                    return self.buffer.extend_from_slice(&bytes);
                }
            }
        }
        self.hold(whole, 0, taken);
        self.flush_before(
            whole.stream,
            whole.offset + taken as u64 - self.held(),
            queue,
        );
        self.begun = true;
        let after = write_blocks(whole, taken, queue);
        self.put_rest_by_line(whole, after, queue);
    }

    /// The rest, shorter than a block, goes through `__overflow` a character at a time: out at each newline.
    fn put_rest_by_line<'a>(
        &mut self,
        whole: &Chunk<'a>,
        from: usize,
        queue: &mut VecDeque<Step<'a>>,
    ) {
        let mut rest = vec![0; whole.len - from];
        whole.render(from, &mut rest);
        let mut at = whole.offset + from as u64;
        for line in rest.split_inclusive(|&byte| byte == b'\n') {
            self.note(whole);
            self.buffer.extend_from_slice(line);
            at += line.len() as u64;
            if line.ends_with(b"\n") {
                self.flush_before(whole.stream, at - self.held(), queue);
            }
        }
    }

    /// Bytes of `whole` come into the buffer.
    fn note(&mut self, whole: &Chunk<'_>) {
        self.held = match (self.held, &whole.content) {
            (Held::Nothing, Content::Fill { fill, tag }) => Held::Fill(*fill, *tag),
            (Held::Fill(held, _), Content::Fill { fill, .. }) if held == *fill => self.held,
            _ => Held::Mixed,
        };
    }

    fn held(&self) -> u64 {
        self.buffer.len() as u64
    }

    fn hold(&mut self, whole: &Chunk<'_>, from: usize, len: usize) {
        if len == 0 {
            return;
        }
        self.note(whole);
        let held = self.buffer.len();
        self.buffer.resize(held + len, 0);
        if let Some(place) = self.buffer.get_mut(held..) {
            whole.render(from, place);
        }
    }
}

/// Writes whole blocks of `whole` straight from the program's memory; says where the rest begins.
fn write_blocks<'a>(whole: &Chunk<'a>, from: usize, queue: &mut VecDeque<Step<'a>>) -> usize {
    let left = whole.len - from;
    let len = left - left % BUFFER_LEN;
    if len > 0 {
        let content = match &whole.content {
            Content::Fill { fill, tag } => Content::Fill {
                fill: *fill,
                tag: *tag,
            },
            Content::Bytes(bytes) => Content::Bytes(slice(bytes, from, len)),
        };
        let offset = whole.offset + from as u64;
        queue.push_back(Step::Write(Chunk {
            stream: whole.stream,
            offset,
            len,
            content,
        }));
    }
    from + len
}

fn slice<'a>(bytes: &Cow<'a, [u8]>, from: usize, len: usize) -> Cow<'a, [u8]> {
    let range = from..from + len;
    match bytes {
        Cow::Borrowed(bytes) => Cow::Borrowed(bytes.get(range).unwrap_or_default()),
        Cow::Owned(bytes) => Cow::Owned(bytes.get(range).unwrap_or_default().to_vec()),
    }
}
