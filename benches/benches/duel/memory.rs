//! Peak memory: each capture in a process of its own, since a peak never goes down.

use std::process::{Command, ExitCode, Stdio};

use pipeclog_benches::child::Job;
use pipeclog_benches::contenders::{Contender, FILES, PIPES};

use crate::Effort;
use crate::arena::Arena;

/// The argument that makes this program such a process.
pub(crate) const MODE: &str = "peak-of";
/// The name of this measurement, for the words of the command line.
pub(crate) const NAME: &str = "memory";
const CONTENDERS: [Contender; 2] = [PIPES, FILES];

/// Peak memory of the capturing process by the bytes that it captured.
pub(crate) struct Peak {
    pub(crate) name: &'static str,
    pub(crate) bytes: u64,
    pub(crate) peak: u64,
}

/// Measures all, if wanted.
pub(crate) fn measure(arena: &Arena, wants: impl Fn(&str) -> bool) -> Vec<Peak> {
    if !wants(NAME) {
        return Vec::new();
    }
    let bytes: u64 = match arena.effort {
        Effort::Full => 1 << 30,
        Effort::Quick => 64 << 20,
    };
    let measured = CONTENDERS.iter().map(|contender| {
        let program = std::env::current_exe().expect("a running program has a file");
        let mut command = Command::new(program);
        command.args([MODE, contender.name]).arg(&arena.program);
        command.arg(bytes.to_string()).stdout(Stdio::piped());
        let mut child = command.spawn().expect("this program starts");
        let text = std::io::read_to_string(child.stdout.take().expect("it is piped"));
        let text = text.expect("text");
        assert!(
            child.wait().expect("it ends").success(),
            "{}",
            contender.name
        );
        let kib: u64 = text.trim().parse().expect("a number");
        Peak {
            name: contender.name,
            bytes,
            peak: kib << 10,
        }
    });
    measured.collect()
}

/// Such a process: captures, and prints its peak in KiB.
pub(crate) fn child(arguments: &[String]) -> ExitCode {
    let [name, program, bytes] = arguments else {
        return ExitCode::from(2);
    };
    let Some(contender) = CONTENDERS.iter().find(|it| it.name == name) else {
        return ExitCode::from(2);
    };
    let held = (contender.run)(&Job {
        program: program.into(),
        out: bytes.parse().expect("a number"),
        err: 0,
        piece: 64 << 10,
    });
    assert!(
        held.count().to_string() == *bytes,
        "{} bytes came",
        held.count()
    );
    // Mapped pages count once they are looked at.
    std::hint::black_box(held.sum());
    let status = std::fs::read_to_string("/proc/self/status").expect("our own");
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    println!("{}", peak.expect("a peak").trim_end_matches("kB").trim());
    ExitCode::SUCCESS
}
