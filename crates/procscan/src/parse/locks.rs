//! `/proc/locks` (man 5 proc_locks; kernel `fs/locks.c`, `lock_get_status`).

use super::field::{decimal, lines, small, words};

/// One lock, or one waiter of a lock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lock {
    /// The number of the line: a waiter has the number of the lock that it waits for.
    pub number: u64,
    /// Whether this line holds the lock or waits for it.
    pub role: Role,
    /// Which call made it.
    pub family: Family,
    /// The process that took the lock. A child that inherited a flock does not appear. -1 (as `None`) for an
    /// open file description lock, 0 (also `None`) for a process of a foreign pid namespace.
    pub pid: Option<u32>,
    /// Major and minor number of the file system's device.
    pub device: (u32, u32),
    /// The file.
    pub inode: u64,
}

/// Whether a line of `/proc/locks` holds or waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// The lock is taken.
    Holder,
    /// An indented `->` line: blocked by the holder of the same number.
    Waiter,
}

/// The kinds of file locks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Family {
    /// `flock(2)`.
    Flock,
    /// `fcntl(F_SETLKW)`, by process.
    Posix,
    /// `fcntl(F_OFD_SETLKW)`, by open file description.
    Description,
    /// A lease or a delegation.
    Lease,
}

impl Lock {
    /// Parses all lines; those of an unknown form are counted, so that a missing lock is known to be missing.
    #[must_use]
    pub fn parse_all(text: &[u8]) -> (Vec<Self>, usize) {
        let mut unread = 0;
        let mut locks = Vec::new();
        for line in lines(text) {
            match Self::parse(line) {
                Some(lock) => locks.push(lock),
                None => unread += 1,
            }
        }
        (locks, unread)
    }

    fn parse(line: &[u8]) -> Option<Self> {
        let mut fields = words(line).peekable();
        let number = decimal(fields.next()?.strip_suffix(b":")?)?;
        let role = match fields.next_if_eq(&&b"->"[..]) {
            Some(_) => Role::Waiter,
            None => Role::Holder,
        };
        let family = match fields.next()? {
            b"FLOCK" => Family::Flock,
            b"POSIX" | b"ACCESS" => Family::Posix,
            b"OFDLCK" => Family::Description,
            b"LEASE" | b"DELEG" => Family::Lease,
            _ => return None,
        };
        // Past ADVISORY and WRITE comes the pid.
        let pid = small(fields.nth(2)?).filter(|&pid| pid != 0);
        let mut place = fields.next()?.split(|&byte| byte == b':');
        let mut hex = || u32::try_from(super::field::hex(place.next()?)?).ok();
        let device = (hex()?, hex()?);
        let inode = decimal(place.next()?)?;
        Some(Self {
            number,
            role,
            family,
            pid,
            device,
            inode,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_waiter_has_the_number_of_its_lock() {
        let text = b"1: FLOCK  ADVISORY  WRITE 5954 fe:00:10011145 0 EOF\n\
            1: -> FLOCK  ADVISORY  WRITE 5960 fe:00:10011145 0 EOF\n\
            2: POSIX  ADVISORY  READ 7 08:02:99 128 135\n\
            3: OFDLCK ADVISORY  WRITE -1 00:1f:5 0 EOF\n\
            4: NEWKIND ADVISORY  WRITE 1 00:1f:5 0 EOF\n";
        let (locks, unread) = Lock::parse_all(text);
        let short: Vec<_> = locks
            .iter()
            .map(|l| (l.number, l.role, l.family, l.pid))
            .collect();
        assert_eq!(
            short,
            [
                (1, Role::Holder, Family::Flock, Some(5954)),
                (1, Role::Waiter, Family::Flock, Some(5960)),
                (2, Role::Holder, Family::Posix, Some(7)),
                (3, Role::Holder, Family::Description, None),
            ]
        );
        assert_eq!(unread, 1);
        assert_eq!((locks[0].device, locks[0].inode), ((0xfe, 0), 10_011_145));
    }

    proptest! {
        #[test]
        fn every_line_is_a_lock_or_counted(text in "[ -~\n]{0,200}") {
            let (locks, unread) = Lock::parse_all(text.as_bytes());
            prop_assert_eq!(locks.len() + unread, lines(text.as_bytes()).count());
        }
    }
}
