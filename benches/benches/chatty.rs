//! How fast chatty writes, beside the limit of a pipe: the least child that there can be, which writes the same zeros again and
//! again. Both into a reader that throws away what comes.

use std::ffi::OsString;
use std::process::{Command, ExitCode, Stdio};

use criterion::{Criterion, Throughput};
use pipeclog_benches::child::{Job, compile};
use pipeclog_benches::contenders::{DISCARD, discard};

/// The argument that makes this program chatty.
const MODE: &str = "chatty";
const BYTES: u64 = 256 << 20;

fn main() -> ExitCode {
    let arguments: Vec<OsString> = std::env::args_os().collect();
    if arguments.get(1).is_some_and(|first| first == MODE) {
        return pipeclog_chatty::main(&[MODE], arguments.into_iter().skip(1));
    }
    let mut criterion = Criterion::default().sample_size(10).configure_from_args();
    let mut group = criterion.benchmark_group("chatty");
    group.throughput(Throughput::Bytes(BYTES));
    let job = Job {
        program: compile(env!("CARGO_TARGET_TMPDIR")),
        out: BYTES,
        err: 0,
        piece: 64 << 10,
    };
    group.bench_function("the limit of a pipe", |b| b.iter(|| (DISCARD.run)(&job)));
    for fill in ["pattern", "zeros", "text", "random:1"] {
        group.bench_function(fill, |b| {
            b.iter(|| {
                let program = std::env::current_exe().expect("a running program has a file");
                let mut command = Command::new(program);
                command.args([MODE, "--stdout", &BYTES.to_string(), "--fill", fill]);
                command.stdin(Stdio::null());
                assert_eq!(discard(command), BYTES, "{fill}");
            });
        });
    }
    group.finish();
    criterion.final_summary();
    ExitCode::SUCCESS
}
