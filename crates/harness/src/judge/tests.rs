//! Planted wrong outcomes, each of which the judge must refuse, beside the right one that it must accept.

use std::io::Write as _;

use pipeclog_scenario::pattern::{self, Tag};
use pipeclog_scenario::scenario::read_family;

use super::*;

/// What a parent hands on of a child that writes 1,600 bytes to stdout and 160 to stderr and exits with 3.
struct Planted {
    scenario: Scenario,
    strategy: Strategy,
    report: Option<CaptureReport>,
    stdout: Vec<u8>,
    stderr: Vec<u8>,
    leader: End,
    descendants: Vec<End>,
    left: Left,
    written: Written,
}

fn scenario(parent: &str, more: &str) -> Scenario {
    let text = format!(
        r#"{{"title": "t", "imitates": "i", "references": ["r"], "parent": {parent},
            "script": {{"ops": [{{"op": "write", "stdout": 1600, "stderr": 160}}{more}, {{"op": "exit", "code": 3}}]}},
            "descendants": "awaited",
            "rules": [{{"strategies": "all", "expect": {{"outcome": "completes"}}}}]}}"#
    );
    read_family("planted", &text).unwrap().remove(0)
}

fn bytes(tag: Tag, len: usize) -> Vec<u8> {
    let mut bytes = vec![0; len];
    pattern::render(tag, 0, &mut bytes);
    bytes
}

fn stream(end: &str, len: u64) -> StreamReport {
    StreamReport {
        end: end.to_owned(),
        seen: len,
        kept: len,
    }
}

fn planted() -> Planted {
    Planted {
        scenario: scenario("{}", ""),
        strategy: Strategy::Poll,
        report: Some(CaptureReport {
            stopped: None,
            stdout: stream("end of file", 1600),
            stderr: stream("end of file", 160),
            capture_us: 1,
            parent_cpu_us: 1,
            child_cpu_us: 1,
            parent_peak_kib: 1,
        }),
        stdout: bytes(Tag::STDOUT, 1600),
        stderr: bytes(Tag::STDERR, 160),
        leader: End::Code(3),
        descendants: Vec::new(),
        left: Left::Nothing,
        written: Written {
            stdout: 1600,
            stderr: 160,
            writing: None,
        },
    }
}

impl Planted {
    fn judged(&self) -> Verdict {
        let file = |bytes: &[u8]| {
            let mut file = tempfile::tempfile().unwrap();
            file.write_all(bytes).unwrap();
            file
        };
        let (stdout, stderr) = (file(&self.stdout), file(&self.stderr));
        let ended = Ended {
            leader: self.leader,
            descendants_left: self.left,
            descendants: self.descendants.clone(),
            report: self.report.as_ref(),
            written: self.written,
            stdout: &stdout,
            stderr: &stderr,
        };
        judge(&self.scenario, self.strategy, &ended)
    }

    fn report(&mut self) -> &mut CaptureReport {
        self.report.as_mut().unwrap()
    }
}

/// The verdict of an outcome with one thing changed.
fn but(change: impl FnOnce(&mut Planted)) -> Verdict {
    let mut planted = planted();
    change(&mut planted);
    planted.judged()
}

fn lost(stream: &str, what: &str) -> Verdict {
    Verdict::Lost {
        stream: stream.to_owned(),
        what: what.to_owned(),
    }
}

#[test]
fn every_byte_and_the_exit_code_are_a_completed_trial() {
    assert_eq!(planted().judged(), Verdict::Completed);
}

type Damage = fn(&mut Vec<u8>);

