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
        test("what_is_no_wrapper_is_said_to_be_none", no_wrapper),
        test("a_broken_contract_is_told_before_the_cases", contract),
        test("where_nothing_applies_nothing_was_tested", nothing_applies),
        test("a_list_of_the_cases_comes_in_every_form", catalogue),
        test("bisect_gives_its_edges_to_programs", edges_as_json),
        test("the_line_of_repro_shows_a_processor_that_is_burnt", burns),
        test("the_line_of_repro_shows_a_child_that_nobody_reaped", zombie),
        test(
            "a_signal_leaves_what_had_ended_and_ends_the_check",
            interrupted,
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
    run_within(command, Duration::from_secs(120))
}

pub(crate) fn run_within(command: Command, bound: Duration) -> Result<Ran, Failed> {
    let captured = Capture::recommended(Bound::Timeout(bound)).run(&command)?;
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
    let told = "says loss: take \"stdout-65536\" out of it";
    assert_that(ran.code == Some(1) && ran.stdout.contains(told), &ran)
}

fn usage() -> Result<(), Failed> {
    let rows: [(&[&str], &str); 9] = [
        (&[], "no wrapper was given"),
        (&["--", "/nonexistent/wrapper"], "there is no such program"),
        (&["--", "/"], "there is no such program"),
        (&["--", "/proc/version"], "it is no executable file"),
        (&["--bisect", "--", "true"], "this is no wrapper"),
        (
            &["--bisect", "--only", "exit-1", "--", "true"],
            "cannot be used with",
        ),
        (&["--list", "--format", "junit"], "a list of cases has none"),
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

fn no_wrapper() -> Result<(), Failed> {
    for (program, told) in [
        ("true", "its stderr is empty"),
        ("cat", "its stderr begins: cat"),
    ] {
        let ran = check(&["--only", "output", "--", program])?;
        let says = format!("calls it as {program} COMMAND");
        let told = ran.stderr.contains("this is no wrapper") && ran.stderr.contains(told);
        let told = told && ran.stderr.replace('`', "").contains(&says);
        assert_that(ran.code == Some(2) && told && ran.stdout.is_empty(), &ran)?;
    }
    Ok(())
}

fn contract() -> Result<(), Failed> {
    let rows = [
        (
            "drops_the_code",
            "exit-1",
            "it does not exit with the command's code",
        ),
        ("swaps", "exit-1", "it does not write the command's stderr"),
    ];
    for (name, case, told) in rows {
        let ran = check(&["--only", case, "--", "sh", &mutant(name)])?;
        assert_that(ran.code == Some(1) && ran.stderr.contains(told), &ran)?;
    }
    let ran = check(&["--only", "exit-1", "--", "sh", &mutant("faithful")])?;
    assert_that(ran.code == Some(0) && ran.stderr.is_empty(), &ran)
}

fn nothing_applies() -> Result<(), Failed> {
    let ran = check(&["--only", "deadline", "--", "sh", &mutant("faithful")])?;
    let told = ran.stderr.contains("nothing was tested");
    assert_that(ran.code == Some(2) && told, &ran)
}

fn catalogue() -> Result<(), Failed> {
    let cases = pipeclog_harness::fixtures::cases()?;
    let ran = check(&["--list", "--format", "json"])?;
    let listed: Vec<serde_json::Value> = serde_json::from_str(&ran.stdout)?;
    assert_that(ran.code == Some(0) && listed.len() == cases.len(), &ran)?;
    for (format, lines) in [("human", cases.len()), ("markdown", cases.len() + 2)] {
        let ran = check(&["--list", "--format", format])?;
        let all = ran.stdout.lines().count() == lines;
        assert_that(ran.code == Some(0) && all, &ran)?;
    }
    Ok(())
}

fn edges_as_json() -> Result<(), Failed> {
    let wrapper = mutant("waits_first");
    let ran = check(&["--bisect", "--format", "json", "--", "sh", &wrapper])?;
    let edges: Vec<serde_json::Value> = serde_json::from_str(&ran.stdout)?;
    let first = edges.first().ok_or("no edge")?;
    let told = first["stream"] == "stdout" && first["write_size"] == 4096;
    assert_that(ran.code == Some(0) && edges.len() == 4 && told, &ran)
}

/// Runs the line that `--repro` prints for a case.
fn line_of(case: &str, wrapper: &str) -> Result<Ran, Failed> {
    let line = check(&["--repro", case, "--", "sh", &mutant(wrapper)])?;
    assert_that(
        line.code == Some(0) && line.stdout.lines().count() == 1,
        &line,
    )?;
    run(Command::new("sh").args(["-c", &line.stdout]))
}

fn burns() -> Result<(), Failed> {
    let used = |wrapper| -> Result<f64, Failed> {
        let ran = line_of("idle", wrapper)?;
        // `0m1.25s 0m0.31s`, of the children.
        let times = ran.stdout.lines().last().ok_or("no times")?;
        let words = times.split(['m', 's', ' ']).filter(|word| !word.is_empty());
        let numbers: Result<Vec<f64>, _> = words.map(str::parse).collect();
        let numbers = numbers.map_err(|_| format!("no times: {times}"))?;
        Ok(numbers
            .chunks(2)
            .map(|time| time.iter().fold(0.0, |sum, part| sum * 60.0 + part))
            .sum())
    };
    let (burnt, slept) = (used("burns")?, used("faithful")?);
    if burnt > slept {
        Ok(())
    } else {
        Err(format!("{burnt} s of the processor, and {slept} s by one that sleeps").into())
    }
}

fn zombie() -> Result<(), Failed> {
    let strace = run(Command::new("sh").args(["-c", "strace true"]))?;
    if strace.code != Some(0) {
        println!(
            "cli/the_line_of_repro_shows_a_child: skipped: strace is not installed, or may not trace"
        );
        return Ok(());
    }
    for (wrapper, reaped) in [("leaves_a_zombie", "0\n"), ("faithful", "1\n")] {
        let ran = line_of("child-reaped", wrapper)?;
        assert_that(ran.stdout == reaped, &ran)?;
    }
    Ok(())
}

/// The wrapper itself sends the signal, in its sixth command: four ask for the contract, and one case has ended by then.
const INTERRUPTS: &str = r#"echo >>"$0.count"
if [ "$(wc -l <"$0.count")" -ge 6 ]; then kill -TERM "$(cat "$0.pid")"; exec sleep 600; fi
exec "$@"
"#;

fn interrupted() -> Result<(), Failed> {
    let folder = tempfile::tempdir()?;
    let wrapper = folder.path().join("wrapper");
    std::fs::write(&wrapper, INTERRUPTS)?;
    let text = r#"echo $$ >"$1.pid"; exec "$0" check --jobs 1 --only exit-1,exit-255 -- sh "$1""#;
    let program = env!("CARGO_BIN_EXE_pipeclog");
    let ran = run(Command::new("sh")
        .args(["-c", text, program])
        .args([&wrapper]))?;
    let told = ran
        .stdout
        .contains("1 passed\ninterrupted: 1 of 2 cases were not run");
    assert_that(ran.code == Some(128 + 15) && told, &ran)
}
