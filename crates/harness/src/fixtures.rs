//! The scenarios that come with the suite, embedded when it was built.

use pipeclog_scenario::scenario::{Scenario, ScenarioError, read_family};

/// Each file of `fixtures/scenarios`: its name without `.json`, and its text.
pub const FILES: &[(&str, &str)] = include!(concat!(env!("OUT_DIR"), "/scenarios.rs"));

/// Every scenario of every file, families expanded, in the order of the files' names.
///
/// # Errors
///
/// When a file is not of the form; the suite's own tests see to it that none is.
pub fn scenarios() -> Result<Vec<Scenario>, ScenarioError> {
    let mut all = Vec::new();
    for (name, text) in FILES {
        all.extend(read_family(name, text)?);
    }
    Ok(all)
}
