//! Many trials at a time, with a progress bar: what `prove` and `report` share.

use std::fs::File;
use std::io::{self, BufWriter, Write as _};
use std::num::NonZeroUsize;
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use anyhow::Context as _;
use indicatif::{ProgressBar, ProgressStyle};
use pipeclog_harness::pool::Pool;
use pipeclog_scenario::outcome::Results;
use pipeclog_scenario::scenario::Scenario;
use pipeclog_scenario::strategy::Strategy;

/// A trial to run.
pub(crate) struct Trial<'a> {
    pub(crate) scenario: &'a Scenario,
    pub(crate) strategy: Strategy,
}

impl Trial<'_> {
    /// `scenario/strategy`.
    pub(crate) fn name(&self) -> String {
        format!("{}/{}", self.scenario.name, self.strategy)
    }
}

/// Every strategy under each of these scenarios.
pub(crate) fn trials<'a>(
    scenarios: impl IntoIterator<Item = &'a Scenario>,
) -> impl Iterator<Item = Trial<'a>> {
    scenarios.into_iter().flat_map(|scenario| {
        Strategy::ALL
            .into_iter()
            .map(move |strategy| Trial { scenario, strategy })
    })
}

/// A pool of workers of this program.
pub(crate) fn pool() -> anyhow::Result<Pool> {
    let program = std::env::current_exe().context("failed to find this program's own file")?;
    Ok(Pool::new(program))
}

/// As many jobs as were asked for, or one for each processor.
pub(crate) fn jobs(asked: Option<NonZeroUsize>) -> usize {
    asked
        .or_else(|| std::thread::available_parallelism().ok())
        .map_or(1, NonZeroUsize::get)
}

/// Does `work` to each item in `jobs` threads; the results are in the order of the items.
pub(crate) fn each<I: Sync, O: Send>(
    items: &[I],
    jobs: usize,
    bar: &ProgressBar,
    work: impl Fn(&I) -> O + Sync,
) -> Vec<O> {
    let next = AtomicUsize::new(0);
    let done: Mutex<Vec<(usize, O)>> = Mutex::new(Vec::with_capacity(items.len()));
    std::thread::scope(|scope| {
        for _ in 0..jobs.max(1) {
            scope.spawn(|| {
                while let Some((index, item)) = take(items, &next) {
                    let result = work(item);
                    bar.inc(1);
                    done.lock()
                        .unwrap_or_else(std::sync::PoisonError::into_inner)
                        .push((index, result));
                }
            });
        }
    });
    let mut done = done
        .into_inner()
        .unwrap_or_else(std::sync::PoisonError::into_inner);
    done.sort_by_key(|(index, _)| *index);
    done.into_iter().map(|(_, result)| result).collect()
}

fn take<'a, I>(items: &'a [I], next: &AtomicUsize) -> Option<(usize, &'a I)> {
    let index = next.fetch_add(1, Ordering::Relaxed);
    items.get(index).map(|item| (index, item))
}

/// A bar on stderr, if that is a terminal. `what` is what it counts.
pub(crate) fn progress(steps: usize, what: &'static str) -> ProgressBar {
    let bar = ProgressBar::new(steps as u64).with_message(what);
    let template = "{bar:30} {pos}/{len} {msg}, {elapsed} so far, {eta} to go";
    if let Ok(style) = ProgressStyle::with_template(template) {
        bar.set_style(style);
    }
    bar.enable_steady_tick(Duration::from_millis(200));
    bar
}

/// Writes results as JSON.
pub(crate) fn write_json(path: &Path, results: &Results) -> anyhow::Result<()> {
    let write = || -> io::Result<()> {
        let mut file = BufWriter::new(File::create(path)?);
        serde_json::to_writer_pretty(&mut file, results)?;
        file.flush()
    };
    write().with_context(|| format!("failed to write the results to {}", path.display()))
}
