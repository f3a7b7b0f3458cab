//! For a person at a terminal.

use crate::classes::ClassText;
use crate::report::{Kind, Report, ReportMember, VerdictName};

use super::prose::Prose;
use super::{Width, command, condensed, duration, inside, title, window};

/// Characters of a command line that are shown at most.
const COMMAND_CHARS: usize = 100;

/// The gravest verdict in its first line; then the loop as a picture, who takes part, why, and the way out. Deadlocks among
/// the descendants come before the verdict of a process that has none of its own.
///
/// Plain text without colour, safe for a terminal.
pub fn human(report: &Report, width: Width) -> String {
    let mut text = Prose::new(width);
    for (at, told) in report.by_gravity().into_iter().enumerate() {
        let is_own = std::ptr::eq(told, report);
        match (at, is_own) {
            (0, _) => one(&mut text, told),
            (_, true) => {
                text.line("");
                text.wrapped(&format!(
                    "{}, which was asked about:",
                    title(&report.target)
                ));
                text.set_in("  ", |text| one(text, told));
            }
            (_, false) => {
                text.line("");
                text.wrapped(&format!("beside it, below {}:", title(&report.target)));
                text.set_in("  ", |text| one(text, told));
            }
        }
    }
    text.into_text()
}

fn one(text: &mut Prose, report: &Report) {
    text.sentence(&report.headline);
    picture(text, report);
    facts(text, report);
    why(text, report);
    peeked(text, report);
    fix(text, report);
    list(
        text,
        "assumed:",
        report.assumptions.iter().map(|a| a.text.clone()),
    );
    list(
        text,
        "in the closed world where:",
        report.closed_world.iter().cloned(),
    );
    gaps(text, report);
}

/// The text of a class, for `explain`: plain.
pub fn class(about: &ClassText, width: Width) -> String {
    let mut text = Prose::new(width);
    text.wrapped(&format!("{} ({})", about.title, about.slug));
    let parts = [
        ("", Some(&about.sentence)),
        ("how it comes about: ", Some(&about.mechanism)),
        ("what one sees: ", Some(&about.see)),
        ("the way out: ", Some(&about.cure)),
        ("does not help: ", about.wrong_fix.as_ref()),
    ];
    for (lead, part) in parts {
        if let Some(part) = part {
            text.line("");
            text.hanging(lead, part, "");
        }
    }
    text.line("");
    text.line("see:");
    for reference in &about.references {
        text.hanging("  ", reference, "    ");
    }
    text.into_text()
}

/// Each waits for the one below; of a loop, the last for the first.
fn picture(text: &mut Prose, report: &Report) {
    let told: Vec<&ReportMember> = report.members.iter().filter(|m| m.in_loop).collect();
    if told.is_empty() {
        return;
    }
    let is_loop = report.verdict == VerdictName::Deadlocked;
    text.line("");
    for (at, member) in told.iter().enumerate() {
        let is_last = at + 1 == told.len();
        // The rail on the left leads from the last back to the first.
        let (head, body, end) = match (is_loop, at, is_last) {
            (true, 0, true) => ("┌▶", "│ │", "└─┘"),
            (true, 0, false) => ("┌▶", "│ │", "│ ▼"),
            (true, _, false) => ("│ ", "│ │", "│ ▼"),
            (true, _, true) => ("│ ", "│ │", "└─┘"),
            (false, _, false) => ("  ", "  │", "  ▼"),
            (false, _, true) => ("  ", "   ", "   "),
        };
        let beside = format!("  {body}    ");
        // Below the corner that leads back, nothing does any more.
        let below = match is_last {
            true => " ".repeat(beside.chars().count()),
            false => beside.clone(),
        };
        text.hanging(&format!("  {head} "), &title(&member.actor), &beside);
        text.hanging(&beside, &details(member), &format!("{beside}  "));
        text.hanging(
            &format!("  {end}    "),
            &member.waits,
            &format!("{below}  "),
        );
    }
    let others = report.members.len() - told.len();
    if others > 0 {
        text.hanging(
            "  ",
            &format!("and {others} more tasks that hang on these"),
            "  ",
        );
    }
}

