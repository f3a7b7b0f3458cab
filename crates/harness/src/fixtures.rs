//! The scenarios that come with the suite, embedded when it was built.

use pipeclog_scenario::check::{Case, CaseError, read_cases};
use pipeclog_scenario::claims::Claim;
use pipeclog_scenario::incidents::Incident;
use pipeclog_scenario::scenario::{Scenario, ScenarioError, read_family};

/// Each file of `fixtures/scenarios`: its name without `.json`, and its text.
pub const FILES: &[(&str, &str)] = include!(concat!(env!("OUT_DIR"), "/scenarios.rs"));

/// Each file of `fixtures/check`: its name without `.json`, and its text.
pub const CHECK_FILES: &[(&str, &str)] = include!(concat!(env!("OUT_DIR"), "/check.rs"));

/// Each file of the wrappers of `fixtures/wrappers`: its path from there, and its text.
pub const WRAPPER_FILES: &[(&str, &str)] = include!(concat!(env!("OUT_DIR"), "/wrappers.rs"));

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

/// Each file of `fixtures/incidents`: its name without `.json`, and its text.
const INCIDENT_FILES: &[(&str, &str)] = include!(concat!(env!("OUT_DIR"), "/incidents.rs"));

/// The published incidents, in the order of the files' names.
///
/// # Errors
///
/// When a file is not of the form; the suite's own tests see to it that none is.
pub fn incidents() -> Result<Vec<Incident>, serde_json::Error> {
    let files = INCIDENT_FILES.iter();
    files
        .map(|(name, text)| Incident::read(name, text))
        .collect()
}

/// Each file of `fixtures/claims`: its name without `.py`, and its text.
const CLAIM_PARENTS: &[(&str, &str)] = include!(concat!(env!("OUT_DIR"), "/claims.rs"));

/// The text of an experiment's parent, by the name of its file; nothing if there is none.
#[must_use]
pub fn claim_parent(file: &str) -> Option<&'static str> {
    let name = file.strip_suffix(".py")?;
    let found = CLAIM_PARENTS.iter().find(|(known, _)| *known == name);
    found.map(|(_, text)| *text)
}

/// The claims of the post and its comments, in the order of their file.
///
/// # Errors
///
/// When the file is not of the form; the suite's own tests see to it that it is.
pub fn claims() -> Result<Vec<Claim>, serde_json::Error> {
    serde_json::from_str(include_str!("../../../fixtures/claims.json"))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn each_claim_has_a_name_of_its_own_and_experiments_whose_parents_are_there() {
        let claims = claims().unwrap();
        let names: BTreeSet<&str> = claims.iter().map(|claim| claim.id.as_str()).collect();
        assert_eq!(names.len(), claims.len());
        for claim in &claims {
            assert!(!claim.experiments.is_empty(), "{}", claim.id);
            for experiment in &claim.experiments {
                assert!(
                    claim_parent(&experiment.parent).is_some(),
                    "{}: {}",
                    claim.id,
                    experiment.parent
                );
            }
        }
    }

    #[test]
    fn no_parent_of_an_experiment_is_there_for_nothing() {
        let claims = claims().unwrap();
        let used: BTreeSet<&str> = claims
            .iter()
            .flat_map(|claim| &claim.experiments)
            .filter_map(|experiment| experiment.parent.strip_suffix(".py"))
            .collect();
        let there: BTreeSet<&str> = CLAIM_PARENTS.iter().map(|(name, _)| *name).collect();
        assert_eq!(used, there);
    }
}
