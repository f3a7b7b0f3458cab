//! Files of the whole machine: `/proc/stat`, `/proc/uptime` and `/proc/timer_list`.

use super::field::{decimal, lines, words};

/// How many processes and threads have been forked since boot: `processes` of `/proc/stat` (man 5 proc_stat).
/// If two passes read the same number, nothing was born in between.
#[must_use]
pub fn forks(stat: &[u8]) -> Option<u64> {
    lines(stat).find_map(|line| line.strip_prefix(b"processes ").and_then(decimal))
}

/// Milliseconds since boot by `/proc/uptime` (man 5 proc_uptime), which counts hundredths of a second on
/// `CLOCK_BOOTTIME`, the clock of start times.
#[must_use]
pub fn boot_ms(uptime: &[u8]) -> Option<u64> {
    let first = words(uptime).next()?;
    let (seconds, rest) = first.split_at_checked(first.iter().position(|&byte| byte == b'.')?)?;
    let hundredths = rest.get(1..).filter(|digits| digits.len() == 2)?;
    decimal(seconds)?
        .checked_mul(1000)?
        .checked_add(decimal(hundredths)? * 10)
}

/// A file that holds one number, such as `sys/kernel/yama/ptrace_scope`.
#[must_use]
pub fn count(text: &[u8]) -> Option<u64> {
    decimal(text)
}

/// Armed timers of the whole machine.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct TimerCounts {
    /// `ITIMER_REAL`, which `alarm(2)` sets too: `it_real_fn`.
    pub real: u32,
    /// POSIX timers: `posix_timer_fn`.
    pub posix: u32,
}

/// Counts the armed timers in `/proc/timer_list` (root only; kernel `kernel/time/timer_list.c`): only a timer that
/// is armed stands in it.
#[must_use]
pub fn timer_counts(timer_list: &[u8]) -> Option<TimerCounts> {
    // An empty or a foreign text must not read as "no timers".
    if !lines(timer_list).any(|line| line.starts_with(b"Timer List Version")) {
        return None;
    }
    let mut counts = TimerCounts::default();
    for line in lines(timer_list) {
        // ` #3: <0000000000000000>, it_real_fn, S:01`
        let Some(function) = line.split(|&byte| byte == b',').nth(1) else {
            continue;
        };
        match function.trim_ascii() {
            b"it_real_fn" => counts.real = counts.real.saturating_add(1),
            b"posix_timer_fn" => counts.posix = counts.posix.saturating_add(1),
            _ => {}
        }
    }
    Some(counts)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn forks_and_the_clock_are_read() {
        assert_eq!(
            forks(b"cpu  1 2 3\nctxt 9\nbtime 1\nprocesses 5954\nprocs_running 1\n"),
            Some(5954)
        );
        assert_eq!(forks(b"cpu  1 2 3\n"), None);
        assert_eq!(boot_ms(b"350735.47 234388.90\n"), Some(350_735_470));
        assert_eq!(boot_ms(b"350735 1"), None);
        assert_eq!(boot_ms(b""), None);
    }

    #[test]
    fn armed_timers_are_counted_by_their_function() {
        let text = b"Timer List Version: v0.10\nHRTIMER_MAX_CLOCK_BASES: 8\n active timers:\n \
            #0: <0000000000000000>, tick_nohz_handler, S:01\n # expires at 1-1 nsecs [in 1 to 1 nsecs]\n \
            #1: <0000000000000000>, it_real_fn, S:01\n #2: <0000000000000000>, posix_timer_fn, S:01\n \
            #3: <0000000000000000>, it_real_fn, S:01\n";
        assert_eq!(timer_counts(text), Some(TimerCounts { real: 2, posix: 1 }));
        assert_eq!(timer_counts(b""), None);
    }

    proptest! {
        #[test]
        fn any_bytes_are_judged_without_panic(text: Vec<u8>) {
            let _ = (forks(&text), boot_ms(&text), timer_counts(&text));
        }
    }
}
