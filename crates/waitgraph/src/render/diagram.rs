//! The loop as a graph, in the languages of Graphviz and Mermaid.

use std::fmt::Write as _;

use crate::report::{Report, ReportMember, VerdictName};
use crate::untrusted::{dot_text, mermaid_text};

use super::title;

/// Members that a diagram draws at most, for renderers that take no more (Mermaid: 280 edges, some 5,000 characters).
const DRAWN: usize = 24;
/// Characters of a label on an edge.
const LABEL_CHARS: usize = 90;

/// One arrow: from who waits, to whom he waits for.
struct Arrow {
    from: usize,
    to: usize,
    label: String,
}

/// The gravest loop in Graphviz's DOT.
pub fn dot(report: &Report) -> String {
    let report = gravest(report);
    let members = drawn(report);
    let mut text = String::from("digraph pipeclog {\n  node [shape=box];\n");
    let _ = writeln!(text, "  label=\"{}\";", dot_text(&report.headline));
    for (at, member) in members.iter().enumerate() {
        let _ = writeln!(
            text,
            "  n{at} [label=\"{}\"];",
            dot_text(&title(&member.actor))
        );
    }
    for arrow in arrows(report, &members) {
        let _ = writeln!(
            text,
            "  n{} -> n{} [label=\"{}\"];",
            arrow.from,
            arrow.to,
            dot_text(&arrow.label)
        );
    }
    text.push_str("}\n");
    text
}

/// The gravest loop as a Mermaid flowchart.
pub fn mermaid(report: &Report) -> String {
    flowchart(gravest(report))
}

/// The report's own loop.
pub(super) fn flowchart(report: &Report) -> String {
    let members = drawn(report);
    let mut text = String::from("flowchart TD\n");
    for (at, member) in members.iter().enumerate() {
        let _ = writeln!(text, "  n{at}[\"{}\"]", mermaid_text(&title(&member.actor)));
    }
    for arrow in arrows(report, &members) {
        let _ = writeln!(
            text,
            "  n{} -->|\"{}\"| n{}",
            arrow.from,
            mermaid_text(&arrow.label),
            arrow.to
        );
    }
    text
}

fn gravest(report: &Report) -> &Report {
    report.by_gravity().first().copied().unwrap_or(report)
}

fn drawn(report: &Report) -> Vec<&ReportMember> {
    report
        .members
        .iter()
        .filter(|m| m.in_loop)
        .take(DRAWN)
        .collect()
}

fn arrows(report: &Report, members: &[&ReportMember]) -> Vec<Arrow> {
    let closes = report.verdict == VerdictName::Deadlocked;
    let count = members.len();
    members
        .iter()
        .enumerate()
        .filter(|(from, _)| closes || from + 1 < count)
        .map(|(from, member)| Arrow {
            from,
            to: (from + 1) % count,
            label: label(member),
        })
        .collect()
}

fn label(member: &ReportMember) -> String {
    let waits: String = member.waits.chars().take(LABEL_CHARS).collect();
    match &member.channel {
        Some(channel) => format!("{waits} [{channel}]"),
        None => waits,
    }
}
