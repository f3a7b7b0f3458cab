//! `pipeclog report`: runs the matrix, the search for the boundary and the measurements, and writes REPORT.md.

use std::io::Write as _;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context as _;
use clap::Args;
use pipeclog_harness as harness;
use pipeclog_harness::check::shipped::{self, Shipped};
use pipeclog_harness::incidents::Stage;
use pipeclog_harness::pool::Pool;
use pipeclog_harness::throughput::{Duel, Peaks};
use pipeclog_harness::{boundary, capacity, cell, fixtures, languages, machine, throughput};
use pipeclog_report::summary;
use pipeclog_report::verdicts::Verdicts;
use pipeclog_scenario::boundary::{Boundary, Layout};
use pipeclog_scenario::claims::Settled;
use pipeclog_scenario::incidents::ActedOut;
use pipeclog_scenario::languages::Surveyed;
use pipeclog_scenario::outcome::{self, Cell, Effort, Results, SCHEMA_VERSION};
use pipeclog_scenario::predict::PipeFacts;
use pipeclog_scenario::scenario::Scenario;
use pipeclog_scenario::script::{Op, Size, WriteSize};
use pipeclog_scenario::throughput::Throughput;

use crate::command::{explain, prove};
use crate::run::{self, Trial};

/// What to run, and where to write.
#[derive(Debug, Args)]
pub(crate) struct ReportArgs {
    /// Where the report goes. Its figures, its verdicts and its results stand beside it, under the same name with another
    /// ending. Each is replaced only when the new one is whole.
    #[arg(long, short, value_name = "FILE", default_value = "REPORT.md")]
    output: PathBuf,
    /// Markdown, or one HTML page with the figures in it.
    #[arg(long, value_enum, default_value_t = Format::Markdown)]
    format: Format,
    /// Write every result, with its evidence and every sample, to this file [default: the report's, ending in .json].
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Run a part that shows the same in about a minute.
    #[arg(long)]
    quick: bool,
    /// How many trials to run at a time; measurements are always run one at a time [default: one for each processor].
    #[arg(long, short, value_name = "N")]
    jobs: Option<NonZeroUsize>,
    /// Run nothing, and write the report of results that a run has written.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["quick", "jobs", "json"])]
    from: Option<PathBuf>,
    /// Write nothing, and say whether the verdicts that stand beside the report hold on this machine. Figures may differ.
    #[arg(long, conflicts_with_all = ["from", "json", "format"])]
    check: bool,
}

/// What the report is written as.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Format {
    /// For the web, with figures beside it.
    #[value(name = "markdown", alias = "md")]
    Markdown,
    /// One page that needs nothing beside it.
    Html,
}

/// The sizes of a quick run: the capacity of a pipe, and a byte more.
const QUICK_SIZES: [u64; 2] = [65_536, 65_537];
/// The write sizes of a quick run: a page, and the one that makes the least of a pipe.
const QUICK_WRITE_SIZES: [u64; 2] = [2049, 4096];
const QUICK_LAYOUTS: [Layout; 2] = [Layout::Stdout, Layout::Stderr];

