//! The section that opens the report: which ways to capture deadlock, at which byte, and what to use instead. All of
//! it is computed from the results.

use std::fmt::Write as _;

use pipeclog_scenario::boundary::{Boundary, Found, Layout};
use pipeclog_scenario::outcome::{Agreement, Cell, Effort, Results, Verdict};
use pipeclog_scenario::strategy::{Delivery, Kind, Strategy};
use pipeclog_scenario::throughput::Samples;

use crate::hung;
use crate::markdown::{Align, Table, and, name, number, strategies, text};
use crate::names::Names;
use crate::throughput::{ratio, time, wall};

/// More differences than this are counted, not told.
const DIFFERENCES: usize = 50;

pub(crate) fn write(to: &mut String, results: &Results) {
    let run: Vec<Strategy> = Strategy::ALL
        .into_iter()
        .filter(|strategy| was_run(results, *strategy))
        .collect();
    let standing = |wanted: Standing| -> Vec<Strategy> {
        let all = run.iter().copied();
        all.filter(|one| Standing::of(results, *one) == wanted)
            .collect()
    };
    let (hazards, sound) = (standing(Standing::Hazard), standing(Standing::Sound));
    let open = standing(Standing::Open);
    let _ = writeln!(
        to,
        "**{} of {} ways to capture a child's output hang once the child has written enough{}. {} never did{}.** A pipe is \
         a bounded buffer: when it is full, the child's write waits until somebody reads. A parent that first waits \
         for something else (the child's exit, the end of the other stream, room for its own input) waits for ever.\n",
        hazards.len(),
        run.len(),
        listed(": ", &hazards),
        sound.len(),
        listed("; what was run leaves the question open for ", &open),
    );
    if results.effort.is_none() {
        to.push_str(
            "These are some trials alone, chosen by whoever ran them, and no run of everything: what they do not show, they do not \
             show not to be so.\n\n",
        );
    }
    if results.effort == Some(Effort::Quick) {
        to.push_str(
            "This is a quick run: where scenarios come in many sizes and write sizes, only 65,536 and 65,537 bytes in \
             writes of 4,096 were run; and the boundary was searched for fewer write sizes and layouts, and the cost \
             measured for fewer sizes and in fewer rounds, than in a full run.\n\n",
        );
    }
    boundaries(to, results, &hazards);
    instead(to, results, &sound);
    other_hangs(to, &results.cells, &sound);
    differences(to, results);
}

fn was_run(results: &Results, strategy: Strategy) -> bool {
    let ran = |cell: &Cell| cell.strategy == strategy && cell.agreement() != Agreement::Skipped;
    results.cells.iter().any(ran)
        || results
            .boundaries
            .iter()
            .any(|boundary| boundary.strategy == strategy)
}

fn listed(before: &str, all: &[Strategy]) -> String {
    if all.is_empty() {
        String::new()
    } else {
        format!("{before}{}", strategies(all))
    }
}

/// What the results say of a strategy and of the number of bytes.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Standing {
    /// A number of bytes makes it hang: one that a search found, or the size of a scenario that comes in sizes.
    Hazard,
    /// None that was run does.
    Sound,
    /// One did, against what was expected, which may be the strategy's fault or the trial's; or a search found nothing out; or it is kept
    /// as a specimen of a mistake, and what was run did not bring it out.
    Open,
}

impl Standing {
    fn of(results: &Results, strategy: Strategy) -> Self {
        let found = |boundary: &Boundary| match boundary.found {
            Found::At { .. } | Found::Always { .. } => boundary.strategy == strategy,
            Found::Never { .. } | Found::Unclear { .. } => false,
        };
        let unclear = |boundary: &Boundary| match boundary.found {
            Found::Unclear { .. } => boundary.strategy == strategy,
            Found::At { .. } | Found::Always { .. } | Found::Never { .. } => false,
        };
        let hung = |cell: &&Cell| {
            cell.strategy == strategy
                && cell.size.is_some()
                && matches!(cell.outcome.verdict, Verdict::Hung(_))
        };
        let expected = |cell: &Cell| hung::class(cell).is_some();
        if results.boundaries.iter().any(found) || results.cells.iter().filter(hung).any(expected) {
            Self::Hazard
        } else if results.cells.iter().any(|cell| hung(&cell))
            || results.boundaries.iter().any(unclear)
            || strategy.kind() == Kind::Hazard
        {
            Self::Open
        } else {
            Self::Sound
        }
    }
}

