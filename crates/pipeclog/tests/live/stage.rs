//! A stage: a process of its own that plays one case, asks `pipeclog diagnose` about it, and clears everything away.

use std::env;
use std::ffi::OsString;
use std::fs::File;
use std::io::Read as _;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::sys::signal::{Signal, kill};
use nix::sys::wait::{WaitPidFlag, waitpid};
use pipeclog_capture::{Bound, Capture};
use pipeclog_procscan::{Scanner, Selection, children};
use pipeclog_waitgraph::awaited::Assumption;
use pipeclog_waitgraph::report::{Assumed, Confidence, Report, VerdictName};
use pipeclog_waitgraph::snapshot::{Pid, Process, Snapshot, State, Task};
use serde::{Deserialize, Serialize};

use crate::case::{Case, Expect};

/// The first argument of a process that is a stage.
pub(crate) const ROLE: &str = "--stage";

/// How long a case may take to come to where it stands still. Virtual machines start slowly on a busy machine.
const READY_BOUND: Duration = Duration::from_secs(60);
/// How long the right answer may take after that: other cases fork, and a look that missed a newborn proves nothing.
const ANSWER_BOUND: Duration = Duration::from_secs(40);
/// How long the killed may take to die.
const CLEAR_BOUND: Duration = Duration::from_secs(10);
const TICK: Duration = Duration::from_millis(40);

/// What a stage is asked to play.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Script {
    /// The case.
    pub(crate) case: Case,
    /// How it runs here.
    pub(crate) command: Vec<String>,
    /// The program under test.
    pub(crate) pipeclog: PathBuf,
}

/// What came of it.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct Played {
    /// What was said of the case.
    pub(crate) verdict: Option<VerdictName>,
    /// How sure.
    pub(crate) confidence: Option<Confidence>,
    /// What is wrong; nothing, if all is as expected.
    pub(crate) complaint: Option<String>,
}

/// The script, if this process was started as a stage.
pub(crate) fn script_of_this_process() -> Option<Script> {
    let mut arguments = env::args().skip(1);
    (arguments.next()? == ROLE).then(|| {
        let script = arguments.next().expect("a stage is given its script");
        serde_json::from_str(&script).expect("the script of a stage is well-formed")
    })
}

/// Plays the case and prints what came of it.
pub(crate) fn play(script: &Script) -> ExitCode {
    let played = Stage::set(script).map(|mut stage| {
        let played = stage.perform(script);
        let cleared = clear();
        played.and_then(|played| cleared.map(|()| played))
    });
    let played = played.and_then(|p| p).unwrap_or_else(|why| Played {
        complaint: Some(why),
        ..Played::default()
    });
    let text = serde_json::to_string(&played).expect("what was played can be written");
    print!("{text}");
    ExitCode::SUCCESS
}

struct Stage {
    leader: Child,
    scanner: Scanner,
    /// Where the case runs; it goes with the stage.
    folder: tempfile::TempDir,
}

impl Stage {
    fn set(script: &Script) -> Result<Self, String> {
        nix::sys::prctl::set_child_subreaper(true)
            .map_err(|e| format!("failed to become the reaper of orphans: {e}"))?;
        let folder = tempfile::tempdir().map_err(|e| format!("failed to make a folder: {e}"))?;
        let output = folder.path().join("output");
        let file = File::create(&output).and_then(|file| Ok((file.try_clone()?, file)));
        let (stdout, stderr) =
            file.map_err(|e| format!("failed to create {}: {e}", output.display()))?;
        let (program, arguments) = script
            .command
            .split_first()
            .ok_or("a case without a command")?;
        let leader = Command::new(program)
            .args(arguments)
            .current_dir(folder.path())
            .env("PATH", path_with(&script.pipeclog))
            .env_remove("JAVA_TOOL_OPTIONS")
            .stdin(Stdio::null())
            .stdout(stdout)
            .stderr(stderr)
            .process_group(0)
            .spawn()
            .map_err(|e| format!("failed to start {program}: {e}"))?;
        let scanner = Scanner::new("/proc").map_err(|e| e.to_string())?;
        Ok(Self {
            leader,
            scanner,
            folder,
        })
    }

