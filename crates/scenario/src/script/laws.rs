//! Laws of scripts and of their lowering.

use proptest::prelude::*;

use super::any::{any_saying_script, any_script, any_write, said};
use super::*;

fn writes(script: &Script) -> Vec<(Stream, usize)> {
    let write = |step| match step {
        Step::Write(chunk) => Some((chunk.stream, chunk.len)),
        _ => None,
    };
    script.steps().filter_map(write).collect()
}

fn lens(json: &str) -> Vec<usize> {
    let script = Script::from_json(json).unwrap();
    writes(&script).into_iter().map(|(_, len)| len).collect()
}

fn error(json: &str) -> String {
    Script::from_json(json).unwrap_err().to_string()
}

#[test]
fn error_names_the_operation_and_what_to_write() {
    let cases = [
        (
            r#"{"ops": [{"op": "park"}, {"op": "wirte"}]}"#,
            "operation 1: unknown variant `wirte`",
        ),
        (
            r#"{"ops": [{"op": "sleep", "ms": 1, "us": 2}]}"#,
            "operation 0: unknown field `us`, expected `ms`",
        ),
        (
            r#"{"ops": [{"op": "park", "ms": 1}]}"#,
            "operation 0: unknown field `ms`",
        ),
        (
            r#"{"opps": []}"#,
            "unknown field `opps`, expected one of `ignore`",
        ),
        (
            r#"{"ops": [{"op": "write", "stdout": "64q"}]}"#,
            "as in 64k",
        ),
        (
            r#"{"ops": [{"op": "write", "stdout": 1, "write_size": 0}]}"#,
            "operation 0: write_size is 0",
        ),
        (
            r#"{"ops": [{"op": "write", "stdout": 1, "write_size": {"min": 2, "max": 1, "seed": 0}}]}"#,
            "swap min and max",
        ),
        (
            r#"{"ops": [{"op": "park"}, {"op": "background", "keep": [], "script":
                {"ops": [{"op": "repeat", "times": 2, "ops": [{"op": "write", "write_size": 0}]}]}}]}"#,
            "nothing to repeat",
        ),
        (
            r#"{"ops": [{"op": "background", "keep": [], "script": {"ops": [{"op": "park"}, {"op": "x"}]}}]}"#,
            "operation 0: operation 1: unknown variant `x`",
        ),
        (
            r#"{"ops": [{"op": "thread", "ops": [{"op": "write", "write_size": []}]}]}"#,
            "operation 0.0: write_size is empty",
        ),
        (
            r#"{"ignore": ["PIPE"], "ops": []}"#,
            r#"write "broken_pipe": "exit" or "go_on""#,
        ),
        (
            r#"{"ignore": ["SIGTERM"], "ops": []}"#,
            "unknown variant `SIGTERM`, expected one of `HUP`",
        ),
        (
            r#"{"ops": [{"op": "write", "stdout": 1}, {"op": "background", "keep": ["stdout"], "script":
                {"ops": [{"op": "write", "stdout": 16, "write_size": 16}]}}]}"#,
            "write multiples of 16 bytes",
        ),
    ];
    for (json, part) in cases {
        assert!(error(json).contains(part), "{json}: {}", error(json));
    }
}

