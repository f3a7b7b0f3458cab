//! A hang that was met, to act out at will: with the same wait-for graph, or at least of the same class.

mod knot;
mod staged;

use pipeclog_waitgraph::class::Class;
use pipeclog_waitgraph::report::{Report, ReportMember, VerdictName};
use pipeclog_waitgraph::snapshot::Snapshot;

use crate::expect::{Expect, ExpectedHang, Told};
use crate::scenario::{Descendants, Parent, Rule, Scenario, Select};
use crate::script::{Op, Script};
use crate::shape::Shape;
use crate::strategy::Strategy;

/// Why a graph cannot be acted out.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{why}")]
pub struct CannotAct {
    why: String,
}

impl CannotAct {
    fn new(why: impl Into<String>) -> Self {
        Self { why: why.into() }
    }
}

/// What is put on a stage.
struct Act {
    script: Script,
    fifos: Vec<String>,
    strategy: Strategy,
    told: Told,
}

/// A scenario in which the same processes wait for each other, by the same calls and over the same kinds of channels, as in the gravest
/// finding of `report`. `look` is the last of the looks that the report stands on.
///
/// A deadlock, and a wait, become a knot of processes of their own, for which the capture's parent only waits; a leak and a stall are about what the
/// parent of a capture does, and need it.
///
/// # Errors
/// Where a call or a channel of it is none that the child of a scenario can make, or too little is known.
pub fn of_graph(report: &Report, look: &Snapshot) -> Result<Scenario, CannotAct> {
    let report = report.by_gravity().first().copied().unwrap_or(report);
    let class = report
        .class
        .ok_or_else(|| CannotAct::new("what it hangs on has no class"))?;
    let act = match report.verdict {
        VerdictName::Deadlocked => knot::of_deadlock(report, look)?,
        VerdictName::Stopped => knot::of_chain(report, look, Told::Stopped)?,
        VerdictName::Waiting => knot::of_chain(report, look, Told::Waiting)?,
        VerdictName::Leaked => staged::leak(report)?,
        VerdictName::Stalled => staged::stall(report)?,
        VerdictName::Progressing | VerdictName::Unproven => {
            return Err(CannotAct::new(format!(
                "{} is no hang to act out",
                report.verdict.word()
            )));
        }
    };
    act.script
        .check()
        .map_err(|error| CannotAct::new(error.to_string()))?;
    let hang = ExpectedHang {
        shape: Some(Shape::of(report)),
        ..ExpectedHang::new(class, act.told)
    };
    let name = format!("repro-of-{}-{class}", word(report));
    Ok(Scenario {
        row: name.clone(),
        name,
        size: None,
        class: Some(class),
        title: report.headline.clone(),
        imitates: imitates(report),
        references: vec!["pipeclog --repro".to_owned()],
        script: act.script,
        stdin: None,
        fifos: act.fifos,
        parent: Parent::default(),
        descendants: Descendants::Killed,
        rules: rules(hang, act.strategy),
    })
}

/// The simplest of `scenarios` of which the engine names `class`, under the strategy that makes it so, and under no other; `None` where
/// no scenario acts that class out.
///
/// It is the class alone that is the same: processes, calls and channels are those of the scenario.
#[must_use]
pub fn of_class(scenarios: &[Scenario], class: Class) -> Option<(Scenario, Strategy)> {
    let hangs = scenarios
        .iter()
        .filter(|scenario| !scenario.is_slow())
        .flat_map(|scenario| Strategy::ALL.map(|strategy| (scenario, strategy)))
        .filter_map(
            |(scenario, strategy)| match scenario.expectation(strategy) {
                Some(Expect::Hangs(hang)) if named(hang) == class => {
                    Some((scenario, strategy, hang))
                }
                _ => None,
            },
        );
    // The surest first, then the one that writes least; the first of those that are alike.
    let (scenario, strategy, hang) =
        hangs.min_by_key(|(scenario, _, hang)| (hang.told, scenario.size))?;
    let mut repro = scenario.clone();
    repro.name = format!("same-class-{class}");
    repro.row.clone_from(&repro.name);
    repro.rules = rules(hang.clone(), strategy);
    Some((repro, strategy))
}

/// It hangs under `strategy`, and is not run under any other.
fn rules(hang: ExpectedHang, strategy: Strategy) -> Vec<Rule> {
    let why = format!("it acts out {} under {strategy} alone", hang.class);
    vec![
        Rule {
            strategies: Select::Named(vec![strategy]),
            when: None,
            expect: Expect::Hangs(hang),
        },
        Rule {
            strategies: Select::All,
            when: None,
            expect: Expect::NotApplicable { why },
        },
    ]
}

/// What the engine calls it.
fn named(hang: &ExpectedHang) -> Class {
    hang.engine
        .as_ref()
        .map_or(hang.class, |engine| engine.class)
}

/// The name of the process that was asked about, as far as a name of a scenario can have it.
fn word(report: &Report) -> String {
    let name = report.target.name.escaped();
    let plain = |c: char| if c.is_ascii_alphanumeric() { c } else { '-' };
    let word: String = name.chars().take(15).map(plain).collect();
    match word.is_empty() {
        true => "unnamed".to_owned(),
        false => word,
    }
}

/// Those who take part, by name: what they were.
fn imitates(report: &Report) -> String {
    let who = |member: &ReportMember| format!("{} in {}", member.actor.name.escaped(), member.call);
    let told: Vec<String> = report
        .members
        .iter()
        .filter(|m| m.in_loop)
        .map(who)
        .collect();
    told.join(", ")
}

fn act(ops: Vec<Op>, strategy: Strategy, told: Told) -> Act {
    Act {
        script: Script::new(ops),
        fifos: Vec::new(),
        strategy,
        told,
    }
}
