//! A report as text: for people, for Markdown, for Graphviz, for Mermaid, for programs.
//!
//! Pure functions from a report to a string. Whatever came from outside goes through the encoder of that sink.

mod diagram;
mod human;
mod markdown;
mod prose;

pub use diagram::{dot, mermaid};
pub use human::{class, human};
pub use markdown::markdown;
pub use prose::{Prose, Width};

use crate::channel::Channel;
use crate::report::{Actor, Inside, Report};
use crate::snapshot::Gap;
use crate::untrusted::Untrusted;

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

/// The command line as bash takes it, on one line and safe for a terminal.
fn command(actor: &Actor, limit: usize) -> String {
    let words: Vec<String> = actor.command.iter().map(Untrusted::shell_word).collect();
    let line = words.join(" ");
    if line.chars().count() <= limit {
        return line;
    }
    line.chars()
        .take(limit.saturating_sub(1))
        .chain(['…'])
        .collect()
}

/// Gaps for people: those of the same kind about the same facet once, with how many more there are, and with the command
/// that closes them. What helps for each process by itself helps for whoever was asked about, and shows the others too.
fn condensed(report: &Report) -> Vec<(String, Option<String>)> {
    let mut kinds: Vec<(&Gap, usize)> = Vec::new();
    for gap in &report.gaps {
        let like =
            |known: &&mut (&Gap, usize)| (known.0.kind, known.0.facet) == (gap.kind, gap.facet);
        match kinds.iter_mut().find(like) {
            Some((_, more)) => *more += 1,
            None => kinds.push((gap, 0)),
        }
    }
    let shown = |(gap, more): (&Gap, usize)| {
        let why = Untrusted::from(gap.why.as_str()).escaped();
        let why = match more {
            0 => why,
            more => format!("{why} (and {more} more like it)"),
        };
        let of_one = gap.pid.is_some() && more > 0;
        let of_its_own = gap.pid.map_or_else(String::new, |pid| format!(" {pid}"));
        let of_target = format!(" {}", report.target.task.pid);
        let remedy = gap.remedy.as_deref().map(|remedy| match of_one {
            true => remedy.replace(&of_its_own, &of_target),
            // What shows the whole machine shows whoever was asked about, in less time.
            false if gap.pid.is_none() => remedy.replace(" --all", &of_target),
            false => remedy.to_owned(),
        });
        let remedy = remedy.map(|remedy| Untrusted::from(remedy.as_str()).escaped());
        (why, remedy)
    };
    kinds.into_iter().map(shown).collect()
}

/// Characters of what is stuck that any format shows at most.
const HEAD_CHARS: usize = 400;

/// `pipe:[9]: 65536 of 65536 bytes unread`; of a pair of sockets, at which of them.
fn inside(found: &Inside) -> String {
    let peek = &found.peek;
    let at = match &found.channel {
        Channel::Socket { .. } => format!(", at {}", peek.inode),
        _ => String::new(),
    };
    let level = match (peek.unread_bytes, peek.capacity_bytes) {
        (Some(unread), Some(capacity)) => format!("{unread} of {capacity} bytes unread"),
        (Some(unread), None) => format!("{unread} bytes unread"),
        (None, _) => "it does not say how much is unread".to_owned(),
    };
    format!("{}{at}: {level}", found.channel)
}

/// `3 d 4 h`, `5 h 2 min`, `12 min`, `47 s`, `300 ms`.
/// From the first look to the last, on a clock that counts hundredths of a second (proc_uptime(5)).
fn window(report: &Report) -> String {
    match report.observed_ms {
        0 => "less than 10 ms".to_owned(),
        ms => duration(ms),
    }
}

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
