//! The loop of a deadlock as a flowchart: those who are in it and no others, so that it stays within what public
//! renderers take (Mermaid: 280 edges; some take 5,000 characters).

use std::fmt::Write as _;

use pipeclog_waitgraph::report::{Report, ReportMember, VerdictName};
use pipeclog_waitgraph::untrusted::mermaid_text;

use crate::names::Names;
use crate::plot::escape;

/// More make no picture that anybody reads.
const DRAWN: usize = 12;
/// Characters of what a member waits for.
const LABEL_CHARS: usize = 100;

/// Who waits for whom, in the order of the loop.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct LoopGraph {
    members: Vec<String>,
    /// What each waits for, which is the next one; the last one waits for the first, or for nobody of them.
    waits: Vec<String>,
}

impl LoopGraph {
    /// Nothing is drawn of less than two.
    pub(crate) fn of(report: &Report, names: &mut Names) -> Option<Self> {
        let members: Vec<&ReportMember> = report.members.iter().filter(|one| one.in_loop).collect();
        if members.len() < 2 || members.len() > DRAWN {
            return None;
        }
        let waiting = match report.verdict {
            VerdictName::Deadlocked => members.len(),
            _ => members.len() - 1,
        };
        let waits = members.iter().take(waiting);
        Some(Self {
            waits: waits
                .map(|member| {
                    names
                        .in_text(&member.waits)
                        .chars()
                        .take(LABEL_CHARS)
                        .collect()
                })
                .collect(),
            members: members
                .iter()
                .map(|member| names.actor(&member.actor))
                .collect(),
        })
    }

    /// For Markdown that is shown where Mermaid is drawn.
    pub(crate) fn mermaid(&self) -> String {
        let mut text = String::from("flowchart LR\n");
        for (at, name) in self.members.iter().enumerate() {
            let _ = writeln!(text, "  n{at}[\"{}\"]", mermaid_text(name));
        }
        for (at, waits) in self.waits.iter().enumerate() {
            let next = (at + 1) % self.members.len();
            let _ = writeln!(text, "  n{at} -->|\"{}\"| n{next}", mermaid_text(waits));
        }
        text
    }

    /// For pages that have no scripts: boxes in a row, with what each waits for on the arrow to the next.
    pub(crate) fn svg(&self) -> String {
        const BOX: f64 = 150.0;
        const GAP: f64 = 230.0;
        const TOP: f64 = 84.0;
        const HIGH: f64 = 44.0;
        let count = self.members.len() as f64;
        let width = count * BOX + (count - 1.0) * GAP + 20.0;
        let closes = self.waits.len() == self.members.len();
        let height = TOP + HIGH + if closes { 100.0 } else { 16.0 };
        let left = |at: usize| 10.0 + at as f64 * (BOX + GAP);
        let mut svg = format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" width=\"{width}\" role=\"img\">\n\
             <style>\n{STYLE}</style>\n\
             <defs><marker id=\"tip\" viewBox=\"0 0 8 8\" refX=\"7\" refY=\"4\" markerWidth=\"8\" markerHeight=\"8\" \
             orient=\"auto-start-reverse\"><path class=\"tip\" d=\"M0 0L8 4L0 8Z\"/></marker></defs>\n"
        );
        for (at, name) in self.members.iter().enumerate() {
            let _ = writeln!(
                svg,
                "<rect x=\"{:.1}\" y=\"{TOP}\" width=\"{BOX}\" height=\"{HIGH}\" rx=\"6\"/>\n\
                 <text class=\"who\" x=\"{:.1}\" y=\"{:.1}\">{}</text>",
                left(at),
                left(at) + BOX / 2.0,
                TOP + HIGH / 2.0 + 4.5,
                escape(name)
            );
        }
        let middle = TOP + HIGH / 2.0;
        for (at, waits) in self.waits.iter().enumerate() {
            let is_last = at + 1 == self.members.len();
            let (x, lowest) = if is_last {
                let floor = TOP + HIGH + 26.0;
                let _ = writeln!(
                    svg,
                    "<path class=\"arrow\" d=\"M{:.1} {:.1}V{floor:.1}H{:.1}V{:.1}\"/>",
                    left(at) + BOX / 2.0,
                    TOP + HIGH,
                    left(0) + BOX / 2.0,
                    TOP + HIGH + 2.0
                );
                let lines = wrapped(waits, 60).len() as f64;
                (width / 2.0, floor + 18.0 + (lines - 1.0) * 16.0)
            } else {
                let start = left(at) + BOX;
                let _ = writeln!(
                    svg,
                    "<path class=\"arrow\" d=\"M{start:.1} {middle:.1}H{:.1}\"/>",
                    start + GAP - 2.0
                );
                (start + GAP / 2.0, middle - 9.0)
            };
            let lines = wrapped(waits, if is_last { 60 } else { 32 });
            for (line, text) in lines.iter().rev().enumerate() {
                let _ = writeln!(
                    svg,
                    "<text class=\"wait\" x=\"{x:.1}\" y=\"{:.1}\">{}</text>",
                    lowest - line as f64 * 16.0,
                    escape(text)
                );
            }
        }
        svg.push_str("</svg>\n");
        svg
    }
}

const STYLE: &str = "\
text { font: 13px system-ui, sans-serif; text-anchor: middle; fill: #444c56 }
.who { font-weight: 600; fill: #1f2328 }
rect { fill: #0969da; fill-opacity: .12; stroke: #0969da }
.arrow { fill: none; stroke: #b4330a; stroke-width: 1.6; marker-end: url(#tip) }
.tip { fill: #b4330a }
@media (prefers-color-scheme: dark) {
text { fill: #adb5be }
.who { fill: #f0f3f6 }
rect { fill: #58a6ff; stroke: #58a6ff }
.arrow { stroke: #ffa57a }
.tip { fill: #ffa57a }
}
";

/// Lines of at most so many characters, broken between words.
fn wrapped(text: &str, columns: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in text.split_whitespace() {
        match lines.last_mut() {
            Some(line) if line.chars().count() + 1 + word.chars().count() <= columns => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(word.to_owned()),
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    fn graph() -> LoopGraph {
        LoopGraph {
            members: vec!["the parent".to_owned(), "the <child>".to_owned()],
            waits: vec![
                "waits for the child to exit".to_owned(),
                "waits to write \"x\" & more".to_owned(),
            ],
        }
    }

    #[test]
    fn a_loop_closes_in_both_languages() {
        let mermaid = graph().mermaid();
        assert!(
            mermaid.contains("n0 -->|") && mermaid.contains("| n1") && mermaid.contains("n1 -->|"),
            "{mermaid}"
        );
        assert_eq!(graph().svg().matches("class=\"arrow\" d=").count(), 2);
    }

    #[test]
    fn names_are_no_markup() {
        let (mermaid, svg) = (graph().mermaid(), graph().svg());
        assert!(
            !mermaid.contains("<child>") && !mermaid.contains("\"x\""),
            "{mermaid}"
        );
        assert!(
            !svg.contains("<child>") && svg.contains("&amp; more"),
            "{svg}"
        );
    }

    #[test]
    fn lines_break_between_words() {
        assert_eq!(wrapped("aa bb cc", 5), ["aa bb", "cc"]);
        assert_eq!(wrapped("aaaaaaaaaa bb", 5), ["aaaaaaaaaa", "bb"]);
    }
}
