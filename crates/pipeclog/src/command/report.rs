//! `pipeclog report`: runs the matrix, the search for the boundary and the measurements, and writes REPORT.md.

use std::io::Write as _;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context as _;
use clap::Args;
use pipeclog_harness::pool::Pool;
use pipeclog_harness::throughput::{Duel, Peaks};
use pipeclog_harness::{boundary, cell, fixtures, machine, throughput};
use pipeclog_scenario::boundary::{Boundary, Layout};
use pipeclog_scenario::outcome::{self, Cell, Effort, Results, SCHEMA_VERSION};
use pipeclog_scenario::predict::PipeFacts;
use pipeclog_scenario::scenario::Scenario;
use pipeclog_scenario::script::{Op, Size, WriteSize};
use pipeclog_scenario::throughput::Throughput;

use crate::command::prove;
use crate::run::{self, Trial};

/// What to run, and where to write.
#[derive(Debug, Args)]
pub(crate) struct ReportArgs {
    /// Where the report goes. It is replaced only when the new one is whole.
    #[arg(long, short, value_name = "FILE", default_value = "REPORT.md")]
    output: PathBuf,
    /// Write every result, with its evidence and every sample, to this file.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Run a part that shows the same in about a minute.
    #[arg(long)]
    quick: bool,
    /// How many trials to run at a time; measurements are always run one at a time [default: one for each processor].
    #[arg(long, short, value_name = "N")]
    jobs: Option<NonZeroUsize>,
    /// Run nothing, and write the report of results that --json has written.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["quick", "jobs", "json"])]
    from: Option<PathBuf>,
}

/// The sizes of a quick run: the capacity of a pipe, and a byte more.
const QUICK_SIZES: [u64; 2] = [65_536, 65_537];
/// The write sizes of a quick run: a page, and the one that makes the least of a pipe.
const QUICK_WRITE_SIZES: [u64; 2] = [2049, 4096];
const QUICK_LAYOUTS: [Layout; 2] = [Layout::Stdout, Layout::Stderr];

pub(crate) fn run(args: &ReportArgs) -> anyhow::Result<ExitCode> {
    // Minutes of work come next: better to learn now that nothing can be written.
    for path in [Some(&args.output), args.json.as_ref()]
        .into_iter()
        .flatten()
    {
        run::check_place(path)?;
    }
    let results = match &args.from {
        Some(path) => read(path)?,
        None => measure(args)?,
    };
    write(&args.output, &pipeclog_report::markdown(&results))?;
    if let Some(path) = &args.json {
        run::write_json(path, &results)?;
    }
    prove::show(&results.cells);
    println!("the report is in {}", args.output.display());
    Ok(if results.all_as_expected() {
        ExitCode::SUCCESS
    } else {
        println!("not all is as expected: the report says what");
        ExitCode::from(crate::NOT_AS_EXPECTED)
    })
}

fn read(path: &Path) -> anyhow::Result<Results> {
    let failed = || format!("failed to read results from {}", path.display());
    let text = std::fs::read(path).with_context(failed)?;
    let results: Results = serde_json::from_slice(&text).with_context(failed)?;
    anyhow::ensure!(
        results.schema_version == SCHEMA_VERSION,
        "failed to read results from {}: they have version {}, and this program knows version {SCHEMA_VERSION}: \
         run the report anew",
        path.display(),
        results.schema_version
    );
    Ok(results)
}

fn measure(args: &ReportArgs) -> anyhow::Result<Results> {
    let effort = if args.quick {
        Effort::Quick
    } else {
        Effort::Full
    };
    let jobs = run::jobs(args.jobs);
    let machine = machine::describe(env!("CARGO_PKG_VERSION"))?;
    let facts = machine::pipes(&machine)?;
    let pool = run::pool()?;
    let cells = matrix(&pool, effort, jobs, facts)?;
    let boundaries = boundaries(&pool, effort, jobs, facts);
    let duels = throughput::duels(effort);
    let peaks = peaks(&pool, &duels);
    // The workers end here: what is measured now shall have the machine to itself.
    drop(pool);
    let throughput = duel(&duels, &peaks)?;
    Ok(Results {
        schema_version: SCHEMA_VERSION,
        effort: Some(effort),
        foretold: outcome::foretold(&cells),
        cells,
        boundaries,
        throughput: Some(throughput),
        machine: Some(machine),
    })
}

