//! A target's memory, read without ever hanging on it: the map is looked at first, and words that lie in a file of a
//! file system that may not answer are left alone.

use std::cell::OnceCell;

use pipeclog_waitgraph::snapshot::{Abi, Facet};

use crate::parse::{Backing, Maps, Mounts, Sharing};
use crate::source::{Cause, ReadError, Source};

/// Longest path that the kernel takes (`PATH_MAX`, with its terminating zero).
const LONGEST_PATH: u64 = 4096;
/// Paths are read in pieces that end at multiples of this, so that a path at the end of a mapping is whole.
const PIECE: u64 = 512;

/// Reads one process's memory. The map is read once, and only if something is asked.
pub(crate) struct Memory<'a> {
    source: &'a dyn Source,
    pid: u32,
    abi: Abi,
    maps: OnceCell<Result<Maps, ReadError>>,
    mounts: OnceCell<Mounts>,
}

/// Why a word could not be read, and which kind of gap that is.
#[derive(Debug, Clone)]
pub(crate) struct Unreadable {
    pub(crate) facet: Facet,
    pub(crate) error: ReadError,
}

/// Size and form of the words that a call reads through a pointer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum TimeForm {
    /// Two words of the caller's own size.
    Native,
    /// Two 64-bit words, whatever the caller's size (the calls `…_time64`, io_uring, futex_waitv).
    Wide,
}

impl<'a> Memory<'a> {
    pub(crate) fn new(source: &'a dyn Source, pid: u32, abi: Abi) -> Self {
        Self {
            source,
            pid,
            abi,
            maps: OnceCell::new(),
            mounts: OnceCell::new(),
        }
    }

    /// The table of system calls, and with it the size of words, of the process.
    pub(crate) fn abi(&self) -> Abi {
        self.abi
    }

    /// Bytes of a word and of a pointer.
    pub(crate) fn word(&self) -> u64 {
        match self.abi {
            Abi::I386 => 4,
            Abi::X86_64 | Abi::Aarch64 | Abi::Unknown => 8,
        }
    }

    pub(crate) fn maps(&self) -> Result<&Maps, Unreadable> {
        let path = format!("{}/maps", self.pid);
        let read = || {
            let text = self.source.read_bounded(&path)?;
            Maps::parse(&text).map_err(|_| ReadError::new("parse", &path, Cause::Malformed))
        };
        let maps = self.maps.get_or_init(read).as_ref();
        maps.map_err(|error| Unreadable {
            facet: Facet::Maps,
            error: error.clone(),
        })
    }

    /// Whether other address spaces see an address; `None` if nothing is mapped there.
    pub(crate) fn sharing(&self, address: u64) -> Result<Option<Sharing>, Unreadable> {
        Ok(self.maps()?.at(address).map(|mapping| mapping.sharing))
    }

    /// Exactly `len` bytes.
    pub(crate) fn bytes(&self, address: u64, len: u64) -> Result<Vec<u8>, Unreadable> {
        let path = format!("{}/mem", self.pid);
        let failed = |cause| Unreadable {
            facet: Facet::Memory,
            error: ReadError::new("read the memory of", &path, cause),
        };
        let covering = self
            .maps()?
            .covering(address, len)
            .ok_or_else(|| failed(Cause::Malformed))?;
        if covering
            .iter()
            .any(|mapping| self.may_hang(mapping.backing))
        {
            return Err(failed(Cause::MayHang));
        }
        let size = usize::try_from(len).map_err(|_| failed(Cause::Malformed))?;
        let bytes = self
            .source
            .memory(self.pid, address, size)
            .map_err(|error| Unreadable {
                facet: Facet::Memory,
                error,
            })?;
        if bytes.len() == size {
            Ok(bytes)
        } else {
            Err(failed(Cause::Malformed))
        }
    }

    /// One unsigned number of 4 or 8 bytes.
    pub(crate) fn number(&self, address: u64, len: u64) -> Result<u64, Unreadable> {
        self.bytes(address, len).map(|bytes| little_endian(&bytes))
    }

    /// Two numbers that follow each other: seconds and a fraction, a pointer and a size.
    pub(crate) fn pair(&self, address: u64, form: TimeForm) -> Result<(u64, u64), Unreadable> {
        let len = match form {
            TimeForm::Native => self.word(),
            TimeForm::Wide => 8,
        };
        let bytes = self.bytes(address, 2 * len)?;
        let half = bytes.len() / 2;
        let (left, right) = bytes.split_at(half);
        Ok((little_endian(left), little_endian(right)))
    }

    /// A path: bytes up to the first zero.
    pub(crate) fn path(&self, address: u64) -> Result<Vec<u8>, Unreadable> {
        let mut path = Vec::new();
        let mut at = address;
        while at - address < LONGEST_PATH {
            let piece = self.bytes(at, PIECE - at % PIECE)?;
            if let Some(end) = piece.iter().position(|&byte| byte == 0) {
                path.extend(piece.into_iter().take(end));
                return Ok(path);
            }
            at = at.saturating_add(piece.len() as u64);
            path.extend(piece);
        }
        let error = ReadError::new(
            "read a path from the memory of",
            &format!("{}", self.pid),
            Cause::Malformed,
        );
        Err(Unreadable {
            facet: Facet::Memory,
            error,
        })
    }

    /// Whether a page of that mapping may have to come from somebody who does not answer: a FUSE daemon, a server.
    /// A file system that we cannot name counts as one.
    fn may_hang(&self, backing: Backing) -> bool {
        let Backing::File { major, minor } = backing else {
            return false;
        };
        let mounts = self.mounts.get_or_init(|| {
            let text = self.source.read_list(&format!("{}/mountinfo", self.pid));
            text.map_or_else(|_| Mounts::default(), |text| Mounts::parse(&text))
        });
        !mounts
            .kind_of((major, minor))
            .is_some_and(answers_by_itself)
    }
}

/// File systems that the kernel serves from memory or from a local disk.
fn answers_by_itself(kind: &[u8]) -> bool {
    const LOCAL: [&[u8]; 11] = [
        b"ext4",
        b"xfs",
        b"btrfs",
        b"tmpfs",
        b"overlay",
        b"ext2",
        b"ext3",
        b"f2fs",
        b"squashfs",
        b"erofs",
        b"zfs",
    ];
    LOCAL.contains(&kind)
}

pub(crate) fn little_endian(bytes: &[u8]) -> u64 {
    bytes
        .iter()
        .take(8)
        .rev()
        .fold(0, |value, &byte| value << 8 | u64::from(byte))
}
