//! One of the child's output streams, on our side.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::io::Errno;

use crate::keep::Keep;
use crate::lull::Lull;
use crate::output_file::OutputFile;
use crate::{Error, Limit, Output, StreamEnd, engine};

/// Where a stream's bytes come from.
#[derive(Debug)]
pub(crate) enum Source {
    /// A pipe or a socket, non-blocking; the kernel says how much it holds (`FIONREAD`).
    Pipe(OwnedFd),
    /// The master of a pty: its end of file is EIO, and the kernel does not say how much it holds.
    Terminal(OwnedFd),
    /// A file that the child writes; read when all is over.
    File(OutputFile),
    /// Nothing: see the [`StreamEnd`] for why.
    Nothing(StreamEnd),
}

/// More than a pty holds: about 20 KB, measured, plus what a blocked writer adds meanwhile.
const TERMINAL_HOLDS_LESS_THAN: u64 = 64 * 1024;

/// One output stream: source, what was kept of it, and how it ended, if it has.
pub(crate) struct Stream {
    pub(crate) name: &'static str,
    source: Source,
    keep: Keep,
    limit: Option<Limit>,
    /// What the pipe holds; none if it is no pipe.
    capacity: Option<usize>,
    end: Option<StreamEnd>,
    /// Set when the capture was stopped while the stream was open: that is then how it ended, even
    /// if killing its writers brought the end of file.
    stopped: Option<StreamEnd>,
}

/// What one read came to.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Pumped {
    Bytes,
    Empty,
    Ended,
}

impl Stream {
    pub(crate) fn new(name: &'static str, source: Source, limit: Option<Limit>) -> Self {
        let end = match source {
            Source::Nothing(end) => Some(end),
            Source::Pipe(_) | Source::Terminal(_) | Source::File(_) => None,
        };
        let capacity = match &source {
            // A socket has none: EBADF.
            Source::Pipe(fd) => rustix::pipe::fcntl_getpipe_size(fd).ok(),
            Source::Terminal(_) | Source::File(_) | Source::Nothing(_) => None,
        };
        Stream {
            name,
            source,
            capacity,
            keep: Keep::new(limit),
            limit,
            end,
            stopped: None,
        }
    }

