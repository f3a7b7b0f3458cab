//! The curve of what a pipe holds, by the size of the writes that fill it: as text, JSON and SVG.

mod svg;
mod text;

use pipeclog_pipemodel::capacity::Fill;
use pipeclog_pipemodel::{Geometry, WriteMode};
use serde::Serialize;

use crate::markdown::number;

/// The version of the JSON form; raised when a field changes its meaning or goes.
pub const SCHEMA_VERSION: u32 = 1;

/// What one pipe holds when it blocks its writer, for every write size from 1 to a largest one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Curve {
    schema_version: u32,
    capacity_bytes: u64,
    page_bytes: u32,
    slots: u32,
    packet_mode: bool,
    /// By write size: the first is that of 1-byte writes.
    effective_bytes: Vec<u64>,
}

impl Curve {
    /// Computes it. The cost is some nanoseconds a size.
    #[must_use]
    pub fn new(geometry: Geometry, mode: WriteMode, largest_write: u64) -> Self {
        Self {
            schema_version: SCHEMA_VERSION,
            capacity_bytes: geometry.capacity_bytes(),
            page_bytes: geometry.page().bytes(),
            slots: geometry.slots(),
            packet_mode: match mode {
                WriteMode::Stream => false,
                WriteMode::Packet => true,
            },
            effective_bytes: Fill::sweep(geometry, mode, largest_write)
                .map(|(_, fill)| fill.bytes)
                .collect(),
        }
    }

    /// The JSON form: the pipe, and `effective_bytes`, whose first element is for writes of one byte.
    ///
    /// # Errors
    ///
    /// Never, as far as is known: there are only numbers in it.
    pub fn json(&self) -> Result<String, serde_json::Error> {
        serde_json::to_string(self)
    }

    fn largest_write(&self) -> u64 {
        self.effective_bytes.len() as u64
    }

    fn at(&self, write_bytes: u64) -> Option<u64> {
        let index = usize::try_from(write_bytes.checked_sub(1)?).ok()?;
        self.effective_bytes.get(index).copied()
    }

    /// The least and the most of the sizes from `first` on and below `end`, which are at least one size.
    fn range(&self, first: u64, end: u64) -> Option<(u64, u64)> {
        let index = |size: u64| usize::try_from(size.saturating_sub(1)).unwrap_or(usize::MAX);
        let end = index(end.max(first + 1)).min(self.effective_bytes.len());
        let sizes = self.effective_bytes.get(index(first)..end)?;
        Some((*sizes.iter().min()?, *sizes.iter().max()?))
    }

    /// The write sizes at which a page's worth no longer goes in so many times: the deepest of the teeth.
    fn teeth(&self) -> Vec<Tooth> {
        let page = u64::from(self.page_bytes);
        let sizes = if self.packet_mode {
            vec![1, page + 1]
        } else {
            vec![page / 3 + 1, page / 2 + 1, page + 1]
        };
        sizes
            .into_iter()
            .filter_map(|write_bytes| {
                Some(Tooth {
                    write_bytes,
                    effective_bytes: self.at(write_bytes)?,
                })
            })
            .collect()
    }

    fn title(&self) -> String {
        let mode = if self.packet_mode {
            " in packet mode"
        } else {
            ""
        };
        format!(
            "What a pipe of {} bytes{mode} holds, by the size of the writes",
            number(self.capacity_bytes)
        )
    }
}

/// A point that is worth a label.
struct Tooth {
    write_bytes: u64,
    effective_bytes: u64,
}

/// A place on the axis of write sizes, which is logarithmic to base 2: 1 byte is at 0, the largest size at 1.
#[derive(Clone, Copy)]
struct Axis {
    octaves: f64,
}

impl Axis {
    fn of(curve: &Curve) -> Self {
        Self {
            octaves: (curve.largest_write().max(2) as f64).log2(),
        }
    }

    fn place(self, write_bytes: u64) -> f64 {
        (write_bytes.max(1) as f64).log2() / self.octaves
    }

    /// The smallest size that is not before a place.
    fn size_at(self, place: f64) -> u64 {
        (place * self.octaves).exp2().ceil() as u64
    }

    /// The write sizes that get a tick.
    fn ticks(curve: &Curve) -> impl Iterator<Item = u64> + '_ {
        (0..u64::BITS)
            .step_by(2)
            .map(|octave| 1 << octave)
            .take_while(|size| *size <= curve.largest_write())
    }
}

/// 64 KiB and not 65536, where it is whole.
pub(crate) fn binary(number: u64) -> String {
    match number {
        0 => "0".to_owned(),
        number if number.is_multiple_of(1 << 20) => format!("{} MiB", number >> 20),
        number if number.is_multiple_of(1 << 10) => format!("{} KiB", number >> 10),
        number => format!("{number} B"),
    }
}

#[cfg(test)]
mod tests;
