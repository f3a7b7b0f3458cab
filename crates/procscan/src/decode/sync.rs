//! Futexes, awaited signals and completions.

use pipeclog_waitgraph::snapshot::{FutexScope, SignalSet, Timeout, Wait};

use super::time::{Fraction, Origin, form_of};
use super::{Call, descriptor, other};
use crate::memory::TimeForm;
use crate::parse::Sharing;

/// Commands of futex(2) (include/uapi/linux/futex.h).
const FUTEX_WAIT: u64 = 0;
const FUTEX_LOCK_PI: u64 = 6;
const FUTEX_WAIT_BITSET: u64 = 9;
const FUTEX_WAIT_REQUEUE_PI: u64 = 11;
const FUTEX_LOCK_PI2: u64 = 13;
const FUTEX_COMMAND: u64 = 0x7f;
const FUTEX_PRIVATE: u64 = 0x80;
/// The same flag of futex_wait and futex_waitv is called FUTEX2_PRIVATE.
const FUTEX2_PRIVATE: u64 = 0x80;
/// The owner's thread id in the word of a priority-inheriting lock.
const FUTEX_TID: u64 = 0x3fff_ffff;

impl Call<'_> {
    pub(super) fn futex(&mut self, name: &'static str) -> Wait {
        match name {
            "futex_waitv" => self.futex_vector(),
            // futex_wait(uaddr, val, mask, flags, timeout, clockid): an absolute time, always of 64-bit words.
            "futex_wait" => {
                let [address, value, _, flags, time, _] = self.args;
                let timeout =
                    self.timeout(time, TimeForm::Wide, Fraction::Nanoseconds, Origin::Clock);
                self.futex_on(address, value, flags & FUTEX2_PRIVATE, timeout)
            }
            _ => self.futex_command(name),
        }
    }

    fn futex_command(&mut self, name: &'static str) -> Wait {
        let [address, operation, value, time, ..] = self.args;
        let command = operation & FUTEX_COMMAND;
        let origin = match command {
            FUTEX_WAIT => Origin::Start,
            FUTEX_WAIT_BITSET | FUTEX_LOCK_PI | FUTEX_WAIT_REQUEUE_PI | FUTEX_LOCK_PI2 => {
                Origin::Clock
            }
            // The other commands do not sleep for a wake-up.
            _ => return other(name),
        };
        let timeout = self.timeout(time, form_of(name), Fraction::Nanoseconds, origin);
        let value = match command {
            FUTEX_LOCK_PI | FUTEX_LOCK_PI2 => {
                self.note(self.task.memory.number(address, 4)).unwrap_or(0) & FUTEX_TID
            }
            _ => value,
        };
        self.futex_on(address, value, operation & FUTEX_PRIVATE, timeout)
    }

    /// futex_waitv(waiters, count, flags, timeout, clockid), with `struct futex_waitv` { val, uaddr, flags, … }. The
    /// first waiter stands for all: they lie in one address space, and a shared one among them makes it shared.
    fn futex_vector(&mut self) -> Wait {
        const WAITER: usize = 24;
        const MOST_WAITERS: u64 = 128;
        let [waiters, count, _, time, ..] = self.args;
        let timeout = self.timeout(time, TimeForm::Wide, Fraction::Nanoseconds, Origin::Clock);
        let len = count.clamp(1, MOST_WAITERS) * WAITER as u64;
        let Some(bytes) = self.note(self.task.memory.bytes(waiters, len)) else {
            return Wait::Unknown;
        };
        let mut waits = Vec::new();
        for waiter in bytes.chunks_exact(WAITER) {
            let field = |range| waiter.get(range).map_or(0, crate::memory::little_endian);
            waits.push(self.futex_on(
                field(8..16),
                field(0..8),
                field(16..20) & FUTEX2_PRIVATE,
                timeout,
            ));
        }
        let shared = waits.iter().position(|wait| match wait {
            Wait::Futex { scope, .. } => {
                matches!(scope, FutexScope::SharedMapping | FutexScope::Unknown)
            }
            _ => true,
        });
        waits
            .into_iter()
            .nth(shared.unwrap_or(0))
            .unwrap_or(Wait::Unknown)
    }

    fn futex_on(&mut self, address: u64, value: u64, private: u64, timeout: Timeout) -> Wait {
        let scope = if private != 0 {
            FutexScope::PrivateFlag
        } else {
            match self.note(self.task.memory.sharing(address)).flatten() {
                Some(Sharing::Private) => FutexScope::PrivateMapping,
                Some(Sharing::Shared) => FutexScope::SharedMapping,
                None => FutexScope::Unknown,
            }
        };
        // An `u32` in the kernel.
        let expected = u32::try_from(value & 0xffff_ffff).unwrap_or(0);
        Wait::Futex {
            address,
            scope,
            expected,
            timeout,
        }
    }

    pub(super) fn signal_wait(&mut self, name: &'static str) -> Wait {
        let [set, _, time, ..] = self.args;
        let timeout = self.timeout(time, form_of(name), Fraction::Nanoseconds, Origin::Start);
        match self.note(self.task.memory.number(set, 8)) {
            Some(set) => Wait::Signal {
                awaited: SignalSet(set),
                timeout,
            },
            // Any signal, since none is known to be out of the set.
            None => Wait::Signal {
                awaited: SignalSet(u64::MAX),
                timeout,
            },
        }
    }

    /// io_uring_enter(fd, to_submit, min_complete, flags, arg, size): with IORING_ENTER_EXT_ARG the argument points
    /// to `struct io_uring_getevents_arg`, whose last member is the address of a time.
    pub(super) fn io_uring(&mut self) -> Wait {
        const EXT_ARG: u64 = 8;
        const TIME_AT: u64 = 16;
        let [ring, _, _, flags, argument, _] = self.args;
        let timeout = if flags & EXT_ARG == 0 || argument == 0 {
            Timeout::Never
        } else {
            match self.note(self.task.memory.number(argument.saturating_add(TIME_AT), 8)) {
                Some(time) => {
                    self.timeout(time, TimeForm::Wide, Fraction::Nanoseconds, Origin::Start)
                }
                None => Timeout::Unread,
            }
        };
        match descriptor(ring) {
            Some(fd) => Wait::IoUring { fd, timeout },
            None => other("io_uring_enter"),
        }
    }
}
