//! What people and programs read.

use pipeclog_waitgraph::class::Class;
use pipeclog_waitgraph::classes::{Classes, ClassesError};
use pipeclog_waitgraph::diagnose::diagnose;
use pipeclog_waitgraph::render;
use pipeclog_waitgraph::report::{Finding, VerdictName};
use pipeclog_waitgraph::snapshot::{Peek, Pid};

use crate::deadlocks::wait_then_read;
use crate::scene::*;

const CLASSES: &str = include_str!("../../../../fixtures/classes.json");

#[test]
fn the_text_for_people() {
    let mut s = wait_then_read();
    s.peeks.push(Peek {
        inode: 9,
        unread_bytes: Some(65_536),
        capacity_bytes: Some(65_536),
        head: "warning: CRLF\n\u{1b}[0m".into(),
    });
    let text = render::human(s.diagnose(812).report(), render::Width::Unlimited);
    let expected = "\
deadlock, proven: python3 (812) waits for git (813) to exit; git (813) waits to write to its stdout, a pipe that only python3 (812) can read, and python3 (812) is not reading

  ┌▶ python3 (812)
  │ │    wait4, alive for 14 min 52 s: python3
  │ ▼    waits for git (813) to exit
  │  git (813)
  │ │    write(1, …), stdout, pipe:[9], alive for 14 min 52 s: git
  └─┘    waits to write to its stdout, a pipe that only python3 (812) can read

class: wait-then-read
kind: artificial, with a full channel in it; a bigger buffer would only hide it
evidence: 2 looks in 500 ms

why: python3 (812) waits for git (813) to exit and leaves pipe:[9] unread, which git (813) must get
     rid of first
who must change: python3 (812)
  process 812 holds pipe:[9] at descriptor 3

looked inside, by a duplicate of the reading end; nothing was taken out:
  - pipe:[9]: 65536 of 65536 bytes unread
    begins: warning: CRLF\\n\\u{1b}[0m

fix: Use proc.communicate(), or subprocess.run(..., capture_output=True): both read all streams
     while they wait. If the output is not wanted, start the child with stdout=subprocess.DEVNULL.
does not help: proc.wait(timeout=...) and then proc.stdout.read(): the child is still stuck while
     wait() runs, so every large output looks like a timeout. A larger bufsize= changes Python's
     buffer, not the pipe.

in the closed world where:
  - no signal comes from outside those who were started together: none from a person, another job of
    the shell, init, or whoever asks
  - nobody unseen holds an end: none in another pid namespace, none passed through a socket in
    flight
";
    assert_eq!(text, expected);
}

#[test]
fn on_a_terminal_no_line_is_wider_than_it() {
    let report = wait_then_read().diagnose(812).report().clone();
    for columns in [40, 60, 80, 200] {
        let text = render::human(&report, render::Width::Columns(columns));
        for line in text.lines() {
            assert!(line.chars().count() <= columns, "{columns}: {line}");
        }
    }
    let logged = render::human(&report, render::Width::Unlimited);
    assert_eq!(logged.lines().next(), Some(report.headline.as_str()));
}

#[test]
fn the_gravest_comes_first_and_what_was_asked_about_after_it() {
    let mut s = wait_then_read();
    s.process(700, 1, "supervisor", sleep_ms(10)).moving();
    s.edit(812).with(|p| p.ppid = Pid(700));
    let report = s.diagnose(700).report().clone();
    assert_ne!(report.verdict, VerdictName::Deadlocked);
    // The supervisor could end it by a signal.
    assert_eq!(report.finding, Finding::Suspected);
    let text = render::human(&report, render::Width::Unlimited);
    assert!(
        text.starts_with("deadlock, probable: python3 (812)"),
        "{text}"
    );
    let own = "\nsupervisor (700), which was asked about:\n  ";
    assert!(text.contains(own), "{text}");
    let page = render::markdown(&report);
    assert!(page.starts_with("**deadlock, probable"), "{page}");
    assert!(render::dot(&report).contains("n1 -> n0"));
}

#[test]
fn the_diagrams() {
    let s = wait_then_read();
    let report = s.diagnose(812).report().clone();
    let dot = render::dot(&report);
    assert!(dot.starts_with("digraph pipeclog {\n") && dot.ends_with("}\n"));
    assert!(
        dot.contains("  n0 -> n1 [label=\"waits for git (813) to exit\"];\n"),
        "{dot}"
    );
    assert!(dot.contains("  n1 -> n0 ["), "{dot}");
    let mermaid = render::mermaid(&report);
    assert!(
        mermaid.contains("  n0[\"python3 #40;812#41;\"]\n"),
        "{mermaid}"
    );
    assert!(mermaid.contains("  n1 -->|\""), "{mermaid}");
    let markdown = render::markdown(&report);
    assert!(
        markdown.starts_with("**deadlock, proven: python3 (812) waits for git (813) to exit; "),
        "{markdown}"
    );
    assert!(
        markdown.contains("```mermaid\nflowchart TD\n"),
        "{markdown}"
    );
}

#[test]
fn json_has_at_its_top_what_programs_ask_for() {
    let json = render::json(wait_then_read().diagnose(812).report()).unwrap();
    let value: serde_json::Value = serde_json::from_str(&json).unwrap();
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
        assert!(value.get(key).is_some_and(|v| !v.is_null()), "{key}");
    }
    assert_eq!(value["verdict"], "deadlocked");
    assert_eq!(value["confidence"], "proven");
    assert_eq!(value["class"], "wait-then-read");
}

