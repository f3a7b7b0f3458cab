//! Workers and those who ask them, ended at any moment: nothing of theirs stays, neither a process nor a file.

#![expect(clippy::unwrap_used, reason = "helpers of tests fail as tests do")]

use std::fs;
use std::io::{PipeReader, Write as _};
use std::os::unix::process::{CommandExt as _, ExitStatusExt as _};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{Signal, kill, killpg};
use nix::unistd::Pid;
use pipeclog_harness::fixtures;
use pipeclog_harness::pool::{Pool, Request};
use pipeclog_scenario::outcome::Verdict;
use pipeclog_scenario::strategy::Strategy as Capture;
use proptest::prelude::*;
use proptest::sample;

use crate::marked::{Mark, VARIABLE};

/// For whatever is to come: a test that waits so long has found a fault.
const BOUND: Duration = Duration::from_secs(60);

/// Trials with FIFOs, with a session of their own, with a wait that nothing proves.
const TRIALS: [(&str, Capture); 4] = [
    ("fifo-open-order", Capture::Threads),
    ("grandchild-holds/daemon", Capture::Poll),
    ("kill-tree", Capture::Epoll),
    ("waiting-outside", Capture::WaitThenRead),
];

fn request(name: &str, strategy: Capture) -> String {
    let mut scenarios = fixtures::scenarios().unwrap();
    scenarios.retain(|scenario| scenario.name == name);
    let scenario = scenarios.pop().unwrap_or_else(|| panic!("{name}"));
    let request = Request { scenario, strategy };
    format!("{}\n", serde_json::json!({ "trial": request }))
}

fn is_ready(fd: impl std::os::fd::AsFd, timeout: PollTimeout) -> bool {
    let mut fds = [PollFd::new(fd.as_fd(), PollFlags::POLLIN)];
    poll(&mut fds, timeout).unwrap() > 0
}

/// A worker with a trial to run. Its stderr ends when it has ended, and its guard.
struct Worker {
    guard: Child,
    stderr: PipeReader,
    mark: Mark,
    scratch: tempfile::TempDir,
}

impl Worker {
    fn start(trial: &str) -> Self {
        let (stderr, theirs) = std::io::pipe().unwrap();
        let mark = Mark::new();
        let scratch = tempfile::tempdir().unwrap();
        let mut guard = Command::new(env!("CARGO_BIN_EXE_pipeclog"))
            .arg("worker")
            .env(VARIABLE, &mark.0)
            .env("TMPDIR", scratch.path())
            .process_group(0)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(theirs)
            .spawn()
            .unwrap();
        let stdin = guard.stdin.as_mut().unwrap();
        stdin.write_all(trial.as_bytes()).unwrap();
        Self {
            guard,
            stderr,
            mark,
            scratch,
        }
    }

    /// The one that runs trials, once it is there.
    fn served(&self) -> Option<Pid> {
        let all = self.mark.living();
        let serves = all.iter().find(|one| one.command.contains(" --guard "));
        serves.map(|one| Pid::from_raw(one.pid))
    }

    /// Until so many processes have been started, or the trial is over.
    fn wait_for(&self, processes: usize) {
        let since = Instant::now();
        while self.mark.living().len() < processes
            && !is_ready(self.guard.stdout.as_ref().unwrap(), PollTimeout::ZERO)
        {
            assert!(since.elapsed() < BOUND, "{:?}", self.mark.living());
        }
    }

    /// Its stdin is open still: nothing but the deaths themselves tells anybody.
    fn assert_that_nothing_is_left(mut self) {
        let bound = PollTimeout::try_from(BOUND).unwrap();
        assert!(
            is_ready(&self.stderr, bound),
            "still there: {:?}",
            self.mark.living()
        );
        let said = std::io::read_to_string(&self.stderr).unwrap();
        self.guard.wait().unwrap();
        let left = self.mark.living();
        assert!(left.is_empty(), "{left:?}: {said}");
        let files: Vec<_> = fs::read_dir(self.scratch.path()).unwrap().collect();
        assert!(files.is_empty(), "{files:?}: {said}");
    }
}

/// Who is killed.
#[derive(Clone, Copy, Debug)]
enum Whom {
    Worker,
    Guard,
}

