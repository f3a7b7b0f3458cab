//! The part "beside other crates" of what captures cost: the peers, and the goals.

use std::fmt::Write as _;

use pipeclog_scenario::goals::{Contender, Contest, Goal, Spread};

use crate::markdown::{Align, Table, number};
use crate::throughput::time;

/// The contender that ratios are to.
const OURS: &str = "pipes";

pub(crate) fn write(to: &mut String, contest: Option<&Contest>) {
    to.push_str("### Beside other crates\n\n");
    let Some(contest) = contest else {
        to.push_str(
            "Not measured: that takes a full run by `cargo` from a clone, which builds those crates.\n\n",
        );
        return;
    };
    to.push_str(
        "The same child, captured by each in turn: one process, rounds whose order rotates. `pipes` is our recommended strategy, \
         `files` our memory files. *Bare spawn and wait* captures nothing, *read and discard* reads a pipe of 256 KiB and keeps nothing, and \
         *copy into huge pages* only fills memory: they are no peers, and show where the limits lie. Given is the median time of `pipes`, and for \
         the others the median ratio to it within a round; **≈** marks a ratio whose middle half includes 1.\n\n",
    );
    peers(contest).write(to);
    let (met, measured) = (
        count(contest, Some(true)),
        count(contest, Some(true)) + count(contest, Some(false)),
    );
    let _ = writeln!(
        to,
        "The goals that were set before it was built, most as the median of the ratios within these rounds: **{} of {} that were measured are met.**\n",
        number(met),
        number(measured)
    );
    goals(contest).write(to);
    let _ = writeln!(to, "Measured on {}.\n", contest.machine.markdown());
}

fn count(contest: &Contest, met: Option<bool>) -> u64 {
    let goals = contest.goals.iter();
    goals.filter(|goal| goal.is_met() == met).count() as u64
}

/// Contender by duel.
fn peers(contest: &Contest) -> Table {
    let heads = contest
        .duels
        .iter()
        .map(|duel| (duel.name.markdown(), Align::Right));
    let mut table = Table::new(
        [("by bytes".to_owned(), Align::Left)]
            .into_iter()
            .chain(heads),
    );
    let mut names: Vec<&pipeclog_waitgraph::snapshot::Untrusted> = Vec::new();
    for contender in contest.duels.iter().flat_map(|duel| &duel.contenders) {
        if !names.contains(&&contender.name) {
            names.push(&contender.name);
        }
    }
    // Ours first, the limits and the peers after it as they come.
    names.sort_by_key(|name| **name != OURS.into());
    for name in names {
        let cells = contest.duels.iter().map(|duel| {
            let mut contenders = duel.contenders.iter();
            contenders
                .find(|contender| contender.name == *name)
                .map_or_else(|| "–".to_owned(), cell)
        });
        table.row([name.markdown()].into_iter().chain(cells));
    }
    table
}

fn cell(contender: &Contender) -> String {
    if contender.name == OURS.into() {
        return time(contender.capture_us.median * 1e3);
    }
    contender.to_ours.as_ref().map_or_else(
        || time(contender.capture_us.median * 1e3),
        |ratio| {
            let mark = if ratio.p25 <= 1.0 && 1.0 <= ratio.p75 {
                "≈ "
            } else {
                ""
            };
            format!("{mark}{}", digits(ratio.median))
        },
    )
}

fn goals(contest: &Contest) -> Table {
    let heads = [
        ("goal", Align::Right),
        ("ratio", Align::Left),
        ("wanted", Align::Right),
        ("measured", Align::Right),
        ("rounds", Align::Right),
        ("met", Align::Left),
    ];
    let mut table = Table::new(heads.map(|(head, align)| (head.to_owned(), align)));
    for goal in &contest.goals {
        table.row(row(goal));
    }
    table
}

fn row(goal: &Goal) -> [String; 6] {
    let measured = |spread: Spread| {
        if spread.count > 1 {
            let [median, p25, p75] = [spread.median, spread.p25, spread.p75].map(digits);
            format!("{median} ({p25}–{p75})")
        } else {
            digits(spread.median)
        }
    };
    let met = match goal.is_met() {
        Some(true) => "yes",
        Some(false) => "**no**",
        None => "not measured",
    };
    [
        number(u64::from(goal.goal)),
        goal.what.markdown(),
        goal.wanted
            .to_string()
            .replace("<=", "≤")
            .replace(">=", "≥"),
        goal.measured.map_or_else(|| "–".to_owned(), measured),
        goal.measured
            .map_or_else(|| "–".to_owned(), |spread| number(spread.count as u64)),
        met.to_owned(),
    ]
}

/// A ratio, with digits that mean something.
fn digits(ratio: f64) -> String {
    if ratio < 100.0 {
        format!("{ratio:.2}")
    } else {
        number(ratio.round() as u64)
    }
}

#[cfg(test)]
mod tests {
    use pipeclog_scenario::goals::{Duel, SCHEMA_VERSION, Wanted};
    use pipeclog_waitgraph::snapshot::Untrusted;

    use super::*;

    fn spread(median: f64) -> Spread {
        Spread {
            p25: median * 0.9,
            median,
            p75: median * 1.1,
            count: 9,
        }
    }

    fn contender(name: &str, us: f64, to_ours: f64) -> Contender {
        Contender {
            name: Untrusted::from(name),
            capture_us: spread(us),
            use_and_free_us: spread(us),
            cpu_us: spread(us),
            to_ours: Some(spread(to_ours)),
        }
    }

    fn goal(what: &str, measured: Option<Spread>) -> Goal {
        Goal {
            goal: 4,
            what: Untrusted::from(what),
            wanted: Wanted::AtLeast(2.3),
            measured,
        }
    }

    fn text_of(goals: Vec<Goal>) -> String {
        let contest = Contest {
            schema_version: SCHEMA_VERSION,
            machine: Untrusted::from("2 x |a`chip`|"),
            goals,
            duels: vec![Duel {
                name: Untrusted::from("64 MiB"),
                contenders: vec![
                    contender("std", 46_100.0, 2.5),
                    contender("pipes", 18_200.0, 1.0),
                ],
            }],
        };
        let mut text = String::new();
        write(&mut text, Some(&contest));
        text
    }

    #[test]
    fn ours_comes_first_as_a_time_and_the_others_as_ratios() {
        let text = text_of(vec![goal("64 MiB: std / pipes", Some(spread(2.5)))]);
        assert!(
            text.contains("| pipes | 18.2 ms |\n| std | 2.50 |\n"),
            "{text}"
        );
        assert!(
            text.contains("| 4 | 64 MiB: std / pipes | ≥ 2.3 | 2.50 (2.25–2.75) | 9 | yes |"),
            "{text}"
        );
        assert!(
            text.contains("**1 of 1 that were measured are met.**"),
            "{text}"
        );
    }

    #[test]
    fn what_was_not_measured_is_neither_met_nor_missed() {
        let text = text_of(vec![goal("one", None), goal("two", Some(spread(1.0)))]);
        assert!(
            text.contains("**0 of 1 that were measured are met.**"),
            "{text}"
        );
        assert!(
            text.contains("| 4 | one | ≥ 2.3 | – | – | not measured |"),
            "{text}"
        );
        assert!(text.contains("| **no** |"), "{text}");
    }

    #[test]
    fn a_name_cannot_become_markup() {
        let text = text_of(vec![goal("<b>|`x`", None)]);
        assert!(
            !text.contains("<b>") && !text.contains("|`x`") && !text.contains("`chip`"),
            "{text}"
        );
    }
}
