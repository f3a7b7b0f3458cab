//! `pipeclog prove`: the matrix of scenarios and strategies, run and shown.

use std::collections::BTreeSet;
use std::process::ExitCode;

use anyhow::Context as _;
use pipeclog_harness::{cell, fixtures, machine};
use pipeclog_report::matrix::Matrix;
use pipeclog_scenario::outcome::{self, Agreement, Cell, Results};
use pipeclog_scenario::predict::Foretold;
use pipeclog_scenario::scenario::{self, Scenario};

use pipeclog_waitgraph::Untrusted;

use crate::args::Prove;
use crate::near;
use crate::run::{self, Trial};
use crate::table;
use crate::units;

pub(crate) fn run(args: &Prove) -> anyhow::Result<ExitCode> {
    let scenarios = match &args.scenario {
        None => fixtures::scenarios().context("failed to read the built-in scenarios")?,
        Some(path) => {
            let text = std::fs::read_to_string(path)
                .with_context(|| format!("failed to read the scenario in {}", path.display()))?;
            vec![scenario::read_one(&path.display().to_string(), &text)?]
        }
    };
    let trials = select(&scenarios, args)?;
    if args.list {
        for trial in &trials {
            println!("{}", trial.name());
        }
        return Ok(ExitCode::SUCCESS);
    }
    if let Some(path) = &args.json {
        run::check_place(path)?;
    }
    let facts = machine::pipes(&machine::describe(env!("CARGO_PKG_VERSION"))?)?;
    let pool = run::pool()?;
    let bar = run::progress(trials.len(), "trials");
    let cells = run::each(&trials, run::jobs(args.jobs), &bar, |trial| {
        cell::run(&pool, trial.scenario, trial.strategy, facts)
    })?;
    // The workers end before anything is shown: a reader that has enough ends this process.
    drop(pool);
    let results = Results::of_cells(cells.into_iter().flatten().collect());
    if let Some(path) = &args.json {
        run::write_json(path, &results)?;
    }
    Ok(show(&results.cells))
}

/// The trials that the arguments name. A filter that fits none is an error, or a slip of the pen would pass as proof.
fn select<'a>(scenarios: &'a [Scenario], args: &Prove) -> anyhow::Result<Vec<Trial<'a>>> {
    let in_tier = |scenario: &&Scenario| args.slow || !scenario.is_slow();
    let all: Vec<Trial<'a>> = run::trials(scenarios.iter().filter(in_tier)).collect();
    let names: Vec<String> = all.iter().map(Trial::name).collect();
    let fits = |name: &String| args.filters.iter().all(|filter| name.contains(filter));
    let trials: Vec<Trial<'a>> = all
        .into_iter()
        .zip(&names)
        .filter(|(_, name)| fits(name))
        .map(|(trial, _)| trial)
        .collect();
    anyhow::ensure!(
        !trials.is_empty(),
        "no trial's name contains {}: `pipeclog prove --list` shows them all (with --slow, the slow tier too)",
        args.filters
            .iter()
            .map(|filter| format!("{filter:?}{}", near::question(&meant(filter, &names))))
            .collect::<Vec<_>>()
            .join(" and ")
    );
    Ok(trials)
}

/// What a filter that fits no trial may have meant: for each of its parts between slashes, the parts of names like it.
fn meant<'a>(filter: &str, names: &'a [String]) -> Vec<&'a str> {
    if names.iter().any(|name| name.contains(filter)) {
        return Vec::new();
    }
    let known: BTreeSet<&str> = names.iter().flat_map(|name| name.split('/')).collect();
    filter
        .split('/')
        .filter(|part| !known.iter().any(|name| name.contains(part)))
        .flat_map(|part| near::names(part, &known))
        .collect()
}

/// Characters of a line about a cell at most.
const LINE_CHARS: usize = 2000;

/// The table, what is not as expected, and the count; says whether all is well.
pub(crate) fn show(cells: &[Cell]) -> ExitCode {
    let matrix = Matrix::new(cells);
    println!("{}", table::render(&matrix, table::terminal_width()));
    let count = |agreement| {
        cells
            .iter()
            .filter(|cell| cell.agreement() == agreement)
            .count() as u64
    };
    for cell in cells
        .iter()
        .filter(|cell| cell.agreement() == Agreement::Differs)
    {
        let foretold = cell
            .contradiction()
            .map_or_else(String::new, |foretold| format!("; {foretold}"));
        let line = format!(
            "{}/{}: {}; expected: {}{foretold}",
            cell.scenario, cell.strategy, cell.outcome.verdict, cell.expected
        );
        // Results may have been read from a file that somebody else wrote, and a verdict may quote a program.
        println!("{}", Untrusted::new(line).terminal(LINE_CHARS));
    }
    let (agree, differ, skipped) = (
        count(Agreement::Agrees),
        count(Agreement::Differs),
        count(Agreement::Skipped),
    );
    println!(
        "{} as expected, {differ} not, {skipped} skipped",
        units::count(agree, "trial")
    );
    let Foretold {
        decided,
        several,
        not_modelled,
    } = outcome::foretold(cells);
    println!(
        "foretold: {decided} with one outcome, {several} with several, {not_modelled} not at all"
    );
    ExitCode::from(if differ == 0 {
        0
    } else {
        crate::NOT_AS_EXPECTED
    })
}
