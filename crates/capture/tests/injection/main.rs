//! Any system call fails at any point of a capture: each strategy, each system call, the first, second, Nth one, in the caller
//! and in the child. What must come of it: an error with a type or a result that is right; no hang, no leak, no zombie.
//!
//! strace injects the failures. It is attached to a process that is ready to capture, so that the count begins there, and the
//! system calls of that process's start are spared. `PIPECLOG_CASES` says how many failures (87, three for each cell,
//! unless told otherwise): 5000 take some minutes.

#![expect(
    clippy::print_stdout,
    reason = "how much was injected is said, and what cannot run here"
)]

mod driver;
mod log;

use std::collections::BTreeMap;
use std::fs::File;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use driver::{Finding, Scenario};
use libtest_mimic::{Arguments, Failed, Trial};
use log::Log;
use pipeclog_capture::{
    Bound, Capture, Captured, Command, End, Kill, KillTarget, Running, Strategy, Waited,
};

/// Nothing here takes a hundredth of it, and a driver that does has found a hang.
const LONG: Bound = Bound::Timeout(Duration::from_secs(60));

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().collect();
    if let [_, role, rest @ ..] = arguments.as_slice()
        && role == driver::ROLE
    {
        return driver::main(rest);
    }
    let arguments = Arguments::from_args();
    let strace = strace_works();
    let cells: Vec<(Strategy, Scenario)> = Strategy::ALL
        .into_iter()
        .filter(|it| it.is_built())
        .flat_map(|strategy| Scenario::of(strategy).iter().map(move |it| (strategy, *it)))
        .collect();
    let share = cases().div_ceil(cells.len());
    let trials = cells.into_iter().map(|(strategy, scenario)| {
        let strace = strace.clone();
        Trial::test(format!("{strategy}/{scenario}"), move || match strace {
            Ok(()) => check(strategy, scenario, share),
            Err(why) => {
                println!("{strategy}/{scenario}: skipped: {why}");
                Ok(())
            }
        })
    });
    libtest_mimic::run(&arguments, trials.collect()).exit_code()
}

fn cases() -> usize {
    std::env::var("PIPECLOG_CASES")
        .ok()
        .and_then(|text| text.parse().ok())
        .unwrap_or(87)
}

/// Whether strace is there and may trace.
fn strace_works() -> Result<(), String> {
    let command = Command::new("strace").args(["-qq", "-o", "/dev/null", "true"]);
    match Capture::recommended(LONG).run(&command) {
        Ok(captured) if captured.status.success() => Ok(()),
        Ok(captured) => Err(format!(
            "strace cannot trace here: {}",
            captured.stderr.bytes.to_text_lossy().trim()
        )),
        Err(error) => Err(format!("strace is not installed: {error}")),
    }
}

/// The walk of `/proc` makes the same calls for every process there is; the first of them tell.
const MOST: usize = 30;

/// One failure: the Nth call of this name in each task gets this errno.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Fault {
    call: String,
    nth: usize,
    errno: &'static str,
}

fn check(strategy: Strategy, scenario: Scenario, share: usize) -> Result<(), Failed> {
    let (finding, told, log) = run(strategy, scenario, None)?;
    if finding != Some(Finding::Right) {
        return Err(format!("without a fault: {finding:?}: {told}").into());
    }
    let faults = faults(&log.calls());
    if faults.is_empty() {
        return Err("the trace shows no system call".into());
    }
    let (mut reached, mut wrong) = (0, Vec::new());
    let taken = share.min(faults.len());
    for index in 0..taken {
        let Some(fault) = faults.get(index * faults.len() / taken) else {
            continue;
        };
        let (finding, told, log) = run(strategy, scenario, Some(fault))?;
        reached += usize::from(log.was_injected());
        if !is_allowed(finding, &log) {
            wrong.push(format!("{fault:?}: {finding:?}: {told}"));
        }
    }
    println!(
        "{strategy}/{scenario}: {reached} of {} possible failures injected",
        faults.len()
    );
    if wrong.is_empty() {
        Ok(())
    } else {
        Err(wrong.join("\n").into())
    }
}

/// Every failure that the calls of a run allow.
fn faults(calls: &BTreeMap<String, usize>) -> Vec<Fault> {
    let mut faults = Vec::new();
    for (call, count) in calls.iter().filter(|(call, _)| !is_spared(call)) {
        for nth in 1..=*count.min(&MOST) {
            for errno in errnos(call) {
                faults.push(Fault {
                    call: call.clone(),
                    nth,
                    errno,
                });
            }
        }
    }
    faults
}

/// Calls whose failure no program of Rust survives, whatever the library does: memory, which the allocator answers by aborting;
/// what the runtime does at the start of each thread, where it panics; and the ends of things. A descriptor that close(2) reports an
/// error for is closed all the same, on Linux, but strace keeps the call from happening.
fn is_spared(call: &str) -> bool {
    matches!(
        call,
        "mmap"
            | "munmap"
            | "mprotect"
            | "mremap"
            | "brk"
            | "madvise"
            | "sigaltstack"
            | "close"
            | "rseq"
            | "getrandom"
            | "exit"
            | "exit_group"
            | "rt_sigreturn"
            | "restart_syscall"
    )
}

