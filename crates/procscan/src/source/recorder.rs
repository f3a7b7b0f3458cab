//! Records a live `/proc` while it is scanned: every question is passed on, and its answer kept. So a recording holds
//! what a scan reads, and nothing else of the machine.

use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use pipeclog_waitgraph::snapshot::SocketTimeouts;

use super::recorded::{Answer, FILE, Recording, hex, key};
use super::{Cause, Facts, FileStat, Live, ReadError, Source, Start, UnixSocket};
use crate::parse::Hierarchy;

/// See the module.
#[derive(Debug)]
pub(crate) struct Recorder {
    live: Live,
    into: PathBuf,
    recording: Mutex<Recording>,
}

impl Recorder {
    /// Records into a directory, which is made.
    pub(crate) fn new(live: Live, into: &Path) -> Result<Self, ReadError> {
        fs::create_dir_all(into)
            .map_err(|error| ReadError::from_io("create", &into.to_string_lossy(), &error))?;
        let recording = Mutex::new(Recording::new(live.facts()));
        Ok(Self {
            live,
            into: into.to_owned(),
            recording,
        })
    }

    fn recording(&self) -> MutexGuard<'_, Recording> {
        self.recording
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    fn refuse(&self, path: &str, error: &ReadError) {
        if error.cause != Cause::Gone {
            self.recording()
                .refused
                .insert(path.to_owned(), error.cause);
        }
    }

    fn place(&self, path: &str) -> Result<PathBuf, ReadError> {
        let place = self.into.join(path);
        if let Some(parent) = place.parent() {
            fs::create_dir_all(parent)
                .map_err(|error| ReadError::from_io("create", path, &error))?;
        }
        Ok(place)
    }

    fn keep(&self, path: &str, text: &[u8]) -> Result<(), ReadError> {
        let place = self.place(path)?;
        fs::write(place, text).map_err(|error| ReadError::from_io("record", path, &error))
    }

    fn kept(&self, path: &str, result: Result<Vec<u8>, ReadError>) -> Result<Vec<u8>, ReadError> {
        match &result {
            Ok(text) => self.keep(path, text)?,
            Err(error) => self.refuse(path, error),
        }
        result
    }

    fn keep_link(&self, path: &str, text: &[u8]) -> Result<(), ReadError> {
        let place = self.place(path)?;
        // A second scan finds the link of the first.
        let _ = fs::remove_file(&place);
        std::os::unix::fs::symlink(std::ffi::OsStr::from_bytes(text), place)
            .map_err(|error| ReadError::from_io("record", path, &error))
    }
}

impl Source for Recorder {
    fn facts(&self) -> Facts {
        self.live.facts()
    }

    fn read(&self, path: &str, text: &mut Vec<u8>) -> Result<(), ReadError> {
        let result = self.live.read(path, text);
        match &result {
            Ok(()) => self.keep(path, text)?,
            Err(error) => self.refuse(path, error),
        }
        result
    }

    fn read_list(&self, path: &str) -> Result<Vec<u8>, ReadError> {
        self.kept(path, self.live.read_list(path))
    }

    fn read_bounded(&self, path: &str) -> Result<Vec<u8>, ReadError> {
        self.kept(path, self.live.read_bounded(path))
    }

    fn link(&self, path: &str) -> Result<Vec<u8>, ReadError> {
        let result = self.live.link(path);
        match &result {
            Ok(text) => self.keep_link(path, text)?,
            Err(error) => self.refuse(path, error),
        }
        result
    }

    fn numbers(&self, path: &str) -> Result<Vec<u32>, ReadError> {
        let result = self.live.numbers(path);
        match &result {
            Ok(numbers) => {
                for number in numbers {
                    fs::create_dir_all(self.into.join(path).join(number.to_string()))
                        .map_err(|error| ReadError::from_io("record", path, &error))?;
                }
            }
            Err(error) => self.refuse(path, error),
        }
        result
    }

    fn descriptors(&self, path: &str, show: &mut dyn FnMut(u32, &[u8])) -> Result<(), ReadError> {
        let mut links = Vec::new();
        let result = self.live.descriptors(path, &mut |fd, text| {
            links.push((fd, text.to_vec()));
            show(fd, text);
        });
        match &result {
            Ok(()) => {
                fs::create_dir_all(self.into.join(path))
                    .map_err(|error| ReadError::from_io("record", path, &error))?;
            }
            Err(error) => self.refuse(path, error),
        }
        for (fd, text) in links {
            self.keep_link(&key::descriptor(path, fd), &text)?;
        }
        result
    }

    fn files(
        &self,
        path: &str,
        fds: &[u32],
    ) -> Result<Vec<Result<FileStat, ReadError>>, ReadError> {
        let stats = self.live.files(path, fds)?;
        let answers = fds.iter().zip(&stats);
        let answers = answers.map(|(&fd, stat)| (key::descriptor(path, fd), Answer::of(stat)));
        self.recording().files.extend(answers);
        Ok(stats)
    }

    fn protocol(&self, path: &str) -> Result<Vec<u8>, ReadError> {
        let result = self.live.protocol(path);
        // The kernel's names of protocols are ASCII.
        let text = result
            .clone()
            .map(|name| String::from_utf8_lossy(&name).into_owned());
        self.recording()
            .protocols
            .insert(path.to_owned(), Answer::of(&text));
        result
    }

    fn memory(&self, pid: u32, address: u64, len: usize) -> Result<Vec<u8>, ReadError> {
        let result = self.live.memory(pid, address, len);
        let digits = result.clone().map(|bytes| hex(&bytes));
        self.recording()
            .memory
            .insert(key::memory(pid, address, len), Answer::of(&digits));
        result
    }

    fn resolve(&self, pid: u32, from: Start, path: &[u8]) -> Result<FileStat, ReadError> {
        let result = self.live.resolve(pid, from, path);
        self.recording()
            .paths
            .insert(key::path(pid, from, path), Answer::of(&result));
        result
    }

    fn socket_timeouts(&self, pid: u32, fd: u32) -> Result<SocketTimeouts, ReadError> {
        let result = self.live.socket_timeouts(pid, fd);
        let key = key::descriptor(&format!("{pid}/fd"), fd);
        self.recording().timeouts.insert(key, Answer::of(&result));
        result
    }

    fn freezer(&self, hierarchy: Hierarchy, group: &[u8]) -> Result<Vec<u8>, ReadError> {
        let result = self.live.freezer(hierarchy, group);
        let text = result
            .clone()
            .map(|text| String::from_utf8_lossy(&text).into_owned());
        self.recording()
            .freezers
            .insert(key::group(hierarchy, group), Answer::of(&text));
        result
    }

    fn unix_sockets(&self, pid: Option<u32>) -> Result<Vec<UnixSocket>, ReadError> {
        let result = self.live.unix_sockets(pid);
        self.recording()
            .unix_sockets
            .insert(key::namespace(pid), Answer::of(&result));
        result
    }

    fn settle(&self) -> Result<(), ReadError> {
        let text = serde_json::to_vec_pretty(&*self.recording())
            .map_err(|_| ReadError::new("write", FILE, Cause::Malformed))?;
        self.keep(FILE, &text)
    }
}
