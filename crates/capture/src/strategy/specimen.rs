//! What the hazards share: a child on plain blocking pipes, and everything but their one mistake.

use std::os::fd::OwnedFd;

use rustix::io::Errno;

use crate::channel::{self, Capacity};
use crate::descriptors::LowNumbers;
use crate::feed::{Fed, Feed};
use crate::leader::{Grouping, Leader};
use crate::spawn::{ChildEnd, ChildEnds, spawn};
use crate::{
    Captured, Command, Error, Input, KillTarget, Output, Status, StreamEnd, buffer, signals,
};

/// What a hazard is given: a command and its stdin, and none of the options that would save it.
pub(crate) struct Specimen<'a> {
    pub(crate) command: &'a Command,
    pub(crate) input: &'a Input,
}

/// A child that runs, on blocking pipes.
pub(super) struct Started {
    pub(super) leader: Leader,
    pub(super) stdout: OwnedFd,
    pub(super) stderr: OwnedFd,
    /// Blocking. None when there is nothing to write.
    pub(super) feed: Option<Feed>,
}

impl Specimen<'_> {
    /// Starts the child and leaves stdin to the caller.
    pub(super) fn start(&self, capacity: Capacity) -> Result<Started, Error> {
        let low_numbers = LowNumbers::hold()?;
        let (stdout, child_stdout) = channel::pipe(capacity)?;
        let (stderr, child_stderr) = channel::pipe(capacity)?;
        let (stdin, feed) = match (channel::stdin_without_feed(self.input)?, self.input) {
            (None, Input::Bytes(bytes)) => {
                let (read, write) = channel::pipe(Capacity::Default)?;
                (ChildEnd::Given(read), Some(Feed::new(write, bytes.clone())))
            }
            (end, _) => (end.unwrap_or(ChildEnd::Inherit), None),
        };
        let ends = ChildEnds {
            stdin,
            stdout: ChildEnd::Given(child_stdout),
            stderr: ChildEnd::Given(child_stderr),
        };
        let leader = spawn(self.command, ends, Grouping::Caller, KillTarget::Leader)?;
        drop(low_numbers);
        Ok(Started {
            leader,
            stdout,
            stderr,
            feed,
        })
    }

    /// Starts the child with a thread that writes its stdin, so that this is not a second mistake.
    /// The thread is not joined: it ends when its bytes are written or nobody is left to read them.
    pub(super) fn start_and_feed(&self, capacity: Capacity) -> Result<Started, Error> {
        let mut started = self.start(capacity)?;
        if let Some(feed) = started.feed.take() {
            let thread = std::thread::Builder::new().name("pipeclog-stdin".into());
            signals::with_all_blocked(|| thread.spawn(move || write_all(feed)))
                .map_err(|cause| Error::system("start a thread for stdin", cause))?;
        }
        Ok(started)
    }
}

/// Writes all of stdin, blocking, and closes it.
pub(super) fn write_all(mut feed: Feed) -> Result<(), Error> {
    while feed.pump()? != Fed::Done {}
    Ok(())
}

/// Reads to the end of file, blocking.
pub(super) fn read_to_end(name: &'static str, fd: &OwnedFd) -> Result<Vec<u8>, Error> {
    let mut bytes = Vec::new();
    loop {
        if bytes.len() == bytes.capacity() {
            let more = bytes.len().max(64 * 1024);
            buffer::reserve(&mut bytes, more)?;
        }
        match rustix::io::read(fd, rustix::buffer::spare_capacity(&mut bytes)) {
            Ok(0) => return Ok(bytes),
            Ok(_) | Err(Errno::INTR) => {}
            Err(errno) => return Err(Error::system(format!("read the child's {name}"), errno)),
        }
    }
}

/// The result of a hazard that got through.
pub(super) fn captured(status: Status, stdout: Vec<u8>, stderr: Vec<u8>) -> Captured {
    Captured {
        status,
        stdout: whole(stdout),
        stderr: whole(stderr),
        stopped: None,
        still_open: Vec::new(),
    }
}

fn whole(bytes: Vec<u8>) -> Output {
    let seen = bytes.len() as u64;
    Output {
        bytes: bytes.into(),
        seen,
        kept: seen,
        spilled: None,
        end: StreamEnd::EndOfFile,
    }
}
