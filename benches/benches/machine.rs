//! A look at a whole machine beside the tools that people use for it, as a duel: all in turn, round by round, the order rotated,
//! and the ratios taken within a round: `cargo bench -p pipeclog-benches --bench machine`.
//!
//! The machine is made busy: `PIPECLOG_HERD` processes (1,000 unless told otherwise) that sleep, each with ten descriptors, six of
//! them ends of a pipe of its own; and one hang among them.
#![expect(
    clippy::unwrap_used,
    reason = "a bench that cannot start has no figure"
)]
#![expect(clippy::print_stdout, reason = "printing is all that it does")]

use std::hint::black_box;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, killpg};
use pipeclog_procscan::{Scanner, Selection};

/// Rounds of the duel; `lsof -E` takes about a second of each.
const ROUNDS: usize = 15;
/// 0 to 9, of which `sh` has opened the last seven.
const SLEEPER: &str = "exec sleep 100000 3<&0 4>&1 5<&0 6>&1 7</dev/null 8</dev/null 9</dev/null";

/// Processes that end with the bench.
struct Group(Vec<Child>);

impl Drop for Group {
    fn drop(&mut self) {
        for child in &mut self.0 {
            let group = nix::unistd::Pid::from_raw(child.id().cast_signed());
            let _ = killpg(group, Signal::SIGKILL);
            let _ = child.wait();
        }
    }
}

fn spawn(script: &str, stdin: Stdio, stdout: Stdio) -> Child {
    let mut command = Command::new("sh");
    command.args(["-c", script]).stdin(stdin).stdout(stdout);
    command.process_group(0).spawn().unwrap()
}

fn sleeper() -> Child {
    let (read, write) = std::io::pipe().unwrap();
    spawn(SLEEPER, read.into(), write.into())
}

struct Method {
    name: &'static str,
    run: fn() -> bool,
}

const METHODS: [Method; 6] = [
    Method {
        name: "phase 1 (who is blocked)",
        run: || {
            let pulse = Scanner::new("/proc").unwrap().pulse(&Selection::Machine);
            black_box(pulse).is_ok()
        },
    },
    Method {
        name: "whole machine",
        run: || {
            let snapshot = Scanner::new("/proc").unwrap().scan(&Selection::Machine);
            black_box(snapshot).is_ok()
        },
    },
    Method {
        name: "whole machine, confirmed",
        run: || {
            let looks = Scanner::new("/proc")
                .unwrap()
                .scan_twice(&Selection::Machine);
            black_box(looks).is_ok()
        },
    },
    Method {
        name: "lsof -n -P -E",
        run: || peer("lsof", &["-n", "-P", "-E"]),
    },
    Method {
        name: "fuser",
        run: || peer("fuser", &["/dev/null"]),
    },
    Method {
        name: "ss -xp",
        run: || peer("ss", &["-xp"]),
    },
];

/// Runs another's program; `false` where it is not installed.
fn peer(program: &str, arguments: &[&str]) -> bool {
    let mut command = Command::new(program);
    command.args(arguments);
    command.stdout(Stdio::null()).stderr(Stdio::null());
    command.status().is_ok()
}

fn main() {
    let herd = std::env::var("PIPECLOG_HERD").map_or(1000, |count| count.parse().unwrap());
    let mut group = Group((0..herd).map(|_| sleeper()).collect());
    let hang = "head -c 1000000 /dev/zero | sleep 100000";
    group.0.push(spawn(hang, Stdio::null(), Stdio::null()));
    let methods = installed(METHODS);
    let mut times: Vec<Vec<Duration>> = vec![Vec::new(); methods.len()];
    for round in 0..ROUNDS {
        for turn in 0..methods.len() {
            let at = (round + turn) % methods.len();
            let started = Instant::now();
            black_box((methods[at].run)());
            times[at].push(started.elapsed());
        }
    }
    report(&methods, &times, herd);
}

/// Those that run here; the first run, which warms up, tells.
fn installed(methods: [Method; 6]) -> Vec<Method> {
    let runs = |method: &Method| {
        let runs = (method.run)();
        if !runs {
            println!("skipped: {} is not installed", method.name);
        }
        runs
    };
    methods.into_iter().filter(runs).collect()
}

fn report(methods: &[Method], times: &[Vec<Duration>], herd: usize) {
    println!(
        "{herd} sleepers, {ROUNDS} rounds; medians, and the median of the ratios within a round"
    );
    let machine = methods
        .iter()
        .position(|m| m.name == "whole machine")
        .unwrap();
    for (method, own) in methods.iter().zip(times) {
        let ms: Vec<f64> = own.iter().map(|time| time.as_secs_f64() * 1e3).collect();
        let base = times[machine].iter();
        let ratios = own
            .iter()
            .zip(base)
            .map(|(a, b)| a.as_secs_f64() / b.as_secs_f64());
        println!(
            "{:26} {:9.2} ms {:7.2} x the whole machine",
            method.name,
            median(ms),
            median(ratios.collect())
        );
    }
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}
