//! Names in the place of numbers that differ from run to run: of processes, of pipes, of temporary directories. So two
//! reports of the same hangs read the same; the results as JSON have the numbers.

use std::fmt::Write as _;

use pipeclog_scenario::outcome::{Blocked, Hang, Role};
use pipeclog_waitgraph::report::Actor;

use crate::markdown::{escaped, text};

/// The names of one hang: a process is what it was to the trial, a pipe has a letter.
pub(crate) struct Names {
    /// As texts spell it (`name (4711)`), and what it was.
    processes: Vec<(String, u32, String)>,
    /// `pipe:[4711]`, in the order of their letters.
    objects: Vec<String>,
}

impl Names {
    pub(crate) fn of(hang: &Hang) -> Self {
        let mut names = Self {
            processes: Vec::new(),
            objects: Vec::new(),
        };
        let mut descendants = 0;
        for blocked in &hang.blocked {
            if names.role(blocked.pid).is_some() {
                continue;
            }
            let role = match blocked.role {
                Role::Parent => "the parent".to_owned(),
                Role::Child => "the child".to_owned(),
                Role::Descendant => {
                    descendants += 1;
                    format!("descendant {descendants}")
                }
            };
            let spelled = format!("{} ({})", blocked.comm.escaped(), blocked.pid);
            names.processes.push((spelled, blocked.pid, role));
        }
        // A diagnosis calls a process by its program, of which the kernel's name may be the beginning alone.
        for member in hang.diagnosis.iter().flat_map(|report| &report.members) {
            let pid = member.actor.task.pid.0;
            if let Some(role) = names.role(pid).map(str::to_owned) {
                let spelled = format!("{} ({pid})", member.actor.name.escaped());
                names.processes.push((spelled, pid, role));
            }
        }
        names
    }

    /// What somebody is called.
    pub(crate) fn actor(&self, actor: &Actor) -> String {
        let role = self.role(actor.task.pid.0);
        let name = role.map_or_else(|| actor.name.escaped(), str::to_owned);
        match &actor.thread {
            Some(thread) => format!("{name}, thread {}", thread.escaped()),
            None => name,
        }
    }

    /// A blocked task in a sentence, as Markdown.
    pub(crate) fn sentence(&mut self, blocked: &Blocked) -> String {
        let role = self.role(blocked.pid).unwrap_or("a process");
        let mut sentence = format!(
            "{} ({}): {}",
            capital(role),
            blocked.comm.markdown(),
            text(&blocked.call)
        );
        if let Some(descriptor) = blocked.descriptor {
            let _ = write!(sentence, " on descriptor {descriptor}");
        }
        if let Some(object) = &blocked.object {
            let _ = write!(sentence, ", {}", escaped(&self.in_text(object)));
        }
        if !blocked.holders.is_empty() {
            let holders: Vec<String> = blocked
                .holders
                .iter()
                .map(|holder| escaped(&self.in_text(holder)))
                .collect();
            let _ = write!(
                sentence,
                "; the other end is held by {}",
                holders.join(" and ")
            );
        }
        sentence + "."
    }

    /// Text with names in the place of numbers; it is not Markdown yet.
    pub(crate) fn in_text(&mut self, text: &str) -> String {
        let mut named = text.to_owned();
        for (spelled, _, role) in &self.processes {
            named = named.replace(spelled, role);
        }
        let words: Vec<String> = named.split(' ').map(|word| self.word(word)).collect();
        words.join(" ")
    }

    /// `pipe:[4711]` is pipe A, a path its last part unless it is a device's, and the number of a process without a role goes away.
    fn word(&mut self, word: &str) -> String {
        let end = word.trim_end_matches([',', ';', '.', ':']).len();
        let (word, punctuation) = word.split_at(end);
        if let Some((kind, rest)) = word.split_once(":[")
            && rest.strip_suffix(']').is_some_and(is_number)
        {
            return format!("{kind} {}{punctuation}", self.letter(word));
        }
        if word.starts_with('/') && !word.starts_with("/dev/") && word.matches('/').count() > 1 {
            let last = word.rsplit('/').next().unwrap_or(word);
            return format!("{last}{punctuation}");
        }
        let in_brackets = word
            .strip_prefix('(')
            .and_then(|word| word.strip_suffix(')'));
        if in_brackets.is_some_and(is_number) {
            return format!("(another task){punctuation}");
        }
        format!("{word}{punctuation}")
    }

    fn letter(&mut self, object: &str) -> char {
        let known = self.objects.iter().position(|known| known == object);
        let place = known.unwrap_or_else(|| {
            self.objects.push(object.to_owned());
            self.objects.len() - 1
        });
        u8::try_from(place)
            .ok()
            .filter(|place| *place < 26)
            .map_or('?', |place| char::from(b'A' + place))
    }

    fn role(&self, pid: u32) -> Option<&str> {
        self.processes
            .iter()
            .find(|(_, known, _)| *known == pid)
            .map(|(_, _, role)| role.as_str())
    }
}

fn is_number(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

fn capital(text: &str) -> String {
    let mut letters = text.chars();
    match letters.next() {
        Some(first) => first.to_uppercase().chain(letters).collect(),
        None => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use pipeclog_scenario::outcome::EndedBy;
    use pipeclog_waitgraph::snapshot::Untrusted;

    use super::*;

    fn hang() -> Hang {
        let blocked = |pid, role| Blocked {
            pid,
            comm: Untrusted::from("sh"),
            role,
            call: "write".to_owned(),
            descriptor: Some(1),
            object: Some("pipe:[77]".to_owned()),
            holders: vec!["sh (12)".to_owned(), "cat (99)".to_owned()],
        };
        Hang {
            ended_by: EndedBy::Proof,
            after_ms: 20,
            blocked: vec![blocked(12, Role::Parent), blocked(123, Role::Child)],
            diagnosis: None,
        }
    }

    #[test]
    fn numbers_of_processes_and_pipes_become_names() {
        let mut names = Names::of(&hang());
        assert_eq!(
            names.in_text(
                "sh (123) waits for pipe:[77], and sh (12) for pipe:[78]; cat (99) sleeps"
            ),
            "the child waits for pipe A, and the parent for pipe B; cat (another task) sleeps"
        );
        assert_eq!(names.in_text("FIFO /tmp/x-1/answers."), "FIFO answers.");
    }

    #[test]
    fn a_sentence_tells_the_call_the_pipe_and_its_holders() {
        let hang = hang();
        let mut names = Names::of(&hang);
        let sentence = names.sentence(hang.blocked.first().unwrap());
        assert_eq!(
            sentence,
            "The parent (sh): write on descriptor 1, pipe A; the other end is held by the parent and cat (another task)."
        );
    }
}
