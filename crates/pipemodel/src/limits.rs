//! What a new pipe gets, and how far a pipe may grow: the user's limits of pipe(7), as pure arithmetic.
//!
//! The kernel charges every pipe's slots to the user who made it (`account_pipe_buffers`). Above `pipe-user-pages-soft`
//! a new pipe is made with next to no room, silently, and growing is refused; above `pipe-user-pages-hard` there are no
//! new pipes at all.

use std::error::Error;
use std::fmt;

use crate::geometry::{Geometry, GeometryError, PageSize};

/// `PIPE_DEF_BUFFERS`: slots of a pipe when no limit is near.
const DEFAULT_SLOTS: u32 = 16;

/// The limits of one machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Limits {
    /// The page size.
    pub page: PageSize,
    /// `/proc/sys/fs/pipe-max-size`, in bytes: the most that a pipe may be grown to without `CAP_SYS_RESOURCE`.
    pub max_bytes: u32,
    /// `/proc/sys/fs/pipe-user-pages-soft`, in pages.
    pub user_pages_soft: UserPages,
    /// `/proc/sys/fs/pipe-user-pages-hard`, in pages.
    pub user_pages_hard: UserPages,
    /// What a pipe gets above the soft limit.
    pub shrunk: ShrunkPipe,
}

/// A limit on the pages of all pipes of a user.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum UserPages {
    /// Written as 0: no limit.
    Unlimited,
    /// At most so many; one more is too many.
    AtMost(u64),
}

impl UserPages {
    /// From the number that the kernel prints.
    #[must_use]
    pub const fn from_sysctl(pages: u64) -> Self {
        match pages {
            0 => Self::Unlimited,
            pages => Self::AtMost(pages),
        }
    }

    /// Whether `pages` in all are too many (`too_many_pipe_buffers_soft`, `too_many_pipe_buffers_hard`).
    const fn exceeded_by(self, pages: u64) -> bool {
        match self {
            Self::Unlimited => false,
            Self::AtMost(limit) => pages > limit,
        }
    }
}

/// How many slots a new pipe gets above the soft limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ShrunkPipe {
    /// One, before Linux 5.14: any write to a pipe that is not empty may block, which hung make's jobserver.
    OneSlot,
    /// Two (`PIPE_MIN_DEF_BUFFERS`), since Linux 5.14 and in the stable kernels that took the change.
    TwoSlots,
}

impl ShrunkPipe {
    /// By the version of the kernel (`major`, `minor` of uname(2)'s release).
    #[must_use]
    pub const fn of_kernel(major: u32, minor: u32) -> Self {
        if major > 5 || (major == 5 && minor >= 14) {
            Self::TwoSlots
        } else {
            Self::OneSlot
        }
    }

    /// By the text of `/proc/sys/kernel/osrelease`, such as `6.18.44-generic`.
    ///
    /// # Errors
    ///
    /// [`ParseLimitError`] if it does not begin with two numbers.
    pub fn parse(osrelease: &[u8]) -> Result<Self, ParseLimitError> {
        let number = |part: Option<&str>| {
            let part = part?;
            let end = part
                .find(|c: char| !c.is_ascii_digit())
                .unwrap_or(part.len());
            part.get(..end)?.parse().ok()
        };
        let text = std::str::from_utf8(osrelease).unwrap_or_default();
        let mut parts = text.trim_ascii().split('.');
        match (number(parts.next()), number(parts.next())) {
            (Some(major), Some(minor)) => Ok(Self::of_kernel(major, minor)),
            _ => Err(ParseLimitError::new(
                "sys/kernel/osrelease",
                "a version such as 6.18.44",
                osrelease,
            )),
        }
    }

    const fn slots(self) -> u32 {
        match self {
            Self::OneSlot => 1,
            Self::TwoSlots => 2,
        }
    }
}

/// What the process may exceed, by its capabilities in the first user namespace (capabilities(7)).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Privilege {
    /// Neither capability: every limit holds.
    Ordinary,
    /// `CAP_SYS_ADMIN` alone: the user's page limits do not hold, `pipe-max-size` does.
    SysAdmin,
    /// `CAP_SYS_RESOURCE`: no limit holds.
    SysResource,
}

impl Privilege {
    /// By `/proc/self/status` (its line `CapEff`) and `/proc/self/uid_map`: outside the first user namespace capabilities lift no
    /// limit of pipes.
    ///
    /// # Errors
    ///
    /// [`ParseLimitError`] if there is no such line, or no hexadecimal number in it.
    pub fn parse(status: &[u8], uid_map: &[u8]) -> Result<Self, ParseLimitError> {
        let line = status
            .split(|byte| *byte == b'\n')
            .find_map(|line| line.strip_prefix(b"CapEff:"))
            .unwrap_or_default();
        let capabilities = std::str::from_utf8(line)
            .ok()
            .and_then(|text| u64::from_str_radix(text.trim_ascii(), 16).ok())
            .ok_or_else(|| {
                ParseLimitError::new("self/status", "a line CapEff with a number", line)
            })?;
        let has = |capability: u32| capabilities & (1 << capability) != 0;
        Ok(if !is_first_namespace(uid_map) {
            Self::Ordinary
        } else if has(CAP_SYS_RESOURCE) {
            Self::SysResource
        } else if has(CAP_SYS_ADMIN) {
            Self::SysAdmin
        } else {
            Self::Ordinary
        })
    }
}

