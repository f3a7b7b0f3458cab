//! What is kept of a stream under a limit.

use std::collections::VecDeque;
use std::fs::File;
use std::io::ErrorKind;
use std::os::fd::AsFd;

use nix::sys::signal::Signal;
use rustix::buffer::spare_capacity;
use rustix::io::Errno;

use crate::buffer::{self, Buffer};
use crate::{Bytes, Error, Limit, LimitPolicy, Output, Spilled, StreamEnd, signals};

/// The room for one read: large enough that a 256 KiB pipe is emptied in a few, small enough for a
/// small output.
const ROOM: usize = 64 * 1024;

/// The bytes kept so far. Memory is bounded by the limit and one read's room.
pub(crate) struct Keep {
    limit: Option<Limit>,
    seen: u64,
    /// The first bytes; without a limit, all of them.
    head: Buffer,
    /// The last bytes, under [`LimitPolicy::Tail`].
    tail: VecDeque<u8>,
    spill: Option<Spill>,
    /// Where reads land whose bytes are not kept as they stand.
    room: Vec<u8>,
}

struct Spill {
    file: File,
    len: u64,
}

impl Keep {
    pub(crate) fn new(limit: Option<Limit>) -> Self {
        Keep {
            limit,
            seen: 0,
            head: Buffer::default(),
            tail: VecDeque::new(),
            spill: None,
            room: Vec::new(),
        }
    }

    /// Whether a limit that ends the child has been passed; with the limit, for the message.
    pub(crate) fn fatal_limit(&self) -> Option<Limit> {
        self.limit
            .filter(|limit| limit.policy.stops_the_child() && self.seen > limit.bytes as u64)
    }

    /// Bytes seen so far.
    pub(crate) fn seen(&self) -> u64 {
        self.seen
    }

    /// One read of at most `most` bytes; 0 is the end of file. The outer error is our own (memory,
    /// the spill file), the inner one is the read's.
    pub(crate) fn read_from(
        &mut self,
        fd: impl AsFd,
        most: usize,
    ) -> Result<Result<usize, Errno>, Error> {
        if self.limit.is_none() && most >= ROOM {
            let result = self.head.read_from(fd)?;
            self.seen += result.unwrap_or(0) as u64;
            return Ok(result);
        }
        let mut room = std::mem::take(&mut self.room);
        room.clear();
        buffer::reserve(&mut room, most.min(ROOM))?;
        // try_reserve_exact may give more than it was asked for, and `most` is a promise.
        let result = if room.capacity() <= most {
            rustix::io::read(fd, spare_capacity(&mut room))
        } else {
            room.resize(most.min(ROOM), 0);
            rustix::io::read(fd, room.as_mut_slice())
        };
        if let Ok(count) = result {
            room.truncate(count);
            self.take(&room)?;
        }
        self.room = room;
        Ok(result)
    }

    /// Counts these bytes and keeps what the limit allows.
    pub(crate) fn take(&mut self, bytes: &[u8]) -> Result<(), Error> {
        self.seen += bytes.len() as u64;
        let Some(limit) = self.limit else {
            return self.head.extend(bytes);
        };
        match limit.policy {
            LimitPolicy::Tail => self.take_tail(bytes, limit.bytes),
            LimitPolicy::Head | LimitPolicy::Kill | LimitPolicy::Error => {
                self.take_head(bytes, limit.bytes)?;
                Ok(())
            }
            LimitPolicy::Spill => {
                let rest = self.take_head(bytes, limit.bytes)?;
                if rest.is_empty() {
                    Ok(())
                } else {
                    self.take_spill(rest)
                }
            }
        }
    }

