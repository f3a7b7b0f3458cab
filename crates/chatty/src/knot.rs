//! A knot: processes that wait for each other as a script says.
//!
//! The first process makes all channels and hands their ends down. Each process starts those below it, closes what it does not hold
//! itself, says that it is ready, and only then goes to sleep: once the first sleeps, nobody has an end that he should not.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::CString;
use std::io;
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::{Child, ExitCode};
use std::time::Duration;

use nix::pty::openpty;
use nix::sys::signal::{SigSet, Signal};
use nix::sys::termios::{SetArg, cfmakeraw, tcgetattr, tcsetattr};
use pipeclog_scenario::script::{End, Knot, Medium, Side, Sleep, Watched};
use rustix::event::{PollFd, PollFlags, epoll, poll};
use rustix::fs::{Mode, OFlags};
use rustix::io::{Errno, FdFlags, retry_on_intr};
use rustix::pipe::PipeFlags;
use rustix::process::{Pid, PidfdFlags, WaitId, WaitIdOptions, pidfd_open, waitid};

use crate::descend;
use crate::process::{self, Failure};
use crate::signals;

/// Makes the channels, starts the others, and does what the first process does.
pub(crate) fn tie(prefix: &[&str], knot: &Knot) -> Result<(), Failure> {
    let failed = |error: io::Error| Failure::io("make the channels of a knot", error);
    let needed = knot.ends_below(0);
    let mut ends = BTreeMap::new();
    for (channel, medium) in knot.channels.iter().enumerate() {
        let (reads, writes) = open(medium).map_err(failed)?;
        for (side, fd) in [(Side::Reads, reads), (Side::Writes, writes)] {
            let end = End { channel, side };
            if needed.contains(&end) {
                ends.insert(end, fd);
            }
        }
    }
    act(prefix, knot, 0, ends, || {}).map(drop)
}

/// Does what one process of a knot does, with the ends that it and those below it hold. `ready` is called before it sleeps.
pub(crate) fn act(
    prefix: &[&str],
    knot: &Knot,
    index: usize,
    mut ends: BTreeMap<End, OwnedFd>,
    ready: impl FnOnce(),
) -> Result<ExitCode, Failure> {
    let Some(part) = knot.processes.get(index) else {
        return Err(bad("a process that is not there"));
    };
    let mut children = BTreeMap::new();
    for child in knot.children(index) {
        children.insert(child, descend::start_part(prefix, knot, child, &ends)?);
    }
    let holds: BTreeSet<&End> = part.holds.iter().collect();
    ends.retain(|end, _| holds.contains(end));
    if let Some(name) = part
        .name
        .as_ref()
        .and_then(|name| CString::new(name.as_str()).ok())
    {
        nix::sys::prctl::set_name(&name)
            .map_err(|error| Failure::io("name a process", io::Error::from(error)))?;
    }
    let scene = Scene {
        knot,
        ends: &ends,
        children: &children,
    };
    ready();
    let Some((first, others)) = part.threads.split_first() else {
        return Err(bad("a process without threads"));
    };
    std::thread::scope(|scope| {
        for other in others {
            std::thread::Builder::new()
                .spawn_scoped(scope, || scene.sleep(other))
                .map_err(|error| Failure::io("start a thread", error))?;
        }
        scene.sleep(first)
    })?;
    Ok(ExitCode::SUCCESS)
}

fn open(medium: &Medium) -> io::Result<(OwnedFd, OwnedFd)> {
    match medium {
        Medium::Pipe { capacity } => {
            let (reads, writes) = rustix::pipe::pipe_with(PipeFlags::CLOEXEC)?;
            if let Some(capacity) = capacity {
                let bytes = usize::try_from(capacity.0).unwrap_or(usize::MAX);
                rustix::pipe::fcntl_setpipe_size(&writes, bytes)?;
            }
            Ok((reads, writes))
        }
        Medium::Fifo { path } => {
            // Open both ways it waits for nobody, and then neither end does (fifo(7)).
            let _both = open_fifo(path, OFlags::RDWR)?;
            Ok((
                open_fifo(path, OFlags::RDONLY)?,
                open_fifo(path, OFlags::WRONLY)?,
            ))
        }
        Medium::Socket {} => {
            let (one, other) = UnixStream::pair()?;
            Ok((one.into(), other.into()))
        }
        Medium::Pty {} => {
            let pty = openpty(None, None)?;
            let mut mode = tcgetattr(&pty.slave)?;
            cfmakeraw(&mut mode);
            tcsetattr(&pty.slave, SetArg::TCSANOW, &mode)?;
            for fd in [&pty.master, &pty.slave] {
                rustix::io::fcntl_setfd(fd, FdFlags::CLOEXEC)?;
            }
            Ok((pty.master, pty.slave))
        }
    }
}

