//! The goals, as data, and what was measured of them.

use std::collections::BTreeMap;
use std::fmt::Write;

use pipeclog_benches::contenders::{
    ASYNC_PROCESS, BARE, COPY, Contender, DISCARD, DUCT, FILES, PIPES, STD, SUBPROCESS, TOKIO,
};
use pipeclog_scenario::goals::Wanted::{self, AtLeast, AtMost};
use pipeclog_scenario::goals::{Contest, Goal, SCHEMA_VERSION};

use crate::arena::{Duel, Figure, Times};
use crate::memory::Peak;
use crate::statistics;

const SMALL: &[Contender] = &[
    BARE,
    PIPES,
    FILES,
    STD,
    DUCT,
    SUBPROCESS,
    TOKIO,
    ASYNC_PROCESS,
];
const MIDDLE: &[Contender] = &[PIPES, FILES, STD, DUCT, SUBPROCESS, TOKIO, ASYNC_PROCESS];
const LARGE: &[Contender] = &[COPY, DISCARD, PIPES, FILES, STD, DUCT, SUBPROCESS, TOKIO];

const fn duel(
    name: &'static str,
    out: u64,
    contenders: &'static [Contender],
    rounds: [usize; 2],
) -> Duel {
    Duel {
        name,
        out,
        err: 0,
        piece: 64 << 10,
        contenders,
        rounds,
        held: 0,
    }
}

/// Every duel.
pub(crate) const DUELS: &[Duel] = &[
    duel("0 B", 0, SMALL, [400, 100]),
    duel("4 KiB", 4 << 10, SMALL, [400, 100]),
    duel("64 KiB", 64 << 10, SMALL, [400, 100]),
    Duel {
        held: 1 << 30,
        ..duel(
            "0 B, 1 GiB held",
            0,
            &[BARE, PIPES, STD, SUBPROCESS],
            [60, 15],
        )
    },
    duel("256 KiB", 256 << 10, MIDDLE, [300, 80]),
    duel("1 MiB", 1 << 20, MIDDLE, [200, 60]),
    duel("4 MiB", 4 << 20, MIDDLE, [100, 40]),
    duel("64 MiB", 64 << 20, LARGE, [31, 9]),
    Duel {
        err: 64 << 20,
        ..duel("64 MiB each", 64 << 20, LARGE, [21, 7])
    },
    Duel {
        piece: 80,
        ..duel(
            "64 MiB in 80 B",
            64 << 20,
            &[PIPES, FILES, STD, DUCT, TOKIO],
            [15, 5],
        )
    },
    duel(
        "1 GiB",
        1 << 30,
        &[COPY, DISCARD, PIPES, FILES, STD],
        [5, 1],
    ),
];

/// One sentence of a goal: a ratio of two contenders in a duel.
pub(crate) struct Ratio {
    number: u32,
    duel: &'static str,
    of: Contender,
    to: Contender,
    figure: Figure,
    wanted: Wanted,
}

const fn goal(
    number: u32,
    duel: &'static str,
    of: Contender,
    to: Contender,
    wanted: Wanted,
) -> Ratio {
    Ratio {
        number,
        duel,
        of,
        to,
        figure: Figure::Capture,
        wanted,
    }
}

/// Every goal that is a ratio.
pub(crate) const GOALS: &[Ratio] = &[
    goal(1, "0 B", PIPES, BARE, AtMost(1.25)),
    goal(1, "4 KiB", PIPES, BARE, AtMost(1.25)),
    goal(1, "0 B", STD, PIPES, AtLeast(1.2)),
    goal(1, "4 KiB", STD, PIPES, AtLeast(1.2)),
    goal(1, "0 B", ASYNC_PROCESS, PIPES, AtLeast(1.5)),
    goal(1, "0 B", DUCT, PIPES, AtLeast(1.8)),
    goal(1, "0 B", SUBPROCESS, PIPES, AtLeast(2.0)),
    goal(2, "0 B", FILES, BARE, AtMost(1.07)),
    goal(2, "4 KiB", FILES, BARE, AtMost(1.07)),
    goal(2, "64 KiB", FILES, BARE, AtMost(1.07)),
    goal(3, "0 B, 1 GiB held", PIPES, BARE, AtMost(1.15)),
    goal(3, "0 B, 1 GiB held", SUBPROCESS, PIPES, AtLeast(400.0)),
    goal(4, "64 MiB", PIPES, DISCARD, AtMost(1.25)),
    goal(4, "64 MiB each", PIPES, DISCARD, AtMost(1.25)),
    goal(4, "64 MiB", STD, PIPES, AtLeast(2.3)),
    goal(4, "64 MiB", DUCT, PIPES, AtLeast(2.3)),
    goal(4, "64 MiB", SUBPROCESS, PIPES, AtLeast(4.0)),
    goal(4, "64 MiB", TOKIO, PIPES, AtLeast(4.5)),
    goal(4, "64 MiB each", STD, PIPES, AtLeast(3.5)),
    goal(5, "256 KiB", STD, PIPES, AtLeast(1.25)),
    goal(5, "1 MiB", STD, PIPES, AtLeast(1.25)),
    goal(5, "4 MiB", STD, PIPES, AtLeast(1.25)),
    goal(6, "64 MiB", FILES, COPY, AtMost(1.25)),
    goal(6, "64 MiB", STD, FILES, AtLeast(10.0)),
    Ratio {
        figure: Figure::UseAndFree,
        ..goal(6, "64 MiB", STD, FILES, AtLeast(6.0))
    },
    goal(6, "1 GiB", FILES, COPY, AtMost(1.25)),
    goal(7, "64 MiB in 80 B", STD, PIPES, AtLeast(1.15)),
    Ratio {
        figure: Figure::Cpu,
        ..goal(7, "64 MiB in 80 B", STD, PIPES, AtLeast(6.0))
    },
];

