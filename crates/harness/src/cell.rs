//! One cell of the table: what is expected, what is foretold, and what comes.

use pipeclog_scenario::expect::Expect;
use pipeclog_scenario::outcome::Cell;
use pipeclog_scenario::predict::PipeFacts;
use pipeclog_scenario::scenario::Scenario;
use pipeclog_scenario::strategy::Strategy;

use crate::pool::{Pool, Request};

/// Runs a scenario under a strategy, and foretells it; nothing if no rule of the scenario speaks of the strategy.
pub fn run(pool: &Pool, scenario: &Scenario, strategy: Strategy, facts: PipeFacts) -> Option<Cell> {
    let expected = scenario.expectation(strategy)?.clone();
    let request = Request {
        scenario: scenario.clone(),
        strategy,
    };
    Some(Cell {
        scenario: scenario.name.clone(),
        row: scenario.row.clone(),
        size: scenario.size.map(|size| size.0),
        strategy,
        predicted: match expected {
            Expect::NotApplicable { .. } => None,
            Expect::Completes | Expect::CutShort | Expect::Hangs { .. } | Expect::Harms => {
                Some(scenario.foretell(strategy, facts))
            }
        },
        expected,
        outcome: pool.run(&request),
    })
}
