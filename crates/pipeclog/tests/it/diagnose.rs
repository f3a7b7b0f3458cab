//! `pipeclog diagnose` on live processes of this test.

use crate::run::{pipeclog, shell};

/// A hazard that hangs, diagnosed as soon as its child is blocked; `$parent` is its number.
fn hung(then: &str) -> crate::run::Ran {
    shell(&format!(
        "pipeclog capture -s wait_then_read -- head -c 70000 /dev/zero >/dev/null & parent=$!; \
         until child=$(pgrep -P $parent) && grep -q '^1 ' /proc/$child/syscall; do kill -0 $parent; done; \
         {then}; code=$?; kill $parent $child; exit $code"
    ))
}

#[test]
fn a_deadlock_is_proven_and_told_in_the_first_line() {
    let ran = hung("pipeclog diagnose $parent");
    assert_eq!(ran.code, 1, "{ran:?}");
    let first = ran.stdout.lines().next().unwrap_or_default();
    assert!(first.starts_with("deadlock, proven: pipeclog ("), "{first}");
    assert!(
        ran.stdout.contains("class: wait-then-read"),
        "{}",
        ran.stdout
    );
}

#[test]
fn what_was_saved_gives_the_same_diagnosis() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("looks.json").display().to_string();
    let ran = hung(&format!(
        "pipeclog diagnose --format json --save {file} $parent >{file}.1; \
         pipeclog diagnose --format json --from {file} $parent >{file}.2; cmp {file}.1 {file}.2"
    ));
    assert_eq!(ran.code, 0, "{ran:?}");
}

#[test]
fn json_has_its_verdict_at_the_top() {
    let ran = hung("pipeclog diagnose --format json $parent");
    let report: serde_json::Value = serde_json::from_str(&ran.stdout).unwrap();
    for key in [
        "schema_version",
        "verdict",
        "confidence",
        "class",
        "members",
        "culprit",
        "fix",
        "assumptions",
        "gaps",
    ] {
        assert!(report.get(key).is_some(), "{key}: {}", ran.stdout);
    }
    assert_eq!(report["verdict"], "deadlocked");
}

#[test]
fn a_sleeper_is_not_stuck() {
    let ran = shell("sleep 600 & pipeclog diagnose $!; code=$?; kill $!; exit $code");
    assert_eq!(ran.code, 0, "{ran:?}");
    assert!(!ran.stdout.contains("deadlock"), "{}", ran.stdout);
}

#[test]
fn a_process_that_is_not_there_is_an_error() {
    // The largest number that a pid can have, and it is not given out before all others.
    let ran = pipeclog(&["diagnose", "4194303"]);
    assert_eq!(ran.code, 2, "{ran:?}");
    assert!(ran.stderr.contains("4194303"), "{}", ran.stderr);
}
