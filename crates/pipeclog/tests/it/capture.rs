//! `pipeclog capture`: what it hands on, and the codes of timeout(1).

use crate::run::{pipeclog, shell};

#[test]
fn streams_and_exit_code_are_handed_on() {
    let ran = pipeclog(&[
        "capture",
        "-s",
        "poll",
        "--",
        "sh",
        "-c",
        "echo out; echo err >&2; exit 7",
    ]);
    assert_eq!(
        (ran.code, ran.stdout.as_str(), ran.stderr.as_str()),
        (7, "out\n", "err\n")
    );
}

#[test]
fn codes_are_those_of_timeout() {
    let codes = [
        (
            vec![
                "capture",
                "-s",
                "poll",
                "--deadline",
                "50ms",
                "--",
                "sleep",
                "600",
            ],
            124,
        ),
        (vec!["capture", "-s", "poll", "--", "/dev/null"], 126),
        (
            vec!["capture", "-s", "poll", "--", "no-such-program-here"],
            127,
        ),
        (
            vec!["capture", "-s", "poll", "--", "sh", "-c", "kill -TERM $$"],
            128 + 15,
        ),
        (
            vec![
                "capture",
                "-s",
                "poll",
                "--limit",
                "10",
                "--limit-policy",
                "error",
                "--",
                "seq",
                "100",
            ],
            125,
        ),
    ];
    for (arguments, code) in codes {
        let ran = pipeclog(&arguments);
        assert_eq!(ran.code, code, "{arguments:?}: {ran:?}");
    }
}

#[test]
fn wrong_input_is_a_clear_error_with_code_2_and_nothing_runs() {
    let wrong = [
        (vec!["capture", "-s", "naive", "--", "echo", "ran"], "naive"),
        (
            vec![
                "capture", "-s", "poll", "--end", "soon", "--", "echo", "ran",
            ],
            "grace=DURATION",
        ),
        (
            vec![
                "capture",
                "-s",
                "poll",
                "--deadline",
                "1 fortnight",
                "--",
                "echo",
                "ran",
            ],
            "duration",
        ),
        (
            vec![
                "capture", "-s", "poll", "--limit", "many", "--", "echo", "ran",
            ],
            "size",
        ),
        (
            vec![
                "capture",
                "-s",
                "poll",
                "--limit-policy",
                "head",
                "--",
                "echo",
                "ran",
            ],
            "--limit",
        ),
        (
            vec![
                "capture",
                "-s",
                "wait_then_read",
                "--deadline",
                "1s",
                "--",
                "echo",
                "ran",
            ],
            "hang",
        ),
        (
            vec![
                "capture",
                "-s",
                "poll",
                "--stdin-file",
                "/no/such/file",
                "--",
                "echo",
                "ran",
            ],
            "/no/such/file",
        ),
        (
            vec![
                "capture",
                "-s",
                "memfd",
                "--files-in",
                "large-pages",
                "--",
                "echo",
                "ran",
            ],
            "temp_file alone",
        ),
        (vec!["capture", "-s", "poll"], "COMMAND"),
        (vec!["capture", "--", "echo", "ran"], "--strategy"),
    ];
    for (arguments, says) in wrong {
        let ran = pipeclog(&arguments);
        assert_eq!(ran.code, 2, "{arguments:?}: {ran:?}");
        assert!(ran.stderr.contains(says), "{arguments:?}: {}", ran.stderr);
        assert!(!ran.stdout.contains("ran"), "{arguments:?}: {}", ran.stdout);
    }
}

#[test]
fn a_reader_that_has_enough_is_no_error() {
    let ran = shell("{ pipeclog capture -s poll -- seq 1000000; echo $? >&2; } | head -1");
    assert_eq!((ran.stdout.as_str(), ran.stderr.as_str()), ("1\n", "0\n"));
}

#[test]
fn a_background_child_is_drained_on_for_after_we_have_exited() {
    // The child writes after our exit, and says on a file whether it was let.
    let folder = tempfile::tempdir().unwrap();
    let survived = folder.path().join("survived");
    let script = format!(
        "sh -c '(mkfifo {0}.go; read _ <{0}.go; head -c 200000 /dev/zero && echo $? >{0}) & echo started'",
        survived.display()
    );
    let ran = shell(&format!(
        "pipeclog capture -s poll --end drain -- {script}; until [ -p {0}.go ]; do :; done; echo go >{0}.go; \
         until [ -s {0} ]; do kill -0 $$; done; cat {0}",
        survived.display()
    ));
    assert_eq!(ran.stdout, "started\n0\n", "{}", ran.stderr);
}

#[test]
fn stdin_goes_through_the_strategy() {
    let ran = shell("seq 100000 | pipeclog capture -s poll --stdin-file - -- cat | tail -1");
    assert_eq!(ran.stdout, "100000\n", "{}", ran.stderr);
}

