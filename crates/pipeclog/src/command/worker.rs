//! `pipeclog worker`: runs trials for `prove`, `report` and the tests, one at a time.

use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context as _;
use pipeclog_harness::pool;
use pipeclog_harness::stop::Stop;
use pipeclog_harness::trial::Setup;

/// The bound on a trial that nothing else ends.
pub(crate) const DEADLINE: Duration = Duration::from_secs(20);

pub(crate) fn run() -> anyhow::Result<ExitCode> {
    let program = std::env::current_exe().context("failed to find this program's own file")?;
    let stop = Stop::at_signals_and_end_of_stdin().context("failed to watch for signals")?;
    let setup = Setup {
        program,
        deadline: DEADLINE,
        stop,
    };
    pool::serve(&setup).context("failed to serve trials on stdin and stdout")?;
    Ok(ExitCode::SUCCESS)
}