/// Holds what was measured to the goals. What was not measured is not met and not missed.
pub(crate) fn judge(
    goals: &[Ratio],
    measured: &BTreeMap<&str, Times>,
    peaks: &[Peak],
) -> Vec<Goal> {
    let ratios = goals.iter().map(|goal| {
        let times = measured.get(goal.duel);
        let figure = match goal.figure {
            Figure::Capture => "",
            Figure::UseAndFree => ", use and free",
            Figure::Cpu => ", own CPU",
        };
        let what = format!("{}: {} / {}{figure}", goal.duel, goal.of.name, goal.to.name);
        Goal {
            goal: goal.number,
            what: what.as_str().into(),
            wanted: goal.wanted,
            measured: times.and_then(|times| times.ratio(goal.of.name, goal.to.name, goal.figure)),
        }
    });
    let peaks = peaks.iter().map(|peak| {
        let allowed = peak.bytes as f64 * 1.01 + f64::from(4_u32 << 20);
        let mib = (peak.peak >> 20, peak.bytes >> 20);
        let what = format!(
            "peak of {}: {} MiB for {} MiB, / (1.01 x bytes + 4 MiB)",
            peak.name, mib.0, mib.1
        );
        Goal {
            goal: 8,
            what: what.as_str().into(),
            wanted: AtMost(1.0),
            measured: statistics::spread(vec![peak.peak as f64 / allowed]),
        }
    });
    let mut results: Vec<Goal> = ratios.chain(peaks).collect();
    results.sort_by_key(|result| result.goal);
    results
}

/// The table of goals.
pub(crate) fn table(results: &[Goal], machine: &str) -> String {
    let mut text = format!(
        "\n{:4} {:64} {:>8} {:>8} {:>17} {:>6}  met\n",
        "goal", "ratio, paired in one run", "wanted", "median", "p25 to p75", "rounds"
    );
    for result in results {
        let met = match result.is_met() {
            Some(true) => "yes",
            Some(false) => "NO",
            None => "not measured",
        };
        let (median, middle, count) = result.measured.map_or_else(Default::default, |it| {
            let middle = format!("{:.2} to {:.2}", it.p25, it.p75);
            (format!("{:.2}", it.median), middle, it.count.to_string())
        });
        let _ = writeln!(
            text,
            "{:4} {:64} {:>8} {median:>8} {middle:>17} {count:>6}  {met}",
            result.goal,
            result.what.escaped(),
            result.wanted.to_string()
        );
    }
    let _ = writeln!(text, "\n{machine}");
    text
}

/// What it was measured on.
pub(crate) fn machine() -> String {
    let read = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
    let after = |text: &str, name: &str| {
        let line = text.lines().find(|line| line.starts_with(name));
        let value = line
            .and_then(|line| line.split_once(':'))
            .map(|it| it.1.trim());
        value.unwrap_or("unknown").to_owned()
    };
    let processors = std::thread::available_parallelism().map_or(0, usize::from);
    let pages = read("/sys/kernel/mm/transparent_hugepage/enabled");
    format!(
        "{processors} x {}, {} of memory, Linux {}, huge pages: {}, load {}",
        after(&read("/proc/cpuinfo"), "model name"),
        after(&read("/proc/meminfo"), "MemTotal"),
        read("/proc/sys/kernel/osrelease").trim(),
        pages.trim(),
        read("/proc/loadavg").trim(),
    )
}

/// All of it, with every sample.
pub(crate) fn json(
    goals: Vec<Goal>,
    machine: &str,
    measured: &BTreeMap<&str, Times>,
) -> serde_json::Result<String> {
    let duels = DUELS.iter().filter_map(|duel| {
        let times = measured.get(duel.name)?;
        Some(times.summary(duel.name, PIPES.name))
    });
    let contest = Contest {
        schema_version: SCHEMA_VERSION,
        machine: machine.into(),
        goals,
        duels: duels.collect(),
    };
    let mut value = serde_json::to_value(contest)?;
    value["samples"] = serde_json::to_value(measured)?;
    Ok(format!("{value:#}\n"))
}
