//! `pipeclog prove`: the matrix of scenarios and strategies, run and shown.

use std::fs::File;
use std::io;
use std::process::ExitCode;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use anstream::println;
use anyhow::Context as _;
use indicatif::{ProgressBar, ProgressStyle};
use pipeclog_harness::pool::Pool;
use pipeclog_harness::{cell, fixtures};
use pipeclog_report::matrix::Matrix;
use pipeclog_scenario::outcome::{Agreement, Cell, Results, SCHEMA_VERSION};
use pipeclog_scenario::predict::PipeFacts;
use pipeclog_scenario::scenario::Scenario;
use pipeclog_scenario::strategy::Strategy;

use crate::args::Prove;
use crate::table;

/// A trial to run.
struct Trial<'a> {
    scenario: &'a Scenario,
    strategy: Strategy,
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
    let jobs = args
        .jobs
        .or_else(|| std::thread::available_parallelism().ok())
        .map_or(1, |jobs| jobs.get());
    let cells = run_all(&trials, jobs)?;
    if let Some(path) = &args.json {
        let results = Results {
            schema_version: SCHEMA_VERSION,
            cells: cells.clone(),
        };
        let write =
            || serde_json::to_writer_pretty(File::create(path)?, &results).map_err(io::Error::from);
        write().with_context(|| format!("failed to write the results to {}", path.display()))?;
    }
    Ok(show(&cells))
}

/// The trials that the arguments name. A filter that fits none is an error, or a slip of the pen would pass as proof.
fn select<'a>(scenarios: &'a [Scenario], args: &Prove) -> anyhow::Result<Vec<Trial<'a>>> {
    let mut trials = Vec::new();
    for scenario in scenarios {
        if scenario.is_slow() && !args.slow {
            continue;
        }
        for strategy in Strategy::ALL {
            let name = format!("{}/{strategy}", scenario.name);
            if args.filters.iter().all(|filter| name.contains(filter)) {
                trials.push(Trial { scenario, strategy });
            }
        }
    }
    if trials.is_empty() {
        anyhow::bail!(
            "no trial's name contains {}: `pipeclog prove --list` shows them all (with --slow, the slow tier too)",
            args.filters
                .iter()
                .map(|filter| format!("{filter:?}"))
                .collect::<Vec<_>>()
                .join(" and ")
        );
    }
    Ok(trials)
}

/// Runs trials in `jobs` workers; the cells are in the order of the trials.
fn run_all(trials: &[Trial<'_>], jobs: usize) -> anyhow::Result<Vec<Cell>> {
    let program = std::env::current_exe().context("failed to find this program's own file")?;
    let pool = Pool::new(program);
    let bar = progress(trials.len());
    let next = AtomicUsize::new(0);
    let cells: Mutex<Vec<(usize, Cell)>> = Mutex::new(Vec::with_capacity(trials.len()));
    std::thread::scope(|scope| {
        for _ in 0..jobs {
            scope.spawn(|| {
                while let Some((index, trial)) = take(trials, &next) {
                    let cell = cell::run(&pool, trial.scenario, trial.strategy, PipeFacts::USUAL);
                    bar.inc(1);
                    let mut cells = cells
                        .lock()
                        .unwrap_or_else(std::sync::PoisonError::into_inner);
                    cells.extend(cell.map(|cell| (index, cell)));
                }
            });
        }
    });
    bar.finish_and_clear();
    let mut cells = cells
        .into_inner()
        .unwrap_or_else(std::sync::PoisonError::into_inner);
    cells.sort_by_key(|(index, _)| *index);
    Ok(cells.into_iter().map(|(_, cell)| cell).collect())
}

fn take<'a, 'b>(trials: &'b [Trial<'a>], next: &AtomicUsize) -> Option<(usize, &'b Trial<'a>)> {
    let index = next.fetch_add(1, Ordering::Relaxed);
    trials.get(index).map(|trial| (index, trial))
}

/// On stderr, and only if that is a terminal.
fn progress(trials: usize) -> ProgressBar {
    let bar = ProgressBar::new(trials as u64);
    if let Ok(style) =
        ProgressStyle::with_template("{bar:30} {pos}/{len} trials, {elapsed} so far, {eta} to go")
    {
        bar.set_style(style);
    }
    bar.enable_steady_tick(Duration::from_millis(200));
    bar
}

/// The table, what is not as expected, and the count; says whether all is well.
fn show(cells: &[Cell]) -> ExitCode {
    let matrix = Matrix::new(cells);
    println!("{}", table::render(&matrix, table::terminal_width()));
    let count = |agreement| {
        cells
            .iter()
            .filter(|cell| cell.agreement() == agreement)
            .count()
    };
    for cell in cells
        .iter()
        .filter(|cell| cell.agreement() == Agreement::Differs)
    {
        println!(
            "{}/{}: {}; expected: {}{}",
            cell.scenario,
            cell.strategy,
            cell.outcome.verdict,
            cell.expected,
            cell.contradiction()
                .map_or_else(String::new, |foretold| format!("; {foretold}"))
        );
    }
    let (agree, differ, skipped) = (
        count(Agreement::Agrees),
        count(Agreement::Differs),
        count(Agreement::Skipped),
    );
    println!("{agree} trials as expected, {differ} not, {skipped} skipped");
    ExitCode::from(if differ == 0 {
        0
    } else {
        crate::NOT_AS_EXPECTED
    })
}
