//! Waits for tasks rather than for descriptors: children, futexes, locks, partners at a FIFO.

use std::collections::BTreeSet;

use crate::awaited::{Assumption, BreakKind, What};
use crate::descriptor::{Descriptor, FileId, Object};
use crate::snapshot::{FileLock, Pid, Process, Task};
use crate::untrusted::Untrusted;
use crate::wait::{ChildSet, FutexScope, Wait};
use crate::waiting::Waiting;
use crate::world::{TaskId, World, has_exited, live_tasks};

/// Resolves a wait for other tasks.
pub(crate) fn resolve(world: &World<'_>, process: &Process, task: &Task, waiting: &mut Waiting) {
    match &task.wait {
        Wait::Child { children } => child(world, process, task, *children, waiting),
        Wait::Vfork => vfork(world, process, waiting),
        Wait::Futex { scope, timeout, .. } => {
            waiting.timed(*timeout);
            futex(world, process, *scope, waiting);
        }
        Wait::Lock { fd, .. } => lock(world, process, task, *fd, waiting),
        Wait::FifoOpen { path, file, .. } => fifo(world, process, path.as_ref(), *file, waiting),
        _ => {}
    }
}

fn child(world: &World<'_>, process: &Process, task: &Task, set: ChildSet, waiting: &mut Waiting) {
    let matching = match set {
        ChildSet::Pidfd(fd) => match process.table_of(task).get(fd) {
            Some(Descriptor {
                object: Object::Pidfd { target: Some(pid) },
                ..
            }) => world.process(*pid).into_iter().collect(),
            _ => {
                return waiting.breaks(
                    BreakKind::Unknown,
                    "waits for a child by a pidfd that could not be read",
                );
            }
        },
        // A group is over-approximated by all children: more wakers can only weaken a verdict.
        ChildSet::Any | ChildSet::Group(_) => world.children(process.pid),
        ChildSet::Pid(pid) => world
            .children(process.pid)
            .into_iter()
            .filter(|c| pid_seen_by(process, c) == Some(pid))
            .collect(),
    };
    if matching.is_empty() {
        return waiting.breaks(BreakKind::Unknown, "waits for a child that is not in sight");
    }
    if matching.iter().any(|c| has_exited(c) && c.tracer.is_none()) {
        return waiting.breaks(BreakKind::Live, "waits for a child that has exited already");
    }
    for child in matching {
        waiting.add(None, What::Exit { pid: child.pid }, live_tasks(child));
    }
}

/// The number of `child` in the pid namespace of `waiter` (`NSpid` lists them from the reader's inwards).
fn pid_seen_by(waiter: &Process, child: &Process) -> Option<u32> {
    match waiter.ns_pids.len() {
        0 | 1 => Some(child.pid.0),
        depth => child.ns_pids.get(depth - 1).copied(),
    }
}

fn vfork(world: &World<'_>, process: &Process, waiting: &mut Waiting) {
    let children: Vec<&Process> = world
        .children(process.pid)
        .into_iter()
        .filter(|c| !has_exited(c))
        .collect();
    if children.is_empty() {
        waiting.breaks(
            BreakKind::Unknown,
            "waits for a vfork child that is not in sight",
        );
    }
    for child in children {
        waiting.add(None, What::Vfork { pid: child.pid }, live_tasks(child));
    }
}

fn futex(world: &World<'_>, process: &Process, scope: FutexScope, waiting: &mut Waiting) {
    match scope {
        FutexScope::PrivateFlag | FutexScope::PrivateMapping => {
            let me = waiting.task;
            let sharing = world
                .sharing_memory(process)
                .into_iter()
                .flat_map(live_tasks);
            waiting.add(None, What::Futex, sharing.filter(|t| *t != me));
        }
        FutexScope::SharedMapping => {
            waiting.breaks(
                BreakKind::Unknown,
                "waits for a lock in shared memory, which any process may map",
            );
        }
        FutexScope::Unknown => {
            waiting.breaks(
                BreakKind::Unknown,
                "waits for a lock that may be in shared memory",
            );
        }
    }
}

