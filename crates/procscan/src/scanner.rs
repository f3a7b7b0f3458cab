//! What a scan is asked for, and who does it.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::Duration;

use pipeclog_waitgraph::channel::Channel;
use pipeclog_waitgraph::snapshot::{Pid, Snapshot};

use crate::confirm;
use crate::memo::Memo;
use crate::pass;
use crate::peek;
use crate::pulse::{self, Pulse};
use crate::source::{Live, ReadError, Recorded, Recorder, Source};
use crate::toolchain;
use crate::watch;

/// How long one question that may hang is waited for. Answers come within a millisecond; the rest is for a machine
/// under load, on which 250 ms have been seen to pass before the helper ran.
const BOUND: Duration = Duration::from_secs(1);

/// Which processes a scan starts from. From there it follows what blocked tasks wait for, over the whole machine: a
/// pipe's other holders are found wherever they are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Selection {
    /// These processes and their descendants. Costs one look at each process of the machine for its parent and its
    /// descriptors, and a whole reading of the family and of who holds what it waits for.
    Tree(Vec<Pid>),
    /// The processes of a session.
    Session(u32),
    /// Every process with a task that is blocked with no end in sight.
    Machine,
}

/// Reads snapshots from one root. Keep it between scans: command lines that it has seen are not read again.
pub struct Scanner {
    root: PathBuf,
    source: Box<dyn Source>,
    memo: Memo,
}

/// A scan that could not be made at all. All that is missing of one that could be made is a gap in it.
#[derive(Debug, thiserror::Error)]
#[error(
    "failed to scan {root}: {cause}; it must be a mounted proc file system, or a recording of one"
)]
pub struct ScanError {
    root: String,
    cause: ReadError,
}

impl Scanner {
    /// Opens a mounted procfs, usually `/proc`, or a directory that [`Scanner::recording`] has filled.
    ///
    /// # Errors
    ///
    /// When the root cannot be opened, or holds a recording that cannot be read.
    pub fn new(root: impl AsRef<Path>) -> Result<Self, ScanError> {
        let root = root.as_ref();
        let recorded = Recorded::open(root).map_err(|cause| failed(root, cause))?;
        let source: Box<dyn Source> = match recorded {
            Some(recorded) => Box::new(recorded),
            None => Box::new(Live::open(root, BOUND).map_err(|cause| failed(root, cause))?),
        };
        Ok(Self::over(root, source))
    }

    /// Opens a mounted procfs, and writes down into a directory all that is read of it, so that [`Scanner::new`] on
    /// that directory gives the same snapshots.
    ///
    /// # Errors
    ///
    /// When the root cannot be opened, or the directory cannot be made.
    pub fn recording(root: impl AsRef<Path>, into: impl AsRef<Path>) -> Result<Self, ScanError> {
        let root = root.as_ref();
        let live = Live::open(root, BOUND).map_err(|cause| failed(root, cause))?;
        let recorder = Recorder::new(live, into.as_ref()).map_err(|cause| failed(root, cause))?;
        Ok(Self::over(root, Box::new(recorder)))
    }

    fn over(root: &Path, source: Box<dyn Source>) -> Self {
        Self {
            root: root.to_owned(),
            source,
            memo: Memo::default(),
        }
    }

    /// Tells of a process that works for this one, and signals others at its word alone: it then counts for nobody who could
    /// signal those who are looked at, as this process and whoever started it do not.
    pub fn is_helped_by(&mut self, pid: Pid) {
        self.memo.helpers.push(pid);
    }

    /// Makes one pass.
    ///
    /// # Errors
    ///
    /// When the root cannot be listed.
    pub fn scan(&mut self, selection: &Selection) -> Result<Snapshot, ScanError> {
        let source = self.source.as_ref();
        let snapshot = pass::run(source, selection, &mut self.memo);
        let settled = snapshot.and_then(|snapshot| source.settle().map(|()| snapshot));
        settled.map_err(|cause| failed(&self.root, cause))
    }

