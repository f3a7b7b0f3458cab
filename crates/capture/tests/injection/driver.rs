//! The process that captures, and the child that it captures: an honest one, which exits with 0 only if it wrote everything.

use std::fmt;
use std::io::{Read, Write};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use pipeclog_capture::{
    Bound, Capture, Captured, Command, End, Error, Input, Kill, KillTarget, Status, Stopped,
    Strategy, Streams,
};
use rustix::fs::{Access, access};
use rustix::io::Errno;
use rustix::process::{PTracer, WaitOptions, set_ptracer, wait};

/// The first argument of a process that is not to run tests.
pub(crate) const ROLE: &str = "--injection-role";
const CHILD: &str = "child";

/// Paths that nobody looks up but to leave a mark in the trace.
pub(crate) const BEGIN: &str = "/pipeclog-capture-begins";
pub(crate) const END: &str = "/pipeclog-capture-ends";

/// What a driver prints when it is ready to capture.
pub(crate) const READY: &[u8] = b"ready\n";

/// More than any pipe of ours takes at once, for those who read meanwhile, and little for hazards.
const MUCH: usize = 300_000;
const LITTLE: usize = 10_000;

/// What is captured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Scenario {
    /// The child reads its stdin, writes both streams, and exits.
    Finishes,
    /// The child sleeps, and the deadline passes: SIGTERM, and SIGKILL, to the tree.
    IsKilled,
}

impl Scenario {
    pub(crate) fn of(strategy: Strategy) -> &'static [Scenario] {
        if strategy.is_hazard() {
            &[Scenario::Finishes]
        } else {
            &[Scenario::Finishes, Scenario::IsKilled]
        }
    }

    pub(crate) fn name(self) -> &'static str {
        match self {
            Scenario::Finishes => "finishes",
            Scenario::IsKilled => "is_killed",
        }
    }
}

impl fmt::Display for Scenario {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// What a driver found; its exit code says it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Finding {
    /// A result, and it is right.
    Right = 40,
    /// An error, with a type.
    Error,
    /// A result that says that the child failed.
    ChildFailed,
    /// A result that is wrong.
    Wrong,
    /// A descriptor is left.
    Leak,
    /// A child is left.
    Zombie,
}

impl Finding {
    pub(crate) fn of(status: Status) -> Option<Finding> {
        let all = [
            Finding::Right,
            Finding::Error,
            Finding::ChildFailed,
            Finding::Wrong,
            Finding::Leak,
            Finding::Zombie,
        ];
        all.into_iter()
            .find(|it| status == Status::Exited(*it as i32))
    }
}

pub(crate) fn main(arguments: &[String]) -> ExitCode {
    match arguments {
        [child, much, sleeps] if child == CHILD => be_child(much, sleeps),
        [strategy, scenario] => {
            let strategy = strategy.parse().expect("its name");
            let scenario = *Scenario::of(strategy)
                .iter()
                .find(|it| it.name() == scenario)
                .expect("its name");
            ExitCode::from(drive(strategy, scenario) as u8)
        }
        _ => ExitCode::FAILURE,
    }
}

fn drive(strategy: Strategy, scenario: Scenario) -> Finding {
    // Yama lets nobody but an ancestor attach.
    let _ = set_ptracer(PTracer::Any);
    let (capture, command) = task(strategy, scenario);
    let before = open_descriptors();
    // The runner now has strace attach, and then writes a byte.
    let _ = rustix::io::write(rustix::stdio::stdout(), READY);
    while rustix::io::read(rustix::stdio::stdin(), &mut [0; 1]) != Ok(1) {
        // Failed by injection: the byte is still to come.
    }
    let _ = access(BEGIN, Access::EXISTS);
    let result = capture.run(&command);
    let _ = access(END, Access::EXISTS);
    let finding = judge(strategy, scenario, &result);
    if finding == Finding::Wrong {
        tell(&result);
    }
    drop(result);
    loop {
        match wait(WaitOptions::NOHANG) {
            Err(Errno::CHILD) => break,
            Ok(_) => return Finding::Zombie,
            // It may be this call that fails, once.
            Err(_) => {}
        }
    }
    // A thread that reads on for who was killed may take a moment.
    let bound = Instant::now() + Duration::from_secs(10);
    while open_descriptors() != before {
        if Instant::now() > bound {
            return Finding::Leak;
        }
        std::thread::yield_now();
    }
    finding
}

