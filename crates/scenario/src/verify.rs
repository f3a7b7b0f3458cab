//! Whether captured bytes are those that were written, and if not, where and how they differ.
//!
//! What must arrive is derived from the same [`Steps`](crate::script::Steps) that the child executes, so no copy of
//! the output is ever made, and a terabyte is verified in the memory of a few pages.
//!
//! ```
//! use pipeclog_scenario::script::{Input, Op, Script, Write};
//! use pipeclog_scenario::verify::{Source, Verifier};
//!
//! let script = Script::new(vec![Op::Write(Write::new(48, 0))]);
//! let mut verifier = Verifier::new(&script, Source::Stdout, Input::Pattern(0));
//! verifier.push(b"o00000000000000\n");
//! verifier.push(b"o00000000000020\n");
//! assert_eq!(verifier.finish().to_string(), "32 bytes, at byte 29: 16 bytes lost");
//! ```

mod fault;
mod lane;
#[cfg(test)]
mod laws;
mod several;
mod single;

pub use fault::{Fault, FaultKind, Verdict};

use crate::pattern::TagKind;
use crate::script::{Descriptor, Input, Script};
use lane::Lane;
use several::Several;
use single::Single;

/// Which of a script's streams the bytes were captured from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Source {
    /// Standard output by itself.
    Stdout,
    /// Standard error by itself.
    Stderr,
    /// Both on one open file description (`2>&1`): the order of the writes must be the script's.
    Merged,
}

impl Source {
    fn has(self, kind: TagKind) -> bool {
        match (self, kind) {
            (Self::Stdout | Self::Merged, TagKind::Stdout) => true,
            (Self::Stderr | Self::Merged, TagKind::Stderr) => true,
            (Self::Stdout, TagKind::Stderr) | (Self::Stderr, TagKind::Stdout) => false,
            // Echoed input is no stream of its own; where a script echoes, its records are expected by place.
            (_, TagKind::Stdin) => false,
        }
    }
}

/// The part of a stream that a capture kept: the head, the tail or the whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Window {
    /// Bytes of the stream before the first one kept.
    pub start: u64,
    /// Bytes kept at most; nothing if there was no limit.
    pub len: Option<u64>,
}

impl Window {
    /// The whole stream.
    pub const WHOLE: Self = Self {
        start: 0,
        len: None,
    };
}

/// A tail was to be verified of a stream that several processes write to: what came before decides what the tail
/// must be, and it has not been kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "failed to verify from byte {start} on: several processes write to the stream; keep it from its start"
)]
pub struct WindowError {
    start: u64,
}

/// Compares captured bytes with those that a script writes, as they come.
///
/// Where background descendants write to the same stream, each writer's records must be in order, whichever
/// way they fall between each other.
#[derive(Debug)]
pub struct Verifier<'a> {
    kind: Kind<'a>,
}

#[derive(Debug)]
enum Kind<'a> {
    Single(Box<Single<'a>>),
    Several(Several<'a>),
}

impl<'a> Verifier<'a> {
    /// A verifier of the whole stream. `input` is what the leader was given, for scripts that echo it.
    #[must_use]
    pub fn new(script: &'a Script, source: Source, input: Input<'a>) -> Self {
        Self {
            kind: Self::kind(script, source, input, Window::WHOLE),
        }
    }

    /// A verifier of a part of the stream.
    ///
    /// # Errors
    ///
    /// If the part does not begin with the stream, and several processes write to it.
    pub fn of_window(
        script: &'a Script,
        source: Source,
        input: Input<'a>,
        window: Window,
    ) -> Result<Self, WindowError> {
        match Self::kind(script, source, input, window) {
            Kind::Several(_) if window.start > 0 => Err(WindowError {
                start: window.start,
            }),
            kind => Ok(Self { kind }),
        }
    }

    fn kind(script: &'a Script, source: Source, input: Input<'a>, window: Window) -> Kind<'a> {
        let mut lanes = vec![Lane::new(script.steps(), source, input)];
        for (background, writer) in script.backgrounds().into_iter().zip(1..) {
            let kept = |descriptor| background.keep.contains(&descriptor);
            let source = match (source, kept(Descriptor::Stdout), kept(Descriptor::Stderr)) {
                (Source::Stdout | Source::Merged, true, false) => Source::Stdout,
                (Source::Stderr | Source::Merged, false, true) => Source::Stderr,
                (source, true, true) => source,
                (_, false, false)
                | (Source::Stderr, true, false)
                | (Source::Stdout, false, true) => {
                    continue;
                }
            };
            lanes.push(Lane::new(
                background.script.steps_as(writer),
                source,
                Input::Pattern(0),
            ));
        }
        lanes.retain_mut(Lane::has_more);
        if lanes.len() > 1 {
            return Kind::Several(Several::new(lanes, source, window));
        }
        // Where nobody says anything, the leader's lane is as empty as any.
        let lane = lanes
            .pop()
            .unwrap_or_else(|| Lane::new(script.steps(), source, input));
        Kind::Single(Box::new(Single::new(lane, source, window)))
    }

    /// The next bytes that were captured; how they are split into pushes makes no difference.
    pub fn push(&mut self, bytes: &[u8]) {
        match &mut self.kind {
            Kind::Single(single) => single.push(bytes),
            Kind::Several(several) => several.push(bytes),
        }
    }

    /// Nothing more was captured: says what was found. Costs the steps that are left, if bytes are missing.
    #[must_use]
    pub fn finish(self) -> Verdict {
        match self.kind {
            Kind::Single(single) => single.finish(),
            Kind::Several(several) => several.finish(),
        }
    }
}
