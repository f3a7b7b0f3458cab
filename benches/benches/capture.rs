//! Strategy × size: what a capture costs, from the spawn of the child to its exit and its last byte.
//!
//! The child is the benches' own, as little as a program can be. Hazards are measured only with what fits a pipe whatever the
//! rest of the machine does: half of the 8,192 bytes that a pipe has at the least. Beside the strategies stand other crates.
//!
//! They are run one after another here, so differences of less than a fifth between them tell nothing below 4 MiB; the
//! duel runs them in turn and has the ratios.

use std::time::Duration;

use criterion::{BenchmarkId, Criterion, Throughput};
use pipeclog_benches::child::{Job, compile};
use pipeclog_benches::contenders::{ASYNC_PROCESS, Contender, DUCT, STD, SUBPROCESS, TOKIO};
use pipeclog_capture::{Bound, Capture, Command, End, Strategy, StrategyKind};

const PEERS: [Contender; 5] = [STD, DUCT, SUBPROCESS, TOKIO, ASYNC_PROCESS];
const SIZES: [u64; 6] = [0, 4 << 10, 64 << 10, (64 << 10) + 1, 1 << 20, 16 << 20];
const MOST_UNDER_A_HAZARD: u64 = 4 << 10;
const WRITE_SIZE: u64 = 64 << 10;
/// The bound on a capture. A hazard takes none, and needs none with so little.
const DEADLINE: Duration = Duration::from_secs(60);

fn main() {
    let program = compile(env!("CARGO_TARGET_TMPDIR"));
    let mut criterion = Criterion::default()
        .sample_size(10)
        .warm_up_time(Duration::from_millis(200))
        .measurement_time(Duration::from_secs(1))
        .configure_from_args();
    for size in SIZES {
        let job = Job {
            program: program.clone(),
            out: size,
            err: 0,
            piece: WRITE_SIZE,
        };
        group(&mut criterion, &job);
    }
    criterion.final_summary();
}

fn group(criterion: &mut Criterion, job: &Job) {
    let size = job.out;
    let command = Command::new(&job.program).args(job.args());
    let mut group = criterion.benchmark_group("capture");
    group.throughput(Throughput::Bytes(size));
    for strategy in Strategy::ALL {
        let is_hazard = strategy.kind() == StrategyKind::Hazard;
        // `inherit` would write into what criterion prints.
        if strategy == Strategy::Inherit || (is_hazard && size > MOST_UNDER_A_HAZARD) {
            continue;
        }
        let bound = if is_hazard {
            Bound::Unbounded
        } else {
            Bound::Timeout(DEADLINE)
        };
        let capture = Capture::new(strategy, End::EndOfFile, bound);
        group.bench_function(BenchmarkId::new(strategy.name(), size), |bencher| {
            bencher.iter_with_large_drop(|| {
                let captured = capture.run(&command).expect("the child is captured");
                assert!(captured.status.success(), "{}", captured.status);
                captured
            });
        });
    }
    for peer in PEERS {
        group.bench_function(BenchmarkId::new(peer.name, size), |bencher| {
            bencher.iter_with_large_drop(|| (peer.run)(job));
        });
    }
    group.finish();
}
