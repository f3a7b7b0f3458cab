//! `pipeclog check`: puts the cases to somebody else's wrapper.

mod contract;
mod edges;
mod expect;
mod repro;

use std::collections::BTreeSet;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context as _, bail, ensure};
use clap::{Args, ValueEnum};
use pipeclog_harness::check::Request;
use pipeclog_harness::fixtures;
use pipeclog_harness::pool::Pool;
use pipeclog_report::conformance;
use pipeclog_scenario::check::{
    Capability, Case, Checked, Conformance, Expectations, Finding, SCHEMA_VERSION, Wrapper,
};
use pipeclog_scenario::script::Size;

use crate::{interrupt, run, table};

/// Which cases, and what the wrapper is.
#[derive(Debug, Args)]
#[command(after_long_help = crate::codes::CHECK)]
pub(crate) struct CheckArgs {
    /// Print the cases, with level, title and references, instead of running them.
    #[arg(long)]
    list: bool,
    /// Run only the cases whose id or group contains one of these.
    #[arg(long, value_name = "WORDS", value_delimiter = ',')]
    only: Vec<String>,
    /// Leave out the cases whose id or group contains one of these.
    #[arg(long, value_name = "WORDS", value_delimiter = ',')]
    skip: Vec<String>,
    /// Fail for what the wrapper should or may do, too.
    #[arg(long)]
    strict: bool,
    /// Known failures: a JSON object from the ids of cases to hang, loss, exit, harm or imposition, or to a list of them and pass where a
    /// race decides; of a hang its class too, as in 'hang: wait-then-read'. A case that comes out otherwise fails.
    #[arg(long, value_name = "FILE")]
    expect: Option<PathBuf>,
    /// How the results are printed.
    #[arg(long, value_enum, default_value_t = Format::Human)]
    format: Format,
    /// What the wrapper cannot do: stdin, stderr, separate, exit, bytes.
    #[arg(long, value_name = "LIST", value_delimiter = ',', value_parser = capability)]
    without: Vec<Capability>,
    /// The most bytes of a stream that the wrapper is made for.
    #[arg(long, value_name = "SIZE")]
    max_size: Option<Size>,
    /// Options that give the wrapper a timeout, as in '--timeout {s}'; {ms} stands for milliseconds.
    #[arg(long, value_name = "WORDS", value_parser = words)]
    timeout_arg: Option<Words>,
    /// Options that give the wrapper a limit on kept bytes, as in '--max {bytes}'.
    #[arg(long, value_name = "WORDS", value_parser = words)]
    limit_arg: Option<Words>,
    /// Options that make the wrapper's capture time out once and go on, as in '--resume {s}'.
    #[arg(long, value_name = "WORDS", value_parser = words)]
    resume_arg: Option<Words>,
    /// Print the line that shows this case by itself, and run nothing.
    #[arg(long, value_name = "CASE", conflicts_with_all = ["list", "bisect"])]
    repro: Option<String>,
    /// Find the byte at which the wrapper begins to hang, on each stream, and say what that tells of its transport.
    #[arg(long, conflicts_with_all = ["list", "only", "skip", "strict", "expect"])]
    bisect: bool,
    /// How many cases to run at a time [default: two for each processor].
    #[arg(long, short, value_name = "N", value_parser = run::parse_jobs)]
    jobs: Option<std::num::NonZeroUsize>,
    /// The wrapper: it runs the command that follows its own words, writes what it has captured to its stdout and stderr, and exits
    /// with the command's code.
    #[arg(
        trailing_var_arg = true,
        allow_hyphen_values = true,
        value_name = "WRAPPER"
    )]
    wrapper: Vec<String>,
}

/// How results are printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Format {
    /// For a person.
    Human,
    /// With all evidence.
    Json,
    /// For CI systems.
    Junit,
    /// For a page.
    Markdown,
}

/// Words as a shell would split them.
#[derive(Clone, Debug, Default)]
struct Words(Vec<String>);

pub(crate) fn run(args: CheckArgs) -> anyhow::Result<ExitCode> {
    let cases = select(&args)?;
    if args.list {
        list(&cases, args.format)?;
        return Ok(ExitCode::SUCCESS);
    }
    let wrapper = Wrapper {
        command: args.wrapper.clone(),
        without: args.without.iter().copied().collect::<BTreeSet<_>>(),
        max_size: args.max_size,
        timeout_arg: args.timeout_arg.clone().unwrap_or_default().0,
        limit_arg: args.limit_arg.clone().unwrap_or_default().0,
        resume_arg: args.resume_arg.clone().unwrap_or_default().0,
    };
    let Some(program) = wrapper.command.first() else {
        bail!("no wrapper was given: `pipeclog check -- WRAPPER…`, or --list to see the cases");
    };
    find_program(program)?;
    if let Some(id) = &args.repro {
        return repro::run(&wrapper, &cases, id);
    }
    let known = match &args.expect {
        None => Expectations::new(),
        Some(path) => expect::read(path)?,
    };
    let pool = run::pool()?;
    let jobs = run::jobs(args.jobs);
    contract::ask(&pool, &wrapper, jobs)?;
    if args.bisect {
        return edges::run(&pool, &wrapper, jobs, args.format);
    }
    let results = put(&args, &pool, wrapper, cases, &known);
    show(&results, args.format)
}

