//! The section "what the kernel says": one hang of each class, with its verdict, what `/proc` showed and the way out.

use std::fmt::Write as _;

use pipeclog_scenario::outcome::{Cell, EndedBy, Hang};
use pipeclog_waitgraph::class::Class;

use crate::hung;
use crate::markdown::{escaped, name, number};
use crate::names::Names;

pub(crate) fn write(to: &mut String, cells: &[Cell]) {
    to.push_str("## What the kernel says of each hang\n\n");
    let shown = one_of_each_class(cells);
    if shown.is_empty() {
        to.push_str("No scenario hung.\n\n");
        return;
    }
    proofs(to, cells);
    for (class, cell, hang) in shown {
        let _ = writeln!(to, "### {}\n", name(class.slug()));
        write_one(to, class, cell, hang);
    }
}

/// How many of all hangs were proven.
fn proofs(to: &mut String, cells: &[Cell]) {
    let hangs = cells.iter().filter_map(hung::class);
    let (proven, others): (Vec<_>, Vec<_>) =
        hangs.partition(|(_, hang)| hang.ended_by == EndedBy::Proof);
    let _ = writeln!(
        to,
        "{} of {} expected hangs were ended by a proof: a certificate, checked by code of its own, that names for each \
         task what it waits for and everybody who could wake it. The others were ended by what is said with them, which is \
         evidence and no proof. Here is one of each class; processes and pipes have names in the place of their numbers.\n",
        number(proven.len() as u64),
        number((proven.len() + others.len()) as u64)
    );
}

fn write_one(to: &mut String, class: Class, cell: &Cell, hang: &Hang) {
    let written = cell.outcome.written;
    let _ = writeln!(
        to,
        "`{}` on {}. The child had written {} bytes to stdout and {} to stderr. {}\n",
        cell.strategy,
        name(&cell.scenario),
        number(written.stdout),
        number(written.stderr),
        ended_by(hang.ended_by),
    );
    let mut names = Names::of(hang);
    // Of a parent that polls, the engine says rightly that it waits: that is no diagnosis of the hang.
    let diagnosis = hang
        .diagnosis
        .as_ref()
        .filter(|diagnosis| diagnosis.class == Some(class));
    if let Some(diagnosis) = diagnosis {
        let _ = writeln!(to, "> {}.\n", escaped(&names.in_text(&diagnosis.headline)));
    }
    for blocked in &hang.blocked {
        let _ = writeln!(to, "- {}", names.sentence(blocked));
    }
    if hang.blocked.is_empty() {
        to.push_str("- Nothing could be read of its processes.\n");
    }
    to.push('\n');
    if let Some(fix) = diagnosis.and_then(|diagnosis| diagnosis.fix.as_ref()) {
        let _ = writeln!(
            to,
            "The way out: {}\n",
            escaped(&names.in_text(&fix.advice))
        );
        if let Some(wrong) = &fix.wrong_fix {
            let _ = writeln!(to, "What hangs again: {}\n", escaped(&names.in_text(wrong)));
        }
    }
}

fn one_of_each_class(cells: &[Cell]) -> Vec<(Class, &Cell, &Hang)> {
    let mut hung: Vec<(&Cell, (Class, &Hang))> = cells
        .iter()
        .filter_map(|cell| Some((cell, hung::class(cell)?)))
        .collect();
    // The scenario that is there to show the class comes before those that happen to hang in it.
    hung.sort_by_key(|(cell, (class, _))| hung::family(cell) != class.slug());
    let mut shown: Vec<(Class, &Cell, &Hang)> = Vec::new();
    for (cell, (class, hang)) in hung {
        if !shown.iter().any(|(known, _, _)| *known == class) {
            shown.push((class, cell, hang));
        }
    }
    shown.sort_by_key(|(class, _, _)| *class);
    shown
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
