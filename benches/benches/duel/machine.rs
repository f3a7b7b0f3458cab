//! A look at a whole machine beside the tools that people use for it: all in turn, round by round, the order rotated.
//!
//! The machine is made busy: processes that sleep, each with ten descriptors, six of them ends of a pipe of its own; and one
//! hang among them.

use std::hint::black_box;
use std::process::{Command, Stdio};
use std::time::Instant;

use pipeclog_benches::group::Group;
use pipeclog_procscan::{Scanner, Selection};
use pipeclog_scenario::goals::Goal;
use pipeclog_scenario::goals::Wanted::{self, AtLeast};

use crate::Effort;
use crate::statistics::spread;

/// The name of this measurement, for the words of the command line.
pub(crate) const NAME: &str = "machine";
/// Rounds and sleepers of a full run, and of a quick one; `lsof -E` takes about a second of each round.
const ROUNDS: [usize; 2] = [15, 5];
const HERD: [usize; 2] = [1000, 300];
/// 0 to 9, of which `sh` has opened the last seven.
const SLEEPER: &str = "exec sleep 100000 3<&0 4>&1 5<&0 6>&1 7</dev/null 8</dev/null 9</dev/null";

struct Method {
    name: &'static str,
    run: fn() -> bool,
}

const BLOCKED: &str = "who is blocked";
const SCAN: &str = "whole machine";
const LSOF: &str = "lsof -E";
const FUSER: &str = "fuser";

const METHODS: [Method; 6] = [
    Method {
        name: BLOCKED,
        run: || {
            let blocked =
                Scanner::new("/proc").and_then(|mut it| it.processes(&Selection::Machine));
            black_box(blocked).is_ok()
        },
    },
    Method {
        name: SCAN,
        run: || {
            let snapshot = Scanner::new("/proc").and_then(|mut it| it.scan(&Selection::Machine));
            black_box(snapshot).is_ok()
        },
    },
    Method {
        name: "whole machine, confirmed",
        run: || {
            let looks = Scanner::new("/proc").and_then(|mut it| it.scan_twice(&Selection::Machine));
            black_box(looks).is_ok()
        },
    },
    Method {
        name: LSOF,
        run: || peer("lsof", &["-n", "-P", "-E"]),
    },
    Method {
        name: FUSER,
        run: || peer("fuser", &["/dev/null"]),
    },
    Method {
        name: "ss -xp",
        run: || peer("ss", &["-xp"]),
    },
];

const GOALS: [(&str, &str, Wanted); 3] = [
    (LSOF, SCAN, AtLeast(10.0)),
    (FUSER, SCAN, AtLeast(1.8)),
    (LSOF, BLOCKED, AtLeast(60.0)),
];

/// Measures, if wanted.
pub(crate) fn measure(effort: Effort, wants: impl Fn(&str) -> bool) -> Vec<Goal> {
    let times = if wants(NAME) {
        fight(effort)
    } else {
        Vec::new()
    };
    let of = |name: &str| times.iter().find(|(known, _)| *known == name);
    let goals = GOALS.iter().map(|(of_name, to_name, wanted)| {
        let pairs = of(of_name).zip(of(to_name));
        let ratios = pairs.map(|((_, of), (_, to))| of.iter().zip(to).map(|(of, to)| of / to));
        let herd = HERD[effort as usize];
        let what = format!("a look at {herd} processes: {of_name} / {to_name}");
        Goal {
            goal: 9,
            what: what.as_str().into(),
            wanted: *wanted,
            measured: ratios.and_then(|ratios| spread(ratios.collect())),
        }
    });
    goals.collect()
}

/// The milliseconds of each method, by round.
fn fight(effort: Effort) -> Vec<(&'static str, Vec<f64>)> {
    let herd = HERD[effort as usize];
    let mut group = Group::default();
    for _ in 0..herd {
        let (read, write) = std::io::pipe().expect("a pipe");
        group.spawn(SLEEPER, read.into(), write.into());
    }
    let hang = "head -c 1000000 /dev/zero | sleep 100000";
    group.spawn(hang, Stdio::null(), Stdio::null());
    // The first run warms up, and tells what is installed.
    let methods = METHODS.iter().filter(|method| (method.run)());
    let mut methods: Vec<(&Method, Vec<f64>)> =
        methods.map(|method| (method, Vec::new())).collect();
    for round in 0..ROUNDS[effort as usize] {
        for turn in 0..methods.len() {
            let at = (round + turn) % methods.len();
            if let Some((method, times)) = methods.get_mut(at) {
                let started = Instant::now();
                black_box((method.run)());
                times.push(started.elapsed().as_secs_f64() * 1e3);
            }
        }
    }
    println!("\na look at {herd} processes");
    for (method, times) in &methods {
        let median = spread(times.clone()).map_or(f64::NAN, |it| it.median);
        println!("{:26} {median:9.2} ms", method.name);
    }
    methods
        .into_iter()
        .map(|(method, times)| (method.name, times))
        .collect()
}

/// Runs another's program; `false` where it is not installed.
fn peer(program: &str, arguments: &[&str]) -> bool {
    let mut command = Command::new(program);
    command.args(arguments);
    command.stdout(Stdio::null()).stderr(Stdio::null());
    command.status().is_ok()
}
