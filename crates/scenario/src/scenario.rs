//! A script, the stdin it is given, and what must come of it under each strategy.
//!
//! A file of `fixtures/scenarios` holds one scenario or a family of them ([`crate::family`]); its name is the
//! file's. Expectations are rules, tried in order: the first whose strategies and condition fit decides, and a strategy
//! that no rule fits is an error, so nothing is expected by omission.

use pipeclog_waitgraph::class::Class;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::bound::{Limit, LimitPolicy};
use crate::expect::Expect;
use crate::family::{self, Axis, FamilyError};
use crate::plan::AfterExit;
use crate::predict::{self, PipeFacts, Prediction};
use crate::script::{Op, Script, ScriptError, Size, StdinOp, Stream, Times};
use crate::strategy::{Kind, Strategy};

/// One scenario, expanded.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Scenario {
    /// `family/point`, or the file's name alone.
    pub name: String,
    /// The name without its size: scenarios of one row differ in the value of the axis `size` alone.
    pub row: String,
    /// The value of the axis `size`, if the family has one.
    pub size: Option<Size>,
    /// The class of hang, or of look-alike, that it acts out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub class: Option<Class>,
    /// What it shows, in one line.
    pub title: String,
    /// The real program or report that it imitates.
    pub imitates: String,
    /// Where that is documented: repository#thread, man page, post.
    pub references: Vec<String>,
    /// What the child does.
    pub script: Script,
    /// Bytes of pattern given to the child's stdin; nothing means `/dev/null`.
    pub stdin: Option<Size>,
    /// Names of FIFOs that stand in the child's working directory.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub fifos: Vec<String>,
    /// How the parent is told to capture.
    pub parent: Parent,
    /// What becomes of descendants that live on when the parent has ended.
    pub descendants: Descendants,
    /// What must come of it.
    pub rules: Vec<Rule>,
}

/// What a trial does about descendants that live on when the parent has ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Descendants {
    /// They are killed at once: they would live for long, and nothing is asked of them.
    #[default]
    Killed,
    /// They end by themselves soon; the trial waits for that, and sees whether one was harmed.
    Awaited,
}

/// Options of the parent, as `pipeclog capture` takes them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Parent {
    /// What ends the capture after the leader's exit (`--end`); `eof` if left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub end: Option<AfterExit>,
    /// The deadline of the capture in milliseconds (`--deadline`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deadline_ms: Option<u64>,
    /// The limit on kept bytes per stream (`--limit`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<Size>,
    /// What happens to bytes past the limit (`--limit-policy`); `head` if left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit_policy: Option<LimitPolicy>,
    /// What is killed (`--kill`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kill: Option<String>,
    /// What becomes of a background descendant's stream (`--background`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub background: Option<String>,
}

/// What is expected of some strategies, perhaps under a condition.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rule {
    /// The strategies that it speaks of.
    pub strategies: Select,
    /// The condition under which it holds; none holds always.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub when: Option<Condition>,
    /// What must come of the trial.
    pub expect: Expect,
}

/// Strategies by kind or by name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Select {
    /// Every strategy.
    All,
    /// Those that can hang by their own making.
    Hazards,
    /// Those that cannot.
    Safe,
    /// These.
    #[serde(untagged)]
    Named(Vec<Strategy>),
}

/// What a rule's script must write for the rule to hold; every part that is given must be true.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Condition {
    /// The script writes more than this to stdout.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stdout_over: Option<Size>,
    /// The script writes more than this to stderr.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stderr_over: Option<Size>,
    /// The script writes more than this to one stream or to both.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub either_over: Option<Size>,
    /// The script writes more than this to both streams together.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub total_over: Option<Size>,
    /// The scenario's stdin is larger than this.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stdin_over: Option<Size>,
}

/// Scripts of more steps (nearly all of which are write(2) calls) are in the slow tier: 65,537 writes of one byte are
/// not, 64 MiB in lines of 80 bytes are.
const STEPS_OF_A_QUICK_SCENARIO: usize = 140_000;

/// The axis that tables fold into one row.
const SIZE_AXIS: &str = "size";

/// A file of `fixtures/scenarios`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(default)]
    class: Option<Class>,
    title: String,
    imitates: String,
    references: Vec<String>,
    #[serde(default)]
    axes: Vec<Axis>,
    script: Value,
    #[serde(default)]
    stdin: Value,
    #[serde(default)]
    fifos: Vec<String>,
    #[serde(default)]
    parent: Value,
    #[serde(default)]
    descendants: Descendants,
    rules: Value,
}

