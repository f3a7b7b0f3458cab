//! What joins the child's 0, 1 and 2 to us: pipes, sockets, files.

use std::os::fd::OwnedFd;

use rustix::pipe::PipeFlags;

use crate::feed::Feed;
use crate::leader::Grouping;
use crate::spawn::{ChildEnd, ChildEnds};
use crate::stream::Source;
use crate::{Error, Input, descriptors};

/// Everything that is made before the spawn: the child's ends, and ours.
pub(crate) struct Plumbing {
    pub(crate) ends: ChildEnds,
    pub(crate) feed: Option<Feed>,
    pub(crate) stdout: Source,
    pub(crate) stderr: Source,
    /// Only a terminal asks for a session of its own.
    pub(crate) grouping: Grouping,
}

impl Plumbing {
    /// The usual shape: stdin by a pipe, and these two outputs.
    pub(crate) fn new(
        input: &Input,
        out: (ChildEnd, Source),
        err: (ChildEnd, Source),
    ) -> Result<Self, Error> {
        let (stdin, feed) = stdin_by_pipe(input)?;
        Ok(Plumbing {
            ends: ChildEnds {
                stdin,
                stdout: out.0,
                stderr: err.0,
            },
            feed,
            stdout: out.1,
            stderr: err.1,
            grouping: Grouping::Caller,
        })
    }
}

/// How much a new pipe is to hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Capacity {
    /// What the kernel gives: 65,536 bytes (pipe(7)); less over a user's `pipe-user-pages-soft`.
    Default,
    /// This many bytes, if the kernel allows.
    AtLeast(usize),
}

/// Large enough that reader and writer seldom wait for each other; nothing was gained above it. Not
/// 1 MiB, since 64 such pipes use up the soft limit of a user, whose every later pipe then holds
/// 8,192 bytes.
pub(crate) const AMPLE: Capacity = Capacity::AtLeast(256 * 1024);

/// A pipe, (read end, write end): both block, both are close-on-exec.
pub(crate) fn pipe(capacity: Capacity) -> Result<(OwnedFd, OwnedFd), Error> {
    let (read, write) = rustix::pipe::pipe_with(PipeFlags::CLOEXEC)
        .map_err(|errno| Error::system("make a pipe", errno))?;
    match capacity {
        Capacity::Default => {}
        // EPERM (over a limit) or ENOMEM leave the pipe as it was, and that is good enough.
        Capacity::AtLeast(bytes) => {
            let _ = rustix::pipe::fcntl_setpipe_size(&write, bytes);
        }
    }
    Ok((read, write))
}

/// A pipe for one output stream, whose read end does not block. The two ends of a pipe are two
/// descriptions, so that the child's end does.
pub(crate) fn output_pipe() -> Result<(ChildEnd, Source), Error> {
    let (read, write) = pipe(AMPLE)?;
    descriptors::set_nonblocking(&read)?;
    Ok((ChildEnd::Given(write), Source::Pipe(read)))
}

/// The child's stdin, by a pipe when there are bytes to write.
pub(crate) fn stdin_by_pipe(input: &Input) -> Result<(ChildEnd, Option<Feed>), Error> {
    if let Some(end) = stdin_without_feed(input)? {
        return Ok((end, None));
    }
    let Input::Bytes(bytes) = input else {
        return Ok((ChildEnd::Inherit, None));
    };
    let (read, write) = pipe(AMPLE)?;
    descriptors::set_nonblocking(&write)?;
    Ok((ChildEnd::Given(read), Some(Feed::new(write, bytes.clone()))))
}

/// The child's stdin where nothing has to be written; none when there are bytes to write.
pub(crate) fn stdin_without_feed(input: &Input) -> Result<Option<ChildEnd>, Error> {
    Ok(match input {
        Input::Null => Some(null()?),
        Input::Inherit => Some(ChildEnd::Inherit),
        Input::File(file) => {
            let copy = file
                .try_clone()
                .map_err(|cause| Error::system("duplicate the stdin file", cause))?;
            Some(ChildEnd::Given(copy.into()))
        }
        Input::Bytes(_) => None,
    })
}

/// `/dev/null` as a child's end.
pub(crate) fn null() -> Result<ChildEnd, Error> {
    descriptors::dev_null()
        .map(ChildEnd::Given)
        .map_err(|errno| Error::system("open /dev/null", errno))
}

/// A second descriptor for the same end.
pub(crate) fn duplicate(fd: &OwnedFd) -> Result<OwnedFd, Error> {
    fd.try_clone()
        .map_err(|cause| Error::system("duplicate a descriptor", cause))
}
