//! `pipeclog predict` and `limits`: what they say, their JSON, and their codes.

#![expect(clippy::unwrap_used, reason = "helpers of tests fail as tests do")]

use std::io::Write as _;

use crate::run::{Ran, pipeclog};

fn json(ran: &Ran) -> serde_json::Value {
    assert_eq!(ran.stderr, "");
    serde_json::from_str(&ran.stdout).unwrap()
}

/// Runs `predict` on a script, of which it gets the file.
fn foretell(script: &str, arguments: &[&str]) -> Ran {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(script.as_bytes()).unwrap();
    let path = file.path().to_str().unwrap();
    pipeclog(&[&["predict", "--script", path], arguments].concat())
}

#[test]
fn the_capacity_for_a_write_size_is_told_and_counts_agree_with_their_nouns() {
    let ran = pipeclog(&["predict", "--write-size", "2049", "--capacity", "64k"]);
    assert_eq!(
        (ran.code, ran.stdout.as_str()),
        (
            0,
            "in writes of 2049 bytes a pipe of 65536 bytes holds 32784: 16 whole writes, and the next one blocks\n"
        )
    );
    let ran = pipeclog(&["predict", "--write-size", "65536", "--capacity", "64k"]);
    assert!(ran.stdout.contains("1 whole write,"), "{}", ran.stdout);
    for (arguments, words) in [
        (&["1"][..], "of 1 byte a pipe"),
        (
            &["1", "--packet"],
            "of 65536 bytes in packet mode holds 16: 16 whole writes, and the next one blocks",
        ),
        (
            &["4097"],
            "holds 45066: 10 whole writes, and 4096 bytes of the next one, which blocks",
        ),
        (
            &["100000"],
            "holds 65536: 0 whole writes, and 65536 bytes of the next one, which blocks",
        ),
    ] {
        let start = ["predict", "--capacity", "64k", "--write-size"];
        let ran = pipeclog(&[&start, arguments].concat());
        assert!(ran.stdout.contains(words), "{}", ran.stdout);
    }
}

#[test]
fn the_codes_tell_an_end_from_a_hang_and_a_cut_from_what_is_not_foretold() {
    let full = r#"{"ops": [{"op": "write", "stdout": 65537}]}"#;
    let endless = r#"{"ops": [{"op": "repeat", "times": "endless", "ops": [{"op": "write", "stdout": 10}]}]}"#;
    let long = r#"{"ops": [{"op": "repeat", "times": 1000000000000, "ops": [{"op": "wait"}]}]}"#;
    for (script, arguments, code, words) in [
        (full, &["--strategy", "threads"][..], 0, "completes"),
        (
            full,
            &["--strategy", "wait_then_read", "--capacity", "64k"],
            1,
            "deadlocks (artificial)",
        ),
        (
            full,
            &["--strategy", "poll", "--limit", "64k"],
            1,
            "cut short by its limit",
        ),
        (
            endless,
            &["--strategy", "poll", "--deadline", "1s"],
            1,
            "cut short by its deadline",
        ),
        (long, &["--strategy", "poll"], 3, "more steps"),
    ] {
        let ran = foretell(script, arguments);
        assert_eq!(ran.code, code, "{arguments:?}: {ran:?}");
        assert!(ran.stdout.contains(words), "{arguments:?}: {ran:?}");
    }
}

#[test]
fn a_script_may_stand_on_the_command_line_as_chatty_takes_it() {
    let script = r#"{"ops": [{"op": "write", "stdout": 65537}]}"#;
    let strategy = ["--strategy", "wait_then_read", "--capacity", "64k"];
    let ran = pipeclog(&[&["predict", "--script", script][..], &strategy].concat());
    assert_eq!((ran.code, ran.stderr.as_str()), (1, ""));
    assert_eq!(ran.stdout, foretell(script, &strategy).stdout);
}

#[test]
fn what_does_not_go_together_is_refused() {
    let script = r#"{"ops": []}"#;
    for (ran, words) in [
        (
            pipeclog(&["predict", "--write-size", "1", "--largest", "5"]),
            "cannot be used with",
        ),
        (pipeclog(&["predict", "--write-size", "-1"]), "is no size"),
        (
            pipeclog(&["predict", "--sweep", "--largest", "0"]),
            "from 1 to 16777216",
        ),
        (
            pipeclog(&["predict", "--write-size", "1", "--capacity", "4G"]),
            "--capacity 4G is none that a pipe can have",
        ),
        (
            pipeclog(&["predict", "--script", "/dev/zero", "-s", "poll"]),
            "longer than 16 MiB",
        ),
        (
            pipeclog(&["predict", "--script", "{\"ops\": 7}", "-s", "poll"]),
            "failed to read the script: ",
        ),
        (
            pipeclog(&["predict", "--script", "/dev/null", "-s", "poll"]),
            "it is JSON as `chatty --print-script` prints it",
        ),
        (
            pipeclog(&["predict", "--write-size", "1", "--strategy", "threads"]),
            "cannot be used with",
        ),
        (
            pipeclog(&["predict", "--sweep", "--strategy", "threads"]),
            "cannot be used with",
        ),
        (
            pipeclog(&["predict", "--sweep", "--stdin", "1k"]),
            "cannot be used with",
        ),
        (
            foretell(
                script,
                &["--strategy", "wait_then_read", "--deadline", "1s"],
            ),
            "kept to hang",
        ),
        (
            foretell(script, &["--strategy", "poll", "--end", "grace=x"]),
            "grace=50ms",
        ),
        (
            foretell(script, &["--strategy", "poll", "--limit-policy", "tail"]),
            "--limit",
        ),
    ] {
        assert_eq!(ran.code, 2, "{ran:?}");
        assert!(ran.stderr.contains(words), "{ran:?}");
    }
}

#[test]
fn the_json_forms_hold_what_the_words_say() {
    let size = json(&pipeclog(&[
        "predict",
        "--write-size",
        "2049",
        "--capacity",
        "64k",
        "--format",
        "json",
    ]));
    assert_eq!(size["effective_bytes"], 32_784);
    let found = json(&foretell(
        r#"{"ops": [{"op": "write", "stdout": 10}]}"#,
        &["--strategy", "poll", "--format", "json"],
    ));
    assert_eq!(found["schema_version"], 1);
    assert_eq!(found["strategy"], "poll");
    assert_eq!(found["outcomes"][0]["ending"], "completes");
    assert_eq!(found["outcomes"][0]["stdout_bytes"], 10);
    let limits = json(&pipeclog(&["limits", "--format", "json"]));
    for field in [
        "page_bytes",
        "new_pipe_bytes",
        "pipe_max_size_bytes",
        "held_pipes",
    ] {
        assert!(limits[field].is_u64(), "{field}: {limits}");
    }
}
