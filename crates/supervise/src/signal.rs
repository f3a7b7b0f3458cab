//! Signals by name and number, real-time ones too, as timeout(1) reads and writes them.

pub use rustix::process::Signal;
use rustix_libc_wrappers::process::SignalExt as _;

/// The signal of a name (TERM, SIGTERM, RTMIN+3, RTMAX-2, in any case) or of a number, be it that of a death by it (143). None for
/// those that the C library keeps for itself, and for 0, which is no signal.
#[must_use]
pub fn of(text: &str) -> Option<Signal> {
    if let Ok(number) = text.parse::<i32>() {
        if number < 0 {
            return None;
        }
        // Of a code that a shell tells, the number of the signal alone.
        return Signal::from_raw(number & if number < 0xff { 0x7f } else { 0xff });
    }
    let upper = text.to_ascii_uppercase();
    let name = upper.strip_prefix("SIG").unwrap_or(&upper);
    let real_time = |base: &str, first: Signal, sign: i32| {
        let offset = match name.strip_prefix(base)? {
            "" => 0,
            offset => offset.parse::<i32>().ok()?,
        };
        let from_least = first.as_raw() - Signal::rt_min().as_raw();
        // Upwards from the least, downwards from the greatest.
        (offset.signum() != -sign).then(|| Signal::rt(from_least.checked_add(offset)?))?
    };
    let named = match name {
        "CLD" => "CHLD",
        "IOT" => "ABRT",
        "POLL" => "IO",
        name => name,
    };
    let by_name = || {
        let known = format!("SIG{named}").parse::<nix::sys::signal::Signal>();
        Signal::from_named_raw(known.ok()? as i32)
    };
    real_time("RTMIN", Signal::rt_min(), 1)
        .or_else(|| real_time("RTMAX", Signal::rt_max(), -1))
        .or_else(by_name)
}

/// Its name, without SIG.
#[must_use]
pub fn name(signal: Signal) -> String {
    let number = signal.as_raw();
    if let Ok(named) = nix::sys::signal::Signal::try_from(number) {
        return named.as_str().trim_start_matches("SIG").to_owned();
    }
    let (first, last) = (Signal::rt_min().as_raw(), Signal::rt_max().as_raw());
    let (base, offset) = if number <= first + (last - first) / 2 {
        ("RTMIN", number - first)
    } else {
        ("RTMAX", number - last)
    };
    match offset {
        0 => base.to_owned(),
        offset => format!("{base}{offset:+}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_numbers_are_read_and_each_signal_has_a_name_that_is_read_back() {
        let (first, last) = (Signal::rt_min().as_raw(), Signal::rt_max().as_raw());
        for (text, number) in [
            ("TERM", Some(15)),
            ("sigterm", Some(15)),
            ("9", Some(9)),
            ("143", Some(15)),
            ("iot", Some(6)),
            ("RTMIN", Some(first)),
            ("rtmin+3", Some(first + 3)),
            ("SIGRTMAX-2", Some(last - 2)),
            ("RTMAX", Some(last)),
            ("0", None),
            ("65", None),
            ("-1", None),
            ("-115", None),
            ("RTMIN-1", None),
            ("RTMAX+1", None),
            ("RTMIN+99", None),
            ("RTMIN+2147483647", None),
            ("RTMAX-99", None),
            ("RTMINX", None),
            ("NOSUCH", None),
            ("", None),
        ] {
            assert_eq!(of(text).map(Signal::as_raw), number, "{text:?}");
        }
        for number in 1..=64 {
            if let Some(signal) = Signal::from_raw(number) {
                assert_eq!(of(&name(signal)), Some(signal), "{number}");
            }
        }
    }
}