proptest! {
    // The moments are this machine's, and do not come again.
    #![proptest_config(ProptestConfig { cases: 100, max_shrink_iters: 0, failure_persistence: None, ..ProptestConfig::default() })]

    /// `processes`: the guard alone, or with the worker, the trial's parent, its child and its descendant.
    #[test]
    fn a_worker_that_is_killed_at_any_moment_leaves_no_process_and_no_file(
        trial in sample::select(TRIALS.to_vec()),
        processes in 0_usize..6,
        moments in 0..2_000,
        whom in sample::select(vec![Whom::Worker, Whom::Guard]),
    ) {
        let worker = Worker::start(&request(trial.0, trial.1));
        worker.wait_for(processes);
        for _ in 0..moments {
            std::thread::yield_now();
        }
        let guard = Pid::from_raw(worker.guard.id().cast_signed());
        let served = match whom {
            Whom::Worker => worker.served(),
            Whom::Guard => None,
        };
        // Not reaped yet; and where the worker has gone by now, its guard will see to the rest.
        let _ = kill(served.unwrap_or(guard), Signal::SIGKILL);
        if served.is_none() {
            let _ = kill(guard, Signal::SIGKILL);
        }
        worker.assert_that_nothing_is_left();
    }
}

/// Starts `prove`, and waits until it has so many processes.
fn prove(arguments: &[&str], processes: usize) -> (Child, Mark) {
    let mark = Mark::new();
    // What started the tests may ignore SIGINT, as a shell has its background jobs do.
    let run = Command::new("env")
        .args(["--default-signal=INT", env!("CARGO_BIN_EXE_pipeclog")])
        .arg("prove")
        .args(arguments)
        .env(VARIABLE, &mark.0)
        .process_group(0)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    let since = Instant::now();
    while mark.living().len() < processes {
        assert!(since.elapsed() < BOUND, "{:?}", mark.living());
    }
    (run, mark)
}

#[test]
fn a_signal_ends_a_run_by_that_signal_and_leaves_nothing() {
    for signal in [Signal::SIGTERM, Signal::SIGINT, Signal::SIGHUP] {
        // Two workers with their guards, and at least one trial.
        let (mut run, mark) = prove(&["-j", "2", "waiting-outside"], 7);
        kill(Pid::from_raw(run.id().cast_signed()), signal).unwrap();
        let ended = run.wait().unwrap();
        assert_eq!(ended.signal(), Some(signal as i32), "{ended}");
        let left = mark.living();
        assert!(left.is_empty(), "{signal}: {left:?}");
    }
}

#[test]
fn a_signal_that_the_caller_ignores_is_ignored() {
    let mark = Mark::new();
    let script = "trap '' HUP; exec \"$0\" prove -j 1 waiting-outside/threads";
    let mut run = Command::new("sh")
        .args(["-c", script, env!("CARGO_BIN_EXE_pipeclog")])
        .env(VARIABLE, &mark.0)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    let since = Instant::now();
    while mark.living().len() < 4 {
        assert!(since.elapsed() < BOUND, "{:?}", mark.living());
    }
    kill(Pid::from_raw(run.id().cast_signed()), Signal::SIGHUP).unwrap();
    assert_eq!(run.wait().unwrap().code(), Some(0));
}

#[test]
fn a_run_that_is_killed_with_its_whole_group_leaves_nothing() {
    let (mut run, mark) = prove(&["-j", "2", "waiting-outside"], 7);
    let group = Pid::from_raw(run.id().cast_signed());
    killpg(group, Signal::SIGKILL).unwrap();
    run.wait().unwrap();
    let since = Instant::now();
    while !mark.living().is_empty() {
        assert!(since.elapsed() < BOUND, "{:?}", mark.living());
    }
}

#[test]
fn a_worker_that_hangs_is_ended_and_what_it_waits_for_is_told_from_outside() {
    let mut scenarios = fixtures::scenarios().unwrap();
    scenarios.retain(|scenario| scenario.name == "slots-full/32784");
    let request = Request {
        scenario: scenarios.pop().unwrap(),
        strategy: Capture::Threads,
    };
    for (how, told) in [
        ("park", "waiting: sleep ("),
        ("spin", "progressing: spin ("),
        ("stop", "stopped: stop ("),
    ] {
        let program = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it/stuck/").to_owned() + how;
        let pool = Pool::new(program.into()).answering_within(Duration::from_secs(1));
        let Verdict::Broken { why } = pool.run(&request).verdict else {
            panic!("{how} gives no answer");
        };
        assert!(
            why.contains("gave no answer for 1 s, and was ended") && why.contains(told),
            "{how}: {why}"
        );
    }
}
