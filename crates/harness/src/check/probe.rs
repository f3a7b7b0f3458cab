//! What a child says of the state in which it was started: descriptors, flags, signals.

use std::collections::BTreeSet;

use pipeclog_scenario::check::Question;

/// The child: a shell, since it takes over signals and descriptors as it gets them, where Rust's start-up code would change both.
/// It ends with code 7 and writes to a file, so that nothing depends on the wrapper's capture.
pub(crate) const TEXT: &str = r#"( echo "Pid: $$"; cat "/proc/$$/status"
for at in /proc/$$/fd/*; do
  n=${at##*/}
  echo "fd $n $(sed -n 's/^flags:[[:space:]]*//p' "/proc/$$/fdinfo/$n") $(readlink "$at")"
done ) >"$0" 2>/dev/null; exit 7"#;

/// The code that the child ends with.
pub(crate) const CODE: i32 = 7;

/// O_NONBLOCK of fcntl.h, the same on every architecture that this runs on.
const NONBLOCK: u64 = 0o4000;
/// SIGPIPE's bit in the masks of `/proc/PID/status`.
const SIGPIPE: u64 = 1 << (13 - 1);

/// What the child said.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Started {
    /// Its number.
    pub(crate) pid: i32,
    ignored: u64,
    blocked: u64,
    open: Vec<Open>,
}

#[derive(Debug, PartialEq, Eq)]
struct Open {
    number: u32,
    flags: u64,
    what: String,
}

/// What the descriptors of this process are. A child of ours may have got them from whoever started us.
pub(crate) fn own_descriptors() -> BTreeSet<String> {
    let Ok(entries) = std::fs::read_dir("/proc/self/fd") else {
        return BTreeSet::new();
    };
    entries
        .filter_map(|entry| std::fs::read_link(entry.ok()?.path()).ok())
        .map(|link| link.to_string_lossy().into_owned())
        .collect()
}

/// Reads what the child wrote; nothing if it did not come to the end of it.
pub(crate) fn parse(text: &str) -> Option<Started> {
    let mut started = Started::default();
    for line in text.lines() {
        let mut words = line.split_whitespace();
        let (Some(key), Some(value)) = (words.next(), words.next()) else {
            continue;
        };
        match key {
            "Pid:" => started.pid = value.parse().ok()?,
            "SigIgn:" => started.ignored = u64::from_str_radix(value, 16).ok()?,
            "SigBlk:" => started.blocked = u64::from_str_radix(value, 16).ok()?,
            "fd" => started.open.push(Open {
                number: value.parse().ok()?,
                flags: u64::from_str_radix(words.next()?, 8).ok()?,
                what: words.collect::<Vec<_>>().join(" "),
            }),
            _ => {}
        }
    }
    (started.pid > 0).then_some(started)
}

impl Started {
    /// What is wrong with the thing that was asked for; nothing if it is as it should be. `inherited` is what the wrapper may have
    /// got itself.
    pub(crate) fn fault(&self, question: Question, inherited: &BTreeSet<String>) -> Option<String> {
        let list = |faults: Vec<String>, what: &str| {
            (!faults.is_empty())
                .then(|| format!("the child was started with {what}{}", faults.join(", ")))
        };
        let standard = || self.open.iter().filter(|open| open.number <= 2);
        match question {
            Question::Descriptors => {
                let more = self
                    .open
                    .iter()
                    .filter(|open| open.number > 2 && !inherited.contains(&open.what));
                let names = more.map(|open| format!("{} ({})", open.number, open.what));
                list(
                    names.collect(),
                    "descriptors that are none of its business: ",
                )
            }
            Question::Stdio => {
                let missing =
                    (0..=2).filter(|number| !standard().any(|open| open.number == *number));
                list(
                    missing.map(|number| number.to_string()).collect(),
                    "a closed descriptor: ",
                )
            }
            Question::Blocking => {
                let loose = standard().filter(|open| open.flags & NONBLOCK != 0);
                let names = loose.map(|open| format!("{} ({})", open.number, open.what));
                list(names.collect(), "O_NONBLOCK set on ")
            }
            Question::Sigpipe => (self.ignored & SIGPIPE != 0).then(|| {
                "the child was started with SIGPIPE ignored: `yes | head` never ends".to_owned()
            }),
            Question::SignalMask => (self.blocked != 0).then(|| {
                format!(
                    "the child was started with signals blocked: mask {:016x}",
                    self.blocked
                )
            }),
            // Told by who reaps it.
            Question::Reaped => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SAID: &str = "Pid: 812\nName:\tsh\nPid:\t812\nSigBlk:\t0000000000010000\nSigIgn:\t0000000000001000\n\
                        fd 1 0104001 pipe:[11]\nfd 2 01 pipe:[12]\nfd 5 00 pipe:[13]\nfd 9 00 /dev/null\n";

    #[test]
    fn each_question_has_its_fault() {
        let started = parse(SAID).unwrap();
        let inherited = BTreeSet::from(["/dev/null".to_owned()]);
        let fault = |question| started.fault(question, &inherited).unwrap();
        assert!(fault(Question::Descriptors).ends_with(": 5 (pipe:[13])"));
        assert!(fault(Question::Stdio).ends_with(": 0"));
        assert!(fault(Question::Blocking).ends_with("on 1 (pipe:[11])"));
        assert!(fault(Question::Sigpipe).contains("SIGPIPE"));
        assert!(fault(Question::SignalMask).contains("0000000000010000"));
    }

    #[test]
    fn a_child_that_said_nothing_is_no_good_child() {
        assert_eq!(parse(""), None);
    }
}
