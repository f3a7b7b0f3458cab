//! Who outlives the command and still holds its stdout or stderr: whoever reads those to their end waits for them.

use std::os::fd::AsFd;

use nix::sys::stat::{SFlag, fstat};
use pipeclog_procscan::{ScanError, Scanner, Selection, children};
use pipeclog_waitgraph::Untrusted;
use pipeclog_waitgraph::snapshot::{FileId, Object, Pid};

/// A standard stream that somebody may wait for the end of: a pipe, a FIFO or a socket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Stream {
    name: &'static str,
    file: FileId,
}

/// A process that outlives the command and holds its output open.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Holder {
    /// Its number.
    pub pid: Pid,
    /// Its name.
    pub name: Untrusted,
    /// Its arguments.
    pub command: Vec<Untrusted>,
    /// Which streams: `stdout`, `stderr`.
    pub holds: Vec<&'static str>,
}

/// The stream behind a descriptor; nothing for files and terminals, which have no end to wait for.
pub(crate) fn stream(name: &'static str, fd: impl AsFd) -> Option<Stream> {
    let stat = fstat(fd).ok()?;
    let kind = SFlag::from_bits_truncate(stat.st_mode) & SFlag::S_IFMT;
    (kind == SFlag::S_IFIFO || kind == SFlag::S_IFSOCK).then_some(Stream {
        name,
        file: FileId {
            dev: stat.st_dev,
            ino: stat.st_ino,
        },
    })
}

/// One look at those that the command left behind, which are this process's children by now. Costs nothing if there are none.
pub(crate) fn take(streams: &[Stream]) -> Result<Vec<Holder>, ScanError> {
    if streams.is_empty() || children::of_this_process().is_empty() {
        return Ok(Vec::new());
    }
    let own = Pid(std::process::id());
    let look = Scanner::new("/proc")?.scan(&Selection::Tree(vec![own]))?;
    let is_left_behind = |pid: Pid| {
        let ancestors = std::iter::successors(look.process(pid), |p| look.process(p.ppid));
        // No line of descent is longer than there are processes, however torn the look may be.
        ancestors
            .take(look.processes.len())
            .any(|ancestor| ancestor.ppid == own)
    };
    let mut holders = Vec::new();
    for process in look.processes.iter().filter(|p| is_left_behind(p.pid)) {
        let mut holds: Vec<&'static str> = Vec::new();
        for descriptor in process.table.known().iter().filter(|d| d.access.writes()) {
            let held = streams
                .iter()
                .filter(|stream| is_same(&descriptor.object, stream.file));
            holds.extend(held.map(|stream| stream.name));
        }
        holds.sort_unstable_by(|a, b| b.cmp(a));
        holds.dedup();
        if !holds.is_empty() {
            holders.push(Holder {
                pid: process.pid,
                name: process.comm.clone(),
                command: process.cmdline.clone(),
                holds,
            });
        }
    }
    Ok(holders)
}

fn is_same(object: &Object, stream: FileId) -> bool {
    match object {
        Object::Pipe { inode }
        | Object::UnixSocket { inode, .. }
        | Object::OtherSocket { inode, .. } => *inode == stream.ino,
        Object::Fifo { file, .. } => *file == stream,
        _ => false,
    }
}
