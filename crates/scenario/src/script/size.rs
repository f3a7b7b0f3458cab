//! Sizes in bytes, as a person writes them.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// A number of bytes: in text, digits and perhaps a suffix `k`, `M` or `G`, which are binary (1,024 each).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Size(pub u64);

/// A text that is no [`Size`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{text:?} is no size: write a whole number of bytes below 4P, or one with k, M or G after it, as in 64k"
)]
pub struct SizeError {
    text: String,
}

/// The offset in a pattern record has 13 hex digits.
const SIZE_MAX: u64 = 1 << 52;

impl FromStr for Size {
    type Err = SizeError;

    fn from_str(text: &str) -> Result<Self, SizeError> {
        let wrong = || SizeError {
            text: text.to_owned(),
        };
        let (digits, unit) = match text.as_bytes().last() {
            Some(b'k' | b'K') => (&text[..text.len() - 1], 1 << 10),
            Some(b'M' | b'm') => (&text[..text.len() - 1], 1 << 20),
            Some(b'G' | b'g') => (&text[..text.len() - 1], 1 << 30),
            _ => (text, 1),
        };
        if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(wrong());
        }
        let number: u64 = digits.parse().map_err(|_| wrong())?;
        let bytes = number.checked_mul(unit).filter(|&bytes| bytes < SIZE_MAX);
        bytes.map(Size).ok_or_else(wrong)
    }
}

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let units = [(30, "G"), (20, "M"), (10, "k")];
        for (bits, suffix) in units {
            if self.0 != 0 && self.0.is_multiple_of(1 << bits) {
                return write!(f, "{}{suffix}", self.0 >> bits);
            }
        }
        write!(f, "{}", self.0)
    }
}

impl Serialize for Size {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_u64(self.0)
    }
}

impl<'de> Deserialize<'de> for Size {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(SizeVisitor)
    }
}

struct SizeVisitor;

impl de::Visitor<'_> for SizeVisitor {
    type Value = Size;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a number of bytes, as 65536 or \"64k\"")
    }

    fn visit_u64<E: de::Error>(self, value: u64) -> Result<Size, E> {
        // The text form has the bound and the words for it.
        self.visit_str(&value.to_string())
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Size, E> {
        text.parse().map_err(E::custom)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn suffixes_are_binary() {
        for (text, bytes) in [
            ("0", 0),
            ("65537", 65537),
            ("64k", 65536),
            ("1M", 1 << 20),
            ("2G", 2 << 30),
        ] {
            assert_eq!(text.parse(), Ok(Size(bytes)), "{text}");
        }
    }

    #[test]
    fn what_is_no_size_is_refused_with_what_to_write() {
        for text in [
            "",
            "k",
            "-1",
            "+1",
            "1.5k",
            "64kB",
            "1T",
            "4194304G",
            "99999999999999999999",
            "é",
        ] {
            let error = text.parse::<Size>().unwrap_err().to_string();
            assert!(error.ends_with("as in 64k"), "{error}");
        }
    }

    proptest! {
        #[test]
        fn text_form_round_trips(bytes in prop_oneof![0..SIZE_MAX, (0..4096_u64).prop_map(|k| k << 20)]) {
            prop_assert_eq!(Size(bytes).to_string().parse(), Ok(Size(bytes)));
        }
    }
}
