//! `pipeclog rescue`: a live artificial deadlock, un-wedged.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context as _;
use clap::{Args, ValueEnum};
use pipeclog_procscan::limits::PipeLimitFiles;
use pipeclog_procscan::{Scanner, Selection};
use pipeclog_rescue::spool::JOURNAL;
use pipeclog_rescue::{
    Action, Deed, Ended, Event, Failure, Limits, Mode, Resumed, Session, Spool, SpoolError,
};
use pipeclog_scenario::script::Size;
use pipeclog_waitgraph::snapshot::Pid;

use crate::out::Sink;
use crate::table;
use crate::units::{duration, pid, size_as_usize};

/// Un-wedges a process that hangs on a full pipe, and loses nothing.
///
/// Only where a deadlock is certified, and a full pipe or unix socket is part of it, that is made larger: the smallest first, and again
/// until nobody is stuck. Where the certificate rests on assumptions they are told first: if one is wrong, a buffer is larger than it had
/// to be, and no more. What is made larger stays so. No signal is sent, nothing is traced, no byte is read. Every action is
/// told before and after. The program has the same fault the next time it runs: the diagnosis says what to change.
///
/// A pipe that can grow no more is taken to disk with --spool DIR: its readers are stopped (SIGSTOP), its bytes go into a file as long as
/// somebody writes, and when the last writer has closed it the readers go on and get all of them in order, and then the end of
/// file. It is refused where a stop could do harm: in the middle of a write, in epoll_wait(2) and other calls that a stop interrupts, for
/// a reader that does not block or handles SIGCONT, for a FIFO, for a pipe of packets (O_DIRECT), where the certificate rests on any assumption, and so where not every
/// process can be seen, which takes root on most machines. The disk must hold all that is written. A writer that never closes keeps the readers stopped. Nobody else
/// must let them go on meanwhile; a shell with job control says that they are stopped, and `fg` takes them back.
///
/// When rescue is killed, by SIGKILL even, or the disk is full, --resume DIR goes on: not a byte is lost or doubled. A process that it leaves
/// behind (`pipeclog hold`) keeps the pipe open until then. Only if that is killed besides, while the readers read, do they see the end
/// too early; then the files stay, and --resume says so.
///
/// --close-leaked is for another fault, and only where it is asked for: a reader waits for an end of file, and a process that was never
/// meant to has the other end open. Of a unix socket it can be let come (shutdown(2)). THE DANGER: whoever holds that end can write there
/// no more; its next write fails with EPIPE, or SIGPIPE ends it, and what it had yet to say there is lost. The end of a PIPE cannot be
/// closed from outside without tracing its holder, which this program does not: it is refused, and the text says what helps.
#[derive(Debug, Args)]
#[command(after_long_help = crate::codes::RESCUE)]
pub(crate) struct RescueArgs {
    /// The process that hangs, or one that waits for it or has started it. Process 1 stands for itself alone, not for all below it.
    #[arg(value_name = "PID", value_parser = pid, required_unless_present = "resume")]
    pid: Option<u32>,
    /// Say what would be done first, and do nothing.
    #[arg(long)]
    dry_run: bool,
    /// Make nothing larger than this [default: /proc/sys/fs/pipe-max-size].
    #[arg(long, value_name = "SIZE")]
    most: Option<Size>,
    /// Stay for this long after the last action, in case it meets another full pipe.
    #[arg(long, value_name = "DURATION", default_value = "5s", value_parser = duration)]
    guard: Duration,
    /// Take a full pipe that can grow no more to disk, in this directory (a new or an empty one), until its writers have closed it.
    #[arg(long, value_name = "DIR")]
    spool: Option<PathBuf>,
    /// Finish what a rescue with --spool DIR has begun that was killed, or found the disk full.
    #[arg(long, value_name = "DIR", conflicts_with_all = ["pid", "spool", "dry_run", "most", "guard"])]
    resume: Option<PathBuf>,
    /// Let the end of file come that a leaked end of a unix socket withholds. Dangerous: whoever holds it can write there no more.
    #[arg(long, conflicts_with_all = ["spool", "resume", "most", "guard"])]
    close_leaked: bool,
    /// How to tell it.
    #[arg(long, value_enum, default_value_t = Format::Human, value_name = "FORMAT")]
    format: Format,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Format {
    /// For a person.
    Human,
    /// For programs: an object a line for each action.
    Json,
}

const REFUSED: u8 = 1;
const STUCK_AGAIN: u8 = 3;
const ON_DISK: u8 = 4;

pub(crate) fn run(args: &RescueArgs) -> anyhow::Result<ExitCode> {
    match (&args.resume, args.pid) {
        (Some(directory), _) => resume(args, directory),
        (None, Some(pid)) if args.close_leaked => close_leaked(args, Pid(pid)),
        (None, Some(pid)) => rescue(args, Pid(pid)),
        (None, None) => anyhow::bail!("failed to find whom to rescue: name a process"),
    }
}

fn rescue(args: &RescueArgs, target: Pid) -> anyhow::Result<ExitCode> {
    let session = Session {
        target,
        limits: limits(args.most)?,
        mode: mode(args),
        guard: args.guard,
        spool: args.spool.as_deref().map(spool),
    };
    let mut actions = 0;
    let mut tell = |event: &Event<'_>| match (event, args.format) {
        (Event::Planned(plan), Format::Human) => {
            told_or_not(&plan.headline, args.format);
            for assumption in &plan.assumptions {
                told_or_not(&format!("taking it that {assumption}"), args.format);
            }
        }
        (Event::Planned(_), Format::Json) => {}
        (Event::Done(action), format) => {
            actions += 1;
            match format {
                Format::Human => told_or_not(&told(action, session.mode), format),
                Format::Json => {
                    // Never fails: numbers and escaped strings.
                    told_or_not(&serde_json::to_string(action).unwrap_or_default(), format);
                }
            }
        }
        (Event::Spooled(deed), format) => {
            actions += u32::from(matches!(deed, Deed::Given(_)));
            tell_deed(deed, format, args.spool.as_deref(), session.mode);
        }
    };
    let ended = session.run(&mut tell);
    match ended {
        Ok(Ended::Exited) => say(args, "it has ended by itself"),
        Ok(Ended::GoesOn) => say(args, "it goes on"),
        Ok(Ended::DryRun) => say(args, "nothing was changed, as was asked"),
        Err(error @ (Failure::Refused(_) | Failure::Stuck(_) | Failure::Spool(_))) => {
            crate::complain(&error.to_string());
            // Another rescue's journal says nothing of this one.
            let is_own = match &error {
                Failure::Spool(SpoolError::Busy(_) | SpoolError::NotEmpty(_)) => false,
                Failure::Spool(_) => true,
                _ => false,
            };
            let spooled = args.spool.as_deref().filter(|_| is_own);
            return Ok(ExitCode::from(match (spooled, actions) {
                // The journal is there from the first change to the last.
                (Some(directory), _) if directory.join(JOURNAL).exists() => ON_DISK,
                (_, 0) => REFUSED,
                _ => STUCK_AGAIN,
            }));
        }
        Err(error) => return Err(error.into()),
    }
    Ok(ExitCode::SUCCESS)
}

