//! A lane for questions that may never be answered.
//!
//! Some files of `/proc` make the reader wait for the target's memory map or for the file system behind the
//! target's pages, and no signal ends such a wait. They are asked for on a helper thread, and the asker waits for a
//! bounded time. A helper that does not come back is left behind, and the next question gets a new one; while
//! [`MOST_STUCK`] of them are out nothing more is asked, so that a hung machine cannot collect threads of ours.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// How many helpers that do not come back are too many.
const MOST_STUCK: usize = 4;

/// Either the answer is there or the asker has left: what comes second finds this.
const SETTLED: bool = true;

type Job = Box<dyn FnOnce() + Send>;

/// Runs questions, each on a helper of its own and for at most the bound.
#[derive(Debug)]
pub(crate) struct Lane {
    bound: Duration,
    idle: Mutex<Vec<Sender<Job>>>,
    /// Helpers that were left behind and have not come back yet.
    stuck: Arc<AtomicUsize>,
}

/// No answer came within the bound, or too many earlier ones are still out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct NoAnswer;

impl Lane {
    pub(crate) fn new(bound: Duration) -> Self {
        Self {
            bound,
            idle: Mutex::default(),
            stuck: Arc::default(),
        }
    }

    /// Asks on the helper and waits for the answer, at most for the bound.
    pub(crate) fn ask<T: Send + 'static>(
        &self,
        question: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, NoAnswer> {
        if self.stuck.load(Ordering::Acquire) >= MOST_STUCK {
            return Err(NoAnswer);
        }
        let (reply, answer) = channel();
        let (stuck, fate) = (Arc::clone(&self.stuck), Arc::new(AtomicBool::new(false)));
        let helpers_fate = Arc::clone(&fate);
        let job: Job = Box::new(move || {
            // The asker may have gone; then nobody wants the answer.
            let _ = reply.send(question());
            if helpers_fate.swap(SETTLED, Ordering::AcqRel) == SETTLED {
                stuck.fetch_sub(1, Ordering::AcqRel);
            }
        });
        let idle = self.idle().pop();
        let helper = match idle {
            Some(helper) => helper,
            None => spawn().ok_or(NoAnswer)?,
        };
        helper.send(job).map_err(|_| NoAnswer)?;
        match answer.recv_timeout(self.bound) {
            Ok(answer) => {
                self.idle().push(helper);
                Ok(answer)
            }
            Err(RecvTimeoutError::Timeout) => {
                // Of helper and asker, the second to settle finds it settled: so either the helper takes itself off
                // the count when it comes back, or it has answered at the last moment.
                self.stuck.fetch_add(1, Ordering::AcqRel);
                if fate.swap(SETTLED, Ordering::AcqRel) != SETTLED {
                    // Dropping its sender ends the helper if it ever comes back.
                    return Err(NoAnswer);
                }
                self.stuck.fetch_sub(1, Ordering::AcqRel);
                self.idle().push(helper);
                answer.try_recv().map_err(|_| NoAnswer)
            }
            // The question panicked, which is a bug of ours; the scan goes on without the answer.
            Err(RecvTimeoutError::Disconnected) => Err(NoAnswer),
        }
    }

    fn idle(&self) -> MutexGuard<'_, Vec<Sender<Job>>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn spawn() -> Option<Sender<Job>> {
    let (sender, jobs): (Sender<Job>, Receiver<Job>) = channel();
    let helper = std::thread::Builder::new().name("procscan-lane".to_owned());
    let run = move || {
        while let Ok(job) = jobs.recv() {
            job();
        }
    };
    helper.spawn(run).ok().map(|_| sender)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_come_back_and_a_stuck_question_does_not_stop_the_next() {
        let lane = Lane::new(Duration::from_millis(20));
        let (release, gate) = channel::<()>();
        assert_eq!(lane.ask(|| 7), Ok(7));
        let stuck = lane.ask(move || {
            let _ = gate.recv();
        });
        assert_eq!(stuck, Err(NoAnswer));
        let patient = Lane {
            bound: Duration::from_secs(60),
            ..lane
        };
        assert_eq!(patient.ask(|| 8), Ok(8));
        drop(release);
    }

    #[test]
    fn of_two_who_ask_none_waits_for_the_others_answer() {
        let lane = Lane::new(Duration::from_secs(60));
        let (release, gate) = channel();
        let (asked, is_asked) = channel();
        std::thread::scope(|scope| {
            let first = scope.spawn(|| {
                lane.ask(move || {
                    let _ = asked.send(());
                    gate.recv()
                })
            });
            is_asked.recv().unwrap();
            let second = lane.ask(move || release.send(()));
            assert_eq!(second, Ok(Ok(())));
            assert_eq!(first.join().unwrap(), Ok(Ok(())));
        });
    }

    #[test]
    fn nothing_more_is_asked_once_too_many_are_stuck() {
        let lane = Lane::new(Duration::from_millis(1));
        let mut gates = Vec::new();
        for _ in 0..MOST_STUCK {
            let (release, gate) = channel::<()>();
            gates.push(release);
            let stuck = lane.ask(move || {
                let _ = gate.recv();
            });
            assert_eq!(stuck, Err(NoAnswer));
        }
        let patient = Lane {
            bound: Duration::from_secs(60),
            ..lane
        };
        assert_eq!(patient.ask(|| 1), Err(NoAnswer));
        // Once they come back, questions are asked again.
        drop(gates);
        while patient.stuck.load(Ordering::Acquire) > 0 {
            std::thread::yield_now();
        }
        assert_eq!(patient.ask(|| 1), Ok(1));
    }
}
