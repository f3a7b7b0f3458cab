//! Bytes that grow: on the heap while they are few, in huge pages once they are many.

use std::io;
use std::os::fd::AsFd;

use memmap2::{Advice, MmapMut, MmapOptions};
use rustix::buffer::spare_capacity;
use rustix::io::Errno;

use crate::{Error, sys};

/// The first allocation: a small output pays for no more.
const FIRST: usize = 64 * 1024;
/// Up to here on the heap, which a program that captures again and again has warm.
const FEW: usize = 8 << 20;
/// The pages beyond: a first touch of 4 KiB at a time costs more than to copy what is put there.
const HUGE_PAGE: usize = 2 << 20;
/// What a read should find room for: all that an enlarged pipe holds.
const ONE_READ: usize = 256 * 1024;

/// Bytes that were read, one after the other.
pub(crate) enum Buffer {
    Heap(Vec<u8>),
    Pages(Pages),
}

/// Anonymous memory of its own, of which the first `len` bytes are used.
pub(crate) struct Pages {
    map: MmapMut,
    len: usize,
}

impl Default for Buffer {
    fn default() -> Self {
        Buffer::Heap(Vec::new())
    }
}

impl Buffer {
    pub(crate) fn len(&self) -> usize {
        self.as_slice().len()
    }

    pub(crate) fn as_slice(&self) -> &[u8] {
        match self {
            Buffer::Heap(bytes) => bytes,
            Buffer::Pages(pages) => pages.as_slice(),
        }
    }

    /// One read into the place where the bytes stay: no copy, no zeroing of ours. The outer error is
    /// that there is no memory, the inner one the read's.
    pub(crate) fn read_from(&mut self, fd: impl AsFd) -> Result<Result<usize, Errno>, Error> {
        // Outputs often end where room does, at a power of two; then the end of file needs none.
        if self.len() > 0 && self.room() == 0 {
            let mut probe = [0; 4096];
            let read = rustix::io::read(fd, &mut probe);
            if let Ok(count) = read {
                self.extend(probe.get(..count).unwrap_or_default())?;
            }
            return Ok(read);
        }
        self.read_growing(fd)
    }

    fn room(&self) -> usize {
        match self {
            Buffer::Heap(bytes) => bytes.capacity() - bytes.len(),
            Buffer::Pages(pages) => pages.map.len() - pages.len,
        }
    }

    fn read_growing(&mut self, fd: impl AsFd) -> Result<Result<usize, Errno>, Error> {
        let room = match self {
            // What is left before the move into pages is used first.
            Buffer::Heap(bytes) => (FIRST / 2).min(FEW.saturating_sub(bytes.len())).max(1),
            Buffer::Pages(_) => ONE_READ,
        };
        self.make_room(room)?;
        Ok(match self {
            Buffer::Heap(bytes) => rustix::io::read(fd, spare_capacity(bytes)),
            Buffer::Pages(pages) => {
                let read = rustix::io::read(fd, pages.unused());
                pages.len += read.unwrap_or(0);
                read
            }
        })
    }

    /// Reads so many bytes of a file from `from` on; fewer if the file has fewer.
    pub(crate) fn of_file(file: impl AsFd, from: u64, wanted: usize) -> Result<Buffer, Error> {
        let failed = |errno| Error::system("read back the child's output file", errno);
        let mut buffer = Buffer::default();
        buffer.make_room(wanted)?;
        while buffer.len() < wanted {
            let at = from + buffer.len() as u64;
            let left = wanted - buffer.len();
            let read = match &mut buffer {
                // Into memory that nobody has zeroed. It may be more than was asked for, and then so
                // may this read.
                Buffer::Heap(bytes) => rustix::io::pread(&file, spare_capacity(bytes), at),
                Buffer::Pages(pages) => {
                    let (room, _) = pages.unused().split_at_mut(left);
                    let read = rustix::io::pread(&file, room, at);
                    pages.len += read.unwrap_or(0);
                    read
                }
            };
            match read {
                Ok(0) => break,
                Ok(_) | Err(Errno::INTR) => {}
                Err(errno) => return Err(failed(errno)),
            }
        }
        if let Buffer::Heap(bytes) = &mut buffer {
            bytes.truncate(wanted);
        }
        Ok(buffer)
    }

    pub(crate) fn extend(&mut self, bytes: &[u8]) -> Result<(), Error> {
        self.make_room(bytes.len())?;
        match self {
            Buffer::Heap(held) => held.extend_from_slice(bytes),
            Buffer::Pages(pages) => pages.extend(bytes),
        }
        Ok(())
    }

