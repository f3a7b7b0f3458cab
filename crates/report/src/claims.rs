//! The section "the post, settled": what was claimed in 2008 and since, what holds of it, and what was run to know.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use pipeclog_scenario::claims::{Came, Comes, Experiment, Holds, Settled, Source, Standing, Trial};

use crate::markdown::{Align, Table, and, escaped, name, number, text};

pub(crate) fn write(to: &mut String, claims: &[Settled]) {
    to.push_str("## The post, settled\n\n");
    if claims.is_empty() {
        to.push_str("The claims of the post were not put to the test in this run.\n\n");
        return;
    }
    introduction(to, claims);
    verdicts(to, claims);
    differing(to, claims);
    experiments(to, claims);
}

fn introduction(to: &mut String, claims: &[Settled]) {
    let pythons: Vec<String> = pythons(claims).into_iter().map(|(_, one)| one).collect();
    let trials: usize = claims.iter().map(|settled| settled.trials.len()).sum();
    let on = match pythons.as_slice() {
        [] => "No Python was found, so none of it could be run.".to_owned(),
        some => format!(
            "Each is settled by experiments, {} runs in all, on Python {}.",
            number(trials as u64),
            and(some)
        ),
    };
    let _ = writeln!(
        to,
        "*Subprocess Hanging: PIPE is your enemy* (anders pearson, 2008) is where many have first read of this hang. Its author saw \
         a child stand still after some 65,000 bytes and blamed `communicate()`; its readers added what they saw, which were three \
         different faults: a full pipe, a background process that keeps the pipe open, and short reads. {on}\n"
    );
}

/// The versions that something was run on, in their order.
fn pythons(claims: &[Settled]) -> BTreeSet<(Vec<u32>, String)> {
    let trials = claims.iter().flat_map(|settled| &settled.trials);
    let version = |trial: &Trial| {
        let text = trial.python.escaped();
        let parts = text.split('.').map(|part| part.parse().unwrap_or(0));
        (parts.collect(), name(&text))
    };
    trials.map(version).collect()
}

fn verdicts(to: &mut String, claims: &[Settled]) {
    let heads = ["who", "claim", "verdict", "what holds"];
    let mut table = Table::new(heads.map(|head| (head.to_owned(), Align::Left)));
    for settled in claims {
        let who = match settled.claim.source {
            Source::Post => "post",
            Source::Comment => "comment",
        };
        table.row([
            who.to_owned(),
            text(&settled.claim.claim),
            verdict(settled),
            text(&settled.claim.sentence),
        ]);
    }
    table.write(to);
}

fn verdict(settled: &Settled) -> String {
    let holds = match settled.claim.verdict {
        Holds::Confirmed => "confirmed",
        Holds::Corrected => "confirmed, with a correction",
        Holds::Refuted => "refuted",
    };
    match settled.standing() {
        Standing::Holds => format!("**{holds}**"),
        Standing::NotRun => "not run here".to_owned(),
        Standing::Differs => "**open**: not all came out as expected, see below".to_owned(),
    }
}

/// What came out differently is told, not smoothed over.
fn differing(to: &mut String, claims: &[Settled]) {
    for settled in claims {
        for trial in settled.differing() {
            let what = settled.claim.experiments.get(trial.experiment);
            let _ = writeln!(
                to,
                "- {} on Python {}: {} was run; expected: {}; what came: {}.",
                name(&settled.claim.id),
                name(&trial.python.escaped()),
                what.map_or_else(|| "something unknown".to_owned(), command),
                what.map_or_else(|| "nothing".to_owned(), |what| expected(&what.expect)),
                came(&trial.came),
            );
        }
    }
    if claims.iter().any(|settled| !settled.differing().is_empty()) {
        to.push('\n');
    }
}

fn experiments(to: &mut String, claims: &[Settled]) {
    to.push_str(
        "<details>\n<summary>What was run for each claim, and what came of it</summary>\n\n",
    );
    let heads = [
        ("claim", Align::Left),
        ("parent and child", Align::Left),
        ("what came of it", Align::Left),
        ("runs", Align::Right),
    ];
    let mut table = Table::new(heads.map(|(head, align)| (head.to_owned(), align)));
    for settled in claims {
        for (place, experiment) in settled.claim.experiments.iter().enumerate() {
            let (skipped, ran): (Vec<_>, Vec<_>) = settled
                .trials
                .iter()
                .filter(|trial| trial.experiment == place)
                .partition(|trial| matches!(trial.came, Came::Skipped { .. }));
            let what = match (ran.first(), skipped.first()) {
                (Some(trial), _) => came(&trial.came),
                (None, Some(trial)) => came(&trial.came),
                (None, None) => "not run here".to_owned(),
            };
            table.row([
                name(&settled.claim.id),
                command(experiment),
                what,
                number(ran.len() as u64),
            ]);
        }
    }
    table.write(to);
    to.push_str(
        "The parents are the files of `fixtures/claims`, ten lines each. `chatty` is the suite's child, which writes what it is told \
         to and keeps a ledger of it.\n\n</details>\n\n",
    );
}

fn command(experiment: &Experiment) -> String {
    let parent = std::iter::once(&experiment.parent).chain(&experiment.arguments);
    let child = experiment.child.iter().map(|word| match word.as_str() {
        "{chatty}" => "chatty".to_owned(),
        "{python}" => "python".to_owned(),
        other if other.contains(' ') => format!("\"{other}\""),
        other => other.to_owned(),
    });
    let words: Vec<String> = parent.cloned().chain(child).collect();
    text(&words.join(" "))
}

fn expected(comes: &Comes) -> String {
    match comes {
        Comes::Says(line) => text(line),
        Comes::Hangs(stands) => format!("a hang, {}", name(stands.class.slug())),
    }
}

fn came(came: &Came) -> String {
    match came {
        Came::Ended { code: 0, said } => escaped(&said.escaped()),
        Came::Ended { code, said } => format!("ended with {code}: {}", escaped(&said.escaped())),
        Came::Hung { hang, written } => {
            let class = hang.diagnosis.as_ref().and_then(|report| report.class);
            let class =
                class.map_or_else(|| "not diagnosed".to_owned(), |class| name(class.slug()));
            match written.stdout + written.stderr {
                0 => format!("**hangs**: {class}"),
                _ => format!(
                    "**hangs**: {class}, after {} bytes of stdout and {} of stderr",
                    number(written.stdout),
                    number(written.stderr)
                ),
            }
        }
        Came::Skipped { why } => format!("skipped: {}", escaped(&why.escaped())),
        Came::Broken { why } => format!("failed to run: {}", escaped(&why.escaped())),
    }
}
