//! A full pipe taken to disk, so that its writer can finish, and given back in order to a reader who has not read it meanwhile.
//!
//! The readers are stopped (SIGSTOP) as long as bytes that come first are on disk while later ones may be in the pipe: what frees the
//! writer may wake them too. They go on when every writer has closed the pipe. Then their bytes come back through a writing end
//! of our own, and the end of file after the last of them.
//!
//! Whenever the rescuer is killed, [`resume`] finishes: the journal says what to do, and the kernel how much is done (`drain`, `feed`).

mod drain;
mod fault;
mod feed;
pub mod holder;
mod journal;
mod parties;
mod readers;

use std::io;
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use pipeclog_procscan::{ScanError, Scanner};
use pipeclog_waitgraph::channel::Channel;
use pipeclog_waitgraph::snapshot::{Pid, Snapshot};
use serde::Serialize;

pub use self::feed::Delivery;
pub use self::journal::NAME as JOURNAL;
use self::journal::{Journal, Party, Phase};
use self::parties::Known;
use self::readers::Takeable;
use crate::duplicate;
use crate::grow::{Mode, RescueError};
use crate::plan::{Candidate, Plan};

/// Where to, and with what.
#[derive(Debug, Clone)]
pub struct Spool {
    /// A directory that is empty or not there yet, on a local file system with room for all that the writers will write.
    pub directory: PathBuf,
    /// The program that becomes a holder when it is given [`holder::HOLDER_COMMAND`].
    pub program: PathBuf,
}

/// What is told while it happens.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case", tag = "deed")]
pub enum Deed {
    /// The readers are about to be stopped, and the pipe to be taken to disk; in a dry run they would be.
    Begins {
        /// The pipe.
        inode: u64,
        /// Who reads it.
        readers: Vec<Pid>,
    },
    /// Every writer has closed; this many bytes are on disk.
    Taken {
        /// In all files together.
        bytes: u64,
    },
    /// A pipe has had its bytes back.
    Given(Delivery),
}

