//! Cases from JSON.

use std::collections::BTreeSet;

use serde::Deserialize;

use super::{Capability, Case, Child, Exit, Level, Orders, Output, Question, Start};
use crate::scenario::{Descendants, Scenario};
use crate::script::{Script, ScriptError, Size};

/// Why a file holds no cases.
#[derive(Debug, thiserror::Error)]
pub enum CaseError {
    /// The file as a whole is not of the form.
    #[error("{file}: not a file of cases: {cause}")]
    Form {
        /// The file's name.
        file: String,
        /// Where and why.
        cause: serde_json::Error,
    },
    /// A script asks for what cannot be done.
    #[error("{file}: case {id}: {cause}")]
    Script {
        /// The file's name.
        file: String,
        /// The case.
        id: String,
        /// Which operation and why.
        cause: ScriptError,
    },
    /// A case names a scenario that is not there.
    #[error(
        "{file}: case {id}: there is no scenario {scenario}: `pipeclog prove --list` shows them all"
    )]
    NoScenario {
        /// The file's name.
        file: String,
        /// The case.
        id: String,
        /// The name.
        scenario: String,
    },
}

/// A case as a file has it.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    id: String,
    level: Level,
    title: String,
    reason: String,
    references: Vec<String>,
    child: ChildEntry,
    #[serde(default)]
    stdin: Option<Size>,
    #[serde(default)]
    descendants: Descendants,
    #[serde(default)]
    needs: BTreeSet<Capability>,
    #[serde(default)]
    start: Start,
    #[serde(default)]
    orders: Orders,
    #[serde(default)]
    output: Output,
    #[serde(default)]
    exit: Exit,
    #[serde(default)]
    idle: bool,
}

#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
enum ChildEntry {
    /// The child, the stdin and the descendants of a scenario.
    Scenario(String),
    Script(Script),
    Probe(Question),
    Missing,
}

/// Reads the cases of one file of `fixtures/check`. `file` is its name without `.json`, and becomes their group.
///
/// # Errors
///
/// If the text is not of the form, a script cannot be done, or a case names a scenario that is not among `scenarios`.
pub fn read_cases(file: &str, text: &str, scenarios: &[Scenario]) -> Result<Vec<Case>, CaseError> {
    let form = |cause| CaseError::Form {
        file: file.to_owned(),
        cause,
    };
    let entries: Vec<Entry> = serde_json::from_str(text).map_err(form)?;
    entries
        .into_iter()
        .map(|entry| entry.case(file, scenarios))
        .collect()
}

impl Entry {
    fn case(self, file: &str, scenarios: &[Scenario]) -> Result<Case, CaseError> {
        let (mut stdin, mut descendants) = (self.stdin, self.descendants);
        let child = match self.child {
            ChildEntry::Probe(question) => Child::Probe(question),
            ChildEntry::Missing => Child::Missing,
            ChildEntry::Script(script) => {
                script.check().map_err(|cause| CaseError::Script {
                    file: file.to_owned(),
                    id: self.id.clone(),
                    cause,
                })?;
                Child::Script(script)
            }
            ChildEntry::Scenario(name) => {
                let found = scenarios.iter().find(|scenario| scenario.name == name);
                let scenario = found.ok_or_else(|| CaseError::NoScenario {
                    file: file.to_owned(),
                    id: self.id.clone(),
                    scenario: name,
                })?;
                stdin = scenario.stdin;
                descendants = scenario.descendants;
                Child::Script(scenario.script.clone())
            }
        };
        Ok(Case {
            id: self.id,
            group: file.to_owned(),
            level: self.level,
            title: self.title,
            reason: self.reason,
            references: self.references,
            child,
            stdin,
            descendants,
            needs: self.needs,
            start: self.start,
            orders: self.orders,
            output: self.output,
            exit: self.exit,
            idle: self.idle,
        })
    }
}
