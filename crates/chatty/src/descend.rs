//! Background descendants: chatty starts itself again, since a fork without an exec would be unsafe.
//!
//! The descendant's standard input is a socket at first. Over it come its orders, and the leader's own standard
//! input if that is to be kept (SCM_RIGHTS, unix(7)); over it goes, last of all, the one byte that says that the
//! descendant holds what it should.

use std::fs::File;
use std::io::{self, IoSlice, IoSliceMut, Read as _, Write as _};
use std::mem::MaybeUninit;
use std::net::Shutdown;
use std::os::fd::{AsFd as _, OwnedFd};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::{Child, Command, ExitCode, Stdio};

use pipeclog_scenario::script::{Background, Descriptor, Intermediates, Session};
use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags,
};
use serde::{Deserialize, Serialize};

use crate::ledger::LedgerFile;
use crate::process::{Failure, Process};
use crate::streams::Closed;

/// The flag that a descendant is started with.
pub(crate) const FLAG: &str = "--descendant";

#[derive(Serialize, Deserialize)]
struct Orders {
    background: Background,
    writer: u8,
}

const READY: u8 = b'r';

/// Starts a descendant and returns once it runs. What is left is the child to wait for, if there still is one.
pub(crate) fn start(
    prefix: &[&str],
    background: &Background,
    writer: u8,
    closed: &Closed,
) -> Result<Option<Child>, Failure> {
    let failed = |error: io::Error| Failure::io("start a descendant", error);
    let (ours, theirs) = UnixStream::pair().map_err(failed)?;
    let keeps = |descriptor| background.keep.contains(&descriptor) && !closed.has(descriptor);
    let stream = |descriptor| {
        if keeps(descriptor) {
            Stdio::inherit()
        } else {
            Stdio::null()
        }
    };
    let mut child = Command::new(executable())
        .args(prefix)
        .arg(FLAG)
        .stdin(OwnedFd::from(theirs))
        .stdout(stream(Descriptor::Stdout))
        .stderr(stream(Descriptor::Stderr))
        .spawn()
        .map_err(failed)?;
    let orders = Orders {
        background: background.clone(),
        writer,
    };
    send_orders(ours, &orders, keeps(Descriptor::Stdin)).map_err(failed)?;
    if background.depth > 1 && background.intermediates == Intermediates::Exit {
        child.wait().map_err(failed)?;
        return Ok(None);
    }
    Ok(Some(child))
}

/// By its real name, so that the name of the process is not `exe`; by the link if the file has been removed.
fn executable() -> PathBuf {
    match std::env::current_exe() {
        Ok(path) if path.exists() => path,
        _ => PathBuf::from("/proc/self/exe"),
    }
}

fn send_orders(mut link: UnixStream, orders: &Orders, keeps_stdin: bool) -> io::Result<()> {
    let stdin = [rustix::stdio::stdin()];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut rights = SendAncillaryBuffer::new(&mut space);
    if keeps_stdin {
        rights.push(SendAncillaryMessage::ScmRights(&stdin));
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
    let (orders, stdin) = take_orders(&mut link).map_err(failed)?;
    let Orders {
        mut background,
        writer,
    } = orders;
    let stdin = match stdin {
        Some(stdin) => stdin,
        None => File::open("/dev/null").map_err(failed)?.into(),
    };
    rustix::stdio::dup2_stdin(&stdin).map_err(|error| failed(error.into()))?;
    drop(stdin);
    if background.session == Session::Own {
        rustix::process::setsid().map_err(|error| Failure::io("start a session", error))?;
        // Its own descendants are in it by birth.
        background.session = Session::Inherited;
    }
    let ready = |mut link: UnixStream| {
        // If the leader has been killed meanwhile, a forked child would live on, and so does this one.
        let _ = link.write_all(&[READY]);
    };
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

fn take_orders(link: &mut UnixStream) -> io::Result<(Orders, Option<OwnedFd>)> {
    let mut json = vec![0];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut rights = RecvAncillaryBuffer::new(&mut space);
    let first = &mut [IoSliceMut::new(&mut json)];
    rustix::net::recvmsg(link.as_fd(), first, &mut rights, RecvFlags::CMSG_CLOEXEC)?;
    let stdin = rights.drain().find_map(|message| match message {
        RecvAncillaryMessage::ScmRights(mut fds) => fds.next(),
        _ => None,
    });
    link.read_to_end(&mut json)?;
    Ok((serde_json::from_slice(&json)?, stdin))
}
