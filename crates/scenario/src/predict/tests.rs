mod family;

use super::*;
use crate::bound::{Bound, LimitPolicy};
use crate::plan::Wiring;
use crate::script::{Script, Signal, Stream};
use crate::strategy::Kind;

fn script(json: &str) -> Script {
    Script::from_json(json).expect("a script")
}

fn foretold(json: &str, parent: Parent) -> Prediction {
    predict(&script(json), &parent, PipeFacts::USUAL)
}

fn ending(json: &str, parent: Parent) -> Ending {
    let prediction = foretold(json, parent);
    prediction
        .ending()
        .unwrap_or_else(|| panic!("{json}, {parent:?}: {prediction:?}"))
}

fn with_stdin(strategy: Strategy, bytes: u64) -> Parent {
    Parent {
        stdin_bytes: Some(bytes),
        ..Parent::of(strategy)
    }
}

fn draining(strategy: Strategy) -> Parent {
    Parent {
        after_exit: AfterExit::Drain,
        ..Parent::of(strategy)
    }
}

fn safe() -> impl Iterator<Item = Strategy> {
    Strategy::ALL
        .into_iter()
        .filter(|strategy| strategy.kind() == Kind::Safe)
}

const COMPLETES: Ending = Ending::Completes { after_us: 0 };

#[test]
fn hazards_hang_one_byte_past_their_boundary_and_not_at_it() {
    use Strategy::{
        BiggerPipeThenWait, PollExitThenRead, StdoutThenStderr, WaitThenRead, WriteStdinThenRead,
    };
    let deadlock = Ending::ArtificialDeadlock;
    // (strategy, stream, write size, the most that passes, what comes of one byte more)
    for (strategy, stream, write_size, most, past) in [
        (WaitThenRead, "stdout", 65_536, 65_536, deadlock),
        (WaitThenRead, "stderr", 65_536, 65_536, deadlock),
        // 16 writes of 2,049 fill the slots; a 17th of up to 2,047 joins the last.
        (WaitThenRead, "stdout", 2049, 34_831, deadlock),
        (WaitThenRead, "stdout", 80, 65_296, deadlock),
        (
            PollExitThenRead,
            "stdout",
            4096,
            65_536,
            Ending::PollsForEver,
        ),
        (StdoutThenStderr, "stderr", 1, 65_536, deadlock),
        (StdoutThenStderr, "stdout", 4096, 1 << 20, COMPLETES),
        (BiggerPipeThenWait, "stdout", 4096, 1 << 20, deadlock),
        (WriteStdinThenRead, "stdout", 4096, 1 << 20, COMPLETES),
    ] {
        for (bytes, expected) in [(most, COMPLETES), (most + 1, past)] {
            let json = format!(
                r#"{{"ops": [{{"op": "write", "{stream}": {bytes}, "write_size": {write_size}}}]}}"#
            );
            assert_eq!(
                ending(&json, Parent::of(strategy)),
                expected,
                "{strategy}: {json}"
            );
        }
    }
}

#[test]
fn a_deadlock_says_who_hangs_where() {
    let json =
        r#"{"ops": [{"op": "write", "stdout": 70000, "stderr": 70000, "order": "alternate"}]}"#;
    let prediction = foretold(json, Parent::of(Strategy::StdoutThenStderr));
    let found = prediction.only().expect("one outcome");
    assert_eq!(
        found.blocked,
        [
            Blocked {
                who: Who::Parent,
                on: BlockedOn::Read {
                    stream: Channel::Stdout,
                    at_byte: 70_000
                }
            },
            Blocked {
                who: Who::Child,
                on: BlockedOn::Write {
                    stream: Channel::Stderr,
                    at_byte: 65_536,
                    unread: 65_536
                }
            },
        ]
    );
}

#[test]
fn safe_strategies_complete_and_deliver_all_of_it() {
    let json = r#"{"ops": [
        {"op": "stdin", "do": "read_all"},
        {"op": "write", "stdout": "3M", "stderr": "2M", "write_size": 2049, "order": "alternate"},
        {"op": "exit", "code": 3}]}"#;
    for strategy in safe() {
        let prediction = foretold(json, with_stdin(strategy, 1 << 20));
        let found = prediction
            .only()
            .unwrap_or_else(|| panic!("{strategy}: {prediction:?}"));
        assert_eq!(found.ending, COMPLETES, "{strategy}");
        assert_eq!(found.leader, Some(LeaderEnding::Code(3)), "{strategy}");
        let (stdout, stderr) = match strategy.plan().wiring {
            Wiring::Pipes(_) | Wiring::Files | Wiring::Sockets => (Some(3 << 20), Some(2 << 20)),
            Wiring::OnePipe(_) | Wiring::Terminal => (Some(5 << 20), None),
            Wiring::Nothing | Wiring::Inherited => (None, None),
        };
        assert_eq!(
            (found.stdout_bytes, found.stderr_bytes),
            (stdout, stderr),
            "{strategy}"
        );
    }
}

