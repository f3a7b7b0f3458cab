//! The self-describing bytes that chatty writes: each record names its stream, its writer and its offset.
//!
//! A record is 16 bytes of text, so that it survives a wrapper in any language, and reads in a hex dump:
//!
//! ```text
//! o0000000000ffe0\n     o: stdout, 0: the leader, then the offset of this record in hex
//! ```
//!
//! The bytes of a stream are a function of the tag and the offset alone. So a writer needs no memory of what it
//! wrote, a reader can begin anywhere, and a record that stands in the wrong place says where it came from.

use std::fmt;

/// Length of a record in bytes: a power of two, so that pages and power-of-two writes hold whole records.
pub const RECORD_LEN: usize = 16;

/// How many writers a script can have: the leader and its background descendants, one base-36 digit each.
pub const WRITERS_MAX: u8 = 36;

/// Records are made 4,096 bytes at a time: within such a block only the last three digits before the final one
/// change, so everything before them is made once a block.
const BLOCK_LEN: usize = 4096;
const RECORDS_PER_BLOCK: usize = BLOCK_LEN / RECORD_LEN;

/// Thirteen hex digits: 4 PiB of each stream, some days of writing at the speed of memory.
const OFFSET_DIGITS: usize = 13;

/// What a record says of its origin: the stream and the writer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Tag {
    kind: TagKind,
    writer: u8,
}

/// The stream that a record belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum TagKind {
    /// Given to the leader on its standard input; the letter is `i`.
    Stdin,
    /// Written to standard output; the letter is `o`.
    Stdout,
    /// Written to standard error; the letter is `e`.
    Stderr,
}

impl Tag {
    /// The tag of what a parent gives to the leader's stdin.
    pub const STDIN: Self = Self {
        kind: TagKind::Stdin,
        writer: 0,
    };
    /// The tag of the leader's stdout.
    pub const STDOUT: Self = Self {
        kind: TagKind::Stdout,
        writer: 0,
    };
    /// The tag of the leader's stderr.
    pub const STDERR: Self = Self {
        kind: TagKind::Stderr,
        writer: 0,
    };

    /// The tag of a stream of the `writer`th process: 0 is the leader, descendants count in the order in
    /// which the script names them. Nothing if `writer` is not below [`WRITERS_MAX`].
    #[must_use]
    pub fn new(kind: TagKind, writer: u8) -> Option<Self> {
        (writer < WRITERS_MAX).then_some(Self { kind, writer })
    }

    /// The stream.
    #[must_use]
    pub fn kind(self) -> TagKind {
        self.kind
    }

    /// The process: 0 is the leader.
    #[must_use]
    pub fn writer(self) -> u8 {
        self.writer
    }

    fn bytes(self) -> [u8; 2] {
        let letter = match self.kind {
            TagKind::Stdin => b'i',
            TagKind::Stdout => b'o',
            TagKind::Stderr => b'e',
        };
        let digit = if self.writer < 10 {
            b'0' + self.writer
        } else {
            b'a' + (self.writer - 10)
        };
        [letter, digit]
    }

    fn from_bytes(letter: u8, digit: u8) -> Option<Self> {
        let kind = match letter {
            b'i' => TagKind::Stdin,
            b'o' => TagKind::Stdout,
            b'e' => TagKind::Stderr,
            _ => return None,
        };
        let writer = match digit {
            b'0'..=b'9' => digit - b'0',
            b'a'..=b'z' => digit - b'a' + 10,
            _ => return None,
        };
        Self::new(kind, writer)
    }
}

impl fmt::Display for Tag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let stream = match self.kind {
            TagKind::Stdin => "stdin",
            TagKind::Stdout => "stdout",
            TagKind::Stderr => "stderr",
        };
        match self.writer {
            0 => f.write_str(stream),
            n => write!(f, "{stream} of background writer {n}"),
        }
    }
}

/// Fills `out` with the pattern of `tag` from `offset` (in bytes) on.
pub fn render(tag: Tag, offset: u64, out: &mut [u8]) {
    let within = (offset % BLOCK_LEN as u64) as usize;
    let mut base = offset - within as u64;
    let mut out = out;
    if within > 0 {
        let (first, rest) = out.split_at_mut(out.len().min(BLOCK_LEN - within));
        render_part(tag, base, within, first);
        base += BLOCK_LEN as u64;
        out = rest;
    }
    let (blocks, last) = out.as_chunks_mut();
    for block in blocks {
        render_block(tag, base, block);
        base += BLOCK_LEN as u64;
    }
    if !last.is_empty() {
        render_part(tag, base, 0, last);
    }
}

