//! How long a call waits.

use pipeclog_waitgraph::snapshot::{Timeout, Wait};

use super::{Call, int};
use crate::memory::TimeForm;

/// Nanoseconds in a unit of the second number of a pair.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fraction {
    /// `struct timespec`.
    Nanoseconds,
    /// `struct timeval`.
    Microseconds,
}

/// From when a pair counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Origin {
    /// From the start of the call.
    Start,
    /// From the zero of a clock.
    Clock,
}

/// The form of times in a call of that name.
pub(super) fn form_of(name: &str) -> TimeForm {
    if name.ends_with("_time64") {
        TimeForm::Wide
    } else {
        TimeForm::Native
    }
}

/// The milliseconds of poll and epoll_wait: any negative number is for ever.
pub(super) fn milliseconds(register: u64) -> Timeout {
    match u64::try_from(int(register)) {
        Ok(ms) => Timeout::After(ms.saturating_mul(1_000_000)),
        Err(_) => Timeout::Never,
    }
}

impl Call<'_> {
    /// The time that a pointer leads to; a null pointer is for ever.
    pub(super) fn timeout(
        &mut self,
        pointer: u64,
        form: TimeForm,
        fraction: Fraction,
        origin: Origin,
    ) -> Timeout {
        if pointer == 0 {
            return Timeout::Never;
        }
        let Some((seconds, rest)) = self.note(self.task.memory.pair(pointer, form)) else {
            return Timeout::Unread;
        };
        let unit = match fraction {
            Fraction::Nanoseconds => 1,
            Fraction::Microseconds => 1000,
        };
        let nanoseconds = seconds
            .saturating_mul(1_000_000_000)
            .saturating_add(rest.saturating_mul(unit));
        match origin {
            Origin::Start => Timeout::After(nanoseconds),
            Origin::Clock => Timeout::At(nanoseconds),
        }
    }

    pub(super) fn sleep(&mut self, name: &str) -> Wait {
        const TIMER_ABSTIME: u64 = 1;
        let (pointer, origin) = match name {
            "nanosleep" => (self.args[0], Origin::Start),
            _ if self.args[1] & TIMER_ABSTIME != 0 => (self.args[2], Origin::Clock),
            _ => (self.args[2], Origin::Start),
        };
        let timeout = self.timeout(pointer, form_of(name), Fraction::Nanoseconds, origin);
        Wait::Sleep { timeout }
    }
}
