//! One pipe: a ring of page slots that fills by slots and not by bytes.
//!
//! Modelled on `fs/pipe.c` of Linux 6.18 (the rules named here have stood since 5.5; before 6.15 `anon_pipe_write`
//! and `anon_pipe_read` were called `pipe_write` and `pipe_read`).

use std::collections::VecDeque;
use std::ops::Range;

use crate::error::{ReadError, ResizeError, WriteError};
use crate::geometry::Geometry;

/// How a file description writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum WriteMode {
    /// A byte stream: a write's odd bytes join the last slot if they fit there whole.
    Stream,
    /// `O_DIRECT`, pipe(2)'s packet mode: each write takes slots of its own, one for each page begun, and a read
    /// returns one packet and throws away what did not fit.
    Packet,
}

/// A pipe: its ring, and how many hold its ends.
///
/// Bytes are named by their place in what was ever written to the pipe, from 0, so that the model says which bytes
/// a read returns without holding any.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Pipe {
    geometry: Geometry,
    ring: VecDeque<Slot>,
    /// All bytes ever written: the place of the next.
    written: u64,
    readers: u32,
    writers: u32,
}

/// A slot in use, the kernel's `struct pipe_buffer`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Slot {
    /// The place of its first unread byte in all that was written.
    first: u64,
    /// Where in the page the unread bytes begin. A partial read moves it, and so gives nothing back: the page
    /// still ends where it ended, and the slot stays taken.
    offset: u32,
    /// Unread bytes.
    len: u32,
    /// Taken from the writer's description when the slot was filled, not when it is read
    /// (`PIPE_BUF_FLAG_CAN_MERGE`, `PIPE_BUF_FLAG_PACKET`).
    mode: WriteMode,
}

/// What poll(2) says of the two ends (`pipe_poll`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Readiness {
    /// `POLLIN` on the read end: a slot is in use.
    pub readable: bool,
    /// `POLLOUT` on the write end: a slot is free. A write may yet block (more bytes than the free slots hold), and
    /// without it a write may yet succeed (its bytes fit the last slot).
    pub writable: bool,
    /// `POLLHUP` on the read end: no writer is left.
    pub hang_up: bool,
    /// `POLLERR` on the write end: no reader is left.
    pub error: bool,
}

/// One of a pipe's two ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum End {
    /// The end that is read from.
    Read,
    /// The end that is written to.
    Write,
}

impl Pipe {
    /// An empty pipe, its ends held once each, as pipe(2) returns it.
    #[must_use]
    pub fn new(geometry: Geometry) -> Self {
        Self {
            geometry,
            ring: VecDeque::new(),
            written: 0,
            readers: 1,
            writers: 1,
        }
    }

    /// A non-blocking write(2) of `bytes` bytes (`anon_pipe_write`): how many it puts in.
    ///
    /// Nothing in the kernel looks at `PIPE_BUF`: a write of at most a page is atomic because it either merges whole or
    /// takes one slot; a longer one may be cut short anywhere that slots end, its odd bytes first.
    ///
    /// # Errors
    ///
    /// [`WriteError::WouldBlock`] (`EAGAIN`) if not a byte fits, [`WriteError::BrokenPipe`] (`EPIPE`) if nobody reads. A write of
    /// nothing succeeds always.
    pub fn try_write(&mut self, bytes: u64, mode: WriteMode) -> Result<u64, WriteError> {
        if bytes == 0 {
            return Ok(0);
        }
        if self.readers == 0 {
            return Err(WriteError::BrokenPipe);
        }
        match self.begin_write(bytes, mode) {
            0 => Err(WriteError::WouldBlock),
            put => Ok(put),
        }
    }

    /// What a blocking write(2) of `bytes` bytes puts in before it first sleeps; all of them if it need not sleep.
    pub fn begin_write(&mut self, bytes: u64, mode: WriteMode) -> u64 {
        let page = self.page();
        let odd = (bytes % u64::from(page)) as u32;
        let merged = match self.ring.back_mut() {
            Some(last) if odd > 0 && last.takes(odd, page) => {
                last.len += odd;
                self.written += u64::from(odd);
                u64::from(odd)
            }
            _ => 0,
        };
        merged + self.go_on_writing(bytes - merged, mode)
    }

