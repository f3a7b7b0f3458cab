//! The command line: flags for the common case, a script for everything.

use std::path::PathBuf;
use std::str::FromStr;

use clap::{Args as ClapArgs, Parser, ValueEnum};
use pipeclog_scenario::script::{
    Background, BrokenPipe, Buffering, Descriptor, Fill, Intermediates, Op, Order, RandomSize,
    Script, ScriptError, Session, Signal, Size, StdinOp, Stream, WouldBlock, Write, WriteSize,
};

use crate::ledger::LedgerFile;
use crate::source::{SourceError, read_script};

/// Writes what it is told to, and nothing else: the child for every way to capture a program's output.
///
/// Sizes are bytes, or have a suffix k, M or G (binary). The flags act in the order: close or read stdin, write,
/// prompt, start a background child, sleep, hold stdin, end.
#[derive(Debug, Parser)]
#[command(name = "chatty", version, max_term_width = 100)]
pub(crate) struct Args {
    #[command(flatten)]
    flags: Flags,

    /// Does what this JSON says instead of what flags say: a file's path, or the JSON itself, which begins with a brace
    #[arg(long, value_name = "FILE|JSON", conflicts_with = "flags")]
    script: Option<PathBuf>,

    /// Keeps in this file, right at any moment, what was really written and read; costs two small file writes for
    /// each write
    #[arg(long, value_name = "FILE")]
    ledger: Option<PathBuf>,

    /// Prints the script that the flags mean, and does nothing else
    #[arg(long)]
    print_script: bool,

    /// Takes orders from standard input; chatty starts its descendants with it
    #[arg(long, hide = true, exclusive = true)]
    descendant: bool,
}

#[derive(Debug, ClapArgs)]
#[group(id = "flags", multiple = true)]
struct Flags {
    /// Bytes to standard output
    #[arg(long, value_name = "SIZE")]
    stdout: Option<Size>,
    /// Bytes to standard error
    #[arg(long, value_name = "SIZE")]
    stderr: Option<Size>,
    /// Bytes of each write: a size, a list as in 1,80,4096 (in turn), or MIN..MAX:SEED (random) [default: 64k]
    #[arg(long, value_name = "SIZES", value_parser = write_size)]
    write_size: Option<WriteSize>,
    /// stdout-first, stderr-first, alternate (by write) or interleave:SEED [default: stdout-first]
    #[arg(long, value_parser = order)]
    order: Option<Order>,
    /// pattern, zeros, text, random:SEED or non-utf8 [default: pattern]
    #[arg(long, value_parser = fill)]
    fill: Option<Fill>,
    /// Microseconds of sleep after each write
    #[arg(long, value_name = "N")]
    delay_us: Option<u64>,
    /// ignore, close (at once), read-all, read:SIZE, echo (while reading) or never (hold it unread until its
    /// writers have closed it) [default: ignore]
    #[arg(long, value_name = "POLICY", value_parser = stdin)]
    stdin: Option<StdinPolicy>,
    /// How stdout is buffered in the process, as stdio does it [default: none]
    #[arg(long, value_name = "MODE")]
    buffering: Option<BufferingArg>,
    /// Text written to stdout after the bytes, without a newline
    #[arg(long, value_name = "TEXT")]
    prompt: Option<String>,
    /// Leaves a silent child in the background for so many milliseconds
    #[arg(long, value_name = "MS")]
    background_ms: Option<u64>,
    /// Descriptors that the background child keeps [default: stdout,stderr]
    #[arg(
        long,
        value_name = "LIST",
        value_delimiter = ',',
        requires = "background_ms"
    )]
    keep: Vec<DescriptorArg>,
    /// Milliseconds of sleep before the end
    #[arg(long, value_name = "N")]
    sleep_ms: Option<u64>,
    /// Signals that do not end it, as in TERM,INT
    #[arg(long, value_name = "LIST", value_delimiter = ',', value_parser = signal)]
    ignore: Vec<Signal>,
    /// What a write without a reader does: death by SIGPIPE, exit code 1, or nothing [default: die]
    #[arg(long, value_name = "RULE")]
    broken_pipe: Option<BrokenPipeArg>,
    /// What a write does that would block on a non-blocking descriptor [default: wait]
    #[arg(long, value_name = "RULE")]
    would_block: Option<WouldBlockArg>,
    /// The exit code [default: 0]
    #[arg(long, value_name = "CODE", conflicts_with = "signal")]
    exit: Option<u8>,
    /// Dies by this signal instead
    #[arg(long, value_name = "NAME", value_parser = signal)]
    signal: Option<Signal>,
}

