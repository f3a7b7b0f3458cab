//! Real programs in eleven languages that hang, and as many that only look as if they did:
//! `cargo test --test live python/`.
//!
//! The cases are data (`fixtures/live/<language>/cases.json` and the programs beside it). Each is a test of its own, and plays on a
//! stage: a process that is the subreaper of all that the case starts, asks `pipeclog diagnose` about it, and leaves nothing
//! behind. The stage itself is bounded from here.

#![expect(
    clippy::print_stdout,
    reason = "a case that cannot run here is said to be skipped, and the counts are the result"
)]

mod case;
mod shapes;
mod stage;
mod tally;
mod workshop;

use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use libtest_mimic::{Arguments, Failed, Trial};
use pipeclog_capture::{Bound, Capture, Command, End, Kill, KillTarget, Strategy};

use case::Case;
use stage::{Played, Script};
use tally::Tally;
use workshop::Workshop;

/// How many cases play at a time: nearly all of them only wait.
const SIDE_BY_SIDE: usize = 6;

/// Far above what a stage allows itself.
const STAGE_BOUND: Duration = Duration::from_secs(150);

fn main() -> ExitCode {
    if let Some(script) = stage::script_of_this_process() {
        return stage::play(&script);
    }
    let mut arguments = Arguments::from_args();
    arguments.test_threads.get_or_insert(SIDE_BY_SIDE);
    let workshop = Arc::new(Workshop::new());
    let tally = Arc::new(Tally::default());
    let trials = case::all()
        .expect("fixtures/live is well-formed")
        .into_iter()
        .chain(shapes::all().expect("PIPECLOG_SHAPES is a number"))
        .map(|case| {
            let (workshop, tally) = (Arc::clone(&workshop), Arc::clone(&tally));
            Trial::test(case.title(), move || run(&case, &workshop, &tally))
        })
        .collect();
    let conclusion = libtest_mimic::run(&arguments, trials);
    print!("{tally}");
    // exit() runs no destructors: what was built goes now.
    drop(workshop);
    conclusion.exit_code()
}

fn run(case: &Case, workshop: &Workshop, tally: &Tally) -> Result<(), Failed> {
    let command = match workshop.command(case)? {
        Ok(command) => command,
        Err(missing) => {
            println!("{}: skipped: {missing}", case.title());
            tally.skipped(case);
            return Ok(());
        }
    };
    let script = Script {
        case: case.clone(),
        command,
        pipeclog: env!("CARGO_BIN_EXE_pipeclog").into(),
    };
    let played = on_a_stage(&script)?;
    tally.add(case, &played);
    match played.complaint {
        None => Ok(()),
        Some(complaint) => Err(complaint.into()),
    }
}

fn on_a_stage(script: &Script) -> Result<Played, Failed> {
    let program = std::env::current_exe()?;
    let tree = Kill {
        target: KillTarget::Tree,
        term_grace: Duration::ZERO,
    };
    let command = Command::new(program)
        .arg(stage::ROLE)
        .arg(serde_json::to_string(script)?);
    let captured = Capture::new(
        Strategy::recommended(),
        End::Drain,
        Bound::Timeout(STAGE_BOUND),
    )
    .kill(tree)
    .run(&command)?;
    serde_json::from_slice(&captured.stdout.bytes).map_err(|_| {
        format!(
            "the stage ended with {} and said: {}",
            captured.status,
            String::from_utf8_lossy(&captured.stderr.bytes)
        )
        .into()
    })
}
