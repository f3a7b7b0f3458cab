//! What is told once, and some of it only when it has stood for a while.

use std::time::Duration;

use pipeclog_waitgraph::Diagnosis;

/// How long a deadlock must stand before it is told that ends nothing: one among descendants while the command itself lives on, since an
/// inner supervisor ends its own at once, and one that rests on assumptions.
const STANDS_FOR: Duration = Duration::from_secs(3);

/// Deadlocks are told once.
#[derive(Debug, Default)]
pub(crate) struct ToldDeadlocks {
    pub(crate) own: bool,
    /// Proven, among descendants.
    pub(crate) beside: Standing,
    /// Proven but for assumptions, of the command or among descendants.
    pub(crate) suspected: Standing,
    /// The last diagnosis, if it lacks nothing of a proof but that nobody signals, and no deadlock was told.
    pub(crate) unsure: Option<Diagnosis>,
}

/// Since when something has stood, and whether it was told.
#[derive(Debug, Default)]
pub(crate) struct Standing {
    since: Option<Duration>,
    is_told: bool,
}

impl Standing {
    /// Whether it is to be told now, `now` being the command's age.
    pub(crate) fn is_due(&mut self, stands: bool, now: Duration) -> bool {
        self.since = stands.then(|| self.since.unwrap_or(now));
        let has_stood = self.since.is_some_and(|since| now >= since + STANDS_FOR);
        if !has_stood || self.is_told {
            return false;
        }
        self.is_told = true;
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_has_stood_for_three_seconds_without_a_break_is_told_once() {
        let mut standing = Standing::default();
        let mut due = |stands, s| standing.is_due(stands, Duration::from_secs(s));
        assert!(!due(true, 0) && !due(true, 2) && !due(false, 3));
        assert!(!due(true, 4) && !due(true, 6));
        assert!(due(true, 7) && !due(true, 8));
        assert!(!due(false, 9) && !due(true, 10) && !due(true, 20));
    }
}