fn open_fifo(path: &Path, how: OFlags) -> rustix::io::Result<OwnedFd> {
    retry_on_intr(|| rustix::fs::open(path, how | OFlags::CLOEXEC, Mode::empty()))
}

fn bad(what: &str) -> Failure {
    Failure::io("tie a knot", io::Error::other(what.to_owned()))
}

/// What the threads of a process share.
struct Scene<'a> {
    knot: &'a Knot,
    ends: &'a BTreeMap<End, OwnedFd>,
    children: &'a BTreeMap<usize, Child>,
}

/// More than a pipe holds that nobody with privileges has made.
const ENOUGH_BYTES: usize = 8 << 20;
const WRITE_BYTES: usize = 64 << 10;
const NAP: Duration = Duration::from_millis(100);

impl Scene<'_> {
    /// Sleeps as it is told; it comes back only if somebody wakes it for good.
    fn sleep(&self, thread: &Sleep) -> Result<(), Failure> {
        let failed = |what: &'static str| move |error: Errno| Failure::io(what, error);
        match thread {
            Sleep::Read { end } => {
                let fd = self.end(end)?;
                let mut buffer = [0; 4096];
                retry_on_intr(|| rustix::io::read(fd, &mut buffer))
                    .map(drop)
                    .map_err(failed("read an end"))
            }
            Sleep::Write { end } => write(self.end(end)?).map_err(failed("write to an end")),
            Sleep::Poll { set } => self.poll(set),
            Sleep::Epoll { set } => self.epoll(set),
            Sleep::Wait { child } => {
                let whom =
                    child.map_or(Ok(WaitId::All), |child| Ok(WaitId::Pid(self.child(child)?)))?;
                retry_on_intr(|| {
                    waitid(whom.clone(), WaitIdOptions::EXITED | WaitIdOptions::NOWAIT)
                })
                .map(drop)
                .map_err(failed("wait for a child"))
            }
            Sleep::ChildSignal {} => {
                let mut set = SigSet::empty();
                set.add(Signal::SIGCHLD);
                let waited = set.thread_block().and_then(|()| set.wait());
                waited
                    .map(drop)
                    .map_err(|error| Failure::io("wait for SIGCHLD", io::Error::from(error)))
            }
            Sleep::Open { end } => {
                let Some(Medium::Fifo { path }) = self.knot.channels.get(end.channel) else {
                    return Err(bad("an open of what is no FIFO"));
                };
                let how = match end.side {
                    Side::Reads => OFlags::RDONLY,
                    Side::Writes => OFlags::WRONLY,
                };
                open_fifo(path, how)
                    .map(drop)
                    .map_err(failed("open a FIFO"))
            }
            Sleep::Park {} => process::park(),
            Sleep::Accept {} => process::accept(),
            Sleep::Nap {} => loop {
                process::sleep(NAP);
            },
            Sleep::Stop {} => signals::stop().map_err(|error| Failure::io("stop", error)),
        }
    }

    fn end(&self, end: &End) -> Result<BorrowedFd<'_>, Failure> {
        let fd = self
            .ends
            .get(end)
            .ok_or_else(|| bad("an end that it does not hold"))?;
        Ok(fd.as_fd())
    }

    fn child(&self, index: usize) -> Result<Pid, Failure> {
        let child = self
            .children
            .get(&index)
            .ok_or_else(|| bad("a child that is none"))?;
        Ok(Pid::from_child(child))
    }

    /// Each descriptor of a set with what is asked of it; pidfds are opened for it.
    fn watched(&self, set: &Watched) -> Result<Opened<'_>, Failure> {
        let mut opened = Opened::default();
        for end in &set.data {
            opened
                .ends
                .push((self.end(end)?, self.events_for_data(end)));
        }
        for end in &set.room {
            let fd = self.end(end)?;
            fill(fd).map_err(|error| Failure::io("fill an end", error))?;
            opened.ends.push((fd, PollFlags::OUT));
        }
        for child in &set.exits {
            let pidfd = pidfd_open(self.child(*child)?, PidfdFlags::empty());
            let pidfd = pidfd.map_err(|error| Failure::io("open a pidfd", error))?;
            opened.exits.push(pidfd);
        }
        Ok(opened)
    }

    fn poll(&self, set: &Watched) -> Result<(), Failure> {
        let opened = self.watched(set)?;
        let mut fds: Vec<PollFd<'_>> = opened
            .all()
            .map(|(fd, events)| PollFd::from_borrowed_fd(fd, events))
            .collect();
        retry_on_intr(|| poll(&mut fds, None))
            .map(drop)
            .map_err(|error| Failure::io("poll", error))
    }

    fn epoll(&self, set: &Watched) -> Result<(), Failure> {
        let failed = |error: Errno| Failure::io("wait in epoll", error);
        let opened = self.watched(set)?;
        let queue = epoll::create(epoll::CreateFlags::CLOEXEC).map_err(failed)?;
        for (fd, events) in opened.all() {
            let events = epoll::EventFlags::from_bits_retain(u32::from(events.bits()));
            epoll::add(&queue, fd, epoll::EventData::new_u64(0), events).map_err(failed)?;
        }
        let mut events: Vec<epoll::Event> = Vec::with_capacity(1);
        loop {
            match epoll::wait(&queue, rustix::buffer::spare_capacity(&mut events), None) {
                Err(Errno::INTR) => {}
                waited => return waited.map(drop).map_err(failed),
            }
        }
    }

    /// What wakes a waiter for data: of the writing end of a pipe nothing can be asked but whether its readers have gone.
    fn events_for_data(&self, end: &End) -> PollFlags {
        match (self.knot.channels.get(end.channel), end.side) {
            (Some(Medium::Pipe { .. } | Medium::Fifo { .. }), Side::Writes) => PollFlags::empty(),
            _ => PollFlags::IN,
        }
    }
}

