//! The live `/proc`: a directory descriptor and relative paths, so that nothing is looked up twice and a mount over
//! the root in mid-scan changes nothing.

use std::ffi::{CStr, OsStr};
use std::io::IoSliceMut;
use std::mem::MaybeUninit;
use std::ops::ControlFlow;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use nix::sys::uio::{RemoteIoVec, process_vm_readv};
use nix::unistd::Pid;
use pipeclog_waitgraph::snapshot::{Abi, SocketTimeouts};
use rustix::fs::{AtFlags, Mode, OFlags, RawDir, ResolveFlags, Statx, StatxFlags};
use rustix::path::DecInt;

use super::{Cause, Contents, Facts, FileStat, ReadError, Source, Start, UnixSocket};
use crate::duplicate;
use crate::lane::Lane;
use crate::parse::{Hierarchy, Mount, Mounts};
use crate::sockdiag;

/// Longest link text that the kernel gives out: it formats the path into one page.
const LONGEST_LINK: usize = 4096;
/// Most of a bounded file that is read: `cmdline` and `maps` may be of any size, and the rest is of no use.
const MOST_OF_A_FILE: usize = 4 << 20;

/// What is tried on a directory of descriptors.
const LINKS: &str = "read the links of";
const STAT: &str = "stat the descriptors of";

/// See the module.
#[derive(Debug)]
pub(crate) struct Live {
    base: PathBuf,
    root: Arc<OwnedFd>,
    lane: Lane,
    freezers: OnceLock<Freezers>,
}

#[derive(Debug, Default)]
struct Freezers {
    unified: Option<PathBuf>,
    freezer: Option<PathBuf>,
}

impl Live {
    /// Opens a mounted procfs. `bound` is how long one question that may hang is waited for.
    pub(crate) fn open(base: &Path, bound: Duration) -> Result<Self, ReadError> {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let root = rustix::fs::open(base, flags, Mode::empty())
            .map_err(|errno| failed("open", &base.to_string_lossy(), errno))?;
        Ok(Self {
            base: base.to_owned(),
            root: Arc::new(root),
            lane: Lane::new(bound),
            freezers: OnceLock::new(),
        })
    }

    /// Where the hierarchies that can freeze are mounted, found once.
    fn freezers(&self) -> &Freezers {
        self.freezers.get_or_init(|| {
            let Ok(text) = self.read_list("self/mountinfo") else {
                return Freezers::default();
            };
            let mounts = Mounts::parse(&text);
            let point = |mount: &Mount| PathBuf::from(OsStr::from_bytes(&mount.point));
            let v1 = |mount: &&Mount| mount.kind == b"cgroup" && mount.option(b"freezer").is_some();
            Freezers {
                unified: mounts
                    .iter()
                    .find(|mount| mount.kind == b"cgroup2")
                    .map(point),
                freezer: mounts.iter().find(v1).map(point),
            }
        })
    }

    fn open_directory(&self, action: &'static str, path: &str) -> Result<OwnedFd, ReadError> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        rustix::fs::openat(&*self.root, path, flags, Mode::empty())
            .map_err(|errno| failed(action, path, errno))
    }

    fn ask<T: Send + 'static>(
        &self,
        action: &'static str,
        path: &str,
        question: impl FnOnce(BorrowedFd<'_>) -> Result<T, rustix::io::Errno> + Send + 'static,
    ) -> Result<T, ReadError> {
        let root = Arc::clone(&self.root);
        match self.lane.ask(move || question(root.as_fd())) {
            Ok(answer) => answer.map_err(|errno| failed(action, path, errno)),
            Err(_) => Err(ReadError::new(action, path, Cause::TimedOut)),
        }
    }
}

impl Source for Live {
    fn facts(&self) -> Facts {
        let abi = match std::env::consts::ARCH {
            "x86_64" => Abi::X86_64,
            "x86" => Abi::I386,
            "aarch64" => Abi::Aarch64,
            _ => Abi::Unknown,
        };
        let ticks = rustix::param::clock_ticks_per_second();
        Facts {
            abi,
            ticks_per_second: u32::try_from(ticks).unwrap_or(100),
            uid: rustix::process::geteuid().as_raw(),
        }
    }

    fn read(&self, path: &str, text: &mut Vec<u8>) -> Result<(), ReadError> {
        read_at(self.root.as_fd(), path, text, Pieces::One)
            .map_err(|errno| failed("read", path, errno))
    }

    fn read_list(&self, path: &str) -> Result<Vec<u8>, ReadError> {
        let mut text = Vec::new();
        read_at(self.root.as_fd(), path, &mut text, Pieces::Many)
            .map_err(|errno| failed("read", path, errno))?;
        Ok(text)
    }

    fn read_bounded(&self, path: &str) -> Result<Vec<u8>, ReadError> {
        let owned = path.to_owned();
        self.ask("read", path, move |root| {
            let mut text = Vec::new();
            read_at(root, &owned, &mut text, Pieces::Many)?;
            Ok(text)
        })
    }

