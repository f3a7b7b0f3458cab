//! This machine's limits on pipes, as bytes: the files that say them, and how many pipes a user has.
//!
//! What the bytes mean is the pipe model's to say; nothing is parsed here but the names of processes and links.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

/// The files that rule pipes, as they stand (proc(5), pipe(7), capabilities(7), user_namespaces(7)).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PipeLimitFiles {
    /// `sys/fs/pipe-max-size`: bytes.
    pub max_size: Vec<u8>,
    /// `sys/fs/pipe-user-pages-soft`: pages.
    pub user_pages_soft: Vec<u8>,
    /// `sys/fs/pipe-user-pages-hard`: pages.
    pub user_pages_hard: Vec<u8>,
    /// `sys/kernel/osrelease`: the kernel's version.
    pub osrelease: Vec<u8>,
    /// `self/status`: the reader's own capabilities are in it.
    pub own_status: Vec<u8>,
    /// `self/uid_map`: whether these capabilities are those of the first user namespace.
    pub own_uid_map: Vec<u8>,
}

impl PipeLimitFiles {
    /// Reads them below `proc`, which is `/proc` on a live machine.
    ///
    /// # Errors
    ///
    /// [`LimitsError`], which names the file. The three of `sys/fs` stand on Linux 4.5 and later.
    pub fn read(proc: &Path) -> Result<Self, LimitsError> {
        let read = |name: &str| {
            let path = proc.join(name);
            fs::read(&path).map_err(|source| LimitsError { path, source })
        };
        Ok(Self {
            max_size: read("sys/fs/pipe-max-size")?,
            user_pages_soft: read("sys/fs/pipe-user-pages-soft")?,
            user_pages_hard: read("sys/fs/pipe-user-pages-hard")?,
            osrelease: read("sys/kernel/osrelease")?,
            own_status: read("self/status")?,
            own_uid_map: read("self/uid_map")?,
        })
    }
}

/// How many pipes the processes of a user hold.
///
/// It is near what the kernel charges to the user, and not the same: that goes by who made a pipe, counts FIFOs and resized pipes by
/// their slots, and is nowhere to be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HeldPipes {
    /// Different pipes.
    pub pipes: u64,
    /// Processes of that user whose descriptors could not be read: they may hold more.
    pub unreadable: u64,
}

impl HeldPipes {
    /// Counts them below `proc`. Processes that end meanwhile are passed over.
    ///
    /// # Errors
    ///
    /// [`LimitsError`], if `proc` itself cannot be listed.
    pub fn count(proc: &Path, uid: u32) -> Result<Self, LimitsError> {
        let listed = fs::read_dir(proc).map_err(|source| LimitsError {
            path: proc.to_owned(),
            source,
        })?;
        let mut inodes = BTreeSet::new();
        let mut unreadable = 0;
        for entry in listed.flatten() {
            let is_process = entry.file_name().as_bytes().iter().all(u8::is_ascii_digit);
            let owner = entry.metadata().map(|metadata| metadata.uid());
            if !is_process || !matches!(owner, Ok(owner) if owner == uid) {
                continue;
            }
            match fs::read_dir(entry.path().join("fd")) {
                Ok(descriptors) => inodes.extend(
                    descriptors
                        .flatten()
                        .filter_map(|descriptor| pipe_inode(&descriptor.path())),
                ),
                Err(error) if error.kind() == io::ErrorKind::PermissionDenied => unreadable += 1,
                // It has ended.
                Err(_) => {}
            }
        }
        Ok(Self {
            pipes: inodes.len() as u64,
            unreadable,
        })
    }
}

/// The inode of `pipe:[4711]`. A file of that name has a path before it.
fn pipe_inode(link: &Path) -> Option<u64> {
    let target = fs::read_link(link).ok()?;
    let inside = target
        .as_os_str()
        .as_bytes()
        .strip_prefix(b"pipe:[")?
        .strip_suffix(b"]")?;
    std::str::from_utf8(inside).ok()?.parse().ok()
}

/// A file of the limits that could not be read.
#[derive(Debug, thiserror::Error)]
#[error("failed to read {}", path.display())]
pub struct LimitsError {
    path: PathBuf,
    source: io::Error,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_files_of_this_machine_are_read() {
        let files = PipeLimitFiles::read(Path::new("/proc")).expect("Linux 4.5 or later");
        for (name, bytes) in [
            ("pipe-max-size", &files.max_size),
            ("pipe-user-pages-soft", &files.user_pages_soft),
            ("pipe-user-pages-hard", &files.user_pages_hard),
        ] {
            assert!(
                bytes.trim_ascii().iter().all(u8::is_ascii_digit) && !bytes.is_empty(),
                "{name}: {bytes:?}"
            );
        }
        assert!(files.own_status.starts_with(b"Name:"));
    }

    #[test]
    fn a_missing_file_is_named() {
        let folder = tempfile::tempdir().expect("a folder");
        let error = PipeLimitFiles::read(folder.path()).expect_err("it is empty");
        assert!(
            error.to_string().contains("sys/fs/pipe-max-size"),
            "{error}"
        );
    }

    #[test]
    fn pipes_of_a_user_are_counted_once_each_and_look_alikes_are_not() {
        use std::os::unix::fs::symlink;
        let proc = tempfile::tempdir().expect("a folder");
        let uid = fs::metadata(proc.path()).expect("metadata").uid();
        for (pid, fd, target) in [
            ("10", "0", "pipe:[7]"),
            ("10", "1", "pipe:[8]"),
            ("11", "1", "pipe:[8]"),
            ("11", "2", "socket:[9]"),
            ("11", "3", "/tmp/pipe:[10]"),
            ("irq", "0", "pipe:[11]"),
        ] {
            let folder = proc.path().join(pid).join("fd");
            fs::create_dir_all(&folder).expect("a folder");
            symlink(target, folder.join(fd)).expect("a link");
        }
        let count = |uid| HeldPipes::count(proc.path(), uid).expect("it is listed");
        assert_eq!(
            count(uid),
            HeldPipes {
                pipes: 2,
                unreadable: 0
            }
        );
        assert_eq!(count(uid.wrapping_add(1)).pipes, 0);
    }
}