/// Runs the command below a capture, signals the capture once the command is ready, and says what came. The command makes the file
/// `$READY` when it is.
fn signalled(options: &str, signals: &[&str], command: &str) -> crate::run::Ran {
    let folder = tempfile::tempdir().expect("a directory");
    let kills: Vec<String> = signals
        .iter()
        .enumerate()
        .map(|(at, signal)| {
            let ready = folder.path().join(format!("ready{at}"));
            format!(
                "until [ -e {} ]; do kill -0 $pid || exit 99; done; kill -{signal} $pid",
                ready.display()
            )
        })
        .collect();
    let script = format!(
        "export READY={}; pipeclog capture -s poll {options} -- sh -c '{command}' & pid=$!; {}; wait $pid",
        folder.path().join("ready").display(),
        kills.join("; ")
    );
    shell(&script)
}

#[test]
fn a_signal_is_passed_on_and_the_output_until_then_handed_on() {
    // A shell's background command ignores SIGINT from the start, as POSIX has it, so that one is left to the library's tests.
    for (signal, number) in [("HUP", 1), ("TERM", 15)] {
        let ran = signalled("", &[signal], "echo early; : >${READY}0; exec sleep 600");
        assert_eq!(
            (ran.code, ran.stdout.as_str()),
            (128 + number, "early\n"),
            "{signal}: {ran:?}"
        );
        let ran = signalled(
            "",
            &[signal],
            &format!("trap \"echo late; exit 3\" {signal}; : >${{READY}}0; while :; do :; done"),
        );
        assert_eq!(
            (ran.code, ran.stdout.as_str()),
            (128 + number, "late\n"),
            "{signal}: {ran:?}"
        );
    }
}

#[test]
fn a_second_signal_kills_a_command_that_ignores_the_first() {
    let script = "trap \": >${READY}1\" TERM; echo early; : >${READY}0; while :; do :; done";
    let ran = signalled("--kill-after 1h", &["TERM", "TERM"], script);
    assert_eq!(
        (ran.code, ran.stdout.as_str()),
        (128 + 15, "early\n"),
        "{ran:?}"
    );
}

#[test]
fn a_signal_that_is_ignored_stays_ignored() {
    let ran = shell(
        "trap '' HUP; pipeclog capture -s poll -- sh -c 'kill -HUP $PPID; kill -HUP $$; echo lives'",
    );
    assert_eq!((ran.code, ran.stdout.as_str()), (0, "lives\n"), "{ran:?}");
}

#[test]
fn output_that_nobody_can_have_is_said_and_the_code_is_125() {
    for (script, says) in [
        (
            "pipeclog capture -s poll -- echo lost >&-",
            "5 bytes that were captured: cannot write to stdout: it is closed",
        ),
        (
            "pipeclog capture -s poll -- echo lost >/dev/full",
            "cannot write to stdout: No space left on device",
        ),
        (
            "pipeclog explain >&-",
            "failed to write to stdout: it is closed",
        ),
        (
            "pipeclog watch --junit /dev/full -- true",
            "No space left on device",
        ),
    ] {
        let ran = shell(script);
        assert_eq!(ran.code, 125, "{script}: {ran:?}");
        assert!(ran.stderr.contains(says), "{script}: {ran:?}");
    }
    // A failure's own code says more.
    let ran = shell("pipeclog watch --junit /dev/full -- sh -c 'exit 3'");
    assert_eq!(ran.code, 3, "{ran:?}");
    // Nowhere to say it, but the code does; and stdout is handed on all the same.
    let ran = shell("pipeclog capture -s poll -- sh -c 'echo out; echo lost >&2' 2>&-");
    assert_eq!((ran.code, ran.stdout.as_str()), (125, "out\n"), "{ran:?}");
    // Nothing is lost, and /dev/null is a choice, in whatever mode it was opened.
    for script in [
        "pipeclog capture -s poll -- true >&-",
        "pipeclog capture -s poll -- echo x 1<>/dev/null",
    ] {
        let ran = shell(script);
        assert_eq!(
            (ran.code, ran.stderr.as_str()),
            (0, ""),
            "{script}: {ran:?}"
        );
    }
}

#[test]
fn what_a_limit_kept_from_being_handed_on_is_said() {
    for (policy, says) in [
        ("head", "kept the first 10 of 292 bytes of stdout"),
        ("tail", "kept the last 10 of 292 bytes of stdout"),
    ] {
        let ran = shell(&format!(
            "pipeclog capture -s poll --limit 10 --limit-policy {policy} -- seq 100"
        ));
        assert_eq!(ran.code, 0, "{policy}: {ran:?}");
        assert_eq!(ran.stdout.len(), 10, "{policy}: {ran:?}");
        assert!(ran.stderr.contains(says), "{policy}: {ran:?}");
    }
    // What is spilled is handed on too, and what fits needs no word.
    for options in ["--limit 10 --limit-policy spill", "--limit 292"] {
        let ran = shell(&format!("pipeclog capture -s poll {options} -- seq 100"));
        assert_eq!(
            (ran.code, ran.stdout.len(), ran.stderr.as_str()),
            (0, 292, ""),
            "{options}"
        );
    }
    let ran = shell("pipeclog capture -s poll --limit 10 --limit-policy kill -- yes");
    assert_eq!(
        (ran.code, ran.stdout.as_str()),
        (125, "y\ny\ny\ny\ny\n"),
        "{ran:?}"
    );
    assert!(ran.stderr.contains("kept the first 10 of"), "{ran:?}");
}

