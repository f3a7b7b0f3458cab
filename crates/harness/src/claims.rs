//! Puts the claims of the post to the test: each experiment's parent is Python, watched and cleared away as any parent.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use pipeclog_capture::{Bound, Capture};
use pipeclog_scenario::claims::{Came, Claim, Experiment, Pythons, Settled, Trial};
use pipeclog_scenario::outcome::Effort;
use pipeclog_scenario::scenario::Descendants;
use pipeclog_supervise::tree::End;
use pipeclog_waitgraph::snapshot::Untrusted;
use serde::{Deserialize, Serialize};

use crate::fixtures;
use crate::trial::{self, Setup, TrialError, memory_file, path_of};
use crate::watch::{Patience, WatchError, Watched};

/// A Python of this machine.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Python {
    /// Its program.
    pub program: PathBuf,
    /// `3.13.0`, as numbers.
    pub version: Vec<u32>,
}

impl Python {
    /// `3.13.0`.
    #[must_use]
    pub fn name(&self) -> String {
        let parts: Vec<String> = self.version.iter().map(u32::to_string).collect();
        parts.join(".")
    }
}

/// An experiment and the Python that it is run on.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Request {
    /// The experiment.
    pub experiment: Experiment,
    /// The Python.
    pub python: Python,
}

/// The bound on an experiment that nothing else ends: one of them passes 1.5 GiB through a pipe.
const DEADLINE: Duration = Duration::from_secs(120);
/// How long nothing may move. Nothing in an experiment depends on time but the backgrounded sleep.
const QUIET: Duration = Duration::from_millis(700);
/// The bound on a program that is asked for its version.
const VERSION_BOUND: Duration = Duration::from_secs(10);
/// The exit code of a parent that lacks a module, as automake's tests have it.
const SKIPPED: i32 = 77;

/// Every Python on `path` (of the form of `$PATH`) and below `home` in pyenv's folders, the oldest first. One of each version.
#[must_use]
pub fn pythons(path: Option<&OsStr>, home: Option<&Path>) -> Vec<Python> {
    let on_path = path.into_iter().flat_map(std::env::split_paths);
    let versions = home.map(|home| home.join(".pyenv/versions"));
    let of_pyenv = versions
        .and_then(|folder| std::fs::read_dir(folder).ok())
        .into_iter()
        .flatten()
        .filter_map(Result::ok)
        .map(|version| version.path().join("bin"));
    let mut found: BTreeMap<Vec<u32>, PathBuf> = BTreeMap::new();
    for folder in on_path.chain(of_pyenv) {
        let Ok(entries) = std::fs::read_dir(folder) else {
            continue;
        };
        let mut programs: Vec<PathBuf> = entries
            .filter_map(Result::ok)
            .map(|entry| entry.path())
            .filter(|program| program.file_name().is_some_and(is_python))
            .collect();
        programs.sort();
        for program in programs {
            if let Some(version) = version(&program) {
                found.entry(version).or_insert(program);
            }
        }
    }
    let pythons = found.into_iter();
    pythons
        .map(|(version, program)| Python { program, version })
        .collect()
}

/// `python`, `python3`, `python2.7`, and no `python3-config`.
fn is_python(name: &OsStr) -> bool {
    let version = name.to_str().and_then(|name| name.strip_prefix("python"));
    version.is_some_and(|version| {
        version
            .bytes()
            .all(|byte| byte.is_ascii_digit() || byte == b'.')
    })
}

/// What a program says of itself; nothing if it is no Python that runs.
fn version(program: &Path) -> Option<Vec<u32>> {
    let ask = "import sys; sys.stdout.write('%d.%d.%d' % sys.version_info[:3])";
    let command = pipeclog_capture::Command::new(program).args(["-c", ask]);
    let captured = Capture::recommended(Bound::Timeout(VERSION_BOUND))
        .run(&command)
        .ok()?;
    let text = String::from_utf8(captured.stdout.bytes.to_vec()).ok()?;
    let numbers: Option<Vec<u32>> = text.split('.').map(|part| part.parse().ok()).collect();
    numbers.filter(|numbers| numbers.len() == 3)
}

