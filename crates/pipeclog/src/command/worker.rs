//! `pipeclog worker`: runs trials for `prove`, `report` and the tests, one at a time.

use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context as _;
use pipeclog_harness::pool;
use pipeclog_harness::stop::Stop;
use pipeclog_harness::trial::Setup;
use pipeclog_supervise::descriptors;

/// The bound on a trial that nothing else ends.
pub(crate) const DEADLINE: Duration = Duration::from_secs(20);

pub(crate) fn run() -> anyhow::Result<ExitCode> {
    // A trial is the same one wherever it is run from: what a shell or a test runner left open here is no part of it.
    descriptors::close_all_but(&[]).context("failed to close what was inherited")?;
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
