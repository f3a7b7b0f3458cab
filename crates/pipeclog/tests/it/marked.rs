//! Finds the processes that a test has started, however far from it they are: by a mark in the environment that all of them inherit.

use std::fs;
use std::sync::atomic::{AtomicU32, Ordering};

/// The name of the variable.
pub(crate) const VARIABLE: &str = "PIPECLOG_TEST_MARK";

/// A mark that nothing else on this machine has.
#[derive(Debug)]
pub(crate) struct Mark(pub(crate) String);

/// A living process with the mark.
#[derive(Debug)]
pub(crate) struct Marked {
    pub(crate) pid: i32,
    /// Its words, with a space between.
    pub(crate) command: String,
}

impl Mark {
    pub(crate) fn new() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        Self(format!("{}-{number}.", std::process::id()))
    }

    /// All that live and have it. A zombie has no environment any more.
    pub(crate) fn living(&self) -> Vec<Marked> {
        let wanted = format!("{VARIABLE}={}", self.0);
        let has_it = |pid: &i32| {
            let environment = fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
            environment
                .split(|byte| *byte == 0)
                .any(|entry| entry == wanted.as_bytes())
        };
        let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
        entries
            .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
            .filter(has_it)
            .map(|pid| Marked {
                pid,
                command: fs::read_to_string(format!("/proc/{pid}/cmdline"))
                    .unwrap_or_default()
                    .replace('\0', " "),
            })
            .collect()
    }
}
