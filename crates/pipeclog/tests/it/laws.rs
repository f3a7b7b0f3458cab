//! Laws over random scripts, in real processes. `PIPECLOG_CASES` says how many (80 unless told otherwise).

use std::path::PathBuf;

use pipeclog_harness::cell;
use pipeclog_harness::pool::Pool;
use pipeclog_scenario::outcome::Verdict;
use pipeclog_scenario::predict::PipeFacts;
use pipeclog_scenario::scenario::{Descendants, Expect, Parent, Rule, Scenario, Select};
use pipeclog_scenario::script::{Op, Order, Script, Size, StdinOp, Write, WriteSize};
use pipeclog_scenario::strategy::{Kind, Strategy as Capture};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};

fn cases() -> u32 {
    std::env::var("PIPECLOG_CASES")
        .ok()
        .and_then(|cases| cases.parse().ok())
        .unwrap_or(80)
}

fn write_size() -> impl Strategy<Value = WriteSize> {
    prop_oneof![
        (1_u64..5000).prop_map(|size| WriteSize::Fixed(Size(size))),
        prop::sample::select(vec![80, 2049, 4095, 4096, 4097, 65_536])
            .prop_map(|size| WriteSize::Fixed(Size(size))),
        prop::collection::vec((1_u64..9000).prop_map(Size), 1..4).prop_map(WriteSize::Cycle),
    ]
}

fn total() -> impl Strategy<Value = u64> {
    prop_oneof![
        Just(0),
        1_u64..2000,
        30_000_u64..70_000,
        65_530_u64..65_540,
        70_000_u64..1_200_000
    ]
}

fn write() -> impl Strategy<Value = Op> {
    let order = prop_oneof![
        Just(Order::StdoutFirst),
        Just(Order::StderrFirst),
        Just(Order::Alternate),
        any::<u64>().prop_map(Order::Interleave),
    ];
    (total(), total(), write_size(), order).prop_map(|(stdout, stderr, write_size, order)| {
        let mut write = Write::new(stdout, stderr);
        write.write_size = write_size;
        write.order = order;
        Op::Write(write)
    })
}

/// At most a hundred thousand writes, so that a case takes no longer than a moment.
fn script() -> impl Strategy<Value = Script> {
    let stdin = prop_oneof![
        3 => Just(None),
        1 => Just(Some(StdinOp::ReadAll)),
        1 => Just(Some(StdinOp::Echo)),
    ];
    (
        prop::collection::vec(write(), 1..3),
        stdin,
        any::<bool>(),
        0_u8..4,
    )
        .prop_map(|(mut ops, stdin, first, code)| {
            if let Some(action) = stdin {
                let at = if first { 0 } else { ops.len() };
                ops.insert(
                    at,
                    Op::Stdin {
                        action,
                        read_size: Size(65_536),
                    },
                );
            }
            ops.push(Op::Exit { code });
            Script::new(ops)
        })
        .prop_filter("too many writes", |script| {
            script.steps().nth(100_000).is_none()
        })
}

fn scenario(script: Script, stdin: Option<u64>) -> Scenario {
    let name = "random".to_owned();
    Scenario {
        row: name.clone(),
        name,
        size: None,
        class: None,
        title: String::new(),
        imitates: String::new(),
        references: Vec::new(),
        script,
        stdin: stdin.map(Size),
        fifos: Vec::new(),
        parent: Parent::default(),
        descendants: Descendants::Killed,
        rules: vec![Rule {
            strategies: Select::All,
            when: None,
            expect: Expect::Completes,
        }],
    }
}

/// Safe strategies deliver every byte of any script; and whatever the strategy, what comes is what the model foretold, down to
/// the byte at which the child blocks.
#[test]
fn safe_strategies_are_byte_exact_and_every_outcome_is_the_one_foretold() {
    let pool = Pool::new(PathBuf::from(env!("CARGO_BIN_EXE_pipeclog")));
    let stdin = prop_oneof![Just(None), (0_u64..200_000).prop_map(Some)];
    let strategy = prop::sample::select(Capture::ALL.to_vec());
    // Shrinking runs real processes too: a few hundred are enough to find the smallest script.
    let config = Config {
        cases: cases(),
        max_shrink_iters: 300,
        failure_persistence: None,
        ..Config::default()
    };
    let outcome =
        TestRunner::new(config).run(&(script(), stdin, strategy), |(script, stdin, strategy)| {
            let scenario = scenario(script, stdin);
            let cell = cell::run(&pool, &scenario, strategy, PipeFacts::USUAL).unwrap();
            prop_assert_eq!(
                cell.contradiction(),
                None,
                "{}: {}",
                strategy,
                cell.outcome.verdict
            );
            let verdict = &cell.outcome.verdict;
            let fine = match strategy.kind() {
                Kind::Safe => matches!(verdict, Verdict::Completed | Verdict::Skipped { .. }),
                Kind::Hazard => matches!(verdict, Verdict::Completed | Verdict::Hung(_)),
            };
            prop_assert!(fine, "{strategy}: {verdict}");
            Ok(())
        });
    if let Err(error) = outcome {
        panic!("{error}");
    }
}
