//! The sets of poll, select and epoll.

use pipeclog_waitgraph::snapshot::{EventSet, PollEntry, SignalSet, Timeout, Wait};

use super::time::{Fraction, Origin, form_of, milliseconds};
use super::{Call, int, other};
use crate::memory::{TimeForm, Unreadable, little_endian};
use crate::source::{Cause, ReadError};
use pipeclog_waitgraph::snapshot::Facet;

/// Most entries of a set that are read; a process may have as many descriptors as this by default
/// (`fs.nr_open`), and no more.
const MOST_ENTRIES: u64 = 1 << 20;
/// `struct pollfd`: an `int` and two `short`s, on every architecture.
const POLLFD: usize = 8;
const POLLIN: u32 = 0x1;
const POLLPRI: u32 = 0x2;
const POLLOUT: u32 = 0x4;

impl Call<'_> {
    pub(super) fn poll(&mut self, name: &'static str) -> Wait {
        let [set, count, third, fourth, ..] = self.args;
        let (timeout, mask) = match name {
            "poll" => (milliseconds(third), None),
            _ => {
                let timeout =
                    self.timeout(third, form_of(name), Fraction::Nanoseconds, Origin::Start);
                (timeout, self.mask(fourth))
            }
        };
        // An `unsigned int` in the kernel.
        let count = count & 0xffff_ffff;
        let set = self.poll_set(set, count);
        Wait::Poll {
            set,
            timeout,
            mask,
            call: name.to_owned(),
        }
    }

    fn poll_set(&mut self, address: u64, count: u64) -> Option<Vec<PollEntry>> {
        if count == 0 {
            return Some(Vec::new());
        }
        let bytes = self.set_bytes(address, count, count.saturating_mul(POLLFD as u64))?;
        let entries = bytes.chunks_exact(POLLFD).filter_map(|entry| {
            let (fd, rest) = entry.split_at_checked(4)?;
            let events = little_endian(rest.get(..2)?);
            Some(PollEntry {
                fd: u32::try_from(int(little_endian(fd))).ok()?,
                events: EventSet(u32::try_from(events).ok()?),
            })
        });
        Some(entries.collect())
    }

    pub(super) fn select(&mut self, name: &'static str) -> Wait {
        let mut args = self.args;
        // i386's first select has one argument, a pointer to the five (`struct sel_arg_struct`).
        if name == "select" && self.task.memory.word() == 4 {
            let words = self.note(self.task.memory.bytes(args[0], 5 * 4));
            let Some(words) = words else {
                let call = name.to_owned();
                return Wait::Poll {
                    set: None,
                    timeout: Timeout::Unread,
                    mask: None,
                    call,
                };
            };
            for (arg, word) in args.iter_mut().zip(words.chunks_exact(4)) {
                *arg = little_endian(word);
            }
        }
        let [count, read, write, except, time, sixth] = args;
        let (timeout, mask) = match name {
            "select" | "_newselect" => (
                self.timeout(
                    time,
                    TimeForm::Native,
                    Fraction::Microseconds,
                    Origin::Start,
                ),
                None,
            ),
            _ => {
                let timeout =
                    self.timeout(time, form_of(name), Fraction::Nanoseconds, Origin::Start);
                // The sixth argument points to a pointer to the mask, and the mask's size.
                let inner = match sixth {
                    0 => 0,
                    _ => self
                        .note(self.task.memory.pair(sixth, TimeForm::Native))
                        .map_or(1, |p| p.0),
                };
                (timeout, self.mask(inner))
            }
        };
        let count = u64::try_from(int(count)).unwrap_or(0);
        let sets = [(read, POLLIN), (write, POLLOUT), (except, POLLPRI)];
        let set = self.select_sets(count, sets);
        Wait::Poll {
            set,
            timeout,
            mask,
            call: name.to_owned(),
        }
    }

    fn select_sets(&mut self, count: u64, sets: [(u64, u32); 3]) -> Option<Vec<PollEntry>> {
        let mut events = vec![0_u32; usize::try_from(count.min(MOST_ENTRIES)).ok()?];
        for (address, event) in sets {
            if address == 0 || count == 0 {
                continue;
            }
            // The kernel reads whole words, and so is sure that they are mapped.
            let word = self.task.memory.word();
            let len = count.div_ceil(8 * word).saturating_mul(word);
            let bytes = self.set_bytes(address, count, len)?;
            for (fd, slot) in events.iter_mut().enumerate() {
                if bytes
                    .get(fd / 8)
                    .is_some_and(|byte| byte >> (fd % 8) & 1 == 1)
                {
                    *slot |= event;
                }
            }
        }
        let entries = (0_u32..).zip(events).filter(|&(_, events)| events != 0);
        Some(
            entries
                .map(|(fd, events)| PollEntry {
                    fd,
                    events: EventSet(events),
                })
                .collect(),
        )
    }

    fn set_bytes(&mut self, address: u64, count: u64, len: u64) -> Option<Vec<u8>> {
        if count > MOST_ENTRIES {
            let error = ReadError::new(
                "read the set of",
                &self.task.pid.to_string(),
                Cause::Malformed,
            );
            self.missing.push(Unreadable {
                facet: Facet::Memory,
                error,
            });
            return None;
        }
        self.note(self.task.memory.bytes(address, len))
    }

    /// The mask that ppoll and pselect6 wait under. It is the thread's own while they wait (kernel
    /// `set_user_sigmask`), so the status file already has it.
    fn mask(&self, pointer: u64) -> Option<SignalSet> {
        if pointer == 0 {
            return None;
        }
        self.task.signals.map(|signals| signals.blocked)
    }

    pub(super) fn epoll(&mut self, name: &'static str) -> Wait {
        let timeout = match name {
            // Its time has 64-bit words on every architecture.
            "epoll_pwait2" => self.timeout(
                self.args[3],
                TimeForm::Wide,
                Fraction::Nanoseconds,
                Origin::Start,
            ),
            _ => milliseconds(self.args[3]),
        };
        match super::descriptor(self.args[0]) {
            Some(fd) => Wait::Epoll { fd, timeout },
            None => other(name),
        }
    }
}
