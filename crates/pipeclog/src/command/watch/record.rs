//! What came of a watch, for programs: JSON, JUnit and the annotations of a workflow.

use std::path::Path;

use anyhow::Context as _;
use pipeclog_rescue::Action;
use pipeclog_supervise::{Account, EndedBy, Ending, Holder};
use pipeclog_waitgraph::Untrusted;
use pipeclog_waitgraph::report::Report;
use pipeclog_waitgraph::untrusted::workflow_text;
use quick_junit::{NonSuccessKind, TestCase, TestCaseStatus, TestSuite};
use serde::Serialize;

use crate::run::replace;

/// The version of the JSON form; raised when a field changes its meaning or goes.
const SCHEMA_VERSION: u32 = 1;
/// A step of a workflow shows so many and drops the rest without a word.
const MOST_ANNOTATIONS: usize = 10;

/// A watch as data.
#[derive(Debug, Serialize)]
struct Record<'a> {
    schema_version: u32,
    command: &'a [Untrusted],
    /// What `watch` exits with.
    exit_code: u8,
    ended_by: &'static str,
    /// `exited`, `killed` or `not_run`, with the code, the signal's name or the error.
    end: (&'static str, String),
    took_ms: u128,
    looks: u32,
    diagnoses: u32,
    looking_us: u128,
    diagnosis: Option<&'a Report>,
    actions: &'a [Action],
    left_behind: Vec<LeftBehind<'a>>,
}

#[derive(Debug, Serialize)]
struct LeftBehind<'a> {
    pid: u32,
    name: &'a Untrusted,
    command: &'a [Untrusted],
    holds: &'a [&'static str],
}

impl<'a> From<&'a Holder> for LeftBehind<'a> {
    fn from(holder: &'a Holder) -> Self {
        Self {
            pid: holder.pid.0,
            name: &holder.name,
            command: &holder.command,
            holds: &holder.holds,
        }
    }
}

fn ended_by(account: &Account) -> &'static str {
    match account.ended_by {
        EndedBy::Itself => "itself",
        EndedBy::Timeout => "timeout",
        EndedBy::Silence => "silence",
        EndedBy::Deadlock => "deadlock",
    }
}

fn end(account: &Account) -> (&'static str, String) {
    match account.end {
        Ending::Exited(code) => ("exited", code.to_string()),
        Ending::Killed(signal) => ("killed", signal.as_str().to_owned()),
        Ending::NotRun(errno) => ("not_run", errno.desc().to_owned()),
    }
}

/// Writes the account as JSON.
pub(crate) fn json(
    path: &Path,
    command: &[Untrusted],
    account: &Account,
    exit_code: u8,
) -> anyhow::Result<()> {
    let record = Record {
        schema_version: SCHEMA_VERSION,
        command,
        exit_code,
        ended_by: ended_by(account),
        end: end(account),
        took_ms: account.took.as_millis(),
        looks: account.cost.pulses,
        diagnoses: account.cost.diagnoses,
        looking_us: account.cost.spent.as_micros(),
        diagnosis: account.diagnosis.as_ref().map(|d| d.report()),
        actions: &account.actions,
        left_behind: account.left_behind.iter().map(LeftBehind::from).collect(),
    };
    let text = serde_json::to_string_pretty(&record)?;
    replace(path, &(text + "\n"))
}

/// Writes the account as a JUnit report of one test.
pub(crate) fn junit(
    path: &Path,
    command: &[Untrusted],
    account: &Account,
    exit_code: u8,
) -> anyhow::Result<()> {
    let words: Vec<String> = command.iter().map(Untrusted::escaped).collect();
    let status = if exit_code == 0 {
        TestCaseStatus::success()
    } else {
        let mut status = TestCaseStatus::non_success(NonSuccessKind::Failure);
        let (how, with) = end(account);
        let report = account.diagnosis.as_ref().map(|d| d.report());
        let message = match report {
            Some(report) if account.ended_by != EndedBy::Itself => report.headline.clone(),
            _ => format!("{how} {with}"),
        };
        status.set_type(ended_by(account)).set_message(message);
        if let Some(report) = report {
            status.set_description(pipeclog_waitgraph::render::human(
                report,
                pipeclog_waitgraph::render::Width::Columns(100),
            ));
        }
        status
    };
    let mut case = TestCase::new(words.join(" "), status);
    case.set_time(account.took);
    let mut suite = TestSuite::new("pipeclog watch");
    suite.add_test_case(case);
    let mut report = quick_junit::Report::new("pipeclog watch");
    report.add_test_suite(suite);
    let text = report.to_string().context("failed to write JUnit XML")?;
    replace(path, &text)
}

/// Annotations of a GitHub workflow, as many as a step shows.
#[derive(Debug, Default)]
pub(crate) struct Annotations {
    given: usize,
}

/// How grave an annotation is.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Level {
    Error,
    Warning,
}

impl Annotations {
    /// One line, or none where there have been enough. `text` is safe for a terminal.
    pub(crate) fn line(&mut self, level: Level, title: &str, text: &str) -> String {
        self.given += 1;
        if self.given > MOST_ANNOTATIONS {
            return String::new();
        }
        let level = match level {
            Level::Error => "error",
            Level::Warning => "warning",
        };
        format!(
            "::{level} title={}::{}\n",
            workflow_text(title),
            workflow_text(text)
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn annotations_are_escaped_and_no_more_than_a_step_shows() {
        let mut annotations = Annotations::default();
        assert_eq!(
            annotations.line(Level::Error, "a:b,c", "100%\r\n::error::x, y"),
            "::error title=a%3Ab%2Cc::100%25%0D%0A%3A%3Aerror%3A%3Ax%2C y\n"
        );
        let rest: Vec<String> = (0..20)
            .map(|_| annotations.line(Level::Warning, "t", "x"))
            .collect();
        assert_eq!(rest.iter().filter(|line| !line.is_empty()).count(), 9);
    }
}
