//! What fails: named, and with nothing left behind.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use pipeclog_capture::{Bound, Capture, Command, End, Error, ErrorKind, Strategy};
use rustix::process::{Resource, Rlimit};

use crate::support::{LONG, alone, assert_childless, safe, sh};

fn failure(strategy: Strategy, command: &Command) -> Error {
    let capture = Capture::new(strategy, End::Drain, LONG);
    capture.run(command).expect_err("it cannot run")
}

fn write_file(path: &Path, text: &str, mode: u32) {
    std::fs::write(path, text).expect("writable");
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).expect("ours");
}

#[test]
fn each_way_of_not_starting_has_its_name() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = |name: &str| directory.path().join(name);
    write_file(&path("no_permission"), "#!/bin/sh\n", 0o644);
    write_file(&path("no_interpreter"), "#!/no/such/interpreter\n", 0o755);
    let rows = [
        (Command::new("/no/such/program"), ErrorKind::NotFound),
        (
            Command::new("no-such-program-anywhere"),
            ErrorKind::NotFound,
        ),
        (Command::new(path("no_interpreter")), ErrorKind::NotFound),
        (
            Command::new(path("no_permission")),
            ErrorKind::NotExecutable,
        ),
        (Command::new(directory.path()), ErrorKind::NotExecutable),
        (
            Command::new(path("no_permission").join("x")),
            ErrorKind::NotExecutable,
        ),
        (
            sh("exit 0").current_dir("/no/such/directory"),
            ErrorKind::BadDirectory,
        ),
        (
            sh("exit 0").current_dir(path("no_permission")),
            ErrorKind::BadDirectory,
        ),
        (
            Command::new("/no/such/program").current_dir("/no/such/directory"),
            ErrorKind::BadDirectory,
        ),
        (
            Command::new("sh").arg("nul\0byte"),
            ErrorKind::InvalidCommand,
        ),
        (
            sh("exit 0").env("NAME", "nul\0byte"),
            ErrorKind::InvalidCommand,
        ),
        (
            Command::new("true").arg("x".repeat(4 << 20)),
            ErrorKind::NotExecutable,
        ),
    ];
    for (command, kind) in rows {
        for strategy in safe() {
            let error = failure(strategy, &command);
            assert_eq!(error.kind(), kind, "{strategy}: {error:?}");
            assert!(error.partial().is_none(), "{strategy}: nothing had started");
        }
    }
}

#[test]
fn a_file_of_no_known_format_cannot_be_executed() {
    let file = tempfile::NamedTempFile::new().expect("a file");
    let path = file.into_temp_path();
    write_file(&path, "\u{7f}ELF not really", 0o755);
    // Where clone3 is missing a pty's spawn forks, and execvp(3) then gives such a file to the shell.
    for strategy in safe().filter(|it| *it != Strategy::Pty) {
        assert_eq!(
            failure(strategy, &Command::new(&path)).kind(),
            ErrorKind::NotExecutable,
            "{strategy}"
        );
    }
}

#[test]
fn an_error_names_what_was_tried_on_what_and_why() {
    let error = failure(
        Strategy::Poll,
        &Command::new("/no/such/program").arg("-x\u{1b}"),
    );
    assert_eq!(
        error.to_string(),
        r#"failed to run "/no/such/program" "-x\u{1b}": not found"#
    );
    let cause = std::error::Error::source(&error).expect("a cause");
    assert_eq!(cause.to_string(), "No such file or directory (os error 2)");
}

#[test]
fn at_any_shortage_of_descriptors_the_error_is_typed_and_nothing_is_left() {
    if !alone(
        "failures::at_any_shortage_of_descriptors_the_error_is_typed_and_nothing_is_left",
        "",
    ) {
        return;
    }
    let before = open_descriptors();
    for strategy in Strategy::ALL.into_iter().filter(|it| it.is_built()) {
        let mut worked = false;
        for most in 4..=64 {
            let capture = if strategy.is_hazard() {
                Capture::new(strategy, End::EndOfFile, Bound::Unbounded)
            } else {
                Capture::new(strategy, End::Drain, LONG)
            };
            let result = with_descriptors(most, || capture.stdin("x").run(&Command::new("cat")));
            match result {
                Ok(captured) => {
                    worked = true;
                    assert!(captured.status.success(), "{strategy} {most}: {captured:?}");
                }
                Err(error) => assert_eq!(
                    error.kind(),
                    ErrorKind::Resources,
                    "{strategy} {most}: {error:?}"
                ),
            }
            assert_childless();
            assert_eq!(open_descriptors(), before, "{strategy} {most}");
        }
        assert!(worked, "{strategy} does not run with 64 descriptors");
    }
}

/// Runs it with no descriptor number from `most` on.
fn with_descriptors<T>(most: u64, work: impl FnOnce() -> T) -> T {
    let usual = rustix::process::getrlimit(Resource::Nofile);
    let low = Rlimit {
        current: Some(most),
        maximum: usual.maximum,
    };
    rustix::process::setrlimit(Resource::Nofile, low).expect("lower is allowed");
    let result = work();
    rustix::process::setrlimit(Resource::Nofile, usual).expect("back to what it was");
    result
}

/// How many descriptors this process has.
pub(crate) fn open_descriptors() -> usize {
    std::fs::read_dir("/proc/self/fd")
        .expect("readable")
        .count()
}
