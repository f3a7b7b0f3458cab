//! The watchdog: waits outside the parent's process, and looks at what the kernel says of a trial that goes on.

use std::time::{Duration, Instant};

use nix::errno::Errno;
use pipeclog_procscan::{ScanError, Scanner, Selection};
use pipeclog_scenario::outcome::{EndedBy, Hang};
use pipeclog_supervise::tree::{Left, Tree};
use pipeclog_waitgraph::snapshot::{Pid, Snapshot};
use pipeclog_waitgraph::{Diagnosis, Verdict, diagnose};

use crate::evidence;
use crate::quiet::{self, Cast};
use crate::stop::{Stop, Woken};

/// Most trials end before this, unwatched.
const FIRST_LOOK: Duration = Duration::from_millis(20);
/// Between looks.
const TICK: Duration = Duration::from_millis(10);
/// How long nothing may move before a trial is ended. Nothing in a trial depends on time, so this only covers what a
/// look does not see: work that the kernel has taken over for a task that sleeps (a terminal's line discipline).
const QUIET_FOR: Duration = Duration::from_millis(500);
/// How long a parent may poll a child that does not move: it comes back from many sleeps, and reads nothing.
const POLLING_FOR: Duration = Duration::from_millis(500);

/// Milliseconds between the looks that are kept of a quiet, for a diagnosis that needs several.
const BETWEEN_KEPT_MS: u64 = 250;

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
    let mut quiet: Option<Quiet> = None;
    let mut stuck_since: Option<Instant> = None;
    loop {
        let look = scanner.scan(&selection)?;
        let confirmed = scanner.confirm(&selection, &look)?;
        let diagnosis = diagnose(&[look, confirmed.clone()], cast.parent);
        at_each_look(&confirmed, cast);
        quiet = Quiet::after(quiet, confirmed, cast, patience.deadline);
        stuck_since = match diagnosis.verdict() {
            Verdict::Deadlocked { .. } | Verdict::Leaked => {
                stuck_since.or_else(|| Some(Instant::now()))
            }
            _ => None,
        };
        let stuck_for = stuck_since.map_or(Duration::ZERO, |since| since.elapsed());
        let stuck_for_long = patience.probable.is_some_and(|bound| stuck_for >= bound);
        let hung = match (diagnosis.verdict(), &quiet) {
            (Verdict::Deadlocked { proof, .. }, _)
                if proof.is_strict() && stuck_for >= patience.proof =>
            {
                Some(EndedBy::Proof)
            }
            (_, Some(quiet)) if quiet.is_long_enough(patience) => quiet.ended_by,
            _ if stuck_for_long => Some(EndedBy::Diagnosis),
            _ if started.elapsed() >= patience.deadline => Some(EndedBy::Deadline),
            _ => None,
        };
        // It may have ended since the look.
        if ended_within(
            tree,
            stop,
            if hung.is_some() { Duration::ZERO } else { TICK },
        )? {
            return Ok(Watched::Ended);
        }
        if let (Some(ended_by), Some(quiet)) = (hung, &quiet) {
            let diagnosis = match ended_by {
                EndedBy::Polling => quiet.over_all_of_it(cast),
                EndedBy::Proof
                | EndedBy::Quiescence
                | EndedBy::LeaderGone
                | EndedBy::Diagnosis
                | EndedBy::Deadline => diagnosis,
            };
            return Ok(Watched::Hung(Hang {
                ended_by,
                after_ms: u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX),
                blocked: evidence::blocked(&quiet.last, cast),
                diagnosis: Some(Box::new(diagnosis.report().clone())),
            }));
        }
    }
}

/// How long nothing has moved.
struct Quiet {
    since: Instant,
    /// Nothing at the first look.
    ended_by: Option<EndedBy>,
    /// Earlier looks of the same quiet, far apart.
    before: Vec<Snapshot>,
    last: Snapshot,
}

impl Quiet {
    fn after(before: Option<Self>, look: Snapshot, cast: Cast, bound: Duration) -> Option<Self> {
        let judged = before
            .as_ref()
            .and_then(|before| quiet::judge(&before.last, &look, cast, bound));
        let (since, earlier) = match (before, judged) {
            (Some(before), Some(_)) => (before.since, before.kept()),
            _ => (Instant::now(), Vec::new()),
        };
        Some(Self {
            since,
            ended_by: judged,
            before: earlier,
            last: look,
        })
    }

    /// The looks to keep when another one follows. The first one of all is none: what came before it was no quiet.
    fn kept(mut self) -> Vec<Snapshot> {
        let is_far = self.before.last().is_none_or(|kept| {
            self.last.scan.at_ms.saturating_sub(kept.scan.at_ms) >= BETWEEN_KEPT_MS
        });
        if self.ended_by.is_some() && is_far {
            self.before.push(self.last);
        }
        self.before
    }

    /// A parent that polls runs between any two looks; that it never reads shows in many.
    fn over_all_of_it(&self, cast: Cast) -> Diagnosis {
        let mut looks = self.before.clone();
        looks.push(self.last.clone());
        diagnose(&looks, cast.parent)
    }

    fn is_long_enough(&self, patience: Patience) -> bool {
        match self.ended_by {
            None => false,
            Some(EndedBy::Polling) => self.since.elapsed() >= patience.polling,
            Some(
                EndedBy::Proof
                | EndedBy::Quiescence
                | EndedBy::LeaderGone
                | EndedBy::Diagnosis
                | EndedBy::Deadline,
            ) => self.since.elapsed() >= patience.quiet,
        }
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
