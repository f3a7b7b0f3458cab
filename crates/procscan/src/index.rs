//! Who on the machine has which channel open: one pass over the links of every process, no fdinfo, and nothing kept
//! of plain files.

use std::collections::{BTreeMap, BTreeSet};

use crate::parse::{FdInfo, LinkName};
use crate::share::in_shares;
use crate::source::{ReadError, Source};

/// What one link can be told to be by its text alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Key {
    /// An anonymous pipe.
    Pipe(u64),
    /// A socket of any family.
    Socket(u64),
    /// Some eventfd; fdinfo tells which.
    Eventfd,
    /// An io_uring, which may have pipes registered that no table shows.
    IoUring,
    /// Some pty's master; fdinfo tells which.
    PtyMaster,
    /// `/dev/pts/N`.
    PtySlave(u32),
    /// `/dev/tty`: the controlling terminal of whoever opened it.
    OwnTerminal,
}

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct Index {
    holders: BTreeMap<Key, Vec<Holder>>,
    /// Processes whose descriptors we may not see: they may hold anything.
    pub(crate) unread: BTreeMap<u32, ReadError>,
    visited: BTreeSet<u32>,
    /// Descriptors with a path that nobody has asked for their inode yet: any of them may be a FIFO.
    paths: Vec<Holder>,
    /// Descriptors with a path, by inode; under `None` those of a kernel whose fdinfo has none (before 5.14).
    by_inode: BTreeMap<Option<u64>, Vec<Holder>>,
}

/// A process and the number under which it has the thing open.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Holder {
    pub(crate) pid: u32,
    pub(crate) fd: u32,
}

impl Index {
    /// Lists the descriptors of many processes.
    pub(crate) fn visit_all(&mut self, source: &dyn Source, directories: &[(u32, String)]) {
        let parts = in_shares(directories, |share| {
            let mut part = Self::default();
            for (pid, directory) in share {
                part.visit(source, *pid, directory);
            }
            part
        });
        for part in parts {
            self.merge(part);
        }
    }

    fn merge(&mut self, part: Self) {
        for (key, holders) in part.holders {
            self.holders.entry(key).or_default().extend(holders);
        }
        self.paths.extend(part.paths);
        self.unread.extend(part.unread);
        self.visited.extend(part.visited);
    }

    /// Lists the descriptors of a process. `directory` is that of a living thread.
    fn visit(&mut self, source: &dyn Source, pid: u32, directory: &str) {
        self.visited.insert(pid);
        let (holders, paths) = (&mut self.holders, &mut self.paths);
        let listed = source.descriptors(directory, &mut |fd, text| {
            let holder = Holder { pid, fd };
            if let Some(key) = Key::of(text) {
                holders.entry(key).or_default().push(holder);
            }
            if matches!(LinkName::parse(text), LinkName::Path(path) if path != b"/dev/null") {
                paths.push(holder);
            }
        });
        match listed {
            Ok(()) => {}
            // What has ended holds nothing.
            Err(error) if error.cause == crate::source::Cause::Gone => {}
            Err(error) => {
                self.unread.insert(pid, error);
            }
        }
    }

    pub(crate) fn has_visited(&self, pid: u32) -> bool {
        self.visited.contains(&pid)
    }

    /// Who has it open.
    pub(crate) fn holders(&self, key: Key) -> &[Holder] {
        self.holders.get(&key).map_or(&[], Vec::as_slice)
    }

    /// Who has something with a path open that may have this inode number, on whichever file system. The first to ask pays for
    /// all: fdinfo of each descriptor with a path, which gives the number without asking a file system.
    pub(crate) fn with_inode(&mut self, source: &dyn Source, inode: u64) -> Vec<Holder> {
        let paths = std::mem::take(&mut self.paths);
        let asked = in_shares(&paths, |share| {
            let info = |holder: &Holder| Some((holder.info(source)?.inode, *holder));
            share.iter().filter_map(info).collect::<Vec<_>>()
        });
        for (inode, holder) in asked.into_iter().flatten() {
            self.by_inode.entry(inode).or_default().push(holder);
        }
        let known = [Some(inode), None];
        let known = known.iter().filter_map(|inode| self.by_inode.get(inode));
        known.flatten().copied().collect()
    }
}

impl Holder {
    /// What the kernel says of the descriptor by itself.
    pub(crate) fn info(&self, source: &dyn Source) -> Option<FdInfo> {
        let mut text = Vec::new();
        let path = format!("{}/fdinfo/{}", self.pid, self.fd);
        source.read(&path, &mut text).ok()?;
        FdInfo::parse(&text).ok()
    }
}

impl Key {
    fn of(text: &[u8]) -> Option<Self> {
        match LinkName::parse(text) {
            LinkName::Pipe(inode) => Some(Self::Pipe(inode)),
            LinkName::Socket(inode) => Some(Self::Socket(inode)),
            LinkName::Anonymous(b"eventfd") => Some(Self::Eventfd),
            LinkName::Anonymous(b"io_uring") => Some(Self::IoUring),
            LinkName::Path(path) => {
                let name = path.rsplit(|&byte| byte == b'/').next().unwrap_or_default();
                match name {
                    b"ptmx" => Some(Self::PtyMaster),
                    b"tty" => Some(Self::OwnTerminal),
                    _ => slave(path, name).map(Self::PtySlave),
                }
            }
            LinkName::Anonymous(_) | LinkName::Pidfd | LinkName::Special(_) => None,
        }
    }
}

/// The index of a path that ends like a slave's. It only says where to look: `statx` decides.
fn slave(path: &[u8], name: &[u8]) -> Option<u32> {
    let parent = path.strip_suffix(name)?;
    if !parent.ends_with(b"/pts/") && !parent.ends_with(b"/") {
        return None;
    }
    let number = crate::parse::count(name)?;
    u32::try_from(number).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_of_channels_are_kept_and_those_of_files_are_not() {
        let rows: [(&[u8], Option<Key>); 9] = [
            (b"pipe:[7]", Some(Key::Pipe(7))),
            (b"socket:[8]", Some(Key::Socket(8))),
            (b"anon_inode:[eventfd]", Some(Key::Eventfd)),
            (b"anon_inode:[eventpoll]", None),
            (b"/dev/ptmx", Some(Key::PtyMaster)),
            (b"/dev/pts/ptmx", Some(Key::PtyMaster)),
            (b"/dev/pts/12", Some(Key::PtySlave(12))),
            (b"/dev/tty", Some(Key::OwnTerminal)),
            (b"/tmp/file", None),
        ];
        for (text, key) in rows {
            assert_eq!(Key::of(text), key, "{text:?}");
        }
    }
}
