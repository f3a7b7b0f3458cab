//! A stream with several writers: each one's records in order, whichever way they fall between each other.

use super::fault::{Fault, FaultKind, Verdict};
use super::lane::{Lane, Place, Rest};
use super::{Source, Window};
use crate::pattern::{self, RECORD_LEN, Tag};

/// A script whose writers share a stream writes whole records only (its check sees to that), and pipes break
/// writes at pages, so records are whole here.
#[derive(Debug)]
pub(super) struct Several<'a> {
    lanes: Vec<Lane<'a>>,
    source: Source,
    limit: Option<u64>,
    seen: u64,
    /// Bytes of whole records that are right.
    at: u64,
    /// The beginning of a record.
    part: Vec<u8>,
    fault: Option<Fault>,
}

impl<'a> Several<'a> {
    pub(super) fn new(lanes: Vec<Lane<'a>>, source: Source, window: Window) -> Self {
        let part = Vec::with_capacity(RECORD_LEN);
        Self {
            lanes,
            source,
            limit: window.len,
            seen: 0,
            at: 0,
            part,
            fault: None,
        }
    }

    pub(super) fn push(&mut self, bytes: &[u8]) {
        self.seen += bytes.len() as u64;
        let mut rest = bytes;
        while !rest.is_empty() && self.fault.is_none() {
            let (now, later) = rest.split_at(rest.len().min(RECORD_LEN - self.part.len()));
            self.part.extend_from_slice(now);
            rest = later;
            if self.part.len() == RECORD_LEN {
                let record = std::mem::take(&mut self.part);
                self.fault = self.record(&record);
                self.part = record;
                self.part.clear();
                self.at += RECORD_LEN as u64;
            }
        }
    }

    /// Compares one record with what its writer must say next.
    fn record(&mut self, record: &[u8]) -> Option<Fault> {
        let (at, source) = (self.at, self.source);
        let wrong = |kind| Some(Fault { offset: at, kind });
        let Some((tag, offset)) = pattern::parse(record) else {
            return self.corrupt(record);
        };
        let lane = self
            .lanes
            .iter_mut()
            .find(|lane| lane.writer() == tag.writer());
        let Some(lane) = lane.filter(|_| source.has(tag.kind())) else {
            return wrong(FaultKind::Crossed { tag, offset });
        };
        match lane.place() {
            None => wrong(FaultKind::Repeated {
                bytes: RECORD_LEN as u64,
            }),
            Some(place) if place == Place::Record(tag, offset) => {
                lane.skip(RECORD_LEN as u64);
                None
            }
            Some(Place::Record(here, place)) if here == tag => wrong(if offset > place {
                FaultKind::Lost {
                    bytes: offset - place,
                }
            } else {
                FaultKind::Repeated {
                    bytes: place - offset,
                }
            }),
            Some(Place::Record(..) | Place::Plain) => wrong(FaultKind::Moved { tag, offset }),
        }
    }

    /// Says of bytes that are no record where they part from the likeliest one: that of the lane that they go
    /// along with longest. Nothing if they go along with it to their end.
    fn corrupt(&mut self, bytes: &[u8]) -> Option<Fault> {
        let expected = self
            .lanes
            .iter_mut()
            .filter_map(|lane| match lane.place()? {
                Place::Record(tag, offset) => Some((tag, offset)),
                Place::Plain => None,
            });
        let rendered = expected.map(|(tag, offset)| render(tag, offset));
        let same = |record: &[u8; RECORD_LEN]| {
            bytes
                .iter()
                .zip(record)
                .take_while(|(found, expected)| found == expected)
                .count()
        };
        let likeliest = rendered.max_by_key(same).unwrap_or_default();
        let same = same(&likeliest);
        let (&found, &expected) = (bytes.get(same)?, likeliest.get(same)?);
        let offset = self.at + same as u64;
        Some(Fault {
            offset,
            kind: FaultKind::Corrupt { expected, found },
        })
    }

    pub(super) fn finish(mut self) -> Verdict {
        let mut verdict = Verdict {
            seen: self.seen,
            fault: self.fault,
            background_missing: 0,
        };
        if verdict.fault.is_some() {
            return verdict;
        }
        let part = std::mem::take(&mut self.part);
        verdict.fault = self.corrupt(&part);
        if verdict.fault.is_some() {
            return verdict;
        }
        let kept = self.limit.map(|limit| limit.saturating_sub(self.seen));
        if kept == Some(0) {
            return verdict;
        }
        // What began to come of a record is not missing; whose it was is not asked: the leader's goes first.
        let mut begun = part.len() as u64;
        let mut missing = 0;
        for mut lane in self.lanes {
            let rest = match lane.rest(None) {
                Rest::Bytes(bytes) => bytes,
                Rest::Endless => 0,
            };
            let came = rest.min(begun);
            begun -= came;
            match lane.writer() {
                0 => missing = rest - came,
                _ => verdict.background_missing += rest - came,
            }
        }
        if missing > 0 {
            let kind = FaultKind::Truncated { missing };
            verdict.fault = Some(Fault {
                offset: self.seen,
                kind,
            });
        }
        verdict
    }
}

fn render(tag: Tag, offset: u64) -> [u8; RECORD_LEN] {
    let mut record = [0; RECORD_LEN];
    pattern::render(tag, offset, &mut record);
    record
}
