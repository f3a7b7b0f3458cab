//! `temp_file`: the child writes into unnamed temporary files.
//!
//! What it does: gives the child two files without a name (`O_TMPFILE`, or created and unlinked
//! where the file system has no such thing), waits for its exit, and reads them. The cure that the
//! 2008 post found.
//!
//! When it deadlocks: never: a file is never full in the way of a pipe. Without a bound it waits as
//! long as the leader lives; descendants hold nothing that it waits for.
//!
//! The smallest scenario: none hangs it; a full file system shows its failure, as ENOSPC in the
//! child.
//!
//! What it costs: disk space for all of the output, whatever the limit keeps; 500 ns a write
//! against 230 for a pipe; and one surprise: a program that opens `/dev/stderr` anew, as `echo x >
//! /dev/stderr` does, truncates the file, and what stood there is lost.

use std::fs::File;

use rustix::fs::OFlags;

use super::Method;
use crate::Error;
use crate::channel::Plumbing;
use crate::engine::Poll;
use crate::spawn::ChildEnd;
use crate::stream::Source;

pub(super) const METHOD: Method = Method::Safe {
    plumb: |input| Plumbing::new(input, temp_file()?, temp_file()?),
    engine: || Ok(Box::new(Poll)),
};

fn temp_file() -> Result<(ChildEnd, Source), Error> {
    let file =
        tempfile::tempfile().map_err(|cause| Error::system("create a temporary file", cause))?;
    shared(file)
}

/// The child's copy of the file and ours: one description with one offset, so that ours must not be
/// moved.
pub(super) fn shared(file: File) -> Result<(ChildEnd, Source), Error> {
    // Append: after a truncation by the child, its next write follows, and leaves no hole of zeros.
    rustix::fs::fcntl_getfl(&file)
        .and_then(|flags| rustix::fs::fcntl_setfl(&file, flags | OFlags::APPEND))
        .map_err(|errno| Error::system("set a temporary file to append", errno))?;
    let copy = file
        .try_clone()
        .map_err(|cause| Error::system("duplicate a temporary file", cause))?;
    Ok((ChildEnd::Given(copy.into()), Source::File(file)))
}
