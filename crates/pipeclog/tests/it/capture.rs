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