#[test]
fn a_name_that_is_nearly_right_is_answered_with_the_right_one() {
    for (arguments, meant) in [
        ("-s pol", "poll"),
        ("-s wait_then_raed", "wait_then_read"),
        ("-s poll --kill lader", "leader"),
        ("-s poll --limit 1 --limit-policy tial", "tail"),
    ] {
        let ran = shell(&format!("pipeclog capture {arguments} -- echo ran"));
        assert_eq!(
            (ran.code, ran.stdout.as_str()),
            (2, ""),
            "{arguments}: {ran:?}"
        );
        assert!(
            ran.stderr
                .contains(&format!("a similar value exists: '{meant}'"))
                || ran.stderr.contains(&format!("'{meant}'")),
            "{arguments}: {ran:?}"
        );
    }
}

/// A pipe that another process left non-blocking: nothing is lost although its reader is slow to begin.
#[test]
fn output_survives_a_non_blocking_pipe() {
    let (read, write) = std::io::pipe().unwrap();
    let flags = rustix::fs::fcntl_getfl(&write).unwrap();
    rustix::fs::fcntl_setfl(&write, flags | rustix::fs::OFlags::NONBLOCK).unwrap();
    let mut child = std::process::Command::new(env!("CARGO_BIN_EXE_pipeclog"))
        .args([
            "capture",
            "-s",
            "poll",
            "--",
            "head",
            "-c",
            "8388608",
            "/dev/zero",
        ])
        .stdout(write)
        .spawn()
        .unwrap();
    let mut all = Vec::new();
    std::io::Read::read_to_end(&mut &read, &mut all).unwrap();
    assert!(child.wait().unwrap().success());
    assert!(all == vec![0; 8 << 20], "{} bytes", all.len());
}

/// How often: as `PIPECLOG_CASES` says, or this often.
fn cases(usual: usize) -> usize {
    let told = std::env::var("PIPECLOG_CASES").ok();
    told.and_then(|text| text.parse().ok()).unwrap_or(usual)
}

#[test]
fn no_command_minds_a_reader_that_has_enough_however_often() {
    let commands = [
        "capture -s poll -- seq 100000",
        "capture -s temp_file -- seq 100000",
        "explain",
        "predict --sweep",
        "prove --list",
        "limits",
        "chatty --stdout 1M",
        "--help",
    ];
    for (round, command) in (0..cases(32)).zip(commands.into_iter().cycle()) {
        // The one reads a line, the other is gone before anything is written.
        let reader = ["head -1", ":"][round / commands.len() % 2];
        let ran = shell(&format!(
            "{{ pipeclog {command}; echo $? >&2; }} | {reader}"
        ));
        // chatty dies of SIGPIPE, as programs do.
        let code = if command.starts_with("chatty") {
            "141\n"
        } else {
            "0\n"
        };
        assert!(ran.stderr.ends_with(code), "{command} | {reader}: {ran:?}");
        assert!(
            !ran.stderr.contains("panicked"),
            "{command} | {reader}: {ran:?}"
        );
    }
}

#[test]
fn a_caller_that_ignores_sigchld_gets_the_commands_code_or_is_told_that_it_is_lost() {
    for strategy in ["poll", "threads", "memfd", "pty", "wait_then_read"] {
        let ran = shell(&format!(
            "trap '' CHLD; pipeclog capture -s {strategy} -- sh -c 'echo x; exit 3'"
        ));
        assert_eq!(ran.stdout, "x\n", "{strategy}: {ran:?}");
        // Linux 6.15 and later keep the code for a pidfd; before, it is lost, and nothing is guessed.
        assert!(matches!(ran.code, 3 | 125), "{strategy}: {ran:?}");
        assert!(
            ran.code == 3 || ran.stderr.contains("lost"),
            "{strategy}: {ran:?}"
        );
    }
}

#[test]
fn each_way_of_not_running_has_the_code_of_timeout() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).display().to_string();
    std::fs::write(path("text"), "no program").unwrap();
    std::fs::write(path("lost"), "#!/no/such/interpreter\n").unwrap();
    let executable = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    std::fs::set_permissions(path("lost"), executable).unwrap();
    for (command, code, says) in [
        ("no-such-program-here".to_owned(), 127, "not found"),
        ("/no/such/program".to_owned(), 127, "not found"),
        ("''".to_owned(), 127, "not found"),
        (path("lost"), 127, "not found"),
        (path("text"), 126, "cannot be executed"),
        (path("."), 126, "cannot be executed"),
        (path("text/below"), 126, "cannot be executed"),
    ] {
        let ran = shell(&format!("pipeclog capture -s poll -- {command}"));
        assert_eq!(ran.code, code, "{command}: {ran:?}");
        assert!(
            ran.stderr.starts_with("pipeclog: failed to run") && ran.stderr.contains(says),
            "{command}: {ran:?}"
        );
    }
}
