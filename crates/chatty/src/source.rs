//! Where a script comes from: a file, or the command line itself.

use std::fs::File;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use pipeclog_scenario::script::{Script, ScriptError};

/// The longest text of a script, in bytes: 16 MiB. A device has no end.
pub const SCRIPT_MAX_BYTES: u64 = 16 << 20;

/// Reads what `--script` names: a file's path, or the JSON itself, which begins with a brace.
///
/// # Errors
///
/// [`SourceError`], if there is no such file, it cannot be read or is too long, or its text is no script.
pub fn read_script(source: &Path) -> Result<Script, SourceError> {
    if let Some(json) = source.to_str().filter(|text| text.starts_with('{')) {
        return Script::from_json(json).map_err(SourceError::Argument);
    }
    let path = || source.to_owned();
    let text = read(source).map_err(|source| SourceError::Read {
        path: path(),
        source,
    })?;
    if text.len() as u64 > SCRIPT_MAX_BYTES {
        return Err(SourceError::TooLong { path: path() });
    }
    Script::from_json(&text).map_err(|source| SourceError::Script {
        path: path(),
        source,
    })
}

fn read(path: &Path) -> io::Result<String> {
    let mut text = String::new();
    // One byte more than there may be tells that there is more.
    File::open(path)?
        .take(SCRIPT_MAX_BYTES + 1)
        .read_to_string(&mut text)?;
    Ok(text)
}

/// Why there is no script.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SourceError {
    /// The file could not be read.
    #[error("failed to read the script {}: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The file goes on and on.
    #[error(
        "failed to read the script {}: it is longer than {} MiB; write what is repeated as a `repeat`",
        path.display(),
        SCRIPT_MAX_BYTES >> 20
    )]
    TooLong {
        /// The file.
        path: PathBuf,
    },
    /// The file's text is no script.
    #[error("{}: {source}", path.display())]
    Script {
        /// The file.
        path: PathBuf,
        /// Why.
        source: ScriptError,
    },
    /// The JSON on the command line is no script.
    #[error(transparent)]
    Argument(ScriptError),
}
