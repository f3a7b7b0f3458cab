//! The JSON schema of a report: real reports are valid, and broken ones are not.

use std::collections::BTreeSet;

use pipeclog_waitgraph::diagnose::diagnose;
use pipeclog_waitgraph::render;
use pipeclog_waitgraph::report::{Report, schema};
use pipeclog_waitgraph::snapshot::Pid;
use pipeclog_waitgraph::wait::{SignalSet, Wait};
use serde_json::{Value, json};

use crate::scene::*;

fn value(report: &Report) -> Value {
    let text = render::json(report).expect("a report is plain data");
    serde_json::from_str(&text).expect("it was just written")
}

/// A scene of each verdict that two looks can give, with what can be in a report.
fn reports() -> Vec<Report> {
    let proven = crate::deadlocks::wait_then_read();
    let mut odd_names = crate::deadlocks::wait_then_read();
    odd_names.edit(813).with(|p| {
        p.comm = (&b"a\x1b[31m\xff\\"[..]).into();
        p.cmdline = vec!["\u{202e}".into()];
    });
    let mut probable = crate::deadlocks::wait_then_read();
    probable
        .edit(812)
        .fd(5, fifo(71, pipeclog_waitgraph::descriptor::Access::Read))
        .thread(815, "reader", read(5));
    probable
        .edit(813)
        .fd(6, fifo(71, pipeclog_waitgraph::descriptor::Access::Write));
    let mut sigsuspend_of = crate::deadlocks::wait_then_read();
    sigsuspend_of
        .process(812, 1, "dash", sigsuspend(&[SignalSet::CHLD]))
        .fd(3, reads(9))
        .catches(&[SignalSet::CHLD]);
    let mut polling = crate::deadlocks::wait_then_read();
    polling
        .process(812, 1, "rustprog", poll(&[(4, POLLIN)]))
        .fd(3, reads(9))
        .fd(4, pidfd(813));
    let mut running = crate::deadlocks::wait_then_read();
    running
        .process(813, 812, "git", Wait::Running)
        .fd(1, writes(9));
    let mut unread = crate::deadlocks::wait_then_read();
    unread.edit(813).unreadable();
    let scenes = [
        proven,
        odd_names,
        probable,
        sigsuspend_of,
        polling,
        running,
        unread,
    ];
    let mut reports: Vec<Report> = scenes
        .iter()
        .map(|s| s.diagnose(812).report().clone())
        .collect();
    reports.push(diagnose(&[], Pid(812)).report().clone());
    reports
}

#[test]
fn real_reports_are_valid() {
    let validator = jsonschema::validator_for(&schema()).unwrap();
    let reports = reports();
    for report in &reports {
        let value = value(report);
        let errors: Vec<String> = validator
            .iter_errors(&value)
            .map(|e| format!("{}: {e}", e.instance_path()))
            .collect();
        assert!(errors.is_empty(), "{errors:#?}");
    }
    let verdicts: BTreeSet<_> = reports.iter().map(|r| r.verdict).collect();
    assert!(verdicts.len() >= 3, "{verdicts:?}");
    assert!(reports.iter().any(|r| !r.assumptions.is_empty()));
}

#[test]
fn a_report_with_a_field_missing_or_wrong_is_not_valid() {
    let validator = jsonschema::validator_for(&schema()).unwrap();
    let whole = value(&reports()[0]);
    assert!(validator.is_valid(&whole));
    for field in whole.as_object().unwrap().keys() {
        let mut less = whole.clone();
        less.as_object_mut().unwrap().remove(field);
        assert!(!validator.is_valid(&less), "{field}");
    }
    let wrong = [
        ("/verdict", json!("hung")),
        ("/class", json!("no-such-class")),
        ("/looks", json!(-1)),
        ("/target/name", json!([1])),
        ("/members/0/wakers", json!(7)),
        ("/certificate/members/0/wait/for", json!("godot")),
    ];
    for (place, value) in wrong {
        let mut broken = whole.clone();
        *broken.pointer_mut(place).unwrap() = value;
        assert!(!validator.is_valid(&broken), "{place}");
    }
}

#[test]
fn the_schema_is_itself_valid_and_always_the_same() {
    let found = schema();
    assert!(jsonschema::meta::is_valid(&found));
    assert_eq!(found.to_string(), schema().to_string());
    assert_eq!(
        found["$schema"],
        "https://json-schema.org/draft/2020-12/schema"
    );
}
