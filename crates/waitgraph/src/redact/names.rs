//! Names of programs and threads: those that everybody has are kept, all others get a number.

use std::collections::BTreeMap;

use crate::classify::{BUFFERED, READ_TO_THE_END};
use crate::fixes::by_name;
use crate::inert::is_runtime_name;
use crate::untrusted::Untrusted;

/// Programs that tell nothing of who runs them; the interpreters and those that classes know are kept besides.
const KNOWN: [&str; 34] = [
    "cargo", "cat", "chatty", "cmake", "curl", "dd", "docker", "ffmpeg", "find", "gcc", "git",
    "gmake", "gzip", "head", "init", "less", "make", "mkfifo", "ninja", "pipeclog", "rsync",
    "rustc", "sleep", "socat", "ssh", "sshd", "sudo", "systemd", "tar", "tee", "timeout", "xargs",
    "xz", "yes",
];

/// The kernel cuts `comm` after so many bytes: a program and its `comm` are to get the same number.
const COMM_BYTES: usize = 15;

/// The names given so far: the same one for the same name in every look.
#[derive(Debug, Default)]
pub(super) struct Names(BTreeMap<Vec<u8>, usize>);

impl Names {
    /// What the program is called from now on.
    pub(super) fn program(&mut self, name: &[u8]) -> Untrusted {
        // Programs that name their main thread so are called by their file.
        if name.ends_with(b"MainThread") {
            return "MainThread".into();
        }
        let name = name.strip_suffix(b" (deleted)").unwrap_or(name);
        if name.is_empty() || is_known(name) {
            return name.into();
        }
        let number = self.number(name);
        match meaning(name) {
            Some(prefix) => Untrusted::new(format!("{prefix}-program-{number}")),
            None => Untrusted::new(format!("program-{number}")),
        }
    }

    /// What the thread is called from now on; `program` is what its process was called.
    pub(super) fn thread(&mut self, name: &[u8], program: &[u8]) -> Untrusted {
        if is_runtime_name(name) {
            // What follows "process reaper" is a number.
            return name.into();
        }
        if name == program || is_known(name) {
            return self.program(name);
        }
        Untrusted::new(format!("thread-{}", self.number(name)))
    }

    fn number(&mut self, name: &[u8]) -> usize {
        let key = name.get(..COMM_BYTES).unwrap_or(name);
        let next = self.0.len() + 1;
        *self.0.entry(key.to_vec()).or_insert(next)
    }
}

/// A name that is one of the list, or an interpreter's with its version.
fn is_known(name: &[u8]) -> bool {
    let is = |known: &&str| known.as_bytes() == name;
    let versioned = |c: &u8| c.is_ascii_digit() || *c == b'.';
    let letters = name.iter().take_while(|c| c.is_ascii_alphabetic()).count();
    let rest = name.get(letters..).unwrap_or_default();
    KNOWN.iter().any(is)
        || BUFFERED.iter().any(is)
        || READ_TO_THE_END.iter().any(is)
        || (by_name(name).is_some() && rest.iter().all(versioned))
}

/// The beginning of a name by which a language or a class is told.
fn meaning(name: &[u8]) -> Option<&str> {
    let name = name.strip_prefix(b"-").unwrap_or(name);
    let letters = name.iter().take_while(|c| c.is_ascii_alphabetic()).count();
    let interpreter = by_name(name).and_then(|_| name.get(..letters));
    let interpreter = interpreter.and_then(|letters| std::str::from_utf8(letters).ok());
    let buffered = || {
        BUFFERED
            .into_iter()
            .find(|b| name.starts_with(b.as_bytes()))
    };
    interpreter.or_else(buffered)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_keeps_what_its_class_and_its_language_are_told_by() {
        let rows: [(&[u8], &str); 9] = [
            (b"python3.11", "python3.11"),
            (b"python3-acme", "python-program-1"),
            (b"acme-billing", "program-1"),
            (b"sed-acme", "sed-program-1"),
            (b"git", "git"),
            (b"git (deleted)", "git"),
            (b"acme MainThread", "MainThread"),
            (b"bash", "bash"),
            (b"-bash", "bash-program-1"),
        ];
        for (name, wanted) in rows {
            assert_eq!(Names::default().program(name), wanted.into(), "{name:?}");
        }
    }

    #[test]
    fn a_program_and_its_cut_name_get_the_same_number_and_others_another() {
        let mut names = Names::default();
        let (whole, cut) = (
            names.program(b"acme-billing-daemon"),
            names.program(b"acme-billing-da"),
        );
        assert_eq!(whole, cut);
        assert_ne!(names.program(b"acme-web"), whole);
        assert_eq!(
            names.thread(b"acme-web", b"acme-web"),
            names.program(b"acme-web")
        );
        assert_eq!(names.thread(b"VM Thread", b"java"), "VM Thread".into());
        assert_eq!(names.thread(b"for jane", b"java"), "thread-3".into());
    }
}
