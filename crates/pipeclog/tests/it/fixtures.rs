//! That the scenarios are what they say.

use std::collections::BTreeSet;

use pipeclog_harness::fixtures::scenarios;
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
