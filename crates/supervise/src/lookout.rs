//! When to look at the tree, and how closely: often at first and then rarely, cheaply unless nothing moves.

use std::collections::BTreeSet;
use std::time::Duration;

use pipeclog_procscan::{Pulse, ScanError, Scanner, Selection};
use pipeclog_waitgraph::snapshot::{Pid, Snapshot, Tid};
use pipeclog_waitgraph::{Diagnosis, Verdict, diagnose};

use crate::switches::Switches;

/// Between looks at a tree that has just started.
const OFTEN: Duration = Duration::from_millis(1);
/// Between looks at one that is old.
const RARELY: Duration = Duration::from_secs(1);
/// To see whether a tree that has just fallen asleep stays so.
const SOON: Duration = Duration::from_millis(1);
/// A hang is looked at within this part of the time it took to come about.
const SHARE_OF_AGE: u32 = 32;
/// All looks may cost this part of the time, two per cent of one processor. So much is given at the start, since the first looks at
/// a young tree are the ones that see its hang at once, and no more than that is saved up.
const SHARE_OF_TIME: u32 = 50;
const GIVEN: Duration = Duration::from_millis(20);
/// Who has moved for so long since it was diagnosed is out of that.
const MOVED_ON: Duration = Duration::from_secs(1);
/// Between whole diagnoses of a tree that does not change, at first and at most: what others do may close a loop around it.
const AGAIN: (Duration, Duration) = (Duration::from_millis(250), Duration::from_secs(30));

/// Descriptors that switches and looks have room in together.
const ROOM_FOR_BOTH: u64 = 256;

/// Looks at one tree.
pub(crate) struct Lookout {
    scanner: Scanner,
    selection: Selection,
    leader: Pid,
    pulse: Option<Pulse>,
    /// The looks of the last diagnosis: the first stays as long as nothing moves.
    looks: Vec<Snapshot>,
    looked_at: Option<Pulse>,
    /// The tree's age at the first look that showed it moved since then.
    moved_since: Option<Duration>,
    budget: Budget,
    next_diagnosis: Duration,
    between_diagnoses: Duration,
    pub(crate) cost: Cost,
}

/// When to look again, by the tree's age.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Next {
    /// From here on if somebody has switched.
    pub(crate) if_told: Duration,
    /// Whatever happens.
    pub(crate) at_last: Duration,
}

/// What may be spent on looks: a part of the time that goes by.
#[derive(Debug, Default)]
struct Budget {
    /// What was spent beyond what had come in.
    debt: Duration,
    /// The tree's age at the last look.
    at: Duration,
}

impl Budget {
    /// Takes what a look has cost, and says how long to wait for the next one.
    fn spend(&mut self, cost: Duration, age: Duration) -> Duration {
        let earned = age.saturating_sub(self.at) / SHARE_OF_TIME;
        self.at = age;
        self.debt = self.debt.saturating_sub(earned) + cost;
        self.debt.saturating_sub(GIVEN) * SHARE_OF_TIME
    }

    /// Whether more than half of what can be saved up was there at the last look.
    fn is_rich(&self) -> bool {
        self.debt < GIVEN / 2
    }
}

/// What looking has cost.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Cost {
    /// Looks at who has run.
    pub pulses: u32,
    /// Whole diagnoses.
    pub diagnoses: u32,
    /// Processor time spent in both.
    pub spent: Duration,
}

impl Lookout {
    /// `root` is the keeper: whoever the command's processes leave behind becomes its child.
    pub(crate) fn new(root: Pid, leader: Pid) -> Result<Self, ScanError> {
        let mut scanner = Scanner::new("/proc")?;
        scanner.is_helped_by(root);
        Ok(Self {
            scanner,
            selection: Selection::Tree(vec![root]),
            leader,
            pulse: None,
            looks: Vec::new(),
            looked_at: None,
            moved_since: None,
            budget: Budget::default(),
            next_diagnosis: AGAIN.0,
            between_diagnoses: AGAIN.0,
            cost: Cost::default(),
        })
    }