    /// What a blocked write(2), with `bytes` bytes still to go, puts in when it is woken. It never merges again: only its
    /// beginning looked at the last slot.
    pub fn go_on_writing(&mut self, bytes: u64, mode: WriteMode) -> u64 {
        let mut left = bytes;
        while left > 0 && self.has_free_slot() {
            let len = left.min(u64::from(self.page())) as u32;
            self.ring.push_back(Slot {
                first: self.written,
                offset: 0,
                len,
                mode,
            });
            self.written += u64::from(len);
            left -= u64::from(len);
        }
        bytes - left
    }

    /// As [`Self::begin_write`] for up to `times` writes of `bytes` bytes one after the other, with nobody reading: the writes
    /// that complete, and what the one after them puts in. The cost is that of the slots, not of the writes.
    pub fn begin_writes(&mut self, bytes: u64, times: u64, mode: WriteMode) -> WriteRun {
        let mut completed = 0;
        while completed < times {
            let merges = self.merges_of(bytes).min(times - completed);
            if merges > 0 {
                if let Some(last) = self.ring.back_mut() {
                    last.len += (merges * bytes) as u32;
                    self.written += merges * bytes;
                }
                completed += merges;
                continue;
            }
            let put = self.begin_write(bytes, mode);
            if put < bytes {
                return WriteRun {
                    completed,
                    partial: Some(put),
                };
            }
            completed += 1;
            if bytes == 0 {
                completed = times;
            }
        }
        WriteRun {
            completed,
            partial: None,
        }
    }

    /// How many writes of `bytes`, less than a page, the last slot takes whole.
    fn merges_of(&self, bytes: u64) -> u64 {
        let page = self.page();
        match (self.ring.back(), u32::try_from(bytes)) {
            (Some(last), Ok(odd)) if odd > 0 && odd < page && last.takes(odd, page) => {
                u64::from((page - last.offset - last.len) / odd)
            }
            _ => 0,
        }
    }

    /// A non-blocking read(2) of up to `bytes` bytes (`anon_pipe_read`): the places of the bytes it returns. An empty range is
    /// the end of file, or a read of nothing.
    ///
    /// # Errors
    ///
    /// [`ReadError::WouldBlock`] (`EAGAIN`) if the pipe is empty and a writer is left.
    pub fn try_read(&mut self, bytes: u64) -> Result<Range<u64>, ReadError> {
        if bytes == 0 {
            return Ok(self.written..self.written);
        }
        let Some(first) = self.ring.front().map(|slot| slot.first) else {
            return if self.writers == 0 {
                Ok(self.written..self.written)
            } else {
                Err(ReadError::WouldBlock)
            };
        };
        let mut end = first;
        while let Some(slot) = self.ring.front_mut() {
            let left = bytes - (end - first);
            let taken = left.min(u64::from(slot.len)) as u32;
            end += u64::from(taken);
            match slot.mode {
                WriteMode::Packet => {
                    self.ring.pop_front();
                    break;
                }
                WriteMode::Stream if taken == slot.len => {
                    self.ring.pop_front();
                }
                WriteMode::Stream => slot.take(taken),
            }
            if u64::from(taken) == left {
                break;
            }
        }
        Ok(first..end)
    }

    /// `fcntl(F_SETPIPE_SZ)`, without the limits: the new capacity in bytes (`pipe_set_size`, `pipe_resize_ring`). Slots move over as
    /// they are, so the last one still merges, and a blocked writer is woken.
    ///
    /// # Errors
    ///
    /// [`ResizeError::Busy`] (`EBUSY`) if more slots are in use than there would be, however few bytes they hold;
    /// [`ResizeError::TooLarge`] (`EINVAL`) above 2^31 bytes.
    pub fn resize(&mut self, bytes: u64) -> Result<u64, ResizeError> {
        let geometry = Geometry::from_request(self.geometry.page(), bytes)
            .map_err(|_| ResizeError::TooLarge { bytes })?;
        let in_use = self.slots_in_use();
        if in_use > geometry.slots() {
            return Err(ResizeError::Busy {
                in_use,
                slots: geometry.slots(),
            });
        }
        self.geometry = geometry;
        Ok(geometry.capacity_bytes())
    }

