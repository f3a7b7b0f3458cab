//! Who holds a needed thing: by the index where a link's text names it, by fdinfo of the few candidates where not.

use std::collections::{BTreeMap, BTreeSet};

use pipeclog_waitgraph::snapshot::FileId;

use crate::decode::id;
use crate::index::{Holder, Index, Key};
use crate::needs::Need;
use crate::parse::{FdInfo, LinkName, Stat};
use crate::source::{FileKind, Source, split_tty};

/// See the module.
pub(crate) struct Holders<'a> {
    pub(crate) source: &'a dyn Source,
    pub(crate) index: &'a Index,
    pub(crate) stats: &'a BTreeMap<u32, Stat>,
}

impl Holders<'_> {
    /// The processes that hold it.
    pub(crate) fn of(&self, need: Need) -> BTreeSet<u32> {
        match need {
            Need::Pipe(inode) => {
                let registered = format!("pipe:[{inode}]");
                let in_ring = |info: &FdInfo| {
                    info.uring_files
                        .iter()
                        .any(|name| name == registered.as_bytes())
                };
                let mut pids = self.named(Key::Pipe(inode));
                pids.extend(self.matching(Key::IoUring, in_ring));
                pids
            }
            Need::Socket(inode) => self.named(Key::Socket(inode)),
            Need::Eventfd(id) => self.matching(Key::Eventfd, |info| info.eventfd_id == Some(id)),
            Need::PtyMaster(index) => {
                self.matching(Key::PtyMaster, |info| info.tty_index == Some(index))
            }
            Need::PtySlave(index) => {
                let mut pids = self.named(Key::PtySlave(index));
                let on_it = |pid: &u32| {
                    self.stats
                        .get(pid)
                        .is_some_and(|stat| is_terminal(stat, index))
                };
                pids.extend(self.named(Key::OwnTerminal).into_iter().filter(on_it));
                pids
            }
            Need::Fifo(file) => self.fifo(file),
            // These name processes by themselves.
            Need::Process(_) | Need::Children(_) | Need::AnyChild(_) | Need::Locks(_) => {
                BTreeSet::new()
            }
        }
    }

    fn named(&self, key: Key) -> BTreeSet<u32> {
        self.index
            .holders(key)
            .iter()
            .map(|holder| holder.pid)
            .collect()
    }

    fn matching(&self, key: Key, is_it: impl Fn(&FdInfo) -> bool) -> BTreeSet<u32> {
        let holders = self.index.holders(key).iter();
        let matching = holders.filter(|holder| self.info(holder).is_some_and(|info| is_it(&info)));
        matching.map(|holder| holder.pid).collect()
    }

    fn info(&self, holder: &Holder) -> Option<FdInfo> {
        let mut text = Vec::new();
        let path = format!("{}/fdinfo/{}", holder.pid, holder.fd);
        self.source.read(&path, &mut text).ok()?;
        FdInfo::parse(&text).ok()
    }

    /// A FIFO's links name it by a path, of which there may be several; so all descriptors with a path are asked for
    /// their inode, which fdinfo gives without asking a file system, and those that match are asked by `statx`.
    fn fifo(&self, file: FileId) -> BTreeSet<u32> {
        let holds = |pid: &u32| {
            let mut paths = Vec::new();
            let directory = format!("{pid}/fd");
            let listed = self.source.descriptors(&directory, &mut |fd, text| {
                let is_path = matches!(LinkName::parse(text), LinkName::Path(_));
                if is_path && !text.starts_with(b"/dev/null") {
                    paths.push(fd);
                }
            });
            let same_inode = |fd: &u32| {
                let info = self.info(&Holder { pid: *pid, fd: *fd });
                // Before 5.14 fdinfo has no inode: then statx decides alone.
                info.is_none_or(|info| info.inode.is_none_or(|inode| inode == file.ino))
            };
            let candidates: Vec<u32> = paths.into_iter().filter(same_inode).collect();
            if listed.is_err() || candidates.is_empty() {
                return false;
            }
            let stats = self
                .source
                .files(&directory, &candidates)
                .unwrap_or_default();
            stats
                .iter()
                .flatten()
                .any(|stat| stat.kind() == FileKind::Fifo && id(stat) == file)
        };
        self.index.visited().filter(holds).collect()
    }
}

fn is_terminal(stat: &Stat, index: u32) -> bool {
    let (major, minor) = split_tty(stat.tty_nr);
    (136..=143).contains(&major) && (major - 136) * 256 + minor == index
}
