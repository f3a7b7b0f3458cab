//! `pipeclog prove`: the matrix of scenarios and strategies, run and shown.

use std::process::ExitCode;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use anstream::{AutoStream, println};
use anyhow::Context as _;
use indicatif::{ProgressBar, ProgressStyle};
use pipeclog_harness::fixtures;
use pipeclog_harness::pool::{Pool, Request};
use pipeclog_report::matrix::Matrix;
use pipeclog_scenario::outcome::{Agreement, Cell, Results, SCHEMA_VERSION};
use pipeclog_scenario::scenario::{Expect, Scenario};
use pipeclog_scenario::strategy::Strategy;

use crate::args::Prove;
use crate::table::{self, Coloured};

/// A trial to run: a scenario, a strategy, and what is expected.
struct Trial<'a> {
    scenario: &'a Scenario,
    strategy: Strategy,
    expected: &'a Expect,
}

pub(crate) fn run(args: &Prove) -> anyhow::Result<ExitCode> {
    let scenarios = fixtures::scenarios().context("failed to read the built-in scenarios")?;
    let trials = select(&scenarios, args)?;
    if args.list {
        for trial in &trials {
            println!("{}/{}", trial.scenario.name, trial.strategy);
        }
        return Ok(ExitCode::SUCCESS);
    }
    let jobs = args.jobs.or_else(|| std::thread::available_parallelism().ok()).map_or(1, |jobs| jobs.get());
    let cells = run_all(&trials, jobs)?;
    if let Some(path) = &args.json {
        let results = Results { schema_version: SCHEMA_VERSION, cells: cells.clone() };
        let file = std::fs::File::create(path);
        file.map_err(Into::into)
            .and_then(|file| serde_json::to_writer_pretty(file, &results))
            .with_context(|| format!("failed to write the results to {}", path.display()))?;
    }
    Ok(show(&cells))
}
