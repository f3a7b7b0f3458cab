//! A report as text: for people, for Markdown, for Graphviz, for Mermaid, for programs.
//!
//! Pure functions from a report to a string. Whatever came from outside goes through the encoder of that sink.

mod diagram;
mod human;
mod markdown;

pub use diagram::{dot, mermaid};
pub use human::{class, human};
pub use markdown::markdown;

use crate::report::{Actor, Report};

/// The report as JSON, indented, with a final newline. The same report gives the same bytes.
///
/// # Errors
/// Never for a report of this crate: every key is a string and every number finite.
pub fn json(report: &Report) -> Result<String, serde_json::Error> {
    serde_json::to_string_pretty(report).map(|text| text + "\n")
}

/// Characters of a name that any format shows at most.
const NAME_CHARS: usize = 40;

/// `python3 (812)`, or `python3 (812, thread reader 815)`: escaped, and safe for a terminal.
fn title(actor: &Actor) -> String {
    let name = actor.name.terminal(NAME_CHARS);
    let pid = actor.task.pid;
    match &actor.thread {
        Some(thread) => format!(
            "{name} ({pid}, thread {} {})",
            thread.terminal(NAME_CHARS),
            actor.task.tid
        ),
        None => format!("{name} ({pid})"),
    }
}

/// The command line with each argument escaped, those with a blank in quotes.
fn command(actor: &Actor, limit: usize) -> String {
    let words = actor.command.iter().map(|word| {
        let text = word.escaped();
        if text.is_empty() || text.contains([' ', '"', '\'']) {
            format!("{text:?}")
        } else {
            text
        }
    });
    let line = words.collect::<Vec<_>>().join(" ");
    if line.chars().count() <= limit {
        return line;
    }
    line.chars()
        .take(limit.saturating_sub(1))
        .chain(['…'])
        .collect()
}

/// `3 d 4 h`, `5 h 2 min`, `12 min`, `47 s`, `300 ms`.
fn duration(ms: u64) -> String {
    let (s, min, h, d) = (ms / 1000, ms / 60_000, ms / 3_600_000, ms / 86_400_000);
    match (d, h, min, s) {
        (1.., ..) => format!("{d} d {} h", h % 24),
        (0, 1.., ..) => format!("{h} h {} min", min % 60),
        (0, 0, 1.., _) => format!("{min} min {} s", s % 60),
        (0, 0, 0, 1..) => format!("{s}.{} s", ms % 1000 / 100),
        _ => format!("{ms} ms"),
    }
}

#[cfg(test)]
mod tests {
    use super::duration;

    #[test]
    fn durations_name_their_two_largest_units() {
        let rows = [
            (0, "0 ms"),
            (999, "999 ms"),
            (1_500, "1.5 s"),
            (59_999, "59.9 s"),
            (61_000, "1 min 1 s"),
            (7_260_000, "2 h 1 min"),
            (90_000_000, "1 d 1 h"),
        ];
        for (ms, text) in rows {
            assert_eq!(duration(ms), text);
        }
    }
}
