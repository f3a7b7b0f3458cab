//! Whether a wrapper uses the processor while it has nothing to do.

use pipeclog_waitgraph::snapshot::{Process, Snapshot, State, Wait};

use crate::quiet::Cast;

/// Looks at a trial in which the child sleeps, and how many of them met a task of the wrapper that ran.
///
/// States are counted, not time: a task that wants the processor is seen to run on a loaded machine too, and one that sleeps
/// is not, however slow the machine.
#[derive(Debug, Default)]
pub(crate) struct Idle {
    /// Of each look whether it met one.
    busy: Vec<bool>,
}

/// Fewer looks say nothing.
const LOOKS: usize = 4;

impl Idle {
    /// One more look.
    pub(crate) fn look(&mut self, look: &Snapshot, cast: Cast) {
        let members: Vec<&Process> = cast.members(look).map(|(_, process)| process).collect();
        let is_child = |process: &&&Process| {
            process
                .cmdline
                .get(1)
                .is_some_and(|word| word.as_bytes() == b"chatty")
        };
        let Some(child) = members.iter().find(is_child) else {
            return;
        };
        let asleep = |process: &Process| {
            process
                .tasks
                .iter()
                .all(|task| matches!(task.wait, Wait::Sleep { .. }))
        };
        if !asleep(child) {
            return;
        }
        let runs = members
            .iter()
            .filter(|process| process.pid != child.pid)
            .flat_map(|process| &process.tasks)
            .any(|task| task.state == State::Running);
        self.busy.push(runs);
    }

    /// What it came to: an error if there were too few looks to say. The first half does not count: a runtime that has just started is
    /// still at work for itself (the compiler threads of a JVM), the longer the busier the machine.
    pub(crate) fn verdict(&self) -> Result<Option<String>, String> {
        if self.busy.len() < LOOKS {
            return Err(format!(
                "on this busy machine the wrapper was seen only {} times while its child slept, and {LOOKS} are needed",
                self.busy.len()
            ));
        }
        let (_, settled) = self.busy.split_at(self.busy.len() / 2);
        let busy = settled.iter().filter(|busy| **busy).count();
        Ok((busy * 4 > settled.len() * 3).then(|| {
            format!(
                "it ran at {busy} of the last {} looks while its child slept: it burns the processor",
                settled.len()
            )
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(busy: &[bool]) -> Result<Option<String>, String> {
        let busy = busy.to_vec();
        Idle { busy }.verdict()
    }

    #[test]
    fn few_looks_say_nothing() {
        assert!(seen(&[true; 3]).is_err());
        assert!(seen(&[true; 4]).is_ok_and(|found| found.is_some()));
    }

    #[test]
    fn a_runtime_that_starts_and_then_sleeps_burns_nothing_and_one_that_never_sleeps_does() {
        let starts = [[true; 8], [false; 8]].concat();
        assert_eq!(seen(&starts), Ok(None));
        let three_of_four = [[true; 7].as_slice(), &[false]].concat();
        assert_eq!(seen(&three_of_four), Ok(None));
        assert!(seen(&[true; 16]).is_ok_and(|found| found.is_some()));
    }
}
