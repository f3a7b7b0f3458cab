//! `pipeclog check` as a person or a program calls it: its codes, its formats, the line that shows a case again.

use std::path::Path;
use std::time::Duration;

use libtest_mimic::{Failed, Trial};
use pipeclog_capture::{Bound, Capture, Command};

pub(crate) struct Ran {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

pub(crate) fn tests() -> Vec<Trial> {
    let test =
        |name: &str, run: fn() -> Result<(), Failed>| Trial::test(format!("cli/{name}"), run);
    vec![
        test("a_failed_must_gives_one_and_names_the_byte", failed),
        test("a_known_failure_gives_zero_and_a_pass_of_it_one", expected),
        test("wrong_usage_gives_two_and_says_what_to_do", usage),
        test("the_line_of_repro_shows_the_case_again", repro),
        test("junit_is_xml_with_a_case_for_each", junit),
        test("bisect_names_the_byte_and_the_pipe", edge),
        test("bisect_knows_a_socket_by_what_the_writer_waits_for", socket),
        test(
            "a_wrapper_that_ignores_its_arguments_is_told_from_one_that_loses",
            ignores,
        ),
    ]
}

fn mutant(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures/wrappers/mutants");
    path.join(format!("{name}.sh")).display().to_string()
}

fn check(arguments: &[&str]) -> Result<Ran, Failed> {
    run(Command::new(env!("CARGO_BIN_EXE_pipeclog"))
        .args(["check"])
        .args(arguments))
}

pub(crate) fn run(command: Command) -> Result<Ran, Failed> {
    let captured = Capture::recommended(Bound::Timeout(Duration::from_secs(120))).run(&command)?;
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    Ok(Ran {
        code: captured.status.shell_code(),
        stdout: text(&captured.stdout.bytes),
        stderr: text(&captured.stderr.bytes),
    })
}

pub(crate) fn assert_that(holds: bool, ran: &Ran) -> Result<(), Failed> {
    if holds {
        Ok(())
    } else {
        Err(format!("{:?}\n{}\n{}", ran.code, ran.stdout, ran.stderr).into())
    }
}

fn failed() -> Result<(), Failed> {
    let ran = check(&["--only", "stdout-65536", "--", "sh", &mutant("truncates")])?;
    let told = ran
        .stdout
        .contains("at byte 1000: the end, 64536 bytes too early");
    assert_that(ran.code == Some(1) && told, &ran)
}

fn expected() -> Result<(), Failed> {
    let known = tempfile::NamedTempFile::new()?;
    std::fs::write(known.path(), r#"{"stdout-65536": "loss"}"#)?;
    let file = known.path().display().to_string();
    let put = |name| {
        check(&[
            "--expect",
            &file,
            "--only",
            "stdout-65536",
            "--",
            "sh",
            &mutant(name),
        ])
    };
    let ran = put("truncates")?;
    assert_that(ran.code == Some(0), &ran)?;
    let ran = put("faithful")?;
    assert_that(ran.code == Some(1) && ran.stdout.contains("OUTDATED"), &ran)
}

fn usage() -> Result<(), Failed> {
    let rows: [(&[&str], &str); 7] = [
        (&[], "no wrapper was given"),
        (&["--", "/nonexistent/wrapper"], "there is no such program"),
        (&["--", "/"], "there is no such program"),
        (&["--", "/proc/version"], "it is no executable file"),
        (
            &["--bisect", "--", "true"],
            "4 of 4 searches came to nothing",
        ),
        (
            &["--only", "no-such-case", "--", "true"],
            "--list shows them all",
        ),
        (&["--without", "hands", "--", "true"], "write one of stdin"),
    ];
    for (arguments, told) in rows {
        let ran = check(arguments)?;
        let fits = ran.code == Some(2) && ran.stderr.replace('`', "").contains(told);
        assert_that(fits, &ran)?;
    }
    Ok(())
}

fn repro() -> Result<(), Failed> {
    let line = check(&["--repro", "exit-1", "--", "sh", &mutant("drops_the_code")])?;
    assert_that(
        line.code == Some(0) && line.stdout.lines().count() == 1,
        &line,
    )?;
    let ran = run(Command::new("sh").args(["-c", &line.stdout]))?;
    assert_that(ran.code == Some(0) && ran.stdout.len() == 100, &ran)
}

fn junit() -> Result<(), Failed> {
    let ran = check(&[
        "--format",
        "junit",
        "--only",
        "exit-1,exit-255",
        "--",
        "sh",
        &mutant("drops_the_code"),
    ])?;
    let cases = ran.stdout.matches("<testcase ").count();
    let failures = ran.stdout.matches("<failure ").count();
    assert_that(ran.code == Some(1) && cases == 2 && failures == 2, &ran)
}

fn edge() -> Result<(), Failed> {
    let ran = check(&["--bisect", "--", "sh", &mutant("waits_first")])?;
    let told = ran
        .stdout
        .contains("stdout, writes of 4096 bytes: 65536 bytes pass, 65537 hang")
        && ran
            .stdout
            .contains("between them: a pipe of the usual size");
    assert_that(ran.code == Some(0) && told, &ran)
}

/// Node reads ahead and then no more, so that its sizes are those of no transport.
fn socket() -> Result<(), Failed> {
    let node = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures/wrappers/node");
    let script = node.join("spawn_unread.js").display().to_string();
    let ran = check(&["--bisect", "--without", "stdin", "--", "node", &script])?;
    if ran.stderr.contains("there is no such program") {
        println!("cli/bisect_knows_a_socket: skipped: node is not installed");
        return Ok(());
    }
    let told = ran
        .stdout
        .matches("between them: a unix socket pair")
        .count()
        == 2;
    assert_that(ran.code == Some(0) && told, &ran)
}

fn ignores() -> Result<(), Failed> {
    let ran = check(&["--only", "exit-1", "--", "true"])?;
    let told = ran.stdout.contains(
        "a run of the command was owed, and exit code 0 without one (its stderr is empty) came",
    );
    assert_that(ran.code == Some(1) && told, &ran)
}
