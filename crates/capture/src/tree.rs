//! The descendants of a leader, found by `/proc`.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::fd::OwnedFd;

use rustix::process::{Pid, PidfdFlags, Signal};

use crate::engine;

/// How often the walk is repeated while it finds new descendants or some that move: neither a fork bomb nor a
/// descendant that may not be signalled must keep it busy for long.
const ROUNDS: usize = 64;

/// The descendants of a leader, the leader itself excepted, each held by a pidfd once it was found.
///
/// A descendant is a process in the leader's group or session, or a child of a descendant. They
/// must be found before the first of them dies, since the children of the dead are given to another
/// parent; who was found once stays known.
#[derive(Default)]
pub(crate) struct Descendants {
    held: BTreeMap<i32, OwnedFd>,
}

impl Descendants {
    /// Looks once. The leader must not have been reaped, so that its pid still names its group.
    pub(crate) fn find(&mut self, leader: Pid) {
        self.look(leader);
    }

    /// Stops each as it is found, and looks again until no new one is found and all of them stand: what
    /// is stopped cannot fork, but a stop only takes effect when the fork that a process is in has been
    /// completed.
    pub(crate) fn find_and_stop(&mut self, leader: Pid) {
        for _ in 0..ROUNDS {
            self.signal(Signal::STOP);
            if self.look(leader) == Found::AllThatStand {
                return;
            }
            std::thread::yield_now();
        }
        self.signal(Signal::STOP);
    }

    /// Signals each that was found. That it has gone is normal.
    pub(crate) fn signal(&self, signal: Signal) {
        for pidfd in self.held.values() {
            let _ = rustix::process::pidfd_send_signal(pidfd, signal);
        }
    }

    fn look(&mut self, leader: Pid) -> Found {
        let processes = scan();
        // Only after the scan: who lives now had this pid while it was made.
        self.held.retain(|_, pidfd| !engine::is_readable(pidfd));
        let before = self.held.len();
        let roots: Vec<i32> = self
            .held
            .keys()
            .copied()
            .chain([leader.as_raw_pid()])
            .collect();
        let may_fork = |process: &Process| process.may_fork && roots.contains(&process.pid);
        let moves = processes.iter().any(may_fork);
        for process in descendants(leader.as_raw_pid(), &roots, &processes) {
            if let Some(pidfd) = hold(process) {
                self.held.insert(process.pid, pidfd);
            }
        }
        if moves || self.held.len() > before {
            Found::SomethingMoves
        } else {
            Found::AllThatStand
        }
    }
}

/// What a look found.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Found {
    /// A new descendant, or one that is not stopped.
    SomethingMoves,
    AllThatStand,
}

/// What the walk knows of one process (proc_pid_stat(5)).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Process {
    pid: i32,
    /// It is neither stopped nor dead, nor asleep so that nothing wakes it but what it waits for, as who
    /// waits for a vfork child is.
    may_fork: bool,
    parent: i32,
    group: i32,
    session: i32,
    /// In clock ticks since boot: with the pid, it names a process for good.
    started: u64,
}

/// Opens a pidfd, and looks again at what it stands for: the pid may have passed to another process
/// since the scan.
fn hold(process: &Process) -> Option<OwnedFd> {
    let pidfd =
        rustix::process::pidfd_open(Pid::from_raw(process.pid)?, PidfdFlags::empty()).ok()?;
    let now = look_at(process.pid)?;
    (now.started == process.started).then_some(pidfd)
}

fn scan() -> Vec<Process> {
    let Ok(entries) = fs::read_dir("/proc") else {
        return Vec::new();
    };
    entries
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
        .filter_map(look_at)
        .collect()
}

fn look_at(pid: i32) -> Option<Process> {
    parse(pid, &fs::read(format!("/proc/{pid}/stat")).ok()?)
}

