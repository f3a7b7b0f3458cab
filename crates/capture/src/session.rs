//! One capture under way: when it is over, and how it is brought to an end.

use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

use rustix::process::Signal;

use crate::engine::Engine;
use crate::flow::Flow;
use crate::stopper::{Asked, Sender};
use crate::{
    Background, Captured, End, Error, Kill, KillTarget, LimitPolicy, Status, Stopped, StreamEnd,
    drainer,
};

/// How long a killed process may take to die before it is given up.
pub(crate) const DEATH_BOUND: Duration = Duration::from_secs(10);
/// How often the size of a file is looked at that must not pass a limit.
const FILE_LOOK: Duration = Duration::from_millis(50);
/// How long a child has to end that was passed a signal, where the caller did not say.
const SIGNAL_GRACE: Duration = Duration::from_secs(10);

/// The rules around a flow. Time comes in from the clock at each step; the flow and the engine do
/// the rest.
pub(crate) struct Session {
    pub(crate) flow: Flow,
    pub(crate) engine: Box<dyn Engine>,
    pub(crate) end: End,
    pub(crate) kill: Kill,
    pub(crate) background: Background,
    phase: Phase,
    exit_seen: Option<Instant>,
}

#[derive(Clone, Copy)]
enum Phase {
    Running,
    /// SIGTERM was sent; SIGKILL follows at `kill_at`.
    Terminating {
        why: Stopped,
        kill_at: Instant,
    },
    /// SIGKILL was sent.
    Killed {
        why: Stopped,
        give_up_at: Instant,
    },
}

/// What came of waiting.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Progress {
    Finished,
    DeadlinePassed,
}

impl Session {
    pub(crate) fn new(
        flow: Flow,
        engine: Box<dyn Engine>,
        end: End,
        kill: Kill,
        background: Background,
    ) -> Self {
        Session {
            flow,
            engine,
            end,
            kill,
            background,
            phase: Phase::Running,
            exit_seen: None,
        }
    }

    /// Goes on until the capture is over or the deadline has passed. It can be called again.
    pub(crate) fn wait(&mut self, deadline: Option<Instant>) -> Result<Progress, Error> {
        loop {
            let now = Instant::now();
            self.settle(now)?;
            if self.flow.leader.has_exited() && self.flow.streams_ended() {
                // The last bytes may have passed a limit, and that must not depend on who was
                // faster.
                if self.has_passed_unnoticed() {
                    self.begin_kill(Stopped::Limit, now);
                    continue;
                }
                return Ok(Progress::Finished);
            }
            if deadline.is_some_and(|deadline| deadline <= now) {
                return Ok(Progress::DeadlinePassed);
            }
            let wake = [deadline, self.timer(now)].into_iter().flatten().min();
            self.engine.turn(&mut self.flow, wake)?;
        }
    }

    /// Ends the child and reads what it wrote until then. Bounded by the kill's grace and by
    /// [`DEATH_BOUND`].
    pub(crate) fn stop(&mut self, why: Stopped) -> Result<(), Error> {
        self.begin_kill(why, Instant::now());
        self.wait(None)?;
        Ok(())
    }

    /// Ends the child after an error: SIGKILL, and no further reading, since reading may be what
    /// failed.
    pub(crate) fn abort(&mut self) -> Result<(), Error> {
        let now = Instant::now();
        self.flow.stdout.begin_stop(StreamEnd::Stopped);
        self.flow.stderr.begin_stop(StreamEnd::Stopped);
        self.flow.feed = None;
        self.send_kill(Stopped::Failure, now);
        self.flow.leader.await_death()
    }

    /// Applies every rule that time or an event has made due.
    fn settle(&mut self, now: Instant) -> Result<(), Error> {
        if self.flow.leader.has_exited() && self.exit_seen.is_none() {
            self.exit_seen = Some(now);
        }
        if self.has_passed_unnoticed() {
            self.begin_kill(Stopped::Limit, now);
        }
        self.heed_stopper(now);
        match self.phase {
            Phase::Running => self.settle_running(now),
            Phase::Terminating { why, kill_at } => {
                let nobody_else = self.kill.target == KillTarget::Leader;
                let over = self.exit_seen.is_some() && (nobody_else || !self.flow.is_reading());
                if kill_at <= now || over {
                    self.send_kill(why, now);
                    return self.settle(now);
                }
                Ok(())
            }
            Phase::Killed { why, give_up_at } => {
                if self.exit_seen.is_some() {
                    return self.end_streams(why.stream_end());
                }
                if give_up_at <= now {
                    return Err(Error::unkillable(self.flow.leader.pid().as_raw_pid()));
                }
                Ok(())
            }
        }
    }

    /// Does what a stopper asks, once.
    fn heed_stopper(&mut self, now: Instant) {
        match (self.phase, self.flow.stopping.asked()) {
            (Phase::Running, Some(Asked::Stop { signal, .. })) => {
                self.begin_kill(Stopped::Signal(signal), now);
            }
            (Phase::Terminating { why, .. }, Some(Asked::StopNow)) => self.send_kill(why, now),
            _ => {}
        }
    }