    /// The descriptor to wait on for bytes: none for a file, and none after the end.
    pub(crate) fn readable(&self) -> Option<BorrowedFd<'_>> {
        match (&self.source, self.end) {
            (Source::Pipe(fd) | Source::Terminal(fd), None) => Some(fd.as_fd()),
            _ => None,
        }
    }

    /// Our descriptor, also after the end; none for a file.
    pub(crate) fn descriptor(&self) -> Option<BorrowedFd<'_>> {
        match &self.source {
            Source::Pipe(fd) | Source::Terminal(fd) => Some(fd.as_fd()),
            Source::File(_) | Source::Nothing(_) => None,
        }
    }

    /// Whether it is a file that the child may still write.
    pub(crate) fn is_open_file(&self) -> bool {
        matches!((&self.source, self.end), (Source::File(_), None))
    }

    /// Whether it is such a file, and must not grow beyond its limit.
    pub(crate) fn is_watched_file(&self) -> bool {
        self.is_open_file()
            && self
                .limit
                .is_some_and(|limit| limit.policy.stops_the_child())
    }

    pub(crate) fn has_ended(&self) -> bool {
        self.end.is_some()
    }

    /// The limit, if it has been passed and the policy ends the child for it.
    pub(crate) fn fatal_limit(&self) -> Option<Limit> {
        match &self.source {
            Source::File(file) => self.limit.filter(|limit| {
                limit.policy.stops_the_child()
                    && file.len().is_some_and(|len| len > limit.bytes as u64)
            }),
            Source::Pipe(_) | Source::Terminal(_) | Source::Nothing(_) => self.keep.fatal_limit(),
        }
    }

    /// One read, and tells the lull what it found.
    pub(crate) fn pump_noting(&mut self, lull: &mut Lull) -> Result<Pumped, Error> {
        let before = self.keep.seen();
        let pumped = self.pump()?;
        if pumped == Pumped::Bytes {
            let count = self.keep.seen() - before;
            lull.note(usize::try_from(count).unwrap_or(usize::MAX), self.capacity);
        }
        Ok(pumped)
    }

    /// One read. Call it when the descriptor is readable, or to find out.
    pub(crate) fn pump(&mut self) -> Result<Pumped, Error> {
        self.pump_at_most(usize::MAX)
    }

    fn pump_at_most(&mut self, most: usize) -> Result<Pumped, Error> {
        let (Source::Pipe(fd) | Source::Terminal(fd), None) = (&self.source, self.end) else {
            return Ok(Pumped::Ended);
        };
        let result = loop {
            match self.keep.read_from(fd, most)? {
                Err(Errno::INTR) => continue,
                other => break other,
            }
        };
        let pumped = match result {
            Ok(0) => Pumped::Ended,
            Ok(_) => Pumped::Bytes,
            Err(Errno::AGAIN) => Pumped::Empty,
            Err(Errno::IO) if self.is_closed_terminal() => Pumped::Ended,
            // A socket's peer that left with our bytes unread.
            Err(Errno::CONNRESET) => Pumped::Ended,
            Err(errno) => {
                return Err(Error::system(
                    format!("read the child's {}", self.name),
                    errno,
                ));
            }
        };
        if pumped == Pumped::Ended {
            self.end = Some(StreamEnd::EndOfFile);
        }
        Ok(pumped)
    }

    /// Whether the last slave of a pty was closed: the master then reads EIO, and the hangup tells
    /// it from a failure.
    fn is_closed_terminal(&self) -> bool {
        match &self.source {
            Source::Terminal(fd) => engine::is_hung_up(fd),
            Source::Pipe(_) | Source::File(_) | Source::Nothing(_) => false,
        }
    }

    /// Reads what the stream holds now, and then says that it has ended by `end`, unless that met
    /// its end of file.
    ///
    /// After the leader's exit all that it wrote is in the pipe, so this loses none of it. It reads
    /// no more than the pipe held at the start: an endless background writer would otherwise keep
    /// us here for ever.
    pub(crate) fn drain_and_end(&mut self, end: StreamEnd) -> Result<(), Error> {
        let mut left = match (&self.source, self.end) {
            (Source::Pipe(fd), None) => rustix::io::ioctl_fionread(fd)
                .map_err(|errno| Error::system("ask what a pipe holds", errno))?,
            (Source::Terminal(_), None) => TERMINAL_HOLDS_LESS_THAN,
            (Source::File(_), None) => {
                self.end = Some(end);
                return Ok(());
            }
            (_, Some(_)) | (Source::Nothing(_), None) => return Ok(()),
        };
        loop {
            // One read more than the count says: it tells the end of file from a held write end.
            let most = usize::try_from(left).unwrap_or(usize::MAX).max(1);
            let before = self.keep.seen();
            if self.pump_at_most(most)? != Pumped::Bytes || left == 0 {
                break;
            }
            left = left.saturating_sub(self.keep.seen() - before);
        }
        self.end.get_or_insert(end);
        Ok(())
    }

    /// The capture is being stopped: a stream that is open now ends by that.
    pub(crate) fn begin_stop(&mut self, end: StreamEnd) {
        if self.end.is_none() {
            self.stopped.get_or_insert(end);
        }
    }

    /// A copy of what is kept so far.
    pub(crate) fn so_far(&self) -> Result<Vec<u8>, Error> {
        match &self.source {
            Source::File(file) => file.so_far(self.limit),
            Source::Pipe(_) | Source::Terminal(_) | Source::Nothing(_) => Ok(self.keep.so_far()),
        }
    }

    /// Hands out what was kept, and our end if a descendant still holds the stream.
    pub(crate) fn finish(self) -> Result<(Output, Option<OwnedFd>), Error> {
        let passed = self.fatal_limit().map(|_| StreamEnd::LimitReached);
        let Stream {
            source,
            mut keep,
            limit,
            end,
            stopped,
            ..
        } = self;
        let at_end_of_file = end == Some(StreamEnd::EndOfFile);
        let end = passed.or(stopped).or(end).unwrap_or(StreamEnd::Stopped);
        match source {
            Source::File(file) => Ok((file.finish(limit, end)?, None)),
            Source::Nothing(_) => Ok((Output::without_bytes(end), None)),
            Source::Pipe(fd) | Source::Terminal(fd) => {
                let held = (!at_end_of_file).then_some(fd);
                Ok((keep.finish(end), held))
            }
        }
    }
}
