//! Signals to a family, by pidfd: a number that was reused in the meantime meets nobody else.

use std::collections::BTreeSet;
use std::os::fd::OwnedFd;

use pipeclog_procscan::{ScanError, Scanner, Selection};
use pipeclog_waitgraph::snapshot::Pid;
use rustix::process::{PidfdFlags, Signal, pidfd_open, pidfd_send_signal};

/// Sends `signal` to each descendant of `root` of which `whom` holds, then SIGCONT, as timeout(1) does: who is stopped
/// could not act on it. Says who had it.
///
/// A descendant is listed, its pidfd opened, and the family listed again: whoever bears the number then is of the family, and
/// the pidfd is his, or refers to one who has gone.
pub(crate) fn to_family(
    scanner: &mut Scanner,
    root: Pid,
    signal: Signal,
    whom: impl Fn(Pid) -> bool,
) -> Result<BTreeSet<Pid>, ScanError> {
    let listed = family(scanner, root)?;
    let opened: Vec<(Pid, OwnedFd)> = listed
        .into_iter()
        .filter(|pid| whom(*pid))
        .filter_map(|pid| {
            let number = rustix::process::Pid::from_raw(pid.0.cast_signed())?;
            Some((pid, pidfd_open(number, PidfdFlags::empty()).ok()?))
        })
        .collect();
    let still = family(scanner, root)?;
    let mut had = BTreeSet::new();
    for (pid, pidfd) in opened.iter().filter(|(pid, _)| still.contains(pid)) {
        // ESRCH: it has ended. EPERM: it has become another user's, and nothing can be done.
        if pidfd_send_signal(pidfd, signal).is_ok() {
            had.insert(*pid);
        }
        if signal != Signal::KILL && signal != Signal::CONT {
            let _ = pidfd_send_signal(pidfd, Signal::CONT);
        }
    }
    Ok(had)
}

fn family(scanner: &mut Scanner, root: Pid) -> Result<BTreeSet<Pid>, ScanError> {
    let pulse = scanner.pulse(&Selection::Tree(vec![root]))?;
    let pids = pulse.tasks.iter().map(|task| task.pid);
    Ok(pids.filter(|pid| *pid != root).collect())
}
