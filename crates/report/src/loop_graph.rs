//! The loop of a deadlock as a Mermaid flowchart: those who are in it and no others, so that it stays within what public
//! renderers take (280 edges; some take 5,000 characters).

use std::fmt::Write as _;

use pipeclog_waitgraph::report::{Report, ReportMember, VerdictName};
use pipeclog_waitgraph::untrusted::mermaid_text;

use crate::names::Names;

/// More make no picture that anybody reads.
const DRAWN: usize = 12;
/// Characters of what a member waits for.
const LABEL_CHARS: usize = 100;

/// Draws who waits for whom, in the order of the loop. Nothing is drawn of less than two.
pub(crate) fn write(to: &mut String, report: &Report, names: &mut Names) {
    let members: Vec<&ReportMember> = report.members.iter().filter(|one| one.in_loop).collect();
    if members.len() < 2 || members.len() > DRAWN {
        return;
    }
    to.push_str("```mermaid\nflowchart LR\n");
    for (at, member) in members.iter().enumerate() {
        let _ = writeln!(to, "  n{at}[\"{}\"]", mermaid_text(&names.actor(&member.actor)));
    }
    let closes = report.verdict == VerdictName::Deadlocked;
    for (from, member) in members.iter().enumerate() {
        if !closes && from + 1 == members.len() {
            break;
        }
        let waits: String = names.in_text(&member.waits).chars().take(LABEL_CHARS).collect();
        let next = (from + 1) % members.len();
        let _ = writeln!(to, "  n{from} -->|\"{}\"| n{next}", mermaid_text(&waits));
    }
    to.push_str("```\n\n");
}