/// The name, in parentheses, may hold anything, so the fields are counted from its last
/// parenthesis.
fn parse(pid: i32, stat: &[u8]) -> Option<Process> {
    let after_name = stat
        .iter()
        .rposition(|byte| *byte == b')')?
        .checked_add(1)?;
    let text = std::str::from_utf8(stat.get(after_name..)?).ok()?;
    let mut fields = text.split_ascii_whitespace();
    let may_fork = !matches!(fields.next()?, "T" | "t" | "D" | "Z" | "X");
    let mut number = || fields.next()?.parse().ok();
    let (parent, group, session) = (number()?, number()?, number()?);
    // Fields 7 to 21 lie between the session and the start time, which is field 22.
    let started = fields.nth(15)?.parse().ok()?;
    Some(Process {
        pid,
        may_fork,
        parent,
        group,
        session,
        started,
    })
}

/// The descendants among these that are no roots: a fixed point, since a parent may be listed after
/// its child.
fn descendants<'a>(leader: i32, roots: &[i32], processes: &'a [Process]) -> Vec<&'a Process> {
    let mut pids: BTreeSet<i32> = roots.iter().copied().collect();
    let mut members = Vec::new();
    loop {
        let before = members.len();
        for process in processes {
            let joins = process.group == leader
                || process.session == leader
                || pids.contains(&process.parent);
            if joins && pids.insert(process.pid) {
                members.push(process);
            }
        }
        if members.len() == before {
            return members;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_parentheses_and_spaces_does_not_move_the_fields() {
        let stat = b"41 (a) b (c) S 7 8 9 0 -1 4194304 1 0 0 0 0 0 0 0 20 0 1 0 123456 1 1";
        let expected = Process {
            pid: 41,
            may_fork: true,
            parent: 7,
            group: 8,
            session: 9,
            started: 123_456,
        };
        assert_eq!(parse(41, stat), Some(expected));
    }

    #[test]
    fn this_process_is_found_with_its_own_group() {
        let me = rustix::process::getpid().as_raw_pid();
        let found = look_at(me).expect("our own stat is readable");
        // Not rustix: it asserts that neither is 0, as both are for whom an outer pid namespace
        // started.
        assert_eq!(found.group, nix::unistd::getpgrp().as_raw());
        assert_eq!(found.parent, nix::unistd::getppid().as_raw());
    }

    #[test]
    fn a_number_that_has_passed_to_another_process_is_not_held() {
        let me = look_at(rustix::process::getpid().as_raw_pid()).expect("our own stat is readable");
        assert!(hold(&me).is_some());
        let before = Process {
            started: me.started - 1,
            ..me
        };
        assert!(
            hold(&before).is_none(),
            "it has our number, and ended before us"
        );
    }

    #[test]
    fn a_truncated_stat_is_no_process() {
        for stat in [
            &b""[..],
            b"1 (x",
            b"1 (x)",
            b"1 (x) S 1 2",
            b"1 (x) S 1 2 3 4 5",
        ] {
            assert_eq!(parse(1, stat), None);
        }
    }

    #[test]
    fn descent_goes_through_parents_groups_and_sessions() {
        let process = |pid, parent, group, session| Process {
            pid,
            may_fork: true,
            parent,
            group,
            session,
            started: 0,
        };
        let all = [
            process(5, 4, 90, 90),  // grandchild, listed before its parent
            process(4, 3, 80, 80),  // child
            process(6, 1, 3, 70),   // orphan in the leader's group
            process(7, 1, 60, 3),   // orphan in the leader's session
            process(8, 1, 50, 50),  // a stranger
            process(11, 9, 40, 40), // child of one found earlier, whose own parent is gone
            process(3, 2, 3, 3),    // the leader
        ];
        let mut found: Vec<i32> = descendants(3, &[3, 9], &all)
            .iter()
            .map(|it| it.pid)
            .collect();
        found.sort_unstable();
        assert_eq!(found, [4, 5, 6, 7, 11]);
    }
}
