//! A recorded `/proc`: a directory with the files and links as they were, and beside them `recording.json` with what
//! is no file (see the crate's README for the format). A file that is not there is gone, as in the live one.

use std::collections::BTreeMap;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

use pipeclog_waitgraph::snapshot::SocketTimeouts;
use serde::{Deserialize, Serialize};

use super::{Cause, Facts, FileStat, ReadError, Source, Start, UnixSocket};
use crate::parse::Hierarchy;

/// Name of the file beside the tree.
pub(super) const FILE: &str = "recording.json";
/// Raised when the meaning of a field changes.
const SCHEMA_VERSION: u32 = 1;

/// The content of `recording.json`. Each map answers one kind of question; its keys are built by [`key`].
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Recording {
    pub(super) schema_version: u32,
    pub(super) facts: Facts,
    /// Reads that failed, other than of files that were not there.
    #[serde(default)]
    pub(super) refused: BTreeMap<String, Cause>,
    /// What `statx` said of descriptors.
    #[serde(default)]
    pub(super) files: BTreeMap<String, Answer<FileStat>>,
    /// Protocols of sockets.
    #[serde(default)]
    pub(super) protocols: BTreeMap<String, Answer<String>>,
    /// Bytes of memory, as hexadecimal digits.
    #[serde(default)]
    pub(super) memory: BTreeMap<String, Answer<String>>,
    /// What paths resolved to.
    #[serde(default)]
    pub(super) paths: BTreeMap<String, Answer<FileStat>>,
    /// Timeouts of sockets.
    #[serde(default)]
    pub(super) timeouts: BTreeMap<String, Answer<SocketTimeouts>>,
    /// Files of control groups.
    #[serde(default)]
    pub(super) freezers: BTreeMap<String, Answer<String>>,
    /// Unix sockets by network namespace.
    #[serde(default)]
    pub(super) unix_sockets: BTreeMap<String, Answer<Vec<UnixSocket>>>,
}

/// An answer, or why there was none.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Answer<T> {
    Is(T),
    Failed(Cause),
}

impl Recording {
    pub(super) fn new(facts: Facts) -> Self {
        Self {
            schema_version: SCHEMA_VERSION,
            facts,
            refused: BTreeMap::new(),
            files: BTreeMap::new(),
            protocols: BTreeMap::new(),
            memory: BTreeMap::new(),
            paths: BTreeMap::new(),
            timeouts: BTreeMap::new(),
            freezers: BTreeMap::new(),
            unix_sockets: BTreeMap::new(),
        }
    }
}

impl<T: Clone> Answer<T> {
    pub(super) fn of(result: &Result<T, ReadError>) -> Self {
        match result {
            Ok(value) => Self::Is(value.clone()),
            Err(error) => Self::Failed(error.cause),
        }
    }
}

/// Keys of the maps.
pub(super) mod key {
    use super::{Hierarchy, Start};

    pub(in super::super) fn descriptor(directory: &str, fd: u32) -> String {
        format!("{directory}/{fd}")
    }

    pub(in super::super) fn memory(pid: u32, address: u64, len: usize) -> String {
        format!("{pid} {address:#x} {len}")
    }

    pub(in super::super) fn path(pid: u32, from: Start, path: &[u8]) -> String {
        let path = path.escape_ascii();
        match from {
            Start::Cwd => format!("{pid} cwd {path}"),
            Start::Descriptor(fd) => format!("{pid} {fd} {path}"),
        }
    }

    pub(in super::super) fn group(hierarchy: Hierarchy, group: &[u8]) -> String {
        let group = group.escape_ascii();
        match hierarchy {
            Hierarchy::Unified => format!("unified {group}"),
            Hierarchy::Freezer => format!("freezer {group}"),
        }
    }

    pub(in super::super) fn namespace(pid: Option<u32>) -> String {
        pid.map_or_else(|| "own".to_owned(), |pid| pid.to_string())
    }
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Recorded {
    root: PathBuf,
    recording: Recording,
}

impl Recorded {
    /// Opens a recording; `None` if there is none in that directory.
    pub(crate) fn open(root: &Path) -> Result<Option<Self>, ReadError> {
        let path = root.join(FILE);
        let named = path.to_string_lossy();
        let text = match std::fs::read(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(ReadError::from_io("read", &named, &error)),
        };
        let recording: Recording = serde_json::from_slice(&text)
            .map_err(|_| ReadError::new("parse", &named, Cause::Malformed))?;
        if recording.schema_version != SCHEMA_VERSION {
            return Err(ReadError::new("understand", &named, Cause::Unsupported));
        }
        Ok(Some(Self {
            root: root.to_owned(),
            recording,
        }))
    }

    fn permitted(&self, action: &'static str, path: &str) -> Result<PathBuf, ReadError> {
        match self.recording.refused.get(path) {
            Some(&cause) => Err(ReadError::new(action, path, cause)),
            None => Ok(self.root.join(path)),
        }
    }
}

impl Source for Recorded {
    fn facts(&self) -> Facts {
        self.recording.facts
    }

    fn read(&self, path: &str, text: &mut Vec<u8>) -> Result<(), ReadError> {
        *text = self.read_bounded(path)?;
        Ok(())
    }

