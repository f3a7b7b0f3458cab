//! Incidents that were published, acted out under the mistake that was made, and under its cure.
//!
//! The child is the chatty one. The parent is a wrapper in the language of the project where one is shipped, and else one
//! of our strategies that makes the same mistake.

use pipeclog_waitgraph::class::Class;
use pipeclog_waitgraph::report::VerdictName;
use pipeclog_waitgraph::snapshot::Untrusted;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::check::Case;
use crate::outcome::Hang;
use crate::scenario::{Scenario, ScenarioError, read_family};
use crate::strategy::Strategy;

/// A file of `fixtures/incidents`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Incident {
    /// The file's name without `.json`; the file itself does not say it.
    #[serde(default)]
    pub name: String,
    /// Whose it was.
    pub project: String,
    /// Where it was published: `owner/repository#number`, or words.
    pub reference: String,
    /// What it is an instance of.
    pub class: Class,
    /// What happened, in one sentence.
    pub what: String,
    /// What the engine says of the hang.
    pub verdict: VerdictName,
    /// The class that the engine can tell from the kernel's view alone.
    pub diagnosed: Class,
    /// The mistake.
    pub before: Way,
    /// The cure.
    pub after: Way,
    script: Value,
    #[serde(default)]
    stdin: Value,
    #[serde(default)]
    fifos: Vec<String>,
}

/// A way to capture.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Way {
    /// Who captures.
    #[serde(flatten)]
    pub by: By,
    /// What was changed, in words; empty for the mistake.
    #[serde(default)]
    pub cure: String,
    #[serde(default)]
    parent: Value,
    /// The child's script, where the cure is in the child.
    #[serde(default)]
    script: Value,
}

/// Who captures.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum By {
    /// `pipeclog capture`.
    Strategy(Strategy),
    /// `language/name` of `fixtures/wrappers`.
    Wrapper(String),
}

impl std::fmt::Display for By {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Strategy(strategy) => write!(f, "{strategy}"),
            Self::Wrapper(name) => f.write_str(name),
        }
    }
}

/// An incident, and what came of it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ActedOut {
    /// Which.
    pub incident: Incident,
    /// Under the mistake.
    pub before: Came,
    /// Under the cure.
    pub after: Came,
}

/// What came of one way to capture.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "came")]
pub enum Came {
    /// It hung.
    Hung(Box<Hang>),
    /// It ended, with every byte.
    Ended,
    /// Something else.
    Otherwise {
        /// What.
        what: Untrusted,
    },
    /// It cannot be run here.
    Skipped {
        /// Why.
        why: Untrusted,
    },
}

/// Whether an incident came as its file says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// It hung, was diagnosed as it was to be, and was cured.
    Holds,
    /// One of them did not come true.
    Differs,
    /// Something that it needs is not installed.
    NotRun,
}

impl ActedOut {
    /// Whether it came as its file says.
    #[must_use]
    pub fn standing(&self) -> Standing {
        match (&self.before, &self.after) {
            (Came::Skipped { .. }, _) => Standing::NotRun,
            (Came::Hung(hang), after) if self.incident.is_diagnosed(hang) => match after {
                Came::Ended => Standing::Holds,
                Came::Skipped { .. } => Standing::NotRun,
                Came::Hung(_) | Came::Otherwise { .. } => Standing::Differs,
            },
            (Came::Hung(_) | Came::Ended | Came::Otherwise { .. }, _) => Standing::Differs,
        }
    }
}

impl Incident {
    /// Reads the text of a file.
    ///
    /// # Errors
    ///
    /// When it is not of the form.
    pub fn read(name: &str, text: &str) -> Result<Self, serde_json::Error> {
        let mut incident: Self = serde_json::from_str(text)?;
        name.clone_into(&mut incident.name);
        Ok(incident)
    }

    /// Whether the diagnosis of a hang says what is to be said of this incident.
    #[must_use]
    pub fn is_diagnosed(&self, hang: &Hang) -> bool {
        let report = hang.diagnosis.as_ref();
        report.is_some_and(|report| {
            report.verdict == self.verdict && report.class == Some(self.diagnosed)
        })
    }

    /// The child under a way to capture, as one of our trials.
    ///
    /// # Errors
    ///
    /// When a script is not one.
    pub fn scenario(&self, way: &Way) -> Result<Option<Scenario>, ScenarioError> {
        let script = if way.script.is_null() {
            &self.script
        } else {
            &way.script
        };
        let mut file = json!({
            "class": self.class,
            "title": self.what,
            "imitates": self.project,
            "references": [self.reference],
            "script": script,
            "stdin": self.stdin,
            "fifos": self.fifos,
            "rules": [{"strategies": "all", "expect": {"outcome": "completes"}}],
        });
        if !way.parent.is_null() {
            file["parent"] = way.parent.clone();
        }
        Ok(read_family(&self.name, &file.to_string())?
            .into_iter()
            .next())
    }
}

/// The same child as a case that is put to a wrapper.
#[must_use]
pub fn case(scenario: Scenario) -> Case {
    Case {
        title: scenario.title,
        references: scenario.references,
        stdin: scenario.stdin,
        ..Case::of_script(scenario.name, scenario.script)
    }
}
