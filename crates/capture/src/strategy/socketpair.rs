//! `socketpair`: Unix socket pairs instead of pipes, as libuv does.
//!
//! What it does: gives the child one end of a stream socket pair for each of stdout and stderr, and
//! for stdin when there are bytes to write, and reads as [`super::poll`] does.
//!
//! When it deadlocks: never by itself; it waits where `poll` does.
//!
//! The smallest scenario: none hangs it; `sh -c 'sleep 600 &'` shows the wait with
//! `End::EndOfFile`.
//!
//! What it costs: a socket counts its buffers, not their bytes, and takes 278 writes of one byte
//! where a pipe takes 65,536. A program that opens `/dev/stdout` anew fails with ENXIO.

use std::os::fd::OwnedFd;

use rustix::net::{AddressFamily, SocketFlags, SocketType};

use super::Method;
use crate::channel::{Plumbing, stdin_without_feed};
use crate::engine::Poll;
use crate::feed::Feed;
use crate::leader::Grouping;
use crate::spawn::{ChildEnd, ChildEnds};
use crate::stream::Source;
use crate::{Error, Input, descriptors};

pub(super) const METHOD: Method = Method::Safe {
    plumb,
    engine: || Ok(Box::new(Poll)),
};

fn plumb(input: &Input) -> Result<Plumbing, Error> {
    let (stdin, feed) = match (stdin_without_feed(input)?, input) {
        (None, Input::Bytes(bytes)) => {
            let (ours, childs) = pair()?;
            (
                ChildEnd::Given(childs),
                Some(Feed::new(ours, bytes.clone())),
            )
        }
        (end, _) => (end.unwrap_or(ChildEnd::Inherit), None),
    };
    let ((stdout, child_stdout), (stderr, child_stderr)) = (pair()?, pair()?);
    Ok(Plumbing {
        ends: ChildEnds {
            stdin,
            stdout: ChildEnd::Given(child_stdout),
            stderr: ChildEnd::Given(child_stderr),
        },
        feed,
        stdout: Source::Pipe(stdout),
        stderr: Source::Pipe(stderr),
        grouping: Grouping::Caller,
    })
}

/// (our end, the child's end). Ours does not block; the child's, another description, does.
fn pair() -> Result<(OwnedFd, OwnedFd), Error> {
    let (ours, childs) = rustix::net::socketpair(
        AddressFamily::UNIX,
        SocketType::STREAM,
        SocketFlags::CLOEXEC,
        None,
    )
    .map_err(|errno| Error::system("make a socket pair", errno))?;
    descriptors::set_nonblocking(&ours)?;
    Ok((ours, childs))
}