/// What is to be done.
pub(crate) enum Task {
    Run { script: Script, ledger: LedgerFile },
    Print(String),
    Descend,
}

/// What was wrong with the arguments beyond what clap knows.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ArgsError {
    #[error(transparent)]
    Source(#[from] SourceError),
    #[error(transparent)]
    Flags(#[from] ScriptError),
    #[error("failed to create the ledger {path}: {source}")]
    Ledger {
        path: PathBuf,
        source: std::io::Error,
    },
}

impl Args {
    pub(crate) fn task(self) -> Result<Task, ArgsError> {
        if self.descendant {
            return Ok(Task::Descend);
        }
        let script = match self.script {
            Some(source) => read_script(&source)?,
            None => self.flags.script()?,
        };
        if self.print_script {
            return Ok(Task::Print(script.to_json()?));
        }
        let ledger = match self.ledger {
            None => LedgerFile::none(),
            Some(path) => {
                LedgerFile::create(&path).map_err(|source| ArgsError::Ledger { path, source })?
            }
        };
        Ok(Task::Run { script, ledger })
    }
}

impl Flags {
    fn script(self) -> Result<Script, ScriptError> {
        let mut ops = Vec::new();
        let mut last = None;
        match self.stdin {
            None | Some(StdinPolicy::Ignore) => {}
            Some(StdinPolicy::Close) => ops.push(Op::Close {
                stream: Descriptor::Stdin,
            }),
            Some(StdinPolicy::Op(StdinOp::Never)) => last = Some(stdin_op(StdinOp::Never)),
            Some(StdinPolicy::Op(action)) => ops.push(stdin_op(action)),
        }
        ops.push(Op::Write(self.write()));
        ops.extend(self.prompt.map(|text| Op::Prompt {
            text,
            stream: Stream::Stdout,
        }));
        ops.extend(self.background_ms.map(|ms| background(ms, &self.keep)));
        ops.extend(self.sleep_ms.map(|ms| Op::Sleep { ms }));
        ops.extend(last);
        ops.extend(self.exit.map(|code| Op::Exit { code }));
        ops.extend(self.signal.map(|signal| Op::Die { signal }));
        let mut script = Script::new(ops);
        script.ignore = self.ignore;
        if let Some(rule) = self.broken_pipe {
            script.broken_pipe = rule.into();
        }
        if let Some(rule) = self.would_block {
            script.would_block = rule.into();
        }
        if let Some(mode) = self.buffering {
            script.stdout_buffer = mode.into();
        }
        script.check()?;
        Ok(script)
    }

    fn write(&self) -> Write {
        let bytes = |size: Option<Size>| size.map_or(0, |size| size.0);
        let mut write = Write::new(bytes(self.stdout), bytes(self.stderr));
        if let Some(sizes) = &self.write_size {
            write.write_size = sizes.clone();
        }
        if let Some(order) = self.order {
            write.order = order;
        }
        if let Some(fill) = self.fill {
            write.fill = fill;
        }
        write.delay_us = self.delay_us.unwrap_or(0);
        write
    }
}

fn stdin_op(action: StdinOp) -> Op {
    Op::Stdin {
        action,
        read_size: Size(64 << 10),
    }
}

fn background(ms: u64, keep: &[DescriptorArg]) -> Op {
    let keep = match keep {
        [] => vec![Descriptor::Stdout, Descriptor::Stderr],
        some => some.iter().map(|&descriptor| descriptor.into()).collect(),
    };
    let script = Script::new(vec![Op::Sleep { ms }]);
    let (intermediates, session) = (Intermediates::Wait, Session::Inherited);
    Op::Background(Background {
        keep,
        depth: 1,
        intermediates,
        session,
        script,
    })
}

#[derive(Debug, Clone, Copy)]
enum StdinPolicy {
    Ignore,
    Close,
    Op(StdinOp),
}

fn stdin(text: &str) -> Result<StdinPolicy, String> {
    Ok(match text {
        "ignore" => StdinPolicy::Ignore,
        "close" => StdinPolicy::Close,
        "read-all" => StdinPolicy::Op(StdinOp::ReadAll),
        "echo" => StdinPolicy::Op(StdinOp::Echo),
        "never" => StdinPolicy::Op(StdinOp::Never),
        _ => match text.strip_prefix("read:") {
            Some(size) => StdinPolicy::Op(StdinOp::Read(parse(size)?)),
            None => return Err("write ignore, close, read-all, read:SIZE, echo or never".into()),
        },
    })
}

fn write_size(text: &str) -> Result<WriteSize, String> {
    if let Some((min, rest)) = text.split_once("..") {
        let (max, seed) = rest
            .split_once(':')
            .ok_or("write MIN..MAX:SEED, as in 1..4096:7")?;
        let (min, max, seed) = (parse(min)?, parse(max)?, parse_seed(seed)?);
        return Ok(WriteSize::Random(RandomSize { min, max, seed }));
    }
    if text.contains(',') {
        return text
            .split(',')
            .map(parse)
            .collect::<Result<_, _>>()
            .map(WriteSize::Cycle);
    }
    parse(text).map(WriteSize::Fixed)
}

fn order(text: &str) -> Result<Order, String> {
    Ok(match text {
        "stdout-first" => Order::StdoutFirst,
        "stderr-first" => Order::StderrFirst,
        "alternate" => Order::Alternate,
        _ => match text.strip_prefix("interleave:") {
            Some(seed) => Order::Interleave(parse_seed(seed)?),
            None => {
                return Err(
                    "write stdout-first, stderr-first, alternate or interleave:SEED".into(),
                );
            }
        },
    })
}

fn fill(text: &str) -> Result<Fill, String> {
    Ok(match text {
        "pattern" => Fill::Pattern,
        "zeros" => Fill::Zeros,
        "text" => Fill::Text,
        "non-utf8" => Fill::NonUtf8,
        _ => match text.strip_prefix("random:") {
            Some(seed) => Fill::Random(parse_seed(seed)?),
            None => return Err("write pattern, zeros, text, random:SEED or non-utf8".into()),
        },
    })
}

/// With or without `SIG`, in whatever case, as kill(1) takes them.
fn signal(text: &str) -> Result<Signal, String> {
    let name = text.to_ascii_uppercase();
    let name = name.strip_prefix("SIG").unwrap_or(&name);
    Signal::ALL
        .into_iter()
        .find(|signal| signal.name() == name)
        .ok_or_else(|| {
            let names: Vec<&str> = Signal::ALL.iter().map(|signal| signal.name()).collect();
            format!("write one of {}", names.join(", "))
        })
}

fn parse(text: &str) -> Result<Size, String> {
    Size::from_str(text).map_err(|error| error.to_string())
}

fn parse_seed(text: &str) -> Result<u64, String> {
    text.parse()
        .map_err(|_| format!("{text:?} is no seed: write a whole number from 0"))
}

/// clap's choices for an enum of the script crate, which knows nothing of clap.
macro_rules! choice {
    ($name:ident is $of:ident { $($(#[$doc:meta])* $variant:ident),+ }) => {
        #[derive(Debug, Clone, Copy, ValueEnum)]
        enum $name { $($(#[$doc])* $variant),+ }

        impl From<$name> for $of {
            fn from(choice: $name) -> Self {
                match choice { $($name::$variant => Self::$variant),+ }
            }
        }
    };
}

choice!(BufferingArg is Buffering { None, Line, Full });
choice!(BrokenPipeArg is BrokenPipe { Die, Exit, GoOn });
choice!(WouldBlockArg is WouldBlock { Wait, Exit, Drop, Spin });
choice!(DescriptorArg is Descriptor { Stdin, Stdout, Stderr });
