//! The byte at which a wrapper begins to hang, and the transport that it tells of.

use std::fmt;

use pipeclog_waitgraph::channel::Channel;
use pipeclog_waitgraph::report::ReportMember;
use serde::{Deserialize, Serialize};

use crate::boundary::Found;
use crate::script::Stream;

/// The edge for one stream and one length of writes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Edge {
    /// The stream that the child writes to.
    pub stream: Stream,
    /// The length of its writes in bytes.
    pub write_size: u64,
    /// What was found.
    pub found: Found,
}

/// What a transport takes, unread, of writes of 4,096 bytes and of single bytes, at least and at most.
struct Transport {
    name: &'static str,
    of_4096: (u64, u64),
    of_1: (u64, u64),
}

/// Measured on a kernel 6.18 (pipes: pipe(7); sockets: unix(7) with the usual 212,992 bytes of buffer; terminals: the flip buffers
/// of a pty). What a terminal takes depends on when the kernel's worker runs, so it is a range.
const TRANSPORTS: &[Transport] = &[
    pipe(
        "a pipe of one page, which is what is left to a user over pipe-user-pages-soft before Linux 5.14",
        4096,
    ),
    pipe(
        "a pipe of two pages, which is what is left to a user over pipe-user-pages-soft",
        8192,
    ),
    pipe("a pipe of the usual size", 65_536),
    pipe("a pipe that was grown to 128 KiB", 131_072),
    pipe("a pipe that was grown to 256 KiB", 262_144),
    pipe("a pipe that was grown to 512 KiB", 524_288),
    pipe(
        "a pipe that was grown to the most that is allowed without privilege",
        1_048_576,
    ),
    Transport {
        name: "a unix socket pair, where each write costs hundreds of bytes of bookkeeping",
        of_4096: (176_128, 196_608),
        of_1: (250, 300),
    },
    Transport {
        name: "a terminal (pty) whose master nobody reads",
        of_4096: (11_000, 21_000),
        of_1: (17_000, 21_000),
    },
    Transport {
        name: "a pipe in packet mode, where each write takes a slot",
        of_4096: (65_536, 65_536),
        of_1: (16, 16),
    },
];

const fn pipe(name: &'static str, capacity: u64) -> Transport {
    Transport {
        name,
        of_4096: (capacity, capacity),
        of_1: (capacity, capacity),
    }
}

/// What lies between the child and a wrapper that takes so many bytes of one stream in writes of 4,096 bytes, and of single
/// bytes where that was tried; nothing if no transport is known to take so much.
#[must_use]
pub fn transport(of_4096: u64, of_1: Option<u64>) -> Option<&'static str> {
    let within = |range: (u64, u64), bytes: u64| (range.0..=range.1).contains(&bytes);
    TRANSPORTS
        .iter()
        .find(|known| {
            within(known.of_4096, of_4096) && of_1.is_none_or(|bytes| within(known.of_1, bytes))
        })
        .map(|known| known.name)
}

/// What edges of one stream say together: a line for each, and one for the transport.
#[must_use]
pub fn lines(edges: &[Edge]) -> Vec<String> {
    let mut lines: Vec<String> = edges.iter().map(Edge::to_string).collect();
    let at = |size: u64| {
        let edge = edges.iter().find(|edge| edge.write_size == size)?;
        match edge.found {
            Found::At { completes, .. } => Some(completes),
            Found::Always { .. } | Found::Never { .. } | Found::Unclear { .. } => None,
        }
    };
    let by_sizes = at(4096).and_then(|bytes| transport(bytes, at(1)));
    match (by_sizes, edges.iter().find_map(Edge::channel)) {
        (Some(name), _) => lines.push(format!("  between them: {name}")),
        (None, Some(kind)) => lines.push(format!(
            "  between them: {kind}, by what the writer waits for; what it takes is not the usual, as where it was made smaller or larger, or \
             where the reader takes some bytes and then no more"
        )),
        (None, None) => {}
    }
    lines
}

impl Edge {
    /// What the child waited to write to at the first byte that hangs, as the kernel has it.
    fn channel(&self) -> Option<&'static str> {
        let Found::At { hang, .. } = &self.found else {
            return None;
        };
        let members = &hang.diagnosis.as_ref()?.members;
        let writes = |member: &&ReportMember| member.stream.as_deref() == Some(self.name());
        Some(match members.iter().find(writes)?.channel.as_ref()? {
            Channel::Pipe { .. } => "a pipe",
            Channel::Fifo { .. } => "a FIFO",
            Channel::Socket { .. } => "a unix socket pair",
            Channel::Pty { .. } => "a terminal (pty)",
            Channel::Eventfd { .. } => "an eventfd",
        })
    }

    fn name(&self) -> &'static str {
        match self.stream {
            Stream::Stdout => "stdout",
            Stream::Stderr => "stderr",
        }
    }
}

impl fmt::Display for Edge {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}, writes of {} bytes: ", self.name(), self.write_size)?;
        match &self.found {
            Found::At { completes, hang } => {
                write!(f, "{completes} bytes pass, {} hang", completes + 1)?;
                match &hang.diagnosis {
                    Some(report) => write!(f, "; {}", report.headline),
                    None => Ok(()),
                }
            }
            Found::Always { .. } => f.write_str("hangs without a byte"),
            Found::Never { tried } => write!(f, "passes with all {tried} bytes that were tried"),
            Found::Unclear { bytes, why } => {
                write!(
                    f,
                    "no telling, since {bytes} bytes neither pass nor hang: {why}"
                )
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_tell_the_transport() {
        let rows = [
            (65_536, Some(65_536), Some("a pipe of the usual size")),
            (
                65_536,
                Some(16),
                Some("a pipe in packet mode, where each write takes a slot"),
            ),
            (
                180_224,
                Some(278),
                Some("a unix socket pair, where each write costs hundreds of bytes of bookkeeping"),
            ),
            (
                12_288,
                Some(19_457),
                Some("a terminal (pty) whose master nobody reads"),
            ),
            (77_777, None, None),
        ];
        for (of_4096, of_1, name) in rows {
            assert_eq!(transport(of_4096, of_1), name, "{of_4096} and {of_1:?}");
        }
    }
}
