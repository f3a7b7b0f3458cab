//! What came of `pipeclog check`, for a person, for Markdown and for CI.

use std::fmt::Write as _;

use pipeclog_scenario::check::{Checked, Conformance, Finding, Standing};
use pipeclog_waitgraph::{Untrusted, render};
use quick_junit::{NonSuccessKind, Report, TestCase, TestCaseStatus, TestSuite};

/// Characters of a line that may quote a program.
const LINE_CHARS: usize = 2000;

/// How many cases stand how.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Passed.
    pub passed: usize,
    /// Failed.
    pub failed: usize,
    /// Failed what they should or may do.
    pub minor: usize,
    /// Failed as expected.
    pub known: usize,
    /// Not applicable.
    pub idle: usize,
    /// Trials that went wrong.
    pub broken: usize,
}

/// Counts the cases.
#[must_use]
pub fn counts(results: &Conformance) -> Counts {
    let mut counts = Counts::default();
    for checked in &results.cases {
        let count = match checked.standing {
            Standing::Good => &mut counts.passed,
            Standing::Bad | Standing::Outdated => &mut counts.failed,
            Standing::Minor => &mut counts.minor,
            Standing::Known => &mut counts.known,
            Standing::Idle => &mut counts.idle,
            Standing::Broken => &mut counts.broken,
        };
        *count += 1;
    }
    counts
}

/// One line a case, what failed told in full, and the count. Safe for a terminal.
#[must_use]
pub fn human(results: &Conformance, columns: usize) -> String {
    let mut text = String::new();
    for checked in &results.cases {
        let case = &checked.case;
        let _ = writeln!(
            text,
            "{:8} {:6} {:27} {}",
            mark(checked.standing),
            case.level.word(),
            case.id,
            case.title
        );
    }
    for checked in results.cases.iter().filter(|checked| is_told(checked)) {
        let _ = write!(text, "\n{}", told(checked, columns));
    }
    let _ = writeln!(text, "\n{}", sentence(counts(results)));
    text
}

/// The count in words.
#[must_use]
pub fn sentence(counts: Counts) -> String {
    let mut parts = vec![format!("{} passed", counts.passed)];
    let mut add = |count: usize, what: &str| {
        if count > 0 {
            parts.push(format!("{count} {what}"));
        }
    };
    add(counts.failed, "failed");
    add(counts.minor, "below what they should or may be");
    add(counts.known, "failed as expected");
    add(counts.idle, "not applicable");
    add(counts.broken, "could not be run");
    parts.join(", ")
}

fn is_told(checked: &Checked) -> bool {
    match checked.standing {
        Standing::Bad | Standing::Minor | Standing::Outdated | Standing::Broken => true,
        Standing::Good | Standing::Known | Standing::Idle => false,
    }
}

fn mark(standing: Standing) -> &'static str {
    match standing {
        Standing::Good => "ok",
        Standing::Known => "known",
        Standing::Minor => "minor",
        Standing::Bad => "FAIL",
        Standing::Outdated => "OUTDATED",
        Standing::Idle => "n/a",
        Standing::Broken => "BROKEN",
    }
}

/// A failure in full: what, why it matters, the proof and the way out.
fn told(checked: &Checked, columns: usize) -> String {
    let case = &checked.case;
    let mut text = format!(
        "{} {}: {}\n  {}\n",
        mark(checked.standing),
        case.id,
        Untrusted::new(checked.finding.to_string()).terminal(LINE_CHARS),
        case.reason
    );
    if !case.references.is_empty() {
        let _ = writeln!(text, "  seen in: {}", case.references.join("; "));
    }
    if checked.standing == Standing::Outdated {
        text.push_str("  the file of expectations names another failure: bring it up to date\n");
    }
    if let Some(report) = diagnosis(&checked.finding) {
        for line in render::human(report, render::Width::Columns(columns.saturating_sub(2))).lines()
        {
            let _ = writeln!(text, "{}", format!("  {line}").trim_end());
        }
    }
    text
}

fn diagnosis(finding: &Finding) -> Option<&pipeclog_waitgraph::report::Report> {
    match finding {
        Finding::Hung(hang) => hang.diagnosis.as_deref(),
        Finding::Passed
        | Finding::Lost { .. }
        | Finding::WrongExit { .. }
        | Finding::Harmed { .. }
        | Finding::Imposed { .. }
        | Finding::NotApplicable { .. }
        | Finding::Broken { .. } => None,
    }
}

/// A table of all cases, and what failed below it.
#[must_use]
pub fn markdown(results: &Conformance) -> String {
    let text = |text: &str| Untrusted::new(text).markdown();
    let mut page = format!(
        "# {}\n\n{}.\n\n| case | level | came | what happens in it |\n|---|---|---|---|\n",
        text(&results.wrapper.command.join(" ")),
        sentence(counts(results))
    );
    for checked in &results.cases {
        let case = &checked.case;
        let came = match checked.standing {
            Standing::Good => "pass".to_owned(),
            Standing::Idle => "n/a".to_owned(),
            Standing::Known => format!("{} (known)", checked.finding.name().word()),
            Standing::Minor => checked.finding.name().word().to_owned(),
            Standing::Bad | Standing::Outdated | Standing::Broken => {
                format!("**{}**", checked.finding.name().word())
            }
        };
        let _ = writeln!(
            page,
            "| {} | {} | {came} | {} |",
            text(&case.id),
            case.level.word(),
            text(&case.title)
        );
    }
    for checked in results.cases.iter().filter(|checked| is_told(checked)) {
        let case = &checked.case;
        let _ = write!(
            page,
            "\n## {}\n\n{}\n\n{} Seen in: {}.\n",
            text(&case.id),
            text(&checked.finding.to_string()),
            text(&case.reason),
            text(&case.references.join("; "))
        );
        if let Some(report) = diagnosis(&checked.finding) {
            let _ = write!(page, "\n{}", render::markdown(report));
        }
    }
    page
}

/// JUnit's XML.
///
/// # Errors
///
/// If it cannot be written, which it can.
pub fn junit(results: &Conformance, columns: usize) -> Result<String, quick_junit::SerializeError> {
    let mut suite = TestSuite::new(results.wrapper.command.join(" "));
    for checked in &results.cases {
        let failure = |kind| {
            let mut status = TestCaseStatus::non_success(kind);
            status
                .set_type(checked.finding.name().word())
                .set_message(checked.finding.to_string())
                .set_description(told(checked, columns));
            status
        };
        let status = match checked.standing {
            Standing::Good | Standing::Known => TestCaseStatus::success(),
            Standing::Idle | Standing::Minor => {
                let mut status = TestCaseStatus::skipped();
                status.set_message(checked.finding.to_string());
                status
            }
            Standing::Bad | Standing::Outdated => failure(NonSuccessKind::Failure),
            Standing::Broken => failure(NonSuccessKind::Error),
        };
        let mut case = TestCase::new(checked.case.id.as_str(), status);
        case.set_classname(format!("pipeclog.{}", checked.case.group));
        suite.add_test_case(case);
    }
    let mut report = Report::new("pipeclog check");
    report.add_test_suite(suite);
    report.to_string()
}
