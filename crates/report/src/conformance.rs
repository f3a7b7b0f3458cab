//! What came of `pipeclog check`, for a person, for Markdown and for CI.

use std::fmt::Write as _;

use pipeclog_scenario::check::{
    Case, Checked, Conformance, Expected, Finding, FindingName, Known, Standing,
};
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

/// The cases themselves, a line each.
#[must_use]
pub fn catalogue(cases: &[Case]) -> String {
    let mut text = String::new();
    for case in cases {
        let _ = writeln!(
            text,
            "{:27} {:6} {}; {} ({})",
            case.id,
            case.level.word(),
            case.title,
            case.reason,
            case.references.join("; ")
        );
    }
    text
}

/// The same as a page.
#[must_use]
pub fn catalogue_page(cases: &[Case]) -> String {
    let text = |text: &str| Untrusted::new(text).markdown();
    let mut page =
        "| case | level | what happens in it | why it is asked | seen in |\n|---|---|---|---|---|\n".to_owned();
    for case in cases {
        let _ = writeln!(
            page,
            "| {} | {} | {} | {} | {} |",
            text(&case.id),
            case.level.word(),
            text(&case.title),
            text(&case.reason),
            text(&case.references.join("; "))
        );
    }
    page
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
    if let Some(interrupted) = interrupted(results) {
        let _ = writeln!(text, "{interrupted}");
    }
    text
}

/// That a signal ended the run, and what it did not come to.
fn interrupted(results: &Conformance) -> Option<String> {
    let (run, left) = (results.cases.len(), results.not_run.len());
    (left > 0).then(|| format!("interrupted: {left} of {} cases were not run", run + left))
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
        "{} {}: {}\n",
        mark(checked.standing),
        case.id,
        Untrusted::new(checked.finding.to_string()).terminal(LINE_CHARS),
    );
    if let Some(outdated) = outdated(checked) {
        let _ = writeln!(text, "  {outdated}");
    }
    if let Some(timeout) = unbounded(checked) {
        let _ = writeln!(text, "  {timeout}");
    }
    if is_failure(&checked.finding) {
        let _ = writeln!(text, "  {}", case.reason);
        if !case.references.is_empty() {
            let _ = writeln!(text, "  seen in: {}", case.references.join("; "));
        }
    }
    if let Some(report) = diagnosis(&checked.finding) {
        for line in render::human(report, render::Width::Columns(columns.saturating_sub(2))).lines()
        {
            let _ = writeln!(text, "{}", format!("  {line}").trim_end());
        }
    }
    text
}

/// Of a hang under a timeout: that it has passed. Where the command would end by itself some day, or hangs by itself, there is no more to
/// be said of it.
fn unbounded(checked: &Checked) -> Option<String> {
    let Finding::Hung(hang) = &checked.finding else {
        return None;
    };
    let orders = checked.case.orders;
    let timeout_s = orders.timeout_s.or(orders.resume_s)?;
    Some(format!(
        "it was given a timeout of {timeout_s} s, and had not ended after {}.{} s",
        hang.after_ms / 1000,
        hang.after_ms % 1000 / 100
    ))
}

/// How the file of known failures differs from what came, and what to write there.
fn outdated(checked: &Checked) -> Option<String> {
    let known = checked
        .known
        .as_ref()
        .filter(|_| checked.standing == Standing::Outdated)?;
    let id = &checked.case.id;
    let what_to_do = if is_failure(&checked.finding) {
        let came = Known::One(Expected::of(&checked.finding));
        format!("mend it, or write \"{id}\": \"{came}\" there")
    } else {
        format!("take \"{id}\" out of it")
    };
    Some(format!(
        "the file of known failures says {known}: {what_to_do}"
    ))
}

fn is_failure(finding: &Finding) -> bool {
    match finding.name() {
        FindingName::Hang
        | FindingName::Loss
        | FindingName::Exit
        | FindingName::Harm
        | FindingName::Imposition
        | FindingName::Broken => true,
        FindingName::Pass | FindingName::NotApplicable => false,
    }
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
        "# {}\n\n{}.{}\n\n| case | level | came | what happens in it |\n|---|---|---|---|\n",
        text(&results.wrapper.command.join(" ")),
        sentence(counts(results)),
        interrupted(results).map_or_else(String::new, |told| format!(" **{told}.**"))
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
            "\n## {}\n\n{}\n",
            text(&case.id),
            text(&checked.finding.to_string())
        );
        for line in outdated(checked).into_iter().chain(unbounded(checked)) {
            let _ = write!(page, "\n{}\n", text(&line));
        }
        if is_failure(&checked.finding) {
            let _ = write!(
                page,
                "\n{} Seen in: {}.\n",
                text(&case.reason),
                text(&case.references.join("; "))
            );
        }
        if let Some(report) = diagnosis(&checked.finding) {
            let _ = write!(page, "\n{}", render::markdown(report));
        }
    }
    page
}

