//! The bytes on their way to the child's stdin.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;

use nix::sys::signal::Signal;
use rustix::io::Errno;

use crate::{Error, signals};

/// Our end of the child's stdin and what is still to be written. Dropping it is the child's end of
/// file.
pub(crate) struct Feed {
    fd: OwnedFd,
    bytes: Arc<[u8]>,
    written: usize,
}

/// What one write came to.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fed {
    /// Something was written, and there is more.
    More,
    /// The pipe is full.
    Full,
    Done,
}

impl Feed {
    /// `fd` is non-blocking where the strategy must not block on it.
    pub(crate) fn new(fd: OwnedFd, bytes: Arc<[u8]>) -> Self {
        Feed {
            fd,
            bytes,
            written: 0,
        }
    }

    pub(crate) fn fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }

    /// One write. A child that has closed its stdin wants no more: that is `Done`, not an error.
    pub(crate) fn pump(&mut self) -> Result<Fed, Error> {
        let rest = self.bytes.get(self.written..).unwrap_or_default();
        if rest.is_empty() {
            return Ok(Fed::Done);
        }
        match signals::write_holding(Signal::SIGPIPE, &self.fd, rest) {
            Ok(count) => {
                self.written += count;
                Ok(if count == rest.len() {
                    Fed::Done
                } else {
                    Fed::More
                })
            }
            // A socket whose peer left with bytes unread says ECONNRESET where a pipe says EPIPE.
            Err(Errno::PIPE | Errno::CONNRESET) => Ok(Fed::Done),
            Err(Errno::INTR) => Ok(Fed::More),
            Err(Errno::AGAIN) => Ok(Fed::Full),
            Err(errno) => Err(Error::system("write the child's stdin", errno)),
        }
    }
}
