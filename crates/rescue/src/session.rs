//! One rescue, from the first look to the end of the trouble: look, prove, act, look again.

use std::os::fd::{AsFd as _, OwnedFd};
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use pipeclog_procscan::{ScanError, Scanner, Selection};
use pipeclog_waitgraph::check::Proof;
use pipeclog_waitgraph::snapshot::{Pid, Snapshot};
use rustix::process::{PidfdFlags, pidfd_open};

use crate::grow::{Action, Limits, Mode, RescueError, grow};
use crate::plan::{Plan, Refusal, plan};
use crate::spool::{Deed, Spool, SpoolError};

/// Between looks after something was done.
const SOON: Duration = Duration::from_millis(2);
/// Between looks while all goes well.
const TICK: Duration = Duration::from_millis(50);
/// How long those who were freed may take to run at all, on a loaded machine, before the channel is made larger still; and how
/// long a process that is not deadlocked yet is looked at.
const TO_MOVE: Duration = Duration::from_secs(1);

/// Whom to rescue, and how far.
#[derive(Debug, Clone)]
pub struct Session {
    /// The process.
    pub target: Pid,
    /// How far channels may grow.
    pub limits: Limits,
    /// Whether it is done or only told.
    pub mode: Mode,
    /// How long it must go well before it is left alone; a process that ends is left alone at once.
    pub guard: Duration,
    /// Where a pipe goes that can grow no more; without one it stays as it is.
    pub spool: Option<Spool>,
}

/// What is told while it happens.
#[derive(Debug)]
pub enum Event<'a> {
    /// A deadlock was certified, and this is about to be done.
    Planned(&'a Plan),
    /// It was done; in a dry run it would have been.
    Done(&'a Action),
    /// A pipe that can grow no more is taken to disk and back.
    Spooled(&'a Deed),
}

/// How it ended well.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    /// The process has ended by itself.
    Exited,
    /// It goes on, and was not stuck again while it was guarded.
    GoesOn,
    /// Nothing was done, as was asked.
    DryRun,
}

/// How it ended otherwise.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// Nothing can be done.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// Nothing more can be done.
    #[error(transparent)]
    Stuck(#[from] RescueError),
    /// A pipe that can grow no more cannot be taken to disk, or not be given back yet.
    #[error(transparent)]
    Spool(#[from] SpoolError),
    /// There is no such process.
    #[error("failed to find process {0}: there is none; it may have ended")]
    NoProcess(Pid),
    /// `/proc` cannot be read.
    #[error(transparent)]
    Scan(#[from] ScanError),
    /// poll(2) refused.
    #[error("failed to wait for process {pid} (poll): {}", .source.desc())]
    Wait {
        /// Which.
        pid: Pid,
        /// Why.
        source: Errno,
    },
}

impl Session {
    /// Rescues.
    ///
    /// # Errors
    /// A [`Failure`]: a refusal before anything was done, or the reason why no more can be done.
    pub fn run(&self, tell: &mut dyn FnMut(&Event<'_>)) -> Result<Ended, Failure> {
        let number = rustix::process::Pid::from_raw(self.target.0.cast_signed());
        let process = number
            .and_then(|number| pidfd_open(number, PidfdFlags::empty()).ok())
            .ok_or(Failure::NoProcess(self.target))?;
        let mut scanner = Scanner::new("/proc")?;
        let selection = Selection::Tree(vec![self.target]);
        let started = Instant::now();
        let mut acted: Option<Acted> = None;
        loop {
            let looks = scanner.scan_twice(&selection)?;
            match plan(&looks, self.target) {
                Ok(_) if acted.as_ref().is_some_and(|acted| acted.waits(&looks)) => {
                    self.pause(&process, SOON)?;
                }
                Ok(plan) => {
                    tell(&Event::Planned(&plan));
                    self.act(&plan, &looks, tell)?;
                    if self.mode == Mode::DryRun {
                        return Ok(Ended::DryRun);
                    }
                    acted = Some(Acted {
                        at: Instant::now(),
                        proof: plan.proof,
                        look: looks.into_iter().next_back(),
                    });
                    self.pause(&process, SOON)?;
                }
                // Whoever ran during the look may be about to sleep for good.
                Err(Refusal::NotDeadlocked { .. })
                    if acted.is_none() && started.elapsed() < TO_MOVE =>
                {
                    if self.pause(&process, TICK)? == Paused::Exited {
                        return Err(Failure::NoProcess(self.target));
                    }
                }
                Err(refusal) => match (&acted, refusal) {
                    (Some(acted), Refusal::NotDeadlocked { .. }) => {
                        if self.pause(&process, TICK)? == Paused::Exited {
                            return Ok(Ended::Exited);
                        }
                        if acted.at.elapsed() >= self.guard {
                            return Ok(Ended::GoesOn);
                        }
                    }
                    (_, refusal) => return Err(refusal.into()),
                },
            }
        }
    }

    /// Makes a channel larger, or takes one to disk that cannot become larger.
    fn act(
        &self,
        plan: &Plan,
        looks: &[Snapshot],
        tell: &mut dyn FnMut(&Event<'_>),
    ) -> Result<(), Failure> {
        let error = match grow(plan, self.limits, self.mode) {
            Ok(action) => {
                tell(&Event::Done(&action));
                return Ok(());
            }
            Err(error) => error,
        };
        let (Some(spool), Some(look)) = (&self.spool, looks.last()) else {
            return Err(error.into());
        };
        match error {
            RescueError::NoRoom { .. } | RescueError::OverBudget { .. } => {
                let mut deed = |deed: &Deed| tell(&Event::Spooled(deed));
                Ok(spool.run(plan, look, self.target, self.mode, &mut deed)?)
            }
            error => Err(error.into()),
        }
    }

    fn pause(&self, process: &OwnedFd, timeout: Duration) -> Result<Paused, Failure> {
        let mut fds = [PollFd::new(process.as_fd(), PollFlags::POLLIN)];
        let timeout = PollTimeout::try_from(timeout).unwrap_or(PollTimeout::MAX);
        match poll(&mut fds, timeout) {
            Ok(0) | Err(Errno::EINTR) => Ok(Paused::TimePassed),
            Ok(_) => Ok(Paused::Exited),
            Err(errno) => Err(Failure::Wait {
                pid: self.target,
                source: errno,
            }),
        }
    }
}

#[derive(Debug, PartialEq, Eq)]
enum Paused {
    TimePassed,
    Exited,
}

/// The last thing that was done.
struct Acted {
    at: Instant,
    proof: Proof,
    look: Option<Snapshot>,
}

impl Acted {
    /// Whether none of those who were freed has run yet, and there is still time.
    fn waits(&self, looks: &[Snapshot]) -> bool {
        let switches = |look: Option<&Snapshot>| -> Vec<Option<(Option<u64>, Option<u64>)>> {
            let members = &self.proof.certificate().members;
            members
                .iter()
                .map(|member| {
                    let process = look?.process(member.task.pid)?;
                    let task = process.tasks.iter().find(|t| t.tid == member.task.tid)?;
                    Some((task.switches_voluntary, task.switches_involuntary))
                })
                .collect()
        };
        self.at.elapsed() < TO_MOVE && switches(self.look.as_ref()) == switches(looks.last())
    }
}
