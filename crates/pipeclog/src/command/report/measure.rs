//! Runs what a report tells of.

use std::path::PathBuf;

use anyhow::Context as _;
use pipeclog_harness as harness;
use pipeclog_harness::incidents::Stage;
use pipeclog_harness::pool::Pool;
use pipeclog_harness::throughput::{Duel, Peaks};
use pipeclog_harness::{boundary, capacity, cell, fixtures, languages, machine, throughput};
use pipeclog_scenario::boundary::{Boundary, Layout};
use pipeclog_scenario::claims::Settled;
use pipeclog_scenario::incidents::ActedOut;
use pipeclog_scenario::languages::Surveyed;
use pipeclog_scenario::outcome::{self, Cell, Effort, Results, SCHEMA_VERSION};
use pipeclog_scenario::predict::PipeFacts;
use pipeclog_scenario::scenario::Scenario;
use pipeclog_scenario::script::{Op, Size, WriteSize};
use pipeclog_scenario::throughput::Throughput;

use super::workshop::{self, Workshop};
use crate::interrupt::{self, Interrupted};
use crate::run::{self, Trial};

/// The sizes of a quick run: the capacity of a pipe, and a byte more.
const QUICK_SIZES: [u64; 2] = [65_536, 65_537];
/// The write sizes of a quick run: a page, and the one that makes the least of a pipe.
const QUICK_WRITE_SIZES: [u64; 2] = [2049, 4096];
const QUICK_LAYOUTS: [Layout; 2] = [Layout::Stdout, Layout::Stderr];

/// Everything.
pub(super) fn all(effort: Effort, jobs: usize) -> anyhow::Result<Results> {
    let mut results = verdicts(effort, jobs)?;
    // From here on a signal kills at once, so that nothing may be left that has to be removed.
    let duels = throughput::duels(effort);
    let peaks = peaks(&run::pool()?, &duels)?;
    results.throughput = Some(duel(&duels, &peaks)?);
    results.contest = match effort {
        Effort::Full => workshop::contest()?,
        Effort::Quick => None,
    };
    Ok(results)
}

/// Everything but what is timed.
pub(super) fn verdicts(effort: Effort, jobs: usize) -> anyhow::Result<Results> {
    untimed(&Workshop::open()?, effort, jobs)
}

fn untimed(workshop: &Workshop, effort: Effort, jobs: usize) -> anyhow::Result<Results> {
    let machine = machine::describe(env!("CARGO_PKG_VERSION"))?;
    let facts = machine::pipes(&machine)?;
    let pool = run::pool()?;
    let cells = matrix(&pool, effort, jobs, facts)?;
    let boundaries = boundaries(&pool, effort, jobs, facts)?;
    let claims = claims(&pool, effort, jobs)?;
    let languages = languages(&pool, workshop, effort, jobs)?;
    let incidents = incidents(&pool, workshop, jobs)?;
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
        contest: None,
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
    })?;
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
    let came = run::each(&items, jobs, &bar, |item| pool.experiment(&item.request))?;
    Ok(harness::claims::settle(claims, &items, came))
}

/// Acts out the published incidents.
fn incidents(pool: &Pool, workshop: &Workshop, jobs: usize) -> anyhow::Result<Vec<ActedOut>> {
    let incidents = fixtures::incidents().context("failed to read the built-in incidents")?;
    let stage = Stage {
        pool,
        wrappers: &workshop.wrappers,
        peer: &workshop.peer,
        out: workshop.folder(),
    };
    let bar = run::progress(incidents.len(), "incidents");
    let acted = run::each(&incidents, jobs, &bar, |incident| stage.act_out(incident))?;
    Ok(acted)
}

/// Puts the cases to the wrappers that can be run here.
fn languages(
    pool: &Pool,
    workshop: &Workshop,
    effort: Effort,
    jobs: usize,
) -> anyhow::Result<Vec<Surveyed>> {
    let folder = workshop.folder();
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
    })?;
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

fn boundaries(
    pool: &Pool,
    effort: Effort,
    jobs: usize,
    facts: PipeFacts,
) -> Result<Vec<Boundary>, Interrupted> {
    let cases = match effort {
        Effort::Full => boundary::cases(&boundary::WRITE_SIZES, &Layout::ALL),
        Effort::Quick => boundary::cases(&QUICK_WRITE_SIZES, &QUICK_LAYOUTS),
    };
    let bar = run::progress(cases.len(), "boundaries");
    run::each(&cases, jobs, &bar, |case| {
        boundary::search(pool, *case, facts)
    })
}

fn peaks(pool: &Pool, duels: &[Duel]) -> Result<Peaks, Interrupted> {
    let captures: Vec<_> = duels
        .iter()
        .flat_map(|duel| throughput::contestants().map(|strategy| (strategy, duel.bytes)))
        .collect();
    let bar = run::progress(captures.len(), "captures verified");
    run::each(&captures, 1, &bar, |(strategy, bytes)| {
        (
            *strategy,
            *bytes,
            throughput::peak_kib(pool, *strategy, *bytes),
        )
    })
}

fn duel(duels: &[Duel], peaks: &Peaks) -> anyhow::Result<Throughput> {
    let program = std::env::current_exe().context("failed to find this program's own file")?;
    let rounds: u64 = duels.iter().map(|duel| u64::from(duel.rounds)).sum();
    let bar = run::progress(usize::try_from(rounds).unwrap_or(0), "rounds");
    // Its thread would wake up while something is being measured.
    bar.disable_steady_tick();
    interrupt::at_once();
    let throughput = throughput::measure(&program, duels, peaks, || bar.inc(1));
    bar.finish_and_clear();
    Ok(throughput)
}
