//! Processes that wait for each other, as a wait-for graph has them: who holds which end, and what each thread sleeps in.
//!
//! The other operations say what a program does, and a hang comes of it, or not. This one says the hang itself: it is how a graph that
//! was seen elsewhere is acted out.

use std::collections::BTreeSet;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::Size;

/// The channels, and the processes on them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Knot {
    /// The channels; an [`End`] names one by its index.
    #[serde(default)]
    pub channels: Vec<Medium>,
    /// The processes, parents before their children; the first is the one that runs the script.
    pub processes: Vec<Part>,
}

/// A channel.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum Medium {
    /// An anonymous pipe.
    Pipe {
        /// Its capacity, by `F_SETPIPE_SZ`; what the kernel gives if left out.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        capacity: Option<Size>,
    },
    /// A named pipe.
    Fifo {
        /// Its path; the FIFO must exist.
        path: PathBuf,
    },
    /// A connected pair of unix stream sockets.
    Socket {},
    /// A pseudo-terminal, in raw mode.
    Pty {},
}

/// One end of a channel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct End {
    /// The index of the channel.
    pub channel: usize,
    /// Which of its ends.
    pub side: Side,
}

/// The two ends of a channel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Side {
    /// The reading end of a pipe or a FIFO, the master of a terminal, one socket of a pair.
    Reads,
    /// The writing end, the slave, the other socket.
    Writes,
}

/// A process.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Part {
    /// What it is called (`comm`), where that matters: 1 to 15 printable ASCII characters. The program's own name if left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// The index of the process that starts it; none of the first, and one before its own of the others.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parent: Option<usize>,
    /// The ends that it holds, each once.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub holds: Vec<End>,
    /// What each of its threads sleeps in.
    pub threads: Vec<Sleep>,
}

/// A call of the kernel that a thread sleeps in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "call", rename_all = "snake_case", deny_unknown_fields)]
pub enum Sleep {
    /// read(2) of an end.
    Read {
        /// The end.
        end: End,
    },
    /// write(2) to an end, until it is full and beyond.
    Write {
        /// The end.
        end: End,
    },
    /// poll(2).
    Poll {
        /// The set.
        set: Watched,
    },
    /// epoll_wait(2).
    Epoll {
        /// The set.
        set: Watched,
    },
    /// waitid(2).
    Wait {
        /// The index of the child; any child if left out.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        child: Option<usize>,
    },
    /// sigwait(3) for SIGCHLD.
    ChildSignal {},
    /// open(2) of a FIFO that nobody has open in the other direction.
    Open {
        /// The FIFO, and whether it is opened to read or to write.
        end: End,
    },
    /// futex(2), which nobody wakes.
    Park {},
    /// accept(2): the world outside.
    Accept {},
    /// nanosleep(2), again and again.
    Nap {},
    /// Stopped by SIGSTOP.
    Stop {},
}

/// What a poll or epoll set watches.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Watched {
    /// For data, or of a writing end for the hang-up alone.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub data: Vec<End>,
    /// For room; they are filled first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub room: Vec<End>,
    /// For the exit of children (pidfds), by their indices.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub exits: Vec<usize>,
}

/// So many processes and channels at most: their descriptors go over one socket in one message (SCM_MAX_FD is 253).
const MOST: usize = 64;
/// TASK_COMM_LEN without the NUL.
const NAME_MAX: usize = 15;

impl Knot {
    /// The ends that a process and all that it starts hold: what it must be given.
    #[must_use]
    pub fn ends_below(&self, index: usize) -> BTreeSet<End> {
        let below = (0..self.processes.len()).filter(|at| self.is_below(*at, index));
        below
            .filter_map(|at| self.processes.get(at))
            .flat_map(|part| part.holds.iter().copied())
            .collect()
    }

    /// The processes that one starts.
    pub fn children(&self, index: usize) -> impl Iterator<Item = usize> {
        let parts = self.processes.iter().enumerate();
        parts
            .filter(move |(_, part)| part.parent == Some(index))
            .map(|(at, _)| at)
    }

    fn is_below(&self, index: usize, above: usize) -> bool {
        let parent = |at: &usize| self.processes.get(*at).and_then(|part| part.parent);
        std::iter::successors(Some(index), parent)
            .take(self.processes.len() + 1)
            .any(|at| at == above)
    }

    /// What is wrong with it, and what to write instead.
    pub(super) fn fault(&self) -> Option<(String, &'static str)> {
        if self.processes.is_empty() || self.processes.len() > MOST || self.channels.len() > MOST {
            return Some((
                format!(
                    "{} processes on {} channels",
                    self.processes.len(),
                    self.channels.len()
                ),
                "write 1 to 64 processes, and 64 channels at most",
            ));
        }
        (0..self.processes.len()).find_map(|index| {
            let (what, instead) = self.fault_of(index)?;
            Some((format!("process {index}: {what}"), instead))
        })
    }

