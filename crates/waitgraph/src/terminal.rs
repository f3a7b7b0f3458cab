//! Terminals: a worker of the kernel moves their bytes, so both sides may be seen asleep with bytes under way.
//!
//! What one side writes goes into a buffer of the other's port, and `flush_to_ldisc` (drivers/tty/tty_buffer.c) takes
//! it from there to whoever reads. The worker is a kernel thread's and shows in no task: a writer that waits for room
//! and a reader that waits for data of the same direction are then both asleep, and neither for good.

use std::collections::BTreeSet;

use crate::awaited::BreakKind;
use crate::descriptor::{Descriptor, EventSet, Object};
use crate::waiting::Waiting;

/// How far apart two looks must be, in milliseconds, to show that the worker has nothing left to do. It is queued at
/// once when bytes come and runs within a tick or so; nothing bounds it, so that it is idle is in the closed world.
pub(crate) const SETTLED_MS: u64 = 100;

/// Which side of a terminal bytes go to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Toward {
    Master,
    Slave,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Need {
    Data,
    Room,
}

/// What a task needs of one direction of a terminal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Use {
    index: u32,
    toward: Toward,
    need: Need,
    devpts: Option<u64>,
}

impl Use {
    /// Whether one needs room in, and one data of, the same direction of what may be the same terminal.
    fn meets(&self, other: &Self) -> bool {
        let same_mount = match (self.devpts, other.devpts) {
            (Some(here), Some(there)) => here == there,
            (None, _) | (_, None) => true,
        };
        (self.index, self.toward) == (other.index, other.toward)
            && self.need != other.need
            && same_mount
    }
}

/// What somebody who waits for `events` at `descriptor` needs of its terminal, if it is one.
pub(crate) fn uses(descriptor: &Descriptor, events: EventSet) -> Vec<Use> {
    let (index, devpts, inward, outward) = match descriptor.object {
        Object::PtyMaster { index, devpts } => (index, devpts, Toward::Master, Toward::Slave),
        Object::PtySlave { index, devpts } => (index, devpts, Toward::Slave, Toward::Master),
        _ => return Vec::new(),
    };
    let used = |toward, need| Use {
        index,
        toward,
        need,
        devpts,
    };
    let data = events.reads().then(|| used(inward, Need::Data));
    let room = events.writes().then(|| used(outward, Need::Room));
    data.into_iter().chain(room).collect()
}

/// Breaks every wait for room in a direction of a terminal whose data somebody waits for, and every wait for that data.
pub(crate) fn note_bytes_under_way(waits: &mut [Waiting]) {
    let known: BTreeSet<Use> = waits.iter().flat_map(|w| w.terminals.clone()).collect();
    let is_answered = |used: &&Use| known.iter().any(|other| used.meets(other));
    for waiting in waits {
        if let Some(index) = waiting
            .terminals
            .iter()
            .find(|u| is_answered(u))
            .map(|u| u.index)
        {
            let why = format!(
                "waits on the terminal /dev/pts/{index}, whose other side waits for the very same bytes: the kernel is \
                 moving them, or holds them back (Ctrl-S)"
            );
            waiting.breaks(BreakKind::External, why);
        }
    }
}
