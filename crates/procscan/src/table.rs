//! A descriptor table: links, kinds by `statx`, and fdinfo, put together.

use pipeclog_waitgraph::snapshot::{
    Access, Armed, Descriptor, EpollTarget, EventSet, Facet, FileId, Object, Peer, Pid, SignalSet,
    SocketKind, SocketTimeouts, Table, Untrusted,
};

use crate::decode::id;
use crate::gaps::{Gaps, Owner};
use crate::parse::{FdInfo, LinkName, Mounts};
use crate::source::{FileKind, FileStat, ReadError, Source, from_kernel_dev};

/// `O_PATH` (include/uapi/asm-generic/fcntl.h).
const O_PATH: u64 = 0o10_000_000;
/// Major numbers of pty slaves, 256 to each (Documentation/admin-guide/devices.txt).
const PTY_SLAVE_MAJORS: std::ops::RangeInclusive<u32> = 136..=143;
/// `/dev/ptmx` and `/dev/tty`.
const PTMX: (u32, u32) = (5, 2);
const OWN_TERMINAL: (u32, u32) = (5, 0);

/// How often the descriptors of a process that keeps changing them are listed.
const MOST_LISTS: u32 = 4;

/// Whether a process may change its table while it is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Pace {
    /// All of its tasks sleep.
    Asleep,
    /// Some task runs.
    Running,
}

/// Descriptors and the text of their links, ascending.
pub(crate) type Links = Vec<(u32, Vec<u8>)>;

/// Reads tables of one process.
#[derive(Clone, Copy)]
pub(crate) struct TableReader<'a> {
    pub(crate) source: &'a dyn Source,
    pub(crate) owner: Owner,
    /// The controlling terminal, by `tty_nr` of stat.
    pub(crate) tty_nr: u32,
    /// The process or the thread whose directory is read, relative to the root.
    pub(crate) directory: &'a str,
}

