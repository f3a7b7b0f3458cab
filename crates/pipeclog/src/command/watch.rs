//! `pipeclog watch`: timeout(1) that knows why.

mod record;
mod suspected;

use std::ffi::OsString;
use std::io::{self, Write as _};
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context as _;
use clap::{Args, ValueEnum};
use nix::errno::Errno;
use nix::sys::signal::{SigSet, Signal, raise};
use pipeclog_rescue::Mode;
use pipeclog_supervise::{
    Account, EndedBy, Ending, Event, Holder, OnDeadlock, Options, Whom, Whose,
};
use pipeclog_waitgraph::snapshot::Snapshot;
use pipeclog_waitgraph::{Diagnosis, Untrusted, bundle, render};

use self::record::{Annotations, Level};
use crate::command::rescue;
use crate::repro;
use crate::run::{check_place, replace};
use crate::table;
use crate::teller::{Teller, said};
use crate::units::duration;

/// timeout(1) that knows why: runs a command, and explains on stderr what it hangs on before it ends it.
///
/// `timeout 60 make` becomes `pipeclog watch --timeout 60 -- make`. The command has the streams, the terminal, the process
/// group and the signals that it would have under a shell. A proven deadlock ends it at once (--on-deadlock).
///
/// Killed by SIGKILL, watch takes the command and all that it started along. Only where its keeper (`pipeclog keep`, its one child) is
/// killed in the same moment do they live on, and where they run as another user, who may not be killed.
#[derive(Debug, Args)]
#[command(after_long_help = crate::codes::WATCH)]
pub(crate) struct WatchArgs {
    /// End the command after this long: 10, 500ms, 1.5m, 2h, 1d; 0 never. Time in which watch is stopped (Ctrl-Z) does not count.
    #[arg(long, short = 't', value_name = "DURATION", value_parser = duration)]
    timeout: Option<Duration>,
    /// Send SIGKILL if it still runs this long after the signal that ends it; after a deadlock, 5 s without this.
    #[arg(long, short, value_name = "DURATION", value_parser = duration)]
    kill_after: Option<Duration>,
    /// What ends it: a name (TERM, SIGTERM, RTMIN+3, RTMAX-2) or a number.
    #[arg(long, short, value_name = "SIGNAL", default_value = "TERM", value_parser = signal)]
    signal: pipeclog_supervise::signal::Signal,
    /// Signal the command alone, and not what it started. (The terminal is the command's with and without this.)
    #[arg(long, short)]
    foreground: bool,
    /// Exit with the command's own code after a timeout too.
    #[arg(long, short)]
    preserve_status: bool,
    /// Say on stderr which signal is sent, when one is sent to end it.
    #[arg(long, short)]
    verbose: bool,
    /// End it when no process of its tree has written anything (to whatever it may be) for this long.
    #[arg(long, value_name = "DURATION", value_parser = duration)]
    no_output: Option<Duration>,
    /// What a proven deadlock leads to; it is explained on stderr in any case. One that rests on assumptions is told once it has stood for
    /// three seconds, and ends nothing; only `rescue` acts on it, where a full channel can be made larger.
    #[arg(long, value_name = "WHAT", value_enum, default_value_t = Reaction::Kill)]
    on_deadlock: Reaction,
    /// Where --on-deadlock dump writes what was seen [default: pipeclog-watch-PID.json].
    #[arg(long, value_name = "FILE")]
    dump: Option<PathBuf>,
    /// Annotate what is found for a workflow, on stderr.
    #[arg(long, value_name = "WHERE", value_enum)]
    annotate: Option<Annotate>,
    /// Write what came of it to this file, as JSON.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Write what came of it to this file, as a JUnit report of one test.
    #[arg(long, value_name = "FILE")]
    junit: Option<PathBuf>,
    /// Write a scenario to this file that acts out the command's wait-for graph, as that of `diagnose` does; where it has the same
    /// class alone, that is said on stderr.
    #[arg(long, value_name = "FILE")]
    repro: Option<PathBuf>,
    /// The command and its arguments.
    #[arg(required = true, trailing_var_arg = true, value_name = "COMMAND")]
    command: Vec<OsString>,
}

