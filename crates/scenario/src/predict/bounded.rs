//! What the parent's own bounds make of what comes without them.
//!
//! The simulation knows no deadline and no limit. Both only ever cut off: what comes of a parent that has them is told from what
//! would come without.

use super::found::{Ending, Found};
use super::{Parent, Prediction};
use crate::bound::{Bound, LimitPolicy};

/// How much the parent reads of its child.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reads {
    /// What the outcome says.
    Counted,
    /// More and more: the child goes on for ever.
    Endless,
}

/// An outcome under the parent's bounds.
pub(super) fn cut(parent: &Parent, found: Found, reads: Reads) -> Found {
    let passed = parent.limit.filter(|limit| {
        let over = |bytes: Option<u64>| bytes.is_some_and(|bytes| bytes > limit.bytes);
        over(found.stdout_bytes) || over(found.stderr_bytes) || reads == Reads::Endless
    });
    let late = parent
        .deadline_us
        .is_some_and(|deadline| match found.ending {
            Ending::Completes { after_us } => after_us >= deadline,
            Ending::ArtificialDeadlock
            | Ending::TrueDeadlock
            | Ending::PollsForEver
            | Ending::Leaks
            | Ending::Waits { .. }
            | Ending::Endless
            | Ending::CutShort { .. } => true,
        });
    let completes = matches!(found.ending, Ending::Completes { .. });
    let by = match passed.map(|limit| limit.policy) {
        // Whichever comes first.
        Some(LimitPolicy::Kill | LimitPolicy::Error) => (!late).then_some(Bound::Limit),
        _ if late => Some(Bound::Deadline),
        // All has been read by then, and so it is known how much.
        Some(LimitPolicy::Head | LimitPolicy::Tail) if completes => {
            return Found {
                ending: Ending::CutShort {
                    by: Some(Bound::Limit),
                },
                ..found
            };
        }
        Some(LimitPolicy::Head | LimitPolicy::Tail | LimitPolicy::Spill) | None => return found,
    };
    Found {
        ending: Ending::CutShort { by },
        // How far it is depends on the moment, and the child is killed.
        leader: None,
        stdout_bytes: None,
        stderr_bytes: None,
        ..found
    }
}

/// Whether a grace period after the child's exit brings what none brings, from what comes of none and of an endless one: more time
/// can only bring more. Where these differ in more than the time, it depends on when a descendant writes.
pub(super) fn grace_is_idle(parent: &Parent, none: &Prediction, endless: &Prediction) -> bool {
    let (
        Prediction::Outcomes { outcomes, .. },
        Prediction::Outcomes {
            outcomes: others, ..
        },
    ) = (none, endless)
    else {
        return none == endless;
    };
    let completes = |found: &Found| matches!(found.ending, Ending::Completes { .. });
    let same = |one: &Found, other: &Found| {
        // With a deadline it may matter whether the grace period is used up.
        let ends = one.ending == other.ending
            || completes(one) && (parent.deadline_us.is_none() || completes(other));
        ends && (one.stdout_bytes, one.stderr_bytes) == (other.stdout_bytes, other.stderr_bytes)
    };
    outcomes
        .iter()
        .all(|one| others.iter().any(|other| same(one, other)))
        && others
            .iter()
            .all(|other| outcomes.iter().any(|one| same(one, other)))
}
