//! A deadlock that is proven but for assumptions: what is told of it while nothing is done.

use std::collections::BTreeSet;
use std::io;

use pipeclog_supervise::Whose;
use pipeclog_waitgraph::awaited::Assumption;
use pipeclog_waitgraph::render;
use pipeclog_waitgraph::report::{Report, VerdictName};

use super::Reaction;
use crate::table;
use crate::teller::said;

/// The whole text, of several lines.
pub(super) fn text(report: &Report, whose: Whose, reaction: Reaction) -> String {
    let who = match whose {
        Whose::Command => "the command looks stuck for good",
        Whose::Descendants => {
            "processes that the command has started look stuck for good, while it lives on"
        }
    };
    let then = match reaction {
        Reaction::Rescue => "a full channel is made larger, which harms nobody if that is wrong",
        Reaction::Kill | Reaction::Wait | Reaction::Dump => "nothing is done about it",
    };
    let mut text = said(&format!(
        "{who}, but the proof rests on assumptions; {then}:"
    ));
    text += &render::human(report, table::width_of(io::stderr()));
    for way in told(report)
        .into_iter()
        .flat_map(|report| &report.assumptions)
        .filter_map(|assumed| way_to_close(&assumed.assumption))
        .collect::<BTreeSet<_>>()
    {
        text += &said(way);
    }
    text
}

/// Its own deadlock and those beside it.
fn told(report: &Report) -> Vec<&Report> {
    let all = report.by_gravity().into_iter();
    all.filter(|report| report.verdict == VerdictName::Deadlocked)
        .collect()
}

/// What would make a proof of it, if anything would.
fn way_to_close(assumption: &Assumption) -> Option<&'static str> {
    match assumption {
        Assumption::NoAlarm { .. }
        | Assumption::NoPosixTimer { .. }
        | Assumption::NoSocketTimeout { .. }
        | Assumption::HoldsNothing { .. } => Some(
            "what could not be read would settle it: run watch as root, or as the user of those processes",
        ),
        Assumption::NobodyMissed | Assumption::TerminalSettled { .. } => {
            Some("a later look may settle it, and there will be one")
        }
        Assumption::ClosedFifo { .. } => Some(
            "as long as a FIFO has a name anybody may open it: nothing but an anonymous pipe makes a proof of it",
        ),
        Assumption::NoSignal { .. } | Assumption::RunUnread { .. } => {
            Some("who could signal it is looked at again, and once they have ended it is proven")
        }
        Assumption::InertHelper { .. }
        | Assumption::NoSignalAwaited { .. }
        | Assumption::FirstLocker { .. }
        | Assumption::RingDescriptors { .. }
        | Assumption::InFlightElsewhere { .. }
        | Assumption::HangUpToldBefore { .. } => None,
    }
}