    fn take_head<'a>(&mut self, bytes: &'a [u8], limit: usize) -> Result<&'a [u8], Error> {
        let free = limit.saturating_sub(self.head.len()).min(bytes.len());
        let (fits, rest) = bytes.split_at(free);
        self.head.extend(fits)?;
        Ok(rest)
    }

    fn take_tail(&mut self, bytes: &[u8], limit: usize) -> Result<(), Error> {
        let bytes = bytes
            .get(bytes.len().saturating_sub(limit)..)
            .unwrap_or_default();
        let crowded_out = (self.tail.len() + bytes.len()).saturating_sub(limit);
        self.tail.drain(..crowded_out);
        self.tail
            .try_reserve(bytes.len())
            .map_err(|_| buffer::out_of_memory(ErrorKind::OutOfMemory.into()))?;
        self.tail.extend(bytes);
        Ok(())
    }

    fn take_spill(&mut self, mut bytes: &[u8]) -> Result<(), Error> {
        let spill = match &mut self.spill {
            Some(spill) => spill,
            none => {
                let file = tempfile::tempfile()
                    .map_err(|cause| Error::system("create a spill file", cause))?;
                none.insert(Spill { file, len: 0 })
            }
        };
        while !bytes.is_empty() {
            match signals::write_holding(Signal::SIGXFSZ, &spill.file, bytes) {
                Ok(count) => {
                    spill.len += count as u64;
                    bytes = bytes.get(count..).unwrap_or_default();
                }
                Err(Errno::INTR) => {}
                Err(errno) => {
                    let tried = format!("write the spill file (it has {} bytes)", spill.len);
                    return Err(Error::system(tried, errno));
                }
            }
        }
        Ok(())
    }

    /// A copy of the bytes in memory, while the capture runs on.
    pub(crate) fn so_far(&self) -> Vec<u8> {
        let (front, back) = self.tail.as_slices();
        [self.head.as_slice(), front, back].concat()
    }

    /// Hands out what was kept.
    pub(crate) fn finish(&mut self, end: StreamEnd) -> Output {
        let bytes = if self.tail.is_empty() {
            Bytes::from(std::mem::take(&mut self.head))
        } else {
            Bytes::from(Vec::from(std::mem::take(&mut self.tail)))
        };
        let spilled = self.spill.take().map(|spill| Spilled {
            start: 0,
            len: spill.len,
            file: spill.file,
        });
        let kept = bytes.len() as u64 + spilled.as_ref().map_or(0, |spilled| spilled.len);
        Output {
            bytes,
            seen: self.seen,
            kept,
            spilled,
            end,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Seek};

    use proptest::prelude::*;

    use super::*;

    fn kept(policy: LimitPolicy, bytes: usize, pieces: &[Vec<u8>]) -> Output {
        let mut keep = Keep::new(Some(Limit { bytes, policy }));
        for piece in pieces {
            keep.take(piece).expect("memory and a file can be had");
        }
        keep.finish(StreamEnd::EndOfFile)
    }

    proptest! {
        /// However the bytes are cut into pieces: the head is their beginning, the tail their end,
        /// the head and the spill together all of them; and seen counts every one.
        #[test]
        fn what_is_kept_does_not_depend_on_the_pieces(
            pieces in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..40), 0..12),
            limit in 0_usize..300,
        ) {
            let all = pieces.concat();
            let most = limit.min(all.len());
            let head = kept(LimitPolicy::Head, limit, &pieces);
            prop_assert!(head.bytes == all[..most]);
            prop_assert_eq!((head.seen, head.kept), (all.len() as u64, most as u64));
            let tail = kept(LimitPolicy::Tail, limit, &pieces);
            prop_assert!(tail.bytes == all[all.len() - most..]);
            prop_assert_eq!((tail.seen, tail.kept), (all.len() as u64, most as u64));
            let spill = kept(LimitPolicy::Spill, limit, &pieces);
            let mut together = spill.bytes.to_vec();
            if let Some(mut spilled) = spill.spilled {
                spilled.file.rewind().expect("a file");
                spilled.file.read_to_end(&mut together).expect("readable");
            }
            prop_assert!(together == all);
            prop_assert_eq!((spill.seen, spill.kept), (all.len() as u64, all.len() as u64));
        }

        /// A read takes no more than it is allowed to, with a limit and without.
        #[test]
        fn a_read_takes_at_most_what_it_may(held in 1_usize..3000, most in 1_usize..3000, limited in any::<bool>()) {
            let (read, mut write) = std::io::pipe().expect("a pipe");
            std::io::Write::write_all(&mut write, &vec![7; held]).expect("it fits");
            let limit = Limit { bytes: 10, policy: LimitPolicy::Head };
            let mut keep = Keep::new(limited.then_some(limit));
            let count = keep.read_from(&read, most).expect("memory").expect("a read");
            prop_assert_eq!(count, held.min(most));
            prop_assert_eq!(keep.seen(), count as u64);
        }
    }

    #[test]
    fn exactly_the_limit_is_not_fatal_and_one_byte_more_is() {
        for policy in [LimitPolicy::Kill, LimitPolicy::Error] {
            let mut keep = Keep::new(Some(Limit { bytes: 3, policy }));
            keep.take(b"abc").expect("memory");
            assert!(keep.fatal_limit().is_none());
            keep.take(b"d").expect("memory");
            assert!(keep.fatal_limit().is_some());
            assert_eq!(keep.finish(StreamEnd::LimitReached).bytes, b"abc");
        }
    }
}
