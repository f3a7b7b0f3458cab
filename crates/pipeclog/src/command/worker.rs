//! `pipeclog worker`: runs trials for `prove`, `report` and the tests, one at a time.
//!
//! Two processes: the one that is asked for is a guard, and starts the same program again as the one that runs trials.

use std::hash::{BuildHasher as _, RandomState};
use std::os::unix::fs::DirBuilderExt as _;
use std::path::PathBuf;
use std::process::{Command, ExitCode};
use std::time::Duration;

use anyhow::Context as _;
use clap::Args;
use nix::unistd::Pid;
use pipeclog_harness::pool;
use pipeclog_harness::stop::Stop;
use pipeclog_harness::trial::Setup;
use pipeclog_supervise::tree::End;
use pipeclog_supervise::{descriptors, guard};

/// The bound on a trial that nothing else ends.
pub(crate) const DEADLINE: Duration = Duration::from_secs(20);

/// Which of the two.
#[derive(Debug, Args)]
pub(crate) struct WorkerArgs {
    /// Run the trials, under this guard.
    #[arg(long, value_name = "PID", requires = "scratch")]
    guard: Option<i32>,
    /// A directory to make, for what a trial cannot do without a name for, and to remove.
    #[arg(long, value_name = "DIRECTORY", requires = "guard")]
    scratch: Option<PathBuf>,
}

pub(crate) fn run(args: WorkerArgs) -> anyhow::Result<ExitCode> {
    // A trial is the same one wherever it is run from: what a shell or a test runner left open here is no part of it.
    descriptors::close_all_but(&[]).context("failed to close what was inherited")?;
    match (args.guard, args.scratch) {
        (Some(guard), Some(scratch)) => serve(Pid::from_raw(guard), scratch),
        _ => stand_guard(),
    }
}

fn stand_guard() -> anyhow::Result<ExitCode> {
    let program = std::env::current_exe().context("failed to find this program's own file")?;
    // It is made by the one that is guarded, who can be sure to remove it; who it is is known here already.
    let scratch = std::env::temp_dir().join(format!(
        "pipeclog-{}-{:016x}",
        std::process::id(),
        RandomState::new().hash_one(std::process::id())
    ));
    let end = guard::run(
        Command::new(program)
            .arg(pool::WORKER_COMMAND)
            .arg("--guard")
            .arg(std::process::id().to_string())
            .arg("--scratch")
            .arg(&scratch),
    );
    let _ = std::fs::remove_dir_all(&scratch);
    Ok(match end? {
        End::Code(code) => ExitCode::from(u8::try_from(code).unwrap_or(u8::MAX)),
        End::Signal(signal) => ExitCode::from(u8::try_from(128 + signal as i32).unwrap_or(u8::MAX)),
    })
}

fn serve(guard: Pid, scratch: PathBuf) -> anyhow::Result<ExitCode> {
    let program = std::env::current_exe().context("failed to find this program's own file")?;
    // In this order: from here on a signal ends this process only when it has cleaned up.
    let stop = Stop::at_signals_and_end_of_stdin().context("failed to watch for signals")?;
    guard::be_guarded_by(guard)?;
    std::fs::DirBuilder::new()
        .mode(0o700)
        .create(&scratch)
        .with_context(|| format!("failed to make {}", scratch.display()))?;
    let setup = Setup {
        program,
        deadline: DEADLINE,
        stop,
        scratch,
    };
    let served = pool::serve(&setup).context("failed to serve trials on stdin and stdout");
    let _ = std::fs::remove_dir_all(&setup.scratch);
    served.map(|()| ExitCode::SUCCESS)
}
