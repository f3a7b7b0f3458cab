//! From the moment in which the last member of a deadlock blocks to the moment in which a watch tells of it; and what a watch costs
//! while nothing is wrong.
//!
//! The deadlock is the oldest: a parent that waits for a child that has written more than the pipe holds. The child fills the pipe,
//! lets its parent fall asleep, notes the time, and writes one byte more.

use std::ffi::OsString;
use std::fs::File;
use std::io::{self, Write as _};
use std::path::Path;
use std::process::{Command, ExitCode, Stdio};
use std::time::Duration;

use nix::time::{ClockId, clock_gettime};
use pipeclog_scenario::goals::Goal;
use pipeclog_scenario::goals::Wanted::AtMost;
use pipeclog_supervise::switches::Switches;
use pipeclog_supervise::{Event, OnDeadlock, Options, Whom, keeper, run};
use pipeclog_waitgraph::snapshot::Tid;
use rustix::event::{PollFd, PollFlags, poll};
use serde::{Deserialize, Serialize};

use crate::Effort;
use crate::statistics::spread;

/// The name of this measurement, for the words of the command line.
pub(crate) const NAME: &str = "detection";
/// The arguments that make this program the watch, the parent and the child.
const WATCH: &str = "watch";
const PARENT: &str = "deadlock-parent";
const CHILD: &str = "deadlock-child";
/// Rounds of a full run, and of a quick one.
const ROUNDS: [usize; 2] = [60, 15];
/// How long the run has gone on when it deadlocks, in milliseconds: a watch looks less often the older a run is.
const AGES: [u64; 3] = [20, 200, 2000];
/// As many rounds where each takes seconds.
const FEWER: usize = 6;
/// Writers that block, one after the other.
const NOTICES: [usize; 2] = [100, 20];
/// How long the command runs in which nothing is wrong.
const HEALTHY_S: [u32; 2] = [20, 5];

/// Measures, if wanted.
pub(crate) fn measure(effort: Effort, wants: impl Fn(&str) -> bool) -> Vec<Goal> {
    let is_wanted = wants(NAME);
    let mut goals = Vec::new();
    for age in AGES {
        let rounds = match age {
            2000.. => FEWER,
            _ => ROUNDS[effort as usize],
        };
        let latencies = if is_wanted {
            latencies(age, rounds)
        } else {
            Vec::new()
        };
        let what =
            format!("a watch tells of a deadlock after {age} ms of run, ms from the last block");
        goals.push(Goal {
            goal: 10,
            what: what.as_str().into(),
            wanted: AtMost(5.0),
            measured: spread(latencies),
        });
    }
    let mut noticed = match is_wanted.then(|| notices(NOTICES[effort as usize])) {
        Some(Ok(noticed)) => noticed,
        Some(Err(error)) => {
            println!("\nnot measured: this machine does not tell of switches ({error})");
            Vec::new()
        }
        None => Vec::new(),
    };
    noticed.sort_by(f64::total_cmp);
    let late = noticed.get(noticed.len() * 95 / 100).copied();
    for (what, wanted, measured) in [
        (
            "a blocked writer is noticed, µs from its block",
            100.0,
            noticed,
        ),
        ("the same, 95th percentile", 1000.0, Vec::from_iter(late)),
    ] {
        goals.push(Goal {
            goal: 10,
            what: what.into(),
            wanted: AtMost(wanted),
            measured: spread(measured),
        });
    }
    let seconds = HEALTHY_S[effort as usize];
    let healthy = is_wanted.then(|| watched(&["sleep", &seconds.to_string()]));
    let percent = healthy.map(|it| 100.0 * it.spent_ns as f64 / it.took_ns as f64);
    goals.push(Goal {
        goal: 10,
        what: format!("a watch of {seconds} s in which nothing is wrong, % of a processor")
            .as_str()
            .into(),
        wanted: AtMost(2.0),
        measured: percent.and_then(|percent| spread(vec![percent])),
    });
    if is_wanted {
        println!("\ndetection");
        for goal in &goals {
            let median = goal.measured.map_or(f64::NAN, |it| it.median);
            println!("{:72} {median:8.2}", goal.what.escaped());
        }
    }
    goals
}