pub(crate) fn run(args: &ReportArgs) -> anyhow::Result<ExitCode> {
    if args.check {
        return check(args);
    }
    let json = match (&args.json, &args.from) {
        (Some(path), _) => Some(path.clone()),
        (None, None) => Some(args.output.with_extension("json")),
        (None, Some(_)) => None,
    };
    // Minutes of work come next: better to learn now that nothing can be written.
    for path in [Some(&args.output), json.as_ref()].into_iter().flatten() {
        run::check_place(path)?;
    }
    let results = match &args.from {
        Some(path) => read(path)?,
        None => measure(args)?,
    };
    write_all(args, &results)?;
    if let Some(path) = &json {
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

/// The report last, so that whoever finds it finds what it names.
fn write_all(args: &ReportArgs, results: &Results) -> anyhow::Result<()> {
    let stem = args
        .output
        .file_stem()
        .map_or_else(|| "REPORT".into(), |stem| stem.to_string_lossy());
    let document = pipeclog_report::document(results, &explain::classes()?, &stem);
    match args.format {
        Format::Html => write(&args.output, &pipeclog_report::html::page(&document))?,
        Format::Markdown => {
            for figure in &document.figures {
                write(&args.output.with_file_name(&figure.file), &figure.svg)?;
            }
            let verdicts = Verdicts::of(results)
                .json()
                .context("failed to write the verdicts as JSON")?;
            write(&verdicts_of(&args.output), &verdicts)?;
            write(&args.output, &document.markdown)?;
        }
    }
    summarize(&document.markdown)
}

/// The verdicts stand beside the report.
fn verdicts_of(report: &Path) -> PathBuf {
    report.with_extension("verdicts.json")
}

/// Where a CI service shows a summary of the step (`GITHUB_STEP_SUMMARY` names a file), the report is added to it.
fn summarize(markdown: &str) -> anyhow::Result<()> {
    let Some(path) = std::env::var_os("GITHUB_STEP_SUMMARY").filter(|path| !path.is_empty()) else {
        return Ok(());
    };
    let failed = || {
        format!(
            "failed to add the report to the step's summary in {}",
            path.display()
        )
    };
    let mut file = std::fs::OpenOptions::new()
        .append(true)
        .create(true)
        .open(&path)
        .with_context(failed)?;
    let there = usize::try_from(file.metadata().with_context(failed)?.len()).unwrap_or(usize::MAX);
    let room = summary::MOST_BYTES.saturating_sub(there);
    file.write_all(summary::beginning(markdown, room).as_bytes())
        .with_context(failed)
}

/// Runs what the recorded verdicts speak of, or a part of it, and compares.
fn check(args: &ReportArgs) -> anyhow::Result<ExitCode> {
    let path = verdicts_of(&args.output);
    let failed = || {
        format!(
            "failed to read the recorded verdicts in {}: make them by `pipeclog report`",
            path.display()
        )
    };
    let text = std::fs::read_to_string(&path).with_context(failed)?;
    let recorded = Verdicts::read(&text).with_context(failed)?;
    let found = Verdicts::of(&measure_verdicts(args)?);
    let differences = recorded.differences(&found);
    for difference in &differences {
        println!(
            "{}: recorded: {}; on this machine: {}",
            difference.what, difference.recorded, difference.found
        );
    }
    let shared = recorded.shared(&found);
    anyhow::ensure!(
        shared > 0,
        "none of the verdicts in {} was run: make them anew by `pipeclog report`",
        path.display()
    );
    println!(
        "{} of {shared} verdicts hold on this machine",
        shared - differences.len()
    );
    Ok(if differences.is_empty() {
        ExitCode::SUCCESS
    } else {
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
    let mut results = measure_verdicts(args)?;
    let effort = effort(args);
    let duels = throughput::duels(effort);
    let peaks = peaks(&run::pool()?, &duels);
    results.throughput = Some(duel(&duels, &peaks)?);
    Ok(results)
}

/// Everything but what is timed.
fn measure_verdicts(args: &ReportArgs) -> anyhow::Result<Results> {
    let effort = effort(args);
    let jobs = run::jobs(args.jobs);
    let machine = machine::describe(env!("CARGO_PKG_VERSION"))?;
    let facts = machine::pipes(&machine)?;
    let pool = run::pool()?;
    let cells = matrix(&pool, effort, jobs, facts)?;
    let boundaries = boundaries(&pool, effort, jobs, facts);
    let claims = claims(&pool, effort, jobs)?;
    let workshop = Workshop::open()?;
    let languages = languages(&pool, &workshop, effort, jobs)?;
    let incidents = incidents(&pool, &workshop, jobs)?;
    let sizes = capacity::write_sizes(u64::from(machine.page_bytes));
    let filled = sizes
        .into_iter()
        .map(capacity::fill)
        .collect::<Result<_, _>>()?;
    Ok(Results {
        schema_version: SCHEMA_VERSION,
        effort: Some(effort),
        foretold: outcome::foretold(&cells),
        cells,
        boundaries,
        filled,
        held: capacity::transports()?,
        claims,
        languages,
        incidents,
        throughput: None,
        machine: Some(machine),
    })
}

fn effort(args: &ReportArgs) -> Effort {
    if args.quick {
        Effort::Quick
    } else {
        Effort::Full
    }
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

/// Puts the claims of the post to the test, on the Pythons that are found.
fn claims(pool: &Pool, effort: Effort, jobs: usize) -> anyhow::Result<Vec<Settled>> {
    let claims = fixtures::claims().context("failed to read the built-in claims")?;
    let home = std::env::var_os("HOME").map(PathBuf::from);
    let pythons = harness::claims::pythons(std::env::var_os("PATH").as_deref(), home.as_deref());
    let items = harness::claims::agenda(&claims, &pythons, effort);
    let bar = run::progress(items.len(), "experiments");
    let came = run::each(&items, jobs, &bar, |item| pool.experiment(&item.request));
    bar.finish_and_clear();
    Ok(harness::claims::settle(claims, &items, came))
}

/// The wrappers of other languages, and of Rust, and where they are built.
struct Workshop {
    folder: tempfile::TempDir,
    wrappers: Vec<Shipped>,
    /// The binary of the Rust peers, whether it is there or not.
    peer: PathBuf,
}

impl Workshop {
    fn open() -> anyhow::Result<Self> {
        let folder = tempfile::tempdir().context("failed to make a folder for the wrappers")?;
        let unpacked = || {
            format!(
                "failed to write the wrappers to {}",
                folder.path().display()
            )
        };
        shipped::unpack(folder.path()).with_context(unpacked)?;
        let wrappers =
            shipped::read(folder.path()).context("failed to read the built-in wrappers")?;
        let program = std::env::current_exe().context("failed to find this program's own file")?;
        Ok(Self {
            folder,
            wrappers,
            peer: program.with_file_name("peer"),
        })
    }
}

/// Acts out the published incidents.
fn incidents(pool: &Pool, workshop: &Workshop, jobs: usize) -> anyhow::Result<Vec<ActedOut>> {
    let incidents = fixtures::incidents().context("failed to read the built-in incidents")?;
    let stage = Stage {
        pool,
        wrappers: &workshop.wrappers,
        peer: &workshop.peer,
        out: workshop.folder.path(),
    };
    let bar = run::progress(incidents.len(), "incidents");
    let acted = run::each(&incidents, jobs, &bar, |incident| stage.act_out(incident));
    bar.finish_and_clear();
    Ok(acted)
}

/// Puts the cases to the wrappers that can be run here.
fn languages(
    pool: &Pool,
    workshop: &Workshop,
    effort: Effort,
    jobs: usize,
) -> anyhow::Result<Vec<Surveyed>> {
    let folder = workshop.folder.path();
    let cases = fixtures::cases().context("failed to read the built-in cases")?;
    let cases = languages::choose(cases, effort);
    let prepared: Vec<_> = workshop
        .wrappers
        .iter()
        .map(|shipped| languages::prepare(shipped, folder, &workshop.peer))
        .collect();
    let ready = prepared.iter().filter_map(|one| one.as_ref().ok());
    let items: Vec<_> = ready
        .flat_map(|ready| cases.iter().map(move |case| (ready, case)))
        .collect();
    let bar = run::progress(items.len(), "cases put to wrappers");
    let put = run::each(&items, jobs, &bar, |(ready, case)| {
        languages::put(pool, ready, case)
    });
    bar.finish_and_clear();
    let mut put = put.into_iter();
    Ok(prepared
        .into_iter()
        .map(|one| match one {
            Ok(ready) => {
                let cases = put.by_ref().take(cases.len()).collect();
                languages::conclude(pool, ready, cases)
            }
            Err(not_run) => not_run,
        })
        .collect())
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
