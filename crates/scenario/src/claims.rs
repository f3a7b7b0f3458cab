//! What *Subprocess Hanging: PIPE is your enemy* and its comments claim, the experiments that settle it, and what came of
//! them. The claims are data (`fixtures/claims.json`), and so is each experiment's parent (`fixtures/claims/*.py`).

use pipeclog_waitgraph::class::Class;
use pipeclog_waitgraph::report::{Confidence, VerdictName};
use pipeclog_waitgraph::snapshot::Untrusted;
use serde::{Deserialize, Serialize};

use crate::outcome::{Hang, Written};

/// Something that somebody said of pipes and Python, in our words.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Claim {
    /// Its name: letters, digits and hyphens.
    pub id: String,
    /// Who said it.
    pub source: Source,
    /// What was said.
    pub claim: String,
    /// What holds of it, if the experiments come out as they expect to.
    pub verdict: Holds,
    /// The verdict in one plain sentence.
    pub sentence: String,
    /// What settles it: all of them must come out as expected.
    pub experiments: Vec<Experiment>,
}

/// Where a claim stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Source {
    /// In the post.
    Post,
    /// In a comment below it.
    Comment,
}

/// What holds of a claim.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Holds {
    /// It is so.
    Confirmed,
    /// What was seen is so, and what was made of it is not, or not in general.
    Corrected,
    /// It is not so.
    Refuted,
}

/// A parent in Python, its child, and what must come of the two.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Experiment {
    /// A file of `fixtures/claims`. It says on stderr what came of it.
    pub parent: String,
    /// The parent's own arguments.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub arguments: Vec<String>,
    /// The child's program and arguments; `{chatty}` stands for the chatty child, `{python}` for the parent's Python.
    pub child: Vec<String>,
    /// The Pythons that it is run on.
    #[serde(default, skip_serializing_if = "Pythons::is_all")]
    pub on: Pythons,
    /// How many times it is run on each.
    #[serde(default = "once", skip_serializing_if = "is_once")]
    pub times: u32,
    /// What must come of it, each time.
    pub expect: Comes,
}

fn once() -> u32 {
    1
}

fn is_once(times: &u32) -> bool {
    *times == 1
}

/// Some of the Pythons that were found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Pythons {
    /// All.
    #[default]
    All,
    /// Those of version 2.
    Python2,
    /// Those of version 3.
    Python3,
    /// The newest alone, and in a full run only: it takes long.
    Newest,
}

impl Pythons {
    fn is_all(&self) -> bool {
        *self == Self::All
    }
}

/// What must come of an experiment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Comes {
    /// The parent ends well, and this is the last line that it says.
    Says(String),
    /// The parent hangs.
    Hangs(Stands),
}

/// Where a hang stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Stands {
    /// What the diagnosis must say.
    pub class: Class,
    /// Bytes that the chatty child's writes to stdout have completed; not asked of other children.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stdout: Option<u64>,
    /// The same of stderr.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stderr: Option<u64>,
}

/// A claim, and what came of its experiments.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Settled {
    /// The claim.
    pub claim: Claim,
    /// One for each experiment, Python and time, in this order.
    pub trials: Vec<Trial>,
}

/// One experiment under one Python.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Trial {
    /// The place of the experiment in its claim.
    pub experiment: usize,
    /// The version of the Python: `3.13.0`.
    pub python: Untrusted,
    /// What came of it.
    pub came: Came,
}

/// What came of an experiment.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "is")]
pub enum Came {
    /// The parent ended.
    Ended {
        /// Its exit code, or minus the number of the signal that killed it.
        code: i32,
        /// The last line that it said.
        said: Untrusted,
    },
    /// It hung.
    Hung {
        /// What is known of it.
        hang: Hang,
        /// What the chatty child had written.
        written: Written,
    },
    /// Something is missing that it needs.
    Skipped {
        /// What.
        why: Untrusted,
    },
    /// The experiment itself went wrong.
    Broken {
        /// What was tried, and why it failed.
        why: Untrusted,
    },
}

/// Whether a claim is settled as its verdict says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// All that was run came out as expected.
    Holds,
    /// Nothing was run: no Python, or what the experiments need is missing.
    NotRun,
    /// Something came out differently.
    Differs,
}

impl Settled {
    /// See [`Standing`]. An experiment that was skipped settles nothing, and contradicts nothing.
    #[must_use]
    pub fn standing(&self) -> Standing {
        let ran = |trial: &&Trial| !matches!(trial.came, Came::Skipped { .. });
        if !self.differing().is_empty() {
            Standing::Differs
        } else if self.trials.iter().any(|trial| ran(&trial)) {
            Standing::Holds
        } else {
            Standing::NotRun
        }
    }

