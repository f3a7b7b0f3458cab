//! The processes that one command started: adopted when they are orphaned, killed and reaped to the last one.
//!
//! The process that starts the command is a subreaper (prctl(2), `PR_SET_CHILD_SUBREAPER`) and has one tree at a time, so
//! every child that it has belongs to that tree, however often it forked or changed its session. A child
//! that was not reaped keeps its number, so a signal to it can meet nobody else.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::process::CommandExt as _;
use std::process::Command;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::sys::signal::{Signal, kill, killpg};
use nix::sys::wait::waitpid;
use nix::unistd::Pid;
use pipeclog_procscan::children;
use rustix::process::{WaitOptions, WaitStatus, wait};

/// How long killed processes may take to become reapable. A process in an uninterruptible wait takes longer, and is
/// then named as a survivor.
const REAP_BOUND: Duration = Duration::from_secs(5);

/// A leader and everything that it started.
#[derive(Debug)]
pub struct Tree {
    leader: Pid,
    group: Group,
    pidfd: OwnedFd,
    reaped: Vec<Reaped>,
}

/// A process of the tree that ended and was reaped here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reaped {
    /// Its number, free for others by now.
    pub pid: Pid,
    /// How it ended.
    pub end: End,
}

/// Which process group the leader is in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Group {
    /// One of its own: it is killed at once, but reads no terminal.
    Own,
    /// That of whoever starts it, as under a shell's `exec`: the terminal treats both alike.
    Same,
}

/// Whether a tree still has processes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Left {
    /// At least one.
    Some,
    /// None: the kernel says so.
    Nothing,
}

/// How a process ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// With this exit code; 128 and the number where a real-time signal has killed it, as a shell says.
    Code(i32),
    /// By this signal.
    Signal(Signal),
}

/// What a tree needs of the system cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum TreeError {
    /// prctl(2) refused.
    #[error("failed to become the reaper of orphans (PR_SET_CHILD_SUBREAPER): {0}")]
    Subreaper(#[source] Errno),
    /// The program could not be started.
    #[error("failed to start {program}: {source}")]
    Spawn {
        /// The program.
        program: String,
        /// Why.
        source: io::Error,
    },
    /// pidfd_open(2) refused.
    #[error("failed to open a pidfd of {pid} (Linux 5.3 or later is needed): {source}")]
    Pidfd {
        /// The process.
        pid: Pid,
        /// Why.
        source: io::Error,
    },
    /// Processes that could not be killed.
    #[error("{} processes survived SIGKILL for {} s: {pids:?}", pids.len(), REAP_BOUND.as_secs())]
    Survivors {
        /// Their numbers.
        pids: Vec<i32>,
    },
}

impl Tree {
    /// Starts `command`, with this process as the subreaper.
    ///
    /// # Errors
    ///
    /// When the program cannot be started, or the kernel has no pidfds; nothing is left behind then.
    pub fn start(command: &mut Command, group: Group) -> Result<Self, TreeError> {
        nix::sys::prctl::set_child_subreaper(true).map_err(TreeError::Subreaper)?;
        if group == Group::Own {
            command.process_group(0);
        }
        let child = command.spawn().map_err(|source| TreeError::Spawn {
            program: command.get_program().to_string_lossy().into_owned(),
            source,
        })?;
        let leader = Pid::from_raw(child.id().cast_signed());
        let pid = rustix::process::Pid::from_child(&child);
        match rustix::process::pidfd_open(pid, rustix::process::PidfdFlags::empty()) {
            Ok(pidfd) => Ok(Self {
                leader,
                group,
                pidfd,
                reaped: Vec::new(),
            }),
            Err(source) => {
                // Not reaped yet, so the number is still its own.
                let _ = kill(leader, Signal::SIGKILL);
                let _ = waitpid(leader, None);
                Err(TreeError::Pidfd {
                    pid: leader,
                    source: source.into(),
                })
            }
        }
    }

    /// The leader's number. It stays the leader's until it is reaped.
    #[must_use]
    pub fn leader(&self) -> Pid {
        self.leader
    }

    /// Readable to poll(2) once the leader has exited.
    #[must_use]
    pub fn pidfd(&self) -> BorrowedFd<'_> {
        self.pidfd.as_fd()
    }

    /// Reaps whatever has ended by now; says whether anything of the tree is left.
    pub fn reap(&mut self) -> Left {
        loop {
            // Not nix's, which has reaped a child that a real-time signal has killed and then says EINVAL.
            match wait(WaitOptions::NOHANG) {
                Ok(None) => return Left::Some,
                Ok(Some((pid, status))) => {
                    let pid = Pid::from_raw(pid.as_raw_nonzero().get());
                    self.reaped
                        .extend(end_of(status).map(|end| Reaped { pid, end }));
                }
                Err(rustix::io::Errno::INTR) => {}
                // ECHILD: the kernel itself says that this process has no child.
                Err(_) => return Left::Nothing,
            }
        }
    }

    /// Those that have been reaped so far.
    pub fn reaped(&self) -> &[Reaped] {
        &self.reaped
    }

    /// Those that the leader started and that live still: orphans become children of this process.
    #[must_use]
    pub fn living(&self) -> Vec<Pid> {
        children::of_this_process()
            .into_iter()
            .map(Pid::from_raw)
            .collect()
    }

    /// Kills and reaps the whole tree. Killing one may orphan others to us, so it goes on until this
    /// process has no child.
    ///
    /// # Errors
    ///
    /// When some survive SIGKILL for five seconds (an uninterruptible wait in the kernel); they are named.
    pub fn clear(mut self) -> Result<Vec<Reaped>, TreeError> {
        let bound = Instant::now() + REAP_BOUND;
        // The group first, and at once: one by one, those that fork could run ahead. Only while its leader has not been
        // reaped is the group's number sure to be ours.
        let leader_is_ours = !self.reaped.iter().any(|reaped| reaped.pid == self.leader);
        if self.group == Group::Own && leader_is_ours {
            let _ = killpg(self.leader, Signal::SIGKILL);
        }
        loop {
            if self.reap() == Left::Nothing {
                return Ok(self.reaped);
            }
            let living = self.living();
            if Instant::now() > bound {
                let pids = living.into_iter().map(Pid::as_raw).collect();
                return Err(TreeError::Survivors { pids });
            }
            for pid in living {
                // Our own children, not reaped yet: the number cannot have passed to another process.
                let _ = kill(pid, Signal::SIGKILL);
            }
            wait_a_little();
        }
    }
}

/// A killed process needs a moment to become a zombie, and there is nothing to poll for "any child".
#[expect(
    clippy::disallowed_methods,
    reason = "bounded by REAP_BOUND; no descriptor tells of any child's death"
)]
fn wait_a_little() {
    std::thread::sleep(Duration::from_micros(200));
}

fn end_of(status: WaitStatus) -> Option<End> {
    let killed = status.terminating_signal().map(|number| {
        // A real-time signal has no name here: told as a shell does.
        Signal::try_from(number).map_or(End::Code(128 + number), End::Signal)
    });
    killed.or_else(|| status.exit_status().map(End::Code))
}
