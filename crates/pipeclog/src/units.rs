//! Durations and sizes, as people write them.

use std::time::Duration;

use jiff::SignedDuration;
use pipeclog_scenario::script::Size;

/// A duration: a number with ms, s, m, h or d, or in seconds without, as timeout(1) takes it.
pub(crate) fn duration(text: &str) -> Result<Duration, String> {
    let (number, days) = match text.strip_suffix('d') {
        // The library has no days: in other calendars than this one they differ in length.
        Some(number) => (format!("{number}h"), 24),
        None if text.ends_with(|last: char| last.is_ascii_digit()) => (format!("{text}s"), 1),
        None => (text.to_owned(), 1),
    };
    let parsed: Option<SignedDuration> = number.parse().ok();
    parsed
        .and_then(|duration| Duration::try_from(duration).ok()?.checked_mul(days))
        .ok_or_else(|| {
            format!(
                "{text:?} is no duration: write a number with ms, s, m, h or d, as in 500ms or 1.5s"
            )
        })
}

/// The number of a process.
pub(crate) fn pid(text: &str) -> Result<u32, String> {
    match text.parse() {
        Ok(0) | Err(_) => Err(format!(
            "{text:?} is no number of a process; `pgrep -a NAME` shows the numbers of programs by name"
        )),
        Ok(pid) => Ok(pid),
    }
}

/// A number and what it counts: 1 byte, 2 bytes.
pub(crate) fn count(number: u64, of: &str) -> String {
    let plural = if number == 1 { "" } else { "s" };
    format!("{number} {of}{plural}")
}

/// A size that is kept in memory.
pub(crate) fn size_as_usize(size: Size) -> anyhow::Result<usize> {
    usize::try_from(size.0)
        .map_err(|_| anyhow::anyhow!("{size} bytes are more than this machine can address"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_is_named_by_a_positive_number() {
        assert_eq!(pid("4711"), Ok(4711));
        for text in ["", "0", "-1", "abc", "4294967296", "1.5"] {
            assert!(pid(text).is_err(), "{text}");
        }
    }

    #[test]
    fn durations_are_those_of_timeout_and_milliseconds() {
        for (text, ms) in [
            ("500ms", 500),
            ("10", 10_000),
            ("1.5s", 1500),
            ("2m", 120_000),
            ("1h", 3_600_000),
            ("0", 0),
            ("1.5d", 129_600_000),
        ] {
            assert_eq!(duration(text), Ok(Duration::from_millis(ms)), "{text}");
        }
        for text in ["", "s", "-1s", "1y", "d", "1hd", "ms", "nan", "inf"] {
            assert!(duration(text).is_err(), "{text}");
        }
    }
}
