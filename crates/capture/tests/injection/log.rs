//! What strace wrote: which task called what, and where a failure was injected.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::Path;

use crate::driver;

pub(crate) struct Log {
    lines: Vec<Line>,
}

struct Line {
    task: u32,
    /// From the name of the call on.
    text: String,
}

impl Log {
    /// Reads the file; each line begins with the task.
    pub(crate) fn read(path: &Path) -> io::Result<Log> {
        let text = String::from_utf8_lossy(&std::fs::read(path)?).into_owned();
        let lines = text.lines().filter_map(|line| {
            let (task, text) = line.split_once(' ')?;
            Some(Line {
                task: task.parse().ok()?,
                text: text.trim_start().to_owned(),
            })
        });
        Ok(Log {
            lines: lines.collect(),
        })
    }

    /// What stands between the driver's two marks.
    fn window(&self) -> impl Iterator<Item = &Line> {
        let is = |mark: &'static str| move |line: &&Line| line.text.contains(mark);
        let after = self
            .lines
            .iter()
            .skip_while(move |line| !is(driver::BEGIN)(line))
            .skip(1);
        after.take_while(move |line| !is(driver::END)(line))
    }

    /// The calls between the marks, and how often the busiest task made each.
    pub(crate) fn calls(&self) -> BTreeMap<String, usize> {
        let mut by_task: BTreeMap<(u32, &str), usize> = BTreeMap::new();
        for line in self.window() {
            if let Some((call, _)) = line.text.split_once('(')
                && call
                    .chars()
                    .all(|letter| letter.is_ascii_alphanumeric() || letter == '_')
            {
                *by_task.entry((line.task, call)).or_default() += 1;
            }
        }
        let mut calls = BTreeMap::new();
        for ((_, call), count) in by_task {
            let most: &mut usize = calls.entry(call.to_owned()).or_default();
            *most = count.max(*most);
        }
        calls
    }

    /// Whether a call failed by our doing while the capture was on.
    pub(crate) fn was_injected(&self) -> bool {
        self.window().any(|line| line.text.ends_with("(INJECTED)"))
    }

    /// Whether that was in a process that had executed its program: the child itself.
    pub(crate) fn was_injected_into_a_program(&self) -> bool {
        let mut programs = BTreeSet::new();
        self.window().any(|line| {
            if line.text.contains("execve") && line.text.ends_with("= 0") {
                programs.insert(line.task);
            }
            programs.contains(&line.task) && line.text.ends_with("(INJECTED)")
        })
    }
}