    fn read_list(&self, path: &str) -> Result<Vec<u8>, ReadError> {
        self.read_bounded(path)
    }

    fn read_bounded(&self, path: &str) -> Result<Vec<u8>, ReadError> {
        let place = self.permitted("read", path)?;
        std::fs::read(place).map_err(|error| ReadError::from_io("read", path, &error))
    }

    fn link(&self, path: &str) -> Result<Vec<u8>, ReadError> {
        let action = "read the link";
        let place = self.permitted(action, path)?;
        let text =
            std::fs::read_link(place).map_err(|error| ReadError::from_io(action, path, &error))?;
        Ok(text.into_os_string().into_vec())
    }

    fn numbers(&self, path: &str) -> Result<Vec<u32>, ReadError> {
        numbers_in(&self.permitted("list", path)?, path)
    }

    fn descriptors(&self, path: &str, show: &mut dyn FnMut(u32, &[u8])) -> Result<(), ReadError> {
        let place = self.permitted("read the links of", path)?;
        for fd in numbers_in(&place, path)? {
            let text = self.link(&key::descriptor(path, fd))?;
            show(fd, &text);
        }
        Ok(())
    }

    fn files(
        &self,
        path: &str,
        fds: &[u32],
    ) -> Result<Vec<Result<FileStat, ReadError>>, ReadError> {
        let stat = |&fd: &u32| look_up(&self.recording.files, "stat", &key::descriptor(path, fd));
        Ok(fds.iter().map(stat).collect())
    }

    fn protocol(&self, path: &str) -> Result<Vec<u8>, ReadError> {
        look_up(&self.recording.protocols, "ask for the protocol of", path).map(String::into_bytes)
    }

    fn memory(&self, pid: u32, address: u64, len: usize) -> Result<Vec<u8>, ReadError> {
        let (action, key) = ("read the memory of", key::memory(pid, address, len));
        let digits = look_up(&self.recording.memory, action, &key)?;
        unhex(&digits).ok_or_else(|| ReadError::new(action, &key, Cause::Malformed))
    }

    fn resolve(&self, pid: u32, from: Start, path: &[u8]) -> Result<FileStat, ReadError> {
        look_up(
            &self.recording.paths,
            "resolve",
            &key::path(pid, from, path),
        )
    }

    fn socket_timeouts(&self, pid: u32, fd: u32) -> Result<SocketTimeouts, ReadError> {
        let key = key::descriptor(&format!("{pid}/fd"), fd);
        look_up(&self.recording.timeouts, "ask for the timeouts of", &key)
    }

    fn freezer(&self, hierarchy: Hierarchy, group: &[u8]) -> Result<Vec<u8>, ReadError> {
        let key = key::group(hierarchy, group);
        look_up(&self.recording.freezers, "read", &key).map(String::into_bytes)
    }

    fn unix_sockets(&self, pid: Option<u32>) -> Result<Vec<UnixSocket>, ReadError> {
        let key = key::namespace(pid);
        look_up(
            &self.recording.unix_sockets,
            "ask for the unix sockets of",
            &key,
        )
    }
}

fn numbers_in(place: &Path, path: &str) -> Result<Vec<u32>, ReadError> {
    let entries =
        std::fs::read_dir(place).map_err(|error| ReadError::from_io("list", path, &error))?;
    let number = |entry: std::io::Result<std::fs::DirEntry>| {
        std::str::from_utf8(entry.ok()?.file_name().as_bytes())
            .ok()?
            .parse()
            .ok()
    };
    let mut numbers: Vec<u32> = entries.filter_map(number).collect();
    numbers.sort_unstable();
    Ok(numbers)
}

fn look_up<T: Clone>(
    answers: &BTreeMap<String, Answer<T>>,
    action: &'static str,
    key: &str,
) -> Result<T, ReadError> {
    match answers.get(key) {
        Some(Answer::Is(value)) => Ok(value.clone()),
        Some(Answer::Failed(cause)) => Err(ReadError::new(action, key, *cause)),
        None => Err(ReadError::new(action, key, Cause::Gone)),
    }
}

pub(super) fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes
        .iter()
        .fold(String::with_capacity(2 * bytes.len()), |mut text, byte| {
            let _ = write!(text, "{byte:02x}");
            text
        })
}

fn unhex(digits: &str) -> Option<Vec<u8>> {
    let pairs = digits.as_bytes().chunks(2);
    pairs
        .map(|pair| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn hexadecimal_digits_round_trip(bytes: Vec<u8>) {
            prop_assert_eq!(unhex(&hex(&bytes)), Some(bytes));
        }
    }

    #[test]
    fn a_directory_without_a_recording_is_none_and_a_foreign_version_is_refused() {
        let directory = tempfile::tempdir().unwrap();
        assert!(Recorded::open(directory.path()).unwrap().is_none());
        let text =
            r#"{"schema_version":99,"facts":{"abi":"x86_64","ticks_per_second":100,"uid":0}}"#;
        std::fs::write(directory.path().join(FILE), text).unwrap();
        assert_eq!(
            Recorded::open(directory.path()).unwrap_err().cause,
            Cause::Unsupported
        );
    }
}