    fn perform(&mut self, script: &Script) -> Result<Played, String> {
        let target = self.ready(&script.case)?;
        let bound = Instant::now() + ANSWER_BOUND;
        let mut asked = 0;
        loop {
            let report = ask(script, target)?;
            asked += 1;
            let complaint = complaint(&script.case.expect, &report);
            let is_deadlock = report.verdict == VerdictName::Deadlocked;
            let enough = match script.case.expect {
                // A deadlock lasts: that it is found at all is what counts, and a look in between may have been torn.
                Expect::Deadlock { confidence, .. } => {
                    (is_deadlock && is_sure(&report, confidence)) || Instant::now() > bound
                }
                // Twice right, and never a deadlock.
                Expect::LookAlike(_) | Expect::Undecidable(_) => {
                    is_deadlock || (complaint.is_none() && asked > 1) || Instant::now() > bound
                }
            };
            if enough {
                let complaint = complaint.map(|c| format!("{c}\n{}", told(&report)));
                return Ok(Played {
                    verdict: Some(report.verdict),
                    confidence: Some(report.confidence),
                    complaint,
                });
            }
        }
    }

    /// Waits until tasks of the case are in all the states that it names, in two looks; gives the process to ask about.
    fn ready(&mut self, case: &Case) -> Result<u32, String> {
        let bound = Instant::now() + READY_BOUND;
        let selection = Selection::Tree(vec![Pid(std::process::id())]);
        let mut seen_before = false;
        loop {
            let look = self.scanner.scan(&selection).map_err(|e| e.to_string())?;
            let cast = cast(&look);
            let states: Vec<String> = cast.iter().flat_map(|p| &p.tasks).map(state_of).collect();
            let seen = contains(&states, &case.ready);
            if seen && seen_before {
                return match &case.ask {
                    None => Ok(self.leader.id()),
                    Some(name) => {
                        let asked = cast.iter().find(|p| p.comm.as_bytes() == name.as_bytes());
                        let asked = asked.ok_or_else(|| format!("there is no process {name}"))?;
                        Ok(asked.pid.0)
                    }
                };
            }
            seen_before = seen;
            if Instant::now() > bound {
                let names: Vec<String> = cast
                    .iter()
                    .map(|p| p.comm.terminal(20).to_string())
                    .collect();
                return Err(format!(
                    "it was never seen in {:?}; at last {names:?} were in {states:?}; it said: {}",
                    case.ready,
                    self.output()
                ));
            }
            pause();
        }
    }

    fn output(&self) -> String {
        let mut bytes = Vec::new();
        let read = File::open(self.folder.path().join("output"))
            .and_then(|file| file.take(2_000).read_to_end(&mut bytes));
        match read {
            Ok(_) => String::from_utf8_lossy(&bytes).into_owned(),
            Err(e) => e.to_string(),
        }
    }
}

/// The path, with the program under test and the chatty child of the same build in it.
fn path_with(pipeclog: &Path) -> OsString {
    let build = pipeclog.parent().unwrap_or(Path::new("."));
    let mut path = build.as_os_str().to_owned();
    path.push(":");
    path.push(env::var_os("PATH").unwrap_or_default());
    path
}

/// The processes of the case: all that descends from this one, save those that ask.
fn cast(look: &Snapshot) -> Vec<&Process> {
    let me = Pid(std::process::id());
    let descends = |process: &Process| {
        let mut at = process.ppid;
        while let Some(above) = look.process(at) {
            if at == me {
                return true;
            }
            at = above.ppid;
        }
        false
    };
    look.processes.iter().filter(|p| descends(p)).collect()
}

/// What a task does, by the name that the snapshot's JSON has for its wait.
fn state_of(task: &Task) -> String {
    match task.state {
        State::Stopped => "stopped".to_owned(),
        State::Traced => "traced".to_owned(),
        State::Zombie | State::Dead => "exited".to_owned(),
        _ => serde_json::to_value(&task.wait)
            .ok()
            .and_then(|wait| Some(wait.get("for")?.as_str()?.to_owned()))
            .unwrap_or_default(),
    }
}

/// Whether `all` has each of `wanted`, as often as it is there.
fn contains(all: &[String], wanted: &[String]) -> bool {
    let count = |list: &[String], name: &String| list.iter().filter(|n| *n == name).count();
    wanted.iter().all(|n| count(all, n) >= count(wanted, n))
}

