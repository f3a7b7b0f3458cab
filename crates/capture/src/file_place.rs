//! Where the files of a file strategy stand.

use std::str::FromStr;

use crate::error::UnknownName;

/// Where [`crate::Strategy::TempFile`] has the files that the child writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FilePlace {
    /// The directory for temporary files: `$TMPDIR`, or else `/tmp`.
    TempDir,
    /// Memory, in large pages, where it can be had; and the directory for temporary files elsewhere.
    ///
    /// It is a tmpfs of this process alone with `huge=within_size` (Linux 6.14 and later give it pages as large
    /// as the child's writes), mounted nowhere, and made once: by fsmount(2) for root, and in a user namespace of
    /// its own for others. It holds half of the machine's memory at most (tmpfs(5)); a child that writes
    /// more gets ENOSPC, as on a full disk.
    LargePages,
}

impl FilePlace {
    /// Every place.
    pub const ALL: [FilePlace; 2] = [FilePlace::TempDir, FilePlace::LargePages];

    /// The name, as a command line has it.
    pub fn name(self) -> &'static str {
        match self {
            FilePlace::TempDir => "temp-dir",
            FilePlace::LargePages => "large-pages",
        }
    }
}

impl FromStr for FilePlace {
    type Err = UnknownName;

    fn from_str(name: &str) -> Result<Self, UnknownName> {
        UnknownName::look_up("place of files", name, &Self::ALL, Self::name)
    }
}
