//! How large a pipe's ring is: pages a slot, slots a ring.

use std::error::Error;
use std::fmt;

/// The size of a page in bytes, a power of two: the most that one slot can hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PageSize(u32);

impl PageSize {
    /// The page of x86-64 and of most arm64 kernels: 4,096 bytes.
    pub const FOUR_KIB: Self = Self(4096);

    /// A page of `bytes` (`sysconf(_SC_PAGESIZE)`).
    ///
    /// # Errors
    ///
    /// [`GeometryError::Page`] unless `bytes` is a power of two.
    pub const fn new(bytes: u32) -> Result<Self, GeometryError> {
        if bytes.is_power_of_two() {
            Ok(Self(bytes))
        } else {
            Err(GeometryError::Page { bytes })
        }
    }

    /// The size in bytes.
    #[must_use]
    pub const fn bytes(self) -> u32 {
        self.0
    }
}

/// A pipe's ring: so many slots of a page each. The kernel calls the slots `pipe_buffer`s and their number
/// `max_usage` (`include/linux/pipe_fs_i.h`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Geometry {
    page: PageSize,
    slots: u32,
}

impl Geometry {
    /// What a new pipe gets when no limit is near: 16 slots (`PIPE_DEF_BUFFERS`) of 4,096 bytes, 65,536 bytes.
    pub const DEFAULT: Self = Self {
        page: PageSize::FOUR_KIB,
        slots: 16,
    };

    /// A ring of `slots` slots.
    ///
    /// # Errors
    ///
    /// [`GeometryError::Slots`] unless `slots` is a power of two, as the kernel masks its indices with
    /// `ring_size - 1`; [`GeometryError::Capacity`] if the ring would exceed 2^31 bytes.
    pub fn new(page: PageSize, slots: u32) -> Result<Self, GeometryError> {
        if !slots.is_power_of_two() {
            return Err(GeometryError::Slots { slots });
        }
        let geometry = Self { page, slots };
        if geometry.capacity_bytes() > MAX_CAPACITY_BYTES {
            return Err(GeometryError::Capacity {
                bytes: geometry.capacity_bytes(),
            });
        }
        Ok(geometry)
    }

    /// What `fcntl(F_SETPIPE_SZ)` makes of a request: at least a page, rounded up to a power of two
    /// (`round_pipe_size`). Limits are not asked here; see [`Limits`](crate::limits::Limits).
    ///
    /// # Errors
    ///
    /// [`GeometryError::Capacity`] above 2^31 bytes, where the kernel says `EINVAL`.
    pub fn from_request(page: PageSize, bytes: u64) -> Result<Self, GeometryError> {
        if bytes > MAX_CAPACITY_BYTES {
            return Err(GeometryError::Capacity { bytes });
        }
        let rounded = bytes.max(u64::from(page.0)).next_power_of_two();
        u32::try_from(rounded / u64::from(page.0))
            .map_err(|_| GeometryError::Capacity { bytes })
            .and_then(|slots| Self::new(page, slots))
    }

    /// The page size.
    #[must_use]
    pub const fn page(self) -> PageSize {
        self.page
    }

    /// The number of slots.
    #[must_use]
    pub const fn slots(self) -> u32 {
        self.slots
    }

    /// What `F_GETPIPE_SZ` says, in bytes. It is what the pipe holds if every slot is filled to its last byte,
    /// and no promise that it will be: see [`Fill`](crate::capacity::Fill).
    #[must_use]
    pub const fn capacity_bytes(self) -> u64 {
        self.page.0 as u64 * self.slots as u64
    }
}

/// `round_pipe_size` refuses more.
const MAX_CAPACITY_BYTES: u64 = 1 << 31;

/// A ring that the kernel cannot have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum GeometryError {
    /// The page size is no power of two.
    Page {
        /// The size asked for.
        bytes: u32,
    },
    /// The number of slots is no power of two.
    Slots {
        /// The number asked for.
        slots: u32,
    },
    /// The ring is larger than 2^31 bytes.
    Capacity {
        /// The capacity asked for.
        bytes: u64,
    },
}

impl fmt::Display for GeometryError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Page { bytes } => write!(
                f,
                "cannot model a page of {bytes} bytes: it must be a power of two"
            ),
            Self::Slots { slots } => write!(
                f,
                "cannot model a pipe of {slots} slots: their number must be a power of two"
            ),
            Self::Capacity { bytes } => write!(
                f,
                "cannot model a pipe of {bytes} bytes: the kernel allows at most {MAX_CAPACITY_BYTES}"
            ),
        }
    }
}

impl Error for GeometryError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_rounded_up_to_a_power_of_two_of_pages() {
        for (asked, got) in [
            (0, 4096),
            (1, 4096),
            (4096, 4096),
            (4097, 8192),
            (5000, 8192),
            (65_536, 65_536),
            (70_000, 131_072),
            (1 << 31, 1 << 31),
        ] {
            let geometry = Geometry::from_request(PageSize::FOUR_KIB, asked).expect("within 2^31");
            assert_eq!(geometry.capacity_bytes(), got, "asked for {asked}");
        }
        assert_eq!(
            Geometry::from_request(PageSize::FOUR_KIB, (1 << 31) + 1),
            Err(GeometryError::Capacity {
                bytes: (1 << 31) + 1
            })
        );
    }

    #[test]
    fn a_page_and_a_number_of_slots_must_be_powers_of_two() {
        assert_eq!(
            PageSize::new(5000),
            Err(GeometryError::Page { bytes: 5000 })
        );
        assert_eq!(PageSize::new(0), Err(GeometryError::Page { bytes: 0 }));
        assert_eq!(
            Geometry::new(PageSize::FOUR_KIB, 3),
            Err(GeometryError::Slots { slots: 3 })
        );
    }
}
