//! What must come of a script when nobody disturbs it.

use super::{Descriptor, Ending, Op, Script, Step, Stream};
use crate::pattern::{self, Tag};

/// What a parent gives to the leader's standard input.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Input<'a> {
    /// So many bytes of the pattern of [`Tag::STDIN`]; 0 for an end of file at once.
    Pattern(u64),
    /// These bytes.
    Bytes(&'a [u8]),
}

impl Input<'_> {
    /// How many bytes.
    #[must_use]
    pub fn len(&self) -> u64 {
        match self {
            Self::Pattern(len) => *len,
            Self::Bytes(bytes) => bytes.len() as u64,
        }
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Fills `out` with the bytes from `offset` on; what lies past the end is left as it was.
    pub fn render(&self, offset: u64, out: &mut [u8]) {
        let left = self.len().saturating_sub(offset);
        let len = usize::try_from(left).unwrap_or(usize::MAX).min(out.len());
        let (out, _) = out.split_at_mut(len);
        match self {
            Self::Pattern(_) => pattern::render(Tag::STDIN, offset, out),
            Self::Bytes(bytes) => {
                let start = usize::try_from(offset).unwrap_or(usize::MAX);
                if let Some(bytes) = bytes.get(start..).and_then(|bytes| bytes.get(..len)) {
                    out.copy_from_slice(bytes);
                }
            }
        }
    }
}

/// What comes of a script if its output is read, its input comes and ends, and no signal strikes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Expected {
    /// Bytes that the leader writes to standard output, echoed ones included.
    pub stdout: u64,
    /// Bytes that the leader writes to standard error.
    pub stderr: u64,
    /// Bytes of input that the leader reads.
    pub stdin: u64,
    /// How it ends; nothing if it never does by itself. Then the counts are those of all that comes before an
    /// endless repetition, or before the operation that waits for ever.
    pub ending: Option<Ending>,
    /// Bytes that background descendants write to the standard output that they keep.
    pub background_stdout: u64,
    /// The same for standard error.
    pub background_stderr: u64,
}

impl Script {
    /// What must come of this script for this input. Costs as many steps as the script has, some nanoseconds each.
    #[must_use]
    pub fn expected(&self, input: Input<'_>) -> Expected {
        let mut tally = Tally::of(self, input.len());
        let mut expected = Expected {
            stdout: tally.stdout,
            stderr: tally.stderr,
            stdin: tally.stdin,
            ending: tally.ending,
            background_stdout: 0,
            background_stderr: 0,
        };
        for background in self.backgrounds() {
            tally = Tally::of(&background.script, 0);
            if background.keep.contains(&Descriptor::Stdout) {
                expected.background_stdout += tally.stdout;
            }
            if background.keep.contains(&Descriptor::Stderr) {
                expected.background_stderr += tally.stderr;
            }
        }
        expected
    }

    /// The same script with descendants that do nothing.
    #[must_use]
    pub fn without_descendants(&self) -> Self {
        Self {
            ops: silenced(&self.ops),
            ..self.clone()
        }
    }

    /// How many descendants the script starts, those of its descendants included.
    #[must_use]
    pub fn descendants(&self) -> u8 {
        u8::try_from(self.backgrounds().len()).unwrap_or(u8::MAX)
    }

    /// Every descendant in the order of its writer's number, the first of which is 1.
    #[must_use]
    pub fn backgrounds(&self) -> Vec<&super::Background> {
        let mut found = Vec::new();
        collect(&self.ops, &mut found);
        found
    }
}

fn collect<'a>(ops: &'a [Op], found: &mut Vec<&'a super::Background>) {
    for op in Op::all(ops) {
        if let Op::Background(background) = op {
            found.push(background);
            collect(&background.script.ops, found);
        }
    }
}

fn silenced(ops: &[Op]) -> Vec<Op> {
    let silence = |op: &Op| match op.clone() {
        Op::Background(mut background) => {
            background.script.ops.clear();
            Op::Background(background)
        }
        Op::Thread { ops } => Op::Thread {
            ops: silenced(&ops),
        },
        Op::Repeat { times, ops } => Op::Repeat {
            times,
            ops: silenced(&ops),
        },
        other => {
            debug_assert!(other.inner().is_empty(), "{other:?}");
            other
        }
    };
    ops.iter().map(silence).collect()
}

struct Tally {
    stdout: u64,
    stderr: u64,
    stdin: u64,
    ending: Option<Ending>,
}

impl Tally {
    fn of(script: &Script, stdin_len: u64) -> Self {
        let mut tally = Self {
            stdout: 0,
            stderr: 0,
            stdin: 0,
            ending: None,
        };
        let mut open = Open {
            stdin: true,
            stdout: true,
            stderr: true,
        };
        for step in script.steps() {
            let unread = if open.stdin {
                stdin_len - tally.stdin
            } else {
                0
            };
            match step {
                Step::Write(chunk) => match chunk.stream {
                    Stream::Stdout if open.stdout => tally.stdout += chunk.len as u64,
                    Stream::Stderr if open.stderr => tally.stderr += chunk.len as u64,
                    Stream::Stdout | Stream::Stderr => {}
                },
                Step::Read { limit, .. } => tally.stdin += limit.unwrap_or(unread).min(unread),
                Step::Echo { .. } => {
                    tally.stdin += unread;
                    if open.stdout {
                        tally.stdout += unread;
                    }
                }
                Step::Close(descriptor) => open.close(descriptor),
                Step::Park | Step::Endless | Step::Accept | Step::Knot(_) => break,
                Step::End(ending) => tally.ending = Some(ending),
                Step::AwaitHangup
                | Step::Sleep { .. }
                | Step::Compute { .. }
                | Step::Nonblock(_)
                | Step::Capacity { .. }
                | Step::Packet(_)
                | Step::Background { .. }
                | Step::Wait
                | Step::Thread
                | Step::Join
                | Step::Fifo { .. }
                | Step::Stop => {}
            }
        }
        tally
    }
}

struct Open {
    stdin: bool,
    stdout: bool,
    stderr: bool,
}

impl Open {
    fn close(&mut self, descriptor: Descriptor) {
        match descriptor {
            Descriptor::Stdin => self.stdin = false,
            Descriptor::Stdout => self.stdout = false,
            Descriptor::Stderr => self.stderr = false,
        }
    }
}
