//! For an issue, a job summary or a chat.

use std::fmt::Write as _;

use crate::report::Report;
use crate::untrusted::{Untrusted, markdown_text};

use super::{command, duration, mermaid, title};

/// The report as GitHub-flavoured Markdown: headline, table of who takes part, why, fix, and the loop as a diagram.
pub fn markdown(report: &Report) -> String {
    let mut text = String::new();
    let _ = writeln!(text, "**{}**\n", markdown_text(&report.headline));
    table(&mut text, report);
    if let Some(class) = report.class {
        let _ = writeln!(
            text,
            "Class: `{class}`. Evidence: {} looks in {}.\n",
            report.looks,
            duration(report.observed_ms)
        );
    }
    if let Some(culprit) = &report.culprit {
        let _ = writeln!(text, "**Why:** {}\n", markdown_text(&culprit.why));
        let _ = writeln!(
            text,
            "**Who must change:** {}\n",
            markdown_text(&title(&culprit.actor))
        );
        for head in culprit
            .holds
            .iter()
            .filter_map(|h| h.head.as_ref())
            .filter(|h| !h.is_empty())
        {
            let _ = writeln!(
                text,
                "Unread there: {}\n",
                markdown_text(&head.terminal(400))
            );
        }
    }
    if let Some(fix) = &report.fix {
        let _ = writeln!(text, "**Fix:** {}\n", markdown_text(&fix.advice));
        if let Some(wrong) = &fix.wrong_fix {
            let _ = writeln!(text, "**Does not help:** {}\n", markdown_text(wrong));
        }
    }
    list(
        &mut text,
        "Assumed",
        report.assumptions.iter().map(|a| markdown_text(&a.text)),
    );
    list(
        &mut text,
        "In the closed world where",
        report.closed_world.iter().map(|c| markdown_text(c)),
    );
    list(
        &mut text,
        "Not seen",
        report.gaps.iter().map(|g| {
            let why = markdown_text(&Untrusted::from(g.why.as_str()).escaped());
            match &g.remedy {
                Some(remedy) => format!(
                    "{why} (try {})",
                    markdown_text(&Untrusted::from(remedy.as_str()).escaped())
                ),
                None => why,
            }
        }),
    );
    if report.members.iter().filter(|m| m.in_loop).count() > 1 {
        let _ = writeln!(text, "```mermaid\n{}```\n", mermaid(report));
    }
    for other in &report.beside {
        let _ = writeln!(
            text,
            "---\n\nBeside it, among its descendants:\n\n{}",
            markdown(other)
        );
    }
    text
}

fn table(text: &mut String, report: &Report) {
    if report.members.is_empty() {
        return;
    }
    text.push_str(
        "| who | call | channel | waits | alive for | command |\n|---|---|---|---|---|---|\n",
    );
    for member in report.members.iter().filter(|m| m.in_loop) {
        let call = match member.fd {
            Some(fd) => format!("{}({fd})", member.call),
            None => member.call.clone(),
        };
        let channel = member
            .channel
            .as_ref()
            .map(ToString::to_string)
            .unwrap_or_default();
        let cells = [
            title(&member.actor),
            call,
            channel,
            member.waits.clone(),
            duration(member.actor.age_ms),
            command(&member.actor, 100),
        ];
        let cells: Vec<String> = cells.iter().map(|c| markdown_text(c)).collect();
        let _ = writeln!(text, "| {} |", cells.join(" | "));
    }
    let others = report.members.iter().filter(|m| !m.in_loop).count();
    if others > 0 {
        let _ = writeln!(text, "\n…and {others} more tasks that hang on these.");
    }
    text.push('\n');
}

fn list(text: &mut String, heading: &str, items: impl Iterator<Item = String>) {
    let mut items = items.peekable();
    if items.peek().is_some() {
        let _ = writeln!(text, "{heading}:\n");
        for item in items {
            let _ = writeln!(text, "- {item}");
        }
        text.push('\n');
    }
}
