//! The chatty child: writes what a script tells it to, and knows nothing of who captures it.
//!
//! It executes the steps of a [`pipeclog_scenario::script::Script`] with raw system calls. It says nothing
//! of its own on its streams, except for an error before the first byte (exit code 2) or a system call that failed
//! where the script gives no rule (exit code 125, and a line on standard error).
//!
//! SIGPIPE has its default, unless the script ignores it: Rust's own start ignores it, and [`main`] undoes that.
//! The other signals that a script ignores are blocked in the signal mask, which is as good as ignored for as long
//! as the process lives, but `/proc/PID/status` shows them under `SigBlk` rather than `SigIgn`.

mod args;
mod descend;
mod knot;
mod ledger;
mod process;
mod signals;
mod source;
mod streams;

pub use ledger::{Ledger, LedgerState, Writing};
pub use source::{SCRIPT_MAX_BYTES, SourceError, read_script};

use std::ffi::OsString;
use std::io::Write as _;
use std::process::ExitCode;

use clap::Parser as _;

use args::{Args, Task};
use process::Process;

/// The exit code for arguments or a script that are wrong; nothing has been written then.
pub const USAGE: u8 = 2;

/// The exit code for a system call that failed where the script gives no rule for it, as `timeout` has it.
pub const FAILED: u8 = 125;

/// Runs chatty with `args`, the first of which is the program's name.
///
/// `prefix` are the arguments that lead from the executable to here, for descendants: none for the program
/// `chatty`, the subcommand's name for a program that has chatty as a subcommand.
///
/// Call it before any other thread is started: it changes the disposition of SIGPIPE and the signal mask.
pub fn main(prefix: &[&str], args: impl IntoIterator<Item = OsString>) -> ExitCode {
    let args = match Args::try_parse_from(args) {
        Ok(args) => args,
        // --help and --version are no errors: clap knows the stream and the code.
        Err(error) => error.exit(),
    };
    let done = match args.task() {
        Ok(Task::Print(json)) => print(&json),
        Ok(Task::Run { script, ledger }) => {
            Process::new(prefix, ledger).run(&script, script.steps(), || {})
        }
        Ok(Task::Descend) => descend::main(prefix),
        Err(error) => {
            complain(&error);
            return ExitCode::from(USAGE);
        }
    };
    done.unwrap_or_else(|error| {
        complain(&error);
        ExitCode::from(FAILED)
    })
}

fn print(json: &str) -> Result<ExitCode, process::Failure> {
    let mut stdout = std::io::stdout();
    match writeln!(stdout, "{json}").and_then(|()| stdout.flush()) {
        Ok(()) => Ok(ExitCode::SUCCESS),
        // `chatty --print-script … | head -1` is no failure.
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Ok(ExitCode::SUCCESS),
        Err(error) => Err(process::Failure::io("print the script", error)),
    }
}

/// Nothing can be done if standard error is gone too; the exit code still speaks.
fn complain(error: &dyn std::fmt::Display) {
    let _ = writeln!(std::io::stderr(), "chatty: {error}");
}