/// Numbers of `include/uapi/linux/capability.h`.
const CAP_SYS_ADMIN: u32 = 21;
const CAP_SYS_RESOURCE: u32 = 24;

/// The first namespace maps every user to itself (user_namespaces(7)).
fn is_first_namespace(uid_map: &[u8]) -> bool {
    let mut numbers = uid_map
        .split(u8::is_ascii_whitespace)
        .filter(|number| !number.is_empty());
    [b"0".as_slice(), b"0", b"4294967295"]
        .into_iter()
        .all(|number| numbers.next() == Some(number))
        && numbers.next().is_none()
}

/// What pipe(2) gives now.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum NewPipe {
    /// A pipe of the usual size.
    Usual(Geometry),
    /// A pipe of one or two slots: the user is over the soft limit. It stays small after other pipes close.
    Shrunk(Geometry),
    /// `ENFILE`: the user is over the hard limit.
    Refused,
}

impl NewPipe {
    /// The pipe's ring, if there is a pipe.
    #[must_use]
    pub const fn geometry(self) -> Option<Geometry> {
        match self {
            Self::Usual(geometry) | Self::Shrunk(geometry) => Some(geometry),
            Self::Refused => None,
        }
    }
}

impl Limits {
    /// What the kernel has if nobody changed it: 1 MiB, 16,384 pages (1,024 pipes of 16), no hard limit.
    pub const DEFAULT: Self = Self {
        page: PageSize::FOUR_KIB,
        max_bytes: 1 << 20,
        user_pages_soft: UserPages::AtMost(16_384),
        user_pages_hard: UserPages::Unlimited,
        shrunk: ShrunkPipe::TwoSlots,
    };

    /// From the bytes of the three files in `/proc/sys/fs`, each a decimal number and a newline.
    ///
    /// # Errors
    ///
    /// [`ParseLimitError`], which names the file and what stood there.
    pub fn parse(
        files: SysctlFiles<'_>,
        page: PageSize,
        shrunk: ShrunkPipe,
    ) -> Result<Self, ParseLimitError> {
        let max_bytes = parse_number("sys/fs/pipe-max-size", files.max_size)?;
        let soft = parse_number("sys/fs/pipe-user-pages-soft", files.user_pages_soft)?;
        let hard = parse_number("sys/fs/pipe-user-pages-hard", files.user_pages_hard)?;
        Ok(Self {
            page,
            max_bytes: u32::try_from(max_bytes)
                .map_err(|_| ParseLimitError::number("sys/fs/pipe-max-size", files.max_size))?,
            user_pages_soft: UserPages::from_sysctl(soft),
            user_pages_hard: UserPages::from_sysctl(hard),
            shrunk,
        })
    }

    /// What a new pipe gets when the user's pipes already have `user_pages` pages (`alloc_pipe_info`).
    ///
    /// # Errors
    ///
    /// [`GeometryError`] if `max_bytes` is not what a kernel can have (it keeps it a power of two).
    pub fn new_pipe(
        &self,
        user_pages: u64,
        privilege: Privilege,
    ) -> Result<NewPipe, GeometryError> {
        let page = self.page.bytes();
        let usual = match privilege {
            Privilege::SysResource => DEFAULT_SLOTS,
            Privilege::Ordinary | Privilege::SysAdmin => DEFAULT_SLOTS.min(self.max_bytes / page),
        };
        let over_soft = self
            .user_pages_soft
            .exceeded_by(user_pages.saturating_add(u64::from(usual)));
        let (slots, make): (u32, fn(Geometry) -> NewPipe) =
            if over_soft && privilege == Privilege::Ordinary {
                (self.shrunk.slots(), NewPipe::Shrunk)
            } else {
                (usual, NewPipe::Usual)
            };
        let over_hard = self
            .user_pages_hard
            .exceeded_by(user_pages.saturating_add(u64::from(slots)));
        if over_hard && privilege == Privilege::Ordinary {
            return Ok(NewPipe::Refused);
        }
        Geometry::new(self.page, slots).map(make)
    }