/// The cases that the arguments name. A word that fits none is an error: a slip of the pen would pass for conformance.
fn select(args: &CheckArgs) -> anyhow::Result<Vec<Case>> {
    let mut cases = fixtures::cases().context("failed to read the built-in cases")?;
    let fits = |case: &Case, word: &String| case.id.contains(word) || case.group.contains(word);
    for word in args.only.iter().chain(&args.skip) {
        ensure!(
            cases.iter().any(|case| fits(case, word)),
            "no case's id or group contains {word:?}: `pipeclog check --list` shows them all"
        );
    }
    cases.retain(|case| {
        (args.only.is_empty() || args.only.iter().any(|word| fits(case, word)))
            && !args.skip.iter().any(|word| fits(case, word))
    });
    ensure!(!cases.is_empty(), "--skip leaves no case to run");
    Ok(cases)
}

fn list(cases: &[Case], format: Format) -> anyhow::Result<()> {
    match format {
        Format::Human => print!("{}", conformance::catalogue(cases)),
        Format::Json => println!("{}", serde_json::to_string_pretty(cases)?),
        Format::Markdown => print!("{}", conformance::catalogue_page(cases)),
        Format::Junit => bail!("--format junit is for results: a list of cases has none"),
    }
    Ok(())
}

/// A wrapper that is not there, or cannot be started, fails every case, which says nothing of it.
fn find_program(program: &str) -> anyhow::Result<()> {
    let found: Vec<PathBuf> = if program.contains('/') {
        vec![PathBuf::from(program)]
    } else {
        let path = std::env::var_os("PATH").unwrap_or_default();
        std::env::split_paths(&path)
            .map(|folder| folder.join(program))
            .collect()
    };
    let mut files = found.iter().filter(|path| path.is_file()).peekable();
    ensure!(
        files.peek().is_some(),
        "failed to find the wrapper {program:?}: there is no such program; give its path, or one that is in PATH"
    );
    let may_run = |path: &PathBuf| {
        let mode = path
            .metadata()
            .map_or(0, |metadata| metadata.permissions().mode());
        mode & 0o111 != 0
    };
    ensure!(
        files.any(may_run),
        "failed to start the wrapper {program:?}: it is no executable file; chmod +x it, or write its interpreter before it"
    );
    Ok(())
}

/// Every case; after a signal those that had come to their end.
fn put(
    args: &CheckArgs,
    pool: &Pool,
    wrapper: Wrapper,
    cases: Vec<Case>,
    known: &Expectations,
) -> Conformance {
    let bar = run::progress(cases.len(), "cases");
    let mut findings = run::until_interrupted(&cases, run::jobs(args.jobs), &bar, |case| {
        pool.check(&Request {
            case: case.clone(),
            wrapper: wrapper.clone(),
        })
    });
    if interrupt::check().is_err() {
        // Given up in mid-trial.
        findings.retain(|(_, finding)| !matches!(finding, Finding::Broken { .. }));
    }
    let mut findings = findings.into_iter().peekable();
    let (mut checked, mut not_run) = (Vec::new(), Vec::new());
    for (at, case) in cases.into_iter().enumerate() {
        match findings.next_if(|(index, _)| *index == at) {
            Some((_, finding)) => {
                let known = known.get(&case.id);
                checked.push(Checked::new(case, finding, known, args.strict));
            }
            None => not_run.push(case.id),
        }
    }
    Conformance {
        schema_version: SCHEMA_VERSION,
        wrapper,
        cases: checked,
        not_run,
    }
}

fn show(results: &Conformance, format: Format) -> anyhow::Result<ExitCode> {
    let columns = table::text_columns();
    match format {
        Format::Human => print!("{}", conformance::human(results, columns)),
        Format::Json => println!("{}", serde_json::to_string_pretty(results)?),
        Format::Junit => println!("{}", conformance::junit(results, columns)?),
        Format::Markdown => print!("{}", conformance::markdown(results)),
    }
    let counts = conformance::counts(results);
    if counts.broken > 0 {
        bail!(
            "{} of {} cases could not be run; what failed stands with each",
            counts.broken,
            results.cases.len()
        );
    }
    ensure!(
        counts.idle < results.cases.len(),
        "nothing was tested: none of the chosen cases ({}) is applicable to this wrapper as it was declared",
        results.cases.len()
    );
    Ok(ExitCode::from(if counts.failed == 0 {
        0
    } else {
        crate::NOT_AS_EXPECTED
    }))
}

fn capability(name: &str) -> Result<Capability, String> {
    let told = |capability: &Capability| {
        !matches!(
            capability,
            Capability::Timeout | Capability::Limit | Capability::Resume
        )
    };
    let known = || Capability::ALL.into_iter().filter(told);
    known()
        .find(|capability| capability.name() == name)
        .ok_or_else(|| {
            let names: Vec<_> = known().map(Capability::name).collect();
            format!("write one of {}", names.join(", "))
        })
}

fn words(text: &str) -> Result<Words, String> {
    shlex::split(text)
        .map(Words)
        .ok_or_else(|| "a quote in it is not closed".to_owned())
}
