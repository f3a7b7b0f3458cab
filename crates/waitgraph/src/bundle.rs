//! Looks as one text, to be saved here and diagnosed elsewhere: the same bytes give the same diagnosis.

use serde::{Deserialize, Serialize};

use crate::snapshot::{SCHEMA_VERSION, Snapshot};

/// Why a saved text could not be taken.
#[derive(Debug, thiserror::Error)]
pub enum BundleError {
    /// Not JSON of this form.
    #[error("this is not what `pipeclog diagnose --save` writes")]
    Malformed(#[from] serde_json::Error),
    /// Written by a program with another form.
    #[error(
        "their schema has version {found}, and this program reads version {SCHEMA_VERSION}; use the program that wrote them"
    )]
    Version {
        /// What the text says.
        found: u32,
    },
}

#[derive(Serialize)]
struct Saved<'a> {
    schema_version: u32,
    looks: &'a [Snapshot],
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Loaded {
    looks: Vec<Snapshot>,
    #[serde(rename = "schema_version")]
    _schema_version: u32,
}

/// Read first and alone, so that another version is called that and not malformed.
#[derive(Deserialize)]
struct Version {
    schema_version: u32,
}

/// The looks as JSON, with a final newline.
///
/// # Errors
/// Never for looks of this crate: every key is a string and every number an integer.
pub fn save(looks: &[Snapshot]) -> Result<String, serde_json::Error> {
    serde_json::to_string(&Saved {
        schema_version: SCHEMA_VERSION,
        looks,
    })
    .map(|text| text + "\n")
}

/// The looks that [`save`] wrote.
///
/// # Errors
/// If the text is not of this form, or of another version.
pub fn load(text: &str) -> Result<Vec<Snapshot>, BundleError> {
    let Version { schema_version } = serde_json::from_str(text)?;
    if schema_version != SCHEMA_VERSION {
        return Err(BundleError::Version {
            found: schema_version,
        });
    }
    let loaded: Loaded = serde_json::from_str(text)?;
    // A search by pid expects them in order, whoever wrote the text.
    let mut looks = loaded.looks;
    for look in &mut looks {
        look.processes.sort_by_key(|p| p.pid);
        look.scan.runs_of.sort();
    }
    Ok(looks)
}
