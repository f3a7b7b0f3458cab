//! A file that the child writes, on our side.

use std::fs::File;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};

use memmap2::Mmap;
use rustix::fs::{Mode, OFlags};

use crate::buffer::Buffer;
use crate::spawn::ChildEnd;
use crate::{Bytes, Error, Limit, LimitPolicy, Output, Spilled, StreamEnd, sys};

/// From this size on a file in memory is mapped rather than copied, if nobody else has it open.
const MAPPED_FROM: usize = 256 << 10;

/// What the child writes; read when all is over.
#[derive(Debug)]
pub(crate) struct OutputFile {
    file: File,
    description: Description,
}

/// Whose the open file description is through which we read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Description {
    /// Ours alone, so that the kernel can tell whether anybody else has the file open.
    Ours,
    /// The child's as well, where `/proc` is not there to open the file anew: one offset for both, which must not be
    /// moved.
    Shared,
}

impl OutputFile {
    /// The child's end of a file without a name, and ours.
    pub(crate) fn new(file: File) -> Result<(ChildEnd, OutputFile), Error> {
        // Append: after a truncation by the child, its next write follows, and leaves no hole of zeros.
        if let Ok(theirs) = anew(&file, OFlags::APPEND) {
            let description = Description::Ours;
            return Ok((ChildEnd::Given(theirs), OutputFile { file, description }));
        }
        Self::sharing(file)
    }

    /// The same with one description for both.
    pub(crate) fn sharing(file: File) -> Result<(ChildEnd, OutputFile), Error> {
        rustix::fs::fcntl_getfl(&file)
            .and_then(|flags| rustix::fs::fcntl_setfl(&file, flags | OFlags::APPEND))
            .map_err(|errno| Error::system("set a temporary file to append", errno))?;
        let copy = file
            .try_clone()
            .map_err(|cause| Error::system("duplicate a temporary file", cause))?;
        let description = Description::Shared;
        Ok((
            ChildEnd::Given(copy.into()),
            OutputFile { file, description },
        ))
    }

    /// Its size, in bytes; none if it cannot be asked.
    pub(crate) fn len(&self) -> Option<u64> {
        self.file.metadata().ok().map(|it| it.len())
    }

    /// A copy of what stands in it so far, as the limit has it.
    pub(crate) fn so_far(&self, limit: Option<Limit>) -> Result<Vec<u8>, Error> {
        let (from, wanted, _) = self.kept(limit)?;
        let buffer = Buffer::of_file(&self.file, from, wanted)?;
        Ok(buffer.as_slice().to_vec())
    }

    /// What is kept of it.
    pub(crate) fn finish(self, limit: Option<Limit>, end: StreamEnd) -> Result<Output, Error> {
        let (from, wanted, seen) = self.kept(limit)?;
        // A file that is handed out may be written by whoever gets it.
        let is_handed_out = limit.is_some_and(|limit| limit.policy == LimitPolicy::Spill);
        let map = if is_handed_out {
            None
        } else {
            self.map(from, wanted)
        };
        let bytes = match map {
            Some(map) => Bytes::from(map),
            None => Buffer::of_file(&self.file, from, wanted)?.into(),
        };
        let start = bytes.len() as u64;
        let beyond = seen.saturating_sub(start);
        let spilled = match limit.map(|limit| limit.policy) {
            Some(LimitPolicy::Spill) if beyond > 0 => Some(Spilled {
                start,
                len: beyond,
                file: self.file,
            }),
            _ => None,
        };
        let kept = start + spilled.as_ref().map_or(0, |spilled| spilled.len);
        Ok(Output {
            bytes,
            seen,
            kept,
            spilled,
            end,
        })
    }

    /// Where the bytes begin that the limit keeps, how many they are, and the file's size. A file that shrinks meanwhile
    /// (a descendant truncates it) gives what is left.
    fn kept(&self, limit: Option<Limit>) -> Result<(u64, usize, u64), Error> {
        let failed =
            |cause: std::io::Error| Error::system("read back the child's output file", cause);
        let size = self.file.metadata().map_err(failed)?.len();
        let most = limit.map_or(u64::MAX, |limit| limit.bytes as u64);
        let from = match limit.map(|limit| limit.policy) {
            Some(LimitPolicy::Tail) => size.saturating_sub(most),
            _ => 0,
        };
        let wanted = usize::try_from(size.min(most)).unwrap_or(usize::MAX);
        Ok((from, wanted, size))
    }

    /// The bytes where they stand: no copy. A file on a disk is copied, since reading a mapped page of it can fail, and
    /// that is a SIGBUS.
    fn map(&self, from: u64, wanted: usize) -> Option<Mmap> {
        let is_large = wanted >= MAPPED_FROM && self.description == Description::Ours;
        if !is_large || !is_in_memory(&self.file) {
            return None;
        }
        sys::map_if_sole(&self.file, from, wanted)
    }
}

/// Whether its file system is tmpfs, which memory files are on as well.
fn is_in_memory(file: &File) -> bool {
    /// From linux/magic.h.
    const TMPFS_MAGIC: i64 = 0x0102_1994;
    rustix::fs::fstatfs(file).is_ok_and(|it| it.f_type == TMPFS_MAGIC)
}

/// The same file through another description.
pub(crate) fn anew(file: impl AsFd, more: OFlags) -> rustix::io::Result<OwnedFd> {
    let path = format!("/proc/self/fd/{}", file.as_fd().as_raw_fd());
    let flags = OFlags::RDWR | OFlags::CLOEXEC | more;
    rustix::fs::open(path, flags, Mode::empty())
}