impl TableReader<'_> {
    /// Reads the table. What is missing of it becomes gaps.
    pub(crate) fn read(&self, pace: Pace, gaps: &mut Gaps) -> (Table, Links) {
        let links = match pace {
            Pace::Asleep => self.links(),
            Pace::Running => self.settled_links(),
        };
        match links {
            Ok(links) => (self.table(&links, gaps), links),
            Err(error) => {
                gaps.of(self.owner, Facet::Descriptors, &error);
                (Table::Unread, Vec::new())
            }
        }
    }

    /// The table behind links that were read.
    pub(crate) fn table(&self, links: &Links, gaps: &mut Gaps) -> Table {
        let fds: Vec<u32> = links.iter().map(|(fd, _)| *fd).collect();
        let path = format!("{}/fd", self.directory);
        let mut stats = match self.source.files(&path, &fds) {
            Ok(stats) => stats.into_iter(),
            Err(error) => {
                gaps.of(self.owner, Facet::Descriptors, &error);
                Vec::new().into_iter()
            }
        };
        let mut descriptors = Vec::with_capacity(links.len());
        for (fd, text) in links {
            let stat = match stats.next() {
                Some(Ok(stat)) => Some(stat),
                Some(Err(error)) => {
                    gaps.of(self.owner, Facet::Descriptors, &error);
                    None
                }
                None => None,
            };
            descriptors.push(self.descriptor(*fd, text, stat, gaps));
        }
        Table::Complete(descriptors)
    }

    /// Every descriptor and the text of its link, ascending.
    pub(crate) fn links(&self) -> Result<Links, ReadError> {
        let mut links = Vec::new();
        let path = format!("{}/fd", self.directory);
        self.source
            .descriptors(&path, &mut |fd, text| links.push((fd, text.to_vec())))?;
        links.sort_unstable();
        Ok(links)
    }

    /// The links of a process that runs meanwhile: `dup2(4, 1); close(4)` between the reading of 1 and of 4 hides what it has
    /// open all the time, so they are listed until two lists agree, or as often as is worth it.
    fn settled_links(&self) -> Result<Links, ReadError> {
        let mut links = self.links()?;
        for _ in 0..MOST_LISTS {
            let again = self.links()?;
            if again == links {
                break;
            }
            links = again;
        }
        Ok(links)
    }

    fn descriptor(
        &self,
        fd: u32,
        text: &[u8],
        stat: Option<FileStat>,
        gaps: &mut Gaps,
    ) -> Descriptor {
        let name = LinkName::parse(text);
        let info = match self.info(fd, name) {
            Ok(info) => Some(info),
            Err(error) => {
                gaps.of(self.owner, Facet::DescriptorInfo, &error);
                None
            }
        };
        let flags = info.as_ref().map(|info| info.flags);
        let object = match stat {
            Some(stat) => self.object(fd, text, name, &stat, info),
            // What it is cannot be told without statx: a name proves nothing.
            None => Object::Unknown {
                link: Untrusted::new(text),
            },
        };
        Descriptor {
            fd,
            access: flags.map_or(Access::Unknown, access),
            flags: flags
                .and_then(|flags| u32::try_from(flags).ok())
                .unwrap_or(0),
            id: stat.as_ref().map(id),
            object,
        }
    }

    fn info(&self, fd: u32, name: LinkName<'_>) -> Result<FdInfo, ReadError> {
        let path = format!("{}/fdinfo/{fd}", self.directory);
        let text = match name {
            // The kernel takes a lock of theirs to print them, and may hold it while it asks a file system.
            LinkName::Anonymous(b"eventpoll" | b"inotify" | b"fanotify") => {
                self.source.read_bounded(&path)?
            }
            _ => {
                let mut text = Vec::new();
                self.source.read(&path, &mut text)?;
                text
            }
        };
        FdInfo::parse(&text)
            .map_err(|_| ReadError::new("parse", &path, crate::source::Cause::Malformed))
    }

    fn object(
        &self,
        fd: u32,
        text: &[u8],
        name: LinkName<'_>,
        stat: &FileStat,
        info: Option<FdInfo>,
    ) -> Object {
        let path = || Untrusted::new(text);
        match (stat.kind(), name) {
            (FileKind::Fifo, LinkName::Pipe(inode)) if inode == stat.inode => {
                Object::Pipe { inode }
            }
            (FileKind::Fifo, LinkName::Path(_)) => Object::Fifo {
                file: id(stat),
                path: path(),
            },
            (FileKind::Socket, LinkName::Socket(inode)) => self.socket(fd, inode, info.as_ref()),
            (FileKind::CharDevice, _) => self.device(text, stat, info.as_ref()),
            (FileKind::BlockDevice, _) => {
                let (major, minor) = stat.rdev;
                Object::Device {
                    path: path(),
                    major,
                    minor,
                }
            }
            (FileKind::Plain, LinkName::Path(_)) => Object::File { path: path() },
            // Anonymous inodes have no type bits; since 6.x a pidfd is a regular file of pidfs.
            (FileKind::Anonymous | FileKind::Plain, LinkName::Anonymous(_) | LinkName::Pidfd) => {
                anonymous(name, text, info)
            }
            _ => Object::Unknown { link: path() },
        }
    }

    fn socket(&self, fd: u32, inode: u64, info: Option<&FdInfo>) -> Object {
        let protocol = self.source.protocol(&format!("{}/fd/{fd}", self.directory));
        let family = protocol.unwrap_or_default();
        let in_flight = info.and_then(|info| info.descriptors_in_flight);
        // Only unix sockets print `scm_fds`.
        if family.starts_with(b"UNIX") || (family.is_empty() && in_flight.is_some()) {
            Object::UnixSocket {
                inode,
                peer: Peer::Unknown,
                socket: SocketKind::Unknown,
                fds_in_flight: in_flight
                    .and_then(|count| u32::try_from(count).ok())
                    .unwrap_or(0),
                timeouts: SocketTimeouts::NotLooked,
            }
        } else {
            Object::OtherSocket {
                inode,
                family: Untrusted::new(family),
            }
        }
    }

    fn device(&self, text: &[u8], stat: &FileStat, info: Option<&FdInfo>) -> Object {
        let (major, minor) = stat.rdev;
        if PTY_SLAVE_MAJORS.contains(&major) {
            return Object::PtySlave {
                index: slave_index(major, minor),
                devpts: Some(stat.dev()),
            };
        }
        let tty = crate::source::split_tty(self.tty_nr);
        match (stat.rdev, info.and_then(|info| info.tty_index)) {
            (PTMX, Some(index)) => Object::PtyMaster {
                index,
                devpts: self.devpts(text, stat),
            },
            (OWN_TERMINAL, _) if PTY_SLAVE_MAJORS.contains(&tty.0) => Object::PtySlave {
                index: slave_index(tty.0, tty.1),
                devpts: None,
            },
            _ => Object::Device {
                path: Untrusted::new(text),
                major,
                minor,
            },
        }
    }

    /// The devpts that a master belongs to: its own file system, or for a `/dev/ptmx` outside of one the devpts that
    /// its opener saw beside it (kernel `devpts_acquire`).
    fn devpts(&self, text: &[u8], stat: &FileStat) -> Option<u64> {
        let path = format!("{}/mountinfo", self.directory);
        let mountinfo = self.source.read_list(&path).ok()?;
        let mounts = Mounts::parse(&mountinfo);
        if mounts.kind_of(stat.device) == Some(b"devpts") {
            return Some(stat.dev());
        }
        let beside = [text.strip_suffix(b"ptmx")?, b"pts"].concat();
        let mount = mounts.at(&beside)?;
        (mount.kind == b"devpts").then(|| crate::source::makedev(mount.device))
    }
}

