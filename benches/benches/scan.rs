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
use std::process::{Command, Stdio};
use std::time::Duration;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use pipeclog_benches::group::Group;
use pipeclog_procscan::{Scanner, Selection};
use pipeclog_waitgraph::snapshot::{Pid, Wait};

/// Seven ends of the pipes that it has anyway.
const MORE: &str = "3<&0 4>&1 5<&0 6>&1 7<&0 8>&1 9<&0";
/// Processes of the herd, in threes: a shell, and two that hold a dozen ends of one pipe.
const HERD: usize = 600;

fn scans(criterion: &mut Criterion) {
    let dozen = |from: &str| (3..10).map(|fd| format!("{fd}{from} ")).collect::<String>();
    let herd = format!(
        "sleep 100000 {} | exec sleep 100000 {}",
        dozen(">&1"),
        dozen("<&0")
    );
    let mut group = Group::default();
    for _ in 0..HERD / 3 {
        group.spawn(&herd, Stdio::null(), Stdio::null());
    }
    // The reader lives, and never reads.
    let hang = "head -c 1000000 /dev/zero | sleep 100000";
    let hang = group.spawn(hang, Stdio::null(), Stdio::null());
    let tree = Selection::Tree(vec![Pid(hang)]);
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

    let mut looks = criterion.benchmark_group("look");
    looks
        .sample_size(20)
        .measurement_time(Duration::from_secs(5));
    looks.bench_function("pulse of a family", |b| {
        b.iter(|| black_box(scanner.pulse(&tree).unwrap()))
    });
    looks.bench_function("family and all holders", |b| {
        b.iter(|| black_box(scanner.scan(&tree).unwrap()))
    });
    looks.bench_function("second look", |b| {
        b.iter(|| black_box(scanner.confirm(&tree, &first).unwrap()))
    });
    looks.bench_function("whole machine", |b| {
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
        looks.bench_function(name, |b| b.iter(|| black_box(run().is_ok())));
    }
    looks.finish();
}

/// What a look at the whole machine costs by the number of processes, and of descriptors that each has beside three.
fn growth(criterion: &mut Criterion) {
    let mut looks = criterion.benchmark_group("growth");
    looks
        .sample_size(10)
        .warm_up_time(Duration::from_secs(1))
        .measurement_time(Duration::from_secs(3));
    let mut scanner = Scanner::new("/proc").unwrap();
    for (descriptors, counts) in [("", &[100, 1000, 10_000][..]), (MORE, &[1000])] {
        let mut group = Group::default();
        let mut there = 0;
        for count in counts {
            for _ in there..*count {
                let (read, write) = std::io::pipe().unwrap();
                let sleeper = format!("exec sleep 100000 {descriptors}");
                group.spawn(&sleeper, read.into(), write.into());
            }
            there = *count;
            let more = descriptors.split_whitespace().count();
            let name = |what: &str| format!("{what}, {more} descriptors more");
            looks.throughput(Throughput::Elements(*count));
            looks.bench_function(BenchmarkId::new(name("who is blocked"), count), |b| {
                b.iter(|| black_box(scanner.processes(&Selection::Machine).unwrap()));
            });
            looks.bench_function(BenchmarkId::new(name("whole machine"), count), |b| {
                b.iter(|| black_box(scanner.scan(&Selection::Machine).unwrap()));
            });
        }
    }
    looks.finish();
}

criterion_group!(benches, scans, growth);
criterion_main!(benches);
