//! Recorded trees of other kernels, machines and users, with the diagnosis that each must give.

use std::collections::BTreeSet;
use std::path::Path;

use pipeclog_procscan::{Scanner, Selection};
use pipeclog_waitgraph::redact::redact;
use pipeclog_waitgraph::report::Report;
use pipeclog_waitgraph::snapshot::{Gap, Pid};
use pipeclog_waitgraph::{diagnose, render};
use serde_json::Value;

const CASES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../fixtures/proc");

#[test]
fn every_recorded_tree_gives_its_diagnosis() {
    let mut seen = 0;
    for entry in std::fs::read_dir(CASES).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            check(&path);
            seen += 1;
        }
    }
    assert!(seen >= 13, "{seen} cases in {CASES}");
}

fn check(case: &Path) {
    let name = case.file_name().unwrap().to_string_lossy().into_owned();
    let expected: Value =
        serde_json::from_slice(&std::fs::read(case.join("expected.json")).unwrap()).unwrap();
    let target = Pid(u32::try_from(expected["target"].as_u64().unwrap()).unwrap());
    let looks = Scanner::new(case)
        .unwrap()
        .scan_twice(&Selection::Tree(vec![target]))
        .unwrap();
    let text = render::json(diagnose(&looks, target).report()).unwrap();
    let found: Value = serde_json::from_str(&text).unwrap();
    for field in ["verdict", "confidence"] {
        assert_eq!(found[field], expected[field], "{name}: {text}");
    }
    if let Some(wanted) = expected["assumes"].as_array() {
        let assumptions = found["assumptions"].as_array().unwrap().iter();
        let assumed: Vec<&Value> = assumptions.map(|a| &a["assumption"]["assumes"]).collect();
        assert_eq!(assumed, wanted.iter().collect::<Vec<_>>(), "{name}: {text}");
    }
    let gaps = &looks[1].gaps;
    let kinds: BTreeSet<String> = gaps
        .iter()
        .map(|gap| {
            serde_json::to_value(gap.kind)
                .unwrap()
                .as_str()
                .unwrap()
                .to_owned()
        })
        .collect();
    let wanted = expected["gaps"].as_array().unwrap();
    let wanted: BTreeSet<String> = wanted
        .iter()
        .map(|kind| kind.as_str().unwrap().to_owned())
        .collect();
    assert_eq!(kinds, wanted, "{name}: {gaps:#?}");
    if let Some(why) = expected["why"].as_str() {
        let remedy = expected["remedy"].as_str();
        let gap = gaps
            .iter()
            .find(|gap| gap.why.ends_with(why) && gap.remedy.as_deref() == remedy);
        assert!(gap.is_some(), "{name}: {gaps:#?}");
    }
    let told = diagnose(&looks, target);
    let mut redacted = looks.clone();
    redact(&mut redacted);
    let retold = diagnose(&redacted, target);
    let gist = |report: &Report| (report.verdict, report.confidence, report.class);
    assert_eq!(gist(told.report()), gist(retold.report()), "{name}");
    for (gap, redacted) in gaps.iter().zip(&redacted[1].gaps) {
        assert_eq!(gap.remedy, redacted.remedy, "{name}: a redacted gap");
        let reason = |gap: &Gap| gap.why.split("; ").nth(1).map(str::to_owned);
        assert_eq!(reason(gap), reason(redacted), "{name}: a redacted gap");
    }
}
