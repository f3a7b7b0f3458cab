//! What is known to come of the cases of a wrapper: a file of `pipeclog check --expect`.

use std::collections::BTreeMap;
use std::fmt;

use pipeclog_waitgraph::class::{Class, UnknownClass};
use serde::{Deserialize, Serialize};

use super::{Finding, FindingName};

/// What is known, by the id of the case.
pub type Expectations = BTreeMap<String, Known>;

/// What is known to come of a case: `"hang"`, or `["pass", "hang"]` where a race in the wrapper decides.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Known {
    /// This alone.
    One(Expected),
    /// Any of these.
    Several(Vec<Expected>),
}

/// An outcome in one word, as `hang`, and of a hang its class where that is known too, as `hang: grandchild-holds`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Expected {
    /// The word.
    pub name: FindingName,
    /// The class; any if there is none.
    pub class: Option<Class>,
}

/// A word that names no outcome.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum UnknownOutcome {
    /// The word itself.
    #[error("failed to read the outcome {0:?}: write hang, loss, exit, harm, imposition or pass")]
    Word(String),
    /// The class of a hang.
    #[error("{0}: `pipeclog explain` names them")]
    Class(#[from] UnknownClass),
    /// Something that is no hang, with a class.
    #[error(
        "failed to read the outcome {0:?}: only a hang has a class, as in \"hang: grandchild-holds\""
    )]
    NoHang(String),
}

impl Known {
    /// All that may come.
    #[must_use]
    pub fn outcomes(&self) -> &[Expected] {
        match self {
            Self::One(outcome) => std::slice::from_ref(outcome),
            Self::Several(outcomes) => outcomes,
        }
    }

    /// Whether this may come.
    #[must_use]
    pub fn allows(&self, finding: &Finding) -> bool {
        self.outcomes()
            .iter()
            .any(|outcome| outcome.is_met_by(finding))
    }

    /// Whether a failure is among what may come.
    #[must_use]
    pub fn has_failure(&self) -> bool {
        self.outcomes()
            .iter()
            .any(|outcome| outcome.name != FindingName::Pass)
    }
}

impl Expected {
    /// What would be written of a finding, with all that is known of it.
    #[must_use]
    pub fn of(finding: &Finding) -> Self {
        Self {
            name: finding.name(),
            class: finding.class(),
        }
    }

    fn is_met_by(self, finding: &Finding) -> bool {
        self.name == finding.name()
            && self
                .class
                .is_none_or(|class| finding.class() == Some(class))
    }
}

impl TryFrom<String> for Expected {
    type Error = UnknownOutcome;

    fn try_from(text: String) -> Result<Self, UnknownOutcome> {
        let (word, class) = match text.split_once(':') {
            Some((word, class)) => (word, Some(class.trim().parse()?)),
            None => (text.as_str(), None),
        };
        let mut names = FindingName::KNOWABLE.into_iter();
        let Some(name) = names.find(|name| name.word() == word) else {
            return Err(UnknownOutcome::Word(text));
        };
        if class.is_some() && name != FindingName::Hang {
            return Err(UnknownOutcome::NoHang(text));
        }
        Ok(Self { name, class })
    }
}

impl From<Expected> for String {
    fn from(outcome: Expected) -> Self {
        outcome.to_string()
    }
}

impl fmt::Display for Expected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name.word())?;
        match self.class {
            Some(class) => write!(f, ": {class}"),
            None => Ok(()),
        }
    }
}

impl fmt::Display for Known {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let words: Vec<_> = self.outcomes().iter().map(Expected::to_string).collect();
        f.write_str(&words.join(" or "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::{Level, Standing};
    use crate::outcome::{EndedBy, Hang};

    fn known(json: &str) -> Known {
        serde_json::from_str(json).unwrap()
    }

    fn stands(known: &Known, finding: &Finding) -> Standing {
        finding.standing(Level::Must, Some(known), false)
    }

    fn lost() -> Finding {
        Finding::Lost {
            stream: "stdout".to_owned(),
            what: String::new(),
        }
    }

    fn hung() -> Finding {
        Finding::Hung(Box::new(Hang {
            ended_by: EndedBy::Quiescence,
            after_ms: 800,
            blocked: Vec::new(),
            diagnosis: None,
        }))
    }

    #[test]
    fn where_a_race_decides_every_outcome_that_is_named_is_as_expected_and_no_other() {
        let known = known(r#"["pass", "hang"]"#);
        assert_eq!(stands(&known, &Finding::Passed), Standing::Good);
        assert_eq!(stands(&known, &hung()), Standing::Known);
        assert_eq!(stands(&known, &lost()), Standing::Outdated);
        assert_eq!(known.to_string(), "pass or hang");
    }

    #[test]
    fn a_failure_that_is_known_and_does_not_come_is_to_be_told() {
        let known = known(r#""hang""#);
        assert_eq!(stands(&known, &Finding::Passed), Standing::Outdated);
        assert_eq!(stands(&known, &lost()), Standing::Outdated);
    }

    #[test]
    fn a_hang_that_is_known_with_its_class_must_be_diagnosed_with_it() {
        let with_class = known(r#""hang: wait-then-read""#);
        assert_eq!(stands(&with_class, &hung()), Standing::Outdated);
        let text = serde_json::to_string(&with_class).unwrap();
        assert_eq!(text, r#""hang: wait-then-read""#);
    }

    #[test]
    fn what_is_no_outcome_is_told_by_name() {
        let rows = [
            ("hnag", "failed to read the outcome \"hnag\": write hang"),
            (
                "broken",
                "failed to read the outcome \"broken\": write hang",
            ),
            ("hang: deadlock", "there is none of that name"),
            ("loss: wait-then-read", "only a hang has a class"),
        ];
        for (text, told) in rows {
            let error = Expected::try_from(text.to_owned()).unwrap_err().to_string();
            assert!(error.contains(told), "{text}: {error}");
        }
    }
}
