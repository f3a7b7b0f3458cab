//! The direct child: seen to exit, signalled, reaped, in that order.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::Instant;

use rustix::event::{PollFd, PollFlags};
use rustix::io::Errno;
use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, WaitOptions};

use crate::session::DEATH_BOUND;
use crate::tree::Descendants;
use crate::{Error, KillTarget, Status, engine, signals};

/// The leader, from the spawn until it is reaped. Dropping it unreaped kills and reaps it: no
/// zombie is left whatever happens, a panic included.
///
/// Its exit is noticed by the pidfd, which leaves a zombie. Only the last step reaps. In between,
/// the pid and the process group that is named after it cannot be used by anybody else, so signals
/// find only what was started here.
pub(crate) struct Leader {
    pid: Pid,
    pidfd: OwnedFd,
    grouping: Grouping,
    target: KillTarget,
    /// Found by a walk when the target is the tree.
    descendants: Descendants,
    state: State,
}

/// Whether the leader leads a process group of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Grouping {
    Caller,
    Own,
    /// A session of its own, and so a group as well.
    OwnSession,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    Running,
    /// Exited, and not reaped yet.
    Zombie,
    Reaped,
}

impl Leader {
    /// Takes over a child that was just spawned and that nobody else reaps.
    pub(crate) fn new(pid: Pid, pidfd: OwnedFd, grouping: Grouping, target: KillTarget) -> Self {
        Leader {
            pid,
            pidfd,
            grouping,
            target,
            descendants: Descendants::default(),
            state: State::Running,
        }
    }

    pub(crate) fn pid(&self) -> Pid {
        self.pid
    }

    /// Whether it is in the caller's process group.
    pub(crate) fn is_in_callers_group(&self) -> bool {
        self.grouping == Grouping::Caller
    }