/// The hazards, with the bytes that a search found.
fn boundaries(to: &mut String, results: &Results, hazards: &[Strategy]) {
    if hazards.is_empty() {
        return;
    }
    let heads = [
        ("hangs", Align::Left),
        ("when the child fills", Align::Left),
        ("completes with at most", Align::Right),
        ("with the worst write size, at most", Align::Right),
    ];
    let mut table = Table::new(heads.map(|(head, align)| (head.to_owned(), align)));
    for strategy in hazards {
        let own: Vec<&Boundary> = results
            .boundaries
            .iter()
            .filter(|boundary| boundary.strategy == *strategy)
            .collect();
        let range = Range::of(&own);
        table.row([
            format!("`{strategy}`"),
            what_counts(&own),
            range.as_ref().map_or_else(
                || "–".to_owned(),
                |range| format!("{} bytes", number(range.largest)),
            ),
            range.map_or_else(
                || "–".to_owned(),
                |range| {
                    format!(
                        "{} bytes ({} a write)",
                        number(range.smallest),
                        number(range.worst)
                    )
                },
            ),
        ]);
    }
    table.write(to);
    if results
        .boundaries
        .iter()
        .any(|boundary| matches!(boundary.found, Found::At { .. }))
    {
        to.push_str("One byte more hangs. Bytes are those of one stream.\n\n");
    }
}

/// The boundaries of one strategy, from the smallest to the largest.
struct Range {
    smallest: u64,
    /// The write size that gives the smallest.
    worst: u64,
    largest: u64,
}

impl Range {
    fn of(boundaries: &[&Boundary]) -> Option<Self> {
        let mut range: Option<Self> = None;
        for boundary in boundaries {
            let completes = match boundary.found {
                Found::At { completes, .. } => completes,
                Found::Always { .. } => 0,
                Found::Never { .. } | Found::Unclear { .. } => continue,
            };
            let known = range.get_or_insert(Self {
                smallest: completes,
                worst: boundary.write_size,
                largest: completes,
            });
            known.largest = known.largest.max(completes);
            if completes < known.smallest {
                known.smallest = completes;
                known.worst = boundary.write_size;
            }
        }
        range
    }
}

/// Which stream makes it hang, by the layouts that write to one alone.
fn what_counts(own: &[&Boundary]) -> String {
    let hangs = |layout: Layout| {
        own.iter().any(|boundary| {
            let hung = matches!(boundary.found, Found::At { .. } | Found::Always { .. });
            boundary.layout == layout && hung
        })
    };
    let stream = match (hangs(Layout::Stdout), hangs(Layout::Stderr)) {
        (true, true) => "stdout or stderr",
        (true, false) => "stdout",
        (false, true) => "stderr",
        (false, false) => "–",
    };
    let stdin = own.iter().map(|boundary| boundary.stdin).max().unwrap_or(0);
    if stdin > 0 {
        format!("{stream}, before it reads {} bytes of stdin", number(stdin))
    } else {
        stream.to_owned()
    }
}

fn instead(to: &mut String, results: &Results, sound: &[Strategy]) {
    if sound.is_empty() {
        return;
    }
    let of = |hands_over: HandsOver| -> Vec<Strategy> {
        sound
            .iter()
            .copied()
            .filter(|strategy| HandsOver::by(*strategy) == hands_over)
            .collect()
    };
    to.push_str("**Use instead** one of those that none of the sizes that were run made hang:\n\n");
    for (hands_over, what) in [
        (HandsOver::Each, "gets stdout and stderr, each by itself"),
        (HandsOver::Merged, "gets both streams as one"),
        (
            HandsOver::ToTheOutside,
            "lets the child write to where the parent writes, and gets nothing",
        ),
        (HandsOver::Nothing, "throws the output away"),
    ] {
        let these = of(hands_over);
        if !these.is_empty() {
            let _ = writeln!(to, "- {what}: {}", strategies(&these));
        }
    }
    to.push('\n');
    fastest(to, results, &of(HandsOver::Each));
}

/// What a parent has in its hands at the end.
#[derive(Clone, Copy, PartialEq, Eq)]
enum HandsOver {
    Each,
    Merged,
    ToTheOutside,
    Nothing,
}

impl HandsOver {
    fn by(strategy: Strategy) -> Self {
        match (strategy, strategy.delivery()) {
            (Strategy::Inherit, _) => Self::ToTheOutside,
            (_, Delivery::Separate) => Self::Each,
            (_, Delivery::Merged) => Self::Merged,
            (_, Delivery::Nothing) => Self::Nothing,
        }
    }
}

