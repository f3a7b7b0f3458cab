//! The bytes that a capture kept.

use std::fmt;
use std::ops::Deref;

use memmap2::Mmap;

use crate::buffer::Buffer;

/// Captured bytes: whatever the child wrote, not necessarily UTF-8.
///
/// It derefs to `[u8]`. It is a type of its own, and not a `Vec<u8>`, since many bytes are not on the
/// heap but in huge pages, or in the file that the child wrote, which cost a fraction of the time.
#[derive(Default)]
pub struct Bytes(Held);

enum Held {
    Read(Buffer),
    /// A file in memory where it stands. Nobody else has it open, and it has no name.
    Mapped(Mmap),
}

impl Default for Held {
    fn default() -> Self {
        Held::Read(Buffer::default())
    }
}

impl Bytes {
    /// The bytes as a vector: as it stands where they were read and are at most 8 MiB, and a copy otherwise.
    pub fn into_vec(self) -> Vec<u8> {
        match self.0 {
            Held::Read(Buffer::Heap(bytes)) => bytes,
            Held::Read(Buffer::Pages(pages)) => pages.as_slice().to_vec(),
            Held::Mapped(map) => map.to_vec(),
        }
    }

    /// The bytes as text, with U+FFFD in place of what is not UTF-8.
    pub fn to_text_lossy(&self) -> std::borrow::Cow<'_, str> {
        String::from_utf8_lossy(self)
    }
}

impl From<Vec<u8>> for Bytes {
    fn from(bytes: Vec<u8>) -> Self {
        Bytes(Held::Read(Buffer::Heap(bytes)))
    }
}

impl From<Buffer> for Bytes {
    fn from(bytes: Buffer) -> Self {
        Bytes(Held::Read(bytes))
    }
}

impl From<Mmap> for Bytes {
    fn from(map: Mmap) -> Self {
        Bytes(Held::Mapped(map))
    }
}

/// On the heap, whatever the original's memory is.
impl Clone for Bytes {
    fn clone(&self) -> Self {
        self.to_vec().into()
    }
}

impl Deref for Bytes {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match &self.0 {
            Held::Read(buffer) => buffer.as_slice(),
            Held::Mapped(map) => map,
        }
    }
}

impl AsRef<[u8]> for Bytes {
    fn as_ref(&self) -> &[u8] {
        self
    }
}

impl<T: AsRef<[u8]> + ?Sized> PartialEq<T> for Bytes {
    fn eq(&self, other: &T) -> bool {
        **self == *other.as_ref()
    }
}

/// The count and the first bytes, escaped: a gigabyte must not end in a log line.
impl fmt::Debug for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const SHOWN: usize = 64;
        let (head, rest) = self.split_at(self.len().min(SHOWN));
        write!(f, "{} bytes b\"{}\"", self.len(), head.escape_ascii())?;
        if rest.is_empty() {
            Ok(())
        } else {
            f.write_str("…")
        }
    }
}
