//! Every wrapper of `fixtures/wrappers` under every case of `fixtures/check`: `cargo test --test wrappers python`.
//!
//! A wrapper fails what its file of known failures says, each as it says, a hang in the class that it says and with evidence of it, and
//! nothing else. A mutant fails the case that is meant for it,
//! which the wrapper that it is made from passes. Our own safe strategies fail nothing. Each incident of `fixtures/incidents` hangs, is
//! diagnosed as its file says, and is cured. The watchdog stands in the workers.

#![expect(
    clippy::print_stdout,
    reason = "a wrapper whose language is not there is said to be skipped"
)]

mod cli;
mod docs;
mod museum;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use libtest_mimic::{Arguments, Failed, Trial};
use pipeclog_harness::check::Request;
use pipeclog_harness::check::shipped::{self, Shipped, Unready};
use pipeclog_harness::fixtures;
use pipeclog_harness::pool::Pool;
use pipeclog_scenario::check::{
    Capability, Case, Expectations, Expected, Finding, FindingName, Known, Wrapper,
};
use pipeclog_waitgraph::report::VerdictName;
use serde::Deserialize;

/// What all tests share.
struct Suite {
    pool: Pool,
    cases: Vec<Case>,
    wrappers: Vec<Shipped>,
}

fn main() -> std::process::ExitCode {
    let mut arguments = Arguments::from_args();
    // Most of the time is spent waiting for a wrapper that hangs or sleeps; and see CASES_AT_A_TIME.
    arguments.test_threads = arguments.test_threads.or(Some(4));
    let suite = Arc::new(Suite {
        pool: Pool::new(program()),
        cases: fixtures::cases().expect("fixtures/check is well-formed"),
        wrappers: shipped::read(&folder()).expect("fixtures/wrappers is well-formed"),
    });
    let mut tests = cli::tests();
    tests.extend(docs::tests());
    for wrapper in suite.wrappers.clone() {
        let suite = Arc::clone(&suite);
        tests.push(Trial::test(wrapper.name.clone(), move || {
            run_shipped(&suite, &wrapper)
        }));
    }
    for (name, mutant) in mutants() {
        let suite = Arc::clone(&suite);
        tests.push(Trial::test(format!("mutants/{name}"), move || {
            is_caught(&suite, &name, &mutant)
        }));
    }
    for (strategy, without) in OWN {
        let suite = Arc::clone(&suite);
        tests.push(Trial::test(format!("own/{strategy}"), move || {
            put_all(&suite, &own(strategy, without), &Expectations::new())
        }));
    }
    let incidents = fixtures::incidents().expect("fixtures/incidents is well-formed");
    assert!(incidents.len() >= 20, "twenty incidents at least");
    for incident in incidents {
        let suite = Arc::clone(&suite);
        tests.push(Trial::test(
            format!("museum/{}", incident.name),
            move || museum::act_out(&suite, &incident),
        ));
    }
    let conclusion = libtest_mimic::run(&arguments, tests);
    // exit() runs no destructors: the workers end here.
    drop(suite);
    conclusion.exit_code()
}

fn program() -> PathBuf {
    PathBuf::from(env!("CARGO_BIN_EXE_pipeclog"))
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures/wrappers")
}

fn run_shipped(suite: &Suite, shipped: &Shipped) -> Result<(), Failed> {
    let out = tempfile::tempdir()?;
    let peer = program().with_file_name("peer");
    let wrapper = match shipped.prepare(out.path(), &peer) {
        Ok(wrapper) => wrapper,
        Err(missing @ Unready::Missing(_)) => {
            println!("{}: skipped: {missing}", shipped.name);
            return Ok(());
        }
        Err(failed @ Unready::Build(_)) => return Err(failed.into()),
    };
    put_all(suite, &wrapper, &shipped.known)
}

/// What is expected where nothing is known.
const PASS: Known = Known::One(Expected {
    name: FindingName::Pass,
    class: None,
});

/// How many cases of one wrapper run at the same time.
const CASES_AT_A_TIME: usize = 3;

/// Every case; what came otherwise than known is told at once, so that one run shows all.
fn put_all(suite: &Suite, wrapper: &Wrapper, known: &Expectations) -> Result<(), Failed> {
    let next = AtomicUsize::new(0);
    let faults = Mutex::new(BTreeMap::new());
    std::thread::scope(|scope| {
        for _ in 0..CASES_AT_A_TIME {
            scope.spawn(|| {
                while let Some(case) = suite.cases.get(next.fetch_add(1, Ordering::Relaxed)) {
                    if let Some(fault) = fault(suite, wrapper, case, known) {
                        faults
                            .lock()
                            .expect("nobody panics with it")
                            .insert(&case.id, fault);
                    }
                }
            });
        }
    });
    let faults = faults.into_inner().expect("nobody panics with it");
    if faults.is_empty() {
        return Ok(());
    }
    let lines = faults.iter().map(|(id, fault)| format!("{id}: {fault}"));
    Err(lines.collect::<Vec<_>>().join("\n").into())
}

