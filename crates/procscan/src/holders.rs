//! Who holds a needed thing: by the index where a link's text names it, by fdinfo of the few candidates where not.

use std::collections::{BTreeMap, BTreeSet};

use pipeclog_waitgraph::snapshot::FileId;

use crate::decode::id;
use crate::index::{Index, Key};
use crate::needs::Need;
use crate::parse::{FdInfo, Stat};
use crate::source::{FileKind, FileStat, Source, split_tty};

/// See the module.
pub(crate) struct Holders<'a> {
    pub(crate) source: &'a dyn Source,
    pub(crate) index: &'a mut Index,
    pub(crate) stats: &'a BTreeMap<u32, Stat>,
}

impl Holders<'_> {
    /// The processes that hold it.
    pub(crate) fn of(&mut self, need: Need) -> BTreeSet<u32> {
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
            Need::Process(_)
            | Need::Run(_)
            | Need::Children(_)
            | Need::AnyChild(_)
            | Need::Traced(_)
            | Need::Locks(_) => BTreeSet::new(),
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
        let matching =
            holders.filter(|holder| holder.info(self.source).is_some_and(|info| is_it(&info)));
        matching.map(|holder| holder.pid).collect()
    }

    /// A FIFO's links name it by a path, of which there may be several, so those with its inode number are asked by `statx`
    /// which file they are.
    fn fifo(&mut self, file: FileId) -> BTreeSet<u32> {
        let mut candidates: BTreeMap<u32, Vec<u32>> = BTreeMap::new();
        for holder in self.index.with_inode(self.source, file.ino) {
            candidates.entry(holder.pid).or_default().push(holder.fd);
        }
        let holds = |(pid, fds): &(u32, Vec<u32>)| {
            let stats = self.source.files(&format!("{pid}/fd"), fds);
            let is_it = |stat: &FileStat| stat.kind() == FileKind::Fifo && id(stat) == file;
            stats.unwrap_or_default().iter().flatten().any(is_it)
        };
        let holding = candidates.into_iter().filter(holds);
        holding.map(|(pid, _)| pid).collect()
    }
}

fn is_terminal(stat: &Stat, index: u32) -> bool {
    let (major, minor) = split_tty(stat.tty_nr);
    (136..=143).contains(&major) && (major - 136) * 256 + minor == index
}
