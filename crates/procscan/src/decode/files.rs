//! Opens of FIFOs, and file locks.

use pipeclog_waitgraph::snapshot::{FifoMode, FileId, LockKind, Untrusted, Wait};

use super::{Call, descriptor, int, other};
use crate::source::{FileKind, FileStat, Start};

/// Flags of open(2); the same on x86 and Arm.
const O_ACCMODE: u64 = 3;
const O_WRONLY: u64 = 1;
/// Where a task sleeps that waits for the other end of a FIFO (kernel `fs/pipe.c`).
const WAITS_FOR_PARTNER: &[u8] = b"wait_for_partner";

impl Call<'_> {
    /// An open blocks for long on a FIFO alone, or on a file system that does not answer: it is a FIFO if the path
    /// says so, or the place where the task sleeps.
    pub(super) fn open(&mut self, name: &'static str) -> Wait {
        let [first, second, third, ..] = self.args;
        let (start, path, flags) = match name {
            "open" => (Start::Cwd, first, Some(second)),
            "creat" => (Start::Cwd, first, Some(O_WRONLY)),
            // The flags are the first member of `struct open_how`.
            "openat2" => (
                start(first),
                second,
                self.note(self.task.memory.number(third, 8)),
            ),
            _ => (start(first), second, Some(third)),
        };
        let path = self.note(self.task.memory.path(path));
        let file = path.as_deref().and_then(|path| self.fifo(start, path));
        let sleeps_on_fifo = self
            .task
            .wchan
            .is_some_and(|wchan| wchan == WAITS_FOR_PARTNER);
        if file.is_none() && !sleeps_on_fifo {
            return other(name);
        }
        let Some(flags) = flags else {
            return Wait::Unknown;
        };
        let mode = if flags & O_ACCMODE == O_WRONLY {
            FifoMode::Write
        } else {
            FifoMode::Read
        };
        Wait::FifoOpen {
            path: path.map(Untrusted::new),
            file,
            mode,
        }
    }

    fn fifo(&mut self, start: Start, path: &[u8]) -> Option<FileId> {
        match self.task.source.resolve(self.task.pid, start, path) {
            Ok(stat) if stat.kind() == FileKind::Fifo => Some(id(&stat)),
            Ok(_) => None,
            Err(error) => {
                self.missing.push(crate::memory::Unreadable {
                    facet: pipeclog_waitgraph::snapshot::Facet::Descriptors,
                    error,
                });
                None
            }
        }
    }

    /// Commands of fcntl(2) that wait: F_SETLKW, F_SETLKW64 of 32-bit programs, F_OFD_SETLKW.
    pub(super) fn lock(&mut self, name: &'static str) -> Wait {
        let [fd, command, ..] = self.args;
        let kind = match (name, command & 0xffff_ffff) {
            ("flock", _) => LockKind::Flock,
            (_, 7) => LockKind::Record,
            (_, 14) if self.task.memory.word() == 4 => LockKind::Record,
            (_, 38) => LockKind::OpenFile,
            _ => return other(name),
        };
        match descriptor(fd) {
            Some(fd) => Wait::Lock { fd, kind },
            None => other(name),
        }
    }
}

/// A negative number is `AT_FDCWD`, the only one that the kernel takes.
fn start(register: u64) -> Start {
    u32::try_from(int(register)).map_or(Start::Cwd, Start::Descriptor)
}

/// The identity of a file.
pub(crate) fn id(stat: &FileStat) -> FileId {
    FileId {
        dev: stat.dev(),
        ino: stat.inode,
    }
}
