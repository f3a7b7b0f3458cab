//! What the child's own family does: FIFOs between its members, and the terminal under them.

use super::*;
use crate::script::FifoAccess;

#[test]
fn fifos_opened_in_opposite_orders_are_a_true_deadlock_under_every_strategy() {
    let json = r#"{"ops": [
        {"op": "background", "keep": [], "script": {"ops": [
            {"op": "fifo", "path": "second", "access": "read", "then": "hold"},
            {"op": "fifo", "path": "first", "access": "read", "then": "hold"}]}},
        {"op": "fifo", "path": "first", "access": "write", "then": "hold"},
        {"op": "fifo", "path": "second", "access": "write", "then": "hold"}]}"#;
    for strategy in Strategy::ALL {
        let ending = ending(json, Parent::of(strategy));
        let expected = match strategy {
            Strategy::PollExitThenRead => Ending::PollsForEver,
            _ => Ending::TrueDeadlock,
        };
        assert_eq!(ending, expected, "{strategy}");
    }
    let prediction = foretold(json, Parent::of(Strategy::Threads));
    let found = prediction.only().expect("one outcome");
    let on = |fifo: &str, access| BlockedOn::Open {
        fifo: fifo.to_owned(),
        access,
    };
    let waits: Vec<_> = found.blocked.iter().map(|blocked| &blocked.on).collect();
    assert!(
        waits.contains(&&on("first", FifoAccess::Write)),
        "{waits:?}"
    );
    assert!(
        waits.contains(&&on("second", FifoAccess::Read)),
        "{waits:?}"
    );
    let words = prediction.to_string();
    assert!(words.contains("the FIFO \"second\" for reading"), "{words}");
}

#[test]
fn a_fifo_that_nobody_reads_hangs_its_writer_at_the_capacity_and_one_that_is_read_does_not() {
    let with = |reader: &str| {
        format!(
            r#"{{"ops": [
            {{"op": "background", "keep": [], "script": {{"ops": [
                {{"op": "fifo", "path": "log", "access": "read", "then": {reader}}}, {{"op": "park"}}]}}}},
            {{"op": "fifo", "path": "log", "access": "write", "then": {{"write": 100000}}}}]}}"#
        )
    };
    let parent = Parent::of(Strategy::Poll);
    assert_eq!(ending(&with(r#"{"read": "100000"}"#), parent), COMPLETES);
    let prediction = foretold(&with(r#""hold""#), parent);
    let found = prediction.only().expect("one outcome");
    assert!(found.blocked.iter().any(|blocked| blocked
        == &Blocked {
            who: Who::Child,
            on: BlockedOn::Write {
                stream: Channel::Fifo("log".to_owned()),
                at_byte: 65_536,
                unread: 65_536
            }
        }));
}

#[test]
fn who_writes_to_a_fifo_whose_reader_has_gone_dies_by_the_pipe_signal() {
    let json = r#"{"ops": [
        {"op": "background", "keep": [], "script": {"ops": [
            {"op": "fifo", "path": "f", "access": "read", "then": {"read": 1}}]}},
        {"op": "fifo", "path": "f", "access": "write", "then": {"write": 1}},
        {"op": "wait"},
        {"op": "fifo", "path": "f", "access": "read_write", "then": {"write": 1}}]}"#;
    assert_eq!(ending(json, Parent::of(Strategy::Poll)), COMPLETES);
    let twice = json.replace("read_write", "write");
    assert_eq!(
        ending(&twice, Parent::of(Strategy::Poll)),
        Ending::TrueDeadlock
    );
}

#[test]
fn what_of_fifos_is_not_modelled_says_why() {
    let two = |one: &str, other: &str| {
        format!(
            r#"{{"ops": [{{"op": "fifo", "path": {one:?}, "access": "read_write", "then": "hold"}},
            {{"op": "fifo", "path": {other:?}, "access": "read_write", "then": "hold"}}]}}"#
        )
    };
    let parent = Parent::of(Strategy::Poll);
    for (json, reason) in [
        (two("a", "./a"), NotModelled::FifoNames),
        (two("/tmp/a", "b"), NotModelled::FifoNames),
        (
            r#"{"broken_pipe": "go_on", "ops": [{"op": "fifo", "path": "f", "access": "read_write", "then": {"write": 1}}]}"#.to_owned(),
            NotModelled::Fails,
        ),
        (
            r#"{"ops": [{"op": "repeat", "times": "endless", "ops": [
                {"op": "fifo", "path": "f", "access": "read_write", "then": "hold"}]}]}"#.to_owned(),
            NotModelled::Fails,
        ),
    ] {
        let is = Prediction::NotModelled { reason };
        assert_eq!(foretold(&json, parent), is, "{json}");
    }
    for (one, other) in [("a", "b"), ("./a", "./a"), ("/tmp/a", "/tmp/a")] {
        assert_eq!(ending(&two(one, other), parent), COMPLETES);
    }
}

#[test]
fn on_a_terminal_a_session_of_its_own_outlives_the_child_and_others_are_hung_up() {
    let json = |session: &str, then: &str| {
        format!(
            r#"{{"ops": [{{"op": "background", "keep": ["stdout"], "session": "{session}",
            "script": {{"ops": [{{"op": "sleep", "ms": 600000}}]}}}}{then}]}}"#
        )
    };
    let parent = Parent::of(Strategy::Pty);
    let asleep = Ending::Completes {
        after_us: 600_000_000,
    };
    assert_eq!(ending(&json("own", ""), parent), asleep);
    assert_eq!(ending(&json("own", ""), draining(Strategy::Pty)), COMPLETES);
    let hung_up = Prediction::NotModelled {
        reason: NotModelled::Hangup,
    };
    assert_eq!(foretold(&json("inherited", ""), parent), hung_up);
    let immune =
        json("inherited", "").replace(r#""script": {"#, r#""script": {"ignore": ["HUP"], "#);
    assert_eq!(ending(&immune, parent), asleep);
    // It has ended before the child does, or the child does not.
    for then in [r#", {"op": "wait"}"#, r#", {"op": "park"}"#] {
        let prediction = foretold(&json("inherited", then), parent);
        assert!(prediction.only().is_some(), "{prediction:?}");
    }
}
