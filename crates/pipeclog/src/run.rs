//! Many trials at a time, with a progress bar: what `prove` and `report` share.

use std::io::{self, Write as _};
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

/// As many jobs as were asked for, or two for each processor, since a trial waits most of the time.
pub(crate) fn jobs(asked: Option<NonZeroUsize>) -> usize {
    asked.map_or_else(
        || 2 * std::thread::available_parallelism().map_or(1, NonZeroUsize::get),
        NonZeroUsize::get,
    )
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
    let done = until_interrupted(items, jobs, bar, work);
    interrupt::check()?;
    Ok(done.into_iter().map(|(_, result)| result).collect())
}

/// The same, where what was done by the time of a signal is wanted too: each result with the place of its item.
pub(crate) fn until_interrupted<I: Sync, O: Send>(
    items: &[I],
    jobs: usize,
    bar: &ProgressBar,
    work: impl Fn(&I) -> O + Sync,
) -> Vec<(usize, O)> {
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
    let mut done = done
        .into_inner()
        .unwrap_or_else(std::sync::PoisonError::into_inner);
    done.sort_by_key(|(index, _)| *index);
    done
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

/// Writes a file by rename: whoever reads it sees the old one or the new one, and never a part. An error leaves the old one.
pub(crate) fn replace(path: &Path, text: &str) -> anyhow::Result<()> {
    let failed = |error: io::Error| anyhow::anyhow!(failure(path, &error));
    if !has_place_beside(path) {
        return std::fs::write(path, text).map_err(failed);
    }
    let mut file = beside(path)?;
    if let Ok(old) = path.metadata() {
        // What its owner kept from others stays so.
        file.as_file()
            .set_permissions(old.permissions())
            .map_err(failed)?;
    }
    file.write_all(text.as_bytes()).map_err(failed)?;
    file.persist(path).map_err(|error| failed(error.error))?;
    Ok(())
}

/// That a file can be made in that place. What stands there already is left alone.
pub(crate) fn check_place(path: &Path) -> anyhow::Result<()> {
    anyhow::ensure!(
        !path.is_dir(),
        "failed to write {}: it is a directory: name a file in it",
        path.display()
    );
    if has_place_beside(path) {
        drop(beside(path)?);
    }
    Ok(())
}

/// A device and a pipe have none, and neither has a name of an open file: `/dev/stdout` must not become a file in `/dev`.
fn has_place_beside(path: &Path) -> bool {
    let names_open_files = ["/dev/fd", "/proc"]
        .iter()
        .any(|folder| path.starts_with(folder))
        || path.parent() == Some(Path::new("/dev"));
    !names_open_files && (path.is_file() || !path.exists())
}

/// A file in the directory of `path`, since rename(2) does not cross file systems. It goes away unless it is persisted.
fn beside(path: &Path) -> anyhow::Result<tempfile::NamedTempFile> {
    let directory = match path.parent() {
        Some(parent) if parent != Path::new("") => parent,
        _ => Path::new("."),
    };
    tempfile::Builder::new()
        .prefix(".pipeclog-")
        .permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666))
        .tempfile_in(directory)
        .map_err(|error| anyhow::anyhow!(failure(path, &error)))
}

/// What went wrong with a file, and what to do.
fn failure(path: &Path, error: &io::Error) -> String {
    let advice = match error.kind() {
        io::ErrorKind::NotFound => "; make its directory first, or name a file in another",
        io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => {
            "; name a file in a directory that you may write to"
        }
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
            "; make room there, or name a file on another file system"
        }
        io::ErrorKind::FileTooLarge => {
            "; the limit on the size of files (ulimit -f) is too low for it"
        }
        io::ErrorKind::NotADirectory => "; a part of that path is no directory",
        _ => "",
    };
    // tempfile adds the name that it made up, which nobody asked about.
    let said = error.to_string();
    let said = said.split(" at path ").next().unwrap_or_default();
    format!("failed to write {}: {said}{advice}", path.display())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn names_in(folder: &Path) -> Vec<std::ffi::OsString> {
        std::fs::read_dir(folder)
            .unwrap()
            .map(|entry| entry.unwrap().file_name())
            .collect()
    }

    #[test]
    fn a_file_that_is_replaced_keeps_its_permissions_and_leaves_nothing_beside_it() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("looks.json");
        std::fs::write(&file, "old").unwrap();
        std::fs::set_permissions(&file, PermissionsExt::from_mode(0o600)).unwrap();
        replace(&file, "new").unwrap();
        assert_eq!(std::fs::read_to_string(&file).unwrap(), "new");
        assert_eq!(file.metadata().unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(names_in(folder.path()), ["looks.json"]);
    }

    #[test]
    fn a_link_is_replaced_and_what_it_names_is_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let (link, other) = (folder.path().join("link"), folder.path().join("other"));
        std::fs::write(&other, "precious").unwrap();
        std::os::unix::fs::symlink(&other, &link).unwrap();
        replace(&link, "new").unwrap();
        assert_eq!(std::fs::read_to_string(&other).unwrap(), "precious");
        assert_eq!(std::fs::read_to_string(&link).unwrap(), "new");
    }

    #[test]
    fn names_of_open_files_and_devices_are_written_where_they_stand() {
        for name in ["/dev/stdout", "/dev/fd/1", "/proc/self/fd/1", "/dev/null"] {
            assert!(!has_place_beside(Path::new(name)), "{name}");
        }
        for name in ["/dev/shm/new.json", "new.json", "/tmp/new.json"] {
            assert!(has_place_beside(Path::new(name)), "{name}");
        }
    }

    #[test]
    fn what_to_do_is_said_of_a_full_disk_and_of_a_directory_that_is_not_there() {
        let full = replace(Path::new("/dev/full"), "x")
            .unwrap_err()
            .to_string();
        assert!(full.contains("/dev/full: No space left"), "{full}");
        assert!(full.contains("make room"), "{full}");
        let gone = replace(Path::new("/nowhere/at/all/x"), "x").unwrap_err();
        let gone = format!("{gone:#}");
        assert_eq!(
            gone,
            "failed to write /nowhere/at/all/x: No such file or directory (os error 2); make its directory first, or name a file in another"
        );
    }
}
