//! `pipeclog rescue`: a live artificial deadlock, un-wedged.

use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context as _;
use clap::{Args, ValueEnum};
use pipeclog_procscan::limits::PipeLimitFiles;
use pipeclog_rescue::{Action, Ended, Event, Failure, Limits, Mode, Session};
use pipeclog_scenario::script::Size;
use pipeclog_waitgraph::snapshot::Pid;

use crate::units::{duration, size_as_usize};

/// Un-wedges a process that hangs on a full pipe, and loses nothing.
///
/// Only where a deadlock is certified, and a full pipe or unix socket is part of it, that is made larger: the smallest first, and again
/// until nobody is stuck. What is made larger stays so. No signal is sent, nothing is traced, no byte is read. Every action is
/// told before and after. The program has the same fault the next time it runs: the diagnosis says what to change.
///
/// Exit codes: 0 it goes on, or has ended by itself; 1 refused, with the reason and what would help; 2 wrong usage; 3 it was
/// freed, and is stuck again where no more can be done.
#[derive(Debug, Args)]
#[command(verbatim_doc_comment)]
pub(crate) struct RescueArgs {
    /// The process that hangs, or one that waits for it.
    #[arg(value_name = "PID")]
    pid: u32,
    /// Say what would be done first, and do nothing.
    #[arg(long)]
    dry_run: bool,
    /// Make nothing larger than this [default: /proc/sys/fs/pipe-max-size].
    #[arg(long, value_name = "SIZE")]
    most: Option<Size>,
    /// Stay for this long after the last action, in case it meets another full pipe.
    #[arg(long, value_name = "DURATION", default_value = "5s", value_parser = duration)]
    guard: Duration,
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

pub(crate) fn run(args: &RescueArgs) -> anyhow::Result<ExitCode> {
    let session = Session {
        target: Pid(args.pid),
        limits: limits(args.most)?,
        mode: if args.dry_run {
            Mode::DryRun
        } else {
            Mode::Act
        },
        guard: args.guard,
    };
    let mut actions = 0;
    let mut tell = |event: &Event<'_>| match (event, args.format) {
        (Event::Planned(plan), Format::Human) => println!("{}", plan.headline),
        (Event::Planned(_), Format::Json) => {}
        (Event::Done(action), format) => {
            actions += 1;
            match format {
                Format::Human => println!("{}", told(action, session.mode)),
                Format::Json => {
                    // Never fails: numbers and escaped strings.
                    println!("{}", serde_json::to_string(action).unwrap_or_default());
                }
            }
        }
    };
    let ended = session.run(&mut tell);
    let say = |text: &str| {
        if args.format == Format::Human {
            println!("{text}");
        }
    };
    match ended {
        Ok(Ended::Exited) => say("it has ended by itself"),
        Ok(Ended::GoesOn) => say("it goes on"),
        Ok(Ended::DryRun) => say("nothing was changed, as was asked"),
        Err(error @ (Failure::Refused(_) | Failure::Stuck(_))) => {
            crate::complain(&error.to_string());
            return Ok(ExitCode::from(if actions > 0 {
                STUCK_AGAIN
            } else {
                REFUSED
            }));
        }
        Err(error) => return Err(error.into()),
    }
    Ok(ExitCode::SUCCESS)
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