/// The fastest with the most bytes, if anything was measured.
fn fastest(to: &mut String, results: &Results, candidates: &[Strategy]) {
    let Some(throughput) = &results.throughput else {
        return;
    };
    let Some(bytes) = throughput.series.iter().map(|series| series.bytes).max() else {
        return;
    };
    let measured = |strategy: &Strategy| {
        let spread = wall(throughput, *strategy, bytes)?;
        Some((*strategy, spread.median))
    };
    let best = candidates
        .iter()
        .filter_map(measured)
        .min_by(|(_, one), (_, other)| one.total_cmp(other));
    let Some((strategy, median)) = best else {
        return;
    };
    let as_fast: Vec<Strategy> = candidates
        .iter()
        .copied()
        .filter(|other| *other != strategy)
        .filter(|other| {
            ratio(throughput, *other, strategy, bytes).is_some_and(|ratio| ratio.includes(1.0))
        })
        .collect();
    let _ = write!(
        to,
        "With {} bytes the fastest of the first kind to hand them over was `{strategy}`, {} in the median",
        number(bytes),
        time(median)
    );
    if !as_fast.is_empty() {
        let _ = write!(
            to,
            "; this run cannot tell {} from it",
            strategies(&as_fast)
        );
    }
    to.push_str(". [The costs](#what-it-costs-when-it-works) are below.\n\n");
}

/// Hangs that no way of reading cures, by the scenarios that act them out.
fn other_hangs(to: &mut String, cells: &[Cell], sound: &[Strategy]) {
    let mut families: Vec<(&str, Vec<Strategy>)> = Vec::new();
    for cell in cells {
        if hung::class(cell).is_none() || !sound.contains(&cell.strategy) {
            continue;
        }
        let family = hung::family(cell);
        match families.iter_mut().find(|(known, _)| *known == family) {
            Some((_, known)) if known.contains(&cell.strategy) => {}
            Some((_, known)) => known.push(cell.strategy),
            None => families.push((family, vec![cell.strategy])),
        }
    }
    if families.is_empty() {
        return;
    }
    to.push_str(
        "Not every hang is the reader's fault. These scenarios hang even with those, since what the child waits for is not \
         its output being read, or what holds a stream open is not the child:\n\n",
    );
    let (all, some): (Vec<_>, Vec<_>) = families
        .into_iter()
        .partition(|(_, hung)| hung.len() == sound.len());
    if !all.is_empty() {
        let names: Vec<String> = all.iter().map(|(family, _)| name(family)).collect();
        let _ = writeln!(to, "- with every one of them: {}", and(&names));
    }
    for (family, mut hung) in some {
        hung.sort_unstable();
        let _ = writeln!(to, "- {}: with {}", name(family), strategies(&hung));
    }
    to.push('\n');
}

/// What did not come out as it should; nothing if all did.
fn differences(to: &mut String, results: &Results) {
    let mut told: Vec<String> = Vec::new();
    for cell in &results.cells {
        if cell.agreement() == Agreement::Differs {
            told.push(format!(
                "{} under `{}`: {}; expected: {}{}",
                name(&cell.scenario),
                cell.strategy,
                text(&verdict(cell)),
                text(&cell.expected.to_string()),
                cell.contradiction()
                    .map_or_else(String::new, |foretold| text(&format!("; {foretold}")))
            ));
        }
    }
    for boundary in results.boundaries.iter().filter(|one| !one.agrees()) {
        told.push(format!(
            "the boundary of `{}` ({}, {} bytes a write): {}; predicted: {}",
            boundary.strategy,
            boundary.layout,
            number(boundary.write_size),
            text(&boundary.found.to_string()),
            boundary.predicted.map_or_else(
                || "no hang".to_owned(),
                |bytes| format!("{} bytes complete", number(bytes))
            )
        ));
    }
    for series in results.throughput.iter().flat_map(|all| &all.series) {
        if let Samples::Failed { why } = &series.measured {
            told.push(format!(
                "measuring `{}` with {} bytes: {}",
                series.strategy,
                number(series.bytes),
                text(why)
            ));
        }
    }
    if told.is_empty() {
        return;
    }
    to.push_str("## What is not as expected\n\n");
    for line in told.iter().take(DIFFERENCES) {
        let _ = writeln!(to, "- {line}");
    }
    if let Some(more) = told.len().checked_sub(DIFFERENCES).filter(|more| *more > 0) {
        let _ = writeln!(to, "- and {} more", number(more as u64));
    }
    to.push('\n');
}

/// A verdict in words; of a hang, the class that was found too, and names in the place of numbers.
fn verdict(cell: &Cell) -> String {
    let verdict = &cell.outcome.verdict;
    let Verdict::Hung(hang) = verdict else {
        return verdict.to_string();
    };
    let told = Names::of(hang).in_text(&verdict.to_string());
    match hang.diagnosis.as_ref().and_then(|found| found.class) {
        Some(class) => format!("{told}; class: {}", class.slug()),
        None => told,
    }
}
