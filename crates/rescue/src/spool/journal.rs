//! What is on disk and who waits for it: one JSON file in the spool's directory, replaced by rename before each step, so that
//! whoever comes after a crash finds the state before the step or after it, and never a part.
//!
//! How many bytes were taken is not in it, nor how many were given back: the length of a spool file says the one, and the
//! position of an open file description that a holder shares says the other. The kernel moves both together with the bytes.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use pipeclog_procscan::Selection;
use pipeclog_waitgraph::snapshot::Pid;
use serde::{Deserialize, Serialize};

use super::{SpoolError, fault};

const VERSION: u32 = 1;
/// The name of the file. It is there from the first change to the last.
pub const NAME: &str = "journal.json";
const NEXT: &str = "journal.next";

/// A process, by number and start time: nobody else ever has both.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Party {
    pub(crate) pid: Pid,
    pub(crate) start_ticks: u64,
}

/// How far it has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Phase {
    /// The readers are being stopped; nothing was taken.
    Stopping,
    /// The readers are stopped; bytes are being taken.
    Draining,
    /// Every writer has closed every pipe, all bytes are on disk, and holders are being started. Nothing was given back.
    Holding,
    /// Holders hold on; bytes are being given back.
    Feeding,
}

/// A pipe that is taken to disk.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Spooled {
    pub(crate) inode: u64,
    /// Whose reading end, and its number there.
    pub(crate) reader: Pid,
    pub(crate) fd: u32,
    pub(crate) holder: Option<Holder>,
    /// Whether its reader has been given all.
    pub(crate) is_fed: bool,
}

/// A process that keeps a writing end, and the position in the spool file, should the rescuer die.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Holder {
    pub(crate) party: Party,
    /// The numbers of both in it.
    pub(crate) write_fd: u32,
    pub(crate) file_fd: u32,
}

/// The content of the file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct State {
    version: u32,
    pub(crate) target: Pid,
    pub(crate) phase: Phase,
    pub(crate) readers: Vec<Party>,
    /// Who was deadlocked or can write to one of the pipes: where to look for whom the writers wait for. Their numbers may have passed to others since.
    pub(crate) members: BTreeSet<Pid>,
    pub(crate) pipes: Vec<Spooled>,
}

/// The journal of one directory, locked against other rescuers.
pub(crate) struct Journal {
    directory: PathBuf,
    pub(crate) state: State,
    /// Released by the kernel when this process ends, however that happens.
    _lock: File,
}

impl Journal {
    /// Begins one. Nothing is written before the first [`Journal::save`].
    pub(crate) fn begin(
        directory: &Path,
        target: Pid,
        readers: Vec<Party>,
        members: BTreeSet<Pid>,
    ) -> Result<Self, SpoolError> {
        let failed = |what| {
            move |source| SpoolError::Directory {
                what,
                path: directory.to_owned(),
                source,
            }
        };
        // What passes through the pipe is nobody else's business.
        match fs::DirBuilder::new().mode(0o700).create(directory) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(failed("make")(error)),
        }
        let lock = lock(directory)?;
        // A journal that was not yet in place tells of nothing.
        let mut entries = fs::read_dir(directory).map_err(failed("list"))?;
        if entries.any(|entry| entry.is_ok_and(|entry| entry.file_name() != NEXT)) {
            return Err(SpoolError::NotEmpty(directory.to_owned()));
        }
        Ok(Self {
            directory: directory.to_owned(),
            state: State {
                version: VERSION,
                target,
                phase: Phase::Stopping,
                readers,
                members,
                pipes: Vec::new(),
            },
            _lock: lock,
        })
    }

    /// Finds the one that a rescuer has left behind.
    pub(crate) fn find(directory: &Path) -> Result<Self, SpoolError> {
        let lock = lock(directory)?;
        let path = directory.join(NAME);
        let text = match fs::read(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Err(SpoolError::NoJournal(directory.to_owned()));
            }
            Err(error) => return Err(SpoolError::disk("read", &path)(error)),
        };
        let state: State = serde_json::from_slice(&text)
            .map_err(|error| SpoolError::disk("read", &path)(error.into()))?;
        if state.version != VERSION {
            return Err(SpoolError::disk("read", &path)(io::Error::other(
                "another version of pipeclog has written it: use that one",
            )));
        }
        Ok(Self {
            directory: directory.to_owned(),
            state,
            _lock: lock,
        })
    }

    /// All whom it is about.
    pub(crate) fn everybody(&self) -> Selection {
        let readers = self.state.readers.iter().map(|party| party.pid);
        let others = self.state.members.iter().copied();
        Selection::Tree(readers.chain(others).collect())
    }

    pub(crate) fn directory(&self) -> &Path {
        &self.directory
    }

    /// Where the bytes of a pipe are.
    pub(crate) fn file_of(&self, pipe: &Spooled) -> PathBuf {
        self.directory.join(format!("pipe-{}", pipe.inode))
    }

    /// Replaces the file.
    pub(crate) fn save(&self) -> Result<(), SpoolError> {
        let path = self.directory.join(NEXT);
        let failed = SpoolError::disk("write", &path);
        let text = serde_json::to_vec_pretty(&self.state).map_err(io::Error::from);
        text.and_then(|text| write_anew(&path, &text))
            .and_then(|()| {
                fault::step();
                fs::rename(&path, self.directory.join(NAME))
            })
            .map_err(failed)?;
        fault::step();
        Ok(())
    }

    /// Enters a phase.
    pub(crate) fn enter(&mut self, phase: Phase) -> Result<(), SpoolError> {
        self.state.phase = phase;
        self.save()
    }

    /// Removes all that it has made: the spool files first, since without the journal nobody would know of them.
    pub(crate) fn remove(self) -> Result<(), SpoolError> {
        let files = self.state.pipes.iter().map(|pipe| self.file_of(pipe));
        let names = [NEXT, NAME].map(|name| self.directory.join(name));
        for path in files.chain(names) {
            match fs::remove_file(&path) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    return Err(SpoolError::disk("remove", &path)(error));
                }
                _ => fault::step(),
            }
        }
        // One that something else has been put into meanwhile stays.
        let _ = fs::remove_dir(&self.directory);
        Ok(())
    }
}

/// Never through a link, and for nobody else to read.
fn write_anew(path: &Path, text: &[u8]) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut options = File::options();
    let mut file = options
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)?;
    file.write_all(text)
}

fn lock(directory: &Path) -> Result<File, SpoolError> {
    let failed = |source| SpoolError::Directory {
        what: "lock",
        path: directory.to_owned(),
        source,
    };
    let file = match File::open(directory) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return Err(SpoolError::NoJournal(directory.to_owned()));
        }
        Err(error) => return Err(failed(error)),
    };
    // Of the directory that was opened: whoever else may write there could put a journal of his own into it, by which processes are
    // signalled and files are read.
    let stat = file.metadata().map_err(failed)?;
    if stat.uid() != rustix::process::geteuid().as_raw() || stat.mode() & 0o022 != 0 {
        return Err(SpoolError::NotOurs(directory.to_owned()));
    }
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(fs::TryLockError::WouldBlock) => Err(SpoolError::Busy(directory.to_owned())),
        Err(fs::TryLockError::Error(error)) => Err(failed(error)),
    }
}