/// What a proven deadlock leads to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Reaction {
    /// The tree is ended, and the code is 124.
    Kill,
    /// Nothing: the command may be attached to, or a timeout ends it.
    Wait,
    /// The full pipes are made larger, so that it goes on; where that cannot help, the tree is ended.
    Rescue,
    /// What was seen is written to a file for `diagnose --from`, and the tree is ended.
    Dump,
}

/// Whose workflow commands are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Annotate {
    /// GitHub's: `::error title=…::…`, at most ten, as many as a step shows.
    Github,
}

const TIMED_OUT: u8 = 124;
/// The exit code for failures of our own.
pub(crate) const FAILED: u8 = 125;
const NOT_EXECUTABLE: u8 = 126;
const NOT_FOUND: u8 = 127;

pub(crate) fn run(args: &WatchArgs) -> ExitCode {
    let mut teller = match Teller::new() {
        Ok(teller) => teller,
        Err(error) => {
            let _ = write!(anstream::stderr(), "{}", said(&format!("{error:#}")));
            return ExitCode::from(FAILED);
        }
    };
    let watched = check(args).and_then(|()| watch(args, &mut teller));
    match watched {
        Ok(account) => exit(args, &account, &mut teller),
        Err(error) => {
            teller.say(&format!("{error:#}"));
            ExitCode::from(FAILED)
        }
    }
}

/// That the files can be made, before anything runs.
fn check(args: &WatchArgs) -> anyhow::Result<()> {
    let dump = (args.on_deadlock == Reaction::Dump).then(|| dump_place(args));
    anyhow::ensure!(
        dump.is_some() || args.dump.is_none(),
        "failed to make sense of --dump FILE: only --on-deadlock dump writes it; give that too"
    );
    let files = [&args.json, &args.junit, &args.repro, &dump];
    files
        .into_iter()
        .flatten()
        .try_for_each(|path| check_place(path))
}

/// Where what was seen of a deadlock goes.
fn dump_place(args: &WatchArgs) -> PathBuf {
    let named = args.dump.clone();
    named.unwrap_or_else(|| format!("pipeclog-watch-{}.json", std::process::id()).into())
}

fn watch(args: &WatchArgs, teller: &mut Teller) -> anyhow::Result<Account> {
    let never = |bound: &Duration| !bound.is_zero();
    let options = Options {
        program: std::env::current_exe().context("failed to find this program's own file")?,
        command: args.command.clone(),
        timeout: args.timeout.filter(never),
        no_output: args.no_output.filter(never),
        signal: args.signal,
        kill_after: args.kill_after.filter(never),
        whom: if args.foreground {
            Whom::Command
        } else {
            Whom::Tree
        },
        on_deadlock: match args.on_deadlock {
            Reaction::Kill | Reaction::Dump => OnDeadlock::Kill,
            Reaction::Wait => OnDeadlock::Wait,
            Reaction::Rescue => OnDeadlock::Rescue(rescue::limits(None)?),
        },
    };
    let mut annotations = Annotations::default();
    let mut tell = |event: &Event<'_>| {
        tell(args, event, teller);
        if args.annotate == Some(Annotate::Github) {
            annotate(event, &mut annotations, teller);
        }
    };
    Ok(pipeclog_supervise::run(&options, &mut tell)?)
}