    /// Looks; diagnoses if nothing has moved since the last look, or if that was long ago. Says when to look again.
    pub(crate) fn look(&mut self, age: Duration) -> Result<(Option<Diagnosis>, Next), ScanError> {
        let started = processor_time();
        let pulse = self.scanner.pulse(&self.selection)?;
        self.cost.pulses += 1;
        let is_still = pulse.is_asleep() && self.pulse.as_ref() == Some(&pulse);
        let is_new = self.looked_at.as_ref() != Some(&pulse);
        // Whether it stays asleep, a second look tells: soon. A diagnosis has two looks of its own, but costs many times as much.
        let has_just_slept = pulse.is_asleep() && !is_still;
        let is_worth_it = has_just_slept && self.budget.is_rich();
        let is_due = age >= self.next_diagnosis;
        self.moved_since = is_new.then(|| self.moved_since.unwrap_or(age));
        self.pulse = Some(pulse);
        let mut diagnosis = None;
        if ((is_still || is_worth_it) && is_new) || is_due {
            self.between_diagnoses = if is_new {
                AGAIN.0
            } else {
                (self.between_diagnoses * 2).min(AGAIN.1)
            };
            self.next_diagnosis = age + self.between_diagnoses;
            diagnosis = Some(self.diagnose()?);
        }
        let took = processor_time().saturating_sub(started);
        self.cost.spent += took;
        let usual = if has_just_slept {
            SOON
        } else {
            (age / SHARE_OF_AGE).clamp(OFTEN, RARELY)
        };
        let affordable = self.budget.spend(took, age).max(SOON);
        let next = Next {
            if_told: age + affordable,
            at_last: age + affordable.max(usual),
        };
        Ok((diagnosis, next))
    }

    /// What was found by the last diagnosis is not to count: the next look makes another as soon as everybody sleeps.
    pub(crate) fn forget(&mut self) {
        self.looked_at = None;
    }

    /// Whether the tree has left the state of its last diagnosis behind.
    pub(crate) fn has_moved_on(&self, age: Duration) -> bool {
        self.moved_since
            .is_some_and(|since| age >= since + MOVED_ON)
    }

    /// Has the kernel tell of switches in the tree from now on; none where it does not.
    pub(crate) fn switches(&mut self) -> Option<Switches> {
        // They take descriptors, and so do looks.
        let most = rustix::process::getrlimit(rustix::process::Resource::Nofile).current;
        if most.is_some_and(|most| most < ROOM_FOR_BOTH) {
            return None;
        }
        let mut switches = Switches::new().ok()?;
        let mut added = BTreeSet::new();
        // Who was started while its parent was added is an heir, or is none: one more event does no harm, and one too few a later
        // look.
        for _ in 0..3 {
            let pulse = self.scanner.pulse(&self.selection).ok()?;
            let tasks: BTreeSet<Tid> = pulse.tasks.iter().map(|task| task.tid).collect();
            for task in tasks.difference(&added) {
                switches.add(*task).ok()?;
            }
            added = tasks;
        }
        Some(switches)
    }

    /// Diagnoses, from the first look since anything moved to one that is made now.
    pub(crate) fn diagnose(&mut self) -> Result<Diagnosis, ScanError> {
        self.cost.diagnoses += 1;
        if self.looked_at != self.pulse || self.looks.is_empty() {
            self.looks = vec![self.scanner.scan(&self.selection)?];
            self.looked_at = self.pulse.clone();
            self.moved_since = None;
        }
        if let Some(first) = self.looks.first() {
            let last = self.scanner.confirm(&self.selection, first)?;
            // The first, and the last two: a stall takes three looks over a second.
            if self.looks.len() > 2 {
                self.looks.remove(1);
            }
            self.looks.push(last);
        }
        let diagnosis = diagnose(&self.looks, self.leader);
        if !matches!(diagnosis.verdict(), Verdict::Deadlocked { .. }) {
            return Ok(diagnosis);
        }
        // It is about to be told, with advice in the language of whoever must change.
        if let Some(last) = self.looks.last_mut() {
            let culprits = diagnosis.report().culprits();
            self.scanner.identify(last, &culprits);
        }
        Ok(diagnose(&self.looks, self.leader))
    }

    /// How many bytes the tree has written in all; nothing if some of it may not be asked.
    pub(crate) fn written(&mut self) -> Result<Option<u64>, ScanError> {
        self.scanner.written(&self.selection)
    }

    /// The looks of the last diagnosis.
    pub(crate) fn looks(&self) -> &[Snapshot] {
        &self.looks
    }

    /// For signals to the same family.
    pub(crate) fn scanner(&mut self) -> &mut Scanner {
        &mut self.scanner
    }
}

/// What this thread has used of a processor. A clock on the wall would take a loaded machine for a costly look, and look away for
/// longest where hangs are likeliest.
fn processor_time() -> Duration {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    Duration::try_from(now).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn looks_cost_two_per_cent_in_the_long_run_and_what_is_given_at_once() {
        let ms = Duration::from_millis;
        let mut budget = Budget::default();
        assert!(budget.is_rich());
        assert_eq!(budget.spend(ms(20), ms(0)), ms(0));
        assert!(!budget.is_rich());
        assert_eq!(budget.spend(ms(1), ms(0)), ms(50));
        assert_eq!(budget.spend(ms(1), ms(50)), ms(50));
        // An hour of rest saves no more than was given.
        assert_eq!(budget.spend(ms(20), ms(3_600_000)), ms(0));
        assert_eq!(budget.spend(ms(2), ms(3_600_000)), ms(100));
    }
}
