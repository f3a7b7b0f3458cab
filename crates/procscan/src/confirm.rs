//! The second look.

use pipeclog_waitgraph::snapshot::{Process, Snapshot, State, Syscall, Table, Task, Wait};

use crate::gaps::{Gaps, Owner};
use crate::memo::Memo;
use crate::needs::Kinship;
use crate::parse::{Stat, boot_ms, forks};
use crate::pass::machine_file;
use crate::process::ProcessReader;
use crate::sockets::Sockets;
use crate::source::Source;
use crate::task::{self, TaskText};

/// See [`crate::Scanner::confirm`]. `None` if somebody was born in the meantime: then only a whole pass will do, since
/// the newborn may have inherited an end from a holder that has exited.
pub(crate) fn run(source: &dyn Source, first: &Snapshot, memo: &mut Memo) -> Option<Snapshot> {
    let facts = source.facts();
    let mut gaps = Gaps::new(source, facts);
    memo.freezers.clear();
    let mut second = first.clone();
    second.scan.at_ms = machine_file(source, "uptime", boot_ms).unwrap_or(0);
    second.scan.dropped_before = 0;
    second.scan.forks_before = machine_file(source, "stat", forks);
    let reader = ProcessReader::new(source, memo);
    let mut sockets = Sockets::default();
    let mut anybody_moved = false;
    // On this thread alone: a thread of ours would count as one who was born.
    second.processes.retain_mut(|process| {
        let Some(stat) = stat(source, process) else {
            anybody_moved = true;
            return false;
        };
        // Nothing was seen of it but its stat, and nothing more will be.
        if process.table == Table::Unread {
            return true;
        }
        if has_moved(source, process, &mut gaps) {
            anybody_moved = true;
            match reader.read(&stat, Kinship::Family, &mut gaps) {
                Some(fresh) => *process = fresh,
                None => return false,
            }
            sockets.fill(source, process, &mut gaps);
        }
        true
    });
    second.scan.forks_after = machine_file(source, "stat", forks);
    if first.scan.forks_after.is_none() || first.scan.forks_after != second.scan.forks_after {
        return None;
    }
    second.gaps.extend(gaps.into_list());
    second.gaps.sort();
    second.gaps.dedup();
    // Of those who all slept from the first look to the second, one moment shows what each of them held.
    if anybody_moved {
        see_who_sleeps_on(source, first, &mut second);
    }
    Some(second)
}

/// Looks once more at the tasks that slept in both looks, after all else was read, and writes down those that sleep no more.
/// Somebody who was read after a sleeper may have ended in between: then his end is in no table of the second look because he
/// has just closed it, which has woken the sleeper.
pub(crate) fn see_who_sleeps_on(source: &dyn Source, first: &Snapshot, second: &mut Snapshot) {
    let mut gaps = Gaps::unread(source.facts());
    for process in &mut second.processes {
        let Some(before) = first.process(process.pid) else {
            continue;
        };
        let owner = Owner {
            pid: process.pid.0,
            tid: None,
            uid: process.uid,
        };
        for task in &mut process.tasks {
            let slept = |earlier: &&Task| {
                earlier.tid == task.tid
                    && earlier.syscall == task.syscall
                    && earlier.switches_voluntary == task.switches_voluntary
            };
            let is_blocked = matches!(task.syscall, Syscall::Blocked { .. });
            if !is_blocked || before.tasks.iter().find(slept).is_none() {
                continue;
            }
            match task::read(source, owner, task.tid.0, &mut gaps) {
                Some(text) if is_same(task, &text) => {}
                _ => {
                    task.state = State::Running;
                    task.syscall = Syscall::Running;
                    task.wait = Wait::Running;
                }
            }
        }
    }
}

/// The process's stat, if the number is still that process.
fn stat(source: &dyn Source, process: &Process) -> Option<Stat> {
    let mut text = Vec::new();
    source
        .read(&format!("{}/stat", process.pid), &mut text)
        .ok()?;
    Stat::parse(&text)
        .ok()
        .filter(|stat| stat.start_ticks == process.start_ticks)
}

/// Whether any task has run, ended or come since the first look.
fn has_moved(source: &dyn Source, process: &Process, gaps: &mut Gaps) -> bool {
    let owner = Owner {
        pid: process.pid.0,
        tid: None,
        uid: process.uid,
    };
    let Ok(tids) = source.numbers(&format!("{}/task", process.pid)) else {
        return true;
    };
    let mut known = process.tasks.iter();
    for tid in tids {
        let Some(text) = task::read(source, owner, tid, gaps) else {
            continue;
        };
        if !known.next().is_some_and(|task| is_same(task, &text)) {
            return true;
        }
    }
    known.next().is_some()
}

fn is_same(task: &Task, text: &TaskText) -> bool {
    let status = text.status.as_ref();
    task.tid.0 == text.tid
        && task.state == task::state(text.stat.state)
        && !matches!(task.state, State::Running)
        && matches!(task.syscall, Syscall::Blocked { .. } | Syscall::Outside)
        && task.syscall == text.call
        && task.switches_voluntary == status.and_then(|status| status.voluntary_switches)
        && task.switches_involuntary == status.and_then(|status| status.involuntary_switches)
}
