//! `/proc/PID/maps` (man 5 proc_pid_maps; kernel `fs/proc/task_mmu.c`, `show_map_vma`).

use super::Malformed;
use super::field::{decimal, hex, lines, words};

/// A process's mappings, in order of address.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Maps(Vec<Mapping>);

/// One mapping.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mapping {
    /// First address.
    pub start: u64,
    /// First address past the end.
    pub end: u64,
    /// `p` or `s` of the permissions: whether writes are seen by other processes.
    pub sharing: Sharing,
    /// Whether the program may write there.
    pub protection: Protection,
    /// What stands behind the pages.
    pub backing: Backing,
}

/// Whether a mapping can be written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Protection {
    /// `-` in the second place of the permissions.
    ReadOnly,
    /// `w`.
    Writable,
}

/// Whether a mapping is shared with other address spaces.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sharing {
    /// `p`: a futex in it can be woken from within the address space only.
    Private,
    /// `s`: a futex in it can be woken by whoever maps the same object.
    Shared,
}

/// What stands behind a mapping's pages, and so who may have to be asked for them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Backing {
    /// Nothing: heap, stacks, anonymous memory. The kernel alone answers a read.
    Anonymous,
    /// A file on the device `major:minor`. Its file system answers, and a hung one hangs the reader.
    File {
        /// Major number of the file system's device.
        major: u32,
        /// Minor number of the file system's device.
        minor: u32,
    },
}

impl Maps {
    /// Parses the file's text.
    ///
    /// # Errors
    ///
    /// [`Malformed`] if a line has no range, no permissions or no device.
    pub fn parse(text: &[u8]) -> Result<Self, Malformed> {
        lines(text)
            .map(Mapping::parse)
            .collect::<Result<_, _>>()
            .map(Self)
    }

    /// All of them, in order of address.
    pub fn iter(&self) -> impl Iterator<Item = &Mapping> {
        self.0.iter()
    }

    /// The mapping that holds an address.
    #[must_use]
    pub fn at(&self, address: u64) -> Option<&Mapping> {
        self.0
            .iter()
            .find(|mapping| (mapping.start..mapping.end).contains(&address))
    }

    /// The mappings that a range of addresses touches, or `None` if part of it is not mapped.
    #[must_use]
    pub fn covering(&self, start: u64, len: u64) -> Option<&[Mapping]> {
        let end = start.checked_add(len)?;
        let first = self
            .0
            .iter()
            .position(|mapping| (mapping.start..mapping.end).contains(&start))?;
        let mut reached = self.0.get(first)?.end;
        let mut last = first;
        while reached < end {
            last += 1;
            let next = self.0.get(last)?;
            if next.start != reached {
                return None;
            }
            reached = next.end;
        }
        self.0.get(first..=last)
    }
}

impl Mapping {
    fn parse(line: &[u8]) -> Result<Self, Malformed> {
        Self::fields(line).ok_or(Malformed::new(
            "maps",
            "a line lacks its range, permissions or device",
        ))
    }

    fn fields(line: &[u8]) -> Option<Self> {
        let mut fields = words(line);
        let (start, end) = pair(fields.next()?, b'-')?;
        let permissions = fields.next()?;
        let protection = match permissions.get(1)? {
            b'w' => Protection::Writable,
            _ => Protection::ReadOnly,
        };
        let sharing = match permissions.get(3)? {
            b'p' => Sharing::Private,
            b's' => Sharing::Shared,
            _ => return None,
        };
        let (major, minor) = pair(fields.nth(1)?, b':')?;
        let backing = match decimal(fields.next()?)? {
            0 => Backing::Anonymous,
            _ => Backing::File {
                major: u32::try_from(major).ok()?,
                minor: u32::try_from(minor).ok()?,
            },
        };
        Some(Self {
            start,
            end,
            sharing,
            protection,
            backing,
        })
    }
}

fn pair(field: &[u8], separator: u8) -> Option<(u64, u64)> {
    let (left, right) =
        field.split_at_checked(field.iter().position(|&byte| byte == separator)?)?;
    Some((hex(left)?, hex(right.get(1..)?)?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const TEXT: &[u8] = b"55602c1ca000-55602c1cb000 r--p 00000000 fe:00 18504                      /usr/bin/a b\n\
        55602c1cb000-55602c1cc000 rw-s 00001000 00:1f 18505                      /dev/shm/x (deleted)\n\
        55602c1cd000-55602c1ce000 rw-p 00000000 00:00 0                          [heap]\n";

    #[test]
    fn a_mapping_tells_its_sharing_and_its_backing() {
        let maps = Maps::parse(TEXT).unwrap();
        let exe = maps.at(0x5560_2c1c_a010).unwrap();
        assert_eq!(
            (exe.sharing, exe.backing),
            (
                Sharing::Private,
                Backing::File {
                    major: 0xfe,
                    minor: 0
                }
            )
        );
        let shm = maps.at(0x5560_2c1c_b000).unwrap();
        assert_eq!(
            (shm.sharing, shm.backing),
            (
                Sharing::Shared,
                Backing::File {
                    major: 0,
                    minor: 0x1f
                }
            )
        );
        assert_eq!(
            maps.at(0x5560_2c1c_dfff).unwrap().backing,
            Backing::Anonymous
        );
        assert_eq!(maps.at(0x5560_2c1c_c000), None);
    }

    #[test]
    fn a_range_is_covered_only_without_a_hole() {
        let maps = Maps::parse(TEXT).unwrap();
        assert_eq!(
            maps.covering(0x5560_2c1c_aff0, 0x20).map(<[_]>::len),
            Some(2)
        );
        assert_eq!(
            maps.covering(0x5560_2c1c_bff0, 0x10).map(<[_]>::len),
            Some(1)
        );
        assert_eq!(maps.covering(0x5560_2c1c_bff0, 0x11), None);
        assert_eq!(maps.covering(u64::MAX, 2), None);
    }

    #[test]
    fn a_cut_line_is_refused() {
        for bad in [
            &b"1-2"[..],
            b"1-2 rw-p 0 fe:00",
            b"1-2 rw-x 0 fe:00 1",
            b"12 rw-p 0 fe:00 1",
        ] {
            assert!(Maps::parse(bad).is_err(), "{bad:?}");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_parsed_or_refused(text: Vec<u8>, address: u64, len: u64) {
            if let Ok(maps) = Maps::parse(&text) {
                let _ = maps.covering(address, len);
            }
        }
    }
}
