//! Every scenario under every strategy, each a test of its own: `cargo test --test matrix boundary/stdout`.
//!
//! A test runs the real thing in a worker process (parent, child and all) and passes if what came is what the
//! fixture expects. The watchdog stands in the worker, outside of this process, so a strategy that hangs cannot hang the tests.

#![expect(
    clippy::print_stdout,
    reason = "a trial that cannot run here is said to be skipped"
)]

use std::path::PathBuf;
use std::sync::Arc;

use libtest_mimic::{Arguments, Failed, Trial};
use pipeclog_harness::pool::Pool;
use pipeclog_harness::{cell, fixtures};
use pipeclog_scenario::outcome::{Agreement, Verdict};
use pipeclog_scenario::predict::PipeFacts;
use pipeclog_scenario::scenario::{Expect, Scenario};
use pipeclog_scenario::strategy::Strategy;

fn main() -> std::process::ExitCode {
    let arguments = Arguments::from_args();
    let pool = Arc::new(Pool::new(PathBuf::from(env!("CARGO_BIN_EXE_pipeclog"))));
    let scenarios = fixtures::scenarios().expect("fixtures/scenarios is well-formed");
    let trials = scenarios
        .into_iter()
        .filter(|scenario| !scenario.is_slow())
        .flat_map(|scenario| {
            let scenario = Arc::new(scenario);
            Strategy::ALL.map(|strategy| (Arc::clone(&scenario), strategy))
        })
        .filter_map(|(scenario, strategy)| test(&pool, &scenario, strategy))
        .collect();
    let conclusion = libtest_mimic::run(&arguments, trials);
    // exit() runs no destructors: the workers end here.
    drop(pool);
    conclusion.exit_code()
}

/// The test of one cell; none where the combination means nothing.
fn test(pool: &Arc<Pool>, scenario: &Arc<Scenario>, strategy: Strategy) -> Option<Trial> {
    let expected = scenario.expectation(strategy)?;
    if matches!(expected, Expect::NotApplicable { .. }) {
        return None;
    }
    let (pool, scenario) = (Arc::clone(pool), Arc::clone(scenario));
    let name = format!("{}/{strategy}", scenario.name);
    Some(Trial::test(name, move || run(&pool, &scenario, strategy)))
}

fn run(pool: &Pool, scenario: &Scenario, strategy: Strategy) -> Result<(), Failed> {
    let cell = cell::run(pool, scenario, strategy, PipeFacts::USUAL).ok_or("no expectation")?;
    match cell.agreement() {
        Agreement::Agrees => Ok(()),
        Agreement::Skipped => {
            if let Verdict::Skipped { why } = &cell.outcome.verdict {
                println!("{}/{strategy}: skipped: {why}", scenario.name);
            }
            Ok(())
        }
        Agreement::Differs => {
            let foretold = cell.contradiction().unwrap_or_default();
            Err(format!(
                "{}; expected: {}; {foretold}",
                cell.outcome.verdict, cell.expected
            )
            .into())
        }
    }
}
