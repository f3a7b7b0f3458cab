//! Giving the bytes back, in order, as fast as the readers read.

use std::fs::File;
use std::os::fd::{AsFd as _, AsRawFd as _, OwnedFd};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use pipeclog_procscan::Scanner;
use rustix::pipe::{SpliceFlags, splice};
use serde::Serialize;

use super::drain::{PIECE, Source};
use super::journal::{Journal, Spooled};
use super::parties::{self, Known};
use super::{SpoolError, fault};
use crate::duplicate;

/// A pipe on its way back.
pub(crate) struct Sink {
    /// A writing end. The kernel gives it by opening the reading end's link in /proc for writing; that is a description of its own.
    pub(crate) write: OwnedFd,
    /// The spool file, in the description whose position is what was given.
    pub(crate) file: OwnedFd,
}

/// What came of a pipe.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Delivery {
    /// The pipe.
    pub inode: u64,
    /// How many bytes went over disk.
    pub bytes: u64,
    /// How many of them no reader was left for.
    pub unread_bytes: u64,
}

/// Opens both for a pipe that has been drained.
pub(crate) fn open(journal: &Journal, pipe: &Spooled, source: &Source) -> Result<Sink, SpoolError> {
    let write = write_end(&source.end)?;
    fault::step();
    let path = journal.file_of(pipe);
    let file = File::open(&path).map_err(SpoolError::disk("open", &path))?;
    Ok(Sink {
        write,
        file: file.into(),
    })
}

/// A writing end of the pipe of a reading end.
pub(crate) fn write_end(reading: &OwnedFd) -> Result<OwnedFd, SpoolError> {
    let link = format!("/proc/self/fd/{}", reading.as_raw_fd());
    let opened = File::options().write(true).open(link);
    opened
        .map(OwnedFd::from)
        .map_err(|source| SpoolError::WriteEnd { source })
}

/// Takes over from a rescuer that has been killed: both are in the holder.
pub(crate) fn take_over(
    scanner: &mut Scanner,
    pipe: &Spooled,
) -> Result<Option<(Sink, Known)>, SpoolError> {
    let Some(holder) = pipe.holder else {
        return Ok(None);
    };
    let Some(known) = parties::open(scanner, holder.party)? else {
        return Ok(None);
    };
    // Of him whose start time was looked at, and of nobody who bears his number now.
    let write = duplicate::by(&known.pidfd, holder.party.pid, holder.write_fd)?;
    let file = duplicate::by(&known.pidfd, holder.party.pid, holder.file_fd)?;
    Ok(Some((Sink { write, file }, known)))
}

/// Feeds all that are not fed, lets the readers go on after the first pipefuls, and ends each holder once its pipe has got all.
pub(crate) fn feed(
    journal: &mut Journal,
    readers: &[Known],
    mut sinks: Vec<Option<(Sink, Known)>>,
    tell: &mut dyn FnMut(&Delivery),
) -> Result<(), SpoolError> {
    let mut are_stopped = true;
    loop {
        for (index, place) in sinks.iter_mut().enumerate() {
            let Some((sink, _)) = place.as_ref() else {
                continue;
            };
            let Some(unread_bytes) = give(sink)? else {
                continue;
            };
            let bytes = length(sink)?;
            let Some(pipe) = journal.state.pipes.get_mut(index) else {
                continue;
            };
            pipe.is_fed = true;
            let inode = pipe.inode;
            // Known before the holder goes: without one, and without this, it would not be known whether all was given.
            journal.save()?;
            if let Some((sink, holder)) = place.take() {
                drop(sink);
                parties::end(&holder)?;
            }
            fault::step();
            tell(&Delivery {
                inode,
                bytes,
                unread_bytes,
            });
        }
        if are_stopped {
            parties::let_go(readers)?;
            are_stopped = false;
            fault::step();
        }
        let waiting = sinks.iter().flatten();
        let mut fds: Vec<PollFd<'_>> = waiting
            .map(|(sink, _)| PollFd::new(sink.write.as_fd(), PollFlags::POLLOUT))
            .collect();
        if fds.is_empty() {
            return Ok(());
        }
        // Without a bound: as a writer waits for his reader. Whoever ends us can have it resumed.
        match poll(&mut fds, PollTimeout::NONE) {
            Ok(_) | Err(Errno::EINTR) => {}
            Err(errno) => return Err(SpoolError::Wait(errno)),
        }
    }
}

/// Gives as much as there is room for. Once there is no more to give: how much no reader was left for.
fn give(sink: &Sink) -> Result<Option<u64>, SpoolError> {
    loop {
        let flags = SpliceFlags::NONBLOCK;
        match splice(&sink.file, None, &sink.write, None, PIECE, flags) {
            Ok(0) => return Ok(Some(0)),
            Ok(_) => fault::step(),
            Err(rustix::io::Errno::AGAIN) => return Ok(None),
            Err(rustix::io::Errno::INTR) => {}
            // The last reader has closed it. What a pipe holds then is lost, with any writer.
            Err(rustix::io::Errno::PIPE) => {
                let at = rustix::fs::tell(&sink.file).unwrap_or(0);
                return Ok(Some(length(sink)?.saturating_sub(at)));
            }
            Err(errno) => {
                return Err(SpoolError::Give(Errno::from_raw(errno.raw_os_error())));
            }
        }
    }
}

fn length(sink: &Sink) -> Result<u64, SpoolError> {
    let stat = rustix::fs::fstat(&sink.file);
    stat.map(|stat| stat.st_size.unsigned_abs())
        .map_err(|errno| SpoolError::Give(Errno::from_raw(errno.raw_os_error())))
}