#[test]
fn error_of_an_operation_has_no_wrong_position() {
    let told = error(r#"{"ops": [{"op": "park"}, {"op": "sleep", "ms": "long"}]}"#);
    let expected =
        "failed to read the script: operation 1: invalid type: string \"long\", expected u64";
    assert_eq!(told, expected);
    assert!(error("{\"ops\": [}").contains("at line 1 column 10"));
}

#[test]
fn orders_are_what_their_names_say() {
    use Stream::{Stderr, Stdout};
    let order = |order: &str| {
        let json = format!(
            r#"{{"ops": [{{"op": "write", "stdout": 5, "stderr": 2, "write_size": 2, "order": "{order}"}}]}}"#
        );
        writes(&Script::from_json(&json).unwrap())
    };
    assert_eq!(
        order("stdout_first"),
        [(Stdout, 2), (Stdout, 2), (Stdout, 1), (Stderr, 2)]
    );
    assert_eq!(
        order("stderr_first"),
        [(Stderr, 2), (Stdout, 2), (Stdout, 2), (Stdout, 1)]
    );
    assert_eq!(
        order("alternate"),
        [(Stdout, 2), (Stderr, 2), (Stdout, 2), (Stdout, 1)]
    );
}

#[test]
fn sizes_cycle_over_both_streams() {
    let json = r#"{"ops": [{"op": "write", "stdout": 6, "stderr": 4, "write_size": [1, 3], "order": "alternate"}]}"#;
    assert_eq!(lens(json), [1, 3, 1, 1, 1, 3]);
}

#[test]
fn terabyte_costs_no_memory() {
    let script = Script::new(vec![Op::Write(Write::new(1 << 40, 0))]);
    assert_eq!(script.steps().take(3).count(), 3);
}

#[test]
fn endless_repetition_ends_in_no_step() {
    let script = Script::from_json(
        r#"{"ops": [{"op": "repeat", "times": "endless", "ops": [{"op": "write", "stdout": 1}]}]}"#,
    );
    let script = script.unwrap();
    assert_eq!(script.steps().take(10_000).count(), 10_000);
    assert_eq!(script.expected(Input::Pattern(0)).ending, None);
}

#[test]
fn repetition_of_repetitions_that_do_nothing_is_refused() {
    let json = r#"{"ops": [{"op": "repeat", "times": "endless", "ops": [
        {"op": "repeat", "times": 0, "ops": [{"op": "park"}]}]}]}"#;
    assert!(error(json).contains("nothing to repeat"));
}