/// Why a file holds no scenarios.
#[derive(Debug, thiserror::Error)]
pub enum ScenarioError {
    /// The file as a whole is not of the form.
    #[error("{file}: not a scenario file: {cause}")]
    Form {
        /// The file's name.
        file: String,
        /// Where and why.
        cause: serde_json::Error,
    },
    /// Its axes cannot be expanded.
    #[error("{file}: {cause}")]
    Family {
        /// The file's name.
        file: String,
        /// Which and why.
        cause: FamilyError,
    },
    /// A point of the family is not of the form.
    #[error("{scenario}: {part}: {cause}")]
    Point {
        /// The scenario's name.
        scenario: String,
        /// `script`, `stdin`, `parent` or `rules`.
        part: &'static str,
        /// Why.
        cause: serde_json::Error,
    },
    /// The script asks for what cannot be done.
    #[error("{scenario}: {cause}")]
    Script {
        /// The scenario's name.
        scenario: String,
        /// Which operation and why.
        cause: ScriptError,
    },
    /// Two points have one name.
    #[error(
        "{scenario}: two points of the family have this name: give their values different labels"
    )]
    Twice {
        /// The scenario's name.
        scenario: String,
    },
    /// A strategy for which nothing is expected.
    #[error(
        "{scenario}: no rule says what is expected of {strategy}: add one, or a last rule for \"all\""
    )]
    Unruled {
        /// The scenario's name.
        scenario: String,
        /// The strategy.
        strategy: Strategy,
    },
    /// A rule that never decides.
    #[error(
        "{file}: rule {rule} decides about no scenario and no strategy: remove it, or move it up"
    )]
    IdleRule {
        /// The file's name.
        file: String,
        /// Its place, from 0.
        rule: usize,
    },
}

/// Reads the scenarios of one file. `file` is its name without `.json`.
///
/// # Errors
///
/// If the text is not of the form, a point cannot be made, a strategy has no rule, or a rule is never used.
pub fn read_family(file: &str, text: &str) -> Result<Vec<Scenario>, ScenarioError> {
    let form = |cause| ScenarioError::Form {
        file: file.to_owned(),
        cause,
    };
    let family = |cause| ScenarioError::Family {
        file: file.to_owned(),
        cause,
    };
    let parsed: File = serde_json::from_str(text).map_err(form)?;
    let templates = [&parsed.script, &parsed.stdin, &parsed.parent, &parsed.rules];
    family::check_used(&parsed.axes, &templates).map_err(family)?;
    let mut scenarios: Vec<Scenario> = Vec::new();
    for point in family::points(&parsed.axes).map_err(family)? {
        let named = |label: String| {
            if label.is_empty() {
                file.to_owned()
            } else {
                format!("{file}/{label}")
            }
        };
        let name = named(point.name(&parsed.axes, ""));
        if scenarios.iter().any(|other| other.name == name) {
            return Err(ScenarioError::Twice { scenario: name });
        }
        let fill = |template| point.fill(template).map_err(family);
        let parent = fill(&parsed.parent)?;
        let scenario = Scenario {
            script: script_of(&name, fill(&parsed.script)?)?,
            stdin: part_of(&name, "stdin", fill(&parsed.stdin)?)?,
            parent: if parent.is_null() {
                Parent::default()
            } else {
                part_of(&name, "parent", parent)?
            },
            rules: part_of(&name, "rules", fill(&parsed.rules)?)?,
            row: named(point.name(&parsed.axes, SIZE_AXIS)),
            size: part_of(&name, SIZE_AXIS, point.value(SIZE_AXIS))?,
            fifos: parsed.fifos.clone(),
            descendants: parsed.descendants,
            name,
            class: parsed.class,
            title: parsed.title.clone(),
            imitates: parsed.imitates.clone(),
            references: parsed.references.clone(),
        };
        scenarios.push(scenario);
    }
    check_rules(file, &scenarios)?;
    Ok(scenarios)
}

/// Reads one scenario that was written as it is held, by `--repro`. `file` is said where it is not of the form.
///
/// # Errors
///
/// As of [`read_family`].
pub fn read_one(file: &str, text: &str) -> Result<Scenario, ScenarioError> {
    let form = |cause| ScenarioError::Form {
        file: file.to_owned(),
        cause,
    };
    let scenario: Scenario = serde_json::from_str(text).map_err(form)?;
    scenario
        .script
        .check()
        .map_err(|cause| ScenarioError::Script {
            scenario: scenario.name.clone(),
            cause,
        })?;
    check_rules(file, std::slice::from_ref(&scenario))?;
    Ok(scenario)
}

fn part_of<T: for<'de> Deserialize<'de>>(
    scenario: &str,
    part: &'static str,
    value: Value,
) -> Result<T, ScenarioError> {
    serde_json::from_value(value).map_err(|cause| ScenarioError::Point {
        scenario: scenario.to_owned(),
        part,
        cause,
    })
}

fn script_of(scenario: &str, value: Value) -> Result<Script, ScenarioError> {
    let script: Script = part_of(scenario, "script", value)?;
    script.check().map_err(|cause| ScenarioError::Script {
        scenario: scenario.to_owned(),
        cause,
    })?;
    Ok(script)
}

