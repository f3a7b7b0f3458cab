//! The write operation: how much, in what pieces, in which order.

use serde::{Deserialize, Serialize};

use super::rng::Rng;
use super::{Fill, Size, Stream};

/// Writes bytes to standard output and standard error.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Write {
    /// Bytes to standard output; 0 if left out.
    #[serde(default = "nothing", skip_serializing_if = "is_nothing")]
    pub stdout: Size,
    /// Bytes to standard error; 0 if left out.
    #[serde(default = "nothing", skip_serializing_if = "is_nothing")]
    pub stderr: Size,
    /// How long each single write is, the last one of a stream apart; 64 KiB if left out.
    #[serde(
        default = "WriteSize::left_out",
        skip_serializing_if = "WriteSize::is_left_out"
    )]
    pub write_size: WriteSize,
    /// Which stream has its turn; `stdout_first` if left out.
    #[serde(
        default = "Order::left_out",
        skip_serializing_if = "Order::is_left_out"
    )]
    pub order: Order,
    /// What the bytes are; `pattern` if left out.
    #[serde(default = "pattern", skip_serializing_if = "is_pattern")]
    pub fill: Fill,
    /// Microseconds of sleep after each write; 0 if left out.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub delay_us: u64,
}

impl Write {
    /// `stdout` and `stderr` bytes of pattern, standard output first, 64 KiB a write.
    #[must_use]
    pub fn new(stdout: u64, stderr: u64) -> Self {
        Self {
            stdout: Size(stdout),
            stderr: Size(stderr),
            write_size: WriteSize::left_out(),
            order: Order::StdoutFirst,
            fill: Fill::Pattern,
            delay_us: 0,
        }
    }
}

/// How many bytes each write has.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(
    untagged,
    expecting = "a write size is a size, a list of sizes or {\"min\", \"max\", \"seed\"}"
)]
pub enum WriteSize {
    /// The same for each.
    Fixed(Size),
    /// These in turn, from the first again after the last, counted over both streams.
    Cycle(Vec<Size>),
    /// Evenly spread between two bounds.
    Random(RandomSize),
}

/// Sizes between two bounds, both included, from a seed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RandomSize {
    /// The smallest.
    pub min: Size,
    /// The largest.
    pub max: Size,
    /// The seed: the same one gives the same sizes.
    pub seed: u64,
}

impl WriteSize {
    fn left_out() -> Self {
        Self::Fixed(Size(64 << 10))
    }

    fn is_left_out(&self) -> bool {
        *self == Self::left_out()
    }
}

/// Which stream has its turn, a write at a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Order {
    /// All of standard output, then all of standard error.
    StdoutFirst,
    /// All of standard error, then all of standard output.
    StderrFirst,
    /// One write each in turn, standard output first, until both are done.
    Alternate,
    /// At random from this seed, each stream as often as it has bytes left.
    Interleave(u64),
}

impl Order {
    fn left_out() -> Self {
        Self::StdoutFirst
    }

    fn is_left_out(&self) -> bool {
        *self == Self::StdoutFirst
    }
}

fn nothing() -> Size {
    Size(0)
}

fn is_nothing(size: &Size) -> bool {
    size.0 == 0
}

fn is_zero(value: &u64) -> bool {
    *value == 0
}

fn pattern() -> Fill {
    Fill::Pattern
}

fn is_pattern(fill: &Fill) -> bool {
    *fill == Fill::Pattern
}

/// The writes of a [`Write`] as the program makes them, before any buffering: stream and bytes.
#[derive(Debug, Clone)]
pub(super) struct Turns<'a> {
    write: &'a Write,
    stdout_left: u64,
    stderr_left: u64,
    last: Option<Stream>,
    made: usize,
    sizes: Rng,
    turns: Rng,
}

impl<'a> Turns<'a> {
    pub(super) fn new(write: &'a Write) -> Self {
        let seed = |seed: Option<u64>| Rng::new(seed.unwrap_or(0));
        let sizes = match &write.write_size {
            WriteSize::Random(random) => Some(random.seed),
            WriteSize::Fixed(_) | WriteSize::Cycle(_) => None,
        };
        let turns = match write.order {
            Order::Interleave(seed) => Some(seed),
            Order::StdoutFirst | Order::StderrFirst | Order::Alternate => None,
        };
        Self {
            write,
            stdout_left: write.stdout.0,
            stderr_left: write.stderr.0,
            last: None,
            made: 0,
            sizes: seed(sizes),
            turns: seed(turns),
        }
    }

    pub(super) fn write(&self) -> &'a Write {
        self.write
    }

    /// Takes the writes that follow the last one and are equal to it, as far as that is known without making them one by one: where all have
    /// one size and one stream has its turn until it is done.
    pub(super) fn take_equal(&mut self) -> Option<Equal> {
        let stream = self.last?;
        let WriteSize::Fixed(Size(bytes @ 1..)) = self.write.write_size else {
            return None;
        };
        let (left, other) = match stream {
            Stream::Stdout => (&mut self.stdout_left, self.stderr_left),
            Stream::Stderr => (&mut self.stderr_left, self.stdout_left),
        };
        let in_turns = match self.write.order {
            Order::StdoutFirst | Order::StderrFirst => false,
            Order::Alternate | Order::Interleave(_) => other > 0,
        };
        if in_turns || self.write.delay_us > 0 {
            return None;
        }
        let times = *left / bytes;
        *left -= times * bytes;
        Some(Equal {
            stream,
            bytes,
            times,
        })
    }

    fn turn(&mut self) -> Option<Stream> {
        let (stdout, stderr) = (self.stdout_left, self.stderr_left);
        match (stdout, stderr) {
            (0, 0) => return None,
            (_, 0) => return Some(Stream::Stdout),
            (0, _) => return Some(Stream::Stderr),
            _ => {}
        }
        let stdout_next = match self.write.order {
            Order::StdoutFirst => true,
            Order::StderrFirst => false,
            Order::Alternate => self.last != Some(Stream::Stdout),
            Order::Interleave(_) => self.turns.below(stdout + stderr) < stdout,
        };
        Some(if stdout_next {
            Stream::Stdout
        } else {
            Stream::Stderr
        })
    }

    fn size(&mut self) -> u64 {
        let size = match &self.write.write_size {
            WriteSize::Fixed(size) => size.0,
            WriteSize::Cycle(sizes) => match sizes.get(self.made % sizes.len().max(1)) {
                Some(size) => size.0,
                None => 1,
            },
            WriteSize::Random(RandomSize { min, max, .. }) => {
                min.0 + self.sizes.below(max.0.saturating_sub(min.0) + 1)
            }
        };
        self.made += 1;
        // The check of a script refuses writes of nothing; here they would never end.
        size.max(1)
    }
}

/// So many equal writes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Equal {
    pub(super) stream: Stream,
    /// Bytes of each.
    pub(super) bytes: u64,
    pub(super) times: u64,
}

impl Iterator for Turns<'_> {
    type Item = (Stream, u64);

    fn next(&mut self) -> Option<(Stream, u64)> {
        let stream = self.turn()?;
        let size = self.size();
        let left = match stream {
            Stream::Stdout => &mut self.stdout_left,
            Stream::Stderr => &mut self.stderr_left,
        };
        let len = size.min(*left);
        *left -= len;
        self.last = Some(stream);
        Some((stream, len))
    }
}
