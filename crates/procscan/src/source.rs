//! Where facts come from: a live `/proc`, or one that was recorded. Whatever the scan learns, it learns through
//! [`Source`], so a recorded tree replays, and so this file and its two implementations are all that touches the
//! outside.

mod live;
mod recorded;
mod recorder;

pub(crate) use live::Live;
pub(crate) use recorded::Recorded;
pub(crate) use recorder::Recorder;

use std::io;

use pipeclog_waitgraph::snapshot::{Abi, GapKind, SocketTimeouts, Untrusted};

use crate::parse::Hierarchy;

/// What a scan may ask. Paths are relative to the root (`812/task/812/syscall`). No call opens what a target has
/// open, and none waits for a target or its file systems longer than the source's bound.
pub(crate) trait Source: Send + Sync {
    /// Facts that no file of `/proc` holds.
    fn facts(&self) -> Facts;

    /// Replaces `text` by the content of a file that the kernel answers by itself, and in one piece.
    fn read(&self, path: &str, text: &mut Vec<u8>) -> Result<(), ReadError>;

    /// The content of a file that is a list, which the kernel hands out record by record (`locks`, `timers`,
    /// `mountinfo`).
    fn read_list(&self, path: &str) -> Result<Vec<u8>, ReadError>;

    /// The content of a file for which the kernel takes the target's locks or reads the target's memory
    /// (`cmdline`, `maps`) or another file system's (fdinfo of an epoll set): bounded.
    fn read_bounded(&self, path: &str) -> Result<Vec<u8>, ReadError>;

    /// The text of a link; it is not followed.
    fn link(&self, path: &str) -> Result<Vec<u8>, ReadError>;

    /// The entries of a directory that are numbers, ascending: processes, tasks.
    fn numbers(&self, path: &str) -> Result<Vec<u32>, ReadError>;

    /// Shows each descriptor of a directory `…/fd` and the text of its link, in the directory's order. Those closed
    /// in the meantime are passed over.
    fn descriptors(&self, path: &str, show: &mut dyn FnMut(u32, &[u8])) -> Result<(), ReadError>;

    /// What kind of file each descriptor of a directory `…/fd` refers to, by `statx` through the link: bounded.
    fn files(&self, path: &str, fds: &[u32])
    -> Result<Vec<Result<FileStat, ReadError>>, ReadError>;

    /// What the kernel calls the protocol of a socket (`TCP`, `UNIX-STREAM`), by the attribute
    /// `system.sockprotoname` of its link.
    fn protocol(&self, path: &str) -> Result<Vec<u8>, ReadError>;

    /// Bytes of a process's memory; fewer than asked for if the mapping ends: bounded.
    fn memory(&self, pid: u32, address: u64, len: usize) -> Result<Vec<u8>, ReadError>;

    /// The file that a path names for a process, found without opening it and without asking a file system:
    /// relative to its root, its working directory or one of its descriptors.
    fn resolve(&self, pid: u32, from: Start, path: &[u8]) -> Result<FileStat, ReadError>;

    /// Whether `SO_RCVTIMEO` or `SO_SNDTIMEO` of a socket is set, asked of a duplicate that lives for that long.
    fn socket_timeouts(&self, pid: u32, fd: u32) -> Result<SocketTimeouts, ReadError>;

    /// What is inside a pipe or a socket, by a duplicate of a reading end with that inode: bounded. The one thing that is no
    /// passive look, so it is asked for by name alone.
    fn contents(&self, pid: u32, fd: u32, _inode: u64) -> Result<Contents, ReadError> {
        let path = format!("{pid}/fd/{fd}");
        Err(ReadError::new("look into", &path, Cause::Unsupported))
    }

    /// The file of a control group that says whether it is frozen (`cgroup.events` or `freezer.state`).
    fn freezer(&self, hierarchy: Hierarchy, group: &[u8]) -> Result<Vec<u8>, ReadError>;

    /// Every unix socket of the network namespace that a process lives in; `None` asks for the observer's own.
    fn unix_sockets(&self, pid: Option<u32>) -> Result<Vec<UnixSocket>, ReadError>;

    /// Ends a pass: a recorder writes down what is no file.
    fn settle(&self) -> Result<(), ReadError> {
        Ok(())
    }
}

/// Facts that no file of `/proc` holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub(crate) struct Facts {
    /// The system-call table of a 64-bit program on that machine.
    pub(crate) abi: Abi,
    /// Clock ticks a second.
    pub(crate) ticks_per_second: u32,
    /// The observer's effective user.
    pub(crate) uid: u32,
}

/// Where a path begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Start {
    /// The working directory, unless the path is absolute.
    Cwd,
    /// The directory that a descriptor refers to, unless the path is absolute.
    Descriptor(u32),
}

/// What `statx` says of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub(crate) struct FileStat {
    /// Type and permissions (`st_mode`).
    pub(crate) mode: u32,
    /// Major and minor number of the file system's device.
    pub(crate) device: (u32, u32),
    /// Inode number.
    pub(crate) inode: u64,
    /// Major and minor number, of a device file.
    pub(crate) rdev: (u32, u32),
}

/// The type bits of `st_mode` (man 7 inode).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum FileKind {
    Fifo,
    Socket,
    CharDevice,
    BlockDevice,
    /// Regular files, directories, links.
    Plain,
    /// No type bits: anonymous inodes have none.
    Anonymous,
}

impl FileStat {
    pub(crate) fn kind(&self) -> FileKind {
        match self.mode & 0o170_000 {
            0o010_000 => FileKind::Fifo,
            0o140_000 => FileKind::Socket,
            0o020_000 => FileKind::CharDevice,
            0o060_000 => FileKind::BlockDevice,
            0 => FileKind::Anonymous,
            _ => FileKind::Plain,
        }
    }