fn slave_index(major: u32, minor: u32) -> u32 {
    (major - PTY_SLAVE_MAJORS.start()) * 256 + minor
}

fn access(flags: u64) -> Access {
    if flags & O_PATH != 0 {
        return Access::Path;
    }
    match flags & 3 {
        0 => Access::Read,
        1 => Access::Write,
        2 => Access::Both,
        _ => Access::Unknown,
    }
}

fn anonymous(name: LinkName<'_>, text: &[u8], info: Option<FdInfo>) -> Object {
    let unknown = || Object::Unknown {
        link: Untrusted::new(text),
    };
    let Some(info) = info else {
        return unknown();
    };
    let kind = match name {
        LinkName::Pidfd => b"pidfd",
        LinkName::Anonymous(kind) => kind,
        _ => return unknown(),
    };
    match kind {
        b"eventpoll" => Object::Epoll {
            targets: targets(&info),
        },
        b"eventfd" => match info.eventfd_id {
            Some(id) => Object::Eventfd { id },
            None => unknown(),
        },
        b"timerfd" => Object::Timerfd {
            armed: match info.timer_armed {
                Some(true) => Armed::Armed,
                Some(false) => Armed::Disarmed,
                None => Armed::Unknown,
            },
        },
        b"signalfd" => match info.signals {
            Some(mask) => Object::Signalfd {
                mask: SignalSet(mask),
            },
            None => unknown(),
        },
        b"pidfd" => Object::Pidfd {
            target: info
                .pidfd
                .and_then(|pid| u32::try_from(pid).ok())
                .filter(|&pid| pid != 0)
                .map(Pid),
        },
        b"inotify" | b"fanotify" => Object::FileEvents,
        b"io_uring" => Object::IoUring {
            registered_pipes: info
                .uring_files
                .iter()
                .filter_map(|name| pipe(name))
                .collect(),
            pending_ops: info.uring_polls,
        },
        _ => unknown(),
    }
}

fn targets(info: &FdInfo) -> Vec<EpollTarget> {
    let target = |watched: &crate::parse::Watched| EpollTarget {
        fd: watched.fd,
        events: EventSet(watched.events),
        file: FileId {
            dev: watched.device.map_or(0, from_kernel_dev),
            ino: watched.inode.unwrap_or(0),
        },
    };
    info.watched.iter().map(target).collect()
}

fn pipe(name: &[u8]) -> Option<u64> {
    match LinkName::parse(name) {
        LinkName::Pipe(inode) => Some(inode),
        _ => None,
    }
}
