//! What the bytes of a write are.

use serde::{Deserialize, Serialize};

use super::rng::Rng;
use crate::pattern::{self, Tag};

/// The bytes of a write, each kind a function of the offset in the stream, so that any range can be made or
/// verified by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Fill {
    /// Self-describing records (see [`crate::pattern`]): a wrong byte is found, and where it came from.
    Pattern,
    /// NUL bytes.
    Zeros,
    /// Lines of ASCII prose, 80 bytes each with the newline.
    Text,
    /// Pseudo-random bytes of a seed: nothing compresses them, nothing decodes them.
    Random(u64),
    /// Every byte value in turn, in an order that is never UTF-8; NUL and newline are among them.
    NonUtf8,
}

const LINE: [u8; 80] =
    *b"A pipe is a bounded buffer; a parent that waits before it reads has a deadlock.\n";

impl Fill {
    /// Fills `out` with the bytes from `offset` on; `tag` names the stream and the writer.
    pub fn render(self, tag: Tag, offset: u64, out: &mut [u8]) {
        match self {
            Self::Pattern => pattern::render(tag, offset, out),
            Self::Zeros => out.fill(0),
            Self::Text => cycle(&LINE, offset, out),
            Self::Random(seed) => random(seed, offset, out),
            Self::NonUtf8 => cycle(&EVERY_BYTE, offset, out),
        }
    }
}

static EVERY_BYTE: [u8; 256] = every_byte();

/// 167 is odd, so its multiples run through all 256 values; 0xff comes first, which begins no UTF-8 text.
const fn every_byte() -> [u8; 256] {
    let mut table = [0_u8; 256];
    let mut index = 0;
    while index < 256 {
        table[index] = (index as u8).wrapping_mul(167).wrapping_add(0xff);
        index += 1;
    }
    table
}

fn cycle(period: &[u8], offset: u64, out: &mut [u8]) {
    let phase = (offset % period.len() as u64) as usize;
    let (first, rest) = out.split_at_mut(out.len().min(period.len() - phase));
    first.copy_from_slice(&period[phase..phase + first.len()]);
    for chunk in rest.chunks_mut(period.len()) {
        chunk.copy_from_slice(&period[..chunk.len()]);
    }
}

fn random(seed: u64, offset: u64, out: &mut [u8]) {
    let mut word = offset / 8;
    let phase = (offset % 8) as usize;
    let (first, rest) = out.split_at_mut(out.len().min((8 - phase) % 8));
    if !first.is_empty() {
        first.copy_from_slice(&Rng::nth(seed, word).to_le_bytes()[phase..phase + first.len()]);
        word += 1;
    }
    for chunk in rest.chunks_mut(8) {
        chunk.copy_from_slice(&Rng::nth(seed, word).to_le_bytes()[..chunk.len()]);
        word += 1;
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn any_fill() -> impl Strategy<Value = Fill> {
        prop_oneof![
            Just(Fill::Pattern),
            Just(Fill::Zeros),
            Just(Fill::Text),
            any::<u64>().prop_map(Fill::Random),
            Just(Fill::NonUtf8),
        ]
    }

    #[test]
    fn non_utf8_has_every_value_and_is_never_utf8() {
        let mut seen = [false; 256];
        for byte in EVERY_BYTE {
            seen[usize::from(byte)] = true;
        }
        assert_eq!(seen, [true; 256]);
        assert!(str::from_utf8(&EVERY_BYTE[..1]).is_err());
    }

    proptest! {
        #[test]
        fn any_range_equals_the_same_range_of_the_whole(
            fill in any_fill(), start in 0..700_u64, len in 0..700_usize,
        ) {
            let mut whole = vec![0; 1400];
            fill.render(Tag::STDERR, 0, &mut whole);
            let mut part = vec![0; len];
            fill.render(Tag::STDERR, start, &mut part);
            prop_assert_eq!(&whole[start as usize..start as usize + len], &part[..]);
        }
    }
}
