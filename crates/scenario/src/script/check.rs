//! What a script cannot ask for, said before anything is written.

use serde_json::error::Category;

use super::{
    Background, BrokenPipe, Descriptor, Fill, Op, Script, Signal, Size, StdinOp, Write, WriteSize,
};
use crate::pattern::{RECORD_LEN, WRITERS_MAX};

/// Why a text is no script.
#[derive(Debug, thiserror::Error)]
#[error("{kind}")]
pub struct ScriptError {
    kind: Kind,
}

#[derive(Debug, thiserror::Error)]
enum Kind {
    #[error("failed to read the script: {0}")]
    Json(String),
    #[error("script: {what}; {instead}")]
    Whole { what: String, instead: &'static str },
    #[error("script: operation {path}: {what}; {instead}")]
    Operation {
        path: String,
        what: String,
        instead: &'static str,
    },
}

impl ScriptError {
    pub(super) fn json(error: serde_json::Error) -> Self {
        let text = error.to_string();
        let text = match (error.classify(), text.rsplit_once(" at line ")) {
            (Category::Syntax | Category::Eof, _) => {
                format!("{text}; it is JSON as `chatty --print-script` prints it")
            }
            // serde_json adds where the list of operations ends, which is not where the operation stands.
            (Category::Data, Some((operation, _))) if operation.starts_with("operation ") => {
                operation.to_owned()
            }
            (Category::Data | Category::Io, _) => text,
        };
        Self {
            kind: Kind::Json(text),
        }
    }

    fn operation(path: &str, what: String, instead: &'static str) -> Self {
        Self {
            kind: Kind::Operation {
                path: path.to_owned(),
                what,
                instead,
            },
        }
    }

    fn whole(what: impl Into<String>, instead: &'static str) -> Self {
        Self {
            kind: Kind::Whole {
                what: what.into(),
                instead,
            },
        }
    }
}

/// One write(2) moves at most 0x7ffff000 bytes (write(2)), and the child holds a write in memory.
const WRITE_MAX: u64 = 1 << 30;
const DEPTH_MAX: u8 = 16;

impl Script {
    /// Whether the script can be done.
    ///
    /// # Errors
    ///
    /// Names the first operation that cannot, by its index from 0, and what to write instead.
    pub fn check(&self) -> Result<(), ScriptError> {
        if self.backgrounds().len() >= usize::from(WRITERS_MAX) {
            return Err(ScriptError::whole(
                format!("it starts {} descendants", self.backgrounds().len()),
                "start 35 at most: records have one base-36 digit for the writer",
            ));
        }
        self.check_as(Who::Leader, "")?;
        self.check_writers()
    }

    fn check_as(&self, who: Who, path: &str) -> Result<(), ScriptError> {
        for signal in &self.ignore {
            let instead = match signal {
                Signal::Pipe => "write \"broken_pipe\": \"exit\" or \"go_on\"",
                Signal::Kill => "nothing can ignore it; leave it out",
                Signal::Segv | Signal::Abrt => "ignoring it is undefined; leave it out",
                Signal::Hup
                | Signal::Int
                | Signal::Quit
                | Signal::Alrm
                | Signal::Term
                | Signal::Usr1
                | Signal::Usr2 => continue,
            };
            return Err(ScriptError::whole(
                format!("ignore has {}", signal.name()),
                instead,
            ));
        }
        check_ops(
            self,
            &self.ops,
            Place {
                who,
                repeated: false,
            },
            path,
        )
    }

