//! The first look at a whole machine: which processes have a task that could be part of a deadlock, told by its call
//! and its registers alone.

use pipeclog_waitgraph::snapshot::Abi;

use crate::calls;
use crate::parse::{CallLine, Stat};
use crate::source::{Facts, Source};

/// Whether a task of the process is blocked, with no end in sight, in a call on a descriptor, a child or a lock.
pub(crate) fn is_suspect(source: &dyn Source, facts: Facts, stat: &Stat) -> bool {
    let mut text = Vec::new();
    let mut blocked =
        |path: String| source.read(&path, &mut text).is_ok() && is_endless(facts.abi, &text);
    if stat.threads <= 1 {
        return blocked(format!("{}/syscall", stat.pid));
    }
    let tids = source
        .numbers(&format!("{}/task", stat.pid))
        .unwrap_or_default();
    tids.into_iter()
        .any(|tid| blocked(format!("{}/task/{tid}/syscall", stat.pid)))
}

/// A number that the table lacks may be anything, and 32-bit programs have other numbers: only what is known to end,
/// or to depend on a thread of the same process, is passed over.
fn is_endless(abi: Abi, text: &[u8]) -> bool {
    let Ok(CallLine::Blocked { number, args, .. }) = CallLine::parse(text) else {
        return false;
    };
    let [_, _, third, fourth, fifth, _] = args;
    // The sign bit of an `int`: poll's and epoll_wait's "for ever".
    let negative = |register: u64| register & 0x8000_0000 != 0;
    match calls::name(abi, number) {
        Some("nanosleep" | "clock_nanosleep" | "rt_sigtimedwait" | "futex" | "pause") => false,
        Some("poll") => negative(third),
        Some("ppoll") => third == 0,
        Some("select" | "pselect6") => fifth == 0,
        Some("epoll_wait" | "epoll_pwait") => negative(fourth),
        Some("epoll_pwait2") => fourth == 0,
        _ => true,
    }
}