/// JUnit's XML. A failure that makes the check fail is one; any other is skipped there and told all the same: one that was known, one of
/// what a wrapper should or may do, and a case that does not apply. The level of each case is a property of it.
///
/// # Errors
///
/// If it cannot be written, which it can.
pub fn junit(results: &Conformance, columns: usize) -> Result<String, quick_junit::SerializeError> {
    let mut suite = TestSuite::new(results.wrapper.command.join(" "));
    for checked in &results.cases {
        let mut case = TestCase::new(checked.case.id.as_str(), status(checked, columns));
        case.set_classname(format!("pipeclog.{}", checked.case.group));
        case.add_property(("level", checked.case.level.word()));
        suite.add_test_case(case);
    }
    for id in &results.not_run {
        let mut status = TestCaseStatus::skipped();
        status.set_message("interrupted: it was not run");
        suite.add_test_case(TestCase::new(id.as_str(), status));
    }
    let mut report = Report::new("pipeclog check");
    report.add_test_suite(suite);
    report.to_string()
}

fn status(checked: &Checked, columns: usize) -> TestCaseStatus {
    let (mut status, before) = match checked.standing {
        Standing::Good => return TestCaseStatus::success(),
        Standing::Idle => (TestCaseStatus::skipped(), String::new()),
        Standing::Known => (
            TestCaseStatus::skipped(),
            "failed, as is known of it: ".to_owned(),
        ),
        Standing::Minor => (
            TestCaseStatus::skipped(),
            format!("failed a {}: ", checked.case.level.word()),
        ),
        Standing::Bad | Standing::Outdated => (
            TestCaseStatus::non_success(NonSuccessKind::Failure),
            String::new(),
        ),
        Standing::Broken => (
            TestCaseStatus::non_success(NonSuccessKind::Error),
            String::new(),
        ),
    };
    status
        .set_type(checked.finding.name().word())
        .set_message(format!("{before}{}", checked.finding));
    if checked.standing != Standing::Idle {
        status.set_description(told(checked, columns));
    }
    status
}

#[cfg(test)]
mod tests {
    use pipeclog_scenario::check::{Level, SCHEMA_VERSION, Wrapper};
    use pipeclog_scenario::script::Script;

    use super::*;

    fn checked(level: Level, finding: Finding, known: Option<&str>) -> Checked {
        let case = Case {
            level,
            reason: "Because.".to_owned(),
            ..Case::of_script("stdout-1", Script::new(Vec::new()))
        };
        let known: Option<Known> = known.map(|json| serde_json::from_str(json).unwrap());
        Checked::new(case, finding, known.as_ref(), false)
    }

    fn lost() -> Finding {
        Finding::Lost {
            stream: "stdout".to_owned(),
            what: "at byte 7: the end".to_owned(),
        }
    }

    fn results(checked: Checked) -> Conformance {
        Conformance {
            schema_version: SCHEMA_VERSION,
            wrapper: Wrapper::default(),
            cases: vec![checked],
            not_run: Vec::new(),
        }
    }

    #[test]
    fn an_outdated_entry_is_told_with_what_to_write_instead() {
        let passed = checked(Level::Must, Finding::Passed, Some(r#""hang""#));
        let text = human(&results(passed), 80);
        assert!(
            text.contains("the file of known failures says hang: take \"stdout-1\" out of it"),
            "{text}"
        );
        assert!(!text.contains("Because."), "{text}");
        let lost = checked(Level::Must, lost(), Some(r#"["pass", "hang"]"#));
        let text = human(&results(lost), 80);
        assert!(
            text.contains(
                "says pass or hang: mend it, or write \"stdout-1\": \"loss\" there\n  Because."
            ),
            "{text}"
        );
    }

    #[test]
    fn in_junit_what_does_not_fail_the_check_is_skipped_and_told() {
        let rows = [
            (
                checked(Level::Must, lost(), None),
                "<failure ",
                "stdout: at byte 7",
            ),
            (
                checked(Level::Should, lost(), None),
                "<skipped ",
                "failed a SHOULD: stdout: at byte 7",
            ),
            (
                checked(Level::Must, lost(), Some(r#""loss""#)),
                "<skipped ",
                "failed, as is known of it: stdout",
            ),
        ];
        for (checked, element, message) in rows {
            let level = checked.case.level.word();
            let xml = junit(&results(checked), 80).unwrap();
            assert!(xml.contains(element), "{xml}");
            assert!(xml.contains(message), "{xml}");
            assert!(xml.contains("type=\"loss\""), "{xml}");
            assert!(xml.contains("Because."), "{xml}");
            let property = format!("<property name=\"level\" value=\"{level}\"/>");
            assert!(xml.contains(&property), "{xml}");
        }
    }

    #[test]
    fn a_run_that_was_interrupted_says_so_in_every_form() {
        let mut results = results(checked(Level::Must, Finding::Passed, None));
        results.not_run = vec!["stdout-2".to_owned()];
        let told = "interrupted: 1 of 2 cases were not run";
        assert!(human(&results, 80).contains(told));
        assert!(markdown(&results).contains(told));
        let xml = junit(&results, 80).unwrap();
        assert!(xml.contains("interrupted: it was not run"), "{xml}");
    }
}
