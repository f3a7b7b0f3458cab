//! The section "what it costs": medians and spreads of the duel, and ratios within its rounds.

use std::fmt::Write as _;

use pipeclog_scenario::strategy::Strategy;
use pipeclog_scenario::throughput::{Sample, Samples, Series, Throughput};

use crate::figure::Figure;
use crate::markdown::{Align, Table, number, text};
use crate::statistics::Spread;

/// Where the time of a capture is not this many times that of a capture of nothing, its rate says nothing.
const RATE_FROM: f64 = 3.0;

pub(crate) fn write(to: &mut String, throughput: Option<&Throughput>, figure: Option<&Figure>) {
    to.push_str("## What it costs when it works\n\n");
    let Some(throughput) = throughput else {
        to.push_str("Nothing was measured.\n\n");
        return;
    };
    let baseline = throughput.baseline;
    let _ = writeln!(
        to,
        "The child writes so many bytes to stdout, {} at a time, and the strategies capture it in turn: one at a time, in \
         one process, in rounds whose order rotates. A ratio is to `{baseline}` in the same round; given are the \
         median and, in brackets, where the middle half lies. **≈** marks a ratio whose middle half includes 1: this \
         run cannot tell the two apart. `discard` sends the output to `/dev/null`: it is what the child alone takes.\n",
        number(throughput.write_size)
    );
    if let Some(figure) = figure {
        to.push_str(&figure.markdown());
    }
    ratios(to, throughput);
    for bytes in sizes(throughput) {
        details(to, throughput, bytes);
    }
    to.push_str(
        "*Capture* ends with the child's last byte and its exit. *Use and free* goes on until each byte was read once \
         and its memory given back: `temp_file` and `memfd` hand over mapped memory, whose pages are filled only then. *CPU* is \
         user and system time. *Memory* is the peak of a process that does this capture and nothing else, where every byte was \
         verified; **≤** marks those that cannot be told from a process that captures nothing. A rate is given where the capture takes at least three times as long as that of no bytes; below, \
         starting the child is most of the time, and the rate would tell of that.\n\n",
    );
}

/// The sizes that were measured, ascending.
pub(crate) fn sizes(throughput: &Throughput) -> Vec<u64> {
    let mut sizes: Vec<u64> = throughput
        .series
        .iter()
        .map(|series| series.bytes)
        .collect();
    sizes.sort_unstable();
    sizes.dedup();
    sizes
}

/// The strategies that were measured, in the order of the tables.
pub(crate) fn strategies(throughput: &Throughput) -> Vec<Strategy> {
    let has = |strategy: &Strategy| {
        let mut series = throughput.series.iter();
        series.any(|series| series.strategy == *strategy)
    };
    Strategy::ALL.into_iter().filter(has).collect()
}

/// The samples of one strategy and size; none if it failed.
fn samples(throughput: &Throughput, strategy: Strategy, bytes: u64) -> &[Sample] {
    let series = find(throughput, strategy, bytes);
    match series.map(|series| &series.measured) {
        Some(Samples::Taken { rounds, .. }) => rounds,
        Some(Samples::Failed { .. }) | None => &[],
    }
}

fn find(throughput: &Throughput, strategy: Strategy, bytes: u64) -> Option<&Series> {
    throughput
        .series
        .iter()
        .find(|series| (series.strategy, series.bytes) == (strategy, bytes))
}

/// How long captures took, in nanoseconds.
pub(crate) fn wall(throughput: &Throughput, strategy: Strategy, bytes: u64) -> Option<Spread> {
    let samples = samples(throughput, strategy, bytes);
    Spread::of(samples.iter().map(|sample| sample.wall_ns as f64))
}

/// Ratios of times to those of another strategy in the same rounds.
pub(crate) fn ratio(
    throughput: &Throughput,
    strategy: Strategy,
    to: Strategy,
    bytes: u64,
) -> Option<Spread> {
    let own = samples(throughput, strategy, bytes);
    let baseline = samples(throughput, to, bytes);
    let pairs = own.iter().zip(baseline);
    Spread::of(
        pairs
            .filter(|(_, baseline)| baseline.wall_ns > 0)
            .map(|(own, baseline)| own.wall_ns as f64 / baseline.wall_ns as f64),
    )
}

/// Strategy by size, in ratios.
fn ratios(to: &mut String, throughput: &Throughput) {
    let sizes = sizes(throughput);
    let heads = sizes.iter().map(|bytes| (number(*bytes), Align::Right));
    let first = (
        "× the time of the baseline, by bytes".to_owned(),
        Align::Left,
    );
    let mut table = Table::new([first].into_iter().chain(heads));
    let times = sizes.iter().map(|bytes| {
        wall(throughput, throughput.baseline, *bytes)
            .map_or_else(|| "–".to_owned(), |spread| time(spread.median))
    });
    table.row(
        [format!("`{}`", throughput.baseline)]
            .into_iter()
            .chain(times),
    );
    for strategy in strategies(throughput) {
        if strategy == throughput.baseline {
            continue;
        }
        let cells = sizes.iter().map(|bytes| {
            ratio(throughput, strategy, throughput.baseline, *bytes).map_or_else(
                || "–".to_owned(),
                |spread| format!("{}{:.2}", mark(&spread), spread.median),
            )
        });
        table.row([format!("`{strategy}`")].into_iter().chain(cells));
    }
    table.write(to);
}

