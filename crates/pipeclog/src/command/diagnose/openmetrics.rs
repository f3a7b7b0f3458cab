//! What is stuck on a machine, as metrics: gauges without timestamps, in a form that both OpenMetrics and node_exporter's textfile
//! collector read. Labels are words of ours; nothing from outside is in them.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::Path;

use pipeclog_waitgraph::Diagnosis;
use pipeclog_waitgraph::report::Report;
use pipeclog_waitgraph::snapshot::{GapKind, Snapshot};

use crate::run::replace;

/// Writes the metrics to a file as a whole, or to stdout.
pub(super) fn write(
    out: Option<&Path>,
    diagnoses: &[Diagnosis],
    looks: &[Snapshot],
) -> anyhow::Result<()> {
    let reports: Vec<&Report> = diagnoses.iter().map(Diagnosis::report).collect();
    let unreadable: BTreeSet<_> = looks
        .last()
        .into_iter()
        .flat_map(|look| &look.gaps)
        .filter(|gap| gap.kind != GapKind::Vanished)
        .filter_map(|gap| gap.pid)
        .collect();
    let text = render(&reports, unreadable.len());
    match out {
        Some(path) => replace(path, &text)?,
        None => print!("{text}"),
    }
    Ok(())
}

fn render(reports: &[&Report], unreadable: usize) -> String {
    // These three are always there, so that an alert has something to compare.
    let mut groups = BTreeMap::from([
        (("deadlock", "proven"), 0),
        (("deadlock", "probable"), 0),
        (("leak", "probable"), 0),
    ]);
    let mut classes: BTreeMap<&str, usize> = BTreeMap::new();
    for report in reports {
        let key = (report.verdict.word(), report.confidence.word());
        *groups.entry(key).or_default() += 1;
        if let Some(class) = report.class {
            *classes.entry(class.slug()).or_default() += 1;
        }
    }
    let mut text = String::from(
        "# HELP pipeclog_stuck Groups of processes that are stuck, by verdict and confidence.\n# TYPE pipeclog_stuck gauge\n",
    );
    for ((verdict, confidence), count) in groups {
        let _ = writeln!(
            text,
            "pipeclog_stuck{{verdict=\"{verdict}\",confidence=\"{confidence}\"}} {count}"
        );
    }
    text += "# HELP pipeclog_stuck_class Groups of processes that are stuck, by class of hang.\n# TYPE pipeclog_stuck_class gauge\n";
    for (class, count) in classes {
        let _ = writeln!(text, "pipeclog_stuck_class{{class=\"{class}\"}} {count}");
    }
    let _ = writeln!(
        text,
        "# HELP pipeclog_unreadable_processes Processes that could not be read whole, and may be stuck.\n\
         # TYPE pipeclog_unreadable_processes gauge\npipeclog_unreadable_processes {unreadable}\n# EOF"
    );
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_machine_on_which_nothing_is_stuck_says_so_in_numbers() {
        let text = render(&[], 3);
        for line in [
            "pipeclog_stuck{verdict=\"deadlock\",confidence=\"proven\"} 0",
            "pipeclog_unreadable_processes 3",
        ] {
            assert!(text.lines().any(|have| have == line), "{line}: {text}");
        }
        assert!(text.ends_with("# EOF\n"));
    }
}
