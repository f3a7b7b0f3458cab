//! What a parent has put into a file, against what the child wrote: the same for the suite's own parents and for wrappers.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;

use pipeclog_scenario::outcome::Written;
use pipeclog_scenario::verify::{FaultKind, Source, Verdict, Verifier};

/// How much of a file is looked at in one go.
const BLOCK: usize = 256 << 10;

/// A file that has been verified.
#[derive(Debug)]
pub(crate) struct Delivered {
    /// What was found.
    pub(crate) found: Verdict,
}

/// Whether the stream may end before its writer does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    /// All is owed.
    Owed,
    /// A right beginning is all that is owed: the parent was told to give up.
    MayBeEarly,
}

/// Hands the whole file to `verifier`.
pub(crate) fn verify(mut verifier: Verifier, file: &File) -> io::Result<Delivered> {
    let mut block = vec![0; BLOCK];
    let mut at = 0;
    loop {
        let got = file.read_at(&mut block, at)?;
        if got == 0 {
            return Ok(Delivered {
                found: verifier.finish(),
            });
        }
        let (bytes, _) = block.split_at(got);
        verifier.push(bytes);
        at += bytes.len() as u64;
    }
}

impl Delivered {
    /// The first fault in words, if it is one.
    pub(crate) fn fault(&self, end: End) -> Option<String> {
        let is_excused = |kind: &FaultKind| {
            end == End::MayBeEarly && matches!(kind, FaultKind::Truncated { .. })
        };
        let fault = self.found.fault.as_ref();
        fault
            .filter(|fault| !is_excused(&fault.kind))
            .map(ToString::to_string)
    }

    /// That less has come than had been `written`, in words, if that is so.
    pub(crate) fn short_of(&self, written: u64) -> Option<String> {
        let len = self.found.seen;
        (len < written)
            .then(|| format!("the end after {len} bytes, where {written} had been written"))
    }
}

/// Bytes that the child has written to a stream.
pub(crate) fn written_to(source: Source, written: Written) -> u64 {
    match source {
        Source::Stdout => written.stdout,
        Source::Stderr => written.stderr,
        Source::Merged => written.stdout + written.stderr,
    }
}