    /// Readable once the leader has exited.
    pub(crate) fn pidfd(&self) -> BorrowedFd<'_> {
        self.pidfd.as_fd()
    }

    pub(crate) fn has_exited(&self) -> bool {
        self.state != State::Running
    }

    /// The pidfd was seen readable.
    pub(crate) fn note_exit(&mut self) {
        if self.state == State::Running {
            self.state = State::Zombie;
        }
    }

    /// SIGTERM, or another signal that asks to end, to the target, and SIGCONT, since a stopped
    /// process acts on it only when continued.
    pub(crate) fn terminate(&mut self, by: Signal) {
        if self.target == KillTarget::Tree && self.is_unreaped() {
            self.descendants.find(self.pid);
        }
        self.signal(by);
        self.signal(Signal::CONT);
    }

    /// SIGKILL to the target.
    pub(crate) fn kill(&mut self) {
        if self.target == KillTarget::Tree && self.is_unreaped() {
            let _ = rustix::process::pidfd_send_signal(&self.pidfd, Signal::STOP);
            self.descendants.find_and_stop(self.pid);
        }
        self.signal(Signal::KILL);
    }

    /// That a process has gone meanwhile is normal; that it may not be signalled (it became another
    /// user's) leaves it alive, and the wait after SIGKILL is bounded for that.
    fn signal(&self, signal: Signal) {
        if self.state == State::Reaped {
            return;
        }
        // The leader comes first: otherwise it would see its children die, and act on it.
        let _ = rustix::process::pidfd_send_signal(&self.pidfd, signal);
        match self.target {
            KillTarget::Leader => {}
            KillTarget::Group => self.signal_group(signal),
            KillTarget::Tree => {
                self.signal_group(signal);
                self.descendants.signal(signal);
            }
        }
    }

    /// Whether the pid is still the leader's. Unless it is we who reap it, the kernel (SIGCHLD is
    /// ignored) or other code of the caller may have done so, and then the number may be anybody's.
    fn is_unreaped(&self) -> bool {
        let look = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
        self.state != State::Reaped
            && rustix::process::waitid(WaitId::PidFd(self.pidfd.as_fd()), look).is_ok()
    }

    fn signal_group(&self, signal: Signal) {
        match self.grouping {
            Grouping::Caller => {}
            Grouping::Own | Grouping::OwnSession => {
                if self.is_unreaped() {
                    let _ = rustix::process::kill_process_group(self.pid, signal);
                }
            }
        }
    }

    /// Waits for the leader's exit after SIGKILL, for no longer than [`DEATH_BOUND`].
    pub(crate) fn await_death(&mut self) -> Result<(), Error> {
        let bound = Instant::now() + DEATH_BOUND;
        while !self.has_exited() {
            let mut polled = [PollFd::new(&self.pidfd, PollFlags::IN)];
            engine::poll_until(&mut polled, Some(bound))?;
            if polled.iter().any(|it| !it.revents().is_empty()) {
                self.note_exit();
            } else if Instant::now() >= bound {
                return Err(Error::unkillable(self.pid.as_raw_pid()));
            }
        }
        Ok(())
    }

    /// `wait4(pid, …, 0)`, as `std::process::Child::wait` does: for the hazards.
    pub(crate) fn wait4(&mut self) -> Result<Status, Error> {
        loop {
            if let Some(status) = self.ask(WaitOptions::empty())? {
                return Ok(status);
            }
        }
    }

    /// `wait4(pid, …, WNOHANG)`, as `std::process::Child::try_wait` does: none while the leader
    /// runs.
    pub(crate) fn try_wait4(&mut self) -> Result<Option<Status>, Error> {
        self.ask(WaitOptions::NOHANG)
    }

    fn ask(&mut self, options: WaitOptions) -> Result<Option<Status>, Error> {
        let waited = match rustix::process::waitpid(Some(self.pid), options) {
            Ok(None) | Err(Errno::INTR) => return Ok(None),
            Ok(Some((_, waited))) => waited,
            Err(Errno::CHILD) => return self.reap().map(Some),
            Err(errno) => {
                return Err(Error::system(
                    format!("wait for process {}", self.pid),
                    errno,
                ));
            }
        };
        self.state = State::Reaped;
        Ok(Some(
            match (waited.exit_status(), waited.terminating_signal()) {
                (Some(code), _) => Status::Exited(code),
                (None, Some(signal)) => Status::Signaled(signal),
                (None, None) => Status::Lost,
            },
        ))
    }

    /// Reaps the leader. Blocks unless it has exited: call it when [`Leader::has_exited`], or after
    /// SIGKILL.
    pub(crate) fn reap(&mut self) -> Result<Status, Error> {
        if self.state == State::Reaped {
            return Ok(Status::Lost);
        }
        let waited = loop {
            match rustix::process::waitid(WaitId::PidFd(self.pidfd.as_fd()), WaitIdOptions::EXITED)
            {
                Err(Errno::INTR) => continue,
                other => break other,
            }
        };
        if !matches!(waited, Err(errno) if errno != Errno::CHILD) {
            self.state = State::Reaped;
        }
        match waited {
            Ok(Some(status)) => Ok(match (status.exit_status(), status.terminating_signal()) {
                (Some(code), _) => Status::Exited(code),
                (None, Some(signal)) => Status::Signaled(signal),
                (None, None) => Status::Lost,
            }),
            // SIGCHLD is ignored, so that the kernel reaped it at once; or other code of the caller
            // did.
            Ok(None) | Err(Errno::CHILD) => {
                Ok(crate::sys::status_after_reaping(self.pidfd.as_fd()))
            }
            Err(errno) => Err(Error::system(
                format!("wait for process {}", self.pid),
                errno,
            )),
        }
    }
}

impl Drop for Leader {
    fn drop(&mut self) {
        if self.state == State::Reaped {
            return;
        }
        self.kill();
        if self.await_death().is_ok() {
            let _ = self.reap();
        } else if let Ok(pidfd) = self.pidfd.try_clone() {
            // It sleeps in the kernel and dies when that ends; somebody must be there to reap it
            // then.
            let thread = std::thread::Builder::new().name("pipeclog-reap".into());
            let _ = signals::with_all_blocked(|| {
                thread.spawn(move || {
                    rustix::process::waitid(WaitId::PidFd(pidfd.as_fd()), WaitIdOptions::EXITED)
                })
            });
        }
    }
}
