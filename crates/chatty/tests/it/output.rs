//! What is written: bytes, order, buffering, and writes that fail.

use nix::fcntl::{FcntlArg, OFlag, fcntl};
use pipeclog_chatty::{Ledger, LedgerState, Writing};
use pipeclog_scenario::script::Stream;
use pipeclog_scenario::verify::Source;

use crate::child::{assert_complete, flags, read_all, script, with_streams};

#[test]
fn both_streams_arrive_byte_exact_and_the_code_too() {
    let json = r#"{"ops": [
        {"op": "write", "stdout": 65537, "stderr": 10, "write_size": 4096, "order": "alternate"},
        {"op": "exit", "code": 3}]}"#;
    let done = script(json).finish();
    assert_eq!(done.code(), Some(3));
    assert_complete(json, Source::Stdout, &done.stdout);
    assert_complete(json, Source::Stderr, &done.stderr);
}

#[test]
fn every_fill_order_and_write_size_arrives_as_the_verifier_expects() {
    let fills = [
        r#""pattern""#,
        r#""zeros""#,
        r#""text""#,
        r#"{"random": 7}"#,
        r#""non_utf8""#,
    ];
    let orders = [
        r#""stdout_first""#,
        r#""stderr_first""#,
        r#""alternate""#,
        r#"{"interleave": 3}"#,
    ];
    let sizes = [
        "1000",
        "[1, 80, 4096]",
        r#"{"min": 1, "max": 3000, "seed": 5}"#,
    ];
    for (index, fill) in fills.iter().enumerate() {
        let (order, size) = (orders[index % orders.len()], sizes[index % sizes.len()]);
        let json = format!(
            r#"{{"ops": [{{"op": "write", "stdout": 20000, "stderr": 9000, "write_size": {size},
                "order": {order}, "fill": {fill}}}]}}"#
        );
        let done = script(&json).finish();
        assert_complete(&json, Source::Stdout, &done.stdout);
        assert_complete(&json, Source::Stderr, &done.stderr);
    }
}

#[test]
fn merged_stream_has_the_order_of_the_writes() {
    let (mut reader, writer) = std::io::pipe().unwrap();
    let args = [
        "--stdout",
        "3000",
        "--stderr",
        "5000",
        "--write-size",
        "7,16,80",
        "--order",
        "interleave:9",
    ];
    let chatty = with_streams(
        &args,
        std::process::Stdio::null(),
        writer.try_clone().unwrap(),
        writer,
    );
    let bytes = read_all(&mut reader);
    assert_eq!(chatty.finish().code(), Some(0));
    let json = r#"{"ops": [{"op": "write", "stdout": 3000, "stderr": 5000, "write_size": [7, 16, 80],
        "order": {"interleave": 9}}]}"#;
    assert_complete(json, Source::Merged, &bytes);
}

#[test]
fn repetition_delay_sleep_and_computing_change_no_byte() {
    let json = r#"{"ops": [{"op": "repeat", "times": 3, "ops": [
        {"op": "write", "stdout": 100, "write_size": 50, "delay_us": 10},
        {"op": "sleep", "ms": 1}, {"op": "compute", "ms": 1}]}]}"#;
    let done = script(json).finish();
    assert_eq!(done.stdout.len(), 300);
    assert_complete(json, Source::Stdout, &done.stdout);
}

#[test]
fn prompt_in_a_full_buffer_comes_out_by_flush_and_exit_and_is_lost_at_death() {
    let said = |end: &str| {
        let json = format!(
            r#"{{"stdout_buffer": "full", "ops": [{{"op": "prompt", "text": "password: "}}, {end}]}}"#
        );
        script(&json).finish().stdout
    };
    assert_eq!(said(r#"{"op": "exit", "code": 1}"#), b"password: ");
    assert_eq!(said(r#"{"op": "die", "signal": "KILL"}"#), b"");
    let flushed = r#"{"op": "flush", "stream": "stdout"}, {"op": "die", "signal": "KILL"}"#;
    assert_eq!(said(flushed), b"password: ");
}

#[test]
fn closed_stream_ends_while_its_writer_lives_on() {
    let json = r#"{"ops": [{"op": "write", "stdout": 10}, {"op": "close", "stream": "stdout"},
        {"op": "write", "stdout": 10, "stderr": 5}, {"op": "stdin", "do": "never"}]}"#;
    let mut chatty = script(json);
    // The end of file, while stdin still holds the child.
    let stdout = read_all(&mut chatty.stdout);
    assert!(chatty.child.try_wait().unwrap().is_none());
    assert_complete(json, Source::Stdout, &stdout);
    let done = chatty.finish();
    assert_eq!(done.code(), Some(0));
    assert_complete(json, Source::Stderr, &done.stderr);
}

#[test]
fn write_without_a_reader_does_as_the_script_says() {
    let ends = |rule: &str| {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let args = ["--stdout", "10", "--broken-pipe", rule, "--exit", "4"];
        let null = std::process::Stdio::null;
        let done = with_streams(&args, null(), writer, null()).finish();
        (done.code(), done.signal())
    };
    assert_eq!(ends("die"), (None, Some(nix::libc::SIGPIPE)));
    assert_eq!(ends("exit"), (Some(1), None));
    assert_eq!(ends("go-on"), (Some(4), None));
}

#[test]
fn write_that_would_block_does_as_the_script_says() {
    let json = |rule: &str| {
        format!(
            r#"{{"would_block": "{rule}", "ops": [{{"op": "nonblock", "stream": "stdout"}},
                {{"op": "write", "stdout": 200000, "write_size": 100000}},
                {{"op": "exit", "code": 4}}]}}"#
        )
    };
    for rule in ["wait", "spin"] {
        let done = script(&json(rule)).finish();
        assert_eq!(done.code(), Some(4));
        assert_complete(&json(rule), Source::Stdout, &done.stdout);
    }
    // Nobody reads until it has ended, so what fits is all that comes.
    for (rule, code) in [("exit", 1), ("drop", 4)] {
        let mut chatty = script(&json(rule));
        assert_eq!(chatty.child.wait().unwrap().code(), Some(code));
        assert_eq!(read_all(&mut chatty.stdout).len(), 65536);
    }
}

