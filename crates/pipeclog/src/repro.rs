//! `--repro FILE`: a scenario that hangs as the program at hand does.

use std::path::Path;

use anyhow::Context as _;
use pipeclog_harness::fixtures;
use pipeclog_scenario::repro::{self, CannotAct};
use pipeclog_scenario::scenario::Scenario;
use pipeclog_scenario::shape::Shape;
use pipeclog_waitgraph::report::Report;
use pipeclog_waitgraph::snapshot::Snapshot;

use crate::run::replace;

/// A scenario that was written.
pub(crate) struct Repro {
    /// How like it is to what was met.
    pub(crate) likeness: Likeness,
    /// What it is, and how it is run.
    pub(crate) text: String,
}

/// How like a scenario is to what was met.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Likeness {
    /// The same processes wait for each other in the same way.
    Graph,
    /// Its class is the same, and no more than that.
    Class,
}

/// Writes it, and says how it is run. `looks` are those that the report stands on.
pub(crate) fn write(path: &Path, report: &Report, looks: &[Snapshot]) -> anyhow::Result<Repro> {
    let look = looks
        .last()
        .context("failed to write a scenario: nothing was seen")?;
    let told = report.by_gravity().first().copied().unwrap_or(report);
    match repro::of_graph(report, look) {
        Ok(scenario) => {
            save(path, &scenario)?;
            Ok(Repro {
                likeness: Likeness::Graph,
                text: format!(
                    "a scenario that acts out the same wait-for graph ({}) is in {1}: pipeclog prove --scenario {1}",
                    Shape::of(told),
                    path.display()
                ),
            })
        }
        Err(why) => same_class(path, told, &why),
    }
}

fn same_class(path: &Path, report: &Report, why: &CannotAct) -> anyhow::Result<Repro> {
    let class = report.class.with_context(|| {
        format!("failed to write a scenario: its wait-for graph cannot be acted out ({why}), and it has no class")
    })?;
    let scenarios = fixtures::scenarios().context("failed to read the built-in scenarios")?;
    let (scenario, strategy) = repro::of_class(&scenarios, class).with_context(|| {
        format!(
            "failed to write a scenario: its wait-for graph cannot be acted out ({why}), and no built-in scenario acts out {class} \
             (`pipeclog explain {class}` says what it is)"
        )
    })?;
    save(path, &scenario)?;
    Ok(Repro {
        likeness: Likeness::Class,
        text: format!(
            "its wait-for graph cannot be acted out: {why}; of the same class alone, {class}, under {strategy}, with processes and channels \
             of its own, there is a scenario in {0}: pipeclog prove --scenario {0}",
            path.display()
        ),
    })
}

fn save(path: &Path, scenario: &Scenario) -> anyhow::Result<()> {
    replace(path, &(serde_json::to_string_pretty(scenario)? + "\n"))
}