/// What must be run to settle the claims, in the order of the claims. A quick run is content with the oldest and the newest
/// Python, and leaves out what takes long.
#[must_use]
pub fn agenda(claims: &[Claim], pythons: &[Python], effort: Effort) -> Vec<Item> {
    let newest = pythons.last();
    let chosen = pythons
        .iter()
        .enumerate()
        .filter(|(place, _)| match effort {
            Effort::Full => true,
            Effort::Quick => *place == 0 || place + 1 == pythons.len(),
        });
    let chosen: Vec<&Python> = chosen.map(|(_, python)| python).collect();
    let mut items = Vec::new();
    for (claim, one) in claims.iter().enumerate() {
        for (place, experiment) in one.experiments.iter().enumerate() {
            let of_major = |major| {
                chosen
                    .iter()
                    .copied()
                    .filter(move |python| python.version.first() == Some(&major))
            };
            let on: Vec<&Python> = match experiment.on {
                Pythons::All => chosen.clone(),
                Pythons::Python2 => of_major(2).collect(),
                Pythons::Python3 => of_major(3).collect(),
                Pythons::Newest if effort == Effort::Full => newest.into_iter().collect(),
                Pythons::Newest => Vec::new(),
            };
            for python in on {
                for _ in 0..experiment.times {
                    items.push(Item {
                        claim,
                        experiment: place,
                        request: Request {
                            experiment: experiment.clone(),
                            python: python.clone(),
                        },
                    });
                }
            }
        }
    }
    items
}

/// An experiment that is to be run, and its place.
#[derive(Clone, Debug)]
pub struct Item {
    claim: usize,
    experiment: usize,
    /// What a worker is asked.
    pub request: Request,
}

/// Puts what came, one for each item, to the claims.
#[must_use]
pub fn settle(claims: Vec<Claim>, items: &[Item], came: Vec<Came>) -> Vec<Settled> {
    let mut settled: Vec<Settled> = claims
        .into_iter()
        .map(|claim| Settled {
            claim,
            trials: Vec::new(),
        })
        .collect();
    for (item, came) in items.iter().zip(came) {
        if let Some(one) = settled.get_mut(item.claim) {
            one.trials.push(Trial {
                experiment: item.experiment,
                python: Untrusted::from(item.request.python.name().as_str()),
                came,
            });
        }
    }
    settled
}

/// Runs an experiment; nothing if it was given up. As [`trial::run`], it takes the children of this process for its own.
pub fn run(request: &Request, setup: &Setup) -> Option<Came> {
    match try_run(request, setup) {
        Ok(came) => Some(came),
        Err(TrialError::Watch(WatchError::Stopped)) => None,
        Err(error) => Some(Came::Broken {
            why: Untrusted::from(error.to_string().as_str()),
        }),
    }
}

fn try_run(request: &Request, setup: &Setup) -> Result<Came, TrialError> {
    let experiment = &request.experiment;
    let Some(text) = fixtures::claim_parent(&experiment.parent) else {
        return Ok(Came::Broken {
            why: Untrusted::from(
                format!("there is no fixtures/claims/{}", experiment.parent).as_str(),
            ),
        });
    };
    let failed = |source| TrialError::Io {
        what: "fill a memory file",
        source,
    };
    let mut parent = memory_file()?;
    parent.write_all(text.as_bytes()).map_err(failed)?;
    let (ledger, stdout, stderr) = (memory_file()?, memory_file()?, memory_file()?);
    let mut command = Command::new(&request.python.program);
    command.arg(path_of(&parent)).args(&experiment.arguments);
    for word in &experiment.child {
        match word.as_str() {
            "{chatty}" => command
                .arg(&setup.program)
                .args(["chatty", "--ledger"])
                .arg(path_of(&ledger)),
            "{python}" => command.arg(&request.python.program),
            word => command.arg(word),
        };
    }
    let wrote = |file: &std::fs::File| {
        file.try_clone().map_err(|source| TrialError::Io {
            what: "duplicate a descriptor",
            source,
        })
    };
    command
        .stdin(Stdio::null())
        .stdout(wrote(&stdout)?)
        .stderr(wrote(&stderr)?);
    let patience = Patience {
        deadline: DEADLINE,
        quiet: QUIET,
        polling: QUIET,
        timers: None,
        probable: None,
        proof: Duration::ZERO,
    };
    let ran = trial::carry_out(
        &mut command,
        &setup.stop,
        patience,
        Descendants::Killed,
        |_, _| {},
    )?;
    Ok(match ran.watched {
        Watched::Hung(hang) => Came::Hung {
            hang,
            written: trial::written(&ledger),
        },
        Watched::Ended => ended(
            ran.leader,
            &std::fs::read(path_of(&stderr)).map_err(failed)?,
        ),
    })
}

