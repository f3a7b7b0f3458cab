//! A file system in memory whose files are made of large pages, mounted nowhere.

use std::fs::File;
use std::os::fd::OwnedFd;
use std::sync::OnceLock;

use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use rustix::mount::{
    FsMountFlags, FsOpenFlags, MountAttrFlags, fsconfig_create, fsconfig_set_string, fsmount,
    fsopen,
};

use crate::sys;

/// Made once: it costs about as much as a spawn.
static MOUNT: OnceLock<Option<OwnedFd>> = OnceLock::new();

/// A file without a name there, which can never have one; none where there is no such place.
pub(crate) fn file() -> Option<File> {
    let mount = match MOUNT.get() {
        Some(known) => known.as_ref()?,
        None => match mount().or_else(|_| sys::in_own_namespaces(mount)) {
            // Not so for ever.
            Err(Errno::MFILE | Errno::NFILE | Errno::NOMEM | Errno::NOSPC | Errno::AGAIN) => {
                return None;
            }
            made => MOUNT.get_or_init(|| made.ok()).as_ref()?,
        },
    };
    let flags = OFlags::TMPFILE | OFlags::EXCL | OFlags::RDWR | OFlags::CLOEXEC;
    let file = rustix::fs::openat(mount, c".", flags, Mode::RUSR | Mode::WUSR);
    file.ok().map(File::from)
}

/// System calls and nothing else: it also runs in a child that shares our memory.
fn mount() -> Result<OwnedFd, Errno> {
    let tmpfs = fsopen(c"tmpfs", FsOpenFlags::FSOPEN_CLOEXEC)?;
    // Not `always`: that zeroes 2 MiB for one byte.
    fsconfig_set_string(&tmpfs, c"huge", c"within_size")?;
    fsconfig_create(&tmpfs)?;
    let attributes = MountAttrFlags::MOUNT_ATTR_NOSUID
        | MountAttrFlags::MOUNT_ATTR_NODEV
        | MountAttrFlags::MOUNT_ATTR_NOEXEC;
    fsmount(&tmpfs, FsMountFlags::FSMOUNT_CLOEXEC, attributes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_in_large_pages_is_one_in_memory_where_it_can_be_had() {
        for how in [mount, || sys::in_own_namespaces(mount)] {
            match how() {
                Ok(mount) => {
                    let kind = rustix::fs::fstatfs(&mount).expect("a file system").f_type;
                    assert_eq!(kind, 0x0102_1994, "TMPFS_MAGIC of linux/magic.h");
                }
                Err(errno) => eprintln!("skipped: no such file system here ({errno})"),
            }
        }
    }
}