fn lock(world: &World<'_>, process: &Process, task: &Task, fd: u32, waiting: &mut Waiting) {
    let waits_here = |l: &&FileLock| l.waiters.contains(&process.pid);
    let file = process.table_of(task).get(fd).and_then(|d| d.id);
    let found: Vec<&FileLock> = world
        .second
        .locks
        .iter()
        .filter(waits_here)
        // /proc/locks names the inode exactly; its device may be written in another form than stat's.
        .filter(|l| file.is_none_or(|f| f.ino == l.file.ino))
        .collect();
    let mut wakers = BTreeSet::new();
    for lock in &found {
        // The first locker may be gone, and the lock live on with the description that it passed on or inherited.
        let holders: Vec<&Process> = match lock.holder.and_then(|pid| world.process(pid)) {
            Some(holder) => vec![holder],
            None => openers(world, process.pid, lock.file.ino),
        };
        if holders.is_empty() {
            return waiting.breaks(
                BreakKind::Unknown,
                "waits for a file lock whose holder is not in sight",
            );
        }
        wakers.extend(holders.into_iter().flat_map(live_tasks));
        waiting
            .assumptions
            .insert(Assumption::FirstLocker { file: lock.file });
    }
    match found.first() {
        Some(lock) => waiting.add(Some(fd), What::Lock { file: lock.file }, wakers),
        None => waiting.breaks(
            BreakKind::Unknown,
            "waits for a file lock that /proc/locks does not show",
        ),
    }
}

/// Processes other than the waiter that have a regular file open.
fn openers<'a>(world: &World<'a>, waiter: Pid, ino: u64) -> Vec<&'a Process> {
    let has_it = |p: &&Process| {
        p.table.known().iter().any(|d| {
            matches!(d.object, Object::File { .. }) && d.id.is_some_and(|id| id.ino == ino)
        })
    };
    world
        .second
        .processes
        .iter()
        .filter(|p| p.pid != waiter)
        .filter(has_it)
        .collect()
}

/// A FIFO can be opened by anyone with the right to, so an opener alone is never deadlocked. It probably is if others of
/// its family wait at other FIFOs, crosswise, or if its partner would be a parent that waits in vfork.
fn fifo(
    world: &World<'_>,
    process: &Process,
    path: Option<&Untrusted>,
    file: Option<FileId>,
    waiting: &mut Waiting,
) {
    let (Some(file), Some(path)) = (file, path) else {
        return waiting.breaks(
            BreakKind::Unknown,
            "opens a FIFO whose path could not be read",
        );
    };
    let crosswise = crosswise_openers(world, process, file);
    let vfork_parent = world
        .process(process.ppid)
        .filter(|p| p.tasks.iter().any(|t| t.wait == Wait::Vfork));
    if crosswise.is_empty() && vfork_parent.is_none() {
        return waiting.breaks(
            BreakKind::External,
            format!("waits for anybody to open the FIFO {}", path.terminal(80)),
        );
    }
    let mut wakers: BTreeSet<TaskId> = live_tasks(process).into_iter().collect();
    wakers.extend(vfork_parent.into_iter().flat_map(live_tasks));
    let above: BTreeSet<Pid> = world.ancestors(process.pid).into_iter().collect();
    for other in &world.second.processes {
        // Whoever belongs to the same job may be about to open it, save those above, who started the openers.
        let same_job = other.pgrp == process.pgrp && !above.contains(&other.pid);
        if same_job || crosswise.contains(&other.pid) {
            wakers.extend(live_tasks(other));
        }
    }
    wakers.remove(&waiting.task);
    waiting.assumptions.insert(Assumption::ClosedFifo {
        file,
        path: path.clone(),
    });
    waiting.add(
        None,
        What::Partner {
            file,
            path: path.clone(),
        },
        wakers,
    );
}

/// Processes of the same family that wait to open another FIFO than `file`.
fn crosswise_openers(world: &World<'_>, process: &Process, file: FileId) -> BTreeSet<Pid> {
    let opens_another = |p: &&Process| {
        p.tasks
            .iter()
            .any(|t| matches!(&t.wait, Wait::FifoOpen { file: Some(f), .. } if *f != file))
    };
    let is_family = |p: &&Process| {
        p.pgrp == process.pgrp
            || (p.ppid == process.ppid && p.ppid.0 > 1)
            || world.is_descendant(p.pid, process.pid)
            || world.is_descendant(process.pid, p.pid)
    };
    world
        .second
        .processes
        .iter()
        .filter(opens_another)
        .filter(is_family)
        .map(|p| p.pid)
        .collect()
}