fn mark(ratio: &Spread) -> &'static str {
    if ratio.includes(1.0) { "≈ " } else { "" }
}

fn details(to: &mut String, throughput: &Throughput, bytes: u64) {
    let rounds = samples(throughput, throughput.baseline, bytes).len() as u64;
    let _ = writeln!(
        to,
        "<details><summary>{} bytes, {} rounds</summary>\n",
        number(bytes),
        number(rounds)
    );
    let heads = [
        ("strategy", Align::Left),
        ("capture", Align::Right),
        ("× baseline", Align::Right),
        ("use and free", Align::Right),
        ("MiB/s", Align::Right),
        ("CPU of the parent", Align::Right),
        ("CPU of the child", Align::Right),
        ("memory, KiB", Align::Right),
    ];
    let mut table = Table::new(heads.map(|(head, align)| (head.to_owned(), align)));
    let mut failed = Vec::new();
    for strategy in strategies(throughput) {
        match find(throughput, strategy, bytes).map(|series| &series.measured) {
            Some(Samples::Taken { rounds, peak_kib }) => {
                table.row(line(throughput, strategy, bytes, rounds, *peak_kib));
            }
            Some(Samples::Failed { why }) => failed.push((strategy, why)),
            None => {}
        }
    }
    table.write(to);
    for (strategy, why) in failed {
        let _ = writeln!(to, "`{strategy}` was not measured: {}\n", text(why));
    }
    to.push_str("</details>\n\n");
}

fn line(
    throughput: &Throughput,
    strategy: Strategy,
    bytes: u64,
    rounds: &[Sample],
    peak_kib: Option<u64>,
) -> [String; 8] {
    let dash = || "–".to_owned();
    let spread = |of: fn(&Sample) -> u64| Spread::of(rounds.iter().map(|one| of(one) as f64));
    let in_time = |spread: Option<Spread>| spread.map_or_else(dash, |spread| span(&spread));
    let median = |spread: Option<Spread>| spread.map_or_else(dash, |spread| cpu(spread.median));
    let ratio =
        ratio(throughput, strategy, throughput.baseline, bytes).map_or_else(dash, |ratio| {
            format!(
                "{}{:.2} ({:.2}–{:.2})",
                mark(&ratio),
                ratio.median,
                ratio.p25,
                ratio.p75
            )
        });
    [
        format!("`{strategy}`"),
        in_time(spread(|one| one.wall_ns)),
        ratio,
        in_time(spread(|one| one.used_ns)),
        rate(throughput, strategy, bytes).map_or_else(dash, |rate| number(rate.round() as u64)),
        median(spread(|one| one.parent_cpu_us)),
        median(spread(|one| one.child_cpu_us)),
        peak_kib.map_or_else(dash, |peak| memory(throughput, peak)),
    ]
}

/// A process counts what it had before it began to capture, and the one that started it before that: the smallest
/// peak of all is a bound, and no measurement.
fn memory(throughput: &Throughput, peak_kib: u64) -> String {
    let peaks = throughput
        .series
        .iter()
        .filter_map(|series| match series.measured {
            Samples::Taken { peak_kib, .. } => peak_kib,
            Samples::Failed { .. } => None,
        });
    if peaks.min() == Some(peak_kib) {
        format!("≤ {}", number(peak_kib))
    } else {
        number(peak_kib)
    }
}

/// MiB a second, where that says something.
fn rate(throughput: &Throughput, strategy: Strategy, bytes: u64) -> Option<f64> {
    let own = wall(throughput, strategy, bytes)?.median;
    let of_nothing = wall(throughput, strategy, 0)?.median;
    let mib = bytes as f64 / f64::from(1 << 20);
    (own > RATE_FROM * of_nothing).then(|| mib / (own / 1e9))
}

/// A time in nanoseconds, with three digits that mean something.
pub(crate) fn time(ns: f64) -> String {
    let (value, unit) = if ns < 1e6 {
        (ns / 1e3, "µs")
    } else {
        (ns / 1e6, "ms")
    };
    format!("{} {unit}", three_digits(value))
}

fn span(spread: &Spread) -> String {
    let (scale, unit) = if spread.median < 1e6 {
        (1e3, "µs")
    } else {
        (1e6, "ms")
    };
    let digits = |ns: f64| three_digits(ns / scale);
    format!(
        "{} {unit} ({}–{})",
        digits(spread.median),
        digits(spread.p25),
        digits(spread.p75)
    )
}

fn three_digits(value: f64) -> String {
    match value {
        value if value < 10.0 => format!("{value:.2}"),
        value if value < 100.0 => format!("{value:.1}"),
        value => number(value.round() as u64),
    }
}

/// Processor time in microseconds; the kernel counts it in no smaller unit.
fn cpu(us: f64) -> String {
    if us < 1.0 {
        "below 1 µs".to_owned()
    } else {
        time(us * 1e3)
    }
}
