//! Descriptor tables: what each descriptor of a process is.

use serde::{Deserialize, Serialize};

use crate::snapshot::Pid;
use crate::untrusted::Untrusted;
use crate::wait::SignalSet;

/// A descriptor table, and how much of it is known.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Table {
    /// Every open descriptor, in ascending order.
    Complete(Vec<Descriptor>),
    /// Every descriptor that is a pipe, a FIFO, a socket, a terminal or an anonymous inode is here; plain files,
    /// directories and devices may be missing. Enough for a holder, not for a member.
    Channels(Vec<Descriptor>),
    /// It could not be read, for the reason that a gap of the same process states: it may hold anything.
    Unread,
}

impl Table {
    /// What is known to be open.
    pub fn known(&self) -> &[Descriptor] {
        match self {
            Self::Complete(descriptors) | Self::Channels(descriptors) => descriptors,
            Self::Unread => &[],
        }
    }

    /// The descriptor of that number.
    pub fn get(&self, fd: u32) -> Option<&Descriptor> {
        self.known().iter().find(|d| d.fd == fd)
    }
}

/// One open descriptor.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Descriptor {
    /// Its number.
    pub fd: u32,
    /// Which way it can be used: for a pipe, which end it is.
    pub access: Access,
    /// `flags` of fdinfo (O_NONBLOCK, O_CLOEXEC, …, in the values of the kernel's table).
    pub flags: u32,
    /// Device and inode; an anonymous inode shares its number with all others of its kind.
    pub id: Option<FileId>,
    /// What it is.
    pub object: Object,
}

/// O_NONBLOCK of [`Descriptor::flags`] (the same number on x86-64, i386 and aarch64).
pub const O_NONBLOCK: u32 = 0o4000;
/// O_CLOEXEC of [`Descriptor::flags`].
pub const O_CLOEXEC: u32 = 0o2_000_000;

/// The access mode of a descriptor.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Access {
    /// O_RDONLY.
    Read,
    /// O_WRONLY.
    Write,
    /// O_RDWR: both ends of a FIFO or pipe at once.
    Both,
    /// O_PATH: holds no end.
    Path,
    /// fdinfo could not be read; the permission bits of the link in /proc/PID/fd usually tell. Counts as both.
    Unknown,
}

impl Access {
    /// Whether one can read through it.
    pub fn reads(self) -> bool {
        matches!(self, Self::Read | Self::Both | Self::Unknown)
    }

    /// Whether one can write through it.
    pub fn writes(self) -> bool {
        matches!(self, Self::Write | Self::Both | Self::Unknown)
    }
}

/// Device and inode number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct FileId {
    /// Device of the file system (`st_dev`); 0 where it was not asked for.
    pub dev: u64,
    /// Inode number.
    pub ino: u64,
}