/// Part of a block; `out` ends within it. Only the records that it touches are made: writes may be of one byte.
fn render_part(tag: Tag, base: u64, within: usize, out: &mut [u8]) {
    let first = within / RECORD_LEN;
    let last = (within + out.len()).div_ceil(RECORD_LEN);
    let mut block = [0; BLOCK_LEN];
    let (records, _) = block.as_chunks_mut();
    render_records(
        tag,
        base,
        &mut records[first..last],
        &LAST_FOUR[first..last],
    );
    out.copy_from_slice(&block[within..within + out.len()]);
}

/// Three digits and a newline for each record of a block; little-endian words keep the bytes in text order.
static LAST_FOUR: [u32; RECORDS_PER_BLOCK] = last_four();

const fn last_four() -> [u32; RECORDS_PER_BLOCK] {
    let mut table = [0; RECORDS_PER_BLOCK];
    let mut k = 0;
    while k < RECORDS_PER_BLOCK {
        let high = HEX[k >> 4];
        let low = HEX[k & 15];
        table[k] = u32::from_le_bytes([high, low, b'0', b'\n']);
        k += 1;
    }
    table
}

const HEX: [u8; 16] = *b"0123456789abcdef";

fn render_block(tag: Tag, base: u64, block: &mut [u8; BLOCK_LEN]) {
    render_records(tag, base, block.as_chunks_mut().0, &LAST_FOUR);
}

fn render_records(tag: Tag, base: u64, records: &mut [[u8; RECORD_LEN]], last_four: &[u32]) {
    let mut head = [0_u8; RECORD_LEN];
    let [letter, digit] = tag.bytes();
    head[0] = letter;
    head[1] = digit;
    // Ten digits of the block's number; the last three of the offset come from the table.
    for (place, byte) in head[2..12].iter_mut().enumerate() {
        let shift = 4 * (OFFSET_DIGITS - 1 - place);
        *byte = HEX[((base >> shift) & 15) as usize];
    }
    let head = u128::from_le_bytes(head);
    for (record, last) in records.iter_mut().zip(last_four) {
        *record = (head | (u128::from(*last) << 96)).to_le_bytes();
    }
}

/// The record that stands at the start of `bytes`, if a whole and well-formed one does: its tag and its offset in
/// bytes.
#[must_use]
pub fn parse(bytes: &[u8]) -> Option<(Tag, u64)> {
    let record: &[u8; RECORD_LEN] = bytes.first_chunk()?;
    let [letter, digit, digits @ .., newline] = record;
    if *newline != b'\n' {
        return None;
    }
    let tag = Tag::from_bytes(*letter, *digit)?;
    let mut offset = 0_u64;
    for byte in digits {
        let value = match byte {
            b'0'..=b'9' => byte - b'0',
            b'a'..=b'f' => byte - b'a' + 10,
            _ => return None,
        };
        offset = offset << 4 | u64::from(value);
    }
    offset
        .is_multiple_of(RECORD_LEN as u64)
        .then_some((tag, offset))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn any_tag() -> impl Strategy<Value = Tag> {
        let kind = prop_oneof![
            Just(TagKind::Stdin),
            Just(TagKind::Stdout),
            Just(TagKind::Stderr)
        ];
        (kind, 0..WRITERS_MAX).prop_map(|(kind, writer)| Tag { kind, writer })
    }

    #[test]
    fn record_reads_in_a_hex_dump() {
        let mut bytes = [0; 32];
        render(Tag::STDOUT, 0xffe0, &mut bytes);
        assert_eq!(bytes.as_slice(), b"o0000000000ffe0\no0000000000fff0\n");
    }

    #[test]
    fn there_is_no_thirty_seventh_writer() {
        assert!(Tag::new(TagKind::Stdout, WRITERS_MAX - 1).is_some());
        assert!(Tag::new(TagKind::Stdout, WRITERS_MAX).is_none());
    }

    proptest! {
        #[test]
        fn record_says_where_it_stands(tag in any_tag(), record in 0..1_u64 << 48) {
            let mut bytes = [0; RECORD_LEN];
            render(tag, record * 16, &mut bytes);
            prop_assert_eq!(parse(&bytes), Some((tag, record * 16)));
        }

        #[test]
        fn any_range_equals_the_same_range_of_the_whole(start in 0..20_000_u64, len in 0..20_000_usize) {
            let mut whole = vec![0; 40_000];
            render(Tag::STDERR, 0, &mut whole);
            let mut part = vec![0; len];
            render(Tag::STDERR, start, &mut part);
            prop_assert_eq!(&whole[start as usize..start as usize + len], &part[..]);
        }

        #[test]
        fn parse_survives_any_bytes(bytes in proptest::collection::vec(any::<u8>(), 0..40)) {
            if let Some((tag, offset)) = parse(&bytes) {
                let mut again = [0; RECORD_LEN];
                render(tag, offset, &mut again);
                prop_assert_eq!(&bytes[..RECORD_LEN], &again[..]);
            }
        }
    }
}
