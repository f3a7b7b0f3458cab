//! Background descendants: chatty starts itself again, since a fork without an exec would be unsafe.
//!
//! The descendant's standard input is a socket at first. Over it come its orders, and the leader's own standard
//! input if that is to be kept (SCM_RIGHTS, unix(7)); over it goes, last of all, the one byte that says that the
//! descendant holds what it should.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, IoSlice, IoSliceMut, Read as _, Write as _};
use std::mem::MaybeUninit;
use std::net::Shutdown;
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::{Child, Command, ExitCode, Stdio};

use pipeclog_scenario::script::{Background, Descriptor, End, Intermediates, Knot, Session};
use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags,
};
use serde::{Deserialize, Serialize};

use crate::knot;
use crate::ledger::LedgerFile;
use crate::process::{Failure, Process};
use crate::streams::Closed;

/// The flag that a descendant is started with.
pub(crate) const FLAG: &str = "--descendant";

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Orders {
    /// Runs a script.
    Background { background: Background, writer: u8 },
    /// Is one of the processes of a knot. The ends come with it, in this order.
    Part {
        knot: Knot,
        index: usize,
        ends: Vec<End>,
    },
}

const READY: u8 = b'r';

/// Room for both ends of as many channels as a knot has.
const RIGHTS: usize = rustix::cmsg_space!(ScmRights(128));

/// Starts a descendant and returns once it runs. What is left is the child to wait for, if there still is one.
pub(crate) fn start(
    prefix: &[&str],
    background: &Background,
    writer: u8,
    closed: &Closed,
) -> Result<Option<Child>, Failure> {
    let keeps = |descriptor| background.keep.contains(&descriptor) && !closed.has(descriptor);
    let stream = |descriptor| {
        if keeps(descriptor) {
            Stdio::inherit()
        } else {
            Stdio::null()
        }
    };
    let orders = Orders::Background {
        background: background.clone(),
        writer,
    };
    let stdin = keeps(Descriptor::Stdin).then(rustix::stdio::stdin);
    let streams = [stream(Descriptor::Stdout), stream(Descriptor::Stderr)];
    let mut child = spawn(prefix, streams, &orders, stdin.as_slice())?;
    if background.depth > 1 && background.intermediates == Intermediates::Exit {
        child.wait().map_err(failed)?;
        return Ok(None);
    }
    Ok(Some(child))
}

/// Starts a process of a knot, with the ends that it and those below it hold, and returns once all of these run.
pub(crate) fn start_part(
    prefix: &[&str],
    knot: &Knot,
    index: usize,
    ends: &BTreeMap<End, OwnedFd>,
) -> Result<Child, Failure> {
    let needed = knot.ends_below(index);
    let given = || ends.iter().filter(|(end, _)| needed.contains(end));
    let orders = Orders::Part {
        knot: knot.clone(),
        index,
        ends: given().map(|(end, _)| *end).collect(),
    };
    let fds: Vec<BorrowedFd<'_>> = given().map(|(_, fd)| fd.as_fd()).collect();
    spawn(prefix, [Stdio::null(), Stdio::null()], &orders, &fds)
}

fn failed(error: io::Error) -> Failure {
    Failure::io("start a descendant", error)
}