    /// Looks a second time, at the tasks of the first look alone if that will do: whoever has the same state, the same
    /// call and the same switch counts has not run in between, so its descriptors and its wait are still those of the
    /// first look. Processes with a task that has moved are read anew; and if anybody at all was born in between, this
    /// is a whole new pass.
    ///
    /// # Errors
    ///
    /// When the root cannot be listed.
    pub fn confirm(
        &mut self,
        selection: &Selection,
        first: &Snapshot,
    ) -> Result<Snapshot, ScanError> {
        match confirm::run(self.source.as_ref(), first, &mut self.memo) {
            Some(second) => Ok(second),
            None => {
                let mut second = self.scan(selection)?;
                confirm::see_who_sleeps_on(self.source.as_ref(), first, &mut second);
                Ok(second)
            }
        }
    }

    /// The processes of a selection, by what the first phase of a scan reads: `stat` of each process, and for the machine also
    /// `syscall` of each task, which tells who is blocked with no end in sight.
    ///
    /// # Errors
    ///
    /// When the root cannot be listed.
    pub fn processes(&mut self, selection: &Selection) -> Result<BTreeSet<Pid>, ScanError> {
        let pids = pass::family(self.source.as_ref(), selection, &mut self.memo)
            .map_err(|cause| failed(&self.root, cause))?;
        Ok(pids.into_iter().map(Pid).collect())
    }

    /// Takes the pulse of a selection: a fraction of a scan's cost, for whoever looks again and again.
    ///
    /// # Errors
    ///
    /// When the root cannot be listed.
    pub fn pulse(&mut self, selection: &Selection) -> Result<Pulse, ScanError> {
        pulse::take(self.source.as_ref(), selection, &mut self.memo)
            .map_err(|cause| failed(&self.root, cause))
    }

    /// How many bytes the processes of a selection have written in all, to whatever it was; nothing if one of them may not
    /// be asked (another user's).
    ///
    /// # Errors
    ///
    /// When the root cannot be listed.
    pub fn written(&mut self, selection: &Selection) -> Result<Option<u64>, ScanError> {
        pulse::written(self.source.as_ref(), selection, &mut self.memo)
            .map_err(|cause| failed(&self.root, cause))
    }

    /// Looks twice, and again until `is_settled` says that more looks would change nothing or the window has passed: only a
    /// window shows a reader that does not read.
    ///
    /// # Errors
    ///
    /// When the root cannot be listed.
    pub fn watch(
        &mut self,
        selection: &Selection,
        window: Duration,
        mut is_settled: impl FnMut(&[Snapshot]) -> bool,
    ) -> Result<Vec<Snapshot>, ScanError> {
        watch::run(self, selection, window, &mut is_settled)
    }

    /// Looks into channels of a snapshot: how full they are, and the first bytes that nobody read. This duplicates a reading
    /// end of each for some microseconds (man 2 pidfd_getfd), so nothing but this does it, and only if it is called. What
    /// could not be looked into is a gap.
    pub fn peek(&self, look: &mut Snapshot, channels: &BTreeSet<Channel>) {
        peek::run(self.source.as_ref(), look, channels);
    }

    /// Looks what built the programs of some processes of a snapshot, for advice in their language: by texts in their memory, of which at
    /// most 16 MiB each are read. What could not be read stays as it is.
    pub fn identify(&self, look: &mut Snapshot, pids: &BTreeSet<Pid>) {
        toolchain::run(self.source.as_ref(), look, pids);
    }

    /// A scan and its confirmation.
    ///
    /// # Errors
    ///
    /// When the root cannot be listed.
    pub fn scan_twice(&mut self, selection: &Selection) -> Result<[Snapshot; 2], ScanError> {
        let first = self.scan(selection)?;
        let second = self.confirm(selection, &first)?;
        Ok([first, second])
    }
}

fn failed(root: &Path, cause: ReadError) -> ScanError {
    ScanError {
        root: root.display().to_string(),
        cause,
    }
}
