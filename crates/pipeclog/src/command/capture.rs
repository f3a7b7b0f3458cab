//! `pipeclog capture`: the parent of a trial, and useful by itself.

use std::ffi::OsString;
use std::io::{self, Write};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::process::{self, ExitCode, Stdio};
use std::str::FromStr;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use clap::builder::{PossibleValuesParser, TypedValueParser};
use clap::{Args, ValueEnum};
use nix::sys::resource::{Usage, UsageWho, getrusage};
use pipeclog_capture::{
    Background, Bound, Capture, Captured, CaughtSignals, Command, End, Error, ErrorKind, FilePlace,
    Input, Kill, KillTarget, Limit, LimitPolicy, Output, Status, Stopped, Strategy, UnknownName,
};
use pipeclog_scenario::outcome::{CaptureReport, StreamReport};
use pipeclog_scenario::script::Size;
use rustix::event::{PollFd, PollFlags};
use rustix::io::Errno;

use crate::out::Sink;
use crate::run::replace;
use crate::units::{duration, size_as_usize};

/// A command, and how to capture what it writes. All of it is kept in memory until the capture has ended, unless --limit says otherwise.
#[derive(Debug, Args)]
#[command(after_help = EXIT_CODES)]
pub(crate) struct CaptureArgs {
    /// How to capture; hazards among them, which hang with some commands.
    #[arg(long, short, value_name = "NAME", value_parser = named(&Strategy::ALL, Strategy::name))]
    strategy: Strategy,
    /// What ends the capture after the command's exit: `eof` (every writer has closed), `drain` (what is in the pipe has
    /// been read), or `grace=DURATION`.
    #[arg(long, value_name = "WHEN", default_value = "eof", value_parser = end)]
    end: End,
    /// End the command after this long, and exit with 124 (500ms, 10s, 2m).
    #[arg(long, value_name = "DURATION", value_parser = duration)]
    deadline: Option<Duration>,
    /// Keep at most this many bytes of each stream (64k, 1M).
    #[arg(long, value_name = "SIZE")]
    limit: Option<Size>,
    /// What happens to output beyond the limit. What is not handed on is said on stderr, or in the report.
    #[arg(
        long,
        value_name = "POLICY",
        default_value = "head",
        value_parser = named(&LimitPolicy::ALL, LimitPolicy::name),
        requires = "limit"
    )]
    limit_policy: LimitPolicy,
    /// Who is killed when the capture must end.
    #[arg(long, value_name = "WHO", default_value = "leader", value_parser = named(&KillTarget::ALL, KillTarget::name))]
    kill: KillTarget,
    /// How long those who are killed have between SIGTERM and SIGKILL; without it there is SIGKILL at once, or 10 s after a signal that
    /// was passed on.
    #[arg(long, value_name = "DURATION", value_parser = duration)]
    kill_after: Option<Duration>,
    /// What becomes of streams that background descendants still hold.
    #[arg(long, value_name = "WHAT", value_enum, default_value_t = BackgroundStreams::KeepDraining)]
    background: BackgroundStreams,
    /// Where `temp_file` has its files: `large-pages` is memory, the fastest for tens of megabytes, where it can be had.
    #[arg(long, value_name = "PLACE", default_value = "temp-dir", value_parser = named(&FilePlace::ALL, FilePlace::name))]
    files_in: FilePlace,
    /// Give the command this file's bytes as stdin, through the strategy; without it, stdin is ours (`-` reads it whole).
    #[arg(long, value_name = "FILE")]
    stdin_file: Option<PathBuf>,
    /// Write what came of the capture, and what it cost, to this file as JSON.
    #[arg(long, value_name = "FILE")]
    report: Option<PathBuf>,
    /// The command and its arguments.
    #[arg(required = true, trailing_var_arg = true, value_name = "COMMAND")]
    command: Vec<OsString>,
}

/// What becomes of streams that descendants hold when the capture is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum BackgroundStreams {
    /// A process of ours stays behind, reads on for them and throws away, until the last of them has closed.
    KeepDraining,
    /// They are closed: the next write of a descendant meets a broken pipe.
    Abandon,
}