#[test]
fn a_lost_a_doubled_a_moved_and_a_changed_byte_are_each_refused_and_located() {
    let record = 16;
    let cases: [(&str, Damage); 6] = [
        ("lost", |bytes| _ = bytes.remove(800)),
        ("last", |bytes| _ = bytes.pop()),
        ("doubled", |bytes| bytes.insert(801, bytes[800])),
        ("extra", |bytes| bytes.push(b'x')),
        ("moved", |bytes| bytes.copy_within(160..176, 320)),
        ("changed", |bytes| bytes[800] ^= 1),
    ];
    for (name, change) in cases {
        for (stream, verdict) in [
            ("stdout", but(|planted| change(&mut planted.stdout))),
            (
                "stderr",
                but(|planted| {
                    planted.scenario = scenario("{}", r#", {"op": "write", "stderr": 1440}"#);
                    planted.stderr = bytes(Tag::STDERR, 1600);
                    change(&mut planted.stderr);
                }),
            ),
        ] {
            let Verdict::Lost {
                stream: found,
                what,
            } = &verdict
            else {
                panic!("{name} in {stream}: {verdict:?}");
            };
            assert_eq!(found, stream, "{name}");
            let at: usize = what
                .split(|c: char| !c.is_ascii_digit())
                .find_map(|word| word.parse().ok())
                .unwrap();
            let wrong = match name {
                "last" => 1599..1600,
                "extra" => 1600..1601,
                "moved" => 320..320 + record,
                _ => 800 - record..800 + record,
            };
            assert!(wrong.contains(&at), "{name} in {stream}: {what}");
        }
    }
}

#[test]
fn a_record_of_the_other_stream_is_refused() {
    let verdict = but(|planted| {
        let (crossed, _) = planted.stderr.split_at(16);
        planted.stdout[160..176].copy_from_slice(crossed);
    });
    let Verdict::Lost { stream, what } = &verdict else {
        panic!("{verdict:?}");
    };
    assert_eq!(stream, "stdout");
    assert!(what.contains("160") && what.contains("stderr"), "{what}");
}

#[test]
fn nothing_at_all_is_not_everything() {
    let verdict = but(|planted| planted.stdout.clear());
    assert!(matches!(verdict, Verdict::Lost { .. }), "{verdict:?}");
}

#[test]
fn an_exit_that_is_not_the_childs_is_refused() {
    let wrong = |found: &str| Verdict::WrongExit {
        expected: "exit code 3".to_owned(),
        found: found.to_owned(),
    };
    for (leader, found) in [
        (End::Code(0), "exit code 0"),
        (End::Code(4), "exit code 4"),
        (End::Signal(Signal::SIGKILL), "SIGKILL"),
    ] {
        assert_eq!(but(|planted| planted.leader = leader), wrong(found));
    }
}

#[test]
fn a_death_by_signal_is_handed_on_as_128_and_its_number() {
    let dies = |leader| {
        but(|planted| {
            planted.scenario = scenario("{}", r#", {"op": "die", "signal": "TERM"}"#);
            planted.leader = leader;
        })
    };
    assert_eq!(dies(End::Code(128 + 15)), Verdict::Completed);
    assert!(matches!(dies(End::Code(15)), Verdict::WrongExit { .. }));
}

#[test]
fn a_parent_that_ends_although_its_child_never_does_has_made_that_up() {
    let verdict = but(|planted| planted.scenario = scenario("{}", r#", {"op": "park"}"#));
    assert!(matches!(verdict, Verdict::WrongExit { .. }), "{verdict:?}");
}

#[test]
fn a_parent_that_makes_no_report_is_broken_and_one_that_cannot_is_skipped() {
    let without = |leader| {
        but(|planted| {
            planted.report = None;
            planted.leader = leader;
            planted.stderr = b"why\nand more".to_vec();
        })
    };
    assert_eq!(
        without(End::Code(UNSUPPORTED)),
        Verdict::Skipped {
            why: "why".to_owned()
        }
    );
    for leader in [End::Code(0), End::Code(3), End::Signal(Signal::SIGSEGV)] {
        let verdict = without(leader);
        assert!(
            matches!(&verdict, Verdict::Broken { why } if why.ends_with(": why")),
            "{verdict:?}"
        );
    }
}

const WRITER: &str =
    r#", {"op": "background", "keep": [], "script": {"ops": [{"op": "sleep", "ms": 1}]}}"#;
const FAILING: &str = r#", {"op": "thread", "ops": [{"op": "background", "keep": [], "script": {"ops": [{"op": "exit", "code": 9}]}}]}"#;

#[test]
fn a_background_child_that_met_a_broken_pipe_or_did_not_end_is_harmed() {
    let with = |script: &str, end| {
        but(|planted| {
            planted.scenario = scenario("{}", script);
            planted.descendants = vec![End::Code(0), end];
        })
    };
    assert_eq!(with(WRITER, End::Code(0)), Verdict::Completed);
    assert_eq!(with(FAILING, End::Code(9)), Verdict::Completed);
    for end in [
        // SIGPIPE, and EPIPE to one that ignores it.
        End::Signal(Signal::SIGPIPE),
        End::Code(1),
        End::Signal(Signal::SIGHUP),
    ] {
        let verdict = with(WRITER, end);
        assert!(matches!(verdict, Verdict::Harmed { .. }), "{verdict:?}");
    }
    let left = but(|planted| planted.left = Left::Some);
    assert!(matches!(left, Verdict::Harmed { .. }), "{left:?}");
}

#[test]
fn of_background_children_that_are_killed_with_the_trial_only_a_broken_pipe_is_harm() {
    let with = |end| {
        but(|planted| {
            planted.scenario = scenario("{}", WRITER);
            planted.scenario.descendants = Descendants::Killed;
            planted.descendants = vec![end];
        })
    };
    assert_eq!(with(End::Code(1)), Verdict::Completed);
    let verdict = with(End::Signal(Signal::SIGPIPE));
    assert!(matches!(verdict, Verdict::Harmed { .. }), "{verdict:?}");
}

#[test]
fn a_stream_that_ended_before_its_descendants_owes_nothing_of_theirs_and_else_all() {
    let descendant = r#", {"op": "background", "keep": ["stdout"], "script": {"ops": [{"op": "write", "stdout": 16}]}}"#;
    let ended = |end: &str| {
        but(|planted| {
            planted.scenario = scenario("{}", descendant);
            planted.report().stdout.end = end.to_owned();
        })
    };
    assert_eq!(ended("drained"), Verdict::Completed);
    let whole = ended("end of file");
    assert!(matches!(whole, Verdict::Lost { .. }), "{whole:?}");
}

/// An outcome that a deadline has cut off after 800 bytes of stdout.
fn cut_off(planted: &mut Planted) {
    planted.scenario = scenario(r#"{"deadline_ms": 1}"#, r#", {"op": "park"}"#);
    planted.report().stopped = Some("deadline".to_owned());
    planted.leader = End::Code(TIMED_OUT);
    planted.stdout.truncate(800);
    planted.written.stdout = 800;
}

#[test]
fn a_capture_that_was_stopped_owes_what_had_been_written_in_order_and_the_code_of_timeout() {
    assert_eq!(
        but(cut_off),
        Verdict::CutShort {
            by: Bound::Deadline,
            why: "deadline".to_owned()
        }
    );
    let and = |change: fn(&mut Planted)| {
        but(|planted| {
            cut_off(planted);
            change(planted);
        })
    };
    assert_eq!(
        and(|planted| planted.written.stdout = 801),
        lost(
            "stdout",
            "the end after 800 bytes, where 801 had been written"
        )
    );
    let wrong_byte = and(|planted| planted.stdout[400] ^= 1);
    assert!(matches!(wrong_byte, Verdict::Lost { .. }), "{wrong_byte:?}");
    let all_is_well = and(|planted| planted.leader = End::Code(0));
    assert!(
        matches!(all_is_well, Verdict::WrongExit { .. }),
        "{all_is_well:?}"
    );
}

#[test]
fn a_limit_lets_the_parent_keep_the_part_that_its_policy_names_and_no_other() {
    let kept = |policy: &str, stdout: std::ops::Range<usize>| {
        but(|planted| {
            let parent = format!(r#"{{"limit": 800, "limit_policy": "{policy}"}}"#);
            planted.scenario = scenario(&parent, "");
            planted.stdout = planted.stdout[stdout].to_vec();
            planted.report().stdout.kept = planted.stdout.len() as u64;
        })
    };
    let cut = Verdict::CutShort {
        by: Bound::Limit,
        why: "the limit kept 800 of 1600 bytes of stdout".to_owned(),
    };
    assert_eq!(kept("head", 0..800), cut);
    assert_eq!(kept("tail", 800..1600), cut);
    assert_eq!(kept("spill", 0..1600), Verdict::Completed);
    for (policy, wrong) in [
        ("head", 800..1600),
        ("head", 0..799),
        ("head", 0..801),
        ("tail", 0..800),
        ("tail", 801..1600),
        ("tail", 799..1600),
        ("spill", 0..800),
    ] {
        let verdict = kept(policy, wrong.clone());
        assert!(
            matches!(verdict, Verdict::Lost { .. }),
            "{policy} {wrong:?}: {verdict:?}"
        );
    }
}

#[test]
fn what_is_handed_through_is_whole_whatever_the_limit() {
    let through = |len| {
        but(|planted| {
            planted.scenario = scenario(r#"{"limit": 800}"#, "");
            planted.strategy = Strategy::Inherit;
            for stream in ["stdout", "stderr"] {
                let report = planted.report();
                let to = match stream {
                    "stdout" => &mut report.stdout,
                    _ => &mut report.stderr,
                };
                to.end = "not captured".to_owned();
                (to.seen, to.kept) = (0, 0);
            }
            planted.stdout.truncate(len);
        })
    };
    assert_eq!(through(1600), Verdict::Completed);
    assert!(matches!(through(800), Verdict::Lost { .. }));
}

#[test]
fn streams_that_are_merged_are_verified_together_and_those_that_are_discarded_not_at_all() {
    let merged = |with_stderr: bool| {
        but(|planted| {
            planted.strategy = Strategy::Merged;
            if with_stderr {
                planted.stdout.extend(bytes(Tag::STDERR, 160));
            }
            planted.stderr.clear();
        })
    };
    assert_eq!(merged(true), Verdict::Completed);
    assert!(matches!(merged(false), Verdict::Lost { .. }));
    let discarded = but(|planted| {
        planted.strategy = Strategy::Discard;
        planted.stdout.clear();
        planted.stderr.clear();
    });
    assert_eq!(discarded, Verdict::Completed);
}
