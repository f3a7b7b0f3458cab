//! Everybody who takes part in a duel, each as its users call it.

use std::io::Read;
use std::os::fd::AsFd;
use std::process::{Command, Stdio};

use memmap2::{Advice, MmapMut};
use nix::fcntl::{FcntlArg, fcntl};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use pipeclog_capture::{Bound, Capture, Captured, End, FilePlace, Strategy};
use subprocess::{Exec, Redirection};

use crate::child::Job;

/// One way to do the job.
#[derive(Clone, Copy, Debug)]
pub struct Contender {
    /// Its name in tables.
    pub name: &'static str,
    /// Does it once.
    pub run: fn(&Job) -> Held,
}

/// What a contender holds when it is done; dropping it is what it costs to free.
#[derive(Debug)]
pub enum Held {
    /// Ours.
    Captured(Box<Captured>),
    /// Vectors.
    Vectors(Vec<u8>, Vec<u8>),
    /// Memory that was only written.
    Pages(MmapMut),
    /// Nothing: so many bytes were read and thrown away.
    Nothing(u64),
}

impl Held {
    /// How many bytes came.
    #[must_use]
    pub fn count(&self) -> u64 {
        match self {
            Held::Captured(captured) => captured.stdout.seen + captured.stderr.seen,
            Held::Vectors(out, err) => (out.len() + err.len()) as u64,
            Held::Pages(pages) => pages.len() as u64,
            Held::Nothing(count) => *count,
        }
    }

    /// Looks at every byte once, as a user would.
    #[must_use]
    pub fn sum(&self) -> u64 {
        let sum = |bytes: &[u8]| bytes.iter().map(|byte| u64::from(*byte)).sum::<u64>();
        match self {
            Held::Captured(captured) => sum(&captured.stdout.bytes) + sum(&captured.stderr.bytes),
            Held::Vectors(out, err) => sum(out) + sum(err),
            Held::Pages(pages) => sum(pages),
            Held::Nothing(_) => 0,
        }
    }
}

/// A spawn and a wait, with /dev/null for all three streams, by our own spawn: nothing that captures can be faster.
pub const BARE: Contender = Contender {
    name: "bare spawn and wait",
    run: |job| ours(Strategy::Discard, job),
};
/// What [`Capture::recommended`] does.
pub const PIPES: Contender = Contender {
    name: "pipes",
    run: |job| ours(Strategy::recommended(), job),
};
/// Files in memory, in large pages where the machine has them.
pub const FILES: Contender = Contender {
    name: "files",
    run: |job| {
        let capture = Capture::new(Strategy::TempFile, End::Drain, Bound::Unbounded);
        captured(&capture.files_in(FilePlace::LargePages), job)
    },
};
/// The standard library.
pub const STD: Contender = Contender {
    name: "std",
    run: std_output,
};
/// duct.
pub const DUCT: Contender = Contender {
    name: "duct",
    run: duct_run,
};
/// subprocess.
pub const SUBPROCESS: Contender = Contender {
    name: "subprocess",
    run: subprocess_capture,
};
/// tokio, on a runtime of one thread that is made once.
pub const TOKIO: Contender = Contender {
    name: "tokio",
    run: tokio_output,
};
/// async-process.
pub const ASYNC_PROCESS: Contender = Contender {
    name: "async-process",
    run: async_process_output,
};
/// Reads pipes of 256 KiB and throws away what comes: the limit of a pipe.
pub const DISCARD: Contender = Contender {
    name: "read and discard",
    run: read_and_discard,
};
/// Copies into fresh huge pages: the limit of memory. No child runs.
pub const COPY: Contender = Contender {
    name: "copy into huge pages",
    run: copy,
};

/// Captures by one of our strategies.
#[must_use]
pub fn ours(strategy: Strategy, job: &Job) -> Held {
    captured(&Capture::new(strategy, End::Drain, Bound::Unbounded), job)
}