/// Why a spool is not begun, or not finished.
#[derive(Debug, thiserror::Error)]
pub enum SpoolError {
    /// Somebody could come to harm. Nothing was changed.
    #[error(
        "failed to take pipe:[{inode}] to disk: it is read{whom}, which would have to be stopped meanwhile: {why}; nothing was changed"
    )]
    Refused {
        /// The pipe.
        inode: u64,
        /// Who, ` by process N`.
        whom: String,
        /// Why not.
        why: String,
    },
    /// Only a pipe without a name can be opened without harm.
    #[error(
        "failed to take {0} to disk: only a pipe without a name can be; opening this one would let go whoever waits to open it"
    )]
    NotAPipe(Channel),
    /// The directory is in use.
    #[error(
        "failed to begin a spool in {0}: the directory is not empty; name a new one, or finish what was begun there: `pipeclog rescue --resume`"
    )]
    NotEmpty(PathBuf),
    /// Others may write there.
    #[error(
        "failed to use {0}: it belongs to another user, or others may write there; name a directory that is yours alone (chmod 700), or run \
         as the user who began"
    )]
    NotOurs(PathBuf),
    /// Nothing to resume.
    #[error(
        "failed to resume in {0}: there is no such directory, or no journal in it; a spool that is finished is removed, so look whether the name \
         is the one that was begun with"
    )]
    NoJournal(PathBuf),
    /// Another rescuer is at it.
    #[error("failed to lock {0}: another rescue is at work there")]
    Busy(PathBuf),
    /// There can be no such directory.
    #[error("failed to {what} {path}: {source}; nothing was changed")]
    Directory {
        /// What was tried.
        what: &'static str,
        /// On what.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// The disk.
    #[error(
        "failed to {what} {path}: {source}; no byte is lost: make room, or mend what else it is, and go on by `pipeclog rescue --resume`"
    )]
    Disk {
        /// What was tried.
        what: &'static str,
        /// On what.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// No descriptor of a reader.
    #[error(transparent)]
    Channel(#[from] RescueError),
    /// `/proc`.
    #[error(transparent)]
    Scan(#[from] ScanError),
    /// No writing end, so nothing could be given back.
    #[error(
        "failed to open a writing end of the pipe: {source}; that takes the user who made the pipe, or root"
    )]
    WriteEnd {
        /// Why not.
        source: io::Error,
    },
    /// No holder.
    #[error(
        "failed to start the process that holds the pipe open (pipeclog {}): {source}",
        holder::HOLDER_COMMAND
    )]
    Holder {
        /// Why not.
        source: io::Error,
    },
    /// A reader may not be signalled.
    #[error("failed to signal process {pid}: {}; that takes the same user, or root", .source.desc())]
    Signal {
        /// Whom.
        pid: Pid,
        /// Why not.
        source: Errno,
    },
    /// A reader is in an uninterruptible wait.
    #[error(
        "failed to stop the readers of the pipe within five seconds; they go on, and nothing was taken"
    )]
    WillNotStop,
    /// Somebody else has continued a reader.
    #[error(
        "failed to give back what is in {0}: somebody has let a reader go on that was stopped while its bytes are on disk, so it may have read \
         later bytes before earlier ones; what was taken stays there, in files named for their pipes; readers that are still stopped stay so until \
         somebody lets them go on (kill -CONT)"
    )]
    Continued(PathBuf),
    /// A writer has come to wait for what cannot be taken.
    #[error(
        "failed to let the writers finish: process {writer} waits for room in pipe:[{inode}], whose reader {reader} is stopped, and which cannot be taken to disk: {why}; no byte is lost: make that pipe larger or end process {writer}, and go on by `pipeclog rescue --resume`"
    )]
    Beyond {
        /// Who waits.
        writer: Pid,
        /// For what.
        inode: u64,
        /// Who would have to read it.
        reader: Pid,
        /// Why it cannot be taken.
        why: String,
    },
    /// A writer has come to wait for an answer of those who are stopped.
    #[error(
        "failed to let the writers finish: process {writer} waits to read from pipe:[{inode}], which only those can write who are stopped until it \
         has closed the other; no byte is lost: end process {writer}, and go on by `pipeclog rescue --resume`"
    )]
    Answer {
        /// Who waits.
        writer: Pid,
        /// For what.
        inode: u64,
    },
    /// Nobody is left to give the bytes to.
    #[error(
        "failed to give the bytes back: every reader has ended; what was taken from it is in {0}, in files named for their pipes"
    )]
    ReaderGone(PathBuf),
    /// Rescuer and holder were both killed.
    #[error(
        "failed to resume in {0}: the process that held a pipe open has been killed as well as the rescuer, so the reader has seen the end \
         of file too early, and how much it had read before is not known; all that was taken is there, in files named for their pipes"
    )]
    HolderLost(PathBuf),
    /// splice(2) refused.
    #[error("failed to give bytes back to a pipe (splice): {}; `pipeclog rescue --resume` tries again", .0.desc())]
    Give(Errno),
    /// poll(2) refused.
    #[error("failed to wait for the pipes (poll): {}", .0.desc())]
    Wait(Errno),
}

impl SpoolError {
    fn disk(what: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Disk { what, path, source }
    }

    fn holder(errno: Errno) -> Self {
        Self::Holder {
            source: errno.into(),
        }
    }
}

