//! The cheapest look at a family: is anybody running, and has anybody run since the last look?

use std::collections::BTreeSet;

use pipeclog_waitgraph::snapshot::{Pid, State, Syscall, Tid};

use crate::gaps::{Gaps, Owner};
use crate::memo::{Family, Memo};
use crate::parse::field::{decimal, key_value, lines};
use crate::parse::forks;
use crate::pass;
use crate::scanner::Selection;
use crate::source::{Cause, ReadError, Source};
use crate::task;

/// What a family's tasks are doing, and how often each has run. Two equal pulses of sleeping tasks mean that none of
/// them ran in between, and that a scan is worth its cost.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pulse {
    /// Every task of the family, by process and number.
    pub tasks: Vec<TaskPulse>,
}

/// One task's pulse.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TaskPulse {
    /// The process.
    pub pid: Pid,
    /// The task.
    pub tid: Tid,
    /// Its state.
    pub state: State,
    /// Its call.
    pub syscall: Syscall,
    /// Its voluntary and involuntary switches, where readable.
    pub switches: (Option<u64>, Option<u64>),
}

impl Pulse {
    /// Whether no task runs, and at least one of them waits in a system call.
    #[must_use]
    pub fn is_asleep(&self) -> bool {
        let runs = |task: &TaskPulse| {
            matches!(task.state, State::Running) || matches!(task.syscall, Syscall::Running)
        };
        let waits = |task: &TaskPulse| matches!(task.syscall, Syscall::Blocked { .. });
        !self.tasks.iter().any(runs) && self.tasks.iter().any(waits)
    }
}

/// Takes the pulse of processes. Those that have ended are left out.
pub(crate) fn take(
    source: &dyn Source,
    selection: &Selection,
    memo: &mut Memo,
) -> Result<Pulse, ReadError> {
    // What cannot be read shows as such in the pulse itself.
    let mut gaps = Gaps::unread(source.facts());
    let mut tasks = Vec::new();
    for pid in family(source, selection, memo)? {
        let owner = Owner {
            pid,
            tid: None,
            uid: None,
        };
        for tid in source.numbers(&format!("{pid}/task")).unwrap_or_default() {
            let Some(text) = task::read(source, owner, tid, &mut gaps) else {
                continue;
            };
            let status = text.status.as_ref();
            tasks.push(TaskPulse {
                pid: Pid(pid),
                tid: Tid(tid),
                state: task::state(text.stat.state),
                syscall: text.call,
                switches: (
                    status.and_then(|status| status.voluntary_switches),
                    status.and_then(|status| status.involuntary_switches),
                ),
            });
        }
    }
    Ok(Pulse { tasks })
}

/// How many bytes the processes of a family have written in all, to whatever it was (`wchar` of proc_pid_io(5), in which
/// those of children are counted once they have been reaped). Nothing if one of them may not be asked.
pub(crate) fn written(
    source: &dyn Source,
    selection: &Selection,
    memo: &mut Memo,
) -> Result<Option<u64>, ReadError> {
    let mut sum = 0_u64;
    let mut text = Vec::new();
    for pid in family(source, selection, memo)? {
        match source.read(&format!("{pid}/io"), &mut text) {
            Ok(()) => match count_written(&text) {
                Some(bytes) => sum = sum.wrapping_add(bytes),
                None => return Ok(None),
            },
            Err(error) if error.cause == Cause::Gone => {}
            Err(_) => return Ok(None),
        }
    }
    Ok(Some(sum))
}

fn count_written(text: &[u8]) -> Option<u64> {
    let mut fields = lines(text).filter_map(key_value);
    let (_, wchar) = fields.find(|(key, _)| *key == b"wchar")?;
    decimal(wchar)
}

/// The family. While nobody at all is born on the machine, it is the one of the last time, and listing the machine is
/// saved.
fn family(
    source: &dyn Source,
    selection: &Selection,
    memo: &mut Memo,
) -> Result<BTreeSet<u32>, ReadError> {
    let born = pass::machine_file(source, "stat", forks);
    if let (Some(known), Some(born)) = (&memo.family, born)
        && known.forks == born
        && known.selection == *selection
    {
        return Ok(known.pids.clone());
    }
    let pids = pass::family(source, selection, memo)?;
    memo.family = born.map(|forks| Family {
        selection: selection.clone(),
        forks,
        pids: pids.clone(),
    });
    Ok(pids)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_written_are_those_of_wchar_and_no_others() {
        let text = b"rchar: 1\nwchar: 323934931\nsyscr: 3\nwrite_bytes: 4\n";
        assert_eq!(count_written(text), Some(323_934_931));
        assert_eq!(count_written(b"rchar: 1\n"), None);
        assert_eq!(count_written(b""), None);
    }
}