    /// Records of several writers on one stream can be told apart only if no write cuts one in two.
    fn check_writers(&self) -> Result<(), ScriptError> {
        let backgrounds = self.backgrounds();
        let kept = |background: &&&Background| {
            background.keep.contains(&Descriptor::Stdout)
                || background.keep.contains(&Descriptor::Stderr)
        };
        let writers: Vec<&Script> = std::iter::once(self)
            .chain(
                backgrounds
                    .iter()
                    .filter(kept)
                    .map(|background| &background.script),
            )
            .filter(|script| says_anything(&script.ops))
            .collect();
        if writers.len() > 1 && !writers.iter().all(|script| whole_records(&script.ops)) {
            return Err(ScriptError::whole(
                "the leader and its descendants write to the same streams, and cut records in two",
                "write multiples of 16 bytes of pattern and no prompt or echo in all of them, or keep the stream in one",
            ));
        }
        Ok(())
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Who {
    Leader,
    Descendant,
}

#[derive(Clone, Copy)]
struct Place {
    who: Who,
    repeated: bool,
}

fn check_ops(script: &Script, ops: &[Op], place: Place, path: &str) -> Result<(), ScriptError> {
    for (index, op) in ops.iter().enumerate() {
        let path = if path.is_empty() {
            index.to_string()
        } else {
            format!("{path}.{index}")
        };
        check_op(script, op, place, &path)?;
    }
    Ok(())
}

fn check_op(script: &Script, op: &Op, place: Place, path: &str) -> Result<(), ScriptError> {
    let wrong = |what: String, instead| Err(ScriptError::operation(path, what, instead));
    match op {
        Op::Write(write) => match write_fault(write) {
            Some((what, instead)) => wrong(what, instead),
            None => Ok(()),
        },
        Op::Stdin {
            read_size: Size(0), ..
        } => wrong("read_size is 0".into(), "read 1 byte at least"),
        Op::Stdin { read_size, .. } if read_size.0 > WRITE_MAX => {
            wrong(format!("read_size is {read_size}"), "read 1G at most")
        }
        Op::Stdin {
            action: StdinOp::Echo,
            ..
        } => match (place.who, script.stdout_buffer) {
            (Who::Descendant, _) => wrong(
                "a descendant echoes".into(),
                "let the leader echo: two readers share the input",
            ),
            (Who::Leader, super::Buffering::None) => Ok(()),
            (Who::Leader, _) => wrong(
                "echo to a buffered stdout".into(),
                "repeat a read and a write of known lengths",
            ),
        },
        Op::Background(_) if place.repeated => wrong(
            "a descendant within a repetition".into(),
            "name each one: its records carry its number",
        ),
        Op::Background(background) => {
            if !(1..=DEPTH_MAX).contains(&background.depth) {
                return wrong(
                    format!("depth is {}", background.depth),
                    "write 1 (a child) to 16",
                );
            }
            let place = Who::Descendant;
            background.script.check_as(place, path)
        }
        Op::Thread { ops } => check_ops(script, ops, place, path),
        Op::Repeat { ops, .. } if !ops.iter().any(does_something) => wrong(
            "nothing to repeat".into(),
            "give it an operation that does something",
        ),
        Op::Repeat { ops, .. } => check_ops(
            script,
            ops,
            Place {
                repeated: true,
                ..place
            },
            path,
        ),
        Op::Capacity { bytes, .. } if !(1..=1 << 31).contains(&bytes.0) => wrong(
            format!("capacity is {bytes}"),
            "write 1 to 2G; /proc/sys/fs/pipe-max-size has the bound",
        ),
        Op::Die {
            signal: Signal::Pipe,
        } if script.broken_pipe != BrokenPipe::Die => wrong(
            "death by PIPE, which the script ignores".into(),
            "leave broken_pipe out, or exit with a code",
        ),
        Op::Fifo {
            then: super::FifoUse::Read(_),
            access: super::FifoAccess::Write,
            ..
        } => wrong(
            "read from a FIFO opened for writing".into(),
            "open it with \"access\": \"read\"",
        ),
        Op::Fifo {
            then: super::FifoUse::Write(_),
            access: super::FifoAccess::Read,
            ..
        } => wrong(
            "write to a FIFO opened for reading".into(),
            "open it with \"access\": \"write\"",
        ),
        Op::Knot(knot) => match knot.fault() {
            Some((what, instead)) => wrong(what, instead),
            None => Ok(()),
        },
        Op::Prompt { .. }
        | Op::Flush { .. }
        | Op::Stdin { .. }
        | Op::Sleep { .. }
        | Op::Compute { .. }
        | Op::Park {}
        | Op::Close { .. }
        | Op::Nonblock { .. }
        | Op::Capacity { .. }
        | Op::Packet { .. }
        | Op::Wait {}
        | Op::Fifo { .. }
        | Op::Accept {}
        | Op::Stop {}
        | Op::Exit { .. }
        | Op::Die { .. } => Ok(()),
    }
}

fn write_fault(write: &Write) -> Option<(String, &'static str)> {
    let sizes: Vec<Size> = match &write.write_size {
        WriteSize::Fixed(size) => vec![*size],
        WriteSize::Cycle(sizes) => sizes.clone(),
        WriteSize::Random(random) => vec![random.min, random.max],
    };
    let one = "write 1 byte at least at a time";
    match &write.write_size {
        WriteSize::Cycle(sizes) if sizes.is_empty() => {
            return Some(("write_size is empty".into(), one));
        }
        WriteSize::Random(random) if random.min > random.max => {
            return Some((
                "the smallest write_size is above the largest".into(),
                "swap min and max",
            ));
        }
        WriteSize::Fixed(_) | WriteSize::Cycle(_) | WriteSize::Random(_) => {}
    }
    if sizes.contains(&Size(0)) {
        return Some(("write_size is 0".into(), one));
    }
    let largest = sizes.iter().max().filter(|size| size.0 > WRITE_MAX)?;
    Some((
        format!("write_size is {largest}"),
        "write 1G at most at a time, which is near what one write(2) moves",
    ))
}

fn does_something(op: &Op) -> bool {
    match op {
        Op::Write(write) => write.stdout.0 > 0 || write.stderr.0 > 0,
        Op::Prompt { text, .. } => !text.is_empty(),
        Op::Flush { .. } => false,
        Op::Repeat { times, ops } => {
            *times != super::Times::Times(0) && ops.iter().any(does_something)
        }
        Op::Thread { .. }
        | Op::Stdin { .. }
        | Op::Sleep { .. }
        | Op::Compute { .. }
        | Op::Park {}
        | Op::Close { .. }
        | Op::Nonblock { .. }
        | Op::Capacity { .. }
        | Op::Packet { .. }
        | Op::Background(_)
        | Op::Wait {}
        | Op::Fifo { .. }
        | Op::Accept {}
        | Op::Knot(_)
        | Op::Stop {}
        | Op::Exit { .. }
        | Op::Die { .. } => true,
    }
}

fn says_anything(ops: &[Op]) -> bool {
    Op::all(ops).any(|op| match op {
        Op::Write(write) => write.stdout.0 > 0 || write.stderr.0 > 0,
        Op::Prompt { text, .. } => !text.is_empty(),
        Op::Stdin { action, .. } => *action == StdinOp::Echo,
        Op::Flush { .. }
        | Op::Sleep { .. }
        | Op::Compute { .. }
        | Op::Park {}
        | Op::Close { .. }
        | Op::Nonblock { .. }
        | Op::Capacity { .. }
        | Op::Packet { .. }
        | Op::Background(_)
        | Op::Wait {}
        | Op::Thread { .. }
        | Op::Repeat { .. }
        | Op::Fifo { .. }
        | Op::Accept {}
        | Op::Knot(_)
        | Op::Stop {}
        | Op::Exit { .. }
        | Op::Die { .. } => false,
    })
}

fn whole_records(ops: &[Op]) -> bool {
    let whole = |size: &Size| size.0.is_multiple_of(RECORD_LEN as u64);
    Op::all(ops).all(|op| match op {
        Op::Write(write) => {
            let sizes = match &write.write_size {
                WriteSize::Fixed(size) => whole(size),
                WriteSize::Cycle(sizes) => sizes.iter().all(whole),
                WriteSize::Random(_) => false,
            };
            sizes && whole(&write.stdout) && whole(&write.stderr) && write.fill == Fill::Pattern
        }
        Op::Prompt { text, .. } => text.is_empty(),
        Op::Stdin { action, .. } => *action != StdinOp::Echo,
        Op::Flush { .. }
        | Op::Sleep { .. }
        | Op::Compute { .. }
        | Op::Park {}
        | Op::Close { .. }
        | Op::Nonblock { .. }
        | Op::Capacity { .. }
        | Op::Packet { .. }
        | Op::Background(_)
        | Op::Wait {}
        | Op::Thread { .. }
        | Op::Repeat { .. }
        | Op::Fifo { .. }
        | Op::Accept {}
        | Op::Knot(_)
        | Op::Stop {}
        | Op::Exit { .. }
        | Op::Die { .. } => true,
    })
}
