//! Helper threads of runtimes: asleep with a timeout, and inert as far as pipes go.
//!
//! They break a strict proof and are taken for inert only in the second tier, by exact name and only while they sleep on
//! a futex. A thread of a user's own with a timeout is never among them.

use crate::awaited::Runtime;
use crate::snapshot::{GoProgram, Process, Task};
use crate::wait::{Timeout, Wait};

/// Threads of HotSpot that wait with timeouts, as `comm` cuts their names (JDK 8 to 21).
const HOTSPOT: [&[u8]; 9] = [
    b"VM Thread",
    b"VM Periodic Tas",
    b"G1 Service",
    b"G1 Main Concurr",
    b"Monitor Deflati",
    b"C1 CompilerThre",
    b"C2 CompilerThre",
    b"Common-Cleaner",
    b"Sweeper thread",
];

/// Go's monitor thread sleeps for a minute when nothing else runs (`forcegcperiod / 2`, runtime/proc.go).
/// It goes back to what is left of it when it is woken early.
const SYSMON_NS: std::ops::RangeInclusive<u64> = 50_000_000_000..=60_000_000_000;

/// Which runtime `task` is a helper of, if it is one and sleeps as they do.
pub(crate) fn helper_of(process: &Process, task: &Task) -> Option<Runtime> {
    let Wait::Futex { timeout, .. } = &task.wait else {
        return None;
    };
    if is_hotspot(process) && HOTSPOT.contains(&task.comm.as_bytes()) {
        return Some(Runtime::HotSpot);
    }
    // Sysmon is the first thread that the runtime starts.
    let first_started = process
        .tasks
        .iter()
        .map(|t| t.tid)
        .filter(|t| t.0 != process.pid.0)
        .min();
    (process.go_program == GoProgram::Yes
        && first_started == Some(task.tid)
        && matches!(timeout, Timeout::After(ns) if SYSMON_NS.contains(ns)))
    .then_some(Runtime::Go)
}

/// Whether it is the thread that waits for a child of a HotSpot virtual machine, whatever the program itself waits for.
pub(crate) fn is_reaper(process: &Process, task: &Task) -> bool {
    // JDK 17 adds the number of the child to the name, which is cut before it.
    task.comm.as_bytes().starts_with(b"process reaper") && is_hotspot(process)
}

/// Whether a thread of this name may be one that a runtime starts by itself.
pub(crate) fn is_runtime_name(comm: &[u8]) -> bool {
    HOTSPOT.contains(&comm) || comm.starts_with(b"process reaper")
}

/// Whether the process is a HotSpot virtual machine: it has the two threads that every one has.
pub(crate) fn is_hotspot(process: &Process) -> bool {
    let has = |name: &[u8]| process.tasks.iter().any(|t| t.comm.as_bytes() == name);
    has(b"VM Thread") && has(b"VM Periodic Tas")
}
