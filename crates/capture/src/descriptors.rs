//! Descriptors of our own: never 0, 1 or 2, always close-on-exec.

use std::os::fd::{AsRawFd, OwnedFd};
use std::sync::atomic::Ordering;

use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;

use crate::{Error, sys};

/// Which of 0, 1 and 2 were closed when this process started.
///
/// Rust's start-up opens `/dev/null` in their place, so that a program whose stdout is closed loses
/// what it prints without an error; afterwards that looks like a `/dev/null` which the user chose.
/// This library looks before.
pub fn closed_at_start() -> Vec<i32> {
    let closed = sys::CLOSED_AT_START.load(Ordering::Relaxed);
    (0..3).filter(|fd| closed & (1 << fd) != 0).collect()
}

/// Keeps the numbers 0, 1 and 2 taken while a child is prepared and spawned.
///
/// A caller may run with some of them closed, and then `pipe2` gives out these numbers. A child's
/// ends that stand there are clobbered when the child moves its ends onto 0, 1 and 2, one after the
/// other. Filling the holes first is simpler than moving every descriptor up. They are
/// close-on-exec, so a child that inherits a closed descriptor still sees it closed.
pub(crate) struct LowNumbers(#[expect(dead_code, reason = "held for its drop")] Vec<OwnedFd>);

impl LowNumbers {
    pub(crate) fn hold() -> Result<Self, Error> {
        let mut held = Vec::new();
        // The usual case, for a tenth of the price of an open.
        let usual = [
            rustix::stdio::stdin(),
            rustix::stdio::stdout(),
            rustix::stdio::stderr(),
        ];
        if usual
            .into_iter()
            .all(|fd| rustix::io::fcntl_getfd(fd).is_ok())
        {
            return Ok(LowNumbers(held));
        }
        loop {
            // The kernel gives the lowest free number, so the first above 2 says that no hole is
            // left.
            let fd = dev_null().map_err(|errno| Error::system("open /dev/null", errno))?;
            if fd.as_raw_fd() > 2 {
                return Ok(LowNumbers(held));
            }
            held.push(fd);
        }
    }
}

/// `/dev/null`, for reading and writing.
pub(crate) fn dev_null() -> Result<OwnedFd, Errno> {
    rustix::fs::open("/dev/null", OFlags::RDWR | OFlags::CLOEXEC, Mode::empty())
}

/// Makes a descriptor of ours non-blocking. Only for one whose description the child does not
/// share: the flag belongs to the description, and a child that finds it on its stdout loses output
/// to EAGAIN.
pub(crate) fn set_nonblocking(fd: &OwnedFd) -> Result<(), Error> {
    rustix::fs::fcntl_getfl(fd)
        .and_then(|flags| rustix::fs::fcntl_setfl(fd, flags | OFlags::NONBLOCK))
        .map_err(|errno| Error::system("make our end of a stream non-blocking", errno))
}
