//! `pipeclog diagnose`: what a process waits for, and whether it waits for ever.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::process::ExitCode;
use std::thread;
use std::time::{Duration, Instant};

use anstream::eprintln;
use anyhow::Context as _;
use clap::{Args, ValueEnum};
use pipeclog_procscan::{Scanner, Selection};
use pipeclog_waitgraph::Untrusted;
use pipeclog_waitgraph::report::{Confidence, Report, VerdictName};
use pipeclog_waitgraph::snapshot::{Gap, GapKind, Pid, Snapshot};
use pipeclog_waitgraph::{Diagnosis, bundle, diagnose, diagnose_all, redact, render};

use crate::table;
use crate::units::duration;

/// What to look at, and how to tell it.
///
/// Exit codes: 0 nothing is stuck for good, 1 a proven deadlock, 2 wrong usage, 3 something suspected (a probable deadlock, a
/// leak, a stall), 4 the evidence is incomplete.
#[derive(Debug, Args)]
#[command(arg_required_else_help = true)]
pub(crate) struct DiagnoseArgs {
    /// The processes; those around them are found by themselves.
    #[arg(value_name = "PID", required_unless_present_any = ["all", "from"])]
    pids: Vec<u32>,
    /// Look at the whole machine.
    #[arg(long, conflicts_with = "pids")]
    all: bool,
    /// How to tell it.
    #[arg(long, value_enum, default_value_t = Format::Human, value_name = "FORMAT")]
    format: Format,
    /// Watch on for this long, where a wait may yet end by a timeout or a reader may yet read.
    #[arg(long, value_name = "DURATION", value_parser = duration)]
    look: Option<Duration>,
    /// Write what was seen to this file, for `--from` on any machine.
    #[arg(long, value_name = "FILE", conflicts_with = "from")]
    save: Option<PathBuf>,
    /// Leave arguments and paths out of what is saved and told.
    #[arg(long)]
    redact: bool,
    /// Diagnose what `--save` has written, instead of this machine.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["all", "look"])]
    from: Option<PathBuf>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Format {
    /// For a person at a terminal.
    Human,
    /// For programs; one object, or a list with --all or several processes.
    Json,
    /// For an issue or a chat.
    Markdown,
    /// For Graphviz.
    Dot,
    /// For Mermaid.
    Mermaid,
}

const PROVEN: u8 = 1;
const SUSPECTED: u8 = 3;
const INCOMPLETE: u8 = 4;

/// Between the looks of a single diagnosis: long enough for whoever runs at all to be seen running.
const BETWEEN: Duration = Duration::from_millis(120);
/// Between looks while watching on.
const TICK: Duration = Duration::from_millis(250);
/// A window over which a reader that does not read is told.
const WINDOW: Duration = Duration::from_millis(1200);

pub(crate) fn run(args: &DiagnoseArgs) -> anyhow::Result<ExitCode> {
    let targets: Vec<Pid> = args.pids.iter().copied().map(Pid).collect();
    let mut looks = match &args.from {
        Some(path) => {
            let text = std::fs::read_to_string(path);
            let text = text
                .with_context(|| format!("failed to read the looks saved in {}", path.display()))?;
            bundle::load(&text)
                .with_context(|| format!("failed to read the looks saved in {}", path.display()))?
        }
        None => look(args, &targets)?,
    };
    if args.redact {
        redact::redact(&mut looks);
    }
    if let Some(path) = &args.save {
        std::fs::write(path, bundle::save(&looks)?)
            .with_context(|| format!("failed to save the looks to {}", path.display()))?;
        eprintln!(
            "pipeclog: saved {} looks to {}",
            looks.len(),
            path.display()
        );
    }
    let diagnoses: Vec<Diagnosis> = if targets.is_empty() {
        diagnose_all(&looks)
    } else {
        targets
            .iter()
            .map(|target| diagnose(&looks, *target))
            .collect()
    };
    tell(args, &diagnoses)?;
    if diagnoses.is_empty() {
        return Ok(tell_what_is_missing(&looks));
    }
    Ok(ExitCode::from(
        diagnoses
            .iter()
            .map(|diagnosis| code(diagnosis.report()))
            .max_by_key(rank)
            .unwrap_or(0),
    ))
}

/// Looks at the machine: twice; again over a window where nothing is proven, since only that shows a reader that does not read;
/// and for as long as was asked.
fn look(args: &DiagnoseArgs, targets: &[Pid]) -> anyhow::Result<Vec<Snapshot>> {
    let selection = if args.all {
        Selection::Machine
    } else {
        Selection::Tree(targets.to_vec())
    };
    let mut scanner = Scanner::new("/proc")?;
    let started = Instant::now();
    let mut looks = vec![scanner.scan(&selection)?];
    if let Some(missing) = targets
        .iter()
        .find(|target| looks.iter().all(|look| look.process(**target).is_none()))
    {
        anyhow::bail!(
            "there is no process {missing}: it may have ended; `pipeclog diagnose --all` looks at every process"
        );
    }
    loop {
        pause(if looks.len() == 1 { BETWEEN } else { TICK });
        let next = match looks.last() {
            Some(last) => scanner.confirm(&selection, last)?,
            None => scanner.scan(&selection)?,
        };
        looks.push(next);
        let window = args.look.unwrap_or(WINDOW);
        let settled = |target: &Pid| {
            let report = diagnose(&looks, *target);
            is_settled(report.report())
        };
        let settled = !targets.is_empty() && targets.iter().all(settled);
        if settled || started.elapsed() >= window {
            return Ok(looks);
        }
    }
}

/// Whether more looks could not make the verdict any stronger.
fn is_settled(report: &Report) -> bool {
    match report.verdict {
        VerdictName::Deadlocked => report.confidence == Confidence::Proven,
        VerdictName::Leaked | VerdictName::Stalled | VerdictName::Stopped => true,
        VerdictName::Waiting | VerdictName::Progressing | VerdictName::Unproven => false,
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "time passing between two looks is what is asked for"
)]
fn pause(time: Duration) {
    thread::sleep(time);
}

fn tell(args: &DiagnoseArgs, diagnoses: &[Diagnosis]) -> anyhow::Result<()> {
    let reports: Vec<&Report> = diagnoses.iter().map(Diagnosis::report).collect();
    if args.format == Format::Json && (args.all || reports.len() != 1) {
        print!("{}\n", serde_json::to_string_pretty(&reports)?);
        return Ok(());
    }
    if reports.is_empty() {
        print!(
            "nothing is deadlocked, and no end of file is withheld, among the processes that could be read\n"
        );
    }
    for (index, report) in reports.iter().enumerate() {
        if index > 0 {
            print!("\n");
        }
        let text = match args.format {
            Format::Human => render::human(report, table::text_columns()),
            Format::Json => render::json(report)?,
            Format::Markdown => render::markdown(report),
            Format::Dot => render::dot(report),
            Format::Mermaid => render::mermaid(report),
        };
        print!("{}\n", text.trim_end());
    }
    Ok(())
}

/// Nothing was found, which says little of what could not be read.
fn tell_what_is_missing(looks: &[Snapshot]) -> ExitCode {
    let denied: Vec<&Gap> = looks
        .last()
        .into_iter()
        .flat_map(|look| &look.gaps)
        .filter(|gap| gap.kind != GapKind::Vanished)
        .collect();
    let processes: BTreeSet<Pid> = denied.iter().filter_map(|gap| gap.pid).collect();
    let Some(first) = denied.first() else {
        return ExitCode::SUCCESS;
    };
    let remedy = first.remedy.as_deref().unwrap_or("run it as root");
    let why = Untrusted::new(first.why.as_str()).escaped();
    eprintln!(
        "pipeclog: {} processes could not be read whole, and may be stuck: {why}; try: {remedy}",
        processes.len()
    );
    ExitCode::from(INCOMPLETE)
}

fn code(report: &Report) -> u8 {
    let own = match (report.verdict, report.confidence) {
        (VerdictName::Deadlocked, Confidence::Proven) => PROVEN,
        (VerdictName::Deadlocked | VerdictName::Leaked | VerdictName::Stalled, _) => SUSPECTED,
        (VerdictName::Unproven, _) => INCOMPLETE,
        (VerdictName::Stopped | VerdictName::Waiting | VerdictName::Progressing, _) => 0,
    };
    report
        .beside
        .iter()
        .map(code)
        .chain([own])
        .max_by_key(rank)
        .unwrap_or(own)
}

/// The worst first: proven, suspected, incomplete, nothing.
fn rank(code: &u8) -> u8 {
    match *code {
        PROVEN => 3,
        SUSPECTED => 2,
        INCOMPLETE => 1,
        _ => 0,
    }
}
