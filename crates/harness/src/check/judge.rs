//! What came of a case whose wrapper ended: bytes, background children, exit, manners, in this order.

use std::collections::BTreeSet;
use std::os::unix::fs::FileExt as _;

use pipeclog_scenario::check::{Capability, Case, Child, Exit, Finding, Output, Question};
use pipeclog_scenario::script::Input;
use pipeclog_scenario::verify::{Source, Verifier};
use pipeclog_supervise::tree::{End, Left};

use super::idle::Idle;
use super::{Files, Request, probe};
use crate::delivered::{self, Delivered, written_to};
use crate::judge::{code_of, first_line, in_words};
use crate::trial::{Ran, written};

/// What shells exit with for a command that was not found.
const NOT_FOUND: i32 = 127;

/// Judges the trial of a wrapper that ended.
pub(super) fn judge(
    request: &Request,
    ran: &Ran,
    files: &Files,
    idle: &Idle,
    inherited: &BTreeSet<String>,
) -> Finding {
    let case = &request.case;
    let faults = [
        never_started(case, ran, files),
        bytes(request, files),
        harm(case, ran),
        exit(request, ran.leader),
        manners(case, ran, files, inherited),
        idle_fault(case, idle),
    ];
    faults
        .into_iter()
        .flatten()
        .next()
        .unwrap_or(Finding::Passed)
}

/// A wrapper that was called wrongly says so, and that is more to the point than the bytes that are missing.
fn never_started(case: &Case, ran: &Ran, files: &Files) -> Option<Finding> {
    if case.script().is_none() || files.ledger().is_some() {
        return None;
    }
    let told = match files.stderr.metadata() {
        Ok(metadata) if metadata.len() == 0 => "its stderr is empty".to_owned(),
        _ => format!("its stderr begins: {}", first_line(&files.stderr)),
    };
    Some(Finding::WrongExit {
        expected: "a run of the command".to_owned(),
        found: format!("{} without one ({told})", in_words(ran.leader)),
    })
}

fn bytes(request: &Request, files: &Files) -> Option<Finding> {
    let case = &request.case;
    let script = case.script()?;
    if case.output == Output::Any {
        return None;
    }
    let merged = request.wrapper.lacks(Capability::Separate);
    let mut sources = vec![if merged {
        ("stdout", Source::Merged, &files.stdout)
    } else {
        ("stdout", Source::Stdout, &files.stdout)
    }];
    // A wrapper that gives up on a command says so on its own stderr.
    let whole = case.output == Output::Whole;
    if whole && !merged && !request.wrapper.lacks(Capability::Stderr) {
        sources.push(("stderr", Source::Stderr, &files.stderr));
    }
    for (name, source, file) in sources {
        let verifier = Verifier::new(script, source, Input::Pattern(case.stdin_len()));
        let delivered = match delivered::verify(verifier, file) {
            Ok(delivered) => delivered,
            Err(error) => {
                return Some(Finding::Broken {
                    why: format!("failed to verify {name}: {error}"),
                });
            }
        };
        if let Some(what) = fault(case, files, source, &delivered) {
            return Some(Finding::Lost {
                stream: name.to_owned(),
                what,
            });
        }
    }
    None
}

/// The first fault of a stream in words; where all is owed that had been written, that less came; where a limit was given, that more
/// came.
fn fault(case: &Case, files: &Files, source: Source, delivered: &Delivered) -> Option<String> {
    let end = match case.output {
        Output::Whole => delivered::End::Owed,
        Output::Written | Output::Any | Output::Beginning => delivered::End::MayBeEarly,
    };
    let over_limit = || {
        let limit = case.orders.limit?;
        let len = delivered.found.seen;
        (len > limit.0).then(|| format!("{len} bytes, where {limit} were the limit"))
    };
    let short = || match case.output {
        Output::Written => delivered.short_of(written_to(source, written(&files.ledger))),
        Output::Whole | Output::Any | Output::Beginning => None,
    };
    delivered.fault(end).or_else(over_limit).or_else(short)
}

/// A wrapper that was told to give up on its command may kill what belongs to it.
fn harm(case: &Case, ran: &Ran) -> Option<Finding> {
    if !case.has_background() || case.orders.timeout_s.is_some() {
        return None;
    }
    let what = if ran.descendants_left == Left::Some {
        "a background child that ends by itself did not end".to_owned()
    } else {
        let killed = ran
            .left_to_us
            .iter()
            .find(|reaped| matches!(reaped.end, End::Signal(_)))?;
        format!("a background child was ended by {}", in_words(killed.end))
    };
    Some(Finding::Harmed { what })
}

fn exit(request: &Request, found: End) -> Option<Finding> {
    let case = &request.case;
    let owed = match &case.child {
        Child::Script(script) => {
            let input = Input::Pattern(case.stdin_len());
            script.expected(input).ending.map(code_of)
        }
        Child::Probe(_) => Some(probe::CODE),
        Child::Missing => Some(NOT_FOUND),
    };
    let wrong = |expected: String| {
        Some(Finding::WrongExit {
            expected,
            found: in_words(found),
        })
    };
    let failed = found != End::Code(0);
    match (case.exit, owed) {
        (Exit::Any, _) | (Exit::Same, None) => None,
        (Exit::Failure, _) if failed => None,
        (Exit::Failure, _) => wrong("a code that is not 0".to_owned()),
        (Exit::Same | Exit::NotFound, Some(0)) if !failed => None,
        (Exit::Same, Some(code)) if code != 0 && request.wrapper.lacks(Capability::Exit) => {
            if failed {
                None
            } else {
                wrong("a code that is not 0".to_owned())
            }
        }
        (Exit::Same, Some(code)) if found == End::Code(code) => None,
        (Exit::Same, Some(code)) => wrong(format!("exit code {code}")),
        (Exit::NotFound, _) if found == End::Code(NOT_FOUND) => None,
        (Exit::NotFound, _) => wrong(format!("exit code {NOT_FOUND}")),
    }
}

fn manners(case: &Case, ran: &Ran, files: &Files, inherited: &BTreeSet<String>) -> Option<Finding> {
    let Child::Probe(question) = case.child else {
        return None;
    };
    let mut text = vec![0; 64 << 10];
    let got = files.probe.read_at(&mut text, 0).unwrap_or(0);
    text.truncate(got);
    let Some(started) = probe::parse(&String::from_utf8_lossy(&text)) else {
        return Some(Finding::Broken {
            why: "the child that tells how it was started said nothing".to_owned(),
        });
    };
    let left = ran
        .left_to_us
        .iter()
        .any(|reaped| reaped.pid.as_raw() == started.pid);
    let what = if question == Question::Reaped {
        left.then(|| "it exited without reaping its child, which stays a zombie for as long as a wrapper lives".to_owned())
    } else {
        started.fault(question, inherited)
    };
    what.map(|what| Finding::Imposed { what })
}

fn idle_fault(case: &Case, idle: &Idle) -> Option<Finding> {
    if !case.idle {
        return None;
    }
    match idle.verdict() {
        Ok(None) => None,
        Ok(Some(what)) => Some(Finding::Imposed { what }),
        Err(why) => Some(Finding::NotApplicable { why }),
    }
}
