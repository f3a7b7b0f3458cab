//! Taking what is in the pipes to disk, until every writer has closed them.
//!
//! splice(2) moves pages from the pipe to the end of the file; what has left the one is in the other, however the call ends. So the
//! length of the file is how much was taken.

use std::fs::File;
use std::os::fd::{AsFd as _, OwnedFd};
use std::os::unix::fs::OpenOptionsExt as _;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use pipeclog_procscan::Scanner;
use pipeclog_waitgraph::channel::Channel;
use rustix::pipe::{SpliceFlags, splice};

use super::journal::{Journal, Spooled};
use super::parties::{self, Known};
use super::{SpoolError, fault, readers};
use crate::duplicate;
use crate::plan::Candidate;

/// At most this much in one call, so that the other pipes have their turn: as much as the largest pipe without privilege holds.
pub(crate) const PIECE: usize = 1 << 20;
/// Between looks at what else the writers wait for, at first and at most.
const LOOKS: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(2));

/// A pipe on its way to disk.
pub(crate) struct Source {
    /// A duplicate of the reader's end: the pipe and its bytes outlive the reader for as long as that takes.
    pub(crate) end: OwnedFd,
    file: File,
    taken: u64,
    is_at_end: bool,
}

/// Opens the reading end of a pipe of the journal, and its file.
pub(crate) fn open(journal: &Journal, pipe: &Spooled) -> Result<Source, SpoolError> {
    let end = duplicate::of(&Candidate {
        pid: pipe.reader,
        fd: pipe.fd,
        channel: Channel::Pipe { inode: pipe.inode },
    })?;
    let path = journal.file_of(pipe);
    // Not O_APPEND: splice(2) refuses that.
    let file = File::options()
        .create(true)
        .truncate(false)
        .write(true)
        .mode(0o600)
        .custom_flags(nix::libc::O_NOFOLLOW)
        .open(&path)
        .map_err(SpoolError::disk("open", &path))?;
    fault::step();
    let taken = file
        .metadata()
        .map_err(SpoolError::disk("ask for the length of", &path))?
        .len();
    Ok(Source {
        end,
        file,
        taken,
        is_at_end: false,
    })
}

/// Drains every pipe of the journal, and those that turn out to be waited for besides. The readers are stopped.
pub(crate) fn drain(
    journal: &mut Journal,
    scanner: &mut Scanner,
    stopped: &[Known],
) -> Result<Vec<Source>, SpoolError> {
    let mut sources = Vec::new();
    for pipe in &journal.state.pipes {
        sources.push(open(journal, pipe)?);
    }
    let mut pause = LOOKS.0;
    let mut looked = Instant::now();
    let mut awaiting = None;
    loop {
        let mut has_moved = false;
        for (source, pipe) in sources.iter_mut().zip(&journal.state.pipes) {
            let path = journal.file_of(pipe);
            has_moved |=
                take(source).map_err(|errno| SpoolError::disk("write", &path)(errno.into()))?;
        }
        let is_over = sources.iter().all(|source| source.is_at_end);
        // A writer that keeps up must not keep us from looking who else has come or gone.
        if is_over || !has_moved || looked.elapsed() >= LOOKS.0 {
            looked = Instant::now();
            // Who was let go on by somebody else reads what comes next before what is on disk.
            if !parties::are_stopped(scanner, stopped)? {
                return Err(SpoolError::Continued(journal.directory().to_owned()));
            }
            if !is_over && have_ended(stopped)? {
                return Err(SpoolError::ReaderGone(journal.directory().to_owned()));
            }
        }
        if is_over {
            return Ok(sources);
        }
        if has_moved {
            pause = LOOKS.0;
            continue;
        }
        match wait(&sources, stopped, pause)? {
            Woken::Writer => {}
            Woken::ReaderGone => {
                return Err(SpoolError::ReaderGone(journal.directory().to_owned()));
            }
            Woken::Nobody => {
                pause = (pause * 2).min(LOOKS.1);
                let look = scanner.scan(&journal.everybody())?;
                let state = &journal.state;
                let awaits = readers::awaits_an_answer(&look, &state.pipes, &state.readers);
                // Twice the same: one look may meet it on its way to what had just come.
                if let Some((writer, inode)) = awaits.filter(|_| awaits == awaiting) {
                    return Err(SpoolError::Answer { writer, inode });
                }
                awaiting = awaits;
                for pipe in readers::next(&look, &state.pipes, &state.readers)? {
                    // Known of before anything is taken from it.
                    journal.state.pipes.push(pipe.clone());
                    let writers = readers::writers(&look, pipe.inode);
                    journal.state.members.extend(writers);
                    journal.save()?;
                    sources.push(open(journal, &pipe)?);
                }
            }
        }
    }
}

/// Moves a piece of what there is; whether that was anything.
fn take(source: &mut Source) -> Result<bool, rustix::io::Errno> {
    loop {
        if source.is_at_end {
            return Ok(false);
        }
        let mut at = source.taken;
        let flags = SpliceFlags::NONBLOCK;
        match splice(&source.end, None, &source.file, Some(&mut at), PIECE, flags) {
            // The pipe is empty, and no writer is left.
            Ok(0) => source.is_at_end = true,
            Ok(bytes) => {
                source.taken += bytes as u64;
                fault::step();
                return Ok(true);
            }
            Err(rustix::io::Errno::AGAIN) => return Ok(false),
            Err(rustix::io::Errno::INTR) => {}
            Err(errno) => return Err(errno),
        }
    }
}

/// Whether there were readers, and each of them has ended.
fn have_ended(readers: &[Known]) -> Result<bool, SpoolError> {
    let mut fds: Vec<PollFd<'_>> = readers
        .iter()
        .map(|known| PollFd::new(known.pidfd.as_fd(), PollFlags::POLLIN))
        .collect();
    match poll(&mut fds, PollTimeout::ZERO) {
        Ok(ended) => Ok(!fds.is_empty() && usize::try_from(ended) == Ok(fds.len())),
        Err(Errno::EINTR) => Ok(false),
        Err(errno) => Err(SpoolError::Wait(errno)),
    }
}

enum Woken {
    Writer,
    ReaderGone,
    Nobody,
}

fn wait(sources: &[Source], stopped: &[Known], bound: Duration) -> Result<Woken, SpoolError> {
    let readers = stopped
        .iter()
        .map(|known| PollFd::new(known.pidfd.as_fd(), PollFlags::POLLIN));
    let open = sources.iter().filter(|source| !source.is_at_end);
    let mut fds: Vec<PollFd<'_>> = readers
        .chain(open.map(|source| PollFd::new(source.end.as_fd(), PollFlags::POLLIN)))
        .collect();
    let bound = PollTimeout::try_from(bound).unwrap_or(PollTimeout::MAX);
    match poll(&mut fds, bound) {
        Ok(0) | Err(Errno::EINTR) => Ok(Woken::Nobody),
        Ok(_) => {
            let mut readers = fds.iter().take(stopped.len());
            // As long as one reader is left, he is owed the bytes.
            Ok(if readers.all(|fd| fd.any().unwrap_or(false)) {
                Woken::ReaderGone
            } else if fds
                .iter()
                .skip(stopped.len())
                .any(|fd| fd.any().unwrap_or(false))
            {
                Woken::Writer
            } else {
                Woken::Nobody
            })
        }
        Err(errno) => Err(SpoolError::Wait(errno)),
    }
}

impl Source {
    pub(crate) fn taken(&self) -> u64 {
        self.taken
    }
}
