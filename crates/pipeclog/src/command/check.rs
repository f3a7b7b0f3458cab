//! `pipeclog check`: puts the cases to somebody else's wrapper.

use std::collections::BTreeSet;
use std::num::NonZeroU64;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context as _, bail, ensure};
use clap::{Args, ValueEnum};
use pipeclog_harness::check::{Request, bisect};
use pipeclog_harness::fixtures;
use pipeclog_report::conformance;
use pipeclog_scenario::boundary::Found;
use pipeclog_scenario::check::{
    Capability, Case, Checked, Child, Conformance, Expectations, SCHEMA_VERSION, Start, Wrapper,
    edge,
};
use pipeclog_scenario::script::{Size, Stream};
use pipeclog_waitgraph::Untrusted;

use crate::{run, table};

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
    /// Known failures: a JSON object from the ids of cases to hang, loss, exit, harm or imposition, or to a list of them and pass where a race decides. A case that comes out otherwise fails.
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
    /// Find the byte at which the wrapper begins to hang, and say what that tells of its transport.
    #[arg(long, conflicts_with = "list")]
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
        list(&cases);
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
        return repro(&wrapper, &cases, id);
    }
    if args.bisect {
        return show_edges(&args, &wrapper);
    }
    let known = match &args.expect {
        None => Expectations::new(),
        Some(path) => expectations(path)?,
    };
    let results = put(&args, wrapper, cases, &known)?;
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

fn list(cases: &[Case]) {
    for case in cases {
        println!(
            "{:27} {:6} {}; {} ({})",
            case.id,
            case.level.word(),
            case.title,
            case.reason,
            case.references.join("; ")
        );
    }
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

fn expectations(path: &Path) -> anyhow::Result<Expectations> {
    let text = std::fs::read_to_string(path)
        .with_context(|| format!("failed to read the known failures from {}", path.display()))?;
    let known: Expectations = serde_json::from_str(&text).with_context(|| {
        format!(
            "{} is no file of known failures, which is as {{\"stderr-65537\": \"hang\", \"daemon-holds\": [\"pass\", \"hang\"]}}, in the words hang, loss, exit, harm, imposition and pass",
            path.display()
        )
    })?;
    let cases = fixtures::cases().context("failed to read the built-in cases")?;
    for (id, known) in &known {
        ensure!(
            !known.names().is_empty(),
            "{} names no outcome of {id:?}: write one, as \"hang\", or leave the case out",
            path.display()
        );
        ensure!(
            cases.iter().any(|case| case.id == *id),
            "{} names a case {id:?}, which there is not: `pipeclog check --list` shows them all",
            path.display()
        );
    }
    Ok(known)
}

fn put(
    args: &CheckArgs,
    wrapper: Wrapper,
    cases: Vec<Case>,
    known: &Expectations,
) -> anyhow::Result<Conformance> {
    let pool = run::pool()?;
    let bar = run::progress(cases.len(), "cases");
    let findings = run::each(&cases, run::jobs(args.jobs), &bar, |case| {
        pool.check(&Request {
            case: case.clone(),
            wrapper: wrapper.clone(),
        })
    })?;
    let checked = cases.into_iter().zip(findings).map(|(case, finding)| {
        let known = known.get(&case.id);
        let known = known.and_then(|known| known.failure(finding.name()));
        let standing = finding.standing(case.level, known, args.strict);
        Checked {
            case,
            finding,
            standing,
        }
    });
    Ok(Conformance {
        schema_version: SCHEMA_VERSION,
        cases: checked.collect(),
        wrapper,
    })
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
    Ok(ExitCode::from(if counts.failed == 0 {
        0
    } else {
        crate::NOT_AS_EXPECTED
    }))
}

fn repro(wrapper: &Wrapper, cases: &[Case], id: &str) -> anyhow::Result<ExitCode> {
    let case = cases.iter().find(|case| case.id == id);
    let case = case.with_context(|| {
        format!("there is no case {id:?}: `pipeclog check --list` shows them all")
    })?;
    if let Some(why) = wrapper.not_applicable(case) {
        bail!("{id} is not applicable to this wrapper: {why}");
    }
    println!("{}", repro_line(wrapper, case)?);
    Ok(ExitCode::SUCCESS)
}

/// A line for a shell, which needs this program and the wrapper and no file.
fn repro_line(wrapper: &Wrapper, case: &Case) -> anyhow::Result<String> {
    let program = std::env::current_exe().context("failed to find this program's own file")?;
    let mut words = wrapper.words(case);
    match &case.child {
        Child::Script(script) => {
            let json: serde_json::Value = serde_json::from_str(&script.to_json()?)?;
            words.extend([program.display().to_string(), "chatty".to_owned()]);
            words.extend(["--script".to_owned(), json.to_string()]);
        }
        Child::Probe(_) => words.extend(
            [
                "sh",
                "-c",
                "ls -l /proc/$$/fd; grep -E '^Sig(Blk|Ign)' /proc/$$/status; exit 7",
            ]
            .map(str::to_owned),
        ),
        Child::Missing => words.push("/nonexistent/pipeclog-no-such-command".to_owned()),
    }
    let line = shlex::try_join(words.iter().map(String::as_str))
        .context("failed to quote the command for a shell")?;
    let line = match case.start {
        Start::Usual => line,
        Start::StdinClosed => format!("{line} <&-"),
        Start::SigchldIgnored => format!("(trap '' CHLD; exec {line})"),
    };
    Ok(match case.stdin {
        None if case.start == Start::StdinClosed => line,
        None => format!("{line} </dev/null"),
        Some(size) => format!("head -c {} /dev/zero | {line}", size.0),
    })
}

/// What the wrapper takes of each stream; an error if nothing could be told of one.
fn show_edges(args: &CheckArgs, wrapper: &Wrapper) -> anyhow::Result<ExitCode> {
    let pool = run::pool()?;
    let sizes = || bisect::WRITE_SIZES.into_iter().filter_map(NonZeroU64::new);
    let streams = [Stream::Stdout, Stream::Stderr];
    let searches: Vec<_> = streams
        .into_iter()
        .flat_map(|stream| sizes().map(move |size| (stream, size)))
        .collect();
    let bar = run::progress(searches.len(), "searches");
    let edges = run::each(&searches, run::jobs(args.jobs), &bar, |(stream, size)| {
        bisect::search(&pool, wrapper, *stream, *size)
    })?;
    for of_stream in edges.chunk_by(|one, next| one.stream == next.stream) {
        for line in edge::lines(of_stream) {
            println!("{}", Untrusted::new(line).terminal(2000));
        }
    }
    let unclear = |edge: &&edge::Edge| matches!(edge.found, Found::Unclear { .. });
    let unclear = edges.iter().filter(unclear).count();
    ensure!(
        unclear == 0,
        "{unclear} of {} searches came to nothing, since the wrapper fails otherwise than by a hang: mend that first, or declare it (--without)",
        edges.len()
    );
    Ok(ExitCode::SUCCESS)
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
