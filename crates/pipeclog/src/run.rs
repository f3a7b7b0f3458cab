//! Many trials at a time, with a progress bar: what `prove` and `report` share.

use std::io::Write as _;
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

use crate::interrupt::{self, Interrupted};

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

/// A pool of workers of this program, which end when a signal asks this process to.
pub(crate) fn pool() -> anyhow::Result<Pool> {
    let program = std::env::current_exe().context("failed to find this program's own file")?;
    let stop = interrupt::arm().context("failed to handle signals")?;
    Ok(Pool::new(program).stopped_by(stop.into()))
}

/// A number of jobs, for clap.
pub(crate) fn parse_jobs(text: &str) -> Result<NonZeroUsize, String> {
    text.parse()
        .map_err(|_| "write a whole number from 1 on".to_owned())
}

/// As many jobs as were asked for, or one for each processor.
pub(crate) fn jobs(asked: Option<NonZeroUsize>) -> usize {
    asked
        .or_else(|| std::thread::available_parallelism().ok())
        .map_or(1, NonZeroUsize::get)
}

/// Does `work` to each item in `jobs` threads; the results are in the order of the items. The bar is taken away.
///
/// # Errors
/// When a signal asked for the end.
pub(crate) fn each<I: Sync, O: Send>(
    items: &[I],
    jobs: usize,
    bar: &ProgressBar,
    work: impl Fn(&I) -> O + Sync,
) -> Result<Vec<O>, Interrupted> {
    let next = AtomicUsize::new(0);
    let done: Mutex<Vec<(usize, O)>> = Mutex::new(Vec::with_capacity(items.len()));
    std::thread::scope(|scope| {
        for _ in 0..jobs.max(1) {
            scope.spawn(|| {
                while interrupt::check().is_ok()
                    && let Some((index, item)) = take(items, &next)
                {
                    let result = work(item);
                    bar.inc(1);
                    done.lock()
                        .unwrap_or_else(std::sync::PoisonError::into_inner)
                        .push((index, result));
                }
            });
        }
    });
    bar.finish_and_clear();
    interrupt::check()?;
    let mut done = done
        .into_inner()
        .unwrap_or_else(std::sync::PoisonError::into_inner);
    done.sort_by_key(|(index, _)| *index);
    Ok(done.into_iter().map(|(_, result)| result).collect())
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
    let text = serde_json::to_string_pretty(results)
        .with_context(|| format!("failed to write the results to {}", path.display()))?;
    replace(path, &text)
}

/// Writes a file by rename: whoever reads it sees the old one or the new one, and never a part.
pub(crate) fn replace(path: &Path, text: &str) -> anyhow::Result<()> {
    let failed = || format!("failed to write {}", path.display());
    if path.exists() && !path.is_file() {
        // A device or a pipe has no place beside it.
        return std::fs::write(path, text).with_context(failed);
    }
    let mut file = beside(path)?;
    file.write_all(text.as_bytes()).with_context(failed)?;
    file.persist(path).with_context(failed)?;
    Ok(())
}

/// That a file can be made in that place. What stands there already is left alone.
pub(crate) fn check_place(path: &Path) -> anyhow::Result<()> {
    anyhow::ensure!(
        !path.is_dir(),
        "failed to write {}: it is a directory: name a file in it",
        path.display()
    );
    // A device or a pipe has no place beside it.
    if !path.exists() || path.is_file() {
        drop(beside(path)?);
    }
    Ok(())
}

/// A file in the directory of `path`, since rename(2) does not cross file systems. It goes away unless it is persisted.
pub(crate) fn beside(path: &Path) -> anyhow::Result<tempfile::NamedTempFile> {
    let directory = match path.parent() {
        Some(parent) if parent != Path::new("") => parent,
        _ => Path::new("."),
    };
    tempfile::Builder::new()
        .prefix(".pipeclog-report-")
        .permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666))
        .tempfile_in(directory)
        .with_context(|| format!("failed to make a file in {}", directory.display()))
}