    /// Counts one more holder of an end: dup(2), fork(2), or a descriptor passed on.
    pub fn open(&mut self, end: End) {
        let holders = self.holders_mut(end);
        *holders = holders.saturating_add(1);
    }

    /// Counts one holder less.
    pub fn close(&mut self, end: End) {
        let holders = self.holders_mut(end);
        *holders = holders.saturating_sub(1);
    }

    fn holders_mut(&mut self, end: End) -> &mut u32 {
        match end {
            End::Read => &mut self.readers,
            End::Write => &mut self.writers,
        }
    }

    /// How many hold an end.
    #[must_use]
    pub fn holders(&self, end: End) -> u32 {
        match end {
            End::Read => self.readers,
            End::Write => self.writers,
        }
    }

    /// What poll(2) says now.
    #[must_use]
    pub fn readiness(&self) -> Readiness {
        Readiness {
            readable: !self.ring.is_empty(),
            writable: self.has_free_slot(),
            hang_up: self.writers == 0,
            error: self.readers == 0,
        }
    }

    /// How many bytes a write of `bytes` puts in now before it would block.
    #[must_use]
    pub fn accepts(&self, bytes: u64, mode: WriteMode) -> u64 {
        self.clone().begin_write(bytes, mode)
    }

    /// Whether a blocking write of `bytes` would sleep now.
    #[must_use]
    pub fn would_block(&self, bytes: u64, mode: WriteMode) -> bool {
        self.accepts(bytes, mode) < bytes
    }

    /// What `ioctl(FIONREAD)` says: unread bytes. No measure of fullness.
    #[must_use]
    pub fn unread_bytes(&self) -> u64 {
        self.ring.iter().map(|slot| u64::from(slot.len)).sum()
    }

    /// All bytes that were ever put in.
    #[must_use]
    pub fn written_bytes(&self) -> u64 {
        self.written
    }

    /// Slots in use; the pipe is full when all are.
    #[must_use]
    pub fn slots_in_use(&self) -> u32 {
        // The ring never exceeds `geometry.slots()`, a u32.
        self.ring.len() as u32
    }

    /// Whether every slot is in use (`pipe_full`): a writer that is not done sleeps.
    #[must_use]
    pub fn is_full(&self) -> bool {
        !self.has_free_slot()
    }

    /// Whether no slot is in use (`pipe_empty`).
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.ring.is_empty()
    }

    /// Its ring's size.
    #[must_use]
    pub fn geometry(&self) -> Geometry {
        self.geometry
    }

    /// The same ring, its bytes named from 0: two pipes that differ in what went through them long ago become equal.
    #[must_use]
    pub fn without_places(&self) -> Self {
        let base = self.ring.front().map_or(self.written, |slot| slot.first);
        let mut same = self.clone();
        same.written -= base;
        for slot in &mut same.ring {
            slot.first -= base;
        }
        same
    }

    fn has_free_slot(&self) -> bool {
        self.slots_in_use() < self.geometry.slots()
    }

    fn page(&self) -> u32 {
        self.geometry.page().bytes()
    }
}

/// What became of a run of equal writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct WriteRun {
    /// Writes that put in all of their bytes.
    pub completed: u64,
    /// What the next write put in before it would block; `None` when the run is over.
    pub partial: Option<u64>,
}

impl Slot {
    /// The merge rule: `odd` bytes fit behind the slot's last byte, within its page.
    fn takes(&self, odd: u32, page: u32) -> bool {
        match self.mode {
            WriteMode::Stream => self.offset + self.len + odd <= page,
            WriteMode::Packet => false,
        }
    }

    fn take(&mut self, bytes: u32) {
        self.first += u64::from(bytes);
        self.offset += bytes;
        self.len -= bytes;
    }
}

#[cfg(test)]
mod tests;
