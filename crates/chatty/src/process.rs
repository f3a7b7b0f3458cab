//! One process that does the steps of a script.

use std::fs::{File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::net::{Ipv4Addr, TcpListener};
use std::path::Path;
use std::process::{Child, ExitCode};
use std::time::{Duration, Instant};

use pipeclog_scenario::script::{
    BrokenPipe, Chunk, Content, Descriptor, Ending, FifoAccess, FifoUse, Script, Signal, Step,
    Steps, Stream, WouldBlock,
};
use rustix::event::PollFlags;
use rustix::fs::OFlags;
use rustix::io::Errno;

use crate::ledger::{Ledger, LedgerFile, LedgerState, Writing};
use crate::streams::{self, Closed};
use crate::{descend, signals};

/// A system call that failed where the script gives no rule for it.
#[derive(Debug, thiserror::Error)]
#[error("failed to {what}: {source}")]
pub(crate) struct Failure {
    what: String,
    source: io::Error,
}

impl Failure {
    pub(crate) fn io(what: impl Into<String>, source: impl Into<io::Error>) -> Self {
        Self {
            what: what.into(),
            source: source.into(),
        }
    }
}

/// What a process has while it lives.
pub(crate) struct Process<'a> {
    prefix: &'a [&'a str],
    ledger: LedgerFile,
    closed: Closed,
    children: Vec<Child>,
    /// FIFOs that are held open until the end.
    held: Vec<File>,
    buffer: Vec<u8>,
    broken_pipe: BrokenPipe,
    would_block: WouldBlock,
}

/// How a run of steps came to its end.
enum Flow {
    /// The second thread has done its part.
    Joined,
    Ended(Ending),
}

/// What became of a write.
#[derive(PartialEq, Eq)]
enum Written {
    /// It was done, or the script does not mind that it was not.
    GoOn,
    /// The script ends over it.
    End(Ending),
}

/// What programs exit with that report a failed write.
const WRITE_ERROR: Ending = Ending::Code(1);

