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

use super::Method;
use crate::channel::Plumbing;
use crate::engine::Poll;
use crate::output_file::OutputFile;
use crate::spawn::ChildEnd;
use crate::stream::Source;
use crate::{Error, Input, large_pages};

pub(super) const METHOD: Method = Method::Safe {
    plumb: |input| Plumbing::new(input, temp_file()?, temp_file()?),
    engine: || Ok(Box::new(Poll)),
};

/// The same, with the files in large pages where they can be had.
pub(super) fn plumb_large_pages(input: &Input) -> Result<Plumbing, Error> {
    let file = || match large_pages::file() {
        Some(file) => ends(file),
        None => temp_file(),
    };
    Plumbing::new(input, file()?, file()?)
}

fn temp_file() -> Result<(ChildEnd, Source), Error> {
    let file =
        tempfile::tempfile().map_err(|cause| Error::system("create a temporary file", cause))?;
    ends(file)
}

/// The child's end of a file, and ours.
fn ends(file: std::fs::File) -> Result<(ChildEnd, Source), Error> {
    let (end, file) = OutputFile::new(file)?;
    Ok((end, Source::File(file)))
}