const EXIT_CODES: &str = "\
Exit codes, as timeout(1) has them: the command's own; 128 and the signal's number if a signal killed it, or us, who then pass it on;
124 the deadline passed; 125 the capture failed, a limit ended it, or what was captured could not be handed on; 126 the command cannot be
executed; 127 it was not found. And 2 wrong usage, 69 the strategy does not run here.";

/// The hidden command that stays behind.
pub(crate) const DRAIN_COMMAND: &str = "drain";

/// The exit codes of timeout(1), which wrappers of commands share.
const TIMED_OUT: u8 = 124;
const FAILED: u8 = 125;
const NOT_EXECUTABLE: u8 = 126;
const NOT_FOUND: u8 = 127;
/// This build or machine cannot run the strategy (EX_UNAVAILABLE of sysexits.h).
const UNSUPPORTED: u8 = 69;

/// Runs the command, hands on what was captured, and exits with the command's code, or 128 and the signal that killed it.
pub(crate) fn run(args: CaptureArgs) -> anyhow::Result<ExitCode> {
    let [program, arguments @ ..] = args.command.as_slice() else {
        anyhow::bail!("no command was given");
    };
    if args.strategy.is_hazard()
        && (args.end != End::EndOfFile || args.deadline.is_some() || args.limit.is_some())
    {
        anyhow::bail!(
            "{} is kept to hang: it takes no --end, --deadline or --limit; take `timeout` around it, or a safe strategy",
            args.strategy
        );
    }
    if args.files_in == FilePlace::LargePages && args.strategy != Strategy::TempFile {
        anyhow::bail!(
            "{} takes no --files-in: of all strategies, temp_file alone has files that may stand elsewhere",
            args.strategy
        );
    }
    let command = Command::new(program).args(arguments);
    let mut capture = Capture::new(
        args.strategy,
        args.end,
        args.deadline.map_or(Bound::Unbounded, Bound::Timeout),
    )
    .stdin(input(args.stdin_file.as_deref())?)
    .kill(Kill {
        target: args.kill,
        term_grace: args.kill_after.unwrap_or(Duration::ZERO),
    })
    .files_in(args.files_in)
    .background(match args.background {
        // Not a thread of ours, which would end with us.
        BackgroundStreams::KeepDraining => Background::HandBack,
        BackgroundStreams::Abandon => Background::Abandon,
    });
    // A hazard is kept to hang: a signal is to end it as it would end any program that makes the mistake.
    let signals = match args.strategy.is_hazard() {
        true => None,
        false => Some(CaughtSignals::new()?),
    };
    if let Some(signals) = &signals {
        capture = capture.stopped_by(signals.stopper());
    }
    if let Some(size) = args.limit {
        capture = capture.limit(Limit {
            bytes: size_as_usize(size)?,
            policy: args.limit_policy,
        });
    }
    let started = Instant::now();
    let result = capture.run(&command);
    let took = started.elapsed();
    // From here on a signal ends us, as it should: somebody may not read what we hand on.
    drop(signals);
    let (captured, code) = match result {
        Ok(captured) => {
            if captured.status == Status::Lost {
                crate::complain(
                    "the command's exit code is lost: SIGCHLD is ignored here, and this kernel keeps no code then (Linux 6.15 does)",
                );
            }
            let code = code_of(&captured);
            (Some(captured), code)
        }
        Err(error) => {
            // A limit that was passed is in the report, and its message would stand among the command's own bytes.
            if error.kind() != ErrorKind::Limit || args.report.is_none() {
                crate::complain(&with_causes(&error));
            }
            let code = code_of_error(&error);
            (error.into_partial(), code)
        }
    };
    let Some(mut captured) = captured else {
        return Ok(ExitCode::from(code));
    };
    // First of all the bytes: whatever fails after this has lost nothing.
    let handed_on = hand_on(&captured);
    let drained = std::mem::take(&mut captured.still_open)
        .into_iter()
        .try_for_each(leave_a_drainer);
    let reported = match &args.report {
        Some(path) => write_report(path, &captured, took),
        None => {
            say_what_is_missing(&captured, args.limit_policy);
            Ok(())
        }
    };
    match handed_on.and(drained).and(reported) {
        Ok(()) => Ok(ExitCode::from(code)),
        // The command ran, so this is no wrong input.
        Err(error) => {
            crate::complain(&format!("{error:#}"));
            Ok(ExitCode::from(FAILED))
        }
    }
}