/// What a descriptor refers to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "kind")]
pub enum Object {
    /// An anonymous pipe, on pipefs (a file *named* `pipe:[1]` is not one).
    Pipe {
        /// Inode number on pipefs.
        inode: u64,
    },
    /// A named pipe.
    Fifo {
        /// Its identity; the path is only its name.
        file: FileId,
        /// Its path.
        path: Untrusted,
    },
    /// A unix socket.
    UnixSocket {
        /// Inode number on sockfs.
        inode: u64,
        /// The other end, by NETLINK_SOCK_DIAG.
        peer: Peer,
        /// Stream, datagram or seqpacket.
        socket: SocketKind,
        /// Descriptors in flight towards it (`scm_fds` of fdinfo), with whatever ends those are.
        fds_in_flight: u32,
        /// Whether SO_RCVTIMEO or SO_SNDTIMEO is set: only getsockopt(2) on a pidfd_getfd(2) duplicate tells, which
        /// raises no count and moves nothing. Worth it for the sockets that a blocked read or write waits on.
        timeouts: SocketTimeouts,
    },
    /// Master of a pseudo-terminal.
    PtyMaster {
        /// `tty-index` of fdinfo: the N of /dev/pts/N.
        index: u32,
        /// Device of the devpts mount; `None` where it is not known.
        devpts: Option<u64>,
    },
    /// Slave of a pseudo-terminal; /dev/tty is resolved to it by the controlling terminal.
    PtySlave {
        /// The N of /dev/pts/N.
        index: u32,
        /// Device of the devpts mount; `None` where it is not known.
        devpts: Option<u64>,
    },
    /// An eventfd.
    Eventfd {
        /// `eventfd-id` of fdinfo.
        id: u64,
    },
    /// A pidfd.
    Pidfd {
        /// `Pid` of fdinfo; `None` once reaped (-1).
        target: Option<Pid>,
    },
    /// A signalfd.
    Signalfd {
        /// `sigmask` of fdinfo: the signals that it reports.
        mask: SignalSet,
    },
    /// A timerfd.
    Timerfd {
        /// Whether `it_value` of fdinfo is other than zero.
        armed: Armed,
    },
    /// An epoll instance.
    Epoll {
        /// Its `tfd` lines.
        targets: Vec<EpollTarget>,
    },
    /// An io_uring instance.
    IoUring {
        /// Inodes of pipes among its registered files (`UserFiles` of fdinfo).
        registered_pipes: Vec<u64>,
        /// Operation numbers of its `PollList`.
        pending_ops: Vec<u32>,
    },
    /// Inotify or fanotify: file-system events from anybody.
    FileEvents,
    /// A socket of another family (inet, netlink, packet, vsock, …): the outside.
    OtherSocket {
        /// Inode number on sockfs.
        inode: u64,
        /// What the kernel calls the family, where it is known (`TCP`, `NETLINK`).
        family: Untrusted,
    },
    /// A regular file, a directory or a symbolic link.
    File {
        /// Its path.
        path: Untrusted,
    },
    /// A device, other than a pseudo-terminal.
    Device {
        /// Its path.
        path: Untrusted,
        /// Major and minor number.
        major: u32,
        /// See `major`.
        minor: u32,
    },
    /// Anything else, or what could not be told.
    Unknown {
        /// What the link says.
        link: Untrusted,
    },
}

/// The other end of a unix socket.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Peer {
    /// Its inode.
    Inode(u64),
    /// The kernel says 0: closed, or not accepted yet.
    None,
    /// A listening socket: whoever connects.
    Listening,
    /// It could not be asked for (another network namespace, no netlink).
    Unknown,
}

/// Type of a unix socket.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SocketKind {
    /// SOCK_STREAM.
    Stream,
    /// SOCK_DGRAM.
    Datagram,
    /// SOCK_SEQPACKET.
    Seqpacket,
    /// Not known.
    Unknown,
}

/// Whether calls on a socket give up by themselves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SocketTimeouts {
    /// Both options are zero.
    Unset,
    /// One of them is not.
    Set,
    /// Nobody asked; a blocking read or write is then at most probably without a timeout.
    NotLooked,
}

/// Whether a timer will fire.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Armed {
    /// It will.
    Armed,
    /// It will not.
    Disarmed,
    /// Could not be read.
    Unknown,
}

/// One `tfd` line of an epoll instance.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct EpollTarget {
    /// The number it was registered under; stays listed when that number is closed and used again.
    pub fd: u32,
    /// The events asked for.
    pub events: EventSet,
    /// `ino` and `sdev`: what it really watches.
    pub file: FileId,
}

/// Events asked for, in the bits of poll(2) and epoll_ctl(2), which agree for these.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(transparent)]
pub struct EventSet(pub u32);

impl EventSet {
    /// POLLIN and its kin (PRI, RDNORM, RDBAND, RDHUP).
    pub const READ: Self = Self(0x1 | 0x2 | 0x40 | 0x80 | 0x2000);
    /// POLLOUT and its kin (WRNORM, WRBAND).
    pub const WRITE: Self = Self(0x4 | 0x100 | 0x200);
    /// EPOLLET.
    pub const EDGE: Self = Self(1 << 31);

    /// Whether data to read wakes it.
    pub fn reads(self) -> bool {
        self.0 & Self::READ.0 != 0
    }

    /// Whether room to write wakes it.
    pub fn writes(self) -> bool {
        self.0 & Self::WRITE.0 != 0
    }

    /// Whether it is edge-triggered, so that it may sleep although data is there.
    pub fn edge_triggered(self) -> bool {
        self.0 & Self::EDGE.0 != 0
    }
}

impl Object {
    /// Whether nobody ever waits on it: /dev/null, /dev/zero, /dev/full and /dev/urandom answer at once (drivers/char/mem.c).
    pub(crate) fn is_ever_ready(&self) -> bool {
        matches!(
            self,
            Self::Device {
                major: 1,
                minor: 3 | 5 | 7 | 9,
                ..
            }
        )
    }
}
