//! Terminals, as the checker knows them: a worker of the kernel moves their bytes, and no look shows it.

use crate::descriptor::{Descriptor, Object};

use super::Checker;
use super::object::same_pty;

/// Milliseconds between the looks after which a terminal's worker is taken to be idle.
const IDLE_AFTER_MS: u64 = 100;

/// One direction of a terminal, as a member waits at it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Flow {
    terminal: (u32, Option<u64>),
    to_master: bool,
    wants_room: bool,
}

/// The flows that a wait for `data`, for `room` or for both at `d` concerns; none if it is no terminal.
pub(super) fn flows(d: &Descriptor, (data, room): (bool, bool)) -> Vec<Flow> {
    let (terminal, at_master) = match d.object {
        Object::PtyMaster { index, devpts } => ((index, devpts), true),
        Object::PtySlave { index, devpts } => ((index, devpts), false),
        _ => return Vec::new(),
    };
    let mut flows = Vec::with_capacity(2);
    if data {
        flows.push(Flow {
            terminal,
            to_master: at_master,
            wants_room: false,
        });
    }
    if room {
        flows.push(Flow {
            terminal,
            to_master: !at_master,
            wants_room: true,
        });
    }
    flows
}

/// Whether in some direction of some terminal one waits for room and one for data.
pub(super) fn is_under_way(flows: &[Flow]) -> bool {
    let meets = |a: &Flow, b: &Flow| {
        a.wants_room
            && !b.wants_room
            && a.to_master == b.to_master
            && same_pty(a.terminal, b.terminal)
    };
    flows.iter().any(|a| flows.iter().any(|b| meets(a, b)))
}

impl Checker<'_> {
    /// Whether the looks are far enough apart for a terminal's bytes to have arrived.
    pub(super) fn is_settled(&self) -> bool {
        let (first, second) = (self.first.scan.at_ms, self.second.scan.at_ms);
        second.saturating_sub(first) >= IDLE_AFTER_MS
    }
}
