//! Whether a wrapper uses the processor while it has nothing to do.

use pipeclog_waitgraph::snapshot::{Process, Snapshot, State, Wait};

use crate::quiet::Cast;

/// Looks at a trial in which the child sleeps, and how many of them met a task of the wrapper that ran.
///
/// States are counted, not time: a task that wants the processor is seen to run on a loaded machine too, and one that sleeps
/// is not, however slow the machine.
#[derive(Debug, Default)]
pub(crate) struct Idle {
    looks: usize,
    busy: usize,
}

/// Fewer looks say nothing.
const LOOKS: usize = 3;

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
        self.looks += 1;
        let runs = members
            .iter()
            .filter(|process| process.pid != child.pid)
            .flat_map(|process| &process.tasks)
            .any(|task| task.state == State::Running);
        if runs {
            self.busy += 1;
        }
    }

    /// What it came to: an error if there were too few looks to say.
    pub(crate) fn verdict(&self) -> Result<Option<String>, String> {
        if self.looks < LOOKS {
            return Err(format!(
                "on this busy machine the wrapper was seen only {} times while its child slept, and {LOOKS} are needed",
                self.looks
            ));
        }
        Ok((self.busy * 2 > self.looks).then(|| {
            format!(
                "it ran at {} of {} looks while its child slept: it burns the processor",
                self.busy, self.looks
            )
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn few_looks_say_nothing_and_half_of_them_is_not_most() {
        let seen = |busy, looks| Idle { looks, busy }.verdict();
        assert!(seen(2, 2).is_err());
        assert_eq!(seen(5, 10), Ok(None));
        assert!(seen(6, 10).is_ok_and(|found| found.is_some()));
    }
}
