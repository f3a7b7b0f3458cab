//! Runs the binary, bounded.

#![expect(clippy::unwrap_used, reason = "helpers of tests fail as tests do")]

use std::time::Duration;

use pipeclog_capture::{Bound, Capture, Captured, Command, End, Kill, KillTarget, Strategy};

/// What came of a run of the binary.
#[derive(Debug)]
pub(crate) struct Ran {
    pub(crate) code: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

/// Runs `pipeclog` with these arguments.
pub(crate) fn pipeclog(arguments: &[&str]) -> Ran {
    run(&Command::new(env!("CARGO_BIN_EXE_pipeclog")).args(arguments))
}

/// Runs a shell command in which `pipeclog` is the binary under test.
pub(crate) fn shell(script: &str) -> Ran {
    let folder = std::path::Path::new(env!("CARGO_BIN_EXE_pipeclog"))
        .parent()
        .unwrap();
    let path = format!(
        "{}:{}",
        folder.display(),
        std::env::var("PATH").unwrap_or_default()
    );
    // What started the tests may ignore these, and a shell cannot take that back: one that has its background jobs do so is enough.
    let default = "--default-signal=INT,QUIT";
    run(&Command::new("env")
        .args([default, "sh", "-c", script])
        .env("PATH", path))
}

fn run(command: &Command) -> Ran {
    let bound = Bound::Timeout(Duration::from_secs(120));
    let tree = Kill {
        target: KillTarget::Tree,
        term_grace: Duration::ZERO,
    };
    let captured: Captured = Capture::new(Strategy::recommended(), End::Drain, bound)
        .kill(tree)
        .run(command)
        .unwrap();
    assert!(
        captured.stopped.is_none(),
        "{command} did not end within two minutes"
    );
    Ran {
        code: captured.status.shell_code().unwrap(),
        stdout: String::from_utf8_lossy(&captured.stdout.bytes).into_owned(),
        stderr: String::from_utf8_lossy(&captured.stderr.bytes).into_owned(),
    }
}
