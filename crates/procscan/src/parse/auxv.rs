//! `/proc/PID/auxv` (man 5 proc_pid_auxv): whether a program is a 32-bit one.
//!
//! The vector tells without opening the program, whose file system may hang: each entry is two words, of the
//! program's own size, and `AT_PHENT` is the size of its ELF program header, 56 bytes in 64-bit ELF and 32 in
//! 32-bit (man 5 elf).

/// Size of a word, a pointer and a `size_t` of a program.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WordSize {
    /// 4 bytes: `ELFCLASS32`.
    Four,
    /// 8 bytes: `ELFCLASS64`.
    Eight,
}

const AT_PHENT: u64 = 4;
const PHENT_64: u64 = 56;
const PHENT_32: u64 = 32;

/// Tells the size from the vector's bytes (little-endian); `None` if it is empty or neither reading makes sense.
#[must_use]
pub fn word_size(auxv: &[u8]) -> Option<WordSize> {
    if entry(auxv, WordSize::Eight, AT_PHENT) == Some(PHENT_64) {
        Some(WordSize::Eight)
    } else if entry(auxv, WordSize::Four, AT_PHENT) == Some(PHENT_32) {
        Some(WordSize::Four)
    } else {
        None
    }
}

fn entry(auxv: &[u8], size: WordSize, key: u64) -> Option<u64> {
    let bytes = match size {
        WordSize::Four => 4,
        WordSize::Eight => 8,
    };
    auxv.chunks_exact(2 * bytes).find_map(|pair| {
        let (left, right) = pair.split_at_checked(bytes)?;
        (word(left) == key).then(|| word(right))
    })
}

fn word(bytes: &[u8]) -> u64 {
    bytes
        .iter()
        .rev()
        .fold(0, |value, &byte| value << 8 | u64::from(byte))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn vector<const N: usize>(words: &[u64]) -> Vec<u8> {
        words
            .iter()
            .flat_map(|w| w.to_le_bytes().into_iter().take(N))
            .collect()
    }

    #[test]
    fn the_header_size_tells_the_word_size() {
        let wide = vector::<8>(&[33, 0x7ffc_0000, 3, 0x5555_0040, 4, 56, 5, 13, 0, 0]);
        assert_eq!(word_size(&wide), Some(WordSize::Eight));
        let narrow = vector::<4>(&[32, 0xf7f0_0000, 33, 0xf7f0_1000, 4, 32, 5, 9, 0, 0]);
        assert_eq!(word_size(&narrow), Some(WordSize::Four));
        assert_eq!(word_size(b""), None);
        assert_eq!(word_size(&vector::<8>(&[4, 99, 0, 0])), None);
    }

    #[test]
    fn our_own_vector_is_of_our_own_size() {
        let auxv = std::fs::read("/proc/self/auxv").unwrap();
        let expected = if size_of::<usize>() == 8 {
            WordSize::Eight
        } else {
            WordSize::Four
        };
        assert_eq!(word_size(&auxv), Some(expected));
    }

    proptest! {
        #[test]
        fn any_bytes_are_judged_without_panic(auxv: Vec<u8>) {
            let _ = word_size(&auxv);
        }
    }
}
