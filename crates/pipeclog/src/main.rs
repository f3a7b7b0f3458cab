//! The command line: arguments, progress, colour, exit codes.

#[macro_use]
mod out;
mod repro;

mod args;
mod codes;
mod command;
mod interrupt;
mod near;
mod run;
mod table;
mod teller;
mod units;

use std::ffi::OsString;
use std::process::ExitCode;

use anstream::eprint;
use clap::Parser as _;
use pipeclog_rescue::spool::holder;
use pipeclog_supervise::keeper;

use args::{Cli, Colour, Command};

/// The exit code when something is not as expected.
const NOT_AS_EXPECTED: u8 = 1;
/// The exit code of wrong input.
const USAGE: u8 = 2;

fn main() -> ExitCode {
    let arguments: Vec<OsString> = std::env::args_os().collect();
    // Before clap, which would take chatty's flags for its own, and before anything that costs time: the child starts
    // fast, and must not have touched signals yet.
    if let [_, chatty, ..] = arguments.as_slice()
        && chatty == "chatty"
    {
        return pipeclog_chatty::main(&["chatty"], arguments.into_iter().skip(1));
    }
    // Nor clap's: what follows is another command's own.
    if let [_, keep, rest @ ..] = arguments.as_slice()
        && keep == keeper::KEEPER_COMMAND
    {
        return match keeper::run(rest) {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => {
                complain(&error.to_string());
                ExitCode::from(command::watch::FAILED)
            }
        };
    }
    if let [_, hold, rest @ ..] = arguments.as_slice()
        && hold == holder::HOLDER_COMMAND
    {
        return match holder::hold(rest) {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => {
                complain(&error.to_string());
                ExitCode::from(USAGE)
            }
        };
    }
    let is_watch = arguments.get(1).is_some_and(|word| word == "watch");
    let cli = match Cli::try_parse_from(&arguments) {
        Ok(cli) => cli,
        Err(error) => {
            let _ = error.print();
            // Any other code could be the watched command's own.
            return ExitCode::from(match error.exit_code() {
                0 => 0,
                _ if is_watch => command::watch::FAILED,
                _ => USAGE,
            });
        }
    };
    match cli.color {
        Colour::Auto => {}
        Colour::Always => anstream::ColorChoice::Always.write_global(),
        Colour::Never => anstream::ColorChoice::Never.write_global(),
    }
    let done = match cli.command {
        Command::Prove(args) => command::prove::run(&args),
        Command::Report(args) => command::report::run(&args),
        Command::Capture(args) => command::capture::run(args),
        Command::Check(args) => command::check::run(args),
        Command::Diagnose(args) => command::diagnose::run(&args),
        Command::Explain { class } => command::explain::run(class.as_deref()),
        Command::Predict(args) => command::predict::run(&args),
        Command::Limits(args) => command::limits::run(&args),
        Command::Completions { shell } => command::completions::run(shell),
        Command::Man { directory } => command::man::run(&directory),
        Command::Rescue(args) => command::rescue::run(&args),
        Command::Watch(args) => return command::watch::run(&args),
        Command::Drain => command::capture::drain(),
        Command::Worker(args) => command::worker::run(args),
        // Handled above.
        Command::Chatty { .. } => Ok(ExitCode::from(USAGE)),
    };
    // Whatever has come of it: what was started has ended by now.
    if let Err(interrupted) = interrupt::check() {
        interrupted.die()
    }
    done.unwrap_or_else(|error| {
        complain(&format!("{error:#}"));
        ExitCode::from(USAGE)
    })
}

/// Says on stderr what went wrong.
fn complain(what: &str) {
    eprint!(
        "{}",
        table::message(&format!("pipeclog: {what}"), std::io::stderr())
    );
}
