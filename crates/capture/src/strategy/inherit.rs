//! `inherit`: the child gets the caller's own stdout and stderr.
//!
//! What it does: nothing to the streams, and waits for the child's exit.
//!
//! When it deadlocks: when the caller's own stdout or stderr is a pipe that nobody reads: the child
//! then blocks on it as the caller would.
//!
//! The smallest scenario: `pipeclog capture --strategy inherit -- yes`, with its output into a pipe
//! that is not read.
//!
//! What it costs: nothing is captured.

use super::Method;
use crate::StreamEnd;
use crate::channel::Plumbing;
use crate::engine::Poll;
use crate::spawn::ChildEnd;
use crate::stream::Source;

pub(super) const METHOD: Method = Method::Safe {
    plumb: |input| {
        let inherited = || (ChildEnd::Inherit, Source::Nothing(StreamEnd::NotCaptured));
        Plumbing::new(input, inherited(), inherited())
    },
    engine: || Ok(Box::new(Poll)),
};
