//! The section "what the kernel says": one hang of each class, with its verdict, what `/proc` showed and the way out.

use std::fmt::Write as _;

use pipeclog_scenario::outcome::{Cell, EndedBy, Hang};
use pipeclog_waitgraph::class::Class;
use pipeclog_waitgraph::classes::{ClassKind, ClassText, Classes};
use pipeclog_waitgraph::report::{Confidence, VerdictName};

use crate::hung;
use crate::loop_graph::LoopGraph;
use crate::markdown::{Align, Table, and, escaped, name, number};
use crate::names::Names;

/// A hang that is shown for its class.
struct Shown<'a> {
    class: Class,
    cell: &'a Cell,
    hang: &'a Hang,
}

/// Writes the section, and gives the graphs that are in it.
pub(crate) fn write(to: &mut String, cells: &[Cell], classes: &Classes) -> Vec<LoopGraph> {
    to.push_str("## What the kernel says of each hang\n\n");
    let shown = one_of_each_class(cells);
    if shown.is_empty() {
        to.push_str("No scenario hung.\n\n");
        return Vec::new();
    }
    verdicts(to, cells);
    let mut graphs = Vec::new();
    for shown in &shown {
        let _ = writeln!(to, "### {}\n", name(shown.class.slug()));
        graphs.extend(write_one(to, shown, classes));
    }
    let others = classes.iter().filter(|about| {
        let is_shown = shown.iter().any(|shown| shown.class == about.slug);
        about.kind != ClassKind::LookAlike && !is_shown
    });
    let others: Vec<String> = others.map(|about| name(about.slug.slug())).collect();
    if !others.is_empty() {
        let _ = writeln!(
            to,
            "No trial of this run hung in {}; `pipeclog explain` has half a page on each.\n",
            and(&others)
        );
    }
    graphs
}

/// What the engine says of all hangs.
fn verdicts(to: &mut String, cells: &[Cell]) {
    let hangs: Vec<&Hang> = cells
        .iter()
        .filter_map(hung::class)
        .map(|(_, hang)| hang)
        .collect();
    let _ = writeln!(
        to,
        "What the engine says of the {} expected hangs, from `/proc` alone:\n",
        number(hangs.len() as u64)
    );
    let mut table = Table::new([
        ("verdict".to_owned(), Align::Left),
        ("hangs".to_owned(), Align::Right),
    ]);
    for said in Said::ALL {
        let count = hangs.iter().filter(|hang| Said::of(hang) == said).count();
        if count > 0 {
            table.row([said.text().to_owned(), number(count as u64)]);
        }
    }
    table.write(to);
    to.push_str(
        "Here is one of each class; processes and pipes have names in the place of their numbers.\n\n",
    );
}

/// What the engine says of a hang, as far as the table tells it.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Said {
    Proven,
    Probable,
    Leaked,
    Stopped,
    Outside,
    Moving,
    Nothing,
}

impl Said {
    const ALL: [Self; 7] = [
        Self::Proven,
        Self::Probable,
        Self::Leaked,
        Self::Stopped,
        Self::Outside,
        Self::Moving,
        Self::Nothing,
    ];

    fn of(hang: &Hang) -> Self {
        let Some(report) = &hang.diagnosis else {
            return Self::Nothing;
        };
        match report.verdict {
            VerdictName::Deadlocked if report.confidence == Confidence::Proven => Self::Proven,
            VerdictName::Deadlocked => Self::Probable,
            VerdictName::Leaked => Self::Leaked,
            VerdictName::Stopped => Self::Stopped,
            VerdictName::Waiting => Self::Outside,
            VerdictName::Stalled | VerdictName::Progressing => Self::Moving,
            VerdictName::Unproven => Self::Nothing,
        }
    }

    fn text(self) -> &'static str {
        match self {
            Self::Proven => {
                "**deadlock, proven**: by a certificate, checked by code of its own, that names for each task what it waits for and \
                 everybody who could wake it"
            }
            Self::Probable => {
                "**deadlock, probable**: under assumptions that it names; here, that nobody else opens a FIFO by its name, or that \
                 no byte is under way within a terminal"
            }
            Self::Leaked => {
                "**leak**: an end of file does not come, since somebody who was not meant to has the other end"
            }
            Self::Stopped => "**stopped**: all hangs on a stopped process",
            Self::Outside => {
                "**waiting**: on a live process or the outside; it may end, for all that can be seen"
            }
            Self::Moving => {
                "**no deadlock**: the parent runs, from sleep to sleep, and does not read"
            }
            Self::Nothing => "no verdict",
        }
    }
}

