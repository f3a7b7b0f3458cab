//! The scenarios that come with the suite, embedded when it was built.

use pipeclog_scenario::check::{Case, CaseError, read_cases};
use pipeclog_scenario::scenario::{Scenario, ScenarioError, read_family};

/// Each file of `fixtures/scenarios`: its name without `.json`, and its text.
pub const FILES: &[(&str, &str)] = include!(concat!(env!("OUT_DIR"), "/scenarios.rs"));

/// Each file of `fixtures/check`: its name without `.json`, and its text.
pub const CHECK_FILES: &[(&str, &str)] = include!(concat!(env!("OUT_DIR"), "/check.rs"));

/// Why the built-in cases cannot be had; the suite's own tests see to it that they can.
#[derive(Debug, thiserror::Error)]
pub enum CasesError {
    /// A scenario file is not of the form.
    #[error(transparent)]
    Scenario(#[from] ScenarioError),
    /// A file of cases is not of the form.
    #[error(transparent)]
    Case(#[from] CaseError),
}

/// Every case that `pipeclog check` puts to a wrapper, in the order of the files' names.
///
/// # Errors
///
/// When a file is not of the form.
pub fn cases() -> Result<Vec<Case>, CasesError> {
    let scenarios = scenarios()?;
    let mut all = Vec::new();
    for (name, text) in CHECK_FILES {
        all.extend(read_cases(name, text, &scenarios)?);
    }
    Ok(all)
}

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