/// A process in a session of its own that reads `stream` to its end. It holds nothing else of ours: whoever waits for our
/// stdout or stderr to close is not kept waiting.
fn leave_a_drainer(stream: OwnedFd) -> anyhow::Result<()> {
    let program = std::env::current_exe().context("failed to find this program's own file")?;
    process::Command::new(program)
        .arg(DRAIN_COMMAND)
        .stdin(stream)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .current_dir("/")
        .spawn()
        .map(drop)
        .context("failed to start a process that reads on for background descendants (--background abandon does without)")
}

/// Reads stdin to its end and throws it away.
pub(crate) fn drain() -> anyhow::Result<ExitCode> {
    // Failure: it is a session leader already, which is as good.
    let _ = rustix::process::setsid();
    let stdin = io::stdin();
    let mut room = vec![0; 64 << 10];
    loop {
        match rustix::io::read(&stdin, &mut room) {
            Ok(0) => return Ok(ExitCode::SUCCESS),
            Ok(_) | Err(Errno::INTR) => {}
            Err(Errno::AGAIN) => {
                let mut set = [PollFd::new(&stdin, PollFlags::IN)];
                rustix::event::poll(&mut set, None).or_else(|errno| {
                    if errno == Errno::INTR {
                        Ok(0)
                    } else {
                        Err(errno)
                    }
                })?;
            }
            // A terminal's master says EIO when the last slave has closed.
            Err(Errno::IO) => return Ok(ExitCode::SUCCESS),
            Err(errno) => return Err(errno).context("failed to read stdin"),
        }
    }
}

fn code_of(captured: &Captured) -> u8 {
    match captured.stopped {
        Some(Stopped::Deadline) => TIMED_OUT,
        Some(Stopped::Signal(number)) => u8::try_from(128 + number).unwrap_or(FAILED),
        Some(Stopped::Limit | Stopped::Caller | Stopped::Failure) => FAILED,
        None => captured
            .status
            .shell_code()
            .and_then(|code| u8::try_from(code).ok())
            .unwrap_or(FAILED),
    }
}

fn code_of_error(error: &Error) -> u8 {
    match error.kind() {
        ErrorKind::NotFound => NOT_FOUND,
        ErrorKind::NotExecutable => NOT_EXECUTABLE,
        ErrorKind::Unsupported => UNSUPPORTED,
        // BadDirectory and those that a later version adds: our own failure, as timeout(1) has it.
        _ => FAILED,
    }
}

fn with_causes(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(error.source(), |cause| cause.source());
    causes.fold(error.to_string(), |text, cause| format!("{text}: {cause}"))
}

/// A reader that has enough (`| head`) is no error of ours.
fn hand_on(captured: &Captured) -> anyhow::Result<()> {
    // Both are tried: that nobody can have the one is no reason to lose the other.
    let stdout = write_all(Sink::stdout(), &captured.stdout, "stdout");
    stdout.and(write_all(Sink::stderr(), &captured.stderr, "stderr"))
}

fn write_all(mut to: impl Write, output: &Output, name: &str) -> anyhow::Result<()> {
    let mut write = || {
        to.write_all(&output.bytes)?;
        if let Some(spilled) = &output.spilled {
            copy_spilled(spilled, &mut to)?;
        }
        to.flush()
    };
    match write() {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        other => other.with_context(|| {
            format!(
                "failed to hand on {} bytes that were captured: cannot write to {name}",
                output.kept
            )
        }),
    }
}