fn ask(script: &Script, target: u32) -> Result<Report, String> {
    let mut command = pipeclog_capture::Command::new(&script.pipeclog)
        .args(["diagnose", "--format", "json"])
        .arg(target.to_string());
    if let Some(seconds) = script.case.look_s {
        command = command.args(["--look".to_owned(), format!("{seconds}s")]);
    }
    let captured = Capture::recommended(Bound::Timeout(Duration::from_secs(60)))
        .run(&command)
        .map_err(|e| e.to_string())?;
    let report: Report = serde_json::from_slice(&captured.stdout.bytes).map_err(|e| {
        format!(
            "{command} ended with {} and gave no report ({e}): {}",
            captured.status,
            String::from_utf8_lossy(&captured.stderr.bytes)
        )
    })?;
    let proven =
        report.verdict == VerdictName::Deadlocked && report.confidence == Confidence::Proven;
    let code = captured.status.shell_code();
    if proven != (code == Some(1)) && report.beside.is_empty() {
        return Err(format!("{command} exited with {code:?}: {}", told(&report)));
    }
    Ok(report)
}

/// What is wrong with a report.
fn complaint(expect: &Expect, report: &Report) -> Option<String> {
    match expect {
        Expect::LookAlike(verdicts) | Expect::Undecidable(verdicts) => {
            (!verdicts.contains(&report.verdict)).then(|| format!("it is none of {verdicts:?}"))
        }
        Expect::Deadlock { .. } if report.verdict != VerdictName::Deadlocked => {
            Some("it is not called a deadlock".to_owned())
        }
        Expect::Deadlock {
            confidence,
            class,
            fix,
            ..
        } => {
            if !is_sure(report, *confidence) {
                return Some(format!("it is not {}", confidence.word()));
            }
            let told = report.class.filter(|c| class.contains(c));
            if !class.is_empty() && told.is_none() {
                return Some(format!("its class is none of {class:?}"));
            }
            let language = report.fix.as_ref().map(|f| f.language);
            (fix.is_some() && language != *fix)
                .then(|| format!("its fix is for {language:?} and not {fix:?}"))
        }
    }
}

/// Whether a report is as sure as it must be. Programs that always handle SIGALRM (sort, mksh) are proven to have no alarm only
/// where nobody on the machine has one and the kernel's list of timers can be read: that is not the case's doing.
fn is_sure(report: &Report, floor: Confidence) -> bool {
    let of_here = |a: &Assumed| matches!(a.assumption, Assumption::NoAlarm { .. });
    // The surer comes first.
    report.confidence <= floor || report.assumptions.iter().all(of_here)
}

fn told(report: &Report) -> String {
    let mut text = format!(
        "{}, {}, class {:?}: {}",
        report.verdict.word(),
        report.confidence.word(),
        report.class.map(|c| c.slug()),
        report.headline
    );
    for assumed in &report.assumptions {
        text.push_str("\n  assumes: ");
        text.push_str(&assumed.text);
    }
    for member in &report.members {
        let who = format!(
            "\n  {} ({}): {} {}",
            member.actor.name.terminal(20),
            member.actor.task.tid,
            member.call,
            member.waits
        );
        text.push_str(&who);
    }
    for gap in report.gaps.iter().take(5) {
        text.push_str(&format!("\n  gap: {gap:?}"));
    }
    text
}

/// Kills and reaps until this process has no child: orphans become its children, and a number that is not reaped is nobody
/// else's.
fn clear() -> Result<(), String> {
    let bound = Instant::now() + CLEAR_BOUND;
    loop {
        match waitpid(None, Some(WaitPidFlag::WNOHANG)) {
            Err(Errno::ECHILD) => return Ok(()),
            Ok(status) if status.pid().is_some() => continue,
            _ => {}
        }
        let living = children::of_this_process();
        if Instant::now() > bound {
            return Err(format!("these survived SIGKILL: {living:?}"));
        }
        for pid in living {
            let _ = kill(nix::unistd::Pid::from_raw(pid), Signal::SIGKILL);
        }
        pause();
    }
}

/// Between two looks at something that tells nobody when it comes to rest.
#[expect(
    clippy::disallowed_methods,
    reason = "each loop around it is bounded, and ends by what it sees"
)]
fn pause() {
    std::thread::sleep(TICK);
}
