//! What came of a trial whose parent ended: the three laws (no loss, no harm; that it ended is the first), and the exit.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;
use std::str::FromStr as _;

use nix::sys::signal::Signal;
use pipeclog_scenario::bound::{Bound, LimitPolicy};
use pipeclog_scenario::outcome::{CaptureReport, StreamReport, Verdict, Written};
use pipeclog_scenario::scenario::{Descendants, Scenario};
use pipeclog_scenario::script::{self, Ending, Input, Script};
use pipeclog_scenario::strategy::{Delivery, Strategy};
use pipeclog_scenario::verify::{Source, Verifier, Window};
use pipeclog_supervise::tree::{End, Left};

use crate::delivered::{self, written_to};

/// A trial whose parent has ended.
#[derive(Debug)]
pub(crate) struct Ended<'a> {
    /// How the parent ended.
    pub(crate) leader: End,
    /// Whether descendants that were awaited live on.
    pub(crate) descendants_left: Left,
    /// How those of its descendants ended that nobody killed.
    pub(crate) descendants: Vec<End>,
    /// What the parent says of its capture, if it is ours.
    pub(crate) report: Option<&'a CaptureReport>,
    /// What the child's ledger says of its writes.
    pub(crate) written: Written,
    /// What the parent wrote to its stdout.
    pub(crate) stdout: &'a File,
    /// What the parent wrote to its stderr.
    pub(crate) stderr: &'a File,
}

/// The exit code by which timeout(1) and its kin say that the command was ended.
const TIMED_OUT: i32 = 124;
/// The exit code by which they say that they failed themselves, which a limit that ends the command counts as.
const FAILED: i32 = 125;
/// The exit code for a strategy that this build or machine cannot run (EX_UNAVAILABLE of sysexits.h).
const UNSUPPORTED: i32 = 69;

/// Judges a trial: what is lost is told before what is harmed, and that before a wrong exit.
pub(crate) fn judge(scenario: &Scenario, strategy: Strategy, ended: &Ended<'_>) -> Verdict {
    let Some(report) = ended.report else {
        return without_report(ended);
    };
    loss(scenario, strategy, ended, report)
        .or_else(|| stopped(ended, report))
        .or_else(|| harm(scenario, ended))
        .unwrap_or_else(|| exit(scenario, ended, report))
}

fn without_report(ended: &Ended<'_>) -> Verdict {
    let why = first_line(ended.stderr);
    match ended.leader {
        End::Code(UNSUPPORTED) => Verdict::Skipped { why },
        other => Verdict::Broken {
            why: format!(
                "the parent made no report, and ended by {}: {why}",
                in_words(other)
            ),
        },
    }
}

/// The first stream that is not what the parent owes.
fn loss(
    scenario: &Scenario,
    strategy: Strategy,
    ended: &Ended<'_>,
    report: &CaptureReport,
) -> Option<Verdict> {
    let sources = match strategy.delivery() {
        Delivery::Separate => vec![
            ("stdout", Source::Stdout, ended.stdout),
            ("stderr", Source::Stderr, ended.stderr),
        ],
        Delivery::Merged => vec![("stdout", Source::Merged, ended.stdout)],
        Delivery::Nothing => Vec::new(),
    };
    sources.into_iter().find_map(|(name, source, file)| {
        match compare(scenario, source, file, report, ended.written) {
            Ok(None) => None,
            Ok(Some(what)) => Some(Verdict::Lost {
                stream: name.to_owned(),
                what,
            }),
            Err(error) => Some(Verdict::Broken {
                why: format!("failed to verify {name}: {error}"),
            }),
        }
    })
}

/// What came of a capture that ended the child itself.
fn stopped(ended: &Ended<'_>, report: &CaptureReport) -> Option<Verdict> {
    let stopped = report.stopped.as_ref()?;
    Some(match (stopped.as_str(), ended.leader) {
        ("deadline", End::Code(TIMED_OUT)) => Verdict::CutShort {
            by: Bound::Deadline,
            why: stopped.clone(),
        },
        ("limit", End::Code(FAILED)) => Verdict::CutShort {
            by: Bound::Limit,
            why: stopped.clone(),
        },
        ("deadline", other) => wrong_exit(format!("exit code {TIMED_OUT}"), other),
        ("limit", other) => wrong_exit(format!("exit code {FAILED}"), other),
        (other, _) => Verdict::Broken {
            why: format!("the capture was stopped by {other}, which no scenario asks for"),
        },
    })
}

/// Whether a descendant came to harm: by a broken pipe, or so that it did not end as its script says.
fn harm(scenario: &Scenario, ended: &Ended<'_>) -> Option<Verdict> {
    let harmed = |what| Some(Verdict::Harmed { what });
    if ended.descendants_left == Left::Some {
        return harmed("a descendant that ends by itself did not end".to_owned());
    }
    // Those that are killed with the trial may be met at any point of their scripts.
    let owed = match scenario.descendants {
        Descendants::Awaited => Some(ends_of_descendants(&scenario.script)),
        Descendants::Killed => None,
    };
    let is_harmed = |end: &&End| match &owed {
        Some(owed) => !owed.contains(end),
        None => **end == End::Signal(Signal::SIGPIPE),
    };
    let end = ended.descendants.iter().find(is_harmed)?;
    harmed(format!("a descendant ended by {}", in_words(*end)))
}

/// How descendants may end: each as its own script says, and whoever only started it, with 0.
fn ends_of_descendants(script: &Script) -> Vec<End> {
    let end_of = |ending| match ending {
        Ending::Code(code) => Some(End::Code(i32::from(code))),
        Ending::Signal(signal) => signal_of(signal).map(End::Signal),
    };
    let own = script.backgrounds().into_iter().filter_map(|background| {
        let expected = background.script.expected(Input::Pattern(0));
        expected.ending.and_then(end_of)
    });
    own.chain([End::Code(0)]).collect()
}

