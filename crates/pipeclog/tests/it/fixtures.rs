//! That the scenarios are what they say.

use std::collections::BTreeSet;

use pipeclog_capture::{KillTarget, LimitPolicy};
use pipeclog_harness::fixtures::scenarios;
use pipeclog_scenario::expect::{Expect, Told};
use pipeclog_scenario::strategy::Strategy;
use pipeclog_waitgraph::class::Class;

/// Classes that no scenario acts out, since the mistake is the parent's and no strategy of ours makes it, or since it
/// takes what a test must not do.
const NOT_ACTED_OUT: [(Class, &str); 8] = [
    (
        Class::OversizedWriteAfterPollout,
        "no strategy writes after POLLOUT without O_NONBLOCK",
    ),
    (
        Class::BackPressureForgotten,
        "no strategy drops a descriptor from its set",
    ),
    (
        Class::PtyUnread,
        "no strategy waits before it reads a terminal",
    ),
    (
        Class::SocketpairFull,
        "no hazard captures through socket pairs",
    ),
    (
        Class::LeakedToSibling,
        "every strategy's descriptors are close-on-exec",
    ),
    (Class::MissedExit, "it takes a parent that ignores SIGCHLD"),
    (
        Class::KernelHeld,
        "it takes a splice that holds a pipe's lock",
    ),
    (
        Class::WatchdogIsTheCulprit,
        "it takes a parent with a helper of its own",
    ),
];

#[test]
fn each_class_is_acted_out_or_it_is_said_why_not() {
    let acted: BTreeSet<Class> = scenarios()
        .unwrap()
        .iter()
        .filter_map(|scenario| scenario.class)
        .collect();
    for class in Class::ALL {
        let excused = NOT_ACTED_OUT.iter().any(|(excused, _)| excused == class);
        assert!(acted.contains(class) != excused, "{}", class.slug());
    }
}

#[test]
fn names_are_unique_and_sentences_are_there() {
    let scenarios = scenarios().unwrap();
    let names: BTreeSet<&str> = scenarios
        .iter()
        .map(|scenario| scenario.name.as_str())
        .collect();
    assert_eq!(names.len(), scenarios.len());
    for scenario in &scenarios {
        assert!(
            !scenario.title.is_empty() && !scenario.imitates.is_empty(),
            "{}",
            scenario.name
        );
        assert!(!scenario.references.is_empty(), "{}", scenario.name);
    }
}

/// What must come of each scenario under each strategy.
fn expectations() -> Vec<Expect> {
    let scenarios = scenarios().expect("they are well-formed");
    let expectation = |scenario: &pipeclog_scenario::scenario::Scenario| {
        Strategy::ALL.map(|strategy| {
            scenario
                .expectation(strategy)
                .expect("each has a rule")
                .clone()
        })
    };
    scenarios.iter().flat_map(expectation).collect()
}

#[test]
fn each_scenario_is_run_under_some_strategy() {
    for scenario in scenarios().unwrap() {
        let is_run = |strategy| {
            !matches!(
                scenario.expectation(strategy),
                Some(Expect::NotApplicable { .. })
            )
        };
        assert!(Strategy::ALL.into_iter().any(is_run), "{}", scenario.name);
    }
}

#[test]
fn each_thing_that_can_be_expected_is_expected_of_some_trial() {
    let mut outcomes = BTreeSet::new();
    let mut told = BTreeSet::new();
    for expected in expectations() {
        outcomes.insert(match &expected {
            Expect::Completes => 0,
            Expect::CutShort => 1,
            Expect::Harms => 2,
            Expect::Hangs(hang) => {
                told.insert(hang.told);
                3
            }
            Expect::NotApplicable { .. } => 4,
        });
    }
    assert_eq!(outcomes.len(), 5, "{outcomes:?}");
    assert_eq!(told, BTreeSet::from(Told::ALL));
}

#[test]
fn a_class_of_the_engines_own_is_another_one_and_says_why() {
    for expected in expectations() {
        if let Expect::Hangs(hang) = expected
            && let Some(engine) = hang.engine
        {
            assert!(
                engine.class != hang.class && !engine.why.is_empty(),
                "{engine:?}"
            );
        }
    }
}

#[test]
fn each_option_of_the_parent_is_used_by_some_scenario() {
    let scenarios = scenarios().unwrap();
    let used = |option: fn(&pipeclog_scenario::scenario::Parent) -> Option<String>| {
        let parents = scenarios.iter().map(|scenario| &scenario.parent);
        let values: BTreeSet<String> = parents.filter_map(option).collect();
        values
    };
    let named = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
    let policies = used(|parent| parent.limit_policy.map(|policy| policy.to_string()));
    assert_eq!(policies, named(&LimitPolicy::ALL.map(LimitPolicy::name)));
    // The leader alone is what is killed if nothing is said.
    let mut targets = used(|parent| parent.kill.clone());
    targets.insert("leader".to_owned());
    assert_eq!(targets, named(&KillTarget::ALL.map(KillTarget::name)));
    let backgrounds = used(|parent| parent.background.clone());
    assert_eq!(backgrounds, named(&["abandon", "keep-draining"]));
    let ends = used(|parent| parent.end.map(|end| end.to_string()));
    for end in ["eof", "drain", "grace="] {
        assert!(ends.iter().any(|used| used.starts_with(end)), "{end}");
    }
}

#[test]
fn each_operation_is_used_by_some_script() {
    let used: BTreeSet<String> = scenarios()
        .unwrap()
        .iter()
        .flat_map(|scenario| operations(&serde_json::to_value(&scenario.script).unwrap()))
        .collect();
    for operation in [
        "write",
        "prompt",
        "flush",
        "stdin",
        "sleep",
        "compute",
        "park",
        "close",
        "nonblock",
        "capacity",
        "packet",
        "background",
        "wait",
        "thread",
        "repeat",
        "fifo",
        "accept",
        "stop",
        "exit",
        "die",
    ] {
        assert!(used.contains(operation), "no scenario has {operation:?}");
    }
}

/// The names of all operations in a script as JSON.
fn operations(value: &serde_json::Value) -> Vec<String> {
    match value {
        serde_json::Value::Object(fields) => {
            let own = fields
                .get("op")
                .and_then(|op| op.as_str())
                .map(str::to_owned);
            own.into_iter()
                .chain(fields.values().flat_map(operations))
                .collect()
        }
        serde_json::Value::Array(values) => values.iter().flat_map(operations).collect(),
        _ => Vec::new(),
    }
}