    /// Room for so many bytes more. It grows in proportion, so that the cost of moving does as well: on
    /// the heap by four, where moving copies, and in pages by two, where it moves page tables. What is
    /// not written is not memory yet.
    fn make_room(&mut self, more: usize) -> Result<(), Error> {
        if self.room() >= more {
            return Ok(());
        }
        match self {
            Buffer::Heap(bytes) if bytes.len() + more <= FEW => {
                let room = (3 * bytes.len()).max(more).max(FIRST);
                let room = room.min(FEW - bytes.len());
                reserve(bytes, room)
            }
            Buffer::Heap(bytes) => {
                let wanted = (2 * bytes.len()).max(bytes.len() + more);
                let mut pages = Pages::new(wanted).map_err(out_of_memory)?;
                pages.extend(bytes);
                *self = Buffer::Pages(pages);
                Ok(())
            }
            Buffer::Pages(pages) => {
                let wanted = (2 * pages.map.len()).max(pages.len + more);
                sys::resize(&mut pages.map, wanted.next_multiple_of(HUGE_PAGE))
                    .map_err(out_of_memory)
            }
        }
    }
}

impl Pages {
    fn new(len: usize) -> io::Result<Self> {
        let len = len.next_multiple_of(HUGE_PAGE);
        let map = MmapOptions::new().len(len).map_anon()?;
        // A kernel without them gives ordinary pages, and that costs time only.
        let _ = map.advise(Advice::HugePage);
        Ok(Pages { map, len: 0 })
    }

    pub(crate) fn as_slice(&self) -> &[u8] {
        self.map.get(..self.len).unwrap_or_default()
    }

    fn unused(&mut self) -> &mut [u8] {
        self.map.get_mut(self.len..).unwrap_or_default()
    }

    /// Call it when there is room.
    fn extend(&mut self, bytes: &[u8]) {
        let (to, _) = self.unused().split_at_mut(bytes.len());
        to.copy_from_slice(bytes);
        self.len += bytes.len();
    }
}

/// Room for so many bytes, or a typed error.
pub(crate) fn reserve(vec: &mut Vec<u8>, room: usize) -> Result<(), Error> {
    vec.try_reserve_exact(room)
        .map_err(|_| out_of_memory(io::ErrorKind::OutOfMemory.into()))
}

pub(crate) fn out_of_memory(cause: io::Error) -> Error {
    Error::system("keep the child's output", cause)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_stay_in_order_from_the_heap_into_pages_and_through_every_doubling() {
        let mut buffer = Buffer::default();
        let mut expected = Vec::new();
        for round in 0..200_u32 {
            let piece: Vec<u8> = (0..50_000_u32).map(|at| (at ^ round) as u8).collect();
            buffer.extend(&piece).expect("memory");
            expected.extend(piece);
        }
        assert!(matches!(buffer, Buffer::Pages(_)));
        assert!(buffer.as_slice() == expected);
    }

    #[test]
    fn reads_find_room_at_every_size() {
        let (read, write) = io::pipe().expect("a pipe");
        let bytes: Vec<u8> = (0..10_000_u32).map(|at| at as u8).collect();
        let mut buffer = Buffer::default();
        for round in 1..=500 {
            io::Write::write_all(&mut &write, &bytes).expect("it fits");
            let count = buffer.read_from(&read).expect("memory").expect("a read");
            assert_eq!((count, buffer.len()), (bytes.len(), round * bytes.len()));
        }
        assert!(buffer.as_slice().chunks(bytes.len()).all(|it| it == bytes));
    }

    #[test]
    fn the_heap_is_left_when_it_is_full_and_not_before() {
        let (read, write) = io::pipe().expect("a pipe");
        let piece = [b'x'; 40_000];
        let mut buffer = Buffer::default();
        while buffer.len() < FEW {
            let left = (FEW - buffer.len()).min(piece.len());
            io::Write::write_all(&mut &write, &piece[..left]).expect("it fits");
            let mut left = left;
            while left > 0 {
                left -= buffer.read_from(&read).expect("memory").expect("a read");
            }
        }
        assert!(matches!(buffer, Buffer::Heap(_)));
        buffer.extend(b"y").expect("memory");
        assert!(matches!(buffer, Buffer::Pages(_)));
        assert_eq!(buffer.as_slice().last(), Some(&b'y'));
    }
}
