//! Laws over random scripts, in real processes. `PIPECLOG_CASES` says how many (80 unless told otherwise).

use std::cell::RefCell;
use std::path::PathBuf;

use pipeclog_harness::pool::Pool;
use pipeclog_harness::{cell, machine};
use pipeclog_scenario::bound::LimitPolicy;
use pipeclog_scenario::expect::Expect;
use pipeclog_scenario::outcome::Verdict;
use pipeclog_scenario::plan::AfterExit;
use pipeclog_scenario::predict::{Foretold, Prediction};
use pipeclog_scenario::scenario::{Descendants, Parent, Rule, Scenario, Select};
use pipeclog_scenario::script::{Op, Order, Script, Size, StdinOp, Write, WriteSize};
use pipeclog_scenario::strategy::{Kind, Strategy as Capture};
use proptest::prelude::*;
use proptest::test_runner::{Config, FileFailurePersistence, TestRunner};

fn cases() -> u32 {
    match std::env::var("PIPECLOG_CASES") {
        Ok(text) => text
            .parse()
            .unwrap_or_else(|_| panic!("PIPECLOG_CASES must be a number, not {text:?}")),
        Err(_) => 80,
    }
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

/// None, mostly; or a limit, or another end than the end of file. A deadline would race with the machine.
fn parent() -> impl Strategy<Value = Parent> {
    let limit = (total(), prop::sample::select(LimitPolicy::ALL.to_vec()));
    let end = prop::sample::select(vec![AfterExit::Drain, AfterExit::Grace { ms: 20 }]);
    (
        prop::option::weighted(0.3, limit),
        prop::option::weighted(0.2, end),
    )
        .prop_map(|(limit, end)| Parent {
            end,
            limit: limit.map(|(bytes, _)| Size(bytes)),
            limit_policy: limit.map(|(_, policy)| policy),
            ..Parent::default()
        })
}

pub(crate) fn scenario(script: Script, stdin: Option<u64>, parent: Parent) -> Scenario {
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
        parent,
        descendants: Descendants::Killed,
        rules: vec![Rule {
            strategies: Select::All,
            when: None,
            expect: Expect::Completes,
        }],
    }
}

/// Acts out random cases in real processes. Each must come as it was foretold, and be `fine`; and so many in a hundred must be
/// foretold as one outcome: a model that excludes nothing would agree with everything. What disagrees is kept
/// beside the crate, in the file of that name: each line is a disagreement that was found once.
pub(crate) fn hold<S>(
    cases_of: S,
    regressions: &'static str,
    decided_percent: u64,
    fine: impl Fn(&Scenario, Capture, &Verdict) -> bool,
) where
    S: Strategy<Value = (Scenario, Capture)>,
{
    let pool = Pool::new(PathBuf::from(env!("CARGO_BIN_EXE_pipeclog")));
    // Shrinking runs real processes too: a few hundred are enough to find the smallest script.
    let config = Config {
        cases: cases(),
        max_shrink_iters: 300,
        failure_persistence: Some(Box::new(FileFailurePersistence::Direct(regressions))),
        ..Config::default()
    };
    let machine = machine::describe(env!("CARGO_PKG_VERSION")).expect("this machine");
    let facts = machine::pipes(&machine).expect("its pipes");
    let predictions: RefCell<Vec<Prediction>> = RefCell::default();
    let outcome = TestRunner::new(config).run(&cases_of, |(scenario, strategy)| {
        let cell = cell::run(&pool, &scenario, strategy, facts).expect("its rule is for all");
        let verdict = &cell.outcome.verdict;
        prop_assert_eq!(cell.contradiction(), None, "{}: {}", strategy, verdict);
        prop_assert!(fine(&scenario, strategy, verdict), "{strategy}: {verdict}");
        predictions.borrow_mut().extend(cell.predicted);
        Ok(())
    });
    if let Err(error) = outcome {
        panic!("{error}");
    }
    let counts: Foretold = predictions.borrow().iter().collect();
    let all = counts.decided + counts.several + counts.not_modelled;
    assert!(counts.decided * 100 >= all * decided_percent, "{counts:?}");
}

/// Safe strategies deliver every byte of any script; and whatever the strategy, what comes is what the model foretold, down to
/// the byte at which the child blocks.
#[test]
fn safe_strategies_are_byte_exact_and_every_outcome_is_the_one_foretold() {
    let stdin = prop_oneof![Just(None), (0_u64..200_000).prop_map(Some)];
    let strategy = prop::sample::select(Capture::ALL.to_vec());
    let random = (script(), stdin, parent(), strategy);
    let random = random.prop_map(|(script, stdin, parent, strategy)| {
        let parent = match strategy.kind() {
            Kind::Safe => parent,
            Kind::Hazard => Parent::default(),
        };
        (scenario(script, stdin, parent), strategy)
    });
    let fine = |scenario: &Scenario, strategy: Capture, verdict: &Verdict| match strategy.kind() {
        Kind::Safe => match verdict {
            Verdict::Completed | Verdict::Skipped { .. } => true,
            Verdict::CutShort { .. } => scenario.parent.limit.is_some(),
            _ => false,
        },
        Kind::Hazard => matches!(verdict, Verdict::Completed | Verdict::Hung(_)),
    };
    hold(random, "tests/it/laws.regressions", 80, fine);
}
