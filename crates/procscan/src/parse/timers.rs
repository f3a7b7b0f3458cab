//! `/proc/PID/timers` (man 5 proc_pid_timers; kernel `fs/proc/base.c`, `show_timer`).

use super::field::{key_value, lines, small, words};

/// The signal of each POSIX timer of the process, 0 for one that sends none. The file does not say which are armed.
#[must_use]
pub fn timer_signals(text: &[u8]) -> Vec<u32> {
    let mut timers = Vec::new();
    for (key, value) in lines(text).filter_map(key_value) {
        match key {
            b"ID" => timers.push(0),
            // `signal: 14/00007ffd…`, and for SIGEV_NONE `notify: none/pid.812`, which comes after it.
            b"signal" => {
                let number = value.split(|&byte| byte == b'/').next().and_then(small);
                if let (Some(last), Some(number)) = (timers.last_mut(), number) {
                    *last = number;
                }
            }
            b"notify"
                if words(value)
                    .next()
                    .is_some_and(|how| how.starts_with(b"none")) =>
            {
                if let Some(last) = timers.last_mut() {
                    *last = 0;
                }
            }
            _ => {}
        }
    }
    timers
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn each_timer_gives_its_signal() {
        let text = b"ID: 0\nsignal: 26/0000000000000000\nnotify: signal/tid.902\nClockID: 1\n\
            ID: 1\nsignal: 14/00007ffd0c0c0c0c\nnotify: none/pid.902\nClockID: 0\n";
        assert_eq!(timer_signals(text), [26, 0]);
        assert!(timer_signals(b"").is_empty());
    }

    proptest! {
        #[test]
        fn any_bytes_are_parsed_without_panic(text: Vec<u8>) {
            let _ = timer_signals(&text);
        }
    }
}
