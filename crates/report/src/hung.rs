//! Trials that hung as expected, by class and by family.

use pipeclog_scenario::expect::Expect;
use pipeclog_scenario::outcome::{Cell, Hang, Verdict};
use pipeclog_waitgraph::class::Class;

/// The class of the cell's hang, and the hang; nothing if it did not hang, or was not expected to.
pub(crate) fn class(cell: &Cell) -> Option<(Class, &Hang)> {
    match (&cell.expected, &cell.outcome.verdict) {
        (Expect::Hangs(expected), Verdict::Hung(hang)) => Some((expected.class, hang)),
        _ => None,
    }
}

/// The family of the cell's scenario: what stands before the point of it.
pub(crate) fn family(cell: &Cell) -> &str {
    cell.row.split('/').next().unwrap_or_default()
}
