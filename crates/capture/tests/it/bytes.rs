//! No byte lost, added or moved.

use pipeclog_capture::{Capture, Command, End, Input, Status, Strategy, StreamEnd, Streams};
use proptest::prelude::*;

use crate::support::{LONG, capturing, run, run_with, safe};

#[test]
fn every_safe_strategy_gives_both_streams_exactly_around_the_capacity_of_a_pipe() {
    for strategy in capturing() {
        for size in [0, 1, 4096, 65_535, 65_536, 65_537, 1 << 20] {
            for end in [End::EndOfFile, End::Drain] {
                check_both(strategy, end, size);
            }
        }
    }
}

fn check_both(strategy: Strategy, end: End, size: usize) {
    let script =
        format!("head -c {size} /dev/zero; head -c {size} /dev/zero | tr '\\0' e >&2; exit 3");
    let captured = run(strategy, end, &script);
    assert_eq!(captured.status, Status::Exited(3), "{strategy} {size}");
    let (out, err) = (vec![0; size], vec![b'e'; size]);
    match strategy.streams() {
        Streams::Separate => {
            assert!(captured.stdout.bytes == out, "{strategy} {size}");
            assert!(captured.stderr.bytes == err, "{strategy} {size}");
            assert_eq!(
                (captured.stderr.seen, captured.stderr.kept),
                (size as u64, size as u64)
            );
        }
        Streams::Merged => {
            assert!(
                captured.stdout.bytes == [out, err].concat(),
                "{strategy} {size}"
            );
            assert_eq!(captured.stderr.end, StreamEnd::Merged);
        }
        Streams::None => unreachable!("it captures"),
    }
}

#[test]
fn stdin_comes_through_a_filter_whole_at_every_size() {
    for strategy in capturing() {
        for size in [0, 1, 4096, 65_536, 65_537, 3 << 20] {
            let input: Vec<u8> = (0..size).map(|at: u32| (at % 251) as u8).collect();
            let capture = Capture::new(strategy, End::EndOfFile, LONG).stdin(input.clone());
            let captured = run_with(capture, strategy, "cat");
            assert!(
                captured.stdout.bytes == input,
                "{strategy} {size}: {:?}",
                captured.stdout
            );
        }
    }
}

#[test]
fn a_child_that_does_not_read_its_stdin_is_no_error() {
    for strategy in safe() {
        let capture = Capture::new(strategy, End::EndOfFile, LONG).stdin(vec![b'x'; 1 << 20]);
        let captured = run_with(capture.clone(), strategy, "exit 4");
        assert_eq!(captured.status, Status::Exited(4), "{strategy}");
        let captured = run_with(capture, strategy, "exec <&-; exit 5");
        assert_eq!(captured.status, Status::Exited(5), "{strategy}");
    }
}

#[test]
fn stdin_is_empty_unless_given_and_may_be_a_file() {
    for strategy in capturing() {
        let captured = run(strategy, End::EndOfFile, "cat; echo end");
        assert_eq!(captured.stdout.bytes, b"end\n", "{strategy}");
        let mut file = tempfile::tempfile().expect("a file");
        std::io::Write::write_all(&mut file, b"from a file").expect("writable");
        std::io::Seek::rewind(&mut file).expect("seekable");
        let capture = Capture::new(strategy, End::EndOfFile, LONG).stdin(Input::from(file));
        assert_eq!(
            run_with(capture, strategy, "cat").stdout.bytes,
            b"from a file",
            "{strategy}"
        );
    }
}

#[test]
fn bytes_that_are_no_text_come_as_they_are() {
    for strategy in capturing() {
        let captured = run(
            strategy,
            End::EndOfFile,
            r"printf '\377\000\r\n\n\033[0m\004\003\001'",
        );
        assert_eq!(
            captured.stdout.bytes, b"\xff\x00\r\n\n\x1b[0m\x04\x03\x01",
            "{strategy}"
        );
    }
}

#[test]
fn arguments_environment_and_directory_reach_the_child_as_they_stand() {
    let command = Command::new("sh")
        .args([
            "-c",
            r#"printf '%s|%s|%s|%s' "$1" "$WORD" "${HOME-unset}" "$PWD""#,
            "sh",
            "a 'b' $c\n",
        ])
        .env("WORD", "x")
        .env_remove("HOME")
        .current_dir("/");
    for strategy in capturing() {
        let captured = Capture::new(strategy, End::EndOfFile, LONG)
            .run(&command)
            .expect("it runs");
        assert_eq!(captured.stdout.bytes, b"a 'b' $c\n|x|unset|/", "{strategy}");
    }
}

#[test]
fn discard_and_inherit_say_that_nothing_was_captured() {
    let captured = run(
        Strategy::Discard,
        End::EndOfFile,
        "echo x; echo y >&2; exit 6",
    );
    assert_eq!(captured.status, Status::Exited(6));
    assert_eq!(
        (captured.stdout.end, captured.stderr.end),
        (StreamEnd::NotCaptured, StreamEnd::NotCaptured)
    );
    assert_eq!(captured.stdout.seen, 0);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    /// For any number of writes of any sizes on either stream, every safe strategy gives the same
    /// exact bytes.
    #[test]
    fn any_writes_come_back_exactly(writes in prop::collection::vec((any::<bool>(), 0_usize..20_000), 0..12)) {
        let mut script = String::from(":");
        let (mut out, mut err, mut merged) = (Vec::new(), Vec::new(), Vec::new());
        for (index, (to_stdout, size)) in writes.into_iter().enumerate() {
            let letter = b'a' + index as u8;
            let (stream, to) = if to_stdout { (&mut out, "") } else { (&mut err, ">&2") };
            script += &format!("; head -c {size} /dev/zero | tr '\\0' {} {to}", letter as char);
            stream.extend(vec![letter; size]);
            merged.extend(vec![letter; size]);
        }
        for strategy in capturing() {
            let captured = run(strategy, End::Drain, &script);
            if strategy.streams() == Streams::Merged {
                prop_assert!(captured.stdout.bytes == merged, "{}", strategy);
            } else {
                prop_assert!(captured.stdout.bytes == out && captured.stderr.bytes == err, "{}", strategy);
            }
        }
    }
}