/// Microseconds from the child's note to the moment in which a look, made when the kernel tells of a switch, shows it in its write; nothing
/// where the kernel does not tell.
fn notices(rounds: usize) -> io::Result<Vec<f64>> {
    let folder = tempfile::tempdir()?;
    let note = folder.path().join("note");
    let program = std::env::current_exe()?;
    let one = || {
        let (_unread, stdout) = io::pipe()?;
        let mut command = Command::new(&program);
        command.args([CHILD, &note.to_string_lossy(), "20"]);
        let mut child = command.stdout(stdout).spawn()?;
        drop(command);
        let noticed = notice(child.id());
        child.kill()?;
        child.wait()?;
        let Some(noticed) = noticed? else {
            return Ok(None);
        };
        let noted = std::fs::read_to_string(&note)?;
        let noted: i64 = noted.parse().map_err(io::Error::other)?;
        Ok(Some((noticed - noted) as f64 / 1e3))
    };
    // Who had blocked before it could be told of is no sample; a machine on which nobody can be told of gives none.
    let rounds = (0..2 * rounds)
        .map(|_| one())
        .filter_map(io::Result::transpose)
        .take(rounds);
    rounds.collect()
}

/// When this process was first seen in a write to its stdout that blocks; nothing if it had blocked before the kernel was to tell.
fn notice(pid: u32) -> io::Result<Option<i64>> {
    let mut switches = Switches::new()?;
    switches.add(Tid(pid))?;
    let syscall = format!("/proc/{pid}/syscall");
    let write = format!("{} 0x1 ", nix::libc::SYS_write);
    let is_blocked = || Ok::<_, io::Error>(std::fs::read_to_string(&syscall)?.starts_with(&write));
    if is_blocked()? {
        return Ok(None);
    }
    loop {
        let mut fds: Vec<PollFd<'_>> = switches
            .descriptors()
            .map(|fd| PollFd::from_borrowed_fd(fd, PollFlags::IN))
            .collect();
        if fds.is_empty() {
            return Err(io::Error::other(format!("writer {pid} has ended")));
        }
        poll(&mut fds, None)?;
        let told: Vec<PollFlags> = fds.iter().map(PollFd::revents).collect();
        switches.hear(&told);
        if is_blocked()? {
            return Ok(Some(now_ns()));
        }
    }
}

/// Milliseconds from the child's note to the verdict.
fn latencies(age_ms: u64, rounds: usize) -> Vec<f64> {
    let folder = tempfile::tempdir().expect("a folder");
    let note = folder.path().join("note");
    let program = std::env::current_exe().expect("a running program has a file");
    let arguments = [
        &program.to_string_lossy(),
        PARENT,
        &note.to_string_lossy(),
        &*age_ms.to_string(),
    ]
    .map(str::to_owned);
    let arguments = arguments.each_ref().map(String::as_str);
    let one = |_| {
        let watched = watched(&arguments);
        let noted = std::fs::read_to_string(&note).expect("the child has noted the time");
        let noted: i64 = noted.parse().expect("a number");
        let told = watched
            .told_ns
            .unwrap_or_else(|| panic!("not told: {}", watched.came));
        (told - noted) as f64 / 1e6
    };
    (0..rounds).map(one).collect()
}

/// What a process that watches writes.
#[derive(Serialize, Deserialize)]
struct Watched {
    /// When it told of a deadlock.
    told_ns: Option<i64>,
    /// What came of the command.
    came: String,
    /// Its processor time for looking, and how long the command ran.
    spent_ns: u64,
    took_ns: u64,
}

