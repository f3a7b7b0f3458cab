//! The bytes that a capture kept.

use std::fmt;
use std::ops::Deref;

use crate::buffer::Buffer;

/// Captured bytes: whatever the child wrote, not necessarily UTF-8.
///
/// It derefs to `[u8]`. It is a type of its own, and not a `Vec<u8>`, since many bytes are not on the
/// heap but in huge pages, which cost a fraction of the time.
#[derive(Default)]
pub struct Bytes(Buffer);

impl Bytes {
    /// The bytes as a vector: as it stands up to 8 MiB, and a copy beyond.
    pub fn into_vec(self) -> Vec<u8> {
        match self.0 {
            Buffer::Heap(bytes) => bytes,
            Buffer::Pages(pages) => pages.as_slice().to_vec(),
        }
    }

    /// The bytes as text, with U+FFFD in place of what is not UTF-8.
    pub fn to_text_lossy(&self) -> std::borrow::Cow<'_, str> {
        String::from_utf8_lossy(self)
    }
}

impl From<Vec<u8>> for Bytes {
    fn from(bytes: Vec<u8>) -> Self {
        Bytes(Buffer::Heap(bytes))
    }
}

impl From<Buffer> for Bytes {
    fn from(bytes: Buffer) -> Self {
        Bytes(bytes)
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
        self.0.as_slice()
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
