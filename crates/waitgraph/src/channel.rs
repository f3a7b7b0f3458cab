//! Channels and their ends: who holds which is what the whole reasoning turns on.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::descriptor::{Access, Descriptor, FileId, Object, Peer};
use crate::untrusted::Untrusted;

/// A channel between tasks, by the kernel's own identity for it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case", tag = "kind")]
pub enum Channel {
    /// An anonymous pipe.
    Pipe {
        /// Its inode on pipefs.
        inode: u64,
    },
    /// A named pipe.
    Fifo {
        /// The file.
        file: FileId,
        /// One of its names.
        path: Untrusted,
    },
    /// A connected pair of unix sockets, seen from one of them.
    Socket {
        /// This side.
        inode: u64,
        /// The other side.
        peer: u64,
    },
    /// A pseudo-terminal.
    Pty {
        /// The N of /dev/pts/N.
        index: u32,
        /// Device of its devpts mount, where known.
        devpts: Option<u64>,
    },
    /// An eventfd.
    Eventfd {
        /// Its `eventfd-id`.
        id: u64,
    },
}

impl Channel {
    /// The inodes by which the kernel knows it: none of a terminal and of an eventfd, two of a pair of sockets.
    pub fn inodes(&self) -> Vec<u64> {
        match self {
            Self::Pipe { inode } => vec![*inode],
            Self::Socket { inode, peer } => vec![*inode, *peer],
            Self::Fifo { file, .. } => vec![file.ino],
            Self::Pty { .. } | Self::Eventfd { .. } => vec![],
        }
    }
}

impl fmt::Display for Channel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Pipe { inode } => write!(f, "pipe:[{inode}]"),
            Self::Fifo { file, path } if path.is_empty() => {
                write!(f, "FIFO with inode {}", file.ino)
            }
            Self::Fifo { path, .. } => write!(f, "FIFO {}", path.terminal(120)),
            Self::Socket { inode, peer } => write!(f, "unix socket pair:[{inode}, {peer}]"),
            Self::Pty { index, .. } => write!(f, "terminal /dev/pts/{index}"),
            Self::Eventfd { id } => write!(f, "eventfd {id}"),
        }
    }
}

/// One end of a channel, as a descriptor holds it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum End {
    PipeRead(u64),
    PipeWrite(u64),
    FifoRead(FileId),
    FifoWrite(FileId),
    Socket(u64),
    PtyMaster(u32, Option<u64>),
    PtySlave(u32, Option<u64>),
    Eventfd(u64),
}

/// The ends that a descriptor holds: none for files, two for a pipe opened both ways.
pub(crate) fn ends_of(descriptor: &Descriptor) -> Vec<End> {
    if descriptor.access == Access::Path {
        return Vec::new();
    }
    let (reads, writes) = (descriptor.access.reads(), descriptor.access.writes());
    let mut ends = Vec::with_capacity(2);
    let mut both = |read: End, write: End| {
        if reads {
            ends.push(read);
        }
        if writes {
            ends.push(write);
        }
    };
    match &descriptor.object {
        Object::Pipe { inode } => both(End::PipeRead(*inode), End::PipeWrite(*inode)),
        Object::Fifo { file, .. } => both(End::FifoRead(*file), End::FifoWrite(*file)),
        Object::UnixSocket { inode, .. } => ends.push(End::Socket(*inode)),
        Object::PtyMaster { index, devpts } => ends.push(End::PtyMaster(*index, *devpts)),
        Object::PtySlave { index, devpts } => ends.push(End::PtySlave(*index, *devpts)),
        Object::Eventfd { id } => ends.push(End::Eventfd(*id)),
        Object::IoUring {
            registered_pipes, ..
        } => {
            // A registered file is held by the ring, whoever closed its number; which end, fdinfo does not say.
            for inode in registered_pipes {
                ends.extend([End::PipeRead(*inode), End::PipeWrite(*inode)]);
            }
        }
        Object::Pidfd { .. }
        | Object::Signalfd { .. }
        | Object::Timerfd { .. }
        | Object::Epoll { .. }
        | Object::FileEvents
        | Object::OtherSocket { .. }
        | Object::File { .. }
        | Object::Device { .. }
        | Object::Unknown { .. } => {}
    }
    ends
}

/// What somebody can do at one channel through one descriptor, and the ends whose holders can wake him.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Opposite {
    pub(crate) channel: Channel,
    pub(crate) ends: Vec<End>,
    /// Holders of these ends could in principle wake him too (a shutdown, an echo), but their absence is no gap.
    pub(crate) own_side: Vec<End>,
}

/// What somebody waits to do at a descriptor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Intent {
    Read,
    Write,
    /// Whatever can happen there, as in a poll set: a hang-up is told unasked.
    Any,
}

/// The other side of what `descriptor` refers to, for somebody who waits there. `None` if it is not a channel, or one whose other side the kernel does not name.
pub(crate) fn opposite(descriptor: &Descriptor, intent: Intent) -> Option<Opposite> {
    let (reads, writes) = (intent != Intent::Write, intent != Intent::Read);
    let mut ends = Vec::new();
    let mut own_side = Vec::new();
    let mut both = |reader_waits_for: End, writer_waits_for: End| {
        if reads && descriptor.access.reads() {
            ends.push(reader_waits_for);
        }
        if writes && descriptor.access.writes() {
            ends.push(writer_waits_for);
        }
    };
    let channel = match &descriptor.object {
        Object::Pipe { inode } => {
            both(End::PipeWrite(*inode), End::PipeRead(*inode));
            Channel::Pipe { inode: *inode }
        }
        Object::Fifo { file, path } => {
            both(End::FifoWrite(*file), End::FifoRead(*file));
            Channel::Fifo {
                file: *file,
                path: path.clone(),
            }
        }
        Object::UnixSocket {
            inode,
            peer: Peer::Inode(peer),
            ..
        } => {
            ends.push(End::Socket(*peer));
            // shutdown(2) on one's own side wakes a sleeper there.
            own_side.push(End::Socket(*inode));
            Channel::Socket {
                inode: *inode,
                peer: *peer,
            }
        }
        Object::PtyMaster { index, devpts } => {
            ends.push(End::PtySlave(*index, *devpts));
            // What is written to the master may be echoed back to it.
            own_side.push(End::PtyMaster(*index, *devpts));
            Channel::Pty {
                index: *index,
                devpts: *devpts,
            }
        }
        Object::PtySlave { index, devpts } => {
            ends.push(End::PtyMaster(*index, *devpts));
            own_side.push(End::PtySlave(*index, *devpts));
            Channel::Pty {
                index: *index,
                devpts: *devpts,
            }
        }
        Object::Eventfd { id } => {
            ends.push(End::Eventfd(*id));
            Channel::Eventfd { id: *id }
        }
        _ => return None,
    };
    Some(Opposite {
        channel,
        ends,
        own_side,
    })
}
