//! For an issue, a job summary or a chat.

use std::fmt::Write as _;

use crate::report::Report;
use crate::untrusted::markdown_text;

use super::diagram::flowchart;
use super::{HEAD_CHARS, command, condensed, duration, inside, title, window};

/// The report as GitHub-flavoured Markdown: headline, table of who takes part, why, fix, and the loop as a diagram.
pub fn markdown(report: &Report) -> String {
    let mut text = String::new();
    for (at, told) in report.by_gravity().into_iter().enumerate() {
        let target = markdown_text(&title(&report.target));
        match (at, std::ptr::eq(told, report)) {
            (0, _) => {}
            (_, true) => {
                let _ = writeln!(text, "---\n\n{target}, which was asked about:\n");
            }
            (_, false) => {
                let _ = writeln!(text, "---\n\nBeside it, below {target}:\n");
            }
        }
        one(&mut text, told);
    }
    text
}

fn one(text: &mut String, report: &Report) {
    let _ = writeln!(text, "**{}**\n", markdown_text(&report.headline));
    table(text, report);
    if let Some(class) = report.class {
        let _ = writeln!(
            text,
            "Class: `{class}`. Evidence: {} looks in {}.\n",
            report.looks,
            window(report)
        );
    }
    if let Some(culprit) = &report.culprit {
        let _ = writeln!(text, "**Why:** {}\n", markdown_text(&culprit.why));
        let _ = writeln!(
            text,
            "**Who must change:** {}\n",
            markdown_text(&title(&culprit.actor))
        );
    }
    if let Some(fix) = &report.fix {
        let _ = writeln!(text, "**Fix:** {}\n", markdown_text(&fix.advice));
        if let Some(wrong) = &fix.wrong_fix {
            let _ = writeln!(text, "**Does not help:** {}\n", markdown_text(wrong));
        }
    }
    list(
        text,
        "Looked inside, by a duplicate of the reading end; nothing was taken out",
        report.inside.iter().map(|found| {
            let level = markdown_text(&inside(found));
            match found.peek.head.is_empty() {
                true => level,
                false => format!(
                    "{level}; begins: {}",
                    markdown_text(&found.peek.head.terminal(HEAD_CHARS))
                ),
            }
        }),
    );
    list(
        text,
        "Assumed",
        report.assumptions.iter().map(|a| markdown_text(&a.text)),
    );
    list(
        text,
        "In the closed world where",
        report.closed_world.iter().map(|c| markdown_text(c)),
    );
    list(
        text,
        "Not seen",
        condensed(report)
            .into_iter()
            .map(|(why, remedy)| match remedy {
                Some(remedy) => format!("{} (try {})", markdown_text(&why), markdown_text(&remedy)),
                None => markdown_text(&why),
            }),
    );
    if report.members.iter().filter(|m| m.in_loop).count() > 1 {
        let _ = writeln!(text, "```mermaid\n{}```\n", flowchart(report));
    }
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