/// The bytes are right, and nobody was harmed: whether the parent's exit is the child's.
fn exit(scenario: &Scenario, ended: &Ended<'_>, report: &CaptureReport) -> Verdict {
    let input = Input::Pattern(scenario.stdin_len());
    match scenario.script.expected(input).ending {
        Some(ending) if ended.leader == End::Code(code_of(ending)) => cut_by_limit(report),
        Some(ending) => wrong_exit(format!("exit code {}", code_of(ending)), ended.leader),
        // The child never ends by itself, so whatever the parent exits with is its own decision.
        None => wrong_exit("no end at all".to_owned(), ended.leader),
    }
}

/// All is right; only, a limit may have kept less than there was.
fn cut_by_limit(report: &CaptureReport) -> Verdict {
    let cut = [("stdout", &report.stdout), ("stderr", &report.stderr)]
        .into_iter()
        .find(|(_, stream)| stream.kept < stream.seen);
    match cut {
        None => Verdict::Completed,
        Some((name, stream)) => Verdict::CutShort {
            by: Bound::Limit,
            why: format!(
                "the limit kept {} of {} bytes of {name}",
                stream.kept, stream.seen
            ),
        },
    }
}

fn wrong_exit(expected: String, found: End) -> Verdict {
    Verdict::WrongExit {
        expected,
        found: in_words(found),
    }
}

pub(crate) fn in_words(end: End) -> String {
    match end {
        End::Code(code) => format!("exit code {code}"),
        End::Signal(signal) => signal.as_str().to_owned(),
    }
}

/// The code that the parent owes for the child's ending, as shells have it.
pub(crate) fn code_of(ending: Ending) -> i32 {
    match ending {
        Ending::Code(code) => i32::from(code),
        Ending::Signal(signal) => 128 + signal_of(signal).map_or(0, |signal| signal as i32),
    }
}

fn signal_of(signal: script::Signal) -> Option<Signal> {
    Signal::from_str(&format!("SIG{}", signal.name())).ok()
}

/// The first fault in words; nothing if the file is what the parent owes.
fn compare(
    scenario: &Scenario,
    source: Source,
    file: &File,
    report: &CaptureReport,
    written: Written,
) -> io::Result<Option<String>> {
    let stream = match source {
        Source::Stdout | Source::Merged => &report.stdout,
        Source::Stderr => &report.stderr,
    };
    let stopped = report.stopped.is_some();
    // A descendant that still held the stream owes nothing: the capture was told to end without it.
    let ended_early = !matches!(stream.end.as_str(), "end of file" | "not captured");
    let without_descendants = ended_early && !stopped;
    let alone = without_descendants.then(|| scenario.script.without_descendants());
    let script = alone.as_ref().unwrap_or(&scenario.script);
    let input = Input::Pattern(scenario.stdin_len());
    let window = window(scenario, source, stream);
    let verifier = Verifier::of_window(script, source, input, window).map_err(io::Error::other)?;
    let delivered = delivered::verify(verifier, file)?;
    // What had been written when the deadline passed was in the pipe, and comes back.
    let comes_back = scenario.parent.limit.is_none() && stopped;
    if let Some(what) = delivered
        .short_of(written_to(source, written))
        .filter(|_| comes_back)
    {
        return Ok(Some(what));
    }
    // The end of file comes when the last descendant has closed the stream: then all of theirs is owed too.
    let is_whole = stream.end == "end of file" && !stopped && scenario.parent.limit.is_none();
    let missing = delivered.found.background_missing;
    if delivered.found.fault.is_none() && is_whole && missing > 0 {
        return Ok(Some(format!(
            "the end after {} bytes, where descendants wrote {missing} more",
            delivered.found.seen
        )));
    }
    // A capture that was told to stop owes what it has got, in order, and no more.
    Ok(delivered.fault(if stopped {
        delivered::End::MayBeEarly
    } else {
        delivered::End::Owed
    }))
}

/// The part of a stream that a limit lets the parent keep.
fn window(scenario: &Scenario, source: Source, stream: &StreamReport) -> Window {
    let Some(limit) = scenario.parent.limit else {
        return Window::WHOLE;
    };
    // A strategy that hands the streams through keeps nothing, so it limits nothing.
    if stream.end == "not captured" {
        return Window::WHOLE;
    }
    match scenario.parent.limit_policy {
        Some(LimitPolicy::Tail) => Window {
            start: total(scenario, source).saturating_sub(limit.0),
            len: None,
        },
        Some(LimitPolicy::Spill) => Window::WHOLE,
        Some(LimitPolicy::Head | LimitPolicy::Kill | LimitPolicy::Error) | None => Window {
            start: 0,
            len: Some(limit.0),
        },
    }
}

/// Bytes that the leader writes to a stream.
fn total(scenario: &Scenario, source: Source) -> u64 {
    let expected = scenario
        .script
        .expected(Input::Pattern(scenario.stdin_len()));
    match source {
        Source::Stdout => expected.stdout,
        Source::Stderr => expected.stderr,
        Source::Merged => expected.stdout + expected.stderr,
    }
}

pub(crate) fn first_line(file: &File) -> String {
    let mut text = vec![0; 512];
    let got = file.read_at(&mut text, 0).unwrap_or(0);
    text.truncate(got);
    String::from_utf8_lossy(&text)
        .lines()
        .next()
        .unwrap_or("it did not say why")
        .to_owned()
}

#[cfg(test)]
mod tests;
