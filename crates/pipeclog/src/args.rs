//! The command line, as data for clap; what each command does stands in `command/`.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::command::capture::CaptureArgs;
use crate::command::check::CheckArgs;
use crate::command::diagnose::DiagnoseArgs;
use crate::command::limits::LimitsArgs;
use crate::command::predict::PredictArgs;
use crate::command::report::ReportArgs;
use crate::command::rescue::RescueArgs;
use crate::command::watch::WatchArgs;
use crate::command::worker::WorkerArgs;
use crate::run;

/// Finds out why a program hangs on a pipe, proves it, and helps to get out of it.
#[derive(Debug, Parser)]
#[command(
    name = "pipeclog",
    version,
    propagate_version = true,
    arg_required_else_help = true
)]
pub(crate) struct Cli {
    /// When to colour what is printed; NO_COLOR and CLICOLOR are honoured.
    #[arg(long, global = true, value_enum, default_value_t = Colour::Auto, value_name = "WHEN")]
    pub(crate) color: Colour,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// When to colour.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Colour {
    /// On a terminal.
    Auto,
    /// Into a pipe and a file too.
    Always,
    /// Never.
    Never,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Run every scenario under every strategy, and show which hang and at which byte
    Prove(Prove),
    /// Run the scenarios, the search for the boundary and the measurements, and write a report of them
    Report(ReportArgs),
    /// Put the cases to a wrapper of somebody else, in any language: no hang, no loss, no harm
    Check(CheckArgs),
    /// Say what processes wait for, and prove it where they wait for ever
    Diagnose(DiagnoseArgs),
    /// Run a command as timeout(1) does, and say why it hangs
    Watch(WatchArgs),
    /// Un-wedge a process that hangs on a full pipe, and lose nothing
    Rescue(RescueArgs),
    /// Say what a pipe holds, or what would come of a script, before anything runs
    Predict(PredictArgs),
    /// Say what pipes are like on this machine, and how near this user is to its limits
    Limits(LimitsArgs),
    /// Tell one class of hang in half a page; without a name, list them
    Explain {
        /// The slug of a class, as the tables and diagnoses show it.
        #[arg(value_name = "CLASS")]
        class: Option<String>,
    },
    /// Run a command under a capture strategy, and hand on what it wrote, all at once when it has ended
    Capture(CaptureArgs),
    /// Print what a shell needs to complete this command line
    Completions {
        /// The shell.
        #[arg(value_enum)]
        shell: clap_complete::Shell,
    },
    /// Write the manual pages into a directory
    Man {
        /// The directory, as /usr/local/share/man/man1.
        #[arg(value_name = "DIRECTORY")]
        directory: PathBuf,
    },
    /// Be the chatty child: write what the flags or a script say (see `pipeclog chatty --help`)
    #[command(disable_help_flag = true)]
    Chatty {
        /// Passed on.
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<OsString>,
    },
    /// Run trials for another process, which asks for them on stdin
    #[command(hide = true, name = pipeclog_harness::pool::WORKER_COMMAND)]
    Worker(WorkerArgs),
    /// Read stdin to its end, for background descendants of a capture that is over
    #[command(hide = true, name = crate::command::capture::DRAIN_COMMAND)]
    Drain,
}

/// Which trials, and how.
#[derive(Debug, Args)]
#[command(after_long_help = crate::codes::PROVE)]
pub(crate) struct Prove {
    /// Run only trials whose name (`scenario/strategy`) contains all of these.
    #[arg(value_name = "FILTER")]
    pub(crate) filters: Vec<String>,
    /// Run the scenario of this file, as `--repro` has written it, instead of the built-in ones.
    #[arg(long, value_name = "FILE")]
    pub(crate) scenario: Option<PathBuf>,
    /// Print the names of the trials instead of running them.
    #[arg(long)]
    pub(crate) list: bool,
    /// Run the slow tier too: scenarios of more than 140,000 system calls (64 MiB byte by byte takes half a minute a trial).
    #[arg(long)]
    pub(crate) slow: bool,
    /// How many trials to run at a time [default: two for each processor].
    #[arg(long, short, value_name = "N", value_parser = run::parse_jobs)]
    pub(crate) jobs: Option<std::num::NonZeroUsize>,
    /// Write every outcome, with its evidence, to this file.
    #[arg(long, value_name = "FILE")]
    pub(crate) json: Option<PathBuf>,
}
