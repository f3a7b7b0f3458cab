//! What the model costs: an operation of a pipe, the sweep of a curve, a move of the simulation, a whole prediction.

use std::hint::black_box;
use std::num::NonZeroU64;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use pipeclog_pipemodel::capacity::Fill;
use pipeclog_pipemodel::{Geometry, Pipe, WriteMode};
use pipeclog_scenario::predict::{Parent, PipeFacts, predict};
use pipeclog_scenario::script::Script;
use pipeclog_scenario::strategy::Strategy;

/// As many pairs of a write and a read as make the clock's own cost small.
const PAIRS: u64 = 1000;
/// What `predict --sweep` draws.
const SIZES: u64 = 65_536;

fn pipe(c: &mut Criterion) {
    let mut group = c.benchmark_group("pipe");
    for bytes in [80_u64, 2049, 65_536] {
        group.throughput(Throughput::Elements(2 * PAIRS));
        group.bench_function(BenchmarkId::new("write and read", bytes), |b| {
            let mut pipe = Pipe::new(Geometry::DEFAULT);
            b.iter(|| {
                for _ in 0..PAIRS {
                    let _full = black_box(pipe.try_write(black_box(bytes), WriteMode::Stream));
                    let _empty = black_box(pipe.try_read(black_box(bytes)));
                }
            });
        });
    }
    group.finish();
}

fn sweep(c: &mut Criterion) {
    let mut group = c.benchmark_group("sweep");
    group.throughput(Throughput::Elements(SIZES));
    group.bench_function("closed form", |b| {
        b.iter(|| {
            Fill::sweep(Geometry::DEFAULT, WriteMode::Stream, SIZES)
                .map(|(_, fill)| fill.bytes)
                .sum::<u64>()
        });
    });
    group.sample_size(10);
    group.bench_function("slot by slot", |b| {
        b.iter(|| {
            (1..=SIZES)
                .filter_map(NonZeroU64::new)
                .map(|size| {
                    let mut pipe = Pipe::new(Geometry::DEFAULT);
                    pipe.begin_writes(size.get(), u64::MAX, WriteMode::Stream)
                        .completed
                })
                .sum::<u64>()
        });
    });
    group.finish();
}

/// Scripts whose steps the simulation cannot take as one run, so that the cost is that of a move; and one that it can.
fn prediction(c: &mut Criterion) {
    let mut group = c.benchmark_group("predict");
    for (name, json, steps, strategy) in [
        (
            "64 MiB in one-byte writes, threads",
            r#"{"ops": [{"op": "write", "stdout": "64M", "write_size": 1}]}"#,
            64 << 20,
            Strategy::Threads,
        ),
        (
            "1 MiB in one-byte writes, alternating, threads",
            r#"{"ops": [{"op": "write", "stdout": "1M", "stderr": "1M", "write_size": 1, "order": "alternate"}]}"#,
            2 << 20,
            Strategy::Threads,
        ),
        (
            "until it hangs, 2049-byte writes, wait_then_read",
            r#"{"ops": [{"op": "write", "stdout": "64M", "write_size": 2049}]}"#,
            17,
            Strategy::WaitThenRead,
        ),
    ] {
        let script = match Script::from_json(json) {
            Ok(script) => script,
            Err(error) => panic!("{name}: {error}"),
        };
        group.sample_size(10);
        group.throughput(Throughput::Elements(steps));
        group.bench_function(name, |b| {
            b.iter(|| predict(&script, &Parent::of(strategy), PipeFacts::USUAL));
        });
    }
    group.finish();
}

criterion_group!(model, pipe, sweep, prediction);
criterion_main!(model);