fn mode(args: &RescueArgs) -> Mode {
    if args.dry_run {
        Mode::DryRun
    } else {
        Mode::Act
    }
}

fn close_leaked(args: &RescueArgs, target: Pid) -> anyhow::Result<ExitCode> {
    let mut scanner = Scanner::new("/proc")?;
    let looks = scanner.scan_twice(&Selection::Tree(vec![target]))?;
    if looks.iter().all(|look| look.process(target).is_none()) {
        return Err(Failure::NoProcess(target).into());
    }
    let closed = match pipeclog_rescue::close_leaked(&looks, target, mode(args)) {
        Ok(closed) => closed,
        Err(error) => {
            crate::complain(&error.to_string());
            return Ok(ExitCode::from(REFUSED));
        }
    };
    match args.format {
        // Never fails: numbers and escaped strings.
        Format::Json => told_or_not(
            &serde_json::to_string(&closed).unwrap_or_default(),
            args.format,
        ),
        Format::Human => {
            let did = match mode(args) {
                Mode::Act => "shut",
                Mode::DryRun => "would shut",
            };
            told_or_not(
                &format!(
                    "{}\n{did} the leaked end of {}: its reader gets the end of file; process {} can write there no more (EPIPE, SIGPIPE)",
                    closed.headline,
                    closed.channel,
                    list(&closed.holders)
                ),
                args.format,
            );
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn resume(args: &RescueArgs, directory: &Path) -> anyhow::Result<ExitCode> {
    let mut tell = |deed: &Deed| tell_deed(deed, args.format, Some(directory), Mode::Act);
    match pipeclog_rescue::resume(&spool(directory), &mut tell) {
        Ok(Resumed::Finished) => say(args, "it has been given all that was taken"),
        Ok(Resumed::Undone) => say(args, "nothing had been taken, and what was begun is undone"),
        Err(error) => {
            crate::complain(&error.to_string());
            let is_there = directory.join(JOURNAL).exists();
            return Ok(ExitCode::from(if is_there { ON_DISK } else { REFUSED }));
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn spool(directory: &Path) -> Spool {
    Spool {
        directory: directory.to_owned(),
        // This program even where its file has been replaced since.
        program: PathBuf::from("/proc/self/exe"),
    }
}

fn say(args: &RescueArgs, text: &str) {
    if args.format == Format::Human {
        told_or_not(text, args.format);
    }
}

/// Told without minding a reader who has gone: nobody must stay stuck, or stopped, for want of one.
fn told_or_not(text: &str, format: Format) {
    let text = match format {
        Format::Human => table::message(text, std::io::stdout()),
        Format::Json => format!("{text}\n"),
    };
    let _ = Sink::stdout().write_all(text.as_bytes());
}

fn tell_deed(deed: &Deed, format: Format, directory: Option<&Path>, mode: Mode) {
    let directory = directory.map_or_else(String::new, |path| path.display().to_string());
    let text = match (format, deed, mode) {
        // Never fails: numbers.
        (Format::Json, deed, _) => serde_json::to_string(deed).unwrap_or_default(),
        (Format::Human, Deed::Begins { inode, readers }, Mode::DryRun) => format!(
            "would stop process {} and take pipe:[{inode}] to {directory}, until every writer has closed it",
            list(readers)
        ),
        (Format::Human, Deed::Begins { inode, readers }, Mode::Act) => format!(
            "stopping process {} and taking pipe:[{inode}] to {directory}, until every writer has closed it; should this be \
             interrupted: pipeclog rescue --resume {directory}",
            list(readers)
        ),
        (Format::Human, Deed::Taken { bytes }, _) => {
            format!("every writer has closed; {bytes} bytes are on disk, and go back")
        }
        (Format::Human, Deed::Given(delivery), _) => match delivery.unread_bytes {
            0 => format!(
                "gave all {} bytes back to pipe:[{}]",
                delivery.bytes, delivery.inode
            ),
            unread => format!(
                "the last reader of pipe:[{}] has closed it and left {unread} of {} bytes unread",
                delivery.inode, delivery.bytes
            ),
        },
    };
    told_or_not(&text, format);
}

fn list(pids: &[Pid]) -> String {
    let pids: Vec<String> = pids.iter().map(ToString::to_string).collect();
    pids.join(", ")
}

/// How far channels may grow on this machine, or as far as was asked.
pub(crate) fn limits(most: Option<Size>) -> anyhow::Result<Limits> {
    let most_bytes = match most {
        Some(size) => size_as_usize(size)?,
        None => {
            let text = PipeLimitFiles::read(Path::new("/proc"))?.max_size;
            let number = std::str::from_utf8(&text).ok().map(str::trim);
            number
                .and_then(|number| number.parse().ok())
                .context("failed to read /proc/sys/fs/pipe-max-size: no number; give --most SIZE")?
        }
    };
    Ok(Limits { most_bytes })
}

/// An action in a sentence.
pub(crate) fn told(action: &Action, mode: Mode) -> String {
    let did = match mode {
        Mode::Act => "made",
        Mode::DryRun => "would make",
    };
    format!(
        "{did} {} larger, from {} to {} bytes, by a duplicate of descriptor {} of process {}",
        action.channel, action.from_bytes, action.to_bytes, action.fd, action.pid
    )
}