impl<'a> Process<'a> {
    pub(crate) fn new(prefix: &'a [&'a str], ledger: LedgerFile) -> Self {
        Self {
            prefix,
            ledger,
            closed: Closed::default(),
            children: Vec::new(),
            held: Vec::new(),
            buffer: Vec::new(),
            broken_pipe: BrokenPipe::Die,
            would_block: WouldBlock::Wait,
        }
    }

    /// Does the steps and ends as they say; returns only if the end is an exit code. `ready` is called once the
    /// signals are as the script has them, and before the first step.
    pub(crate) fn run(
        mut self,
        script: &Script,
        mut steps: Steps<'_>,
        ready: impl FnOnce(),
    ) -> Result<ExitCode, Failure> {
        self.broken_pipe = script.broken_pipe;
        self.would_block = script.would_block;
        signals::set_up(script).map_err(|error| Failure::io("set up signals", error))?;
        ready();
        let ending = match self.do_steps(&mut steps)? {
            Flow::Ended(ending) => ending,
            Flow::Joined => Ending::Code(0),
        };
        self.note(|ledger| ledger.state = LedgerState::Ended)?;
        match ending {
            Ending::Code(code) => Ok(ExitCode::from(code)),
            Ending::Signal(signal) => {
                let name = signal.name();
                signals::die(signal)
                    .map_err(|error| Failure::io(format!("die by SIG{name}"), error))?;
                let ignored =
                    io::Error::other("it was ignored before the start; start chatty without nohup");
                Err(Failure::io(format!("die by SIG{name}"), ignored))
            }
        }
    }

    fn do_steps(&mut self, steps: &mut Steps<'_>) -> Result<Flow, Failure> {
        while let Some(step) = steps.next() {
            match step {
                Step::Join => return Ok(Flow::Joined),
                Step::End(ending) => return Ok(Flow::Ended(ending)),
                Step::Thread => match self.do_in_thread(steps)? {
                    Flow::Joined => {}
                    ended @ Flow::Ended(_) => return Ok(ended),
                },
                Step::Write(chunk) => match self.write_chunk(&chunk)? {
                    Written::GoOn => {}
                    Written::End(ending) => return Ok(Flow::Ended(ending)),
                },
                Step::Echo { read_size } => match self.echo(read_size)? {
                    Written::GoOn => {}
                    Written::End(ending) => return Ok(Flow::Ended(ending)),
                },
                step => self.do_step(&step)?,
            }
        }
        Ok(Flow::Ended(Ending::Code(0)))
    }

    /// The main thread waits in a futex: join has no other way to learn of the end.
    fn do_in_thread(&mut self, steps: &mut Steps<'_>) -> Result<Flow, Failure> {
        let feeder = std::thread::Builder::new().name("feeder".into());
        std::thread::scope(|scope| {
            let handle = feeder
                .spawn_scoped(scope, || self.do_steps(steps))
                .map_err(|error| Failure::io("start a thread", error))?;
            match handle.join() {
                Ok(flow) => flow,
                Err(panic) => std::panic::resume_unwind(panic),
            }
        })
    }

    /// Steps that neither write to a stream nor end anything.
    fn do_step(&mut self, step: &Step<'_>) -> Result<(), Failure> {
        match step {
            Step::Read { limit, read_size } => self.read(*limit, *read_size)?,
            Step::AwaitHangup => {
                streams::await_hangup().map_err(|error| Failure::io("wait on stdin", error))?;
            }
            Step::Sleep { us } => sleep(Duration::from_micros(*us)),
            Step::Compute { ms } => compute(Duration::from_millis(*ms)),
            Step::Park => park(),
            Step::Close(descriptor) => self.closed.close(*descriptor),
            Step::Nonblock(descriptor) => add_flag(*descriptor, OFlags::NONBLOCK)?,
            Step::Packet(stream) => add_flag((*stream).into(), OFlags::DIRECT)?,
            Step::Capacity { stream, bytes } => set_capacity(*stream, *bytes)?,
            Step::Background { background, writer } => {
                let child = descend::start(self.prefix, background, *writer, &self.closed)?;
                self.children.extend(child);
            }
            Step::Wait => {
                for mut child in self.children.drain(..) {
                    child
                        .wait()
                        .map_err(|error| Failure::io("wait for a child", error))?;
                }
            }
            Step::Fifo { path, access, then } => self.use_fifo(path, *access, *then)?,
            Step::Accept => accept()?,
            Step::Knot(knot) => crate::knot::tie(self.prefix, knot)?,
            Step::Stop => signals::stop().map_err(|error| Failure::io("stop", error))?,
            Step::Endless => {}
            // Done by the caller.
            Step::Write(_) | Step::Echo { .. } | Step::Thread | Step::Join | Step::End(_) => {}
        }
        Ok(())
    }

    fn write_chunk(&mut self, chunk: &Chunk<'_>) -> Result<Written, Failure> {
        match &chunk.content {
            Content::Bytes(bytes) => self.write_all(chunk.stream, bytes),
            Content::Fill { .. } => {
                // Taken out, so that the bytes can be read while the rest of self counts them.
                let mut buffer = std::mem::take(&mut self.buffer);
                if buffer.len() < chunk.len {
                    buffer.resize(chunk.len, 0);
                }
                let bytes = &mut buffer[..chunk.len];
                chunk.render(0, bytes);
                let written = self.write_all(chunk.stream, bytes);
                self.buffer = buffer;
                written
            }
        }
    }

    fn write_all(&mut self, stream: Stream, bytes: &[u8]) -> Result<Written, Failure> {
        if self.closed.has(stream.into()) {
            return Ok(Written::GoOn);
        }
        let mut rest = bytes;
        while !rest.is_empty() {
            let writing = Some(Writing {
                stream,
                bytes: rest.len() as u64,
            });
            self.note(|ledger| ledger.writing = writing)?;
            match streams::write(stream, rest) {
                Ok(len) => {
                    self.note(|ledger| ledger.count(stream, len))?;
                    rest = rest.get(len..).unwrap_or_default();
                }
                Err(error) => {
                    self.note(|ledger| ledger.writing = None)?;
                    match self.write_error(stream, error)? {
                        AfterError::Again => {}
                        AfterError::Stop(written) => return Ok(written),
                    }
                }
            }
        }
        Ok(Written::GoOn)
    }

    fn write_error(&self, stream: Stream, error: Errno) -> Result<AfterError, Failure> {
        let stop = match error {
            Errno::PIPE => match self.broken_pipe {
                // Here only if SIGPIPE was blocked since before the start.
                BrokenPipe::Die => Written::End(Ending::Signal(Signal::Pipe)),
                BrokenPipe::Exit => Written::End(WRITE_ERROR),
                BrokenPipe::GoOn => Written::GoOn,
            },
            Errno::AGAIN => match self.would_block {
                WouldBlock::Wait => {
                    streams::wait(stream.into(), PollFlags::OUT)
                        .map_err(|error| Failure::io("wait for room", error))?;
                    return Ok(AfterError::Again);
                }
                WouldBlock::Spin => return Ok(AfterError::Again),
                WouldBlock::Exit => Written::End(WRITE_ERROR),
                WouldBlock::Drop => Written::GoOn,
            },
            error => {
                return Err(Failure::io(
                    format!("write to {stream:?}").to_lowercase(),
                    error,
                ));
            }
        };
        Ok(AfterError::Stop(stop))
    }

    fn read(&mut self, limit: Option<u64>, read_size: usize) -> Result<(), Failure> {
        let mut buffer = vec![0; read_size];
        let mut left = limit.unwrap_or(u64::MAX);
        while left > 0 && !self.closed.has(Descriptor::Stdin) {
            let len = usize::try_from(left)
                .unwrap_or(usize::MAX)
                .min(buffer.len());
            let got = self.read_some(buffer.get_mut(..len).unwrap_or_default())?;
            if got == 0 {
                break;
            }
            left -= got as u64;
        }
        Ok(())
    }

    fn echo(&mut self, read_size: usize) -> Result<Written, Failure> {
        let mut buffer = vec![0; read_size];
        while !self.closed.has(Descriptor::Stdin) {
            let got = self.read_some(&mut buffer)?;
            if got == 0 {
                break;
            }
            let written = self.write_all(Stream::Stdout, buffer.get(..got).unwrap_or_default())?;
            if written != Written::GoOn {
                return Ok(written);
            }
        }
        Ok(Written::GoOn)
    }

    fn read_some(&mut self, buffer: &mut [u8]) -> Result<usize, Failure> {
        let got = match streams::read(buffer) {
            // The master of a terminal has gone: its end of file.
            Err(Errno::IO) => 0,
            got => got.map_err(|error| Failure::io("read stdin", error))?,
        };
        self.note(|ledger| ledger.stdin += got as u64)?;
        Ok(got)
    }

    fn use_fifo(&mut self, path: &Path, access: FifoAccess, then: FifoUse) -> Result<(), Failure> {
        let (read, write) = match access {
            FifoAccess::Read => (true, false),
            FifoAccess::Write => (false, true),
            FifoAccess::ReadWrite => (true, true),
        };
        let shown = path.display();
        let mut file = OpenOptions::new()
            .read(read)
            .write(write)
            .open(path)
            .map_err(|error| Failure::io(format!("open the FIFO {shown}"), error))?;
        let done = match then {
            FifoUse::Hold => Ok(()),
            FifoUse::Read(size) => read_away(&mut file, size.0),
            FifoUse::Write(size) => write_nuls(&mut file, size.0),
        };
        done.map_err(|error| Failure::io(format!("use the FIFO {shown}"), error))?;
        self.held.push(file);
        Ok(())
    }

    fn note(&mut self, change: impl FnOnce(&mut Ledger)) -> Result<(), Failure> {
        self.ledger
            .change(change)
            .map_err(|error| Failure::io("write the ledger", error))
    }
}

