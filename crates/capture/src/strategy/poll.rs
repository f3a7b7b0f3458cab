//! `poll`: one thread, poll(2).
//!
//! What it does: waits in one `poll` for room in stdin, bytes in stdout and stderr, and the
//! leader's exit (its pidfd), and does one read or write of what is ready. Our ends do not block;
//! the child's do.
//!
//! When it deadlocks: never by itself. Without a bound it waits as long as the child lives, and
//! with `End::EndOfFile` as long as any descendant holds a pipe.
//!
//! The smallest scenario: none hangs it; `sh -c 'sleep 600 &'` shows the wait with
//! `End::EndOfFile`.
//!
//! What it costs: two system calls for each piece that the child writes, at most 256 KiB at a time. A child that
//! writes less than a page at a time is left alone for up to 200 µs after each read of little, or until it
//! exits, so that the next read finds many pieces: fewer switches of both.

use super::Method;
use crate::channel::{Plumbing, output_pipe};
use crate::engine::Poll;

pub(super) const METHOD: Method = Method::Safe {
    plumb: |input| Plumbing::new(input, output_pipe()?, output_pipe()?),
    engine: || Ok(Box::new(Poll)),
};