#[test]
fn flag_of_a_shared_description_and_a_pipes_capacity_and_mode_stay() {
    let (reader, writer) = std::io::pipe().unwrap();
    let json = r#"{"ops": [{"op": "capacity", "stream": "stdout", "bytes": 4096},
        {"op": "packet", "stream": "stdout"}, {"op": "nonblock", "stream": "stdout"}]}"#;
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), json).unwrap();
    let args = ["--script", file.path().to_str().unwrap()];
    let null = std::process::Stdio::null;
    let done = with_streams(&args, null(), writer.try_clone().unwrap(), null()).finish();
    assert_eq!(done.code(), Some(0));
    let flags = OFlag::from_bits_truncate(fcntl(&writer, FcntlArg::F_GETFL).unwrap());
    assert!(
        flags.contains(OFlag::O_NONBLOCK | OFlag::O_DIRECT),
        "{flags:?}"
    );
    assert_eq!(fcntl(&reader, FcntlArg::F_GETPIPE_SZ).unwrap(), 4096);
}

#[test]
fn ledger_is_right_when_the_child_is_killed_in_a_blocked_write() {
    let ledger = tempfile::NamedTempFile::new().unwrap();
    let path = ledger.path().to_str().unwrap();
    let mut chatty = flags(&[
        "--stderr",
        "5",
        "--stdout",
        "200000",
        "--write-size",
        "100000",
        "--order",
        "stderr-first",
        "--ledger",
        path,
    ]);
    // A full pipe is a blocked writer: 100,000 do not fit.
    while rustix::io::ioctl_fionread(&chatty.stdout).unwrap() < 65536 {
        assert!(chatty.child.try_wait().unwrap().is_none());
        std::thread::yield_now();
    }
    chatty.child.kill().unwrap();
    chatty.child.wait().unwrap();
    let writing = Some(Writing {
        stream: Stream::Stdout,
        bytes: 100_000,
    });
    let expected = Ledger {
        stdout: 0,
        stderr: 5,
        stdin: 0,
        writing,
        state: LedgerState::Running,
    };
    assert_eq!(Ledger::read(ledger.path()).unwrap(), expected);
}

#[test]
fn ledger_counts_all_that_was_written_and_read() {
    let ledger = tempfile::NamedTempFile::new().unwrap();
    let path = ledger.path().to_str().unwrap();
    let args = [
        "--stdout", "1M", "--stderr", "7", "--stdin", "read-all", "--ledger", path,
    ];
    let done = flags(&args).finish_with_input(vec![0; 100_000]);
    assert_eq!(done.stdout.len(), 1 << 20);
    let expected = Ledger {
        stdout: 1 << 20,
        stderr: 7,
        stdin: 100_000,
        writing: None,
        state: LedgerState::Ended,
    };
    assert_eq!(Ledger::read(ledger.path()).unwrap(), expected);
}

#[test]
fn failing_system_call_is_told_with_125() {
    let json = r#"{"ops": [{"op": "capacity", "stream": "stdin", "bytes": 4096}]}"#;
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), json).unwrap();
    let (mut reader, writer) = std::io::pipe().unwrap();
    let null = std::process::Stdio::null;
    let args = ["--script", file.path().to_str().unwrap()];
    let done = with_streams(&args, null(), null(), writer).finish();
    assert_eq!(done.code(), Some(125));
    let stderr = String::from_utf8(read_all(&mut reader)).unwrap();
    assert!(
        stderr.contains("failed to set the capacity of Stdin to 4096 bytes"),
        "{stderr}"
    );
}