#[test]
fn a_filter_hangs_a_parent_that_writes_all_first() {
    let echo = r#"{"ops": [{"op": "stdin", "do": "echo"}]}"#;
    let hazard = |bytes| with_stdin(Strategy::WriteStdinThenRead, bytes);
    // Two pipes and the child's buffer.
    assert_eq!(ending(echo, hazard(3 << 16)), COMPLETES);
    let prediction = foretold(echo, hazard((3 << 16) + 1));
    let found = prediction.only().expect("one outcome");
    assert_eq!(found.ending, Ending::ArtificialDeadlock);
    assert!(matches!(
        found.blocked[0].on,
        BlockedOn::Write {
            stream: Channel::Stdin,
            at_byte: 196_608,
            unread: 65_536
        }
    ));
    for strategy in safe() {
        assert_eq!(
            ending(echo, with_stdin(strategy, 64 << 20)),
            COMPLETES,
            "{strategy}"
        );
    }
}

#[test]
fn a_background_child_leaks_to_those_who_wait_for_the_end_of_file() {
    let asleep = |ms: u64| {
        format!(
            r#"{{"ops": [{{"op": "write", "stdout": 10}}, {{"op": "background", "keep": ["stdout"],
            "script": {{"ops": [{{"op": "sleep", "ms": {ms}}}]}}}}]}}"#
        )
    };
    let parked = r#"{"ops": [{"op": "background", "keep": ["stderr"], "depth": 3, "intermediates": "exit",
        "script": {"ops": [{"op": "park"}]}}]}"#;
    for strategy in [Strategy::WaitThenRead, Strategy::Threads, Strategy::Merged] {
        let prediction = foretold(&asleep(600_000), Parent::of(strategy));
        let found = prediction.only().expect("one outcome");
        assert_eq!(
            found.ending,
            Ending::Completes {
                after_us: 600_000_000
            },
            "{strategy}"
        );
        assert_eq!(
            found.leaks,
            [Leak {
                stream: Stream::Stdout,
                holder: Who::Descendant { writer: 1 },
                withheld_us: Some(600_000_000)
            }]
        );
        assert_eq!(
            ending(parked, Parent::of(strategy)),
            Ending::Leaks,
            "{strategy}"
        );
    }
    for strategy in [Strategy::TempFile, Strategy::Discard] {
        assert_eq!(
            ending(parked, Parent::of(strategy)),
            COMPLETES,
            "{strategy}"
        );
    }
    for strategy in [Strategy::Poll, Strategy::Merged, Strategy::Socketpair] {
        assert_eq!(ending(parked, draining(strategy)), COMPLETES, "{strategy}");
    }
}

#[test]
fn intermediates_that_wait_hold_what_their_descendant_holds() {
    let json = r#"{"ops": [{"op": "background", "keep": ["stdout"], "depth": 3,
        "script": {"ops": [{"op": "park"}]}}]}"#;
    let prediction = foretold(json, Parent::of(Strategy::Poll));
    let found = prediction.only().expect("one outcome");
    assert_eq!(found.ending, Ending::Leaks);
    let holders: Vec<_> = found.leaks.iter().map(|leak| leak.holder).collect();
    assert_eq!(
        holders,
        [
            Who::Intermediate { writer: 1 },
            Who::Intermediate { writer: 1 },
            Who::Descendant { writer: 1 }
        ]
    );
}

