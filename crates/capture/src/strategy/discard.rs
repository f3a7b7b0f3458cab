//! `discard`: both streams into `/dev/null`.
//!
//! What it does: gives the child `/dev/null`, and waits for its exit.
//!
//! When it deadlocks: never. Without a bound it waits as long as the leader lives.
//!
//! The smallest scenario: none hangs it.
//!
//! What it costs: the output. The floor under every other strategy.

use super::Method;
use crate::StreamEnd;
use crate::channel::{Plumbing, null};
use crate::engine::Poll;
use crate::stream::Source;

pub(super) const METHOD: Method = Method::Safe {
    plumb: |input| {
        let nothing = || Source::Nothing(StreamEnd::NotCaptured);
        Plumbing::new(input, (null()?, nothing()), (null()?, nothing()))
    },
    engine: || Ok(Box::new(Poll)),
};