    /// Whether a pipe of `now` may be resized to `bytes` (`pipe_set_size`), when all the user's pipes, this one included,
    /// have `user_pages` pages. What the ring itself refuses is [`Pipe::resize`](crate::Pipe::resize)'s to say. Shrinking is always
    /// allowed.
    ///
    /// # Errors
    ///
    /// [`GrowError`], the kernel's `EPERM`, with the limit that said so.
    pub fn check_resize(
        &self,
        now: Geometry,
        bytes: u64,
        user_pages: u64,
        privilege: Privilege,
    ) -> Result<Geometry, GrowError> {
        let wanted = Geometry::from_request(self.page, bytes).map_err(GrowError::Impossible)?;
        if wanted.slots() <= now.slots() {
            return Ok(wanted);
        }
        let pages = user_pages
            .saturating_sub(u64::from(now.slots()))
            .saturating_add(u64::from(wanted.slots()));
        let above_max = wanted.capacity_bytes() > u64::from(self.max_bytes);
        let above_pages =
            self.user_pages_soft.exceeded_by(pages) || self.user_pages_hard.exceeded_by(pages);
        match privilege {
            Privilege::SysResource => Ok(wanted),
            Privilege::Ordinary | Privilege::SysAdmin if above_max => Err(GrowError::MaxSize {
                bytes: wanted.capacity_bytes(),
                max_bytes: self.max_bytes,
            }),
            Privilege::Ordinary if above_pages => Err(GrowError::UserPages { pages }),
            Privilege::Ordinary | Privilege::SysAdmin => Ok(wanted),
        }
    }

    /// How many more pipes of the usual size an ordinary user may make, with `user_pages` pages in use, before they come shrunk.
    /// `None`: any number.
    #[must_use]
    pub fn usual_pipes_left(&self, user_pages: u64) -> Option<u64> {
        match self.user_pages_soft {
            UserPages::Unlimited => None,
            UserPages::AtMost(limit) => {
                Some(limit.saturating_sub(user_pages) / u64::from(self.usual_slots()))
            }
        }
    }

    /// Slots of a new pipe of an ordinary user who is far from the limits: 16, unless `pipe-max-size` is smaller.
    #[must_use]
    pub fn usual_slots(&self) -> u32 {
        DEFAULT_SLOTS.min(self.max_bytes / self.page.bytes()).max(1)
    }
}

/// The bytes of the three files of `/proc/sys/fs` that rule pipes.
#[derive(Clone, Copy, Debug)]
pub struct SysctlFiles<'a> {
    /// `pipe-max-size`.
    pub max_size: &'a [u8],
    /// `pipe-user-pages-soft`.
    pub user_pages_soft: &'a [u8],
    /// `pipe-user-pages-hard`.
    pub user_pages_hard: &'a [u8],
}

fn parse_number(file: &'static str, bytes: &[u8]) -> Result<u64, ParseLimitError> {
    std::str::from_utf8(bytes)
        .ok()
        .and_then(|text| text.trim_ascii().parse().ok())
        .ok_or_else(|| ParseLimitError::number(file, bytes))
}

/// A limit's file that does not hold a number that the kernel would print.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ParseLimitError {
    file: &'static str,
    expected: &'static str,
    found: String,
}

impl ParseLimitError {
    fn number(file: &'static str, found: &[u8]) -> Self {
        Self::new(file, "a decimal number", found)
    }

    fn new(file: &'static str, expected: &'static str, found: &[u8]) -> Self {
        Self {
            file,
            expected,
            // Enough to see what stood there; the bytes may be any.
            found: found.escape_ascii().take(40).map(char::from).collect(),
        }
    }
}

impl fmt::Display for ParseLimitError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "failed to parse /proc/{}: expected {}, found \"{}\"",
            self.file, self.expected, self.found
        )
    }
}

impl Error for ParseLimitError {}

/// Why a pipe may not grow: the kernel says `EPERM` for each of the first two.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum GrowError {
    /// Above `pipe-max-size` without `CAP_SYS_RESOURCE`.
    MaxSize {
        /// The capacity wanted, rounded.
        bytes: u64,
        /// The limit.
        max_bytes: u32,
    },
    /// Above a limit on the user's pages.
    UserPages {
        /// The pages that there would be in all.
        pages: u64,
    },
    /// Not a capacity at all (`EINVAL`).
    Impossible(GeometryError),
}

impl fmt::Display for GrowError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::MaxSize { bytes, max_bytes } => write!(
                f,
                "failed to grow the pipe to {bytes} bytes: pipe-max-size allows {max_bytes} without CAP_SYS_RESOURCE"
            ),
            Self::UserPages { pages } => write!(
                f,
                "failed to grow the pipe: the user's pipes would have {pages} pages, more than pipe-user-pages-soft or -hard allow; close other pipes"
            ),
            Self::Impossible(_) => f.write_str("failed to grow the pipe"),
        }
    }
}

impl Error for GrowError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Impossible(cause) => Some(cause),
            Self::MaxSize { .. } | Self::UserPages { .. } => None,
        }
    }
}

#[cfg(test)]
mod tests;
