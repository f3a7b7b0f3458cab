//! Processes that come and go while they are looked at.

use std::process::Command;

use pipeclog_procscan::{Scanner, Selection};
use pipeclog_waitgraph::diagnose;
use pipeclog_waitgraph::report::Finding;
use pipeclog_waitgraph::snapshot::{GapKind, Snapshot, Wait};

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

/// How often each of the substituting shells makes a pipe, forks, and reads it to its end.
const SUBSTITUTIONS: u32 = 3_000;

/// Each read of such a shell is the same system call with the same arguments as the one before, of another pipe, whose writer
/// lives for some hundred microseconds: whatever is put together from moments at which it was not blocked in one and the
/// same call looks like a shell that waits for itself.
#[test]
fn a_shell_that_reads_one_short_child_after_the_other_is_never_told_to_be_deadlocked() {
    let storm = format!(
        "i=0; while [ $i -lt {SUBSTITUTIONS} ]; do x=$(echo a); i=$((i+1)); done; exec sleep 1000"
    );
    // As many as processors, and more: then they are put to sleep in the middle of things.
    let shapes: Vec<Shape> = (0..4)
        .map(|_| Shape::spawn(Command::new("sh").args(["-c", &storm])))
        .collect();
    let mut scanner = Scanner::new("/proc").unwrap();
    let mut met_reading = 0;
    for shape in &shapes {
        let selection = Selection::Tree(vec![shape.pid()]);
        loop {
            let first = scanner.scan(&selection).unwrap();
            let second = scanner.confirm(&selection, &first).unwrap();
            let process = second.process(shape.pid()).unwrap();
            if process.comm.as_bytes() == b"sleep" {
                break;
            }
            let reads = |wait: &Wait| matches!(wait, Wait::Read { .. });
            met_reading += process
                .tasks
                .iter()
                .filter(|task| reads(&task.wait))
                .count();
            let verdict = diagnose(&[first, second], shape.pid());
            let verdict = verdict.report();
            assert!(verdict.finding < Finding::Suspected, "{}", verdict.headline);
        }
    }
    assert!(met_reading > 0, "no look met a shell that read");
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