fn task(strategy: Strategy, scenario: Scenario) -> (Capture, Command) {
    let this = std::env::current_exe().expect("this test's own file");
    let child = Command::new(this).args([ROLE, CHILD]);
    match scenario {
        Scenario::Finishes if strategy.is_hazard() => (
            Capture::new(strategy, End::EndOfFile, Bound::Unbounded).stdin(pattern(b'i', LITTLE)),
            child.args([LITTLE.to_string().as_str(), "exits"]),
        ),
        Scenario::Finishes => (
            Capture::new(strategy, End::EndOfFile, super::LONG).stdin(pattern(b'i', MUCH)),
            child.args([MUCH.to_string().as_str(), "exits"]),
        ),
        Scenario::IsKilled => (
            Capture::new(
                strategy,
                End::Drain,
                Bound::Timeout(Duration::from_millis(30)),
            )
            .kill(Kill {
                target: KillTarget::Tree,
                term_grace: Duration::from_millis(5),
            })
            .stdin(Input::Inherit),
            child.args(["0", "sleeps"]),
        ),
    }
}

fn judge(strategy: Strategy, scenario: Scenario, result: &Result<Captured, Error>) -> Finding {
    let captured = match result {
        Ok(captured) => captured,
        Err(error) => {
            tell(&(error.kind(), error));
            return Finding::Error;
        }
    };
    let is_right = match scenario {
        Scenario::Finishes => {
            if !captured.status.success() {
                tell(captured);
                return Finding::ChildFailed;
            }
            captured.stopped.is_none() && has_all(strategy, captured)
        }
        Scenario::IsKilled => match (captured.status, captured.stopped) {
            (Status::Signaled(_), Some(Stopped::Deadline)) => true,
            // It ended by itself, which it does only if it cannot even begin.
            (Status::Exited(_), _) | (Status::Signaled(_), None) => return Finding::ChildFailed,
            _ => false,
        },
    };
    if is_right {
        Finding::Right
    } else {
        Finding::Wrong
    }
}

fn has_all(strategy: Strategy, captured: &Captured) -> bool {
    let size = if strategy.is_hazard() { LITTLE } else { MUCH };
    let (out, err) = (pattern(b'o', size), pattern(b'e', size));
    match strategy.streams() {
        Streams::Separate => captured.stdout.bytes == out && captured.stderr.bytes == err,
        Streams::Merged => captured.stdout.bytes == [out, err].concat(),
        Streams::None => captured.stdout.bytes.is_empty(),
    }
}

/// Bytes of which none stands where its neighbour should.
fn pattern(seed: u8, size: usize) -> Vec<u8> {
    (0..size)
        .map(|at| seed.wrapping_add((at % 251) as u8))
        .collect()
}

/// For the runner to show. It may be this write that fails.
fn tell(what: &dyn fmt::Debug) {
    let _ = writeln!(std::io::stderr(), "{what:?}");
}

fn open_descriptors() -> usize {
    std::fs::read_dir("/proc/self/fd").map_or(usize::MAX, Iterator::count)
}

fn be_child(much: &str, what_then: &str) -> ExitCode {
    let Ok(size) = much.parse() else {
        return ExitCode::FAILURE;
    };
    let mut read = Vec::new();
    // What sleeps reads too: the runner's pipe, which ends with the runner.
    if std::io::stdin().read_to_end(&mut read).is_err() || what_then == "sleeps" {
        return ExitCode::FAILURE;
    }
    let wrote = std::io::stdout()
        .write_all(&pattern(b'o', size))
        .and_then(|()| std::io::stdout().flush())
        .and_then(|()| std::io::stderr().write_all(&pattern(b'e', size)));
    if wrote.is_ok() && read == pattern(b'i', size) {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}