    fn has_passed_unnoticed(&self) -> bool {
        matches!(self.phase, Phase::Running) && self.flow.fatal_limit().is_some()
    }

    fn settle_running(&mut self, now: Instant) -> Result<(), Error> {
        let Some(exit_seen) = self.exit_seen else {
            return Ok(());
        };
        match self.end {
            // A file has no end of file to wait for.
            End::EndOfFile => {
                for stream in [&mut self.flow.stdout, &mut self.flow.stderr] {
                    if stream.is_open_file() {
                        stream.drain_and_end(StreamEnd::LeaderExitedDrained)?;
                    }
                }
                Ok(())
            }
            End::Drain => self.end_streams(StreamEnd::LeaderExitedDrained),
            End::Grace(period) => {
                if exit_seen
                    .checked_add(period)
                    .is_some_and(|over| over <= now)
                {
                    self.end_streams(StreamEnd::GraceExpired)?;
                }
                Ok(())
            }
        }
    }

    fn end_streams(&mut self, end: StreamEnd) -> Result<(), Error> {
        self.flow.feed = None;
        self.flow.stdout.drain_and_end(end)?;
        self.flow.stderr.drain_and_end(end)
    }

    fn begin_kill(&mut self, why: Stopped, now: Instant) {
        self.flow.stdout.begin_stop(why.stream_end());
        self.flow.stderr.begin_stop(why.stream_end());
        let leader_is_all =
            matches!(self.kill.target, KillTarget::Leader) && self.flow.leader.has_exited();
        let mut grace = self.kill.term_grace;
        let by = match why {
            Stopped::Signal(number) => {
                if grace.is_zero() {
                    grace = SIGNAL_GRACE;
                }
                Signal::from_named_raw(number).unwrap_or(Signal::TERM)
            }
            Stopped::Deadline | Stopped::Limit | Stopped::Caller | Stopped::Failure => Signal::TERM,
        };
        if grace.is_zero() || leader_is_all {
            return self.send_kill(why, now);
        }
        if !self.has_had_it_from_the_terminal() {
            self.flow.leader.terminate(by);
        }
        let kill_at = now.checked_add(grace).unwrap_or(now);
        self.phase = Phase::Terminating { why, kill_at };
    }

    fn has_had_it_from_the_terminal(&self) -> bool {
        let sender = match self.flow.stopping.asked() {
            Some(Asked::Stop { sender, .. }) => sender,
            Some(Asked::StopNow) | None => Sender::Process,
        };
        sender == Sender::Terminal && self.flow.leader.is_in_callers_group()
    }

    fn send_kill(&mut self, why: Stopped, now: Instant) {
        self.flow.leader.kill();
        self.phase = Phase::Killed {
            why,
            give_up_at: now + DEATH_BOUND,
        };
    }

    /// The next instant at which a rule falls due.
    fn timer(&self, now: Instant) -> Option<Instant> {
        match self.phase {
            Phase::Terminating { kill_at, .. } => Some(kill_at),
            Phase::Killed { give_up_at, .. } => Some(give_up_at),
            Phase::Running => [self.grace_timer(), self.file_timer(now)]
                .into_iter()
                .flatten()
                .min(),
        }
    }

    fn grace_timer(&self) -> Option<Instant> {
        match self.end {
            End::Grace(period) => self.exit_seen?.checked_add(period),
            End::EndOfFile | End::Drain => None,
        }
    }

    fn file_timer(&self, now: Instant) -> Option<Instant> {
        let watched = [&self.flow.stdout, &self.flow.stderr]
            .into_iter()
            .any(|stream| stream.is_watched_file());
        watched.then(|| now + FILE_LOOK)
    }