/// What came of a case, if it is otherwise than known.
fn fault(suite: &Suite, wrapper: &Wrapper, case: &Case, known: &Expectations) -> Option<String> {
    let finding = put(suite, wrapper, case);
    let known = known.get(&case.id).unwrap_or(&PASS);
    let is_passed_over =
        matches!(finding, Finding::NotApplicable { .. }) && known.allows(&Finding::Passed);
    if is_passed_over || known.allows(&finding) {
        return without_evidence(case, &finding);
    }
    let came = Expected::of(&finding);
    Some(format!("{known} was expected; {came}: {finding}"))
}

/// A hang must come with more than that somebody waits: with a verdict, or, where the wrapper was to give up on a command that does not end,
/// with the time for which it has not.
fn without_evidence(case: &Case, finding: &Finding) -> Option<String> {
    let Finding::Hung(hang) = finding else {
        return None;
    };
    let verdict = hang.diagnosis.as_ref().map(|report| report.verdict);
    let is_evidence = match verdict {
        Some(
            VerdictName::Deadlocked
            | VerdictName::Leaked
            | VerdictName::Stalled
            | VerdictName::Stopped,
        ) => true,
        Some(VerdictName::Waiting | VerdictName::Progressing | VerdictName::Unproven) | None => {
            case.orders
                .timeout_s
                .is_some_and(|timeout_s| hang.after_ms > 2_000 * timeout_s)
        }
    };
    (!is_evidence).then(|| format!("it carries no proof: {finding}"))
}

fn put(suite: &Suite, wrapper: &Wrapper, case: &Case) -> Finding {
    suite.pool.check(&Request {
        case: case.clone(),
        wrapper: wrapper.clone(),
    })
}

/// A wrapper with one fault, and the case that is meant to find it.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Mutant {
    case: String,
    finding: FindingName,
}

fn mutants() -> BTreeMap<String, Mutant> {
    let text = std::fs::read_to_string(folder().join("mutants/mutants.json"));
    serde_json::from_str(&text.expect("mutants.json can be read"))
        .expect("mutants.json is of the form")
}

fn is_caught(suite: &Suite, name: &str, mutant: &Mutant) -> Result<(), Failed> {
    let case = suite.cases.iter().find(|case| case.id == mutant.case);
    let case = case.ok_or_else(|| format!("there is no case {}", mutant.case))?;
    let script = |name: &str| Wrapper {
        command: vec![
            "sh".to_owned(),
            folder()
                .join(format!("mutants/{name}.sh"))
                .display()
                .to_string(),
        ],
        ..Wrapper::default()
    };
    let faithful = put(suite, &script("faithful"), case);
    if !matches!(faithful, Finding::Passed | Finding::NotApplicable { .. }) {
        return Err(format!("what it is made from fails too: {faithful}").into());
    }
    // On a busy machine the processor's use may not be seen at the first time.
    let mut attempts = (0..5).map(|_| put(suite, &script(name), case));
    let seen = attempts.find(|finding| finding.name() != FindingName::NotApplicable);
    let finding = seen.ok_or("no attempt could be watched")?;
    if finding.name() == mutant.finding {
        Ok(())
    } else {
        Err(format!("{} was expected; {finding}", mutant.finding.word()).into())
    }
}

/// Our safe strategies that hand on both streams, and what they cannot do.
const OWN: [(&str, &[Capability]); 9] = [
    ("threads", &[]),
    ("poll", &[]),
    ("epoll", &[]),
    ("temp_file", &[]),
    ("memfd", &[]),
    ("merged", &[Capability::Separate]),
    ("socketpair", &[]),
    ("tokio", &[]),
    ("io_uring", &[]),
];

fn own(strategy: &str, without: &[Capability]) -> Wrapper {
    let words = |text: &str| text.split(' ').map(str::to_owned).collect::<Vec<_>>();
    let mut command = vec![program().display().to_string()];
    command.extend(words(&format!(
        "capture --strategy {strategy} --end drain --stdin-file -"
    )));
    Wrapper {
        command,
        without: without.iter().copied().collect(),
        max_size: None,
        timeout_arg: words("--deadline {s}s --kill tree"),
        limit_arg: words("--limit {bytes} --limit-policy kill"),
        resume_arg: Vec::new(),
    }
}
