//! As the first process of a pid namespace, as in a container without an init: who adopts every orphan, and dies of no signal by default.

use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::marked::{Mark, VARIABLE};
use crate::run::{Ran, shell};

/// How to begin; nothing where no namespace can be had.
#[expect(clippy::print_stdout, reason = "a skipped test says so")]
fn namespace() -> Option<&'static str> {
    let ways = [
        "unshare --pid --fork --mount-proc",
        "unshare --user --map-root-user --pid --fork --mount-proc",
    ];
    let found = ways
        .into_iter()
        .find(|way| shell(&format!("{way} true")).code == 0);
    if found.is_none() {
        println!("skipped: no pid namespace can be made here");
    }
    found
}

#[test]
fn each_command_works_and_leaves_no_orphan() {
    let Some(way) = namespace() else {
        return;
    };
    let first = |command: &str| -> Ran { shell(&format!("{way} pipeclog {command}")) };
    let ran = first("watch -- sh -c 'exit 7'");
    assert_eq!((ran.code, ran.stderr.as_str()), (7, ""), "{ran:?}");
    let ran =
        first("watch -- sh -c '(sleep 600 >/dev/null 2>&1 &); (setsid true &); echo out; exit 3'");
    assert_eq!((ran.code, ran.stdout.as_str()), (3, "out\n"), "{ran:?}");
    let ran = first("watch --timeout 0.3 -- sh -c 'setsid sleep 600 & sleep 601'");
    assert_eq!(ran.code, 124, "{ran:?}");
    let ran = first("capture -s poll -- sh -c 'echo out; echo err >&2; exit 5'");
    assert_eq!(
        (ran.code, ran.stdout.as_str(), ran.stderr.as_str()),
        (5, "out\n", "err\n")
    );
    let ran = first("prove -j 2 sequential-read/65537 grandchild-holds/daemon");
    assert_eq!(ran.code, 2, "no trial has both names: {ran:?}");
    for trials in ["sequential-read/65537", "grandchild-holds/daemon/t"] {
        let ran = first(&format!("prove -j 2 {trials}"));
        assert_eq!(ran.code, 0, "{ran:?}");
    }
}

#[test]
fn a_run_ends_by_a_signal_all_the_same() {
    let Some(way) = namespace() else {
        return;
    };
    let mark = Mark::new();
    let mut run = Command::new("sh")
        .args([
            "-c",
            &format!("{way} \"$0\" prove -j 1 waiting-outside; echo $?"),
        ])
        .arg(env!("CARGO_BIN_EXE_pipeclog"))
        .env(VARIABLE, &mark.0)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let since = Instant::now();
    // The shell, unshare, the run, the guard, the worker, and a trial.
    let first = loop {
        let living = mark.living();
        let first = living.iter().find(|one| {
            one.command
                .starts_with(concat!(env!("CARGO_BIN_EXE_pipeclog"), " prove"))
        });
        if let (Some(first), true) = (first, living.len() > 6) {
            break first.pid;
        }
        assert!(since.elapsed() < Duration::from_secs(60), "{living:?}");
    };
    kill(Pid::from_raw(first), Signal::SIGTERM).unwrap();
    let said = std::io::read_to_string(run.stdout.take().unwrap()).unwrap();
    run.wait().unwrap();
    assert!(said.ends_with("143\n"), "{said}");
    assert!(mark.living().is_empty(), "{:?}", mark.living());
}