    /// Reaps the leader and hands out the result.
    pub(crate) fn finish(self) -> Result<Captured, Error> {
        let Session {
            flow,
            engine,
            background,
            phase,
            ..
        } = self;
        // An engine may hold on to descriptors (a ring does), and the drainer must be their only
        // holder.
        drop(engine);
        let Flow {
            mut leader,
            feed,
            stdout,
            stderr,
            stopping: _,
            lull: _,
        } = flow;
        drop(feed);
        let (status, not_reaped) = match leader.reap() {
            Ok(status) => (status, None),
            Err(error) => (Status::Lost, Some(error)),
        };
        let fatal = [&stdout, &stderr]
            .into_iter()
            .find_map(|it| it.fatal_limit().map(|limit| (it.name, limit)));
        let (stdout, held_out) = stdout.finish()?;
        let (stderr, held_err) = stderr.finish()?;
        let held: Vec<OwnedFd> = held_out.into_iter().chain(held_err).collect();
        let still_open = match background {
            Background::KeepDraining => {
                drainer::drain_on(held);
                Vec::new()
            }
            Background::HandBack => held,
            Background::Abandon => Vec::new(),
        };
        let stopped = match phase {
            Phase::Running => None,
            Phase::Terminating { why, .. } | Phase::Killed { why, .. } => Some(why),
        };
        let captured = Captured {
            status,
            stdout,
            stderr,
            stopped,
            still_open,
        };
        if let Some(error) = not_reaped {
            return Err(error.with_partial(captured));
        }
        match fatal {
            Some((name, limit)) if limit.policy == LimitPolicy::Error => {
                Err(Error::limit(name, limit.bytes).with_partial(captured))
            }
            _ => Ok(captured),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, Ordering};

    use nix::sys::pthread::{pthread_kill, pthread_self};
    use nix::sys::signal::Signal as Sent;

    use super::*;
    use crate::{Bound, Capture, Captured, Command, Strategy, Streams, sys};

    const LONG: Bound = Bound::Timeout(Duration::from_secs(120));

    /// How many signals each capture is interrupted by; `PIPECLOG_CASES` may say.
    fn signals() -> u64 {
        let told = std::env::var("PIPECLOG_CASES").ok();
        told.and_then(|text| text.parse().ok()).unwrap_or(2000)
    }

    /// While it captures, signals come to its thread, which a handler catches without restarting
    /// what they interrupt: so many have been handled when `enough` is called.
    fn in_a_storm(
        capture: &Capture,
        command: &Command,
        enough: impl FnOnce() + Send,
    ) -> Result<Captured, Error> {
        let (target, over) = (pthread_self(), AtomicBool::new(false));
        let before = sys::COUNTED.load(Ordering::Relaxed);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                let mut enough = Some(enough);
                while !over.load(Ordering::Acquire) {
                    pthread_kill(target, Sent::SIGUSR1).expect("the thread waits for this one");
                    if sys::COUNTED.load(Ordering::Relaxed) - before >= signals()
                        && let Some(enough) = enough.take()
                    {
                        enough();
                    }
                }
            });
            let captured = capture.run(command);
            over.store(true, Ordering::Release);
            captured
        })
    }

    /// The bounds that the documentation names, asked for and not waited for.
    #[test]
    fn the_bounds_are_those_of_the_documentation() {
        let start = |capture: Capture| {
            let running = capture.start(&Command::new("sleep").arg("600"));
            running.expect("it starts")
        };
        let now = Instant::now();
        let after = |seconds| Some(now + Duration::from_secs(seconds));
        // SIGKILL follows a signal that was passed on after the grace, and after 10 s if there is none.
        for (term_grace, seconds) in [(0, 10), (3, 3)] {
            let kill = Kill {
                term_grace: Duration::from_secs(term_grace),
                ..Kill::LEADER
            };
            let mut running = start(Capture::recommended(LONG).kill(kill));
            running.session.begin_kill(Stopped::Signal(15), now);
            assert_eq!(running.session.timer(now), after(seconds));
            // A process that is killed has 10 s to die.
            running.session.send_kill(Stopped::Caller, now);
            assert_eq!(running.session.timer(now), after(10));
        }
        // A file that must not pass its limit is looked at 20 times a second, and otherwise never.
        for (policy, looks) in [
            (LimitPolicy::Kill, Some(now + Duration::from_secs(1) / 20)),
            (LimitPolicy::Head, None),
        ] {
            let limit = crate::Limit { bytes: 1, policy };
            let capture = Capture::new(Strategy::Memfd, End::Drain, LONG).limit(limit);
            assert_eq!(start(capture).session.timer(now), looks);
        }
    }

    #[test]
    fn a_storm_of_signals_costs_no_byte_and_no_deadline() {
        sys::count_without_restart(Sent::SIGUSR1);
        let size = if signals() < 100_000 {
            4 << 20
        } else {
            64 << 20
        };
        let input: std::sync::Arc<[u8]> = vec![b'i'; size].into();
        let folder = tempfile::tempdir().expect("a directory");
        let safe = Strategy::ALL
            .into_iter()
            .filter(|it| !it.is_hazard() && it.is_built());
        for strategy in safe.filter(|it| it.streams() != Streams::None) {
            // The child answers its stdin, and lives until enough signals have come.
            let told = folder.path().join(strategy.name());
            let script = format!("cat; until [ -e {} ]; do kill -0 $$; done", told.display());
            let command = Command::new("sh").args(["-c", &script]);
            let capture = Capture::new(strategy, End::EndOfFile, LONG)
                .stdin(crate::Input::Bytes(input.clone()));
            let enough = || std::fs::write(&told, "").expect("writable");
            let captured = in_a_storm(&capture, &command, enough).expect("it runs");
            assert!(*captured.stdout.bytes == *input, "{strategy}: {captured:?}");
            assert_eq!(captured.stopped, None, "{strategy}");

            let soon = Bound::Timeout(Duration::from_millis(5));
            let capture = Capture::new(strategy, End::EndOfFile, soon);
            let captured = in_a_storm(&capture, &Command::new("sleep").arg("600"), || {});
            let stopped = captured.expect("it runs").stopped;
            assert_eq!(stopped, Some(Stopped::Deadline), "{strategy}");
        }
    }
}
