//! What the wait-for graph costs once `/proc` has been read: building it, reducing it, and checking every certificate, by the number of
//! deadlocks that are in it.
//!
//! Each is a writer whose pipe nobody reads, under a shell that waits for it: real processes, read twice before the clock starts.
#![expect(
    clippy::unwrap_used,
    reason = "a bench that cannot start has no figure"
)]

use std::hint::black_box;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use pipeclog_benches::group::Group;
use pipeclog_procscan::{Scanner, Selection};
use pipeclog_waitgraph::diagnose_all;
use pipeclog_waitgraph::snapshot::{Pid, Snapshot, Wait};

/// The shell has the reading end as its stdin, and waits for the writer: that is the deadlock.
const DEADLOCK: &str = "head -c 1000000 /dev/zero; true";

fn reduce(criterion: &mut Criterion) {
    let mut criterion_group = criterion.benchmark_group("reduce");
    criterion_group.sample_size(20);
    for count in [1_u32, 10, 100] {
        let mut family = Group::default();
        let roots = (0..count).map(|_| {
            let (read, write) = std::io::pipe().unwrap();
            Pid(family.spawn(DEADLOCK, read.into(), write.into()))
        });
        let roots = roots.collect();
        let looks = blocked(&Selection::Tree(roots), count as usize);
        assert!(
            !diagnose_all(&looks).is_empty(),
            "they are deadlocks, and are found"
        );
        criterion_group.throughput(Throughput::Elements(u64::from(count)));
        criterion_group.bench_function(BenchmarkId::from_parameter(count), |b| {
            b.iter(|| black_box(diagnose_all(&looks)));
        });
    }
    criterion_group.finish();
}

/// Two looks at a family in which so many write and cannot.
fn blocked(family: &Selection, count: usize) -> Vec<Snapshot> {
    let mut scanner = Scanner::new("/proc").unwrap();
    loop {
        let looks = scanner.scan_twice(family).unwrap();
        let writes = |look: &Snapshot| {
            let tasks = look.processes.iter().flat_map(|process| &process.tasks);
            tasks
                .filter(|task| matches!(task.wait, Wait::Write { .. }))
                .count()
        };
        if looks.iter().all(|look| writes(look) == count) {
            return Vec::from(looks);
        }
        std::thread::yield_now();
    }
}

criterion_group!(benches, reduce);
criterion_main!(benches);
