//! Durations and sizes, as people write them.

use std::time::Duration;

use pipeclog_scenario::script::Size;

/// Longer than anybody waits, and short enough to be added to any time, in nanoseconds too.
const AGES_S: f64 = 9e9;

/// A duration: a number with ms, s, m, h or d, or in seconds without, as timeout(1) takes it, with an exponent or infinite.
pub(crate) fn duration(text: &str) -> Result<Duration, String> {
    let units = [
        ("ms", 1e-3),
        ("s", 1.0),
        ("m", 60.0),
        ("h", 3600.0),
        ("d", 86400.0),
    ];
    let mut units = units.into_iter();
    let with_unit = units.find_map(|(unit, seconds)| Some((text.strip_suffix(unit)?, seconds)));
    let (number, seconds) = with_unit.unwrap_or((text, 1.0));
    let number: Option<f64> = number.parse().ok();
    number
        .filter(|number| !number.is_nan())
        .and_then(|number| Duration::try_from_secs_f64((number * seconds).min(AGES_S)).ok())
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
            ("1e3", 1_000_000),
            ("0.1", 100),
            ("infinity", 9_000_000_000_000),
            ("infd", 9_000_000_000_000),
        ] {
            assert_eq!(duration(text), Ok(Duration::from_millis(ms)), "{text}");
        }
        for text in ["", "s", "-1s", "1y", "d", "1hd", "ms", "nan", "-inf", "1_0"] {
            assert!(duration(text).is_err(), "{text}");
        }
    }
}
