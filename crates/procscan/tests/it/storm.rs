//! Processes that come and go while they are looked at.

use std::process::Command;

use pipeclog_procscan::{Scanner, Selection};
use pipeclog_waitgraph::diagnose;
use pipeclog_waitgraph::report::Finding;
use pipeclog_waitgraph::snapshot::{GapKind, Snapshot};

use crate::shape::Shape;

/// How many short processes a storm has; each look meets some of them in every stage of their lives.
const PROCESSES: u32 = 10_000;

#[test]
fn processes_that_end_in_mid_scan_leave_gaps_no_panic_and_no_false_verdict() {
    let storm = format!(
        "i=0; while [ $i -lt {PROCESSES} ]; do /bin/true & i=$((i+1)); [ $((i % 100)) -ne 0 ] || wait; done; wait; exec sleep 1000"
    );
    let shape = Shape::spawn(Command::new("sh").args(["-c", &storm]));
    let selection = Selection::Tree(vec![shape.pid()]);
    let mut scanner = Scanner::new("/proc").unwrap();
    let mut met = 0;
    loop {
        let first = scanner.scan(&selection).unwrap();
        met += check(&first);
        let second = scanner.confirm(&selection, &first).unwrap();
        check(&second);
        let verdict = diagnose(&[first.clone(), second], shape.pid());
        let verdict = verdict.report();
        assert!(verdict.finding < Finding::Suspected, "{}", verdict.headline);
        let slept = first.process(shape.pid()).unwrap().comm.as_bytes() == b"sleep";
        if slept {
            break;
        }
    }
    assert!(met > 0, "no look met a short process");
}

/// Whoever is in a snapshot is whole; whatever is missing is there no more. Returns how many short ones were met.
fn check(snapshot: &Snapshot) -> usize {
    for process in &snapshot.processes {
        assert!(!process.tasks.is_empty(), "{process:?}");
    }
    let odd = |kind: GapKind| !matches!(kind, GapKind::Vanished | GapKind::Denied);
    let odd: Vec<_> = snapshot
        .gaps
        .iter()
        .filter(|gap| gap.pid.is_some() && odd(gap.kind))
        .collect();
    assert!(odd.is_empty(), "{odd:?}");
    snapshot
        .processes
        .iter()
        .filter(|process| process.comm.as_bytes() == b"true")
        .count()
}
