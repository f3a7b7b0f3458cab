//! What a look at `/proc` costs, beside the tools that people use for it: `cargo bench -p pipeclog-benches --bench scan`.
//!
//! The herd makes the machine a busy one: processes with a dozen ends of pipes each, all of which every tool lists. The
//! hang is a writer whose pipe nobody reads.
#![expect(
    clippy::unwrap_used,
    reason = "a bench that cannot start has no figure"
)]
#![expect(clippy::print_stdout, reason = "what is skipped is said aloud")]

use std::hint::black_box;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use criterion::{Criterion, criterion_group, criterion_main};
use nix::sys::signal::{Signal, killpg};
use pipeclog_procscan::{Scanner, Selection};
use pipeclog_waitgraph::snapshot::{Pid, Wait};

/// Processes of the herd, in threes: a shell, and two that hold a dozen ends of one pipe.
const HERD: usize = 600;

/// Processes that end with the bench.
struct Group(Vec<Child>);

impl Drop for Group {
    fn drop(&mut self) {
        for child in &mut self.0 {
            let _ = killpg(
                nix::unistd::Pid::from_raw(child.id().cast_signed()),
                Signal::SIGKILL,
            );
            let _ = child.wait();
        }
    }
}

fn spawn(script: &str) -> Child {
    let mut command = Command::new("sh");
    command
        .args(["-c", script])
        .stdin(Stdio::null())
        .stdout(Stdio::null());
    command.process_group(0).spawn().unwrap()
}

fn scans(criterion: &mut Criterion) {
    let dozen = |from: &str| (3..10).map(|fd| format!("{fd}{from} ")).collect::<String>();
    let herd = format!(
        "sleep 100000 {} | exec sleep 100000 {}",
        dozen(">&1"),
        dozen("<&0")
    );
    let _herd = Group((0..HERD / 3).map(|_| spawn(&herd)).collect());
    // The reader lives, and never reads.
    let hang = Group(vec![spawn("head -c 1000000 /dev/zero | sleep 100000")]);
    let tree = Selection::Tree(vec![Pid(hang.0[0].id())]);
    let mut scanner = Scanner::new("/proc").unwrap();
    let hangs = |task: &pipeclog_waitgraph::snapshot::Task| matches!(task.wait, Wait::Write { .. });
    let first = loop {
        let first = scanner.scan(&tree).unwrap();
        if first
            .processes
            .iter()
            .any(|process| process.tasks.iter().any(hangs))
        {
            break first;
        }
        std::thread::yield_now();
    };

    let mut group = criterion.benchmark_group("look");
    group
        .sample_size(20)
        .measurement_time(Duration::from_secs(5));
    group.bench_function("pulse of a family", |b| {
        b.iter(|| black_box(scanner.pulse(&tree).unwrap()))
    });
    group.bench_function("family and all holders", |b| {
        b.iter(|| black_box(scanner.scan(&tree).unwrap()))
    });
    group.bench_function("second look", |b| {
        b.iter(|| black_box(scanner.confirm(&tree, &first).unwrap()))
    });
    group.bench_function("whole machine", |b| {
        b.iter(|| black_box(scanner.scan(&Selection::Machine).unwrap()));
    });
    for (name, command) in [
        ("lsof -E", "lsof -n -P -E"),
        ("lsof", "lsof -n -P"),
        ("fuser", "fuser /dev/null"),
        ("ss -xp", "ss -xp"),
    ] {
        let mut words = command.split(' ');
        let program = words.next().unwrap();
        let run = || {
            let mut command = Command::new(program);
            command
                .args(words.clone())
                .stdout(Stdio::null())
                .stderr(Stdio::null());
            command.status()
        };
        if run().is_err() {
            println!("skipped: {program} is not installed");
            continue;
        }
        group.bench_function(name, |b| b.iter(|| black_box(run().is_ok())));
    }
    group.finish();
}

criterion_group!(benches, scans);
criterion_main!(benches);
