//! `pipeclog man`: the manual pages, a page for each command.

use std::path::Path;
use std::process::ExitCode;

use anyhow::Context as _;
use clap::CommandFactory as _;

use crate::args::Cli;

/// Writes `pipeclog.1`, `pipeclog-watch.1` and so on into a directory, which is made if it is not there.
pub(crate) fn run(directory: &Path) -> anyhow::Result<ExitCode> {
    let failed = || {
        format!(
            "failed to write the manual pages into {}",
            directory.display()
        )
    };
    std::fs::create_dir_all(directory).with_context(failed)?;
    clap_mangen::generate_to(Cli::command().disable_help_subcommand(true), directory)
        .with_context(failed)?;
    Ok(ExitCode::SUCCESS)
}
