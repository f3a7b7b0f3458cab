//! The lexical ground of every `/proc` text: fields are byte strings, numbers are ASCII, nothing panics.

/// Parses an unsigned decimal number; surrounding blanks are ignored, anything else refuses.
pub(crate) fn decimal(field: &[u8]) -> Option<u64> {
    radix(field, 10)
}

/// Parses a hexadecimal number, with or without its `0x`.
pub(crate) fn hex(field: &[u8]) -> Option<u64> {
    let field = field.trim_ascii();
    radix(field.strip_prefix(b"0x").unwrap_or(field), 16)
}

/// Parses an octal number, the form in which fdinfo prints `flags`.
pub(crate) fn octal(field: &[u8]) -> Option<u64> {
    radix(field, 8)
}

/// Parses a decimal number that may be negative, such as `tty_nr` and `tpgid` in `stat`.
pub(crate) fn signed(field: &[u8]) -> Option<i64> {
    let field = field.trim_ascii();
    match field.strip_prefix(b"-") {
        Some(digits) => 0_i64.checked_sub_unsigned(decimal(digits)?),
        None => i64::try_from(decimal(field)?).ok(),
    }
}

/// A decimal number that fits in 32 bits: a pid, a descriptor number.
pub(crate) fn small(field: &[u8]) -> Option<u32> {
    u32::try_from(decimal(field)?).ok()
}

fn radix(field: &[u8], base: u64) -> Option<u64> {
    let field = field.trim_ascii();
    if field.is_empty() {
        return None;
    }
    field.iter().try_fold(0_u64, |value, &byte| {
        let digit = u64::from(char::from(byte).to_digit(u32::try_from(base).ok()?)?);
        value.checked_mul(base)?.checked_add(digit)
    })
}

/// The blank-separated words of a line; runs of blanks count as one.
pub(crate) fn words(line: &[u8]) -> impl Iterator<Item = &[u8]> {
    line.split(u8::is_ascii_whitespace)
        .filter(|word| !word.is_empty())
}

/// The lines of a file, without their newlines and without the empty last one.
pub(crate) fn lines(text: &[u8]) -> impl Iterator<Item = &[u8]> {
    text.split(|&byte| byte == b'\n')
        .filter(|line| !line.is_empty())
}

/// Splits `key: value` at its first colon; the value loses its surrounding blanks, the key keeps them
/// (fdinfo indents the entries of a list by them).
pub(crate) fn key_value(line: &[u8]) -> Option<(&[u8], &[u8])> {
    let colon = line.iter().position(|&byte| byte == b':')?;
    let (key, rest) = line.split_at_checked(colon)?;
    Some((key, rest.get(1..)?.trim_ascii()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn numbers_are_refused_when_empty_signed_or_too_large() {
        assert_eq!(decimal(b" 42\n"), Some(42));
        for bad in [
            &b""[..],
            b" ",
            b"+1",
            b"-1",
            b"1 2",
            b"0x1",
            b"18446744073709551616",
        ] {
            assert_eq!(decimal(bad), None, "{bad:?}");
        }
        assert_eq!(decimal(b"18446744073709551615"), Some(u64::MAX));
        assert_eq!(signed(b"-9223372036854775808"), Some(i64::MIN));
        assert_eq!(signed(b"9223372036854775808"), None);
        assert_eq!(hex(b"0xffffffff"), Some(0xffff_ffff));
        assert_eq!(octal(b"02000001"), Some(0o2000001));
        assert_eq!(octal(b"8"), None);
    }

    proptest! {
        #[test]
        fn numbers_round_trip(value: u64, negative: i64) {
            prop_assert_eq!(decimal(value.to_string().as_bytes()), Some(value));
            prop_assert_eq!(hex(format!("{value:#x}").as_bytes()), Some(value));
            prop_assert_eq!(octal(format!("{value:o}").as_bytes()), Some(value));
            prop_assert_eq!(signed(negative.to_string().as_bytes()), Some(negative));
        }
    }
}
