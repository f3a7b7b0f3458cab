//! The section "what the kernel says": one hang of each class, in words. Numbers that differ from run to run (of
//! processes, of inodes) are told as what they stand for; the results as JSON have them.

use std::fmt::Write as _;

use pipeclog_scenario::outcome::{Blocked, Cell, EndedBy, Hang, Role};

use pipeclog_waitgraph::class::Class;

use crate::hung;
use crate::markdown::{escaped, name, number, text};

pub(crate) fn write(to: &mut String, cells: &[Cell]) {
    to.push_str("## What the kernel says of each hang\n\n");
    let shown = one_of_each_class(cells);
    if shown.is_empty() {
        to.push_str("No scenario hung.\n\n");
        return;
    }
    to.push_str(
        "One hang of each class, as `/proc` showed it at the end of the trial. It is evidence, not a proof: it says who \
         waited for what, and not that nobody else could have ended the wait.\n\n",
    );
    for (class, cell, hang) in shown {
        let _ = writeln!(to, "### {}\n", name(class.slug()));
        let written = cell.outcome.written;
        let _ = writeln!(
            to,
            "`{}` on {}: the child had written {} bytes to stdout and {} to stderr. {}\n",
            cell.strategy,
            name(&cell.scenario),
            number(written.stdout),
            number(written.stderr),
            ended_by(hang.ended_by),
        );
        let names = Names::of(hang);
        for blocked in &hang.blocked {
            let _ = writeln!(to, "- {}", names.sentence(blocked));
        }
        if hang.blocked.is_empty() {
            to.push_str("- Nothing could be read of its processes.\n");
        }
        to.push('\n');
    }
}

fn one_of_each_class(cells: &[Cell]) -> Vec<(Class, &Cell, &Hang)> {
    let mut hung: Vec<(&Cell, (Class, &Hang))> = cells
        .iter()
        .filter_map(|cell| Some((cell, hung::class(cell)?)))
        .collect();
    // The scenario that is there to show the class comes before those that happen to hang in it.
    hung.sort_by_key(|(cell, (class, _))| family(cell) != class.slug());
    let mut shown: Vec<(Class, &Cell, &Hang)> = Vec::new();
    for (cell, (class, hang)) in hung {
        if !shown.iter().any(|(known, _, _)| *known == class) {
            shown.push((class, cell, hang));
        }
    }
    shown.sort_by_key(|(class, _, _)| *class);
    shown
}

fn family(cell: &Cell) -> &str {
    cell.row.split('/').next().unwrap_or_default()
}

fn ended_by(ended_by: EndedBy) -> &'static str {
    match ended_by {
        EndedBy::Proof => {
            "A checked certificate shows that no task outside of those that wait could wake one of them."
        }
        EndedBy::Quiescence => {
            "No task ran between looks, none was runnable, and none was in a call with a timeout."
        }
        EndedBy::LeaderGone => {
            "The child had exited, and a descendant of it that sleeps held what the parent waited for."
        }
        EndedBy::Polling => {
            "The parent came back from sleep after sleep, and the child stayed blocked all the while."
        }
        EndedBy::Deadline => "It ran into the trial's deadline, which proves nothing but that.",
    }
}

/// Names for numbers: a process is what it was to the trial, a pipe has a letter.
struct Names<'a> {
    processes: Vec<(u32, String)>,
    objects: Vec<&'a str>,
}

impl<'a> Names<'a> {
    fn of(hang: &'a Hang) -> Self {
        let mut processes: Vec<(u32, String)> = Vec::new();
        let mut objects: Vec<&str> = Vec::new();
        let mut descendants = 0;
        for blocked in &hang.blocked {
            if !processes.iter().any(|(pid, _)| *pid == blocked.pid) {
                let role = match blocked.role {
                    Role::Parent => "the parent".to_owned(),
                    Role::Child => "the child".to_owned(),
                    Role::Descendant => {
                        descendants += 1;
                        format!("descendant {descendants}")
                    }
                };
                processes.push((blocked.pid, role));
            }
            if let Some(object) = blocked.object.as_deref()
                && !objects.contains(&object)
            {
                objects.push(object);
            }
        }
        Self { processes, objects }
    }

    fn sentence(&self, blocked: &Blocked) -> String {
        let process = self
            .processes
            .iter()
            .find(|(pid, _)| *pid == blocked.pid)
            .map_or("a process", |(_, role)| role);
        let mut sentence = format!(
            "{} ({}): {}",
            capital(process),
            blocked.comm.markdown(),
            text(&blocked.call)
        );
        if let Some(descriptor) = blocked.descriptor {
            let _ = write!(sentence, " on descriptor {descriptor}");
        }
        if let Some(object) = &blocked.object {
            let _ = write!(sentence, ", {}", self.object(object));
        }
        if !blocked.holders.is_empty() {
            let holders: Vec<String> = blocked
                .holders
                .iter()
                .map(|holder| self.holder(holder))
                .collect();
            let _ = write!(
                sentence,
                "; the other end is held by {}",
                holders.join(" and ")
            );
        }
        sentence + "."
    }

    /// `pipe:[4711]` is pipe A, and `FIFO /tmp/x/name` is FIFO name; a terminal, … is told as it stands.
    fn object(&self, object: &str) -> String {
        if let Some((_, last)) = object
            .strip_prefix("FIFO ")
            .and_then(|path| path.rsplit_once('/'))
        {
            return format!("FIFO {}", name(last));
        }
        let kind = match object.split_once(":[") {
            Some((kind @ ("pipe" | "socket"), _)) => kind,
            _ => return escaped(object),
        };
        let place = self.objects.iter().position(|known| *known == object);
        let letter = place
            .and_then(|place| u8::try_from(place).ok())
            .filter(|place| *place < 26)
            .map_or('?', |place| char::from(b'A' + place));
        format!("{kind} {letter}")
    }

    /// `name (4711)` is the parent, if that is its number.
    fn holder(&self, holder: &str) -> String {
        let number = holder
            .strip_suffix(')')
            .and_then(|holder| holder.rsplit_once(" ("));
        let Some((comm, pid)) = number else {
            return escaped(holder);
        };
        let known = self
            .processes
            .iter()
            .find(|(known, _)| pid.parse() == Ok(*known));
        match known {
            Some((_, role)) => role.clone(),
            None => format!("another process ({})", escaped(comm)),
        }
    }
}

fn capital(text: &str) -> String {
    let mut letters = text.chars();
    match letters.next() {
        Some(first) => first.to_uppercase().chain(letters).collect(),
        None => String::new(),
    }
}
