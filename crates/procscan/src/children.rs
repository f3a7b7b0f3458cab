//! The children of the calling process.

use std::fs;

use crate::parse;

/// Every child of this process that it has not reaped, zombies included.
///
/// By the files `children` of its threads (proc_pid_task_children(5)), which are exact for one's own children as long as
/// no thread of ours forks meanwhile; where the kernel is built without them, by the parent that each process names.
#[must_use]
pub fn of_this_process() -> Vec<i32> {
    by_thread().unwrap_or_else(by_parent)
}

fn by_thread() -> Option<Vec<i32>> {
    let mut children = Vec::new();
    let mut readable = false;
    for task in fs::read_dir("/proc/self/task").ok()?.flatten() {
        // A thread that has just ended has no children any more: they are another thread's.
        let Ok(list) = fs::read_to_string(task.path().join("children")) else {
            continue;
        };
        readable = true;
        children.extend(
            list.split_ascii_whitespace()
                .filter_map(|pid| pid.parse::<i32>().ok()),
        );
    }
    readable.then_some(children)
}

fn by_parent() -> Vec<i32> {
    let own = std::process::id();
    let Ok(listing) = fs::read_dir("/proc") else {
        return Vec::new();
    };
    listing
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok())
        .filter(|pid| {
            let stat = fs::read(format!("/proc/{pid}/stat")).ok();
            stat.and_then(|stat| parse::Stat::parse(&stat).ok())
                .is_some_and(|stat| stat.ppid == own)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use std::process::{Command, Stdio};

    use super::*;

    #[test]
    fn both_ways_find_a_child_and_neither_finds_it_once_it_is_reaped() {
        let mut child = Command::new("cat")
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        let pid = child.id().cast_signed();
        assert!(by_parent().contains(&pid));
        assert!(by_thread().is_none_or(|children| children.contains(&pid)));
        drop(child.stdin.take());
        child.wait().unwrap();
        assert!(!of_this_process().contains(&pid) && !by_parent().contains(&pid));
    }
}
