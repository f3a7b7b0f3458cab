//! A stream with one writer: every byte has its place.

use super::fault::{Fault, FaultKind, Verdict};
use super::lane::{Lane, Place, Rest};
use super::{Source, Window};
use crate::pattern::{self, RECORD_LEN, Tag};

/// Bytes compared at a time: they stay in the first cache.
const SCRATCH_LEN: usize = 16 << 10;

/// From any byte, the record that it is in, and two whole ones after it wherever they begin.
const SUSPECT_LEN: usize = 4 * RECORD_LEN - 1;

#[derive(Debug)]
pub(super) struct Single<'a> {
    lane: Lane<'a>,
    source: Source,
    start: u64,
    end: Option<u64>,
    /// Bytes captured.
    seen: u64,
    /// The place in the stream that the lane has come to.
    at: u64,
    suspect: Option<Suspect>,
    scratch: Vec<u8>,
}

/// The first wrong byte, and what came after it.
#[derive(Debug)]
struct Suspect {
    offset: u64,
    expected: u8,
    found: u8,
    place: Place,
    /// What was captured from the start of the record that the byte is in.
    around: Vec<u8>,
}

impl<'a> Single<'a> {
    pub(super) fn new(mut lane: Lane<'a>, source: Source, window: Window) -> Self {
        lane.skip(window.start);
        Self {
            lane,
            source,
            start: window.start,
            end: window.len.map(|len| window.start.saturating_add(len)),
            seen: 0,
            at: window.start,
            suspect: None,
            scratch: vec![0; SCRATCH_LEN],
        }
    }

    pub(super) fn push(&mut self, bytes: &[u8]) {
        self.seen += bytes.len() as u64;
        let mut rest = bytes;
        while !rest.is_empty() && self.suspect.is_none() {
            let place = self.lane.place().unwrap_or(Place::Plain);
            let len = self.scratch.len().min(rest.len()).min(self.room());
            let len = self.lane.take(&mut self.scratch[..len]);
            if len == 0 {
                // The end of the stream: what comes now is too much, and counted only.
                return;
            }
            let (expected, found) = (&self.scratch[..len], &rest[..len]);
            if expected != found {
                let same = expected
                    .iter()
                    .zip(found)
                    .take_while(|(a, b)| a == b)
                    .count();
                self.suspect = Some(Suspect::new(self.at, same, place, expected, found));
                rest = &rest[same..];
            } else {
                rest = &rest[len..];
            }
            self.at += len as u64;
        }
        if let Some(suspect) = &mut self.suspect {
            let room = SUSPECT_LEN.saturating_sub(suspect.around.len());
            suspect
                .around
                .extend_from_slice(&rest[..rest.len().min(room)]);
        }
    }

    /// Bytes up to the end of the window.
    fn room(&self) -> usize {
        match self.end {
            Some(end) => usize::try_from(end - self.at).unwrap_or(usize::MAX),
            None => usize::MAX,
        }
    }

    pub(super) fn finish(mut self) -> Verdict {
        let found = self.start + self.seen;
        let rest = self.lane.rest(self.end.map(|end| end - self.at));
        let expected = match rest {
            Rest::Bytes(bytes) => Some(self.at + bytes),
            Rest::Endless => None,
        };
        let verdict = Verdict {
            seen: self.seen,
            fault: None,
            background_missing: 0,
        };
        if let Some(suspect) = self.suspect {
            let kind = suspect.judge(self.source, expected, found);
            let fault = Some(Fault {
                offset: suspect.offset,
                kind,
            });
            return Verdict { fault, ..verdict };
        }
        let Some(expected) = expected else {
            return verdict;
        };
        let kind = if found > expected {
            FaultKind::Extra {
                bytes: found - expected,
            }
        } else if found == expected {
            return verdict;
        } else if self.lane.writer() > 0 {
            return Verdict {
                background_missing: expected - found,
                ..verdict
            };
        } else {
            FaultKind::Truncated {
                missing: expected - found,
            }
        };
        Verdict {
            fault: Some(Fault {
                offset: found.min(expected),
                kind,
            }),
            ..verdict
        }
    }
}