/// `write(1, …), stdout, pipe:[4711], alive for 3 min 2 s: git log --stat`.
fn details(member: &ReportMember) -> String {
    let mut parts = vec![match member.fd {
        Some(fd) => format!("{}({fd}, …)", member.call),
        None => member.call.clone(),
    }];
    parts.extend(member.stream.clone());
    parts.extend(member.channel.as_ref().map(ToString::to_string));
    parts.push(format!("alive for {}", duration(member.actor.age_ms)));
    let command = command(&member.actor, COMMAND_CHARS);
    let line = parts.join(", ");
    if command.is_empty() {
        line
    } else {
        format!("{line}: {command}")
    }
}

fn facts(text: &mut Prose, report: &Report) {
    text.line("");
    if let Some(class) = report.class {
        text.wrapped(&format!("class: {class}"));
    }
    if let Some(kind) = report.deadlock {
        let kind = match kind {
            Kind::Artificial => {
                "artificial, with a full channel in it; a bigger buffer would only hide it"
            }
            Kind::True => "true, with every channel in it empty; no buffer helps",
            Kind::Undetermined => "its channels do not show whether they are full (--peek looks)",
        };
        text.hanging("kind: ", kind, "  ");
    }
    for related in &report.related {
        text.wrapped(&format!("see also: {related}"));
    }
    text.wrapped(&format!(
        "evidence: {} looks in {}",
        report.looks,
        window(report)
    ));
}

fn why(text: &mut Prose, report: &Report) {
    let Some(culprit) = &report.culprit else {
        return;
    };
    text.line("");
    text.hanging("why: ", &culprit.why, "     ");
    text.hanging("who must change: ", &title(&culprit.actor), "     ");
    for held in &culprit.holds {
        let fds: Vec<String> = held.fds.iter().map(ToString::to_string).collect();
        let plural = if fds.len() == 1 {
            "descriptor"
        } else {
            "descriptors"
        };
        let sentence = format!(
            "process {} holds {} at {plural} {}",
            held.pid,
            held.channel,
            fds.join(", ")
        );
        text.hanging("  ", &sentence, "    ");
    }
}

/// What was found inside, told so that nobody takes it for a passive look.
fn peeked(text: &mut Prose, report: &Report) {
    if report.inside.is_empty() {
        return;
    }
    text.line("");
    text.wrapped("looked inside, by a duplicate of the reading end; nothing was taken out:");
    for found in &report.inside {
        text.hanging("  - ", &inside(found), "    ");
        if !found.peek.head.is_empty() {
            text.hanging(
                "    begins: ",
                &found.peek.head.terminal(super::HEAD_CHARS),
                "    ",
            );
        }
    }
}

fn fix(text: &mut Prose, report: &Report) {
    let Some(fix) = &report.fix else { return };
    text.line("");
    text.hanging("fix: ", &fix.advice, "     ");
    if let Some(wrong) = &fix.wrong_fix {
        text.hanging("does not help: ", wrong, "     ");
    }
}

fn list(text: &mut Prose, heading: &str, items: impl Iterator<Item = String>) {
    let mut items = items.peekable();
    if items.peek().is_some() {
        text.line("");
        text.line(heading);
        for item in items {
            text.hanging("  - ", &item, "    ");
        }
    }
}

fn gaps(text: &mut Prose, report: &Report) {
    if report.gaps.is_empty() {
        return;
    }
    text.line("");
    text.line("not seen:");
    for (why, remedy) in condensed(report) {
        text.hanging("  - ", &why, "    ");
        if let Some(remedy) = remedy {
            // A command is copied whole, so it is not broken.
            text.line(&format!("    try: {remedy}"));
        }
    }
}
