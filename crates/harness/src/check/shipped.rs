//! The wrappers that come with the suite, in other languages: `fixtures/wrappers/<language>/wrappers.json`.
//!
//! Beside each such file stands `known/<name>.json`: the failures that are known of the wrapper, in the form of `pipeclog check --expect`.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use pipeclog_capture::{Bound, Capture, Command};
use pipeclog_scenario::check::{Expectations, Wrapper};
use serde::Deserialize;

use crate::fixtures::WRAPPER_FILES;

/// How long a compiler may take.
const BUILD_BOUND: Duration = Duration::from_secs(120);

/// How a file names the binary of the Rust peers.
const PEER: &str = "{peer}";

/// A wrapper of the suite.
#[derive(Clone, Debug)]
pub struct Shipped {
    /// `language/name`.
    pub name: String,
    /// The failures that are known of it.
    pub known: Expectations,
    folder: PathBuf,
    entry: Entry,
}

/// A wrapper as a file has it. `{here}` is the file's folder, `{out}` one for what is built, `{peer}` the binary of the Rust peers.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    /// Programs that must be there.
    tools: Vec<String>,
    /// A command that succeeds where a library is there; none if none is needed.
    #[serde(default)]
    probe: Vec<String>,
    /// A command that builds it; none if it needs no building.
    #[serde(default)]
    build: Vec<String>,
    /// How it is called.
    wrapper: Wrapper,
}

/// Why the wrappers cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum ShippedError {
    /// A folder or file cannot be read.
    #[error("failed to read {path}: {source}")]
    Read {
        /// Which.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A file is not of the form.
    #[error("{path}: {source}")]
    Form {
        /// Which.
        path: PathBuf,
        /// Where and why.
        source: serde_json::Error,
    },
}

/// Why a wrapper cannot be run here.
#[derive(Debug, thiserror::Error)]
pub enum Unready {
    /// A program or library is not installed.
    #[error("{0} is not there")]
    Missing(String),
    /// It could not be built.
    #[error("failed to build it: {0}")]
    Build(String),
}

/// Writes the wrappers that are built in below `folder`, where [`read`] finds them.
///
/// # Errors
///
/// If one cannot be written.
pub fn unpack(folder: &Path) -> std::io::Result<()> {
    for (name, text) in WRAPPER_FILES {
        let path = folder.join(name);
        if let Some(parent) = path.parent() {
            std::fs::create_dir_all(parent)?;
        }
        std::fs::write(path, text)?;
    }
    Ok(())
}

/// Every wrapper of the folders in `folder`, by language and name.
///
/// # Errors
///
/// If a file cannot be read or is not of the form.
pub fn read(folder: &Path) -> Result<Vec<Shipped>, ShippedError> {
    let listing = |source| ShippedError::Read {
        path: folder.to_owned(),
        source,
    };
    let mut languages = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(listing)? {
        let path = entry.map_err(listing)?.path();
        if path.join("wrappers.json").is_file() {
            languages.push(path);
        }
    }
    languages.sort();
    let mut all = Vec::new();
    for folder in languages {
        let entries: BTreeMap<String, Entry> = parse(&folder.join("wrappers.json"))?;
        let language = folder
            .file_name()
            .unwrap_or(OsStr::new(""))
            .to_string_lossy();
        for (name, entry) in entries {
            all.push(Shipped {
                known: parse(&folder.join("known").join(format!("{name}.json")))?,
                name: format!("{language}/{name}"),
                folder: folder.clone(),
                entry,
            });
        }
    }
    Ok(all)
}

fn parse<T: for<'de> Deserialize<'de>>(path: &Path) -> Result<T, ShippedError> {
    let text = std::fs::read_to_string(path).map_err(|source| ShippedError::Read {
        path: path.to_owned(),
        source,
    })?;
    serde_json::from_str(&text).map_err(|source| ShippedError::Form {
        path: path.to_owned(),
        source,
    })
}

impl Shipped {
    /// Builds it into `out` if it needs that, and says how it is called. `peer` is where the binary of the Rust peers would be.
    ///
    /// # Errors
    ///
    /// When what it needs is not there, or it cannot be built.
    pub fn prepare(&self, out: &Path, peer: &Path) -> Result<Wrapper, Unready> {
        let fill = |words: &[String]| -> Vec<String> {
            let fill = |word: &String| {
                word.replace("{here}", &self.folder.to_string_lossy())
                    .replace("{out}", &out.to_string_lossy())
                    .replace(PEER, &peer.to_string_lossy())
            };
            words.iter().map(fill).collect()
        };
        let tools = self.entry.tools.iter().zip(fill(&self.entry.tools));
        if let Some((missing, _)) = tools.into_iter().find(|(_, tool)| !is_there(tool)) {
            return Err(Unready::Missing(match missing.as_str() {
                PEER => "what `cargo build --package pipeclog-peers` builds".to_owned(),
                tool => tool.to_owned(),
            }));
        }
        let probe = fill(&self.entry.probe);
        if !probe.is_empty() {
            succeeds(&probe)
                .map_err(|_| Unready::Missing(format!("what `{}` asks for", probe.join(" "))))?;
        }
        let build = fill(&self.entry.build);
        if !build.is_empty() {
            succeeds(&build).map_err(Unready::Build)?;
        }
        let mut wrapper = self.entry.wrapper.clone();
        wrapper.command = fill(&wrapper.command);
        Ok(wrapper)
    }
}

fn is_there(program: &str) -> bool {
    if program.contains('/') {
        return Path::new(program).is_file();
    }
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|folder| folder.join(program).is_file())
}

/// Runs a command to its end; its stderr if it fails.
fn succeeds(words: &[String]) -> Result<(), String> {
    let [program, arguments @ ..] = words else {
        return Ok(());
    };
    let command = Command::new(program).args(arguments);
    let captured = Capture::recommended(Bound::Timeout(BUILD_BOUND))
        .run(&command)
        .map_err(|error| error.to_string())?;
    if captured.stopped.is_none() && captured.status.shell_code() == Some(0) {
        return Ok(());
    }
    let told = String::from_utf8_lossy(&captured.stderr.bytes).into_owned();
    Err(format!(
        "{} ended by {}: {told}",
        words.join(" "),
        captured.status
    ))
}