fn tell(args: &WatchArgs, event: &Event<'_>, teller: &mut Teller) {
    match event {
        Event::Deadlock {
            diagnosis,
            looks,
            whose,
        } => {
            let then = match (whose, args.on_deadlock) {
                (Whose::Descendants, _) => {
                    "the command itself is not stuck, but processes that it started are:"
                }
                (Whose::Command, Reaction::Wait) => "the command is stuck for good; waiting on:",
                (Whose::Command, Reaction::Rescue) => "the command is stuck; making room for it:",
                (Whose::Command, Reaction::Kill | Reaction::Dump) => {
                    "the command is stuck for good; ending it:"
                }
            };
            let text = render::human(diagnosis.report(), table::width_of(io::stderr()));
            teller.tell(said(then) + &text);
            if args.on_deadlock == Reaction::Dump && *whose == Whose::Command {
                teller.say(&match dump(args, looks) {
                    Ok(path) => format!(
                        "what was seen is in {0}: pipeclog diagnose --from {0} {1}",
                        path.display(),
                        diagnosis.report().target.task.pid
                    ),
                    Err(error) => format!("{error:#}"),
                });
            }
        }
        Event::WasStuck(diagnosis) => {
            let text = render::human(diagnosis.report(), table::width_of(io::stderr()));
            teller.tell(said("before it ended, the command was stuck:") + &text);
        }
        Event::Suspected { diagnosis, whose } => {
            teller.tell(suspected::text(
                diagnosis.report(),
                *whose,
                args.on_deadlock,
            ));
        }
        Event::Rescued(action) => {
            teller.say(&rescue::told(action, Mode::Act));
        }
        Event::OutOfTime { why, diagnoses } => teller.tell(out_of_time(args, *why, diagnoses)),
        Event::LeftBehind(holders) => {
            for holder in *holders {
                teller.say(&left_behind(holder));
            }
        }
        Event::Sends(signal) => {
            if args.verbose {
                let name = args.command.first().map(|name| name.as_bytes());
                teller.say(&format!(
                    "sending signal {} to command '{}'",
                    pipeclog_supervise::signal::name(*signal),
                    Untrusted::from(name.unwrap_or_default()).terminal(80),
                ));
            }
        }
        Event::Trouble(error) => teller.say(&error.to_string()),
    }
}

fn annotate(event: &Event<'_>, annotations: &mut Annotations, teller: &mut Teller) {
    let mut add = |level, title: &str, text: &str| {
        let line = annotations.line(level, title, text);
        if !line.is_empty() {
            teller.tell(line);
        }
    };
    match event {
        Event::Deadlock {
            diagnosis, whose, ..
        } => {
            let level = match whose {
                Whose::Command => Level::Error,
                Whose::Descendants => Level::Warning,
            };
            add(level, "deadlock", &diagnosis.report().headline);
        }
        Event::Suspected { diagnosis, .. } => {
            let report = diagnosis.report();
            let told = report.by_gravity().first().copied().unwrap_or(report);
            add(Level::Warning, "probable deadlock", &told.headline);
        }
        Event::OutOfTime { why, diagnoses } => {
            let title = match why {
                EndedBy::Silence => "no output",
                _ => "timeout",
            };
            for diagnosis in *diagnoses {
                add(Level::Error, title, &diagnosis.report().headline);
            }
        }
        Event::LeftBehind(holders) => {
            for holder in *holders {
                add(Level::Warning, "left behind", &left_behind(holder));
            }
        }
        Event::WasStuck(diagnosis) => {
            add(Level::Error, "deadlock", &diagnosis.report().headline);
        }
        Event::Rescued(_) | Event::Sends(_) | Event::Trouble(_) => {}
    }
}

fn dump(args: &WatchArgs, looks: &[Snapshot]) -> anyhow::Result<PathBuf> {
    let path = dump_place(args);
    let text = bundle::save(looks)?;
    replace(&path, &text)?;
    Ok(path)
}