fn captured(capture: &Capture, job: &Job) -> Held {
    let command = pipeclog_capture::Command::new(&job.program).args(job.args());
    Held::Captured(Box::new(
        capture.run(&command).expect("the child is captured"),
    ))
}

fn command(job: &Job) -> Command {
    let mut command = Command::new(&job.program);
    command.args(job.args()).stdin(Stdio::null());
    command
}

#[expect(clippy::disallowed_methods, reason = "what is measured")]
fn std_output(job: &Job) -> Held {
    let output = command(job).output().expect("the child is captured");
    Held::Vectors(output.stdout, output.stderr)
}

fn duct_run(job: &Job) -> Held {
    let expression = duct::cmd(&job.program, job.args()).stdin_null();
    let output = expression.stdout_capture().stderr_capture().run();
    let output = output.expect("the child is captured");
    Held::Vectors(output.stdout, output.stderr)
}

fn subprocess_capture(job: &Job) -> Held {
    let exec = Exec::cmd(&job.program)
        .args(job.args())
        .stdin(Redirection::Null);
    let captured = exec
        .stdout(Redirection::Pipe)
        .stderr(Redirection::Pipe)
        .capture();
    let captured = captured.expect("the child is captured");
    Held::Vectors(captured.stdout, captured.stderr)
}

fn tokio_output(job: &Job) -> Held {
    thread_local! {
        static RUNTIME: tokio::runtime::Runtime = tokio::runtime::Builder::new_current_thread()
            .enable_io()
            .build()
            .expect("a runtime");
    }
    let output = RUNTIME.with(|runtime| {
        let mut command = tokio::process::Command::from(command(job));
        runtime.block_on(async move { command.output().await })
    });
    let output = output.expect("the child is captured");
    Held::Vectors(output.stdout, output.stderr)
}

fn async_process_output(job: &Job) -> Held {
    let mut command = async_process::Command::from(command(job));
    let output = futures_lite::future::block_on(command.output()).expect("the child is captured");
    Held::Vectors(output.stdout, output.stderr)
}

fn read_and_discard(job: &Job) -> Held {
    Held::Nothing(discard(command(job)))
}

/// Reads both streams of a command to their ends, throws away what comes, and says how many bytes that was.
#[must_use]
pub fn discard(mut command: Command) -> u64 {
    let large = || {
        let (read, write) = std::io::pipe().expect("a pipe");
        let _unless_over_a_limit = fcntl(&write, FcntlArg::F_SETPIPE_SZ(256 * 1024));
        (read, write)
    };
    let ((out, child_out), (err, child_err)) = (large(), large());
    command.stdout(child_out).stderr(child_err);
    let mut child = command.spawn().expect("the child starts");
    // It holds our copies of the child's ends.
    drop(command);
    let (mut open, mut room, mut count) = (vec![out, err], vec![0; 256 * 1024], 0);
    while !open.is_empty() {
        let mut polled: Vec<PollFd<'_>> = open
            .iter()
            .map(|pipe: &std::io::PipeReader| PollFd::new(pipe.as_fd(), PollFlags::POLLIN))
            .collect();
        poll(&mut polled, PollTimeout::NONE).expect("poll");
        let ready: Vec<bool> = polled.iter().map(|it| it.any().unwrap_or(true)).collect();
        let mut ready = ready.into_iter();
        open.retain_mut(|pipe| {
            if !ready.next().unwrap_or(false) {
                return true;
            }
            let read = pipe.read(&mut room).expect("a read");
            count += read as u64;
            read > 0
        });
    }
    child.wait().expect("the child ends");
    count
}

fn copy(job: &Job) -> Held {
    let from = vec![1_u8; 64 * 1024];
    let len = usize::try_from(job.out + job.err).expect("it fits the memory");
    let mut pages = MmapMut::map_anon(len.max(1)).expect("memory");
    pages
        .advise(Advice::HugePage)
        .expect("huge pages are known");
    for to in pages.chunks_mut(from.len()) {
        to.copy_from_slice(from.get(..to.len()).expect("it is no longer"));
    }
    Held::Pages(pages)
}
