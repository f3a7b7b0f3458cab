//! For a person at a terminal.

use crate::classes::ClassText;
use crate::report::{Kind, Report, ReportMember, VerdictName};
use crate::untrusted::Untrusted;

use super::{command, duration, title};

/// The verdict in its first line; then the loop as a picture, who takes part, why, and the way out.
///
/// Plain text without colour, safe for a terminal. Prose is wrapped at `columns`; the first line is not, so that the
/// verdict can be cut out of a log by line.
pub fn human(report: &Report, columns: usize) -> String {
    let mut text = Prose {
        text: String::new(),
        columns: columns.max(40),
    };
    text.line(&report.headline);
    picture(&mut text, report);
    facts(&mut text, report);
    why(&mut text, report);
    fix(&mut text, report);
    list(
        &mut text,
        "assumed:",
        report.assumptions.iter().map(|a| a.text.clone()),
    );
    list(
        &mut text,
        "in the closed world where:",
        report.closed_world.iter().cloned(),
    );
    gaps(&mut text, report);
    for other in &report.beside {
        text.line("\nbeside it, among its descendants:");
        for line in human(other, columns.saturating_sub(2)).lines() {
            text.line(format!("  {line}").trim_end());
        }
    }
    text.text
}

/// The text of a class, for `explain`: plain, wrapped at `columns`.
pub fn class(about: &ClassText, columns: usize) -> String {
    let mut text = Prose {
        text: String::new(),
        columns: columns.max(40),
    };
    text.line(&format!("{} ({})", about.title, about.slug));
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
            text.wrapped(lead, part, 0);
        }
    }
    text.line("");
    text.line("see:");
    for reference in &about.references {
        text.line(&format!("  {reference}"));
    }
    text.text
}

/// Text under way, and how wide it may be.
struct Prose {
    text: String,
    columns: usize,
}

impl Prose {
    fn line(&mut self, line: &str) {
        self.text.push_str(line);
        self.text.push('\n');
    }

    /// Words after `lead`, the lines that follow set in by `indent`. A word longer than a line stays whole.
    fn wrapped(&mut self, lead: &str, words: &str, indent: usize) {
        let mut line = lead.to_owned();
        let mut width = lead.chars().count();
        let mut is_first = true;
        for word in words.split(' ') {
            let needs = word.chars().count() + usize::from(!is_first);
            if !is_first && width + needs > self.columns {
                self.line(&line);
                line = " ".repeat(indent);
                width = indent;
                is_first = true;
            }
            if !is_first {
                line.push(' ');
                width += 1;
            }
            line.push_str(word);
            width += word.chars().count();
            is_first = false;
        }
        self.line(&line);
    }
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
        text.line(&format!("  {head} {}", title(&member.actor)));
        text.line(&format!("  {body}    {}", details(member)));
        text.line(&format!("  {end}    {}", member.waits));
    }
    let others = report.members.len() - told.len();
    if others > 0 {
        text.line(&format!("  and {others} more tasks that hang on these"));
    }
}

/// `write(1), stdout, pipe:[4711], running for 3 min 2 s: git log --stat`.
fn details(member: &ReportMember) -> String {
    let mut parts = vec![match member.fd {
        Some(fd) => format!("{}({fd}, …)", member.call),
        None => member.call.clone(),
    }];
    parts.extend(member.stream.clone());
    parts.extend(member.channel.as_ref().map(ToString::to_string));
    parts.push(format!("alive for {}", duration(member.actor.age_ms)));
    let command = command(&member.actor, 100);
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
        text.line(&format!("class: {class}"));
    }
    if let Some(kind) = report.deadlock {
        text.line(match kind {
            Kind::Artificial => {
                "kind: artificial, with a full channel in it; a bigger buffer would only hide it"
            }
            Kind::True => "kind: true, with every channel in it empty; no buffer helps",
            Kind::Undetermined => {
                "kind: its channels do not show whether they are full (--peek looks)"
            }
        });
    }
    for related in &report.related {
        text.line(&format!("see also: {related}"));
    }
    text.line(&format!(
        "evidence: {} looks in {}",
        report.looks,
        duration(report.observed_ms)
    ));
}

fn why(text: &mut Prose, report: &Report) {
    let Some(culprit) = &report.culprit else {
        return;
    };
    text.line("");
    text.wrapped("why: ", &culprit.why, 5);
    text.line(&format!("who must change: {}", title(&culprit.actor)));
    for held in &culprit.holds {
        let fds: Vec<String> = held.fds.iter().map(ToString::to_string).collect();
        let plural = if fds.len() == 1 {
            "descriptor"
        } else {
            "descriptors"
        };
        let unread = held
            .unread_bytes
            .map(|b| format!(", {b} bytes unread"))
            .unwrap_or_default();
        text.line(&format!(
            "  process {} holds {} at {plural} {}{unread}",
            held.pid,
            held.channel,
            fds.join(", ")
        ));
        if let Some(head) = held.head.as_ref().filter(|h| !h.is_empty()) {
            text.line(&format!("  unread there: {}", head.terminal(400)));
        }
    }
}

fn fix(text: &mut Prose, report: &Report) {
    let Some(fix) = &report.fix else { return };
    text.line("");
    text.wrapped("fix: ", &fix.advice, 5);
    if let Some(wrong) = &fix.wrong_fix {
        text.wrapped("does not help: ", wrong, 5);
    }
}

fn list(text: &mut Prose, heading: &str, items: impl Iterator<Item = String>) {
    let mut items = items.peekable();
    if items.peek().is_some() {
        text.line("");
        text.line(heading);
        for item in items {
            text.wrapped("  - ", &item, 4);
        }
    }
}

fn gaps(text: &mut Prose, report: &Report) {
    if report.gaps.is_empty() {
        return;
    }
    text.line("");
    text.line("not seen:");
    for gap in &report.gaps {
        text.wrapped("  - ", &Untrusted::from(gap.why.as_str()).escaped(), 4);
        if let Some(remedy) = &gap.remedy {
            text.line(&format!(
                "    try: {}",
                Untrusted::from(remedy.as_str()).escaped()
            ));
        }
    }
}
