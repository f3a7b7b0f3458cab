//! What the child reads.

use std::fs::File;
use std::sync::Arc;

/// The child's stdin.
#[derive(Clone, Debug)]
pub enum Input {
    /// `/dev/null`: end of file at once. What a capture has unless told otherwise.
    Null,
    /// The caller's own stdin, which may be a terminal that nobody types at.
    Inherit,
    /// These bytes, then end of file. A child that does not read them all is no error.
    Bytes(Arc<[u8]>),
    /// A file (or any descriptor). The child shares its offset with the caller.
    File(Arc<File>),
}

impl From<&[u8]> for Input {
    fn from(bytes: &[u8]) -> Self {
        Input::Bytes(bytes.into())
    }
}

impl<const N: usize> From<&[u8; N]> for Input {
    fn from(bytes: &[u8; N]) -> Self {
        Input::Bytes(bytes.as_slice().into())
    }
}

impl From<&str> for Input {
    fn from(text: &str) -> Self {
        Input::Bytes(text.as_bytes().into())
    }
}

impl From<Vec<u8>> for Input {
    fn from(bytes: Vec<u8>) -> Self {
        Input::Bytes(bytes.into())
    }
}

impl From<File> for Input {
    fn from(file: File) -> Self {
        Input::File(Arc::new(file))
    }
}