    /// The trials that came out differently.
    #[must_use]
    pub fn differing(&self) -> Vec<&Trial> {
        let differs = |trial: &&Trial| {
            let expected = self.claim.experiments.get(trial.experiment);
            !expected.is_some_and(|experiment| experiment.expect.allows(&trial.came))
        };
        self.trials.iter().filter(differs).collect()
    }
}

impl Comes {
    /// Whether this is what must come; of what was skipped nothing can be said.
    #[must_use]
    pub fn allows(&self, came: &Came) -> bool {
        match (self, came) {
            (_, Came::Skipped { .. }) => true,
            (_, Came::Broken { .. })
            | (Self::Says(_), Came::Hung { .. })
            | (Self::Hangs(_), Came::Ended { .. }) => false,
            (Self::Says(line), Came::Ended { code, said }) => {
                *code == 0 && said.as_bytes() == line.as_bytes()
            }
            (Self::Hangs(stands), Came::Hung { hang, written }) => stands.is(hang, *written),
        }
    }
}

impl Stands {
    fn is(&self, hang: &Hang, written: Written) -> bool {
        let diagnosed = hang.diagnosis.as_ref().is_some_and(|report| {
            report.class == Some(self.class) && is_settled(report.verdict, report.confidence)
        });
        diagnosed
            && self.stdout.is_none_or(|bytes| bytes == written.stdout)
            && self.stderr.is_none_or(|bytes| bytes == written.stderr)
    }
}

/// A deadlock must be proven; a leak names its holder, and is as sure as it gets.
fn is_settled(verdict: VerdictName, confidence: Confidence) -> bool {
    match verdict {
        VerdictName::Deadlocked => confidence == Confidence::Proven,
        VerdictName::Leaked => true,
        VerdictName::Stalled
        | VerdictName::Stopped
        | VerdictName::Waiting
        | VerdictName::Progressing
        | VerdictName::Unproven => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn claim(expect: Comes) -> Claim {
        Claim {
            id: "a-claim".to_owned(),
            source: Source::Post,
            claim: "It hangs.".to_owned(),
            verdict: Holds::Confirmed,
            sentence: "It does.".to_owned(),
            experiments: vec![Experiment {
                parent: "parent.py".to_owned(),
                arguments: Vec::new(),
                child: Vec::new(),
                on: Pythons::All,
                times: 1,
                expect,
            }],
        }
    }

    fn settled(expect: Comes, came: Vec<Came>) -> Standing {
        let trials = came.into_iter().map(|came| Trial {
            experiment: 0,
            python: Untrusted::from("3.13.0"),
            came,
        });
        Settled {
            claim: claim(expect),
            trials: trials.collect(),
        }
        .standing()
    }

    fn ended(code: i32, said: &str) -> Came {
        Came::Ended {
            code,
            said: Untrusted::from(said),
        }
    }

    fn hung() -> Came {
        Came::Hung {
            hang: Hang {
                ended_by: crate::outcome::EndedBy::Deadline,
                after_ms: 20_000,
                blocked: Vec::new(),
                diagnosis: None,
            },
            written: Written::default(),
        }
    }

    #[test]
    fn what_was_said_must_be_what_is_expected_to_the_letter() {
        let expect = || Comes::Says("10 bytes".to_owned());
        for (came, standing) in [
            (ended(0, "10 bytes"), Standing::Holds),
            (ended(0, "11 bytes"), Standing::Differs),
            (ended(1, "10 bytes"), Standing::Differs),
            (hung(), Standing::Differs),
        ] {
            assert_eq!(settled(expect(), vec![came]), standing);
        }
    }

    #[test]
    fn a_hang_without_a_diagnosis_settles_nothing() {
        let expect = Comes::Hangs(Stands {
            class: Class::WaitThenRead,
            stdout: None,
            stderr: None,
        });
        assert_eq!(settled(expect, vec![hung()]), Standing::Differs);
    }

    #[test]
    fn one_that_differs_is_not_outvoted() {
        let expect = Comes::Says("10 bytes".to_owned());
        let came = vec![ended(0, "10 bytes"), ended(0, ""), ended(0, "10 bytes")];
        assert_eq!(settled(expect, came), Standing::Differs);
    }

    #[test]
    fn what_was_skipped_is_not_counted_as_run() {
        let skipped = || Came::Skipped {
            why: Untrusted::from("no pexpect"),
        };
        let expect = || Comes::Says("10 bytes".to_owned());
        assert_eq!(settled(expect(), vec![skipped()]), Standing::NotRun);
        assert_eq!(settled(expect(), Vec::new()), Standing::NotRun);
        let with_one = vec![skipped(), ended(0, "10 bytes")];
        assert_eq!(settled(expect(), with_one), Standing::Holds);
    }
}
