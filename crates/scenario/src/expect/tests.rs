//! Planted hangs: each that is not the expected one must be refused.

use pipeclog_waitgraph::TaskId;
use pipeclog_waitgraph::report::{Actor, Finding};
use pipeclog_waitgraph::snapshot::{Pid, Tid};

use super::*;

fn report(verdict: VerdictName, confidence: Confidence, class: Option<Class>) -> Report {
    Report {
        schema_version: 1,
        verdict,
        confidence,
        // Not looked at: an expectation is about the verdict itself.
        finding: Finding::Nothing,
        deadlock: None,
        class,
        related: vec![Class::WriteAllThenRead],
        headline: String::new(),
        target: Actor {
            task: TaskId {
                pid: Pid(1),
                tid: Tid(1),
            },
            start_ticks: 0,
            name: "x".into(),
            thread: None,
            command: Vec::new(),
            age_ms: 0,
        },
        members: Vec::new(),
        culprit: None,
        fix: None,
        inside: Vec::new(),
        assumptions: Vec::new(),
        closed_world: Vec::new(),
        gaps: Vec::new(),
        beside: Vec::new(),
        looks: 3,
        observed_ms: 0,
        certificate: None,
    }
}

const CLASS: Class = Class::WaitThenRead;

/// A hang that is told so, and of no other kind.
fn hang(told: Told) -> Hang {
    let (verdict, confidence) = match told {
        Told::Proven => (VerdictName::Deadlocked, Confidence::Proven),
        Told::Probable | Told::Deadlocked => (VerdictName::Deadlocked, Confidence::Probable),
        Told::Leaked => (VerdictName::Leaked, Confidence::Probable),
        Told::Stalled => (VerdictName::Stalled, Confidence::Probable),
        Told::Stopped => (VerdictName::Stopped, Confidence::Observed),
        Told::Waiting => (VerdictName::Waiting, Confidence::Observed),
        Told::Beside | Told::Alive => (VerdictName::Progressing, Confidence::Observed),
    };
    let mut diagnosis = report(verdict, confidence, Some(CLASS));
    if told == Told::Beside {
        diagnosis.class = None;
        diagnosis.beside = vec![report(
            VerdictName::Deadlocked,
            Confidence::Probable,
            Some(CLASS),
        )];
    }
    Hang {
        ended_by: match told {
            Told::Proven => EndedBy::Proof,
            Told::Beside | Told::Alive => EndedBy::Polling,
            _ => EndedBy::Quiescence,
        },
        after_ms: 1,
        blocked: Vec::new(),
        diagnosis: Some(Box::new(diagnosis)),
    }
}

fn is_refused(expected: &ExpectedHang, hang: &Hang) -> bool {
    expected.contradiction(hang).is_some()
}

#[test]
fn each_hang_is_taken_for_what_it_is_and_for_nothing_else() {
    for expected in Told::ALL {
        for found in Told::ALL {
            let fits = expected == found
                || matches!(
                    (expected, found),
                    // A parent that waits is one that may move; the reverse is not said.
                    (Told::Alive, Told::Waiting)
                        | (Told::Deadlocked, Told::Proven | Told::Probable)
                        | (Told::Probable, Told::Deadlocked)
                );
            let refused = is_refused(&ExpectedHang::new(CLASS, expected), &hang(found));
            assert_eq!(refused, !fits, "expected {expected:?}, found {found:?}");
        }
    }
}

#[test]
fn another_class_or_none_is_refused_though_it_be_related() {
    for told in Told::ALL {
        let other = ExpectedHang::new(Class::WriteAllThenRead, told);
        assert_eq!(
            is_refused(&other, &hang(told)),
            told != Told::Alive,
            "{told:?}"
        );
        let mut unnamed = hang(told);
        let diagnosis = unnamed.diagnosis.as_mut().unwrap();
        diagnosis.class = None;
        for beside in &mut diagnosis.beside {
            beside.class = None;
        }
        let named = ExpectedHang::new(CLASS, told);
        assert_eq!(
            is_refused(&named, &unnamed),
            told != Told::Alive,
            "{told:?}"
        );
    }
}

#[test]
fn where_the_engine_names_another_class_it_must_be_the_one_that_is_said() {
    let mut expected = ExpectedHang::new(Class::JoinOrder, Told::Probable);
    assert!(is_refused(&expected, &hang(Told::Probable)));
    expected.engine = Some(EngineClass {
        class: CLASS,
        why: "why".to_owned(),
    });
    assert!(!is_refused(&expected, &hang(Told::Probable)));
    expected.engine = Some(EngineClass {
        class: Class::JoinOrder,
        why: "why".to_owned(),
    });
    assert!(is_refused(&expected, &hang(Told::Probable)));
}

#[test]
fn a_proof_that_did_not_end_its_trial_and_a_trial_that_a_proof_ended_without_one_are_refused() {
    let mut late = hang(Told::Proven);
    late.ended_by = EndedBy::Deadline;
    assert!(is_refused(&ExpectedHang::new(CLASS, Told::Proven), &late));
    let mut hasty = hang(Told::Probable);
    hasty.ended_by = EndedBy::Proof;
    assert!(is_refused(
        &ExpectedHang::new(CLASS, Told::Probable),
        &hasty
    ));
}