#[test]
fn waits_and_stops_are_not_called_deadlocks() {
    for (op, expected) in [
        (
            r#"{"op": "park"}"#,
            Ending::Waits {
                reason: NeverReason::Parked,
            },
        ),
        (
            r#"{"op": "stop"}"#,
            Ending::Waits {
                reason: NeverReason::Stopped,
            },
        ),
        (
            r#"{"op": "accept"}"#,
            Ending::Waits {
                reason: NeverReason::Outside,
            },
        ),
        (
            r#"{"op": "sleep", "ms": 1500}"#,
            Ending::Completes {
                after_us: 1_500_000,
            },
        ),
        (
            r#"{"op": "repeat", "times": "endless", "ops": [{"op": "write", "stderr": 100}]}"#,
            Ending::Endless,
        ),
    ] {
        let json = format!(r#"{{"ops": [{op}]}}"#);
        assert_eq!(
            ending(&json, Parent::of(Strategy::Threads)),
            expected,
            "{op}"
        );
    }
}

#[test]
fn the_pipe_that_a_script_changes_is_the_pipe_that_fills() {
    for (ops, most) in [
        (r#"{"op": "packet", "stream": "stdout"}"#, 16),
        (
            r#"{"op": "capacity", "stream": "stdout", "bytes": 5000}"#,
            8192,
        ),
        (r#"{"op": "nonblock", "stream": "stdout"}"#, 65_536),
    ] {
        for (bytes, expected) in [(most, COMPLETES), (most + 1, Ending::ArtificialDeadlock)] {
            let json = format!(
                r#"{{"ops": [{ops}, {{"op": "write", "stdout": {bytes}, "write_size": 1}}]}}"#
            );
            assert_eq!(
                ending(&json, Parent::of(Strategy::WaitThenRead)),
                expected,
                "{json}"
            );
        }
    }
}

#[test]
fn a_machine_near_its_limits_hangs_earlier() {
    let facts = PipeFacts::of_limits(&Limits::DEFAULT, 16_384, Privilege::Ordinary)
        .expect("a pipe, if a small one");
    for strategy in [Strategy::WaitThenRead, Strategy::BiggerPipeThenWait] {
        for (bytes, expected) in [(8192, COMPLETES), (8193, Ending::ArtificialDeadlock)] {
            let script = script(&format!(
                r#"{{"ops": [{{"op": "write", "stdout": {bytes}}}]}}"#
            ));
            let prediction = predict(&script, &Parent::of(strategy), facts);
            assert_eq!(prediction.ending(), Some(expected), "{strategy}, {bytes}");
        }
    }
}

#[test]
fn what_is_not_modelled_says_why() {
    let drops = r#"{"would_block": "drop", "ops": [{"op": "nonblock", "stream": "stdout"}]}"#;
    assert_eq!(
        foretold(drops, Parent::of(Strategy::Poll)),
        Prediction::NotModelled {
            reason: NotModelled::WouldBlock
        }
    );
    for json in [
        r#"{"ops": [{"op": "close", "stream": "stdin"}, {"op": "stdin", "do": "never"}]}"#,
        r#"{"ops": [{"op": "repeat", "times": 2, "ops": [
            {"op": "nonblock", "stream": "stdout"}, {"op": "close", "stream": "stdout"}]}]}"#,
        r#"{"ops": [{"op": "write", "stdout": 8192}, {"op": "capacity", "stream": "stdout", "bytes": 4096}]}"#,
    ] {
        assert_eq!(
            foretold(json, Parent::of(Strategy::WaitThenRead)),
            Prediction::NotModelled {
                reason: NotModelled::Fails
            },
            "{json}"
        );
    }
    let capacity = r#"{"ops": [{"op": "capacity", "stream": "stdout", "bytes": 4096}]}"#;
    assert_eq!(
        foretold(capacity, Parent::of(Strategy::TempFile)),
        Prediction::NotModelled {
            reason: NotModelled::PipeOnly
        }
    );
}

#[test]
fn a_child_that_dies_by_a_signal_is_foretold_with_it() {
    let json = r#"{"ops": [{"op": "write", "stdout": 10}, {"op": "die", "signal": "TERM"}]}"#;
    let prediction = foretold(json, Parent::of(Strategy::Threads));
    assert_eq!(
        prediction.only().and_then(|found| found.leader),
        Some(LeaderEnding::Signal(Signal::Term))
    );
}

#[test]
fn a_prediction_survives_json() {
    for strategy in Strategy::ALL {
        let prediction = foretold(
            r#"{"ops": [{"op": "write", "stdout": "1M", "stderr": "1M"}]}"#,
            Parent::of(strategy),
        );
        let json = serde_json::to_string(&prediction).expect("JSON");
        let back: Prediction = serde_json::from_str(&json).expect("the same");
        assert_eq!(back, prediction, "{json}");
    }
}

const ENDLESS: &str = r#"{"ops": [{"op": "repeat", "times": "endless", "ops": [{"op": "write", "stdout": "64k", "write_size": 65536}]}]}"#;

