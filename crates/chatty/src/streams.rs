//! The standard descriptors, by raw system calls.

use std::os::fd::{AsRawFd as _, BorrowedFd};

use pipeclog_scenario::script::{Descriptor, Stream};
use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::Errno;

/// The descriptor itself. It may have been closed: then each call on it fails with EBADF.
pub(crate) fn fd(descriptor: Descriptor) -> BorrowedFd<'static> {
    match descriptor {
        Descriptor::Stdin => rustix::stdio::stdin(),
        Descriptor::Stdout => rustix::stdio::stdout(),
        Descriptor::Stderr => rustix::stdio::stderr(),
    }
}

/// Which of the standard descriptors the script has closed.
///
/// Kept because a number that was closed is given to the next file that is opened: a write to a closed stream must
/// not go there.
#[derive(Debug, Default)]
pub(crate) struct Closed {
    stdin: bool,
    stdout: bool,
    stderr: bool,
}

impl Closed {
    pub(crate) fn has(&self, descriptor: Descriptor) -> bool {
        match descriptor {
            Descriptor::Stdin => self.stdin,
            Descriptor::Stdout => self.stdout,
            Descriptor::Stderr => self.stderr,
        }
    }

    /// Closes a descriptor; one that is closed already stays so.
    pub(crate) fn close(&mut self, descriptor: Descriptor) {
        let closed = match descriptor {
            Descriptor::Stdin => &mut self.stdin,
            Descriptor::Stdout => &mut self.stdout,
            Descriptor::Stderr => &mut self.stderr,
        };
        if !std::mem::replace(closed, true) {
            // Linux closes the number whatever close(2) returns.
            let _ = nix::unistd::close(fd(descriptor).as_raw_fd());
        }
    }
}

/// One write(2), repeated after a signal handler ran.
pub(crate) fn write(stream: Stream, bytes: &[u8]) -> Result<usize, Errno> {
    rustix::io::retry_on_intr(|| rustix::io::write(fd(stream.into()), bytes))
}

/// One read(2) of standard input; 0 at its end. Waits even if somebody made the descriptor non-blocking.
pub(crate) fn read(buffer: &mut [u8]) -> Result<usize, Errno> {
    loop {
        match rustix::io::retry_on_intr(|| rustix::io::read(fd(Descriptor::Stdin), &mut *buffer)) {
            Err(Errno::AGAIN) => wait(Descriptor::Stdin, PollFlags::IN)?,
            done => return done,
        }
    }
}

/// Waits, without a bound, until the descriptor is ready for `events`, has an error or a hangup.
pub(crate) fn wait(descriptor: Descriptor, events: PollFlags) -> Result<(), Errno> {
    let fd = fd(descriptor);
    rustix::io::retry_on_intr(|| poll(&mut [PollFd::new(&fd, events)], None))?;
    Ok(())
}

/// Waits until every writer of standard input has closed it. Returns at once for a file that has no writers: a
/// regular one, /dev/null and their like would never wake.
pub(crate) fn await_hangup() -> Result<(), Errno> {
    use rustix::fs::FileType;
    let stdin = fd(Descriptor::Stdin);
    let kind = FileType::from_raw_mode(rustix::fs::fstat(stdin)?.st_mode);
    match kind {
        FileType::Fifo | FileType::Socket => wait(Descriptor::Stdin, PollFlags::empty()),
        FileType::CharacterDevice if rustix::termios::isatty(stdin) => {
            wait(Descriptor::Stdin, PollFlags::empty())
        }
        _ => Ok(()),
    }
}
