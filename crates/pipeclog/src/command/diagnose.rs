//! `pipeclog diagnose`: what a process waits for, and whether it waits for ever.

mod openmetrics;

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anstream::eprintln;
use anyhow::Context as _;
use clap::{Args, ValueEnum};
use pipeclog_procscan::{Scanner, Selection};
use pipeclog_waitgraph::Untrusted;
use pipeclog_waitgraph::diagnose::looks_that_show_most;
use pipeclog_waitgraph::report::{Finding, Report};
use pipeclog_waitgraph::snapshot::{Gap, GapKind, Pid, Snapshot};
use pipeclog_waitgraph::{Diagnosis, bundle, diagnose, diagnose_all, redact, render};

use crate::repro::{self, Likeness};
use crate::run;
use crate::table;
use crate::units::{duration, pid};

/// What to look at, and how to tell it.
#[derive(Debug, Args)]
#[command(arg_required_else_help = true, after_long_help = crate::codes::DIAGNOSE)]
pub(crate) struct DiagnoseArgs {
    /// The processes; those around them are found by themselves.
    #[arg(value_name = "PID", value_parser = pid, required_unless_present_any = ["all", "from"])]
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
    /// Look inside the channels of those who wait: how full they are, and the first bytes that nobody read. This duplicates a
    /// reading end of each for some microseconds; without it no end of a pipe is touched.
    #[arg(long, conflicts_with = "from")]
    peek: bool,
    /// Write the metrics of `--format openmetrics` to this file, by rename: who reads it sees the old ones or the new.
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// Write what was seen to this file, for `--from` on any machine.
    #[arg(long, value_name = "FILE", conflicts_with = "from")]
    save: Option<PathBuf>,
    /// Write a scenario to this file that acts out the same wait-for graph: as many processes, which wait for each other by the same calls over
    /// channels of the same kinds. `pipeclog prove --scenario FILE` runs it, and compares class and graph. Names of processes are in it, their
    /// arguments and bytes are not. Where the graph cannot be acted out, the text says why, and the scenario has the same class alone.
    #[arg(long, value_name = "FILE")]
    repro: Option<PathBuf>,
    /// Leave arguments, paths, and names that not everybody has out of what is saved and told.
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
    /// For Prometheus, as node_exporter's textfile collector reads it; with --out it is replaced as a whole.
    Openmetrics,
}

/// What was found was told, and the scenario that was asked for has not its graph.
const NO_SAME_GRAPH: u8 = 5;

/// A window over which a reader that does not read is told.
const WINDOW: Duration = Duration::from_millis(1200);

pub(crate) fn run(args: &DiagnoseArgs) -> anyhow::Result<ExitCode> {
    anyhow::ensure!(
        args.out.is_none() || args.format == Format::Openmetrics,
        "--out is for --format openmetrics; send other formats to a file with `>`"
    );
    // Before it takes its time.
    [&args.save, &args.repro, &args.out]
        .into_iter()
        .flatten()
        .try_for_each(|path| run::check_place(path))?;
    let targets: Vec<Pid> = args.pids.iter().copied().map(Pid).collect();
    let mut looks = match &args.from {
        Some(path) => {
            let failed = || format!("failed to read the looks saved in {}", path.display());
            let text = std::fs::read_to_string(path).with_context(failed)?;
            bundle::load(&text).with_context(failed)?
        }
        None => look(args, &targets)?,
    };
    if args.redact {
        redact::redact(&mut looks);
    }
    if let Some(path) = &args.save {
        run::replace(path, &bundle::save(&looks)?)?;
        eprintln!(
            "pipeclog: saved {} looks to {}",
            looks.len(),
            path.display()
        );
    }
    let diagnoses = diagnoses(&looks, &targets);
    if args.format == Format::Openmetrics {
        openmetrics::write(args.out.as_deref(), &diagnoses, &looks)?;
    } else {
        tell(args, &diagnoses)?;
    }
    if diagnoses.is_empty() {
        return Ok(tell_what_is_missing(&looks));
    }
    if let Some(path) = &args.repro {
        let gravest = diagnoses.iter().map(Diagnosis::report);
        // Of those that are equally grave, the first: `max_by_key` takes the last.
        let report = gravest.rev().max_by_key(|report| report.finding);
        let report = report.context("failed to write a scenario: nothing was diagnosed")?;
        match repro::write(path, report, &looks) {
            Ok(repro) => {
                eprintln!("pipeclog: {}", repro.text);
                if repro.likeness != Likeness::Graph {
                    return Ok(ExitCode::from(NO_SAME_GRAPH));
                }
            }
            Err(error) => {
                crate::complain(&format!("{error:#}"));
                return Ok(ExitCode::from(NO_SAME_GRAPH));
            }
        }
    }
    let found = diagnoses
        .iter()
        .map(|diagnosis| diagnosis.report().finding)
        .max();
    Ok(ExitCode::from(code(found.unwrap_or(Finding::Nothing))))
}