/// Watches a command in a process of its own, since a watch gives up its stdout.
fn watched(command: &[&str]) -> Watched {
    let folder = tempfile::tempdir().expect("a folder");
    let result = folder.path().join("result");
    let program = std::env::current_exe().expect("a running program has a file");
    let mut watch = Command::new(program);
    watch.arg(WATCH).arg(&result).args(command);
    watch.stdin(Stdio::null()).stdout(Stdio::null());
    watch.status().expect("this program starts");
    let text = std::fs::read(&result).expect("the watch has written");
    serde_json::from_slice(&text).expect("what it writes")
}

fn watch(result: &str, command: &[String]) {
    let options = Options {
        program: std::env::current_exe().expect("a running program has a file"),
        command: command.iter().map(OsString::from).collect(),
        timeout: None,
        no_output: None,
        signal: pipeclog_supervise::signal::Signal::TERM,
        kill_after: Some(Duration::from_secs(1)),
        whom: Whom::Tree,
        on_deadlock: OnDeadlock::Kill,
    };
    let mut told_ns = None;
    let account = run(&options, &mut |event| {
        if let Event::Deadlock { .. } = event {
            told_ns.get_or_insert_with(now_ns);
        }
    });
    let account = account.expect("it is supervised");
    let nanoseconds = |duration: Duration| u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX);
    let watched = Watched {
        told_ns,
        came: format!("{:?}, by {:?}", account.end, account.ended_by),
        spent_ns: nanoseconds(account.cost.spent),
        took_ns: nanoseconds(account.took),
    };
    let text = serde_json::to_vec(&watched).expect("numbers");
    std::fs::write(result, text).expect("a file");
}

/// Whether this process is one of those that a measurement starts; what came of it then.
pub(crate) fn be_started(arguments: &[String]) -> Option<ExitCode> {
    let [mode, rest @ ..] = arguments else {
        return None;
    };
    match (mode.as_str(), rest) {
        (keeper::KEEPER_COMMAND, rest) => {
            let rest: Vec<OsString> = rest.iter().map(OsString::from).collect();
            keeper::run(&rest).expect("it keeps");
        }
        (WATCH, [result, command @ ..]) => watch(result, command),
        (PARENT, [note, age]) => parent(note, age),
        (CHILD, [note, age]) => child(Path::new(note), age.parse().expect("a number")),
        _ => return None,
    }
    Some(ExitCode::SUCCESS)
}

fn parent(note: &str, age: &str) {
    let program = std::env::current_exe().expect("a running program has a file");
    let mut command = Command::new(program);
    command
        .args([CHILD, note, age])
        .stdin(Stdio::null())
        .stdout(Stdio::piped());
    let mut child = command.spawn().expect("this program starts");
    // wait() of std closes stdin alone: nobody reads.
    let _ = child.wait();
}

fn child(note: &Path, age_ms: u64) {
    let stdout = io::stdout();
    // Made before, so that the time is that of the write that blocks.
    let mut note = File::create(note).expect("a note");
    let capacity = nix::fcntl::fcntl(&stdout, nix::fcntl::FcntlArg::F_GETPIPE_SZ).expect("a pipe");
    let full = vec![0; usize::try_from(capacity).expect("it is positive")];
    let written = nix::unistd::write(&stdout, &full).expect("there is room");
    assert_eq!(written, full.len(), "an empty pipe takes so much");
    #[expect(clippy::disallowed_methods, reason = "the run is to have this age")]
    std::thread::sleep(Duration::from_millis(age_ms));
    note.write_all(now_ns().to_string().as_bytes())
        .expect("a note");
    let _ = nix::unistd::write(&stdout, &[0]);
}

fn now_ns() -> i64 {
    let now = clock_gettime(ClockId::CLOCK_MONOTONIC).expect("a clock");
    now.tv_sec() * 1_000_000_000 + now.tv_nsec()
}
