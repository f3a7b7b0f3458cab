//! `/proc/PID/mountinfo` (man 5 proc_pid_mountinfo): which file system a device number belongs to.

use super::field::{decimal, lines, small, words};

/// The mounts of one mount namespace.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Mounts(Vec<Mount>);

/// One mount.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mount {
    /// Its number, which fdinfo repeats as `mnt_id`.
    pub id: u64,
    /// Major and minor number of the file system's device.
    pub device: (u32, u32),
    /// Where it is mounted, with the kernel's octal escapes.
    pub point: Vec<u8>,
    /// The type of file system.
    pub kind: Vec<u8>,
    /// Options of the file system, such as `hidepid=2` of proc.
    pub options: Vec<u8>,
}

impl Mounts {
    /// Parses the file's text; lines of another form are passed over.
    #[must_use]
    pub fn parse(text: &[u8]) -> Self {
        Self(lines(text).filter_map(Mount::parse).collect())
    }

    /// All of them, in the file's order.
    pub fn iter(&self) -> impl Iterator<Item = &Mount> {
        self.0.iter()
    }

    /// The type of the file system on a device.
    #[must_use]
    pub fn kind_of(&self, device: (u32, u32)) -> Option<&[u8]> {
        self.0
            .iter()
            .find(|mount| mount.device == device)
            .map(|mount| mount.kind.as_slice())
    }

    /// The mount that one sees at a path: the last one there.
    #[must_use]
    pub fn at(&self, point: &[u8]) -> Option<&Mount> {
        self.0.iter().rev().find(|mount| mount.point == point)
    }
}

impl Mount {
    fn parse(line: &[u8]) -> Option<Self> {
        let mut fields = words(line);
        let id = decimal(fields.next()?)?;
        let place = fields.nth(1)?;
        let (major, minor) =
            place.split_at_checked(place.iter().position(|&byte| byte == b':')?)?;
        let device = (small(major)?, small(minor.get(1..)?)?);
        let point = fields.nth(1)?.to_vec();
        // Optional fields end at a lone hyphen.
        let mut fields = fields.skip_while(|&field| field != b"-").skip(1);
        let kind = fields.next()?.to_vec();
        let options = fields.nth(1)?.to_vec();
        Some(Self {
            id,
            device,
            point,
            kind,
            options,
        })
    }

    /// The value of an option, empty for one without a value.
    #[must_use]
    pub fn option(&self, name: &[u8]) -> Option<&[u8]> {
        self.options.split(|&byte| byte == b',').find_map(|option| {
            let rest = option.strip_prefix(name)?;
            match rest.first() {
                None => Some(rest),
                Some(b'=') => rest.get(1..),
                Some(_) => None,
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const TEXT: &[u8] = b"22 27 0:21 / /proc rw,relatime shared:5 - proc proc rw,hidepid=invisible,subset=pid\n\
        27 1 254:0 / / rw,relatime - ext4 /dev/vda rw,discard\n26 24 0:24 / /dev/pts rw - devpts devpts rw\n\
        29 26 0:26 / /dev/pts rw - devpts devpts rw,mode=600\nbroken\n30 1 x:1 / /y rw - a b c\n";

    #[test]
    fn the_upper_of_two_mounts_is_seen() {
        let mounts = Mounts::parse(TEXT);
        assert_eq!(
            mounts.at(b"/dev/pts").map(|mount| mount.device),
            Some((0, 26))
        );
        assert_eq!(mounts.kind_of((254, 0)), Some(&b"ext4"[..]));
        assert_eq!(mounts.kind_of((9, 9)), None);
    }

    #[test]
    fn options_are_found_by_whole_names() {
        let mounts = Mounts::parse(TEXT);
        let proc = mounts.at(b"/proc").unwrap();
        assert_eq!(proc.option(b"hidepid"), Some(&b"invisible"[..]));
        assert_eq!(proc.option(b"subset"), Some(&b"pid"[..]));
        assert_eq!(proc.option(b"hide"), None);
        assert_eq!(proc.option(b"rw"), Some(&b""[..]));
    }

    proptest! {
        #[test]
        fn any_bytes_are_parsed_without_panic(text: Vec<u8>) {
            let _ = Mounts::parse(&text).at(&text);
        }
    }
}
