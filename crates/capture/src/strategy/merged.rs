//! `merged`: both streams into one pipe, in the order of the writes.
//!
//! What it does: gives the child the same pipe as stdout and stderr (`2>&1`), and reads it as
//! [`super::poll`] does. The result is in `stdout`.
//!
//! When it deadlocks: never by itself; it waits where `poll` does.
//!
//! The smallest scenario: none hangs it; `sh -c 'sleep 600 &'` shows the wait with
//! `End::EndOfFile`.
//!
//! What it costs: which stream a byte came from. Writes of at most 4,096 bytes (`PIPE_BUF`) stay
//! whole.

use super::Method;
use crate::StreamEnd;
use crate::channel::{Plumbing, duplicate, output_pipe};
use crate::engine::Poll;
use crate::spawn::ChildEnd;
use crate::stream::Source;

pub(super) const METHOD: Method = Method::Safe {
    plumb: |input| {
        let (end, source) = output_pipe()?;
        let copy = match &end {
            ChildEnd::Given(fd) => ChildEnd::Given(duplicate(fd)?),
            ChildEnd::Inherit => ChildEnd::Inherit,
        };
        Plumbing::new(
            input,
            (end, source),
            (copy, Source::Nothing(StreamEnd::Merged)),
        )
    },
    engine: || Ok(Box::new(Poll)),
};