#[test]
fn a_trial_that_was_cut_off_while_it_moved_is_no_hang() {
    let mut cut_off = hang(Told::Alive);
    let expected = ExpectedHang::new(CLASS, Told::Alive);
    assert!(!is_refused(&expected, &cut_off));
    cut_off.ended_by = EndedBy::Deadline;
    assert!(is_refused(&expected, &cut_off));
}

#[test]
fn a_hang_at_which_nobody_looked_is_refused() {
    let mut unseen = hang(Told::Proven);
    unseen.diagnosis = None;
    assert!(is_refused(&ExpectedHang::new(CLASS, Told::Proven), &unseen));
}

mod cells {
    use super::*;
    use crate::outcome::{Agreement, Cell, Outcome, Results, Verdict, Writing, Written};
    use crate::predict::{Parent, PipeFacts, predict};
    use crate::script::{Script, Stream};
    use crate::strategy::Strategy;

    fn cell(expected: Expect, verdict: Verdict) -> Cell {
        Cell {
            scenario: "planted".to_owned(),
            row: "planted".to_owned(),
            size: None,
            strategy: Strategy::WaitThenRead,
            expected,
            predicted: None,
            outcome: Outcome {
                verdict,
                measured: None,
                written: Written::default(),
                seen: None,
            },
        }
    }

    fn expectations() -> Vec<Expect> {
        vec![
            Expect::Completes,
            Expect::CutShort,
            Expect::Harms,
            Expect::Hangs(ExpectedHang::new(CLASS, Told::Proven)),
            Expect::NotApplicable {
                why: "why".to_owned(),
            },
        ]
    }

    fn verdicts() -> Vec<Verdict> {
        let text = || "x".to_owned();
        vec![
            Verdict::Completed,
            Verdict::CutShort {
                by: crate::bound::Bound::Deadline,
                why: text(),
            },
            Verdict::Harmed { what: text() },
            Verdict::Hung(hang(Told::Proven)),
            Verdict::Lost {
                stream: text(),
                what: text(),
            },
            Verdict::WrongExit {
                expected: text(),
                found: text(),
            },
            Verdict::Broken { why: text() },
        ]
    }

    #[test]
    fn each_verdict_agrees_with_its_own_expectation_and_with_no_other() {
        for (wanted, expected) in expectations().into_iter().enumerate() {
            for (found, verdict) in verdicts().into_iter().enumerate() {
                let agrees = wanted == found && wanted < 4;
                let cell = cell(expected.clone(), verdict);
                assert_eq!(
                    cell.agreement() == Agreement::Agrees,
                    agrees,
                    "{:?} where {:?} was expected",
                    cell.outcome.verdict,
                    cell.expected
                );
                assert_eq!(
                    Results::of_cells(vec![cell.clone()]).all_as_expected(),
                    agrees,
                    "{cell:?}"
                );
            }
        }
    }

    #[test]
    fn what_cannot_run_here_is_neither_right_nor_wrong() {
        let skipped = Verdict::Skipped {
            why: "why".to_owned(),
        };
        let cell = cell(Expect::Completes, skipped);
        assert_eq!(cell.agreement(), Agreement::Skipped);
        assert!(Results::of_cells(vec![cell]).all_as_expected());
    }

    /// A child that writes 65,537 bytes in writes of 4,096, under a parent that waits: it blocks in the write at 65,536.
    fn at_the_boundary(written: Written, verdict: Verdict) -> Cell {
        let script = r#"{"ops": [{"op": "write", "stdout": 65537, "write_size": 4096}]}"#;
        let script = Script::from_json(script).unwrap();
        let parent = Parent::of(Strategy::WaitThenRead);
        let expected = match verdict {
            Verdict::Hung(_) => Expect::Hangs(ExpectedHang::new(CLASS, Told::Proven)),
            _ => Expect::Completes,
        };
        let mut cell = cell(expected, verdict);
        cell.predicted = Some(predict(&script, &parent, PipeFacts::USUAL));
        cell.outcome.written = written;
        cell
    }

    fn blocked_at(stdout: u64, bytes: u64) -> Written {
        Written {
            stdout,
            stderr: 0,
            writing: Some(Writing {
                stream: Stream::Stdout,
                bytes,
            }),
        }
    }

    #[test]
    fn a_hang_at_another_byte_than_the_foretold_one_is_refused() {
        let at = |written| at_the_boundary(written, Verdict::Hung(hang(Told::Proven))).agreement();
        assert_eq!(at(blocked_at(65536, 1)), Agreement::Agrees);
        assert_eq!(at(blocked_at(61440, 4096)), Agreement::Differs);
        assert_eq!(at(blocked_at(65537, 1)), Agreement::Differs);
        let mut elsewhere = blocked_at(65536, 1);
        elsewhere.writing = Some(Writing {
            stream: Stream::Stderr,
            bytes: 1,
        });
        elsewhere.stdout = 65535;
        assert_eq!(at(elsewhere), Agreement::Differs);
    }

    #[test]
    fn what_completes_against_its_prediction_is_refused_though_it_was_expected() {
        let cell = at_the_boundary(blocked_at(65537, 0), Verdict::Completed);
        assert_eq!(cell.agreement(), Agreement::Differs);
        assert!(cell.contradiction().unwrap().contains("foretold"));
    }
}