impl Spool {
    /// Takes the first full pipe of the plan to disk that can be, lets its writers finish, and gives it back. Comes back when the readers
    /// have been given all, however long the writers write: the readers are stopped until then.
    ///
    /// # Errors
    /// A [`SpoolError`]. Where bytes have been taken, the directory stays, and [`resume`] goes on from there.
    pub fn run(
        &self,
        plan: &Plan,
        look: &Snapshot,
        target: Pid,
        mode: Mode,
        tell: &mut dyn FnMut(&Deed),
    ) -> Result<(), SpoolError> {
        let takeable = first(plan, look)?;
        // Before anything is changed: what could not be given back is not taken.
        let reading = duplicate::of(&Candidate {
            pid: takeable.pipe.reader,
            fd: takeable.pipe.fd,
            channel: Channel::Pipe {
                inode: takeable.pipe.inode,
            },
        })?;
        drop(feed::write_end(&reading)?);
        drop(reading);
        let begins = Deed::Begins {
            inode: takeable.pipe.inode,
            readers: takeable.readers.iter().map(|party| party.pid).collect(),
        };
        if mode == Mode::DryRun {
            tell(&begins);
            return Ok(());
        }
        let mut scanner = Scanner::new("/proc")?;
        let members = plan.proof.certificate().members.iter();
        let members = members.map(|member| member.task.pid);
        let members = members.chain(takeable.writers).collect();
        let mut journal = Journal::begin(&self.directory, target, takeable.readers, members)?;
        tell(&begins);
        fault::step();
        journal.state.pipes.push(takeable.pipe);
        journal.save()?;
        let readers = open(&mut scanner, &journal)?;
        if let Err(error) = stop(&mut scanner, &journal, &readers) {
            undo(journal, &readers)?;
            return Err(error);
        }
        fault::step();
        journal.enter(Phase::Draining)?;
        self.finish(journal, &mut scanner, &readers, tell)
    }

    /// From the first byte to the last.
    fn finish(
        &self,
        mut journal: Journal,
        scanner: &mut Scanner,
        readers: &[Known],
        tell: &mut dyn FnMut(&Deed),
    ) -> Result<(), SpoolError> {
        let sources = drain::drain(&mut journal, scanner, readers)?;
        let bytes = sources.iter().map(drain::Source::taken).sum();
        tell(&Deed::Taken { bytes });
        let mut sinks = Vec::new();
        let mut started = Vec::new();
        for (index, source) in sources.into_iter().enumerate() {
            let Some(pipe) = journal.state.pipes.get(index) else {
                continue;
            };
            let sink = feed::open(&journal, pipe, &source)?;
            let holder = holder::start(scanner, &self.program, &sink.write, &sink.file)?;
            if let Some(pipe) = journal.state.pipes.get_mut(index) {
                pipe.holder = Some(holder.holder);
            }
            let known = parties::open(scanner, holder.holder.party)?
                .ok_or_else(|| SpoolError::holder(Errno::ESRCH))?;
            sinks.push(Some((sink, known)));
            started.push(holder);
        }
        // They go away with us until they are told to stay, so nobody is left behind of whom the journal does not know.
        journal.enter(Phase::Holding)?;
        for holder in &mut started {
            holder.stay()?;
            fault::step();
        }
        journal.enter(Phase::Feeding)?;
        let mut given = |delivery: &Delivery| tell(&Deed::Given(delivery.clone()));
        feed::feed(&mut journal, readers, sinks, &mut given)?;
        journal.remove()
    }
}

/// What [`resume`] did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Resumed {
    /// The readers have been given all.
    Finished,
    /// Nothing had been taken; the readers go on, and what was begun is undone.
    Undone,
}