fn write_one(to: &mut String, shown: &Shown<'_>, classes: &Classes) -> Option<LoopGraph> {
    let about = classes.get(shown.class);
    if let Some(about) = about {
        let _ = writeln!(to, "{}\n", escaped(&about.sentence));
    }
    let (cell, hang) = (shown.cell, shown.hang);
    let written = cell.outcome.written;
    let _ = writeln!(
        to,
        "Seen with `{}` on {}. The child had written {} bytes to stdout and {} to stderr. {}\n",
        cell.strategy,
        name(&cell.scenario),
        number(written.stdout),
        number(written.stderr),
        ended_by(hang.ended_by),
    );
    let mut names = Names::of(hang);
    // Of a parent that polls, the engine says rightly that it waits: that is no diagnosis of the hang.
    let diagnosis = hang.diagnosis.as_ref().filter(|diagnosis| {
        diagnosis.class == Some(shown.class) || diagnosis.verdict == VerdictName::Deadlocked
    });
    if let Some(diagnosis) = diagnosis {
        let _ = writeln!(to, "> {}.\n", escaped(&names.in_text(&diagnosis.headline)));
        if let Some(class) = diagnosis.class.filter(|class| *class != shown.class) {
            let _ = writeln!(
                to,
                "The engine goes by what the kernel shows, and calls this {}.\n",
                name(class.slug())
            );
        }
    }
    let graph = diagnosis.and_then(|diagnosis| LoopGraph::of(diagnosis, &mut names));
    if let Some(graph) = &graph {
        let _ = writeln!(to, "```mermaid\n{}```\n", graph.mermaid());
    }
    for blocked in &hang.blocked {
        let _ = writeln!(to, "- {}", names.sentence(blocked));
    }
    if hang.blocked.is_empty() {
        to.push_str("- Nothing could be read of its processes.\n");
    }
    to.push('\n');
    if let Some(about) = about {
        way_out(to, about);
    }
    graph
}

fn way_out(to: &mut String, about: &ClassText) {
    let _ = writeln!(to, "**The cure.** {}\n", escaped(&about.cure));
    if let Some(wrong) = &about.wrong_fix {
        let _ = writeln!(to, "**What does not cure it.** {}\n", escaped(wrong));
    }
    if !about.references.is_empty() {
        let references: Vec<String> = about.references.iter().map(|one| escaped(one)).collect();
        let _ = writeln!(to, "References: {}.\n", references.join("; "));
    }
}

fn one_of_each_class(cells: &[Cell]) -> Vec<Shown<'_>> {
    let mut hung: Vec<Shown<'_>> = cells
        .iter()
        .filter_map(|cell| {
            let (class, hang) = hung::class(cell)?;
            Some(Shown { class, cell, hang })
        })
        .collect();
    // The scenario that is there to show the class comes before those that happen to hang in it, and a proof before a
    // hang without one.
    hung.sort_by_key(|shown| {
        (
            hung::family(shown.cell) != shown.class.slug(),
            shown.hang.ended_by != EndedBy::Proof,
        )
    });
    let mut chosen: Vec<Shown<'_>> = Vec::new();
    for shown in hung {
        if !chosen.iter().any(|known| known.class == shown.class) {
            chosen.push(shown);
        }
    }
    chosen.sort_by_key(|shown| shown.class);
    chosen
}

fn ended_by(ended_by: EndedBy) -> &'static str {
    match ended_by {
        EndedBy::Proof => "It was ended by the proof that it would never end.",
        EndedBy::Quiescence => {
            "It was ended since no task ran between looks, none was runnable, and none was in a call with a timeout."
        }
        EndedBy::LeaderGone => {
            "It was ended since the child had exited, and a descendant that sleeps held what the parent waited for."
        }
        EndedBy::Polling => {
            "It was ended since the parent came back from sleep after sleep, and the child stayed blocked all the while."
        }
        EndedBy::Diagnosis => {
            "It was ended since each look for a while showed the same deadlock, under assumptions, or the same leak."
        }
        EndedBy::Deadline => {
            "It was ended by the trial's deadline, which proves nothing but that it passed."
        }
    }
}