fn matrix(pool: &Pool, effort: Effort, jobs: usize, facts: PipeFacts) -> anyhow::Result<Vec<Cell>> {
    let scenarios = fixtures::scenarios().context("failed to read the built-in scenarios")?;
    let quick = scenarios.iter().filter(|scenario| !scenario.is_slow());
    let chosen: Vec<&Scenario> = match effort {
        Effort::Full => quick.collect(),
        Effort::Quick => representatives(&quick.collect::<Vec<_>>()),
    };
    let trials: Vec<Trial<'_>> = run::trials(chosen).collect();
    let bar = run::progress(trials.len(), "trials");
    let cells = run::each(&trials, jobs, &bar, |trial| {
        cell::run(pool, trial.scenario, trial.strategy, facts)
    });
    bar.finish_and_clear();
    Ok(cells.into_iter().flatten().collect())
}

/// Of a row with sizes around the boundary, those two; of a family with sizes that has writes of pages, those.
fn representatives<'a>(scenarios: &[&'a Scenario]) -> Vec<&'a Scenario> {
    let is_at_boundary = |scenario: &Scenario| {
        scenario
            .size
            .is_some_and(|size| QUICK_SIZES.contains(&size.0))
    };
    let has_boundary = |row: &str| {
        scenarios
            .iter()
            .any(|other| other.row == row && is_at_boundary(other))
    };
    let has_pages = |family: &str| {
        scenarios
            .iter()
            .any(|other| self::family(other) == family && writes_pages(other))
    };
    scenarios
        .iter()
        .copied()
        .filter(|scenario| is_at_boundary(scenario) || !has_boundary(&scenario.row))
        .filter(|scenario| {
            scenario.size.is_none() || writes_pages(scenario) || !has_pages(family(scenario))
        })
        .collect()
}

fn family(scenario: &Scenario) -> &str {
    scenario.row.split('/').next().unwrap_or_default()
}

fn writes_pages(scenario: &Scenario) -> bool {
    scenario.script.ops.iter().any(|op| match op {
        Op::Write(write) => write.write_size == WriteSize::Fixed(Size(4096)),
        _ => false,
    })
}

fn boundaries(pool: &Pool, effort: Effort, jobs: usize, facts: PipeFacts) -> Vec<Boundary> {
    let cases = match effort {
        Effort::Full => boundary::cases(&boundary::WRITE_SIZES, &Layout::ALL),
        Effort::Quick => boundary::cases(&QUICK_WRITE_SIZES, &QUICK_LAYOUTS),
    };
    let bar = run::progress(cases.len(), "boundaries");
    let found = run::each(&cases, jobs, &bar, |case| {
        boundary::search(pool, *case, facts)
    });
    bar.finish_and_clear();
    found
}

fn peaks(pool: &Pool, duels: &[Duel]) -> Peaks {
    let captures: Vec<_> = duels
        .iter()
        .flat_map(|duel| throughput::contestants().map(|strategy| (strategy, duel.bytes)))
        .collect();
    let bar = run::progress(captures.len(), "captures verified");
    let peaks = run::each(&captures, 1, &bar, |(strategy, bytes)| {
        (
            *strategy,
            *bytes,
            throughput::peak_kib(pool, *strategy, *bytes),
        )
    });
    bar.finish_and_clear();
    peaks
}

fn duel(duels: &[Duel], peaks: &Peaks) -> anyhow::Result<Throughput> {
    let program = std::env::current_exe().context("failed to find this program's own file")?;
    let rounds: u64 = duels.iter().map(|duel| u64::from(duel.rounds)).sum();
    let bar = run::progress(usize::try_from(rounds).unwrap_or(0), "rounds");
    // Its thread would wake up while something is being measured.
    bar.disable_steady_tick();
    let throughput = throughput::measure(&program, duels, peaks, || bar.inc(1));
    bar.finish_and_clear();
    Ok(throughput)
}

/// Writes by rename, so that whoever interrupts a run finds the old report whole.
fn write(path: &Path, text: &str) -> anyhow::Result<()> {
    let failed = || format!("failed to write the report to {}", path.display());
    let mut file = run::beside(path)?;
    file.write_all(text.as_bytes()).with_context(failed)?;
    file.persist(path).with_context(failed)?;
    Ok(())
}
