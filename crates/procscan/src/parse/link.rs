//! What the links under `/proc/PID/fd` say (man 5 proc_pid_fd; kernel `d_path` and the `d_dname` operations).
//!
//! The text of a link is a hint: a file can be named anything, but every path that a file system gives out
//! begins with a slash, so `pipe:[123]` without one comes from pipefs alone. The scan still asks `statx`
//! before it believes.

use super::field::decimal;

/// A link's text, sorted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LinkName<'a> {
    /// `pipe:[INODE]`.
    Pipe(u64),
    /// `socket:[INODE]`.
    Socket(u64),
    /// `anon_inode:[eventpoll]`, `anon_inode:inotify`: the name without brackets.
    Anonymous(&'a [u8]),
    /// `pidfd:[INODE]`, as kernels of 6.9 to 6.13 name them.
    Pidfd,
    /// `net:[INODE]` and other names that are no path.
    Special(&'a [u8]),
    /// A path, with ` (deleted)` still at its end if the kernel put it there.
    Path(&'a [u8]),
}

impl<'a> LinkName<'a> {
    /// Sorts a link's text.
    #[must_use]
    pub fn parse(text: &'a [u8]) -> Self {
        if text.first() == Some(&b'/') {
            return Self::Path(text);
        }
        if let Some(inode) = bracketed(text, b"pipe:") {
            return Self::Pipe(inode);
        }
        if let Some(inode) = bracketed(text, b"socket:") {
            return Self::Socket(inode);
        }
        if bracketed(text, b"pidfd:").is_some() {
            return Self::Pidfd;
        }
        match text.strip_prefix(b"anon_inode:") {
            Some(name) => Self::Anonymous(
                name.strip_prefix(b"[")
                    .and_then(|name| name.strip_suffix(b"]"))
                    .unwrap_or(name),
            ),
            None => Self::Special(text),
        }
    }
}

fn bracketed(text: &[u8], prefix: &[u8]) -> Option<u64> {
    let inner = text
        .strip_prefix(prefix)?
        .strip_prefix(b"[")?
        .strip_suffix(b"]")?;
    // The kernel prints digits alone; `decimal` would allow blanks around them.
    inner
        .iter()
        .all(u8::is_ascii_digit)
        .then(|| decimal(inner))
        .flatten()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn kernel_names_are_sorted() {
        let rows: [(&[u8], LinkName<'_>); 8] = [
            (b"pipe:[9137]", LinkName::Pipe(9137)),
            (b"socket:[9138]", LinkName::Socket(9138)),
            (b"anon_inode:[eventpoll]", LinkName::Anonymous(b"eventpoll")),
            (b"anon_inode:inotify", LinkName::Anonymous(b"inotify")),
            (b"anon_inode:[pidfd]", LinkName::Anonymous(b"pidfd")),
            (b"pidfd:[3142]", LinkName::Pidfd),
            (b"net:[4026531840]", LinkName::Special(b"net:[4026531840]")),
            (b"/dev/pts/0", LinkName::Path(b"/dev/pts/0")),
        ];
        for (text, expected) in rows {
            assert_eq!(LinkName::parse(text), expected);
        }
    }

    #[test]
    fn look_alikes_are_no_pipes() {
        let rows: [&[u8]; 12] = [
            b"/tmp/pipe:[123]",
            b"/pipe:[123]",
            b"/memfd:pipe:[123] (deleted)",
            b"pipe:[123] (deleted)",
            b"pipe:[]",
            b"pipe:[-1]",
            b"pipe:[ 1]",
            b"pipe:[1",
            b"pipe:1",
            b"pipe:[18446744073709551616]",
            b"anon_inode:pipe:[123]",
            b"dmabuf:pipe:[123]",
        ];
        for text in rows {
            assert!(
                !matches!(LinkName::parse(text), LinkName::Pipe(_)),
                "{text:?}"
            );
        }
    }

    proptest! {
        #[test]
        fn nothing_that_begins_with_a_slash_is_a_pipe(mut text: Vec<u8>) {
            text.insert(0, b'/');
            prop_assert!(matches!(LinkName::parse(&text), LinkName::Path(_)));
        }
    }
}
