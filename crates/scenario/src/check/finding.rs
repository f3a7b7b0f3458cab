//! What came of a case, and of all.

use std::fmt;

use pipeclog_waitgraph::class::Class;
use serde::{Deserialize, Serialize};

use super::{Case, Known, Level, Wrapper};
use crate::outcome::{EndedBy, Hang};

/// The version of the JSON form of [`Conformance`]; raised when a field changes its meaning or goes.
pub const SCHEMA_VERSION: u32 = 1;

/// What came of one case.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "is")]
pub enum Finding {
    /// The wrapper ended, handed on every byte that it owed, and nobody came to harm.
    Passed,
    /// Nothing moved any more.
    Hung(Box<Hang>),
    /// Bytes are missing, doubled, moved or wrong.
    Lost {
        /// The stream.
        stream: String,
        /// The first wrong offset, and what stands there.
        what: String,
    },
    /// The bytes are right, and the exit is not.
    WrongExit {
        /// What was owed.
        expected: String,
        /// What came.
        found: String,
    },
    /// A background child was killed, or kept from ending.
    Harmed {
        /// What happened to it.
        what: String,
    },
    /// It did its work, and imposed on others: leaked descriptors, blocked signals, burnt the processor, left a zombie.
    Imposed {
        /// What.
        what: String,
    },
    /// The wrapper lacks what the case needs, or the machine was too busy to watch it.
    NotApplicable {
        /// What.
        why: String,
    },
    /// The trial itself went wrong; it says nothing about the wrapper.
    Broken {
        /// What was tried, and why it failed.
        why: String,
    },
}

/// A finding in one word, for files of expectations and for tables.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FindingName {
    /// [`Finding::Passed`]
    Pass,
    /// [`Finding::Hung`]
    Hang,
    /// [`Finding::Lost`]
    Loss,
    /// [`Finding::WrongExit`]
    Exit,
    /// [`Finding::Harmed`]
    Harm,
    /// [`Finding::Imposed`]
    Imposition,
    /// [`Finding::NotApplicable`]
    NotApplicable,
    /// [`Finding::Broken`]
    Broken,
}

/// How a finding stands to what was expected.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Standing {
    /// As it should be.
    Good,
    /// It failed, as the file of expectations says it does.
    Known,
    /// It failed what it should or may do, and nobody asked for strictness.
    Minor,
    /// It failed.
    Bad,
    /// It passed, or failed otherwise, where the file of expectations names a failure: the file is out of date.
    Outdated,
    /// Not applicable.
    Idle,
    /// The trial went wrong.
    Broken,
}

/// A case with what came of it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Checked {
    /// The case.
    pub case: Case,
    /// What came of it.
    pub finding: Finding,
    /// How that stands to what was expected.
    pub standing: Standing,
    /// What was known of it; nothing where a pass was expected.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub known: Option<Known>,
}

/// What came of all cases that were put to a wrapper.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Conformance {
    /// [`SCHEMA_VERSION`] of the writer.
    pub schema_version: u32,
    /// The wrapper.
    pub wrapper: Wrapper,
    /// In the order of the files.
    pub cases: Vec<Checked>,
    /// The cases that were chosen and not come to, since a signal ended the run.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub not_run: Vec<String>,
}

impl Checked {
    /// How what came of a case stands to what is known of it.
    #[must_use]
    pub fn new(case: Case, finding: Finding, known: Option<&Known>, strict: bool) -> Self {
        Self {
            standing: finding.standing(case.level, known, strict),
            known: known.cloned(),
            case,
            finding,
        }
    }
}

impl FindingName {
    /// Those that a file of known failures may name.
    pub const KNOWABLE: [Self; 6] = [
        Self::Hang,
        Self::Loss,
        Self::Exit,
        Self::Harm,
        Self::Imposition,
        Self::Pass,
    ];

    /// As people read it.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Pass => "pass",
            Self::Hang => "hang",
            Self::Loss => "loss",
            Self::Exit => "exit",
            Self::Harm => "harm",
            Self::Imposition => "imposition",
            Self::NotApplicable => "not applicable",
            Self::Broken => "broken",
        }
    }
}

impl Finding {
    /// In one word.
    #[must_use]
    pub fn name(&self) -> FindingName {
        match self {
            Self::Passed => FindingName::Pass,
            Self::Hung(_) => FindingName::Hang,
            Self::Lost { .. } => FindingName::Loss,
            Self::WrongExit { .. } => FindingName::Exit,
            Self::Harmed { .. } => FindingName::Harm,
            Self::Imposed { .. } => FindingName::Imposition,
            Self::NotApplicable { .. } => FindingName::NotApplicable,
            Self::Broken { .. } => FindingName::Broken,
        }
    }

    /// The class of a hang, where its diagnosis names one.
    #[must_use]
    pub fn class(&self) -> Option<Class> {
        match self {
            Self::Hung(hang) => hang.diagnosis.as_ref()?.class,
            Self::Passed
            | Self::Lost { .. }
            | Self::WrongExit { .. }
            | Self::Harmed { .. }
            | Self::Imposed { .. }
            | Self::NotApplicable { .. }
            | Self::Broken { .. } => None,
        }
    }

    /// How it stands, for a case of this level, where `known` is what is known to come of it.
    #[must_use]
    pub fn standing(&self, level: Level, known: Option<&Known>, strict: bool) -> Standing {
        match (self, known.filter(|known| known.has_failure())) {
            (Self::Broken { .. }, _) => Standing::Broken,
            (Self::Passed, Some(known)) if known.allows(self) => Standing::Good,
            (_, Some(known)) if known.allows(self) => Standing::Known,
            (_, Some(_)) => Standing::Outdated,
            (Self::NotApplicable { .. }, None) => Standing::Idle,
            (Self::Passed, None) => Standing::Good,
            (_, None) if level == Level::Must || strict => Standing::Bad,
            (_, None) => Standing::Minor,
        }
    }
}

impl Standing {
    /// Whether the wrapper is to be called faulty for it.
    #[must_use]
    pub fn is_failure(self) -> bool {
        match self {
            Self::Bad | Self::Outdated => true,
            Self::Good | Self::Known | Self::Minor | Self::Idle | Self::Broken => false,
        }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Passed => f.write_str("passed"),
            Self::Hung(hang) => match &hang.diagnosis {
                Some(report) if hang.ended_by == EndedBy::Deadline => write!(
                    f,
                    "had not ended after {} s: {}",
                    hang.after_ms / 1000,
                    report.headline
                ),
                Some(report) => write!(f, "hangs: {}", report.headline),
                None if hang.ended_by == EndedBy::Deadline => {
                    f.write_str("passed the bound on a trial")
                }
                None => f.write_str("hangs"),
            },
            Self::Lost { stream, what } => write!(f, "{stream}: {what}"),
            Self::WrongExit { expected, found } => {
                write!(f, "{expected} was owed, and {found} came")
            }
            Self::Harmed { what } | Self::Imposed { what } => f.write_str(what),
            Self::NotApplicable { why } => write!(f, "not applicable: {why}"),
            Self::Broken { why } => write!(f, "the trial went wrong: {why}"),
        }
    }
}
