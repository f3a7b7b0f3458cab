//! A real pipe, asked the same questions as the model.

use std::ops::Range;
use std::os::fd::OwnedFd;

use pipeclog_pipemodel::{
    Geometry, PageSize, Pipe, ReadError, Readiness, ResizeError, WriteError, WriteMode,
};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{OFlags, fcntl_getfl, fcntl_setfl};
use rustix::io::Errno;
use rustix::pipe::{PipeFlags, fcntl_getpipe_size, fcntl_setpipe_size, pipe_with};

pub(crate) struct RealPipe {
    pub(crate) read_end: OwnedFd,
    pub(crate) write_end: OwnedFd,
    /// As the model names bytes: their place in all that was written.
    written: u64,
    buffer: Vec<u8>,
}

impl RealPipe {
    pub(crate) fn new() -> Self {
        let (read_end, write_end) =
            pipe_with(PipeFlags::NONBLOCK | PipeFlags::CLOEXEC).expect("a pipe");
        Self {
            read_end,
            write_end,
            written: 0,
            buffer: Vec::new(),
        }
    }

    /// The model of this pipe as it is now, empty: a machine near its limits gives smaller ones.
    pub(crate) fn model(&self) -> Pipe {
        let bytes = fcntl_getpipe_size(&self.read_end).expect("F_GETPIPE_SZ") as u64;
        let page = PageSize::new(rustix::param::page_size() as u32).expect("a power of two");
        Pipe::new(Geometry::from_request(page, bytes).expect("the kernel's own capacity"))
    }

    pub(crate) fn set_mode(&self, mode: WriteMode) {
        let flags = fcntl_getfl(&self.write_end).expect("F_GETFL");
        let flags = match mode {
            WriteMode::Stream => flags - OFlags::DIRECT,
            WriteMode::Packet => flags | OFlags::DIRECT,
        };
        fcntl_setfl(&self.write_end, flags).expect("F_SETFL");
    }

    pub(crate) fn try_write(&mut self, bytes: u64) -> Result<u64, WriteError> {
        self.buffer.clear();
        self.buffer
            .extend((self.written..self.written + bytes).map(byte_at));
        match rustix::io::write(&self.write_end, &self.buffer) {
            Ok(put) => {
                self.written += put as u64;
                Ok(put as u64)
            }
            Err(Errno::AGAIN) => Err(WriteError::WouldBlock),
            Err(Errno::PIPE) => Err(WriteError::BrokenPipe),
            Err(error) => panic!("write of {bytes} bytes: {error}"),
        }
    }

    /// Reads, and checks that the bytes are those of `expected`, the model's answer, if it has one.
    pub(crate) fn try_read(
        &mut self,
        bytes: u64,
        expected: &Result<Range<u64>, ReadError>,
    ) -> Result<u64, ReadError> {
        self.buffer.resize(bytes as usize, 0);
        match rustix::io::read(&self.read_end, &mut self.buffer[..]) {
            Ok(got) => {
                if let Ok(range) = expected {
                    let wanted = range.clone().map(byte_at);
                    assert!(
                        self.buffer[..got].iter().copied().eq(wanted),
                        "bytes differ from those of {range:?}"
                    );
                }
                Ok(got as u64)
            }
            Err(Errno::AGAIN) => Err(ReadError::WouldBlock),
            Err(error) => panic!("read of {bytes} bytes: {error}"),
        }
    }

    /// The new capacity; `Err` with the errno alone, as the kernel does not say more.
    pub(crate) fn resize(&self, bytes: u64) -> Result<u64, Errno> {
        fcntl_setpipe_size(&self.read_end, bytes as usize).map(|size| size as u64)
    }

    pub(crate) fn readiness(&self) -> Readiness {
        let mut fds = [
            PollFd::new(&self.read_end, PollFlags::IN),
            PollFd::new(&self.write_end, PollFlags::OUT),
        ];
        poll(&mut fds, Some(&Timespec::default())).expect("poll");
        let (read, write) = (fds[0].revents(), fds[1].revents());
        Readiness {
            readable: read.contains(PollFlags::IN),
            writable: write.contains(PollFlags::OUT),
            hang_up: read.contains(PollFlags::HUP),
            error: write.contains(PollFlags::ERR),
        }
    }

    pub(crate) fn unread_bytes(&self) -> u64 {
        rustix::io::ioctl_fionread(&self.read_end).expect("FIONREAD")
    }
}

/// The errno that stands behind a refusal of the model.
pub(crate) fn errno_of(error: ResizeError) -> Errno {
    match error {
        ResizeError::Busy { .. } => Errno::BUSY,
        ResizeError::TooLarge { .. } => Errno::INVAL,
    }
}

/// The byte that is written at a place: neighbours differ, and so do bytes a page apart.
pub(crate) fn byte_at(place: u64) -> u8 {
    (place.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 56) as u8
}