fn check_rules(file: &str, scenarios: &[Scenario]) -> Result<(), ScenarioError> {
    let rules = scenarios.first().map_or(0, |scenario| scenario.rules.len());
    let mut decides = vec![false; rules];
    for scenario in scenarios {
        for strategy in Strategy::ALL {
            let rule = scenario
                .rule(strategy)
                .ok_or_else(|| ScenarioError::Unruled {
                    scenario: scenario.name.clone(),
                    strategy,
                })?;
            if let Some(decided) = decides.get_mut(rule) {
                *decided = true;
            }
        }
    }
    match decides.iter().position(|decided| !decided) {
        Some(rule) => Err(ScenarioError::IdleRule {
            file: file.to_owned(),
            rule,
        }),
        None => Ok(()),
    }
}

impl Scenario {
    /// What must come of this scenario under `strategy`; nothing only for a scenario that [`read_family`] did not
    /// make.
    #[must_use]
    pub fn expectation(&self, strategy: Strategy) -> Option<&Expect> {
        self.rules
            .get(self.rule(strategy)?)
            .map(|rule| &rule.expect)
    }

    fn rule(&self, strategy: Strategy) -> Option<usize> {
        self.rules
            .iter()
            .position(|rule| rule.strategies.has(strategy) && self.fits(rule.when))
    }

    fn fits(&self, condition: Option<Condition>) -> bool {
        let Some(Condition {
            stdout_over,
            stderr_over,
            either_over,
            total_over,
            stdin_over,
        }) = condition
        else {
            return true;
        };
        let Asked { stdout, stderr, .. } = Asked::of(&self.script.ops, self.stdin_len());
        let over = |bound: Option<Size>, bytes: u64| bound.is_none_or(|bound| bytes > bound.0);
        over(stdout_over, stdout)
            && over(stderr_over, stderr)
            && over(either_over, stdout.max(stderr))
            && over(total_over, stdout + stderr)
            && over(stdin_over, self.stdin_len())
    }

    /// Whether its script makes more system calls than a quick run has time for. An endless one is ended by its trial.
    #[must_use]
    pub fn is_slow(&self) -> bool {
        Asked::of(&self.script.ops, 0).endless == Repeats::Finite
            && self.script.steps().nth(STEPS_OF_A_QUICK_SCENARIO).is_some()
    }

    /// What the model foretells under `strategy`, on a machine whose pipes are as `facts` say.
    #[must_use]
    pub fn foretell(&self, strategy: Strategy, facts: PipeFacts) -> Prediction {
        let options = &self.parent;
        let parent = predict::Parent {
            strategy,
            after_exit: options.end.unwrap_or(AfterExit::EndOfFile),
            stdin_bytes: self.stdin.map(|size| size.0),
            deadline_us: options.deadline_ms.map(|ms| ms.saturating_mul(1000)),
            limit: options.limit.map(|size| Limit {
                bytes: size.0,
                policy: options.limit_policy.unwrap_or(LimitPolicy::Head),
            }),
        };
        predict::predict(&self.script, &parent, facts)
    }

    /// Bytes of stdin that the parent is given.
    #[must_use]
    pub fn stdin_len(&self) -> u64 {
        self.stdin.map_or(0, |size| size.0)
    }
}

/// What operations ask to be written, summed up without making their steps: conditions are tried for every strategy, and
/// 64 MiB byte by byte has as many steps.
struct Asked {
    stdout: u64,
    stderr: u64,
    endless: Repeats,
}

#[derive(PartialEq)]
enum Repeats {
    Finite,
    Endless,
}

impl Asked {
    fn of(ops: &[Op], stdin_len: u64) -> Self {
        let mut asked = Self {
            stdout: 0,
            stderr: 0,
            endless: Repeats::Finite,
        };
        for op in ops {
            match op {
                Op::Write(write) => asked.add(write.stdout.0, write.stderr.0),
                Op::Prompt {
                    text,
                    stream: Stream::Stdout,
                } => asked.add(text.len() as u64, 0),
                Op::Prompt {
                    text,
                    stream: Stream::Stderr,
                } => asked.add(0, text.len() as u64),
                Op::Stdin {
                    action: StdinOp::Echo,
                    ..
                } => asked.add(stdin_len, 0),
                Op::Repeat {
                    times: Times::Times(times),
                    ops,
                } => asked.include(Self::of(ops, stdin_len), *times),
                Op::Repeat {
                    times: Times::Endless(_),
                    ..
                } => asked.endless = Repeats::Endless,
                other => asked.include(Self::of(other.inner(), stdin_len), 1),
            }
        }
        asked
    }

    fn add(&mut self, stdout: u64, stderr: u64) {
        self.stdout = self.stdout.saturating_add(stdout);
        self.stderr = self.stderr.saturating_add(stderr);
    }

    fn include(&mut self, inner: Self, times: u64) {
        self.add(
            inner.stdout.saturating_mul(times),
            inner.stderr.saturating_mul(times),
        );
        if inner.endless == Repeats::Endless {
            self.endless = Repeats::Endless;
        }
    }
}

impl Select {
    /// Whether it names `strategy`.
    #[must_use]
    pub fn has(&self, strategy: Strategy) -> bool {
        match self {
            Self::All => true,
            Self::Hazards => strategy.kind() == Kind::Hazard,
            Self::Safe => strategy.kind() == Kind::Safe,
            Self::Named(names) => names.contains(&strategy),
        }
    }
}
