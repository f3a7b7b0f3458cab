//! How much a pipe really holds, by the size of the writes that fill it.
//!
//! The closed form of what [`Pipe::begin_writes`](crate::Pipe::begin_writes) counts slot by slot; a property test
//! holds the two together.

use std::num::NonZeroU64;

use crate::geometry::Geometry;
use crate::pipe::WriteMode;

/// What fills an empty pipe that nobody reads, when all writes are of one size.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Fill {
    /// Bytes in the pipe when the writer blocks, those of the write that blocks included.
    pub bytes: u64,
    /// Writes that completed before it.
    pub writes: u64,
}

impl Fill {
    /// Repeated blocking writes of `size` bytes into an empty pipe: where they block.
    ///
    /// A write of q whole pages and r odd bytes takes q slots and, for the odd bytes, either a place in the last slot
    /// (if they fit there whole) or a slot of their own. Hence 32,784 of 65,536 bytes for 2,049-byte writes, which never
    /// fit a page twice.
    #[must_use]
    pub fn of_writes(geometry: Geometry, mode: WriteMode, size: NonZeroU64) -> Self {
        let page = u64::from(geometry.page().bytes());
        let slots = u64::from(geometry.slots());
        let size = size.get();
        let (whole_pages, odd) = (size / page, size % page);
        match mode {
            WriteMode::Stream if whole_pages == 0 => {
                let writes = slots * (page / size);
                Self {
                    bytes: writes * size,
                    writes,
                }
            }
            WriteMode::Stream if odd > 0 && 2 * odd <= page => {
                Self::of_paired_writes(slots, page, size)
            }
            WriteMode::Stream | WriteMode::Packet => {
                let slots_a_write = size.div_ceil(page);
                let writes = slots / slots_a_write;
                Self {
                    bytes: writes * size + (slots % slots_a_write) * page,
                    writes,
                }
            }
        }
    }

    /// Every second write finds the odd bytes of the one before in the last slot, and joins them; after it the last
    /// slot is a whole page, and nothing joins that.
    fn of_paired_writes(slots: u64, page: u64, size: u64) -> Self {
        let (whole_pages, odd) = (size / page, size % page);
        let slots_a_pair = 2 * whole_pages + 1;
        let pairs = slots / slots_a_pair;
        let rest = slots % slots_a_pair;
        let before = Self {
            bytes: pairs * 2 * size,
            writes: pairs * 2,
        };
        match rest.checked_sub(whole_pages + 1) {
            // The first of a pair fits; the second puts in its odd bytes, and then as many pages as there are slots.
            Some(left) => Self {
                bytes: before.bytes + size + odd + left * page,
                writes: before.writes + 1,
            },
            None => Self {
                bytes: before.bytes + rest * page,
                writes: before.writes,
            },
        }
    }

    /// The same for every write size from 1 to `largest`, in order: the curve that `predict --sweep` draws.
    pub fn sweep(
        geometry: Geometry,
        mode: WriteMode,
        largest: u64,
    ) -> impl Iterator<Item = (NonZeroU64, Self)> {
        (1..=largest)
            .filter_map(NonZeroU64::new)
            .map(move |size| (size, Self::of_writes(geometry, mode, size)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::geometry::PageSize;
    use crate::pipe::Pipe;

    fn fill(capacity: u64, mode: WriteMode, size: u64) -> u64 {
        let geometry = Geometry::from_request(PageSize::FOUR_KIB, capacity).expect("a capacity");
        Fill::of_writes(geometry, mode, NonZeroU64::new(size).expect("not zero")).bytes
    }

    #[test]
    fn the_closed_form_gives_the_measured_totals() {
        // (capacity, write size, blocked-at total), measured on Linux 6.18.
        for (capacity, size, total) in [
            (65_536, 1, 65_536),
            (65_536, 10, 65_440),
            (65_536, 80, 65_280),
            (65_536, 100, 64_000),
            (65_536, 1366, 43_712),
            (65_536, 2049, 32_784),
            (65_536, 4097, 45_066),
            (65_536, 8193, 53_254),
            (65_536, 65_535, 65_535),
            (65_536, 65_537, 65_536),
            (4096, 2049, 2049),
            (8192, 2049, 4098),
            (1_048_576, 2049, 524_544),
        ] {
            assert_eq!(
                fill(capacity, WriteMode::Stream, size),
                total,
                "{size} into {capacity}"
            );
        }
        assert_eq!(fill(65_536, WriteMode::Packet, 1), 16);
        assert_eq!(fill(65_536, WriteMode::Packet, 4097), 32_776);
    }

    #[test]
    fn the_closed_form_equals_the_ring_for_every_small_size_and_ring() {
        // Small pages make every remainder and every pair cheap to visit.
        let page = PageSize::new(16).expect("a power of two");
        for slots in [1, 2, 4, 8, 16, 32] {
            let geometry = Geometry::new(page, slots).expect("a power of two");
            for mode in [WriteMode::Stream, WriteMode::Packet] {
                for (size, fill) in Fill::sweep(geometry, mode, 1200) {
                    let mut pipe = Pipe::new(geometry);
                    let run = pipe.begin_writes(size.get(), u64::MAX, mode);
                    assert_eq!(
                        (run.completed, pipe.written_bytes()),
                        (fill.writes, fill.bytes),
                        "{size} bytes into {slots} slots, {mode:?}"
                    );
                }
            }
        }
    }

    #[test]
    fn the_largest_write_there_can_be_does_not_overflow() {
        assert_eq!(fill(65_536, WriteMode::Stream, u64::MAX), 65_536);
        assert_eq!(fill(65_536, WriteMode::Packet, u64::MAX), 65_536);
    }
}