    fn fault_of(&self, index: usize) -> Option<(String, &'static str)> {
        let part = self.processes.get(index)?;
        let is_rooted = match part.parent {
            None => index == 0,
            Some(parent) => parent < index,
        };
        if !is_rooted {
            return Some((
                "its parent does not stand before it".into(),
                "leave it out of the first, and name an earlier one for each other",
            ));
        }
        let printable = |name: &String| {
            (1..=NAME_MAX).contains(&name.len()) && name.bytes().all(|b| b.is_ascii_graphic())
        };
        if !part.name.iter().all(printable) {
            return Some((
                "its name".into(),
                "write 1 to 15 printable ASCII characters",
            ));
        }
        if part.threads.is_empty() {
            return Some((
                "no thread".into(),
                "say what it sleeps in, {\"call\": \"park\"} at least",
            ));
        }
        let unheld = |end: &End| !part.holds.contains(end);
        if part
            .threads
            .iter()
            .flat_map(Sleep::ends)
            .any(|end| unheld(&end))
        {
            return Some((
                "it waits at an end that it does not hold".into(),
                "list the end under \"holds\"",
            ));
        }
        let mut children = part.threads.iter().flat_map(Sleep::children);
        if children.any(|child| self.processes.get(child).and_then(|c| c.parent) != Some(index)) {
            return Some((
                "it waits for what is no child of it".into(),
                "name a process whose \"parent\" it is",
            ));
        }
        let opened = part.threads.iter().filter_map(|thread| match thread {
            Sleep::Open { end } => Some(end),
            _ => None,
        });
        let mut named = part.holds.iter().chain(opened.clone());
        if named.any(|end| end.channel >= self.channels.len()) {
            return Some(("an end of no channel".into(), "count channels from 0"));
        }
        let is_fifo =
            |end: &End| matches!(self.channels.get(end.channel), Some(Medium::Fifo { .. }));
        let mut opened = opened;
        (!opened.all(is_fifo)).then(|| ("it opens what is no FIFO".into(), "open a FIFO"))
    }
}

impl Sleep {
    /// The ends that it waits at, and holds.
    fn ends(&self) -> Vec<End> {
        match self {
            Self::Read { end } | Self::Write { end } => vec![*end],
            Self::Poll { set } | Self::Epoll { set } => {
                set.data.iter().chain(&set.room).copied().collect()
            }
            Self::Wait { .. }
            | Self::ChildSignal {}
            | Self::Open { .. }
            | Self::Park {}
            | Self::Accept {}
            | Self::Nap {}
            | Self::Stop {} => Vec::new(),
        }
    }

    /// The children that it names.
    fn children(&self) -> Vec<usize> {
        match self {
            Self::Wait { child } => child.iter().copied().collect(),
            Self::Poll { set } | Self::Epoll { set } => set.exits.clone(),
            Self::Read { .. }
            | Self::Write { .. }
            | Self::ChildSignal {}
            | Self::Open { .. }
            | Self::Park {}
            | Self::Accept {}
            | Self::Nap {}
            | Self::Stop {} => Vec::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::script::Script;

    #[test]
    fn a_knot_that_cannot_be_tied_is_refused_with_what_to_write() {
        let refused = |processes: &str, told: &str| {
            let text = format!(
                r#"{{"ops": [{{"op": "knot", "channels": [{{"kind": "pipe"}}], "processes": {processes}}}]}}"#
            );
            let error = Script::from_json(&text).unwrap_err().to_string();
            assert!(error.contains(told), "{processes}: {error}");
        };
        let read = r#"{"call": "read", "end": {"channel": 0, "side": "reads"}}"#;
        refused("[]", "write 1 to 64 processes");
        refused(r#"[{"threads": []}]"#, "say what it sleeps in");
        refused(&format!(r#"[{{"threads": [{read}]}}]"#), "does not hold");
        refused(
            r#"[{"threads": [{"call": "wait", "child": 0}]}]"#,
            "no child of it",
        );
        refused(
            r#"[{"parent": 0, "threads": [{"call": "park"}]}]"#,
            "its parent",
        );
        refused(
            r#"[{"threads": [{"call": "park"}], "name": "a b"}]"#,
            "its name",
        );
        refused(
            r#"[{"threads": [{"call": "open", "end": {"channel": 0, "side": "reads"}}]}]"#,
            "no FIFO",
        );
        refused(
            r#"[{"threads": [{"call": "park"}], "holds": [{"channel": 1, "side": "reads"}]}]"#,
            "no channel",
        );
    }

    #[test]
    fn a_process_is_given_what_those_below_it_hold() {
        let script = Script::from_json(
            r#"{"ops": [{"op": "knot", "channels": [{"kind": "pipe"}], "processes": [
                {"threads": [{"call": "wait"}]},
                {"parent": 0, "threads": [{"call": "wait"}]},
                {"parent": 1, "threads": [{"call": "write", "end": {"channel": 0, "side": "writes"}}],
                 "holds": [{"channel": 0, "side": "writes"}]}]}]}"#,
        )
        .unwrap();
        let [super::super::Op::Knot(knot)] = script.ops.as_slice() else {
            panic!("one operation");
        };
        assert_eq!(knot.ends_below(0).len(), 1);
        assert_eq!(knot.ends_below(1).len(), 1);
        assert_eq!(knot.children(1).collect::<Vec<_>>(), [2]);
    }
}
