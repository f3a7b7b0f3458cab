//! Every scenario under every strategy, each a test of its own: `cargo test --test matrix boundary/stdout`.
//!
//! A test runs the real thing in a worker process (parent, child and all) and passes if what came is what the
//! fixture expects. The watchdog stands in the worker, outside of this process, so a strategy that hangs cannot hang the tests.

#![expect(
    clippy::print_stdout,
    reason = "a trial that cannot run here is said to be skipped"
)]

use std::num::NonZero;
use std::path::PathBuf;
use std::sync::Arc;

use libtest_mimic::{Arguments, Failed, Trial};
use pipeclog_harness::pool::Pool;
use pipeclog_harness::{cell, fixtures, machine};
use pipeclog_scenario::expect::Expect;
use pipeclog_scenario::outcome::{Agreement, Verdict};
use pipeclog_scenario::predict::{Foretold, PipeFacts};
use pipeclog_scenario::scenario::Scenario;
use pipeclog_scenario::strategy::Strategy;

fn main() -> std::process::ExitCode {
    let mut arguments = Arguments::from_args();
    // Much of a trial is waiting: for a process to start, for a hang to be seen.
    let processors = std::thread::available_parallelism().map_or(1, NonZero::get);
    arguments.test_threads.get_or_insert(2 * processors);
    let pool = Arc::new(Pool::new(PathBuf::from(env!("CARGO_BIN_EXE_pipeclog"))));
    let machine = machine::describe(env!("CARGO_PKG_VERSION")).expect("a machine with pipes");
    let facts = machine::pipes(&machine).expect("pipes that the model takes");
    let scenarios = fixtures::scenarios().expect("fixtures/scenarios is well-formed");
    let floor = Trial::test("the model decides nearly every trial beforehand", {
        let scenarios = scenarios.clone();
        move || decides_nearly_all(&scenarios, facts)
    });
    let trials = scenarios
        .into_iter()
        .filter(|scenario| !scenario.is_slow())
        .flat_map(|scenario| {
            let scenario = Arc::new(scenario);
            Strategy::ALL.map(|strategy| (Arc::clone(&scenario), strategy))
        })
        .filter_map(|(scenario, strategy)| test(&pool, &scenario, strategy, facts))
        .chain([floor])
        .collect();
    let conclusion = libtest_mimic::run(&arguments, trials);
    // exit() runs no destructors: the workers end here.
    drop(pool);
    conclusion.exit_code()
}

/// The test of one cell; none where the combination means nothing.
fn test(
    pool: &Arc<Pool>,
    scenario: &Arc<Scenario>,
    strategy: Strategy,
    facts: PipeFacts,
) -> Option<Trial> {
    let expected = scenario.expectation(strategy)?;
    if matches!(expected, Expect::NotApplicable { .. }) {
        return None;
    }
    let (pool, scenario) = (Arc::clone(pool), Arc::clone(scenario));
    let name = format!("{}/{strategy}", scenario.name);
    Some(Trial::test(name, move || {
        run(&pool, &scenario, strategy, facts)
    }))
}

fn run(
    pool: &Pool,
    scenario: &Scenario,
    strategy: Strategy,
    facts: PipeFacts,
) -> Result<(), Failed> {
    let cell = cell::run(pool, scenario, strategy, facts).ok_or("no expectation")?;
    match cell.agreement() {
        Agreement::Agrees => Ok(()),
        Agreement::Skipped => {
            if let Verdict::Skipped { why } = &cell.outcome.verdict {
                println!("{}/{strategy}: skipped: {why}", scenario.name);
            }
            Ok(())
        }
        Agreement::Differs => {
            let foretold = cell.contradiction();
            let told = match (&cell.expected, &cell.outcome.verdict) {
                (Expect::Hangs(expected), Verdict::Hung(hang)) => expected.contradiction(hang),
                _ => None,
            };
            let lines = [
                Some(cell.outcome.verdict.to_string()),
                Some(format!("expected: {}", cell.expected)),
                told,
                foretold,
            ];
            Err(lines
                .into_iter()
                .flatten()
                .collect::<Vec<_>>()
                .join("\n")
                .into())
        }
    }
}

/// A model that excludes nothing would agree with everything.
fn decides_nearly_all(scenarios: &[Scenario], facts: PipeFacts) -> Result<(), Failed> {
    let predictions: Vec<_> = scenarios
        .iter()
        .filter(|scenario| !scenario.is_slow())
        .flat_map(|scenario| Strategy::ALL.map(|strategy| (scenario, strategy)))
        .filter(|(scenario, strategy)| {
            !matches!(
                scenario.expectation(*strategy),
                Some(Expect::NotApplicable { .. })
            )
        })
        .map(|(scenario, strategy)| scenario.foretell(strategy, facts))
        .collect();
    let counts: Foretold = predictions.iter().collect();
    let all = predictions.len() as u64;
    if counts.decided * 1000 < all * LEAST_DECIDED || counts.not_modelled * 1000 > all * MOST_OPEN {
        return Err(format!("of {all} only this is foretold: {counts:?}").into());
    }
    Ok(())
}

/// Of a thousand trials those for which one outcome is foretold. Where a descendant writes about when the child exits there are several.
const LEAST_DECIDED: u64 = 990;

/// Of a thousand those for which none is: they depend on the room in a socket, or on who is hung up with the terminal.
const MOST_OPEN: u64 = 5;