fn diagnoses(looks: &[Snapshot], targets: &[Pid]) -> Vec<Diagnosis> {
    match targets {
        [] => diagnose_all(looks),
        targets => targets
            .iter()
            .map(|target| diagnose(looks, *target))
            .collect(),
    }
}

fn look(args: &DiagnoseArgs, targets: &[Pid]) -> anyhow::Result<Vec<Snapshot>> {
    let selection = match args.all {
        true => Selection::Machine,
        false => Selection::Tree(targets.to_vec()),
    };
    let mut scanner = Scanner::new("/proc")?;
    let missing = |look: &Snapshot| {
        targets
            .iter()
            .find(|target| look.process(**target).is_none())
    };
    let is_settled = |looks: &[Snapshot]| {
        let settled = |target: &Pid| diagnose(looks, *target).report().is_settled();
        looks.first().is_none_or(|first| missing(first).is_some())
            || (!targets.is_empty() && targets.iter().all(settled))
    };
    let mut looks = scanner.watch(&selection, args.look.unwrap_or(WINDOW), is_settled)?;
    if let Some(missing) = looks.first().and_then(missing) {
        anyhow::bail!(
            "failed to find process {missing}: it has ended, is a thread of the kernel (which holds no pipe) or of another process, or /proc \
             does not show it to this user; `pgrep -a NAME` finds a process by name, and `pipeclog diagnose --all` looks at every process"
        );
    }
    if let [target] = targets {
        looks.truncate(looks_that_show_most(&looks, *target));
    }
    let found = diagnoses(&looks, targets);
    let reports = || found.iter().map(Diagnosis::report);
    if let Some(last) = looks.last_mut() {
        scanner.identify(last, &reports().flat_map(Report::culprits).collect());
        if args.peek {
            scanner.peek(last, &reports().flat_map(Report::channels).collect());
        }
    }
    Ok(looks)
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
            Format::Human => render::human(report, table::text_width()),
            Format::Json => render::json(report)?,
            Format::Markdown => render::markdown(report),
            Format::Dot => render::dot(report),
            Format::Mermaid => render::mermaid(report),
            // Told as a whole, and not by report.
            Format::Openmetrics => String::new(),
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
    let text = |text: &str| Untrusted::from(text).escaped();
    let remedy = denied.iter().find_map(|gap| gap.remedy.as_deref());
    // What helps for one of them by itself helps for the whole machine, and shows the others too.
    let remedy = remedy.map(
        |remedy| match remedy.starts_with("sudo pipeclog diagnose") {
            true => "; try: sudo pipeclog diagnose --all".to_owned(),
            false => format!("; try: {}", text(remedy)),
        },
    );
    let whose = whose(looks, &processes);
    eprintln!(
        "pipeclog: {whose} could not be read whole, and may be stuck: {}{}",
        text(&first.why),
        remedy.unwrap_or_default()
    );
    ExitCode::from(code(Finding::Incomplete))
}

/// At most this many are named.
const NAMED: usize = 5;

fn whose(looks: &[Snapshot], pids: &BTreeSet<Pid>) -> String {
    let name = |pid: &Pid| match looks.last().and_then(|look| look.process(*pid)) {
        Some(process) => format!("{} ({pid})", process.comm.terminal(40)),
        None => format!("process {pid}"),
    };
    let named: Vec<String> = pids.iter().take(NAMED).map(name).collect();
    let named = named.join(", ");
    match pids.len() {
        0 => "something".to_owned(),
        all if all > NAMED => format!("{named} and {} more", all - NAMED),
        _ => named,
    }
}

fn code(finding: Finding) -> u8 {
    match finding {
        Finding::Nothing => 0,
        Finding::Proven => 1,
        Finding::Suspected => 3,
        Finding::Incomplete => 4,
    }
}
