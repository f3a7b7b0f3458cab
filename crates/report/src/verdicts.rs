//! What must not differ from machine to machine, apart from what may: the verdicts of a run, without times and evidence.

use std::collections::BTreeMap;

use pipeclog_scenario::boundary::{Boundary, Found};
use pipeclog_scenario::check::{Checked, FindingName, Known};
use pipeclog_scenario::claims::Standing;
use pipeclog_scenario::incidents::{self, ActedOut};
use pipeclog_scenario::languages::{Survey, Surveyed};
use pipeclog_scenario::outcome::{Cell, Results, Verdict};
use serde::{Deserialize, Serialize};

/// The version of the JSON form; raised when a field changes its meaning or goes.
pub const SCHEMA_VERSION: u32 = 1;

/// The verdicts of a run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Verdicts {
    schema_version: u32,
    /// By scenario and verdict: the strategies.
    trials: BTreeMap<String, BTreeMap<String, Vec<String>>>,
    /// By case: the most bytes that complete.
    boundaries: BTreeMap<String, String>,
    /// By claim: whether the experiments bear out its verdict.
    claims: BTreeMap<String, String>,
    /// By wrapper of another language and case: what came of it.
    #[serde(default)]
    languages: BTreeMap<String, BTreeMap<String, String>>,
    /// By incident: whether it hung, was diagnosed and was cured.
    #[serde(default)]
    incidents: BTreeMap<String, String>,
}

/// A verdict that differs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    /// What was run.
    pub what: String,
    /// What is recorded.
    pub recorded: String,
    /// What came.
    pub found: String,
}

impl Verdicts {
    /// Those of these results. What was skipped has none.
    #[must_use]
    pub fn of(results: &Results) -> Self {
        let mut trials: BTreeMap<String, BTreeMap<String, Vec<String>>> = BTreeMap::new();
        for cell in &results.cells {
            if let Some(verdict) = of_cell(cell) {
                let strategies = trials.entry(cell.scenario.clone()).or_default();
                strategies
                    .entry(verdict)
                    .or_default()
                    .push(cell.strategy.to_string());
            }
        }
        let claims = results.claims.iter().filter_map(|settled| {
            let standing = match settled.standing() {
                Standing::Holds => format!("{:?}", settled.claim.verdict).to_lowercase(),
                Standing::Differs => OPEN.to_owned(),
                Standing::NotRun => return None,
            };
            Some((settled.claim.id.clone(), standing))
        });
        Self {
            schema_version: SCHEMA_VERSION,
            trials,
            boundaries: results.boundaries.iter().map(of_boundary).collect(),
            claims: claims.collect(),
            languages: results.languages.iter().filter_map(of_parent).collect(),
            incidents: results.incidents.iter().filter_map(of_incident).collect(),
        }
    }

    /// As JSON.
    ///
    /// # Errors
    ///
    /// Never, as far as is known: there is only text in it.
    pub fn json(&self) -> Result<String, serde_json::Error> {
        serde_json::to_string_pretty(self).map(|text| text + "\n")
    }

    /// From JSON.
    ///
    /// # Errors
    ///
    /// When it is not of this form, or of another version.
    pub fn read(json: &str) -> Result<Self, VerdictsError> {
        let verdicts: Self = serde_json::from_str(json)?;
        if verdicts.schema_version != SCHEMA_VERSION {
            return Err(VerdictsError::Version(verdicts.schema_version));
        }
        Ok(verdicts)
    }

    /// How many verdicts `found` and these have both.
    #[must_use]
    pub fn shared(&self, found: &Self) -> usize {
        let known = self.flat();
        found
            .flat()
            .keys()
            .filter(|what| known.contains_key(*what))
            .count()
    }

    /// Where `found` differs from what is recorded here. What only one of them has is no difference: a quick run has less
    /// than a full one.
    #[must_use]
    pub fn differences(&self, found: &Self) -> Vec<Difference> {
        let mut recorded = self.flat();
        let pairs = found.flat().into_iter().filter_map(|(what, found)| {
            let recorded = recorded.remove(&what)?;
            Some(Difference {
                what,
                recorded,
                found,
            })
        });
        pairs
            .filter(|pair| pair.recorded != pair.found || is_unsettled(&pair.found))
            .collect()
    }

    /// The parts of which something is recorded here, and nothing was found: what cannot be run is no verdict that holds.
    #[must_use]
    pub fn not_run(&self, found: &Self) -> Vec<Difference> {
        let parts = [
            (
                "the trials",
                self.trials.is_empty(),
                found.trials.is_empty(),
            ),
            (
                "the boundaries",
                self.boundaries.is_empty(),
                found.boundaries.is_empty(),
            ),
            (
                "the claims",
                self.claims.is_empty(),
                found.claims.is_empty(),
            ),
            (
                "the wrappers of languages",
                self.languages.is_empty(),
                found.languages.is_empty(),
            ),
            (
                "the incidents",
                self.incidents.is_empty(),
                found.incidents.is_empty(),
            ),
        ];
        let missing = parts
            .into_iter()
            .filter(|(_, none_recorded, none_found)| !none_recorded && *none_found);
        let difference = |(what, _, _): (&str, bool, bool)| Difference {
            what: what.to_owned(),
            recorded: "some".to_owned(),
            found: "none could be run".to_owned(),
        };
        missing.map(difference).collect()
    }