    fn link(&self, path: &str) -> Result<Vec<u8>, ReadError> {
        let mut buffer = [MaybeUninit::uninit(); LONGEST_LINK];
        let (text, _) = rustix::fs::readlinkat_raw(&*self.root, path, &mut buffer)
            .map_err(|errno| failed("read the link", path, errno))?;
        Ok(text.to_vec())
    }

    fn numbers(&self, path: &str) -> Result<Vec<u32>, ReadError> {
        let directory = self.open_directory("list", path)?;
        let mut numbers = Vec::new();
        each_number(&directory, |number, _| {
            numbers.push(number);
            ControlFlow::Continue(())
        })
        .map_err(|errno| failed("list", path, errno))?;
        numbers.sort_unstable();
        Ok(numbers)
    }

    fn descriptors(&self, path: &str, show: &mut dyn FnMut(u32, &[u8])) -> Result<(), ReadError> {
        let directory = self.open_directory(LINKS, path)?;
        let mut buffer = [MaybeUninit::uninit(); LONGEST_LINK];
        let mut refused = None;
        each_number(&directory, |fd, name| {
            match rustix::fs::readlinkat_raw(&directory, name, &mut buffer) {
                Ok((text, _)) => show(fd, text),
                Err(rustix::io::Errno::NOENT) => {}
                // Who may not read one may read none.
                Err(errno) => {
                    refused = Some(errno);
                    return ControlFlow::Break(());
                }
            }
            ControlFlow::Continue(())
        })
        .map_err(|errno| failed(LINKS, path, errno))?;
        match refused {
            None => Ok(()),
            Some(errno) => Err(failed(LINKS, path, errno)),
        }
    }

    fn files(
        &self,
        path: &str,
        fds: &[u32],
    ) -> Result<Vec<Result<FileStat, ReadError>>, ReadError> {
        let directory = self.open_directory(STAT, path)?;
        let numbers = fds.to_vec();
        let stats = self.ask(STAT, path, move |_| {
            let stat = |&fd| statx(&directory, DecInt::new(fd).as_c_str());
            Ok(numbers.iter().map(stat).collect::<Vec<_>>())
        })?;
        let named = |(stat, fd): (Result<_, _>, &u32)| {
            stat.map_err(|errno| failed("stat", &format!("{path}/{fd}"), errno))
        };
        Ok(stats.into_iter().zip(fds).map(named).collect())
    }

    fn protocol(&self, path: &str) -> Result<Vec<u8>, ReadError> {
        let mut buffer = [0_u8; 32];
        let full = self.base.join(path);
        let len = rustix::fs::getxattr(&full, c"system.sockprotoname", &mut buffer)
            .map_err(|errno| failed("ask for the protocol of", path, errno))?;
        // The kernel counts the terminating zero, and fills up with it.
        let text = buffer.get(..len).unwrap_or_default();
        Ok(text
            .split(|&byte| byte == 0)
            .next()
            .unwrap_or_default()
            .to_vec())
    }

    fn memory(&self, pid: u32, address: u64, len: usize) -> Result<Vec<u8>, ReadError> {
        let path = format!("{pid}/mem");
        let place = usize::try_from(address);
        let (Ok(base), Ok(raw)) = (place, i32::try_from(pid)) else {
            return Err(ReadError::new(
                "read the memory of",
                &path,
                Cause::Malformed,
            ));
        };
        self.ask("read the memory of", &path, move |_| {
            let mut bytes = vec![0; len];
            let remote = [RemoteIoVec { base, len }];
            let mut local = [IoSliceMut::new(&mut bytes)];
            let read = process_vm_readv(Pid::from_raw(raw), &mut local, &remote)
                .map_err(|errno| rustix::io::Errno::from_raw_os_error(errno as i32))?;
            bytes.truncate(read);
            Ok(bytes)
        })
    }

    fn resolve(&self, pid: u32, from: Start, path: &[u8]) -> Result<FileStat, ReadError> {
        let absolute = path.first() == Some(&b'/');
        let start = match from {
            _ if absolute => format!("{pid}/root"),
            Start::Cwd => format!("{pid}/cwd"),
            Start::Descriptor(fd) => format!("{pid}/fd/{fd}"),
        };
        let named = format!("{start}, {}", path.escape_ascii());
        let path = path.to_vec();
        self.ask("resolve a path from", &named, move |root| {
            let flags = OFlags::PATH | OFlags::CLOEXEC;
            let start = rustix::fs::openat(root, start, flags | OFlags::DIRECTORY, Mode::empty())?;
            // CACHED: only what the kernel has in its cache, so no file system is asked and none can hang us. The
            // target has just looked the path up, so it is there. A relative path may leave its directory by `..`,
            // which IN_ROOT would forbid.
            let mut how = ResolveFlags::CACHED | ResolveFlags::NO_MAGICLINKS;
            if absolute {
                how |= ResolveFlags::IN_ROOT;
            }
            // PATH does not open the file (man 2 open): nobody who waits in open(2) of this FIFO is let go.
            let file = rustix::fs::openat2(&start, path, flags, Mode::empty(), how)?;
            statx_of(&file, c"", AtFlags::EMPTY_PATH)
        })
    }