fn out_of_time(args: &WatchArgs, why: EndedBy, diagnoses: &[Diagnosis]) -> String {
    let why = match (why, args.timeout, args.no_output) {
        (EndedBy::Silence, _, Some(bound)) => format!("nothing was written for {bound:?}"),
        (_, Some(bound), _) => format!("time is up after {bound:?}"),
        (_, None, _) => "time is up".to_owned(),
    };
    let mut text = said(&format!("{why}; what everything waited for:"));
    if let [command, others @ ..] = diagnoses {
        let width = table::width_of(io::stderr());
        text += &render::human(command.report(), width);
        // Those of the command's own diagnosis have had their say.
        for other in others {
            let pid = other.report().target.task.pid;
            let members = &command.report().members;
            if members.iter().all(|member| member.actor.task.pid != pid) {
                let line = format!("- {}", other.report().headline);
                text += &table::message(&line, io::stderr());
            }
        }
    }
    text
}

fn left_behind(holder: &Holder) -> String {
    format!(
        "{} ({}) outlives the command and holds its {} open: whoever reads that to its end waits for it",
        holder.name.terminal(40),
        holder.pid,
        holder.holds.join(" and "),
    )
}

fn exit(args: &WatchArgs, account: &Account, teller: &mut Teller) -> ExitCode {
    let mut code = code(args, account);
    if let Ending::NotRun(errno) = account.end {
        let name = args.command.first().cloned().unwrap_or_default();
        teller.say(&format!("failed to run {name:?}: {}", errno.desc()));
    }
    let command: Vec<Untrusted> = args
        .command
        .iter()
        .map(|word| Untrusted::from(word.as_bytes()))
        .collect();
    type Write = fn(&Path, &[Untrusted], &Account, u8) -> anyhow::Result<()>;
    let files = [
        (&args.json, record::json as Write),
        (&args.junit, record::junit),
    ];
    for (path, write) in files {
        let written = path
            .as_deref()
            .map_or(Ok(()), |path| write(path, &command, account, code));
        if let Err(error) = written {
            teller.say(&format!("{error:#}"));
            // A code that tells of a failure says more than ours would; a success without its record is none.
            if code == 0 {
                code = FAILED;
            }
        }
    }
    if let (Some(path), Some(diagnosis)) = (&args.repro, &account.diagnosis) {
        teller.say(
            &match repro::write(path, diagnosis.report(), &account.looks) {
                Ok(repro) => repro.text,
                Err(error) => format!("{error:#}"),
            },
        );
    }
    if let (Ending::Killed(signal), EndedBy::Itself) = (account.end, account.ended_by) {
        die_of(signal);
    }
    ExitCode::from(code)
}

fn code(args: &WatchArgs, account: &Account) -> u8 {
    let was_ended = account.ended_by != EndedBy::Itself;
    let took_sigkill =
        account.ended_by != EndedBy::Deadlock && account.end == Ending::Killed(Signal::SIGKILL);
    match account.end {
        Ending::NotRun(Errno::ENOENT) => NOT_FOUND,
        Ending::NotRun(_) => NOT_EXECUTABLE,
        _ if was_ended && !args.preserve_status && !took_sigkill => TIMED_OUT,
        Ending::Exited(code) => u8::try_from(code).unwrap_or(FAILED),
        Ending::Killed(signal) => u8::try_from(128 + signal as i32).unwrap_or(FAILED),
    }
}

/// Ends this process as the command ended, for a caller that tells a signal from a code: without a core dump of ours.
/// Comes back if the signal does not kill.
fn die_of(signal: Signal) {
    let _ = nix::sys::prctl::set_dumpable(false);
    if signal == Signal::SIGPIPE {
        sigpipe::reset();
    }
    let _ = SigSet::from(signal).thread_unblock();
    // The second time for those at which Rust's start-up code looks for an overflown stack: it gives back the default first.
    let _ = raise(signal);
    let _ = raise(signal);
}

fn signal(text: &str) -> Result<pipeclog_supervise::signal::Signal, String> {
    pipeclog_supervise::signal::of(text).ok_or_else(|| {
        format!("{text:?} is no signal: write a name (TERM, RTMIN+3) or a number, as `kill -l` lists them")
    })
}