#[test]
fn an_endless_writer_goes_on_for_ever_over_any_channel_and_a_bound_ends_it() {
    let limit = |policy| {
        Some(Limit {
            bytes: 1 << 40,
            policy,
        })
    };
    let cut = |by| Ending::CutShort { by };
    for strategy in safe() {
        let bounded = |deadline_us, limit| {
            let parent = Parent {
                deadline_us,
                limit,
                ..Parent::of(strategy)
            };
            ending(ENDLESS, parent)
        };
        let deadline = Some(1000);
        assert_eq!(bounded(None, None), Ending::Endless, "{strategy}");
        assert_eq!(
            bounded(deadline, None),
            cut(Some(Bound::Deadline)),
            "{strategy}"
        );
        assert_eq!(
            bounded(None, limit(LimitPolicy::Tail)),
            Ending::Endless,
            "{strategy}"
        );
        let reads = !matches!(strategy, Strategy::Discard | Strategy::Inherit);
        let (kill, either) = if reads {
            (cut(Some(Bound::Limit)), cut(None))
        } else {
            (Ending::Endless, cut(Some(Bound::Deadline)))
        };
        assert_eq!(bounded(None, limit(LimitPolicy::Kill)), kill, "{strategy}");
        assert_eq!(
            bounded(deadline, limit(LimitPolicy::Error)),
            either,
            "{strategy}"
        );
    }
}

#[test]
fn bounds_act_one_byte_and_one_sleep_past_what_they_allow() {
    let script =
        r#"{"ops": [{"op": "write", "stdout": 1000, "stderr": 10}, {"op": "sleep", "ms": 50}]}"#;
    let limited = |bytes, policy| Parent {
        limit: Some(Limit { bytes, policy }),
        ..Parent::of(Strategy::Poll)
    };
    let slept = Ending::Completes { after_us: 50_000 };
    let cut = |by| Ending::CutShort { by: Some(by) };
    for (policy, past) in [
        (LimitPolicy::Head, cut(Bound::Limit)),
        (LimitPolicy::Tail, cut(Bound::Limit)),
        (LimitPolicy::Kill, cut(Bound::Limit)),
        (LimitPolicy::Error, cut(Bound::Limit)),
        (LimitPolicy::Spill, slept),
    ] {
        assert_eq!(ending(script, limited(1000, policy)), slept, "{policy}");
        assert_eq!(ending(script, limited(999, policy)), past, "{policy}");
    }
    let deadline = |us| Parent {
        deadline_us: Some(us),
        ..Parent::of(Strategy::Poll)
    };
    assert_eq!(ending(script, deadline(50_001)), slept);
    assert_eq!(ending(script, deadline(50_000)), cut(Bound::Deadline));
}

#[test]
fn a_grace_period_is_foretold_where_nobody_writes_in_it() {
    let daemon = |ops: &str| {
        format!(
            r#"{{"ops": [{{"op": "background", "keep": ["stdout"], "script": {{"ops": [{ops}]}}}}, {{"op": "write", "stdout": 16}}]}}"#
        )
    };
    let parent = Parent {
        after_exit: AfterExit::Grace { ms: 50 },
        ..Parent::of(Strategy::Threads)
    };
    let sleeps = daemon(r#"{"op": "sleep", "ms": 600000}"#);
    assert_eq!(ending(&sleeps, parent), COMPLETES);
    let writes = daemon(r#"{"op": "sleep", "ms": 40}, {"op": "write", "stdout": 16}"#);
    let reason = NotModelled::Grace;
    assert_eq!(
        foretold(&writes, parent),
        Prediction::NotModelled { reason }
    );
}

#[test]
fn a_script_of_any_length_is_foretold_at_once_or_refused_and_never_gone_through() {
    let uniform = r#"{"ops": [{"op": "write", "stdout": "1000000000000", "write_size": 1}]}"#;
    let parent = Parent::of(Strategy::Threads);
    let prediction = foretold(uniform, parent);
    let only = prediction.only().expect("one outcome");
    assert_eq!(only.stdout_bytes, Some(1_000_000_000_000));
    assert_eq!(
        ending(uniform, Parent::of(Strategy::WaitThenRead)),
        Ending::ArtificialDeadlock
    );
    for unlike in [
        r#"{"ops": [{"op": "write", "stdout": "1000000000000", "stderr": "1000000000000", "write_size": 1, "order": "alternate"}]}"#,
        r#"{"stdout_buffer": "full", "ops": [{"op": "write", "stdout": "1000000000000", "write_size": 1}]}"#,
        r#"{"ops": [{"op": "repeat", "times": 1000000000000, "ops": [{"op": "wait"}]}]}"#,
    ] {
        let reason = NotModelled::TooLong;
        assert_eq!(
            foretold(unlike, Parent::of(Strategy::Discard)),
            Prediction::NotModelled { reason },
            "{unlike}"
        );
    }
}