/// What these calls may say, by their manual pages: a usual failure and an unusual one.
fn errnos(call: &str) -> &'static [&'static str] {
    match call {
        "read" | "write" | "pread64" | "recvfrom" => &["EIO", "EINTR"],
        "poll" | "ppoll" | "epoll_wait" | "epoll_pwait" | "epoll_pwait2" => &["EINTR", "ENOMEM"],
        "io_uring_enter" => &["EINTR", "EBUSY"],
        "futex" | "clock_nanosleep" => &["EINTR"],
        "openat" | "open" | "pipe2" | "dup" | "dup2" | "dup3" | "fcntl" | "socketpair"
        | "eventfd2" | "memfd_create" | "epoll_create1" | "pidfd_open" | "signalfd4" => {
            &["EMFILE", "ENFILE"]
        }
        "clone" | "clone3" | "fork" | "vfork" => &["EAGAIN", "ENOSYS"],
        "execve" => &["ENOENT", "EIO"],
        "waitid" | "wait4" => &["EINTR", "EINVAL"],
        "io_uring_setup" => &["ENOSYS", "ENOMEM"],
        _ => &["EPERM", "ENOMEM"],
    }
}

/// No finding is a hang, or a driver that died.
fn is_allowed(finding: Option<Finding>, log: &Log) -> bool {
    match finding {
        Some(Finding::Right | Finding::Error) => true,
        // The child says that it failed, and it is the child whose call failed.
        Some(Finding::ChildFailed) => log.was_injected_into_a_program(),
        Some(Finding::Wrong | Finding::Leak | Finding::Zombie) | None => false,
    }
}

type Ran = (Option<Finding>, String, Log);

/// Starts a driver, attaches strace to it, lets it go, and waits for both.
fn run(strategy: Strategy, scenario: Scenario, fault: Option<&Fault>) -> Result<Ran, Failed> {
    let folder = tempfile::tempdir()?;
    let trace = folder.path().join("trace");
    // What the driver waits for, and what a child waits for that nobody killed: both end when this test does.
    let (go, say) = std::io::pipe()?;
    let command = Command::new(std::env::current_exe()?)
        .arg(driver::ROLE)
        .args([strategy.name(), scenario.name()]);
    let tree = Kill {
        target: KillTarget::Tree,
        term_grace: Duration::ZERO,
    };
    let driver = Capture::new(Strategy::Poll, End::Drain, LONG)
        .kill(tree)
        .stdin(File::from(OwnedFd::from(go)))
        .start(&command)?;
    let driver = until_ready(driver)?;
    let strace = Capture::recommended(LONG).start(&strace(driver.pid(), &trace, fault))?;
    let strace = until_attached(driver.pid(), strace)?;
    std::io::Write::write_all(&mut &say, b"!")?;
    let driver = ended(driver)?;
    drop(say);
    let strace = ended(strace)?;
    let finding = driver.as_ref().and_then(|it| Finding::of(it.status));
    let text = |it: &Option<Captured>| match it {
        Some(captured) => format!(
            "{}: {}",
            captured.status,
            captured.stderr.bytes.to_text_lossy()
        ),
        None => "it did not end".to_owned(),
    };
    let told = format!("driver: {}; strace: {}", text(&driver), text(&strace));
    Ok((finding, told, Log::read(&trace)?))
}

/// None when it does not end.
fn ended(running: Running) -> Result<Option<Captured>, Failed> {
    match running.wait(LONG)? {
        Waited::Finished(captured) => Ok(Some(captured)),
        Waited::DeadlinePassed(running) => {
            running.kill()?;
            Ok(None)
        }
    }
}

fn strace(pid: u32, trace: &Path, fault: Option<&Fault>) -> Command {
    let command = Command::new("strace").args(["-f", "-qq", "-o"]).arg(trace);
    let command = match fault {
        None => command,
        Some(Fault { call, nth, errno }) => command
            .args(["-e", &format!("trace={call},execve,access,faccessat")])
            .args(["-e", &format!("inject={call}:error={errno}:when={nth}")]),
    };
    command.args(["-p", &pid.to_string()])
}

fn until_ready(mut driver: Running) -> Result<Running, Failed> {
    let bound = Instant::now() + Duration::from_secs(60);
    while !driver.stdout_so_far()?.starts_with(driver::READY) {
        driver = match driver.wait(Bound::Timeout(Duration::from_millis(1)))? {
            Waited::DeadlinePassed(driver) if Instant::now() < bound => driver,
            waited => return Err(format!("the driver does not start: {waited:?}").into()),
        };
    }
    Ok(driver)
}

fn until_attached(pid: u32, mut strace: Running) -> Result<Running, Failed> {
    let bound = Instant::now() + Duration::from_secs(60);
    loop {
        let status = std::fs::read_to_string(format!("/proc/{pid}/status"))?;
        if status.lines().any(|line| {
            line.strip_prefix("TracerPid:\t")
                .is_some_and(|it| it != "0")
        }) {
            return Ok(strace);
        }
        strace = match strace.wait(Bound::Timeout(Duration::from_millis(1)))? {
            Waited::DeadlinePassed(strace) if Instant::now() < bound => strace,
            waited => return Err(format!("strace does not attach: {waited:?}").into()),
        };
    }
}