fn spawn(
    prefix: &[&str],
    [stdout, stderr]: [Stdio; 2],
    orders: &Orders,
    fds: &[BorrowedFd<'_>],
) -> Result<Child, Failure> {
    let (ours, theirs) = UnixStream::pair().map_err(failed)?;
    let child = Command::new(executable())
        .args(prefix)
        .arg(FLAG)
        .stdin(OwnedFd::from(theirs))
        .stdout(stdout)
        .stderr(stderr)
        .spawn()
        .map_err(failed)?;
    send_orders(ours, orders, fds).map_err(failed)?;
    Ok(child)
}

/// By its real name, so that the name of the process is not `exe`; by the link if the file has been removed.
fn executable() -> PathBuf {
    match std::env::current_exe() {
        Ok(path) if path.exists() => path,
        _ => PathBuf::from("/proc/self/exe"),
    }
}

fn send_orders(mut link: UnixStream, orders: &Orders, fds: &[BorrowedFd<'_>]) -> io::Result<()> {
    let mut space = [MaybeUninit::uninit(); RIGHTS];
    let mut rights = SendAncillaryBuffer::new(&mut space);
    if !fds.is_empty() && !rights.push(SendAncillaryMessage::ScmRights(fds)) {
        return Err(io::Error::other("too many descriptors for one message"));
    }
    rustix::net::sendmsg(
        &link,
        &[IoSlice::new(b"{")],
        &mut rights,
        SendFlags::NOSIGNAL,
    )?;
    let json = serde_json::to_vec(orders)?;
    link.write_all(json.get(1..).unwrap_or_default())?;
    link.shutdown(Shutdown::Write)?;
    // To the end: then the descendant has closed the socket too, and holds nothing but what it should.
    let mut answer = Vec::new();
    link.read_to_end(&mut answer)?;
    if answer == [READY] {
        Ok(())
    } else {
        Err(io::Error::other("it ended before it was ready"))
    }
}

/// What a descendant does.
pub(crate) fn main(prefix: &[&str]) -> Result<ExitCode, Failure> {
    let failed = |error: io::Error| Failure::io("take the orders of a descendant", error);
    let link =
        rustix::io::fcntl_dupfd_cloexec(rustix::stdio::stdin(), 3).map_err(|e| failed(e.into()))?;
    let mut link = UnixStream::from(link);
    let (orders, fds) = take_orders(&mut link).map_err(failed)?;
    let null = || File::open("/dev/null").map(OwnedFd::from).map_err(failed);
    let as_stdin =
        |fd: OwnedFd| rustix::stdio::dup2_stdin(&fd).map_err(|error| failed(error.into()));
    let ready = |mut link: UnixStream| {
        // If the leader has been killed meanwhile, a forked child would live on, and so does this one.
        let _ = link.write_all(&[READY]);
    };
    let (mut background, writer) = match orders {
        Orders::Background { background, writer } => (background, writer),
        Orders::Part { knot, index, ends } => {
            as_stdin(null()?)?;
            let ends = ends.into_iter().zip(fds).collect();
            return knot::act(prefix, &knot, index, ends, || ready(link));
        }
    };
    as_stdin(match fds.into_iter().next() {
        Some(stdin) => stdin,
        None => null()?,
    })?;
    if background.session == Session::Own {
        rustix::process::setsid().map_err(|error| Failure::io("start a session", error))?;
        // Its own descendants are in it by birth.
        background.session = Session::Inherited;
    }
    if background.depth <= 1 {
        let process = Process::new(prefix, LedgerFile::none());
        return process.run(
            &background.script,
            background.script.steps_as(writer),
            || ready(link),
        );
    }
    background.depth -= 1;
    let child = start(prefix, &background, writer, &Closed::default())?;
    ready(link);
    match (background.intermediates, child) {
        (Intermediates::Wait, Some(mut child)) => {
            let status = child
                .wait()
                .map_err(|error| Failure::io("wait for a child", error))?;
            Ok(ExitCode::from(
                status
                    .code()
                    .and_then(|code| u8::try_from(code).ok())
                    .unwrap_or(0),
            ))
        }
        (Intermediates::Wait, None) | (Intermediates::Exit, _) => Ok(ExitCode::SUCCESS),
    }
}

fn take_orders(link: &mut UnixStream) -> io::Result<(Orders, Vec<OwnedFd>)> {
    let mut json = vec![0];
    let mut space = [MaybeUninit::uninit(); RIGHTS];
    let mut rights = RecvAncillaryBuffer::new(&mut space);
    let first = &mut [IoSliceMut::new(&mut json)];
    rustix::net::recvmsg(link.as_fd(), first, &mut rights, RecvFlags::CMSG_CLOEXEC)?;
    let mut fds = Vec::new();
    for message in rights.drain() {
        if let RecvAncillaryMessage::ScmRights(given) = message {
            fds.extend(given);
        }
    }
    link.read_to_end(&mut json)?;
    Ok((serde_json::from_slice(&json)?, fds))
}