enum AfterError {
    Again,
    Stop(Written),
}

#[expect(clippy::disallowed_methods, reason = "the script asks for the sleep")]
pub(crate) fn sleep(duration: Duration) {
    std::thread::sleep(duration);
}

fn compute(duration: Duration) {
    let start = Instant::now();
    while start.elapsed() < duration {
        std::hint::spin_loop();
    }
}

/// park may wake for no reason; it is the futex that matters.
pub(crate) fn park() -> ! {
    loop {
        std::thread::park();
    }
}

fn add_flag(descriptor: Descriptor, flag: OFlags) -> Result<(), Failure> {
    let fd = streams::fd(descriptor);
    let set =
        rustix::fs::fcntl_getfl(fd).and_then(|flags| rustix::fs::fcntl_setfl(fd, flags | flag));
    set.map_err(|error| Failure::io(format!("set {flag:?} on {descriptor:?}"), error))
}

fn set_capacity(descriptor: Descriptor, bytes: u64) -> Result<(), Failure> {
    let len = usize::try_from(bytes).unwrap_or(usize::MAX);
    let set = rustix::pipe::fcntl_setpipe_size(streams::fd(descriptor), len);
    let what = || {
        format!(
            "set the capacity of {descriptor:?} to {bytes} bytes (is it a pipe, not fuller than that?)"
        )
    };
    set.map(drop).map_err(|error| Failure::io(what(), error))
}

pub(crate) fn accept() -> Result<(), Failure> {
    let accepted =
        TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).and_then(|listener| listener.accept());
    accepted
        .map(drop)
        .map_err(|error| Failure::io("wait for a connection", error))
}

/// In reads of a chunk at most, to the end of file or until so many bytes have come.
fn read_away(file: &mut File, bytes: u64) -> io::Result<()> {
    let mut chunk = vec![0; FifoUse::CHUNK_BYTES as usize];
    let mut left = bytes;
    while left > 0 {
        let len = left.min(FifoUse::CHUNK_BYTES) as usize;
        let got = match file.read(chunk.get_mut(..len).unwrap_or_default()) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            got => got?,
        };
        if got == 0 {
            break;
        }
        left = left.saturating_sub(got as u64);
    }
    Ok(())
}

/// In writes of a chunk, the last one apart.
fn write_nuls(file: &mut File, bytes: u64) -> io::Result<()> {
    let chunk = vec![0; FifoUse::CHUNK_BYTES as usize];
    let mut left = bytes;
    while left > 0 {
        let len = left.min(FifoUse::CHUNK_BYTES);
        file.write_all(chunk.get(..len as usize).unwrap_or_default())?;
        left -= len;
    }
    Ok(())
}