    fn flat(&self) -> BTreeMap<String, String> {
        let trials = self.trials.iter().flat_map(|(scenario, verdicts)| {
            verdicts.iter().flat_map(move |(verdict, strategies)| {
                strategies
                    .iter()
                    .map(move |strategy| (format!("{scenario}/{strategy}"), verdict.clone()))
            })
        });
        let languages = self.languages.iter().flat_map(|(parent, findings)| {
            findings
                .iter()
                .map(move |(case, finding)| (format!("{parent} under {case}"), finding.clone()))
        });
        let incidents = self.incidents.iter();
        let others = self.boundaries.iter().chain(&self.claims).chain(incidents);
        trials
            .chain(languages)
            .chain(others.map(|(what, verdict)| (what.clone(), verdict.clone())))
            .collect()
    }
}

/// Whether a verdict says that there is none.
fn is_unsettled(verdict: &str) -> bool {
    [BROKEN, OPEN, UNCLEAR].contains(&verdict)
}

const BROKEN: &str = "broken";
const OPEN: &str = "open";
const UNCLEAR: &str = "unclear";

/// Why verdicts could not be read.
#[derive(Debug)]
pub enum VerdictsError {
    /// Not JSON of this form.
    Malformed(serde_json::Error),
    /// Of another version.
    Version(u32),
}

impl std::fmt::Display for VerdictsError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Malformed(_) => {
                write!(f, "they are not of the form that `pipeclog report` writes")
            }
            Self::Version(found) => write!(
                f,
                "they have version {found}, and this program knows version {SCHEMA_VERSION}"
            ),
        }
    }
}

impl std::error::Error for VerdictsError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Malformed(error) => Some(error),
            Self::Version(_) => None,
        }
    }
}

impl From<serde_json::Error> for VerdictsError {
    fn from(error: serde_json::Error) -> Self {
        Self::Malformed(error)
    }
}

fn of_cell(cell: &Cell) -> Option<String> {
    let verdict = match &cell.outcome.verdict {
        Verdict::Completed => "completes",
        Verdict::CutShort { .. } => "cut short",
        Verdict::Lost { .. } => "loses",
        Verdict::WrongExit { .. } => "wrong exit",
        Verdict::Harmed { .. } => "harms",
        Verdict::Hung(_) => "hangs",
        Verdict::Broken { .. } => BROKEN,
        Verdict::Skipped { .. } => return None,
    };
    Some(verdict.to_owned())
}

/// What came of each case that was put to a wrapper; nothing if it was not run.
fn of_parent(parent: &Surveyed) -> Option<(String, BTreeMap<String, String>)> {
    let Survey::Run { cases, .. } = &parent.survey else {
        return None;
    };
    let findings = cases
        .iter()
        .filter(|checked| {
            let found = checked.finding.name();
            !matches!(found, FindingName::NotApplicable | FindingName::Broken)
        })
        .map(|checked| (checked.case.id.clone(), of_checked(checked)));
    Some((parent.name.clone(), findings.collect()))
}

/// What came of a case; where a race in the wrapper decides between several that are known, all of them.
fn of_checked(checked: &Checked) -> String {
    let found = checked.finding.name();
    match &checked.known {
        Some(Known::Several(any)) if any.iter().any(|known| known.name == found) => {
            let words: Vec<&str> = any.iter().map(|known| known.name.word()).collect();
            words.join(" or ")
        }
        _ => found.word().to_owned(),
    }
}

fn of_incident(acted: &ActedOut) -> Option<(String, String)> {
    let standing = match acted.standing() {
        incidents::Standing::Holds => "hangs, is diagnosed and cured",
        incidents::Standing::Differs => OPEN,
        incidents::Standing::NotRun => return None,
    };
    let what = format!("incident {}", acted.incident.name);
    Some((what, standing.to_owned()))
}

fn of_boundary(boundary: &Boundary) -> (String, String) {
    let found = match &boundary.found {
        Found::At { completes, .. } => completes.to_string(),
        Found::Always { .. } => "always hangs".to_owned(),
        Found::Never { .. } => "never hangs".to_owned(),
        Found::Unclear { .. } => UNCLEAR.to_owned(),
    };
    let what = format!(
        "boundary of {}, {:?} in writes of {}",
        boundary.strategy, boundary.layout, boundary.write_size
    );
    (what, found)
}

#[cfg(test)]
mod tests {
    use pipeclog_scenario::check::{Case, Expected, Finding};
    use pipeclog_scenario::script::Script;

    use super::*;

    #[test]
    fn outcomes_between_which_a_race_decides_are_one_verdict_and_another_is_not() {
        let one = |name| Expected { name, class: None };
        let race = Known::Several(vec![one(FindingName::Pass), one(FindingName::Loss)]);
        let of = |finding, known: &Known| {
            let case = Case::of_script("a", Script::new(Vec::new()));
            of_checked(&Checked::new(case, finding, Some(known), false))
        };
        let lost = Finding::Lost {
            stream: "stdout".to_owned(),
            what: "2 bytes".to_owned(),
        };
        assert_eq!(of(Finding::Passed, &race), "pass or loss");
        assert_eq!(of(lost.clone(), &race), "pass or loss");
        let other = Known::Several(vec![one(FindingName::Pass), one(FindingName::Harm)]);
        assert_eq!(of(lost.clone(), &other), "loss");
        assert_eq!(of(lost, &Known::One(one(FindingName::Loss))), "loss");
    }
}