/// Finishes what a rescuer that was killed has begun in a directory.
///
/// # Errors
/// A [`SpoolError`]; the directory stays, unless nothing is left to do.
pub fn resume(spool: &Spool, tell: &mut dyn FnMut(&Deed)) -> Result<Resumed, SpoolError> {
    let mut journal = Journal::find(&spool.directory)?;
    let mut scanner = Scanner::new("/proc")?;
    let readers = open(&mut scanner, &journal)?;
    match journal.state.phase {
        Phase::Stopping => {
            undo(journal, &readers)?;
            Ok(Resumed::Undone)
        }
        Phase::Draining | Phase::Holding => {
            if readers.is_empty() {
                return Err(SpoolError::ReaderGone(spool.directory.clone()));
            }
            if !parties::are_stopped(&mut scanner, &readers)? {
                return Err(SpoolError::Continued(spool.directory.clone()));
            }
            let look = scanner.scan(&journal.everybody())?;
            let state = &mut journal.state;
            readers::name_again(&look, &mut state.pipes, &state.readers);
            // Nothing was given back yet. Holders that were told to stay make room for new ones: the readers sleep through it.
            for pipe in &mut journal.state.pipes {
                if let Some(holder) = pipe.holder.take()
                    && let Some(known) = parties::open(&mut scanner, holder.party)?
                {
                    parties::end(&known)?;
                    fault::step();
                }
            }
            journal.enter(Phase::Draining)?;
            spool.finish(journal, &mut scanner, &readers, tell)?;
            Ok(Resumed::Finished)
        }
        Phase::Feeding => {
            let mut sinks = Vec::new();
            // What can be given is given, and the readers go on, before it is told what could not.
            let mut is_lost = false;
            for pipe in &journal.state.pipes {
                let held = feed::take_over(&mut scanner, pipe)?;
                sinks.push(match (pipe.is_fed, held) {
                    (false, Some(held)) => Some(held),
                    (false, None) => {
                        is_lost = true;
                        None
                    }
                    (true, Some((_, holder))) => {
                        parties::end(&holder)?;
                        None
                    }
                    (true, None) => None,
                });
            }
            let mut given = |delivery: &Delivery| tell(&Deed::Given(delivery.clone()));
            feed::feed(&mut journal, &readers, sinks, &mut given)?;
            if is_lost {
                let directory = spool.directory.clone();
                return Err(if readers.is_empty() {
                    SpoolError::ReaderGone(directory)
                } else {
                    SpoolError::HolderLost(directory)
                });
            }
            journal.remove()?;
            Ok(Resumed::Finished)
        }
    }
}

/// The first pipe of the plan that can be taken, or why the first cannot.
fn first(plan: &Plan, look: &Snapshot) -> Result<Takeable, SpoolError> {
    let mut first_error = None;
    for candidate in &plan.candidates {
        let found = match &candidate.channel {
            Channel::Pipe { inode } => readers::of(look, plan, *inode),
            other => Err(SpoolError::NotAPipe(other.clone())),
        };
        match found {
            Ok(takeable) => return Ok(takeable),
            Err(error) => first_error = first_error.or(Some(error)),
        }
    }
    Err(first_error.unwrap_or(SpoolError::WillNotStop))
}

/// The readers that live still.
fn open(scanner: &mut Scanner, journal: &Journal) -> Result<Vec<Known>, SpoolError> {
    let parties: &[Party] = &journal.state.readers;
    let mut known = Vec::new();
    for party in parties {
        known.extend(parties::open(scanner, *party)?);
    }
    Ok(known)
}

/// Stops the readers, and makes sure that they are all: one who ran until he was stopped may have passed his end on.
fn stop(scanner: &mut Scanner, journal: &Journal, readers: &[Known]) -> Result<(), SpoolError> {
    parties::stop(scanner, readers)?;
    let look = scanner.scan(&journal.everybody())?;
    for pipe in &journal.state.pipes {
        if readers::has_other_reader(&look, pipe.inode, &journal.state.readers) {
            return Err(SpoolError::Refused {
                inode: pipe.inode,
                whom: " by others than a moment ago".to_owned(),
                why: "somebody has got a reading end meanwhile".to_owned(),
            });
        }
    }
    Ok(())
}

/// Lets everybody go on, where nothing was taken yet.
fn undo(journal: Journal, readers: &[Known]) -> Result<(), SpoolError> {
    parties::let_go(readers)?;
    fault::step();
    journal.remove()
}