/// Output that the limit kept from being handed on must not be missed in silence.
fn say_what_is_missing(captured: &Captured, policy: LimitPolicy) {
    for (output, name) in [(&captured.stdout, "stdout"), (&captured.stderr, "stderr")] {
        if output.kept < output.seen {
            let which = match policy {
                LimitPolicy::Tail => "last",
                LimitPolicy::Head | LimitPolicy::Spill | LimitPolicy::Kill | LimitPolicy::Error => {
                    "first"
                }
            };
            crate::complain(&format!(
                "--limit kept the {which} {} of {} bytes of {name}",
                output.kept, output.seen
            ));
        }
    }
}

fn copy_spilled(spilled: &pipeclog_capture::Spilled, to: &mut impl Write) -> io::Result<()> {
    use std::os::unix::fs::FileExt as _;
    let mut block = vec![0; 64 << 10];
    let (mut at, end) = (spilled.start, spilled.start + spilled.len);
    while at < end {
        let want = usize::try_from(end - at)
            .unwrap_or(usize::MAX)
            .min(block.len());
        let (part, _) = block.split_at_mut(want);
        spilled.file.read_exact_at(part, at)?;
        to.write_all(part)?;
        at += part.len() as u64;
    }
    Ok(())
}

fn input(file: Option<&Path>) -> anyhow::Result<Input> {
    match file {
        None => Ok(Input::Inherit),
        Some(path) if path == Path::new("-") => {
            let mut bytes = Vec::new();
            io::Read::read_to_end(&mut io::stdin().lock(), &mut bytes)
                .context("failed to read stdin")?;
            Ok(Input::from(bytes))
        }
        Some(path) => std::fs::read(path)
            .map(Input::from)
            .with_context(|| format!("failed to read the command's stdin from {}", path.display())),
    }
}

fn write_report(path: &Path, captured: &Captured, took: Duration) -> anyhow::Result<()> {
    let cost =
        |who| getrusage(who).with_context(|| "failed to ask for the resources used (getrusage)");
    let (own, children) = (
        cost(UsageWho::RUSAGE_SELF)?,
        cost(UsageWho::RUSAGE_CHILDREN)?,
    );
    let report = CaptureReport {
        stopped: captured.stopped.map(name_of),
        stdout: stream_report(&captured.stdout),
        stderr: stream_report(&captured.stderr),
        capture_us: u64::try_from(took.as_micros()).unwrap_or(u64::MAX),
        parent_cpu_us: cpu_us(&own),
        child_cpu_us: cpu_us(&children),
        parent_peak_kib: own.max_rss().cast_unsigned(),
    };
    replace(path, &serde_json::to_string(&report)?)
}

fn name_of(stopped: Stopped) -> String {
    match stopped {
        Stopped::Deadline => "deadline",
        Stopped::Limit => "limit",
        Stopped::Caller => "caller",
        Stopped::Signal(_) => "signal",
        Stopped::Failure => "failure",
    }
    .to_owned()
}

fn stream_report(output: &Output) -> StreamReport {
    StreamReport {
        end: output.end.to_string(),
        seen: output.seen,
        kept: output.kept,
    }
}

fn cpu_us(usage: &Usage) -> u64 {
    [usage.user_time(), usage.system_time()]
        .into_iter()
        .map(|time| time.tv_sec().cast_unsigned() * 1_000_000 + time.tv_usec().cast_unsigned())
        .sum()
}

/// A choice by its name, as a parser that lists the names, and finds the one that was meant.
fn named<T>(all: &[T], name: fn(T) -> &'static str) -> impl TypedValueParser<Value = T>
where
    T: FromStr<Err = UnknownName> + Copy + Send + Sync + 'static,
{
    PossibleValuesParser::new(all.iter().map(|choice| name(*choice))).try_map(|name| name.parse())
}

fn end(text: &str) -> Result<End, String> {
    match text {
        "eof" => Ok(End::EndOfFile),
        "drain" => Ok(End::Drain),
        _ => match text.strip_prefix("grace=") {
            Some(period) => duration(period).map(End::Grace),
            None => Err("write eof, drain or grace=DURATION".to_owned()),
        },
    }
}
