//! Starting a child and waiting for it, with nothing captured: ours beside the standard library, by a small parent and by
//! one that holds 1 GiB. A start that copies the parent's page tables takes longer with each page; neither of these does.

use std::hint::black_box;
use std::process::{Command, Stdio};

use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use pipeclog_benches::child::{Job, compile};
use pipeclog_benches::contenders::{BARE, SUBPROCESS};

const PAGE: usize = 4096;

fn spawn(criterion: &mut Criterion) {
    let job = Job {
        program: compile(env!("CARGO_TARGET_TMPDIR")),
        out: 0,
        err: 0,
        piece: PAGE as u64,
    };
    let mut group = criterion.benchmark_group("spawn");
    for held in [0_usize, 1 << 30] {
        let mut memory = vec![0_u8; held];
        memory.iter_mut().step_by(PAGE).for_each(|page| *page = 1);
        let name = |who| BenchmarkId::new(who, format!("{} MiB held", held >> 20));
        group.bench_function(name("ours"), |b| b.iter(|| (BARE.run)(&job)));
        group.bench_function(name("std"), |b| b.iter(|| std_status(&job)));
        // It forks, and captures nothing either: there is nothing to capture.
        group.sample_size(10);
        group.bench_function(name("subprocess"), |b| b.iter(|| (SUBPROCESS.run)(&job)));
        black_box(&memory);
    }
    group.finish();
}

fn std_status(job: &Job) -> bool {
    let mut command = Command::new(&job.program);
    command.args(job.args()).stdin(Stdio::null());
    let status = command.stdout(Stdio::null()).stderr(Stdio::null()).status();
    status.expect("the child starts").success()
}

criterion_group!(benches, spawn);
criterion_main!(benches);
