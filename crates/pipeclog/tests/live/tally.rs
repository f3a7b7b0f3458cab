//! The counts at the end of a run.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Mutex, PoisonError};

use pipeclog_waitgraph::report::{Confidence, VerdictName};

use crate::case::{Case, Expect};
use crate::stage::Played;

/// What came of the cases so far.
#[derive(Debug, Default)]
pub(crate) struct Tally(Mutex<Counts>);

#[derive(Debug, Default)]
struct Counts {
    deadlocks: usize,
    found: usize,
    proven: usize,
    look_alikes: usize,
    mistaken: usize,
    undecidable: usize,
    skipped: BTreeMap<String, usize>,
}

impl Tally {
    /// Counts a case that was played.
    pub(crate) fn add(&self, case: &Case, played: &Played) {
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let found = played.verdict == Some(VerdictName::Deadlocked);
        match case.expect {
            Expect::Deadlock { .. } => {
                counts.deadlocks += 1;
                counts.found += usize::from(found);
                let is_proven = found && played.confidence == Some(Confidence::Proven);
                counts.proven += usize::from(is_proven);
            }
            Expect::LookAlike(_) => {
                counts.look_alikes += 1;
                counts.mistaken += usize::from(found);
            }
            Expect::Undecidable(_) => counts.undecidable += 1,
        }
    }

    /// Counts a case that could not be played here.
    pub(crate) fn skipped(&self, case: &Case) {
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        *counts.skipped.entry(case.language.clone()).or_default() += 1;
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if counts.deadlocks + counts.look_alikes + counts.undecidable + counts.skipped.len() == 0 {
            return Ok(());
        }
        writeln!(
            f,
            "deadlocks: {} played, {} found, {} of them proven; look-alikes: {} played, {} called deadlocked; undecidable from outside: {} played",
            counts.deadlocks,
            counts.found,
            counts.proven,
            counts.look_alikes,
            counts.mistaken,
            counts.undecidable
        )?;
        for (language, cases) in &counts.skipped {
            writeln!(f, "skipped: {language}: {cases} cases")?;
        }
        Ok(())
    }
}
