//! The ways to capture output that languages come with, and what came of the cases that were put to each.

use serde::{Deserialize, Serialize};

use crate::check::edge::Edge;
use crate::check::{Checked, Standing};

/// A way to capture output, in some language: a wrapper of the suite.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Surveyed {
    /// `language/name`.
    pub name: String,
    /// What came of it.
    pub survey: Survey,
}

/// What came of a wrapper.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "is")]
pub enum Survey {
    /// It was not run: something is not installed.
    Skipped {
        /// What.
        why: String,
    },
    /// It could not be built.
    Failed {
        /// What the compiler said.
        why: String,
    },
    /// The cases were put to it.
    Run {
        /// In the order of the files.
        cases: Vec<Checked>,
        /// The bytes at which it begins to hang, for the streams on which it does.
        edges: Vec<Edge>,
    },
}

impl Surveyed {
    /// Whether it did what is known of it, and nothing else.
    #[must_use]
    pub fn is_as_known(&self) -> bool {
        match &self.survey {
            Survey::Skipped { .. } => true,
            Survey::Failed { .. } => false,
            Survey::Run { cases, .. } => cases.iter().all(|checked| match checked.standing {
                Standing::Good | Standing::Known | Standing::Idle => true,
                Standing::Minor | Standing::Bad | Standing::Outdated | Standing::Broken => false,
            }),
        }
    }

    /// The language, which is the folder that it stands in.
    #[must_use]
    pub fn language(&self) -> &str {
        self.name.split('/').next().unwrap_or_default()
    }
}
