//! Arguments, right and wrong.

use pipeclog_scenario::script::Script;

use crate::child::{flags, script};

#[test]
fn wrong_input_is_told_with_2_before_anything_is_written() {
    let cases: [(&[&str], &str); 10] = [
        (&["--stdout", "3x"], "as in 64k"),
        (
            &["--stdout", "1", "--write-size", "0"],
            "write 1 byte at least",
        ),
        (
            &["--stdout", "1", "--order", "random"],
            "alternate or interleave:SEED",
        ),
        (&["--stdout", "1", "--signal", "FOO"], "write one of HUP"),
        (&["--stdout", "1", "--exit", "256"], "0..=255"),
        (&["--stdout", "1", "--script", "x"], "cannot be used with"),
        (
            &["--script", "/nonexistent/script.json"],
            "failed to read the script /nonexistent/script.json",
        ),
        (&["--script", "/dev/zero"], "longer than 16 MiB"),
        (
            &["--stdout", "1", "--ledger", "/nonexistent/ledger"],
            "failed to create the ledger",
        ),
        (
            &["--stdout", "1", "--exit", "1", "--signal", "TERM"],
            "cannot be used with",
        ),
    ];
    for (args, part) in cases {
        let done = flags(args).finish();
        let stderr = String::from_utf8(done.stderr.clone()).unwrap();
        assert_eq!((done.code(), done.stdout.len()), (Some(2), 0), "{args:?}");
        assert!(stderr.contains(part), "{args:?}: {stderr}");
    }
}

#[test]
fn wrong_script_is_told_by_file_and_operation() {
    let done =
        script(r#"{"ops": [{"op": "write", "stdout": 1}, {"op": "write", "stdot": 1}]}"#).finish();
    let stderr = String::from_utf8(done.stderr.clone()).unwrap();
    assert_eq!((done.code(), done.stdout.len()), (Some(2), 0));
    assert!(
        stderr.contains("operation 1: unknown field `stdot`, expected one of `stdout`"),
        "{stderr}"
    );
}

#[test]
fn printed_script_is_what_the_flags_mean() {
    let args = [
        "--print-script",
        "--stdout",
        "64k",
        "--stderr",
        "10",
        "--write-size",
        "1..9:3",
        "--order",
        "alternate",
        "--fill",
        "random:4",
        "--delay-us",
        "5",
        "--stdin",
        "read-all",
        "--buffering",
        "line",
        "--prompt",
        "?",
        "--background-ms",
        "6",
        "--keep",
        "stderr",
        "--sleep-ms",
        "7",
        "--ignore",
        "TERM,sigint",
        "--broken-pipe",
        "go-on",
        "--would-block",
        "drop",
        "--exit",
        "8",
    ];
    let done = flags(&args).finish();
    let printed = Script::from_json(&String::from_utf8(done.stdout.clone()).unwrap()).unwrap();
    let json = r#"{"ignore": ["TERM", "INT"], "broken_pipe": "go_on", "would_block": "drop", "stdout_buffer": "line",
        "ops": [
        {"op": "stdin", "do": "read_all"},
        {"op": "write", "stdout": "64k", "stderr": 10, "write_size": {"min": 1, "max": 9, "seed": 3},
            "order": "alternate", "fill": {"random": 4}, "delay_us": 5},
        {"op": "prompt", "text": "?"},
        {"op": "background", "keep": ["stderr"], "script": {"ops": [{"op": "sleep", "ms": 6}]}},
        {"op": "sleep", "ms": 7},
        {"op": "exit", "code": 8}]}"#;
    assert_eq!(printed, Script::from_json(json).unwrap());
}