fn ended(leader: End, stderr: &[u8]) -> Came {
    let last = stderr.trim_ascii_end().rsplit(|byte| *byte == b'\n').next();
    let said = Untrusted::new(last.unwrap_or_default());
    match leader {
        End::Code(SKIPPED) => Came::Skipped { why: said },
        End::Code(code) => Came::Ended { code, said },
        End::Signal(signal) => Came::Ended {
            code: -(signal as i32),
            said,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_line_is_what_was_said_and_77_is_a_skip() {
        let said = |text: &str| Untrusted::from(text);
        for (end, stderr, came) in [
            (
                End::Code(0),
                "noise\n10 bytes\n",
                Came::Ended {
                    code: 0,
                    said: said("10 bytes"),
                },
            ),
            (
                End::Code(1),
                "",
                Came::Ended {
                    code: 1,
                    said: said(""),
                },
            ),
            (
                End::Code(77),
                "no pexpect\n",
                Came::Skipped {
                    why: said("no pexpect"),
                },
            ),
            (
                End::Signal(nix::sys::signal::Signal::SIGKILL),
                "x",
                Came::Ended {
                    code: -9,
                    said: said("x"),
                },
            ),
        ] {
            assert_eq!(ended(end, stderr.as_bytes()), came);
        }
    }

    #[test]
    fn an_experiment_is_run_on_the_pythons_that_it_names_and_as_often_as_it_says() {
        let claims = fixtures::claims().unwrap();
        let python = |version: [u32; 3]| Python {
            program: PathBuf::from("python"),
            version: version.to_vec(),
        };
        let pythons = [python([2, 7, 18]), python([3, 6, 15]), python([3, 13, 0])];
        let runs = |effort, parent: &str, on: Pythons| {
            let items = agenda(&claims, &pythons, effort);
            let mine = items.iter().filter(|item| {
                let experiment = &item.request.experiment;
                experiment.parent == parent && experiment.on == on
            });
            mine.map(|item| item.request.python.name())
                .collect::<Vec<_>>()
        };
        assert_eq!(
            runs(Effort::Full, "os_popen3.py", Pythons::Python2),
            ["2.7.18", "2.7.18"]
        );
        assert_eq!(
            runs(Effort::Full, "read_and_count.py", Pythons::Newest),
            ["3.13.0"]
        );
        assert!(runs(Effort::Quick, "read_and_count.py", Pythons::Newest).is_empty());
        assert_eq!(
            runs(Effort::Full, "string_io.py", Pythons::All),
            ["2.7.18", "3.6.15", "3.13.0"]
        );
        assert_eq!(
            runs(Effort::Quick, "string_io.py", Pythons::All),
            ["2.7.18", "3.13.0"]
        );
        assert!(agenda(&claims, &[], Effort::Full).is_empty());
        let same_spot = claims
            .iter()
            .flat_map(|claim| &claim.experiments)
            .find(|one| one.times > 1)
            .unwrap();
        let items = agenda(&claims, &pythons[..1], Effort::Full);
        let times = items
            .iter()
            .filter(|item| item.request.experiment == *same_spot)
            .count();
        assert_eq!(times, usize::try_from(same_spot.times).unwrap());
    }

    #[test]
    fn only_interpreters_are_asked_for_their_version() {
        for (name, is) in [
            ("python", true),
            ("python3", true),
            ("python2.7", true),
            ("python3-config", false),
            ("pythonw", false),
            ("ipython", false),
        ] {
            assert_eq!(is_python(OsStr::new(name)), is, "{name}");
        }
    }
}
