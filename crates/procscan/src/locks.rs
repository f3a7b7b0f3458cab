//! Locks as the snapshot has them: each with those who wait for it.

use std::collections::BTreeMap;

use pipeclog_waitgraph::snapshot::{FileId, FileLock, LockKind, Pid};

use crate::parse::{Family, Lock, Role};
use crate::source::makedev;

/// Puts waiters to the locks whose number they share.
pub(crate) fn gather(lines: &[Lock]) -> Vec<FileLock> {
    let mut locks: BTreeMap<u64, FileLock> = BTreeMap::new();
    for line in lines {
        let kind = match line.family {
            Family::Flock => LockKind::Flock,
            Family::Posix => LockKind::Record,
            Family::Description => LockKind::OpenFile,
            // Leases are broken, not waited for.
            Family::Lease => continue,
        };
        let file = FileId {
            dev: makedev(line.device),
            ino: line.inode,
        };
        match line.role {
            Role::Holder => {
                let holder = line.pid.map(Pid);
                locks.insert(
                    line.number,
                    FileLock {
                        kind,
                        file,
                        holder,
                        waiters: Vec::new(),
                    },
                );
            }
            Role::Waiter => {
                if let Some(lock) = locks.get_mut(&line.number) {
                    lock.waiters.extend(line.pid.map(Pid));
                }
            }
        }
    }
    locks.into_values().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waiters_stand_with_the_lock_they_wait_for() {
        let (lines, _) = Lock::parse_all(
            b"1: FLOCK  ADVISORY  WRITE 10 fe:00:99 0 EOF\n1: -> FLOCK  ADVISORY  WRITE 11 fe:00:99 0 EOF\n\
              1: -> FLOCK  ADVISORY  WRITE 12 fe:00:99 0 EOF\n2: LEASE  ACTIVE  READ 13 fe:00:98 0 EOF\n\
              3: OFDLCK ADVISORY  WRITE -1 fe:00:97 0 EOF\n",
        );
        let locks = gather(&lines);
        let short: Vec<_> = locks
            .iter()
            .map(|lock| (lock.kind, lock.file.ino, lock.holder, lock.waiters.len()))
            .collect();
        let expected = [
            (LockKind::Flock, 99, Some(Pid(10)), 2),
            (LockKind::OpenFile, 97, None, 0),
        ];
        assert_eq!(short, expected);
        assert_eq!(locks[0].file.dev, makedev((0xfe, 0)));
    }
}
