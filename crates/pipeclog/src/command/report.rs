//! `pipeclog report`: runs the matrix, the search for the boundary and the measurements, and writes REPORT.md.

mod measure;
mod workshop;

use std::io::Write as _;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context as _;
use clap::Args;
use pipeclog_report::summary;
use pipeclog_report::verdicts::Verdicts;
use pipeclog_scenario::outcome::{Effort, Results, SCHEMA_VERSION};

use crate::command::{explain, prove};
use crate::run;

/// What to run, and where to write.
#[derive(Debug, Args)]
#[command(after_long_help = crate::codes::REPORT)]
pub(crate) struct ReportArgs {
    /// Where the report goes [default: REPORT.md, or REPORT.html as a page]. Its figures, its verdicts and its results stand beside it,
    /// under the same name with another ending. Each is replaced only when the new one is whole.
    #[arg(long, short, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Markdown, or one HTML page with the figures in it.
    #[arg(long, value_enum, default_value_t = Format::Markdown)]
    format: Format,
    /// Write every result, with its evidence and every sample, to this file [default: the report's, ending in .json].
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Run a part that shows the same in about a minute.
    #[arg(long)]
    quick: bool,
    /// How many trials to run at a time; measurements are always run one at a time [default: two for each processor].
    #[arg(long, short, value_name = "N", value_parser = run::parse_jobs)]
    jobs: Option<NonZeroUsize>,
    /// Run nothing, and write the report of results that a run has written.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["quick", "jobs", "json"])]
    from: Option<PathBuf>,
    /// Write nothing, and say whether the verdicts that stand beside the report hold on this machine. Figures may differ.
    #[arg(long, conflicts_with_all = ["from", "json", "format"])]
    check: bool,
}

impl ReportArgs {
    /// Where the report goes.
    fn output(&self) -> PathBuf {
        self.output.clone().unwrap_or_else(|| {
            PathBuf::from(match self.format {
                Format::Markdown => "REPORT.md",
                Format::Html => "REPORT.html",
            })
        })
    }
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

pub(crate) fn run(args: &ReportArgs) -> anyhow::Result<ExitCode> {
    if args.check {
        return check(args);
    }
    let output = args.output();
    let json = match (&args.json, &args.from) {
        (Some(path), _) => Some(path.clone()),
        (None, None) => Some(output.with_extension("json")),
        (None, Some(_)) => None,
    };
    let others = [
        json.as_deref(),
        args.from.as_deref(),
        Some(&*verdicts_of(&output)),
    ];
    if others.contains(&Some(output.as_path())) {
        anyhow::bail!(
            "failed to write the report to {}: its results or its verdicts stand there; give it another name by --output",
            output.display()
        );
    }
    // Minutes of work come next: better to learn now that nothing can be written.
    for path in [Some(&output), json.as_ref()].into_iter().flatten() {
        run::check_place(path)?;
    }
    let results = match &args.from {
        Some(path) => read(path)?,
        None => measure::all(effort(args), run::jobs(args.jobs))?,
    };
    write_all(args.format, &output, &results)?;
    if let Some(path) = &json {
        run::write_json(path, &results)?;
    }
    prove::show(&results.cells);
    println!("the report is in {}", output.display());
    Ok(if results.all_as_expected() {
        ExitCode::SUCCESS
    } else {
        println!("not all is as expected: the report says what");
        ExitCode::from(crate::NOT_AS_EXPECTED)
    })
}

/// The report last, so that whoever finds it finds what it names.
fn write_all(format: Format, output: &Path, results: &Results) -> anyhow::Result<()> {
    let stem = output
        .file_stem()
        .map_or_else(|| "REPORT".into(), |stem| stem.to_string_lossy());
    let document = pipeclog_report::document(results, &explain::classes()?, &stem);
    match format {
        Format::Html => run::replace(output, &pipeclog_report::html::page(&document))?,
        Format::Markdown => {
            for figure in &document.figures {
                run::replace(&output.with_file_name(&figure.file), &figure.svg)?;
            }
            let verdicts = Verdicts::of(results)
                .json()
                .context("failed to write the verdicts as JSON")?;
            run::replace(&verdicts_of(output), &verdicts)?;
            run::replace(output, &document.markdown)?;
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
    let path = verdicts_of(&args.output());
    let failed = || {
        format!(
            "failed to read the recorded verdicts in {}: make them by `pipeclog report`",
            path.display()
        )
    };
    let text = std::fs::read_to_string(&path).with_context(failed)?;
    let recorded = Verdicts::read(&text).with_context(failed)?;
    let found = Verdicts::of(&measure::verdicts(effort(args), run::jobs(args.jobs))?);
    let mut differences = recorded.differences(&found);
    differences.extend(recorded.not_run(&found));
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
        "{shared} verdicts were compared, and {} differ on this machine",
        differences.len()
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

fn effort(args: &ReportArgs) -> Effort {
    if args.quick {
        Effort::Quick
    } else {
        Effort::Full
    }
}
