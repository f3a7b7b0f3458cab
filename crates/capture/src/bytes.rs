//! The bytes that a capture kept.

use std::fmt;
use std::ops::Deref;

/// Captured bytes: whatever the child wrote, not necessarily UTF-8.
///
/// It derefs to `[u8]`. It is a type of its own, and not a `Vec<u8>`, so that a strategy may hand
/// out memory of another kind (a mapped file) without a change for its users.
#[derive(Clone, Default)]
pub struct Bytes(Vec<u8>);

impl Bytes {
    /// The bytes as a vector; costs nothing today, and a copy for strategies that map a file.
    pub fn into_vec(self) -> Vec<u8> {
        self.0
    }

    /// The bytes as text, with U+FFFD in place of what is not UTF-8.
    pub fn to_text_lossy(&self) -> std::borrow::Cow<'_, str> {
        String::from_utf8_lossy(&self.0)
    }
}

impl From<Vec<u8>> for Bytes {
    fn from(bytes: Vec<u8>) -> Self {
        Bytes(bytes)
    }
}

impl Deref for Bytes {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.0
    }
}

impl AsRef<[u8]> for Bytes {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

impl<T: AsRef<[u8]> + ?Sized> PartialEq<T> for Bytes {
    fn eq(&self, other: &T) -> bool {
        self.0 == other.as_ref()
    }
}

/// The count and the first bytes, escaped: a gigabyte must not end in a log line.
impl fmt::Debug for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const SHOWN: usize = 64;
        let (head, rest) = self.0.split_at(self.0.len().min(SHOWN));
        write!(f, "{} bytes b\"{}\"", self.0.len(), head.escape_ascii())?;
        if rest.is_empty() {
            Ok(())
        } else {
            f.write_str("…")
        }
    }
}