    fn socket_timeouts(&self, pid: u32, fd: u32) -> Result<SocketTimeouts, ReadError> {
        duplicate::socket_timeouts(pid, fd)
    }

    fn contents(&self, pid: u32, fd: u32, inode: u64) -> Result<Contents, ReadError> {
        let path = format!("{pid}/fd/{fd}");
        match self.lane.ask(move || duplicate::contents(pid, fd, inode)) {
            Ok(answer) => answer,
            Err(_) => Err(ReadError::new("look into", &path, Cause::TimedOut)),
        }
    }

    fn freezer(&self, hierarchy: Hierarchy, group: &[u8]) -> Result<Vec<u8>, ReadError> {
        let (mount, file) = match hierarchy {
            Hierarchy::Unified => (self.freezers().unified.as_ref(), "cgroup.events"),
            Hierarchy::Freezer => (self.freezers().freezer.as_ref(), "freezer.state"),
        };
        let named = group.escape_ascii().to_string();
        let Some(mount) = mount else {
            return Err(ReadError::new(
                "find the mount of control group",
                &named,
                Cause::Unsupported,
            ));
        };
        let group = OsStr::from_bytes(group.strip_prefix(b"/").unwrap_or(group));
        let path = mount.join(group).join(file);
        std::fs::read(&path)
            .map_err(|error| ReadError::from_io("read", &path.to_string_lossy(), &error))
    }

    fn unix_sockets(&self, pid: Option<u32>) -> Result<Vec<UnixSocket>, ReadError> {
        let Some(pid) = pid else {
            return sockdiag::unix_sockets();
        };
        let path = format!("{pid}/ns/net");
        let flags = OFlags::RDONLY | OFlags::CLOEXEC;
        let namespace = rustix::fs::openat(&*self.root, &path, flags, Mode::empty())
            .map_err(|errno| failed("open", &path, errno))?;
        sockdiag::unix_sockets_in(namespace, &path)
    }
}

fn failed(action: &'static str, path: &str, errno: rustix::io::Errno) -> ReadError {
    ReadError::new(action, path, Cause::from_errno(errno.raw_os_error()))
}

/// How the kernel hands out a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Pieces {
    /// Formatted whole (`single_open`): what is shorter than the room that it was given is all of it, and one call
    /// is saved.
    One,
    /// Record by record: a short piece says nothing, only an empty one does.
    Many,
}

/// Reads a whole file.
fn read_at(
    root: BorrowedFd<'_>,
    path: &str,
    text: &mut Vec<u8>,
    pieces: Pieces,
) -> Result<(), rustix::io::Errno> {
    let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NOFOLLOW;
    let file = rustix::fs::openat(root, path, flags, Mode::empty())?;
    text.clear();
    loop {
        text.reserve(4096);
        let room = text.capacity() - text.len();
        match rustix::io::read(&file, rustix::buffer::spare_capacity(text)) {
            Ok(0) => return Ok(()),
            Ok(len) if pieces == Pieces::One && len < room => return Ok(()),
            Ok(_) if text.len() > MOST_OF_A_FILE => return Ok(()),
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(errno) => return Err(errno),
        }
    }
}

fn each_number(
    directory: &OwnedFd,
    mut visit: impl FnMut(u32, &CStr) -> ControlFlow<()>,
) -> Result<(), rustix::io::Errno> {
    let mut buffer = [MaybeUninit::uninit(); 8192];
    let mut entries = RawDir::new(directory, &mut buffer);
    while let Some(entry) = entries.next() {
        let entry = entry?;
        let name = entry.file_name();
        let number = std::str::from_utf8(name.to_bytes())
            .ok()
            .and_then(|text| text.parse().ok());
        if number.is_some_and(|number| visit(number, name).is_break()) {
            return Ok(());
        }
    }
    Ok(())
}

fn statx(directory: &OwnedFd, name: &CStr) -> Result<FileStat, rustix::io::Errno> {
    statx_of(directory, name, AtFlags::empty())
}

/// DONT_SYNC and NO_AUTOMOUNT: the kernel's own copy will do, so that no server is asked.
fn statx_of(
    directory: &OwnedFd,
    name: &CStr,
    flags: AtFlags,
) -> Result<FileStat, rustix::io::Errno> {
    let flags = flags | AtFlags::STATX_DONT_SYNC | AtFlags::NO_AUTOMOUNT;
    let wanted = StatxFlags::TYPE | StatxFlags::MODE | StatxFlags::INO;
    let stat: Statx = rustix::fs::statx(directory, name, flags, wanted)?;
    Ok(FileStat {
        mode: u32::from(stat.stx_mode),
        device: (stat.stx_dev_major, stat.stx_dev_minor),
        inode: stat.stx_ino,
        rdev: (stat.stx_rdev_major, stat.stx_rdev_minor),
    })
}
