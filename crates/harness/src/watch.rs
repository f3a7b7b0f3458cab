//! The watchdog: waits outside the parent's process, and looks at what the kernel says of a trial that goes on.

use std::time::{Duration, Instant};

use nix::errno::Errno;
use pipeclog_procscan::{ScanError, Scanner, Selection};
use pipeclog_scenario::outcome::{EndedBy, Hang};
use pipeclog_supervise::tree::{Left, Tree};
use pipeclog_waitgraph::report::Report;
use pipeclog_waitgraph::snapshot::{Pid, Snapshot};
use pipeclog_waitgraph::{Verdict, diagnose};

use crate::evidence;
use crate::quiet::{Cast, Window};
use crate::stop::{Stop, Woken};

/// Most trials end before this, unwatched.
const FIRST_LOOK: Duration = Duration::from_millis(20);
/// Between looks at first; the longer a trial goes on, the longer, up to [`LONGEST_TICK`].
const TICK: Duration = Duration::from_millis(10);
/// Between looks at a trial that waits for seconds: each look costs processor time that other trials need.
const LONGEST_TICK: Duration = Duration::from_millis(50);
/// How long nothing may move before a trial is ended. Nothing in a trial depends on time, so this only covers what a
/// look does not see: work that the kernel has taken over for a task that sleeps (a terminal's line discipline).
const QUIET_FOR: Duration = Duration::from_millis(500);
/// How long a parent may poll a child that does not move: over so long a window of looks the engine tells a stall.
const POLLING_FOR: Duration = Duration::from_millis(1_000);

/// Between looks at descendants that are awaited.
const DESCENDANTS_TICK: Duration = Duration::from_millis(1);

/// How long a watch waits for what.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Patience {
    /// The bound on the trial.
    pub(crate) deadline: Duration,
    /// How long nothing may move.
    pub(crate) quiet: Duration,
    /// How long a parent may poll a child that does not move.
    pub(crate) polling: Duration,
    /// How long a parent may come back from waits with a timeout after the child's exit, while nobody else moves; nothing if for ever.
    pub(crate) timers: Option<Duration>,
    /// How long a deadlock that is only probable, or a leak, must be seen at each look to end the trial; nothing if they do not.
    /// Runtimes with helper threads on timers (the JVM) are never quiet, and never allow a strict proof.
    pub(crate) probable: Option<Duration>,
    /// How long a strict proof must hold to end the trial: at once where the parent has no deadline. A proof says that no task outside
    /// the set can wake one in it, save by a signal, and a deadline ends its command by one.
    pub(crate) proof: Duration,
}

impl Patience {
    /// For parents of the suite's own, of which it is known that no timer of theirs is hidden.
    pub(crate) fn with_our_own(deadline: Duration) -> Self {
        Self {
            deadline,
            quiet: QUIET_FOR,
            polling: POLLING_FOR,
            timers: None,
            probable: None,
            proof: Duration::ZERO,
        }
    }
}

/// How a watch ended.
#[derive(Debug)]
pub(crate) enum Watched {
    /// The parent exited.
    Ended,
    /// Nothing moved any more, or the deadline passed.
    Hung(Hang),
}

/// The watch itself failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum WatchError {
    /// poll(2) refused.
    #[error("failed to wait for the parent's exit (poll): {0}")]
    Poll(#[source] Errno),
    /// It was told to give up.
    #[error("the trial was given up: a signal, or the end of whoever asked for it")]
    Stopped,
    /// `/proc` could not be read.
    #[error(transparent)]
    Scan(#[from] ScanError),
}

/// Waits until the parent has exited, or is found to hang. `at_each_look` sees what the watchdog sees.
pub(crate) fn until_end_or_hang(
    tree: &Tree,
    stop: &Stop,
    started: Instant,
    patience: Patience,
    mut at_each_look: impl FnMut(&Snapshot, Cast),
) -> Result<Watched, WatchError> {
    if ended_within(tree, stop, FIRST_LOOK)? {
        return Ok(Watched::Ended);
    }
    let observer = Pid(std::process::id());
    let cast = Cast {
        observer,
        parent: Pid(tree.leader().as_raw().cast_unsigned()),
    };
    let selection = Selection::Tree(vec![observer]);
    let mut scanner = Scanner::new("/proc")?;
    let mut window: Option<Window> = None;
    let mut stuck_since: Option<Instant> = None;
    let mut clock = Clock::new(started);
    loop {
        let look = scanner.scan(&selection)?;
        let confirmed = scanner.confirm(&selection, &look)?;
        let diagnosis = diagnose(&[look.clone(), confirmed.clone()], cast.parent);
        at_each_look(&confirmed, cast);
        let still = match window.take() {
            Some(window) => window.then(confirmed.clone(), cast, patience.deadline),
            None => Window::new(confirmed.clone()),
        };
        stuck_since = match diagnosis.verdict() {
            Verdict::Deadlocked { .. } | Verdict::Leaked => {
                stuck_since.or_else(|| Some(Instant::now()))
            }
            _ => None,
        };
        let seen = Seen {
            still: still.hang(patience),
            stuck: stuck_since.map(|since| since.elapsed()),
            spent: clock.spent(Instant::now()),
        };
        let hung = hung(diagnosis.verdict(), seen, patience);
        // It may have ended since the look.
        if ended_within(
            tree,
            stop,
            if hung.is_some() {
                Duration::ZERO
            } else {
                (started.elapsed() / 20).clamp(TICK, LONGEST_TICK)
            },
        )? {
            return Ok(Watched::Ended);
        }
        if let Some(ended_by) = hung {
            return Ok(Watched::Hung(Hang {
                ended_by,
                after_ms: u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX),
                blocked: evidence::blocked(&confirmed, cast),
                diagnosis: Some(Box::new(over(&still, look, confirmed, cast.parent))),
            }));
        }
        window = Some(still);
    }
}