#[test]
fn a_long_chain_is_cut_in_the_headline_and_whole_in_the_picture() {
    let mut s = Scene::new();
    for pid in 10..18 {
        s.process(pid, pid - 1, "sh", wait4(pid + 1))
            .fd(3, reads(9));
    }
    s.process(18, 17, "tool", write(1)).fd(1, writes(9));
    let report = s.diagnose(10).report().clone();
    assert_eq!(report.members.len(), 9);
    let mut ring = Scene::new();
    for at in 0..6u32 {
        let next = (at + 1) % 6;
        ring.process(20 + at, 1, "relay", write(1))
            .fd(0, reads(100 + u64::from(at)))
            .fd(1, writes(100 + u64::from(next)));
    }
    let report = ring.diagnose(20).report().clone();
    assert!(
        report.headline.ends_with("and so on over 2 more"),
        "{}",
        report.headline
    );
    let text = render::human(&report, render::Width::Columns(100));
    for pid in 20..26 {
        assert!(
            text.lines()
                .any(|l| l.ends_with(&format!(" relay ({pid})"))),
            "{text}"
        );
    }
}

#[test]
fn every_class_has_its_text() {
    let classes = Classes::read(CLASSES).unwrap();
    for class in Class::ALL {
        let text = classes.get(*class).unwrap();
        let words = text.mechanism.split(' ').count()
            + text.see.split(' ').count()
            + text.cure.split(' ').count();
        assert!(words > 30, "{class} says little");
        assert!(!text.references.is_empty(), "{class} cites nothing");
        let page = render::class(text, render::Width::Columns(80));
        assert!(page.lines().all(|l| l.chars().count() <= 80), "{page}");
        assert_eq!(class.slug().parse::<Class>(), Ok(*class));
    }
}

#[test]
fn broken_texts_of_classes_are_refused_with_the_reason() {
    assert!(matches!(
        Classes::read("{"),
        Err(ClassesError::Malformed(_))
    ));
    let newer = CLASSES.replacen("\"schema_version\": 1", "\"schema_version\": 2", 1);
    assert!(matches!(
        Classes::read(&newer),
        Err(ClassesError::Version { found: 2 })
    ));
    let error = Classes::read("{\"schema_version\": 1, \"classes\": []}").unwrap_err();
    assert_eq!(
        error.to_string(),
        "failed to read the texts of the classes: wait-then-read is there 0 times instead of once"
    );
}

#[test]
fn a_mistyped_class_finds_its_like() {
    let classes = Classes::read(CLASSES).unwrap();
    assert_eq!(
        classes.like("wait-than-read").first(),
        Some(&Class::WaitThenRead)
    );
    assert_eq!(
        classes.like("grandchildholds").first(),
        Some(&Class::GrandchildHolds)
    );
    assert!(classes.like("zzz").is_empty());
    assert!("wait".parse::<Class>().is_err());
}

#[test]
fn a_window_is_told_as_evidence() {
    let mut s = Scene::new();
    s.process(10, 1, "rustprog", sleep_ms(10))
        .fd(3, reads(20))
        .moving();
    s.process(11, 10, "tool", write(1)).fd(1, writes(20));
    let text = render::human(
        diagnose(&s.looks(5), Pid(10)).report(),
        render::Width::Columns(100),
    );
    assert!(
        text.starts_with(
            "stall, probable: tool (11) waits to write to pipe:[20], and rustprog (10), "
        ),
        "{text}"
    );
    assert!(text.contains("evidence: 5 looks in 2.0 s"), "{text}");
}