/// The descriptors of a set.
#[derive(Default)]
struct Opened<'a> {
    ends: Vec<(BorrowedFd<'a>, PollFlags)>,
    exits: Vec<OwnedFd>,
}

impl Opened<'_> {
    fn all(&self) -> impl Iterator<Item = (BorrowedFd<'_>, PollFlags)> {
        let exits = self.exits.iter().map(|exit| (exit.as_fd(), PollFlags::IN));
        self.ends.iter().copied().chain(exits)
    }
}

/// Writes more than any channel holds.
fn write(fd: BorrowedFd<'_>) -> Result<(), Errno> {
    let chunk = vec![0; WRITE_BYTES];
    let mut left = ENOUGH_BYTES;
    while left > 0 {
        left = left.saturating_sub(retry_on_intr(|| rustix::io::write(fd, &chunk))?);
    }
    Ok(())
}

/// Writes until there is no room for one byte more, and leaves the end as it was.
fn fill(fd: BorrowedFd<'_>) -> Result<(), Errno> {
    let flags = rustix::fs::fcntl_getfl(fd)?;
    rustix::fs::fcntl_setfl(fd, flags | OFlags::NONBLOCK)?;
    let chunk = vec![0; WRITE_BYTES];
    let mut len = chunk.len();
    let mut filled = Ok(());
    while len > 0 {
        match rustix::io::write(fd, chunk.get(..len).unwrap_or_default()) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(Errno::AGAIN) => len /= 2,
            Err(error) => {
                filled = Err(error);
                break;
            }
        }
    }
    rustix::fs::fcntl_setfl(fd, flags)?;
    filled
}
