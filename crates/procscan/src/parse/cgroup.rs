//! `/proc/PID/cgroup` and the freezer's files (man 7 cgroups; kernel `Documentation/admin-guide/cgroup-v2.rst`).

use super::field::{lines, words};

/// A line of `/proc/PID/cgroup` that names a hierarchy which can freeze.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CgroupPath<'a> {
    /// Which hierarchy.
    pub hierarchy: Hierarchy,
    /// The group, from the root of the reader's cgroup namespace.
    pub path: &'a [u8],
}

/// The hierarchies that can freeze processes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Hierarchy {
    /// `0::PATH`; frozen by `cgroup.freeze`, seen in `cgroup.events`.
    Unified,
    /// `N:freezer:PATH` of version 1; seen in `freezer.state`.
    Freezer,
}

/// The groups of a process in hierarchies that can freeze it.
pub fn cgroups(text: &[u8]) -> impl Iterator<Item = CgroupPath<'_>> {
    lines(text).filter_map(|line| {
        let mut parts = line.splitn(3, |&byte| byte == b':');
        let (number, controllers, path) = (parts.next()?, parts.next()?, parts.next()?);
        let hierarchy = if number == b"0" && controllers.is_empty() {
            Hierarchy::Unified
        } else if controllers
            .split(|&byte| byte == b',')
            .any(|name| name == b"freezer")
        {
            Hierarchy::Freezer
        } else {
            return None;
        };
        Some(CgroupPath { hierarchy, path })
    })
}

/// Whether a freezer's file says frozen: `cgroup.events` of the unified hierarchy (`frozen 1`, which an ancestor's
/// freeze sets too) or `freezer.state` of version 1. `None` if it says neither.
#[must_use]
pub fn is_frozen(hierarchy: Hierarchy, text: &[u8]) -> Option<bool> {
    match hierarchy {
        Hierarchy::Unified => lines(text).find_map(|line| {
            let mut fields = words(line);
            match (fields.next()?, fields.next()?) {
                (b"frozen", b"1") => Some(true),
                (b"frozen", b"0") => Some(false),
                _ => None,
            }
        }),
        Hierarchy::Freezer => match text.trim_ascii() {
            b"FROZEN" => Some(true),
            b"THAWED" | b"FREEZING" => Some(false),
            _ => None,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_hierarchies_that_freeze_are_named() {
        let text = b"9:name=systemd:/\n6:freezer:/box\n4:memory:/a:b\n3:cpu,freezer:/x\n0::/user.slice/a:b\n";
        let found: Vec<_> = cgroups(text).map(|c| (c.hierarchy, c.path)).collect();
        assert_eq!(
            found,
            [
                (Hierarchy::Freezer, &b"/box"[..]),
                (Hierarchy::Freezer, b"/x"),
                (Hierarchy::Unified, b"/user.slice/a:b"),
            ]
        );
        assert_eq!(cgroups(b"\n1\n2:freezer\n").count(), 0);
    }

    #[test]
    fn a_freezer_says_frozen_thawed_or_nothing() {
        assert_eq!(
            is_frozen(Hierarchy::Unified, b"populated 1\nfrozen 1\n"),
            Some(true)
        );
        assert_eq!(
            is_frozen(Hierarchy::Unified, b"populated 1\nfrozen 0\n"),
            Some(false)
        );
        assert_eq!(is_frozen(Hierarchy::Unified, b"populated 1\n"), None);
        assert_eq!(is_frozen(Hierarchy::Freezer, b"FROZEN\n"), Some(true));
        assert_eq!(is_frozen(Hierarchy::Freezer, b"FREEZING\n"), Some(false));
        assert_eq!(is_frozen(Hierarchy::Freezer, b""), None);
    }
}
