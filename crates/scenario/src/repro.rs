//! A hang of the same class as one that was met, to act out at will.

use pipeclog_waitgraph::class::Class;

use crate::expect::{Expect, ExpectedHang};
use crate::scenario::{Rule, Scenario, Select};
use crate::strategy::Strategy;

/// The simplest of `scenarios` of which the engine names `class`, under the strategy that makes it so, and under no other; `None` where
/// no scenario acts that class out.
///
/// It is the class that is the same: who waits for whom by which call. Processes beyond that, their names and their bytes are not those
/// that were met.
#[must_use]
pub fn of(scenarios: &[Scenario], class: Class) -> Option<(Scenario, Strategy)> {
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
    repro.rules = vec![
        Rule {
            strategies: Select::Named(vec![strategy]),
            when: None,
            expect: Expect::Hangs(hang.clone()),
        },
        Rule {
            strategies: Select::All,
            when: None,
            expect: Expect::NotApplicable {
                why: format!("it acts out {class} under {strategy} alone"),
            },
        },
    ];
    Some((repro, strategy))
}

/// What the engine calls it.
fn named(hang: &ExpectedHang) -> Class {
    hang.engine
        .as_ref()
        .map_or(hang.class, |engine| engine.class)
}
