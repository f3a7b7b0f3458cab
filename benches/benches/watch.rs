//! What `pipeclog watch` costs beside timeout(1) and nothing at all, and how soon it has seen, proven, told and ended a deadlock:
//! `cargo build --release -p pipeclog && cargo bench -p pipeclog-benches --bench watch`.
#![expect(
    clippy::unwrap_used,
    reason = "a bench that cannot start has no figure"
)]
#![expect(clippy::print_stdout, reason = "what is skipped is said aloud")]

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use criterion::{Criterion, criterion_group, criterion_main};

/// `pipeclog` of the same build, beside the folder that this bench lies in.
fn binary() -> Option<PathBuf> {
    let own = std::env::current_exe().ok()?;
    let path = own.parent()?.parent()?.join("pipeclog");
    path.exists().then_some(path)
}

/// Runs it to its end, with nothing on its streams, and says whether its code was `code`.
fn ends_with(program: &Path, arguments: &[&str], code: i32) -> bool {
    let status = Command::new(program)
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .unwrap();
    status.code() == Some(code)
}

fn watches(criterion: &mut Criterion) {
    let Some(pipeclog) = binary() else {
        println!("skipped: there is no pipeclog of this build; cargo build --release -p pipeclog");
        return;
    };
    let name = pipeclog.display().to_string();
    let mut group = criterion.benchmark_group("watch");
    group
        .sample_size(10)
        .measurement_time(Duration::from_secs(5));
    // A start and an end; and a second or so of work, in which it looks.
    let commands: [(&str, &[&str]); 2] = [
        ("true", &["true"]),
        (
            "work",
            &[
                "sh",
                "-c",
                "i=0; while [ $i -lt 1000000 ]; do i=$((i+1)); done",
            ],
        ),
    ];
    let watchers: [(&str, &str, &[&str]); 3] = [
        ("alone", "env", &[]),
        ("timeout", "timeout", &["600"]),
        ("watch", &name, &["watch", "--timeout", "600", "--"]),
    ];
    for (what, command) in commands {
        for (label, program, options) in watchers {
            let arguments = [options, command].concat();
            group.bench_function(format!("{what}, {label}"), |b| {
                b.iter(|| assert!(ends_with(Path::new(program), &arguments, 0)));
            });
        }
    }
    // From the start of the command to its end: 124, since a proven deadlock ended it.
    let deadlock = [
        "watch",
        "--",
        &name,
        "capture",
        "-s",
        "wait_then_read",
        "--",
        "head",
        "-c",
        "200000",
        "/dev/zero",
    ];
    group.bench_function("a deadlock, until it is proven and ended", |b| {
        b.iter(|| assert!(ends_with(&pipeclog, &deadlock, 124)));
    });
    group.finish();
}

criterion_group!(benches, watches);
criterion_main!(benches);
