//! `memfd`: the child writes into memory files that it cannot truncate.
//!
//! What it does: as [`super::temp_file`], with two files in memory (memfd_create(2)) that are
//! sealed against shrinking (`F_SEAL_SHRINK`), and against further seals, so that the child can
//! write and append for as long as it likes, and can neither take back what it wrote nor forbid its
//! descendants to write.
//!
//! When it deadlocks: never. Without a bound it waits as long as the leader lives.
//!
//! The smallest scenario: none hangs it.
//!
//! What it costs: memory for all of the output, and twice where a descendant still has the file open: then it is
//! copied rather than mapped. A program that
//! opens `/dev/stderr` anew with truncation gets EPERM once something stands in it, where a
//! temporary file would lose the text.

use rustix::fs::{MemfdFlags, OFlags, SealFlags};
use rustix::io::Errno;

use super::Method;
use crate::channel::Plumbing;
use crate::engine::Poll;
use crate::output_file::{self, OutputFile};
use crate::spawn::ChildEnd;
use crate::stream::Source;
use crate::{Error, Strategy};

pub(super) const METHOD: Method = Method::Safe {
    plumb: |input| Plumbing::new(input, memory_file("stdout")?, memory_file("stderr")?),
    engine: || Ok(Box::new(Poll)),
};

fn memory_file(name: &str) -> Result<(ChildEnd, Source), Error> {
    let fd = rustix::fs::memfd_create(name, MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING)
        .map_err(|errno| match errno {
            Errno::NOSYS | Errno::PERM => Error::unsupported(
                Strategy::Memfd.name(),
                format!("run: memory files are not to be had here ({errno}); take temp_file"),
            ),
            _ => Error::system("create a memory file", errno),
        })?;
    rustix::fs::fcntl_add_seals(&fd, SealFlags::SHRINK | SealFlags::SEAL)
        .map_err(|errno| Error::system("seal a memory file", errno))?;
    // Through a description that the kernel counts as one that writes, which the first of a memory file is not: else it could not tell
    // whether anybody else has the file open.
    let (end, file) = match output_file::anew(&fd, OFlags::empty()) {
        Ok(counted) => OutputFile::new(counted.into()),
        Err(_) => OutputFile::sharing(fd.into()),
    }?;
    Ok((end, Source::File(file)))
}
