//! The file of known failures.

use std::path::Path;

use anyhow::{Context as _, ensure};
use pipeclog_harness::fixtures;
use pipeclog_scenario::check::Expectations;

/// Reads it. A case that there is not, and one of which nothing is said, is an error: it would never be compared.
pub(super) fn read(path: &Path) -> anyhow::Result<Expectations> {
    let text = std::fs::read_to_string(path)
        .with_context(|| format!("failed to read the known failures from {}", path.display()))?;
    let known: Expectations = serde_json::from_str(&text).with_context(|| {
        format!(
            "{} is no file of known failures, which is as {{\"stderr-65537\": \"hang\", \"daemon-holds\": [\"pass\", \"hang: grandchild-holds\"]}}, in the words hang, loss, exit, harm, imposition and pass",
            path.display()
        )
    })?;
    let cases = fixtures::cases().context("failed to read the built-in cases")?;
    for (id, known) in &known {
        ensure!(
            !known.outcomes().is_empty(),
            "{} names no outcome of {id:?}: write one, as \"hang\", or leave the case out",
            path.display()
        );
        ensure!(
            cases.iter().any(|case| case.id == *id),
            "{} names a case {id:?}, which there is not: `pipeclog check --list` shows them all",
            path.display()
        );
    }
    Ok(known)
}