/// The diagnosis over the whole window, in which a stall shows; a proof stands on the last two looks alone.
fn over(window: &Window, look: Snapshot, confirmed: Snapshot, parent: Pid) -> Report {
    let before = |earlier: &&Snapshot| earlier.scan.at_ms < look.scan.at_ms;
    let mut looks: Vec<Snapshot> = window.looks().filter(before).cloned().collect();
    looks.extend([look, confirmed]);
    diagnose(&looks, parent).report().clone()
}

/// What a watch has seen by now.
#[derive(Clone, Copy, Debug)]
struct Seen {
    /// What kind of hang it is, if nothing has moved for long enough.
    still: Option<EndedBy>,
    /// How long a deadlock or a leak has been seen at each look.
    stuck: Option<Duration>,
    /// How long the trial has been watched.
    spent: Duration,
}

/// What ends a trial now, if anything does. Only a proof that needs no assumption is called a proof.
fn hung(verdict: &Verdict, seen: Seen, patience: Patience) -> Option<EndedBy> {
    let stuck = seen.stuck.unwrap_or(Duration::ZERO);
    let is_stuck = seen.stuck.is_some() && patience.probable.is_some_and(|bound| stuck >= bound);
    match verdict {
        Verdict::Deadlocked { proof, .. } if proof.is_strict() && stuck >= patience.proof => {
            Some(EndedBy::Proof)
        }
        _ if seen.still.is_some() => seen.still,
        _ if is_stuck => Some(EndedBy::Diagnosis),
        _ => (seen.spent >= patience.deadline).then_some(EndedBy::Deadline),
    }
}

/// How long a trial has been watched. Time in which the watchdog itself was stopped (Ctrl-Z) does not count, or a trial
/// would be cut off for it; so no step counts for more than a look can take.
#[derive(Debug)]
struct Clock {
    spent: Duration,
    last: Instant,
}

impl Clock {
    /// The longest step that counts whole.
    const STEP: Duration = Duration::from_secs(1);

    fn new(started: Instant) -> Self {
        Self {
            spent: Duration::ZERO,
            last: started,
        }
    }

    fn spent(&mut self, now: Instant) -> Duration {
        self.spent += now.saturating_duration_since(self.last).min(Self::STEP);
        self.last = now;
        self.spent
    }
}

/// Waits until each descendant that outlived the parent has ended, the bound has passed, or it is time to stop.
pub(crate) fn until_descendants_end(
    tree: &mut Tree,
    stop: &Stop,
    bound: Instant,
) -> Result<Left, WatchError> {
    while Instant::now() < bound {
        if tree.reap() == Left::Nothing {
            return Ok(Left::Nothing);
        }
        let woken = stop
            .or_readable(None, DESCENDANTS_TICK)
            .map_err(WatchError::Poll)?;
        if woken == Woken::Stop {
            return Err(WatchError::Stopped);
        }
    }
    Ok(Left::Some)
}

/// Whether the parent has ended.
fn ended_within(tree: &Tree, stop: &Stop, timeout: Duration) -> Result<bool, WatchError> {
    match stop
        .or_readable(Some(tree.pidfd()), timeout)
        .map_err(WatchError::Poll)?
    {
        Woken::Ready => Ok(true),
        Woken::Timeout => Ok(false),
        Woken::Stop => Err(WatchError::Stopped),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DEADLINE: Duration = Duration::from_secs(20);

    #[test]
    fn a_deadline_proves_nothing_but_that_it_has_passed() {
        let before = DEADLINE - Duration::from_nanos(1);
        let judged = |verdict, still, spent| {
            let seen = Seen {
                still,
                stuck: None,
                spent,
            };
            hung(&verdict, seen, Patience::with_our_own(DEADLINE))
        };
        for verdict in [
            Verdict::Leaked,
            Verdict::Stalled,
            Verdict::Stopped,
            Verdict::Waiting,
            Verdict::Progressing,
            Verdict::Unproven,
        ] {
            assert_eq!(judged(verdict.clone(), None, before), None, "{verdict:?}");
            assert_eq!(
                judged(verdict.clone(), None, DEADLINE),
                Some(EndedBy::Deadline),
                "{verdict:?}"
            );
            let quiet = Some(EndedBy::Quiescence);
            assert_eq!(
                judged(verdict.clone(), quiet, DEADLINE),
                quiet,
                "{verdict:?}"
            );
        }
    }

    #[test]
    fn time_in_which_the_watchdog_was_stopped_does_not_count() {
        let started = Instant::now();
        let mut clock = Clock::new(started);
        let tenth = Duration::from_millis(100);
        assert_eq!(clock.spent(started + tenth), tenth);
        let after_an_hour = started + Duration::from_secs(3600);
        assert_eq!(clock.spent(after_an_hour), tenth + Clock::STEP);
        assert_eq!(clock.spent(after_an_hour + tenth), tenth * 2 + Clock::STEP);
    }

    #[test]
    fn what_is_only_probable_ends_a_trial_where_it_may_and_after_its_time() {
        let bound = Duration::from_secs(1);
        let ended = |probable, stuck| {
            let patience = Patience {
                probable,
                ..Patience::with_our_own(DEADLINE)
            };
            let seen = Seen {
                still: None,
                stuck,
                spent: bound,
            };
            hung(&Verdict::Leaked, seen, patience)
        };
        assert_eq!(ended(Some(bound), Some(bound)), Some(EndedBy::Diagnosis));
        assert_eq!(ended(Some(bound), Some(bound / 2)), None);
        assert_eq!(ended(Some(bound), None), None);
        assert_eq!(ended(None, Some(bound)), None);
    }
}