    /// The device as one number, in the encoding of `dev_t` in user space (`makedev(3)`).
    pub(crate) fn dev(&self) -> u64 {
        makedev(self.device)
    }
}

/// The number that `st_dev` holds for a device (glibc's `gnu_dev_makedev`; man 3 makedev).
pub(crate) fn makedev((major, minor): (u32, u32)) -> u64 {
    let (major, minor) = (u64::from(major), u64::from(minor));
    (major & 0xfff) << 8 | (major & !0xfff) << 32 | minor & 0xff | (minor & !0xff) << 12
}

/// The device behind the kernel's own encoding, which epoll's fdinfo prints as `sdev` (20 bits of minor;
/// kernel `include/linux/kdev_t.h`).
pub(crate) fn from_kernel_dev(device: u64) -> u64 {
    let minor = u32::try_from(device & 0xf_ffff).unwrap_or(0);
    makedev((u32::try_from(device >> 20).unwrap_or(u32::MAX), minor))
}

/// Major and minor number of `tty_nr` (man 5 proc_pid_stat: bits 15 to 8, and 31 to 20 with 7 to 0).
pub(crate) fn split_tty(number: u32) -> (u32, u32) {
    (
        (number >> 8) & 0xfff,
        number & 0xff | (number >> 12) & 0xfff00,
    )
}

/// A unix socket as SOCK_DIAG describes it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub(crate) struct UnixSocket {
    /// Its inode.
    pub(crate) inode: u32,
    /// The inode of the other end; `None` if closed or not accepted yet.
    pub(crate) peer: Option<u32>,
    /// `SOCK_STREAM` 1, `SOCK_DGRAM` 2, `SOCK_SEQPACKET` 5.
    pub(crate) kind: u8,
    /// `TCP_LISTEN` 10 for a listening one.
    pub(crate) state: u8,
    /// For one that has connected and is not accepted yet, the listening socket that it waits at.
    pub(crate) listener: Option<u32>,
}

/// What is inside a pipe or a socket.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Contents {
    pub(crate) unread_bytes: u64,
    /// Of a pipe.
    pub(crate) capacity_bytes: Option<u64>,
    pub(crate) head: Untrusted,
}

/// A file or a fact that could not be had.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("failed to {action} {path}: {cause}")]
pub(crate) struct ReadError {
    /// What was tried.
    pub(crate) action: &'static str,
    /// On what, relative to the root.
    pub(crate) path: String,
    /// Why.
    pub(crate) cause: Cause,
}

/// Why a fact could not be had.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, thiserror::Error, serde::Serialize, serde::Deserialize,
)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Cause {
    /// ENOENT, ESRCH: normal for what ends while it is looked at; also a file that this kernel does not have.
    #[error("it is not there")]
    Gone,
    /// EACCES, EPERM.
    #[error("permission denied")]
    Denied,
    /// The bound passed.
    #[error("no answer within the bound")]
    TimedOut,
    /// The kernel lacks it (ENOSYS, EOPNOTSUPP, EINVAL on an unknown flag).
    #[error("the kernel does not offer it")]
    Unsupported,
    /// The answer would have to come from a file system that may hang, so it was not asked for.
    #[error("its file system may hang the reader")]
    MayHang,
    /// The answer made no sense.
    #[error("the answer makes no sense")]
    Malformed,
    /// Anything else, as its number (man 3 errno).
    #[error("errno {0}")]
    Other(i32),
}

impl ReadError {
    pub(crate) fn new(action: &'static str, path: &str, cause: Cause) -> Self {
        Self {
            action,
            path: path.to_owned(),
            cause,
        }
    }

    pub(crate) fn from_io(action: &'static str, path: &str, error: &io::Error) -> Self {
        Self::new(
            action,
            path,
            Cause::from_errno(error.raw_os_error().unwrap_or(0)),
        )
    }

    /// The kind of gap that it leaves.
    pub(crate) fn gap_kind(&self) -> GapKind {
        match self.cause {
            Cause::Gone => GapKind::Vanished,
            Cause::Denied => GapKind::Denied,
            Cause::TimedOut => GapKind::TimedOut,
            Cause::Unsupported | Cause::Other(_) => GapKind::Unsupported,
            Cause::MayHang => GapKind::NotLooked,
            Cause::Malformed => GapKind::Malformed,
        }
    }
}

impl Cause {
    pub(crate) fn from_errno(errno: i32) -> Self {
        use nix::libc;
        match errno {
            libc::ENOENT | libc::ESRCH => Self::Gone,
            libc::EACCES | libc::EPERM => Self::Denied,
            libc::ENOSYS | libc::EOPNOTSUPP | libc::EINVAL => Self::Unsupported,
            // RESOLVE_CACHED: a file system would have to be asked.
            libc::EAGAIN => Self::MayHang,
            // A copy from memory that is not mapped any more.
            libc::EFAULT => Self::Malformed,
            other => Self::Other(other),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn device_numbers_agree_with_the_c_library() {
        for (major, minor) in [
            (0, 15),
            (254, 0),
            (136, 3),
            (0xfff, 0xf_ffff),
            (0x12345, 0x23456),
        ] {
            let expected = nix::libc::makedev(major, minor);
            assert_eq!(makedev((major, minor)), expected, "{major}:{minor}");
        }
        // `sdev:fe00000` of an ext4 on 254:0.
        assert_eq!(from_kernel_dev(0xfe0_0000), makedev((254, 0)));
        assert_eq!(from_kernel_dev(0xf), makedev((0, 15)));
    }
}