#[test]
fn unflushed_bytes_are_lost_at_death_and_written_at_exit() {
    let script = |end: &str| {
        format!(
            r#"{{"stdout_buffer": "full", "ops": [{{"op": "prompt", "text": "password: "}}, {end}]}}"#
        )
    };
    assert_eq!(
        lens(&script(r#"{"op": "die", "signal": "TERM"}"#)),
        [0_usize; 0]
    );
    assert_eq!(lens(&script(r#"{"op": "exit", "code": 0}"#)), [10]);
    let flushed = r#"{"op": "flush", "stream": "stdout"}, {"op": "die", "signal": "TERM"}"#;
    assert_eq!(lens(&script(flushed)), [10]);
}

/// What strace shows of a C program under glibc 2.36, its stdout a pipe set to this mode by setvbuf(3), that makes one
/// fwrite(3) of each of these sizes; every sixteenth byte of its stream is a newline.
#[test]
fn buffered_writes_are_those_of_glibc() {
    let lines = [16; 50];
    let line_mixed = [&[16, 16, 48, 4096, 4096, 4096][..], &lines, &[15]].concat();
    let cases: [(&str, &[u64], &[usize]); 7] = [
        ("full", &[4096, 4096, 4096, 4096], &[4096, 4096, 4096, 4096]),
        ("full", &[10, 4096, 4096, 5000], &[4096, 4096, 4096, 914]),
        ("full", &[1, 1, 1], &[3]),
        ("line", &[40, 40, 7, 4096, 9000], &line_mixed),
        ("line", &[4096, 4096], &[4096, 4096]),
        ("line", &[5, 5, 5, 5, 5, 20], &[16, 16, 13]),
        ("line", &[4100, 15, 4081], &[4096, 16, 4080, 4]),
    ];
    for (mode, sizes, expected) in cases {
        let write = |size: &u64| format!(r#"{{"op": "write", "stdout": {size}}}"#);
        let ops: Vec<String> = sizes.iter().map(write).collect();
        let json = format!(
            r#"{{"stdout_buffer": "{mode}", "ops": [{}]}}"#,
            ops.join(", ")
        );
        assert_eq!(lens(&json), expected, "{mode} {sizes:?}");
    }
}

#[test]
fn writers_are_numbered_in_the_order_of_the_script() {
    let json = r#"{"ops": [
        {"op": "background", "keep": [], "script": {"ops": [
            {"op": "background", "keep": [], "script": {"ops": []}}]}},
        {"op": "background", "keep": [], "script": {"ops": []}}]}"#;
    let script = Script::from_json(json).unwrap();
    let numbers = |steps: Steps<'_>| -> Vec<u8> {
        steps
            .filter_map(|step| match step {
                Step::Background { writer, .. } => Some(writer),
                _ => None,
            })
            .collect()
    };
    assert_eq!(numbers(script.steps()), [1, 3]);
    let first = script.backgrounds()[0];
    assert_eq!(numbers(first.script.steps_as(1)), [2]);
}

proptest! {
    #[test]
    fn any_script_round_trips_through_json(script in any_script()) {
        let json = script.to_json().unwrap();
        let again: Script = serde_json::from_str(&json).unwrap();
        prop_assert_eq!(&again, &script);
        prop_assert_eq!(again.to_json().unwrap(), json);
    }

    #[test]
    fn script_that_passes_its_check_makes_steps_or_ends(script in any_script()) {
        if script.check().is_ok() {
            prop_assert!(script.steps().take(10_000).count() <= 10_000);
        }
    }

    #[test]
    fn each_stream_gets_the_bytes_that_were_asked_for(write in any_write()) {
        let script = Script::new(vec![Op::Write(write.clone())]);
        let writes = writes(&script);
        let bytes = |of| writes.iter().filter(|(stream, _)| *stream == of).map(|(_, len)| *len as u64).sum();
        prop_assert_eq!(Size(bytes(Stream::Stdout)), write.stdout);
        prop_assert_eq!(Size(bytes(Stream::Stderr)), write.stderr);
        prop_assert!(writes.iter().all(|(_, len)| *len > 0));
    }

    #[test]
    fn offsets_go_on_without_a_gap(script in any_saying_script()) {
        for of in [Stream::Stdout, Stream::Stderr] {
            let mut next = 0;
            for step in script.steps() {
                if let Step::Write(chunk) = step && chunk.stream == of {
                    prop_assert_eq!(chunk.offset, next);
                    next += chunk.len as u64;
                }
            }
        }
    }

    #[test]
    fn buffering_changes_writes_but_no_byte(script in any_saying_script()) {
        let mut ops = script.ops.clone();
        // Death loses what is buffered, and echo is refused on a buffered stream.
        ops.retain(|op| !matches!(op, Op::Die { .. } | Op::Stdin { .. } | Op::Repeat { .. } | Op::Thread { .. }));
        let plain = Script::new(ops);
        for buffering in [Buffering::Line, Buffering::Full] {
            let mut buffered = plain.clone();
            (buffered.stdout_buffer, buffered.stderr_buffer) = (buffering, buffering);
            for stream in [Stream::Stdout, Stream::Stderr] {
                prop_assert_eq!(said(&buffered, &[stream], b""), said(&plain, &[stream], b""));
            }
        }
    }

    #[test]
    fn expected_counts_what_is_said(script in any_saying_script(), input in 0..500_u64) {
        let mut bytes = vec![0; input as usize];
        Input::Pattern(input).render(0, &mut bytes);
        let expected = script.expected(Input::Pattern(input));
        prop_assert_eq!(expected, script.expected(Input::Bytes(&bytes)));
        prop_assert_eq!(expected.stdout, said(&script, &[Stream::Stdout], &bytes).len() as u64);
        prop_assert_eq!(expected.stderr, said(&script, &[Stream::Stderr], &bytes).len() as u64);
        prop_assert!(expected.ending.is_some());
    }
}
