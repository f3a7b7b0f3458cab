//! The children of the calling process.

use std::fs;

/// Every child of this process that it has not reaped, zombies included: by the files `children` of its threads
/// (proc_pid_task_children(5)), which are exact for one's own children as long as no thread of ours forks meanwhile.
/// Empty too where the kernel is built without CONFIG_PROC_CHILDREN, which no distribution's is.
#[must_use]
pub fn of_this_process() -> Vec<i32> {
    let Ok(tasks) = fs::read_dir("/proc/self/task") else {
        return Vec::new();
    };
    let mut children = Vec::new();
    for task in tasks.flatten() {
        // A thread that has just ended has no children any more: they are another thread's.
        let Ok(list) = fs::read_to_string(task.path().join("children")) else {
            continue;
        };
        children.extend(
            list.split_ascii_whitespace()
                .filter_map(|pid| pid.parse::<i32>().ok()),
        );
    }
    children
}