impl Suspect {
    /// `same` bytes of the two are the same, the next one differs; `place` and `at` are those of the first.
    fn new(at: u64, same: usize, place: Place, expected: &[u8], found: &[u8]) -> Self {
        let mut around = Vec::with_capacity(SUSPECT_LEN);
        let place = match place {
            Place::Record(tag, offset) => {
                let offset = offset + same as u64;
                around.resize((offset % RECORD_LEN as u64) as usize, 0);
                pattern::render(tag, offset - around.len() as u64, &mut around);
                Place::Record(tag, offset)
            }
            Place::Plain => Place::Plain,
        };
        let byte = |bytes: &[u8]| bytes.get(same).copied().unwrap_or_default();
        Self {
            offset: at + same as u64,
            expected: byte(expected),
            found: byte(found),
            place,
            around,
        }
    }

    /// The record that tells where these bytes are from: where it stands in `around`, its tag and its offset.
    ///
    /// Two halves that were joined can look like a record of nowhere, so one that its successor follows is believed
    /// first; but not if it stands where it should, for then something before it is wrong.
    fn record(&self) -> Option<(usize, Tag, u64)> {
        let records = (0..2 * RECORD_LEN).filter_map(|start| {
            let (tag, offset) = pattern::parse(self.around.get(start..)?)?;
            Some((start, tag, offset))
        });
        let followed = records.clone().find(|&(start, tag, offset)| {
            let next = self
                .around
                .get(start + RECORD_LEN..)
                .and_then(pattern::parse);
            next == Some((tag, offset + RECORD_LEN as u64))
        });
        let moved = followed.filter(|&(start, tag, offset)| self.here(start, tag) != Some(offset));
        let (start, tag, offset) = moved.or_else(|| records.clone().next())?;
        Some((start, tag, offset))
    }

    /// The offset of `around[start]` by the script, if it is of this tag.
    fn here(&self, start: usize, tag: Tag) -> Option<u64> {
        match self.place {
            Place::Record(here, place) if here == tag => {
                Some(place - place % RECORD_LEN as u64 + start as u64)
            }
            Place::Record(..) | Place::Plain => None,
        }
    }

    /// `expected` and `found` are the lengths of the stream; a script without end has no expected one.
    fn judge(&self, source: Source, expected: Option<u64>, found: u64) -> FaultKind {
        let corrupt = FaultKind::Corrupt {
            expected: self.expected,
            found: self.found,
        };
        let Some((start, tag, offset)) = self.record() else {
            return corrupt;
        };
        let here = self.here(start, tag);
        let shorter = expected.map(|expected| expected.cmp(&found));
        match (here, shorter) {
            (Some(here), _) if offset == here => corrupt,
            (Some(here), None | Some(std::cmp::Ordering::Greater)) if offset > here => {
                FaultKind::Lost {
                    bytes: offset - here,
                }
            }
            (Some(here), None | Some(std::cmp::Ordering::Less)) if offset < here => {
                FaultKind::Repeated {
                    bytes: here - offset,
                }
            }
            (Some(_), _) => FaultKind::Moved { tag, offset },
            (None, _) if !source.has(tag.kind()) => FaultKind::Crossed { tag, offset },
            (None, _) if self.place == Place::Plain => corrupt,
            (None, Some(std::cmp::Ordering::Greater)) => FaultKind::Lost {
                bytes: expected.unwrap_or(found) - found,
            },
            (None, Some(std::cmp::Ordering::Less)) => FaultKind::Repeated {
                bytes: found - expected.unwrap_or(found),
            },
            (None, Some(std::cmp::Ordering::Equal) | None) => FaultKind::Moved { tag, offset },
        }
    }
}
