//! Laws of verifying: what is right passes, and any single fault is found where it is.

use proptest::prelude::*;

use super::*;
use crate::pattern::RECORD_LEN;
use crate::script::{Op, Stream, Write};

use crate::script::any::{any_saying_script, said};

fn any_source() -> impl Strategy<Value = Source> {
    prop_oneof![
        Just(Source::Stdout),
        Just(Source::Stderr),
        Just(Source::Merged)
    ]
}

fn streams(source: Source) -> &'static [Stream] {
    match source {
        Source::Stdout => &[Stream::Stdout],
        Source::Stderr => &[Stream::Stderr],
        Source::Merged => &[Stream::Stdout, Stream::Stderr],
    }
}

fn input(len: u64) -> Vec<u8> {
    let mut bytes = vec![0; len as usize];
    Input::Pattern(len).render(0, &mut bytes);
    bytes
}

fn verdict(script: &Script, source: Source, input: Input<'_>, bytes: &[u8]) -> Verdict {
    let mut verifier = Verifier::new(script, source, input);
    verifier.push(bytes);
    verifier.finish()
}

fn plain(stdout: u64, stderr: u64) -> Script {
    Script::new(vec![Op::Write(Write::new(stdout, stderr))])
}

fn stdout_kind(script: &Script, bytes: &[u8]) -> Option<FaultKind> {
    verdict(script, Source::Stdout, Input::Pattern(0), bytes)
        .fault
        .map(|fault| fault.kind)
}

/// One change of a capture; places are taken modulo what there is.
#[derive(Debug, Clone)]
enum Change {
    Delete(usize, usize),
    Repeat(usize, usize),
    /// Takes a range out and puts it in elsewhere.
    Move(usize, usize, usize),
    /// Exchanges two ranges of the same length.
    Swap(usize, usize, usize),
    Damage(usize, u8),
}

impl Change {
    fn of(&self, bytes: &[u8]) -> Vec<u8> {
        let mut changed = bytes.to_vec();
        if bytes.is_empty() {
            return changed;
        }
        let range = |at: usize, len: usize| {
            let at = at % bytes.len();
            at..at + len % (bytes.len() - at + 1)
        };
        match *self {
            Self::Delete(at, len) => drop(changed.drain(range(at, len))),
            Self::Repeat(at, len) => {
                let range = range(at, len);
                changed.splice(range.end..range.end, bytes[range].iter().copied());
            }
            Self::Move(at, len, to) => {
                let taken: Vec<u8> = changed.drain(range(at, len)).collect();
                let to = to % (changed.len() + 1);
                changed.splice(to..to, taken);
            }
            Self::Swap(one, other, len) => {
                let (one, other) = (one % bytes.len(), other % bytes.len());
                let (one, other) = (one.min(other), one.max(other));
                let len = len % (other - one + 1).min(bytes.len() - other + 1);
                for index in 0..len {
                    changed.swap(one + index, other + index);
                }
            }
            Self::Damage(at, bits) => changed[at % bytes.len()] ^= bits,
        }
        changed
    }
}

fn any_change() -> impl Strategy<Value = Change> {
    let n = || 0..20_000_usize;
    prop_oneof![
        (n(), n()).prop_map(|(at, len)| Change::Delete(at, len)),
        (n(), n()).prop_map(|(at, len)| Change::Repeat(at, len)),
        (n(), n(), n()).prop_map(|(at, len, to)| Change::Move(at, len, to)),
        (n(), n(), n()).prop_map(|(one, other, len)| Change::Swap(one, other, len)),
        (n(), any::<u8>()).prop_map(|(at, bits)| Change::Damage(at, bits)),
    ]
}

proptest! {
    #[test]
    fn what_is_said_is_complete(script in any_saying_script(), source in any_source(), len in 0..500_u64) {
        let bytes = said(&script, streams(source), &input(len));
        let found = verdict(&script, source, Input::Pattern(len), &bytes);
        prop_assert_eq!(found, Verdict { seen: bytes.len() as u64, fault: None, background_missing: 0 });
    }

    #[test]
    fn any_change_is_found_at_its_first_byte(
        script in any_saying_script(), source in any_source(), len in 0..500_u64, change in any_change(),
    ) {
        let bytes = said(&script, streams(source), &input(len));
        let changed = change.of(&bytes);
        let same = bytes.iter().zip(&changed).take_while(|(a, b)| a == b).count();
        let fault = verdict(&script, source, Input::Pattern(len), &changed).fault;
        if changed == bytes {
            prop_assert_eq!(fault, None);
        } else {
            prop_assert_eq!(fault.map(|fault| fault.offset), Some(same as u64));
        }
    }

    #[test]
    fn split_into_pushes_makes_no_difference(
        script in any_saying_script(), source in any_source(), change in any_change(),
        cuts in proptest::collection::vec(1..3000_usize, 1..20),
    ) {
        let bytes = change.of(&said(&script, streams(source), b""));
        let whole = verdict(&script, source, Input::Pattern(0), &bytes);
        let mut verifier = Verifier::new(&script, source, Input::Pattern(0));
        let mut rest = &bytes[..];
        for cut in cuts.iter().cycle() {
            if rest.is_empty() {
                break;
            }
            let (now, later) = rest.split_at(rest.len().min(*cut));
            verifier.push(now);
            rest = later;
        }
        prop_assert_eq!(verifier.finish(), whole);
    }

    #[test]
    fn any_part_of_a_stream_is_complete_in_its_window(
        script in any_saying_script(), source in any_source(), start in 0..9000_usize, len in 0..9000_usize,
    ) {
        let bytes = said(&script, streams(source), b"");
        let start = start.min(bytes.len());
        let kept = &bytes[start..bytes.len().min(start + len)];
        let window = Window { start: start as u64, len: Some(len as u64) };
        let mut verifier = Verifier::of_window(&script, source, Input::Pattern(0), window).unwrap();
        verifier.push(kept);
        prop_assert_eq!(verifier.finish().fault, None);
    }

    #[test]
    fn deletion_before_more_is_called_lost(at in 0..9000_usize, len in 1..900_usize) {
        let bytes = said(&plain(10_000, 0), &[Stream::Stdout], b"");
        let changed = Change::Delete(at, len).of(&bytes);
        prop_assert_eq!(stdout_kind(&plain(10_000, 0), &changed), Some(FaultKind::Lost { bytes: len as u64 }));
    }

    #[test]
    fn duplication_before_more_is_called_repeated(at in 0..9000_usize, len in 1..900_usize) {
        let bytes = said(&plain(10_000, 0), &[Stream::Stdout], b"");
        let changed = Change::Repeat(at, len).of(&bytes);
        // The repeated bytes may be those that belong there, for some bytes: then it shows later, not otherwise.
        prop_assert_eq!(stdout_kind(&plain(10_000, 0), &changed), Some(FaultKind::Repeated { bytes: len as u64 }));
    }

    #[test]
    fn writers_of_one_stream_may_interleave_as_they_like(
        turns in proptest::collection::vec(0..3_usize, 0..400), cut in 0..800_usize,
    ) {
        let json = r#"{"ops": [
            {"op": "background", "keep": ["stdout"], "script": {"ops": [
                {"op": "write", "stdout": 640, "stderr": 64, "write_size": 32}]}},
            {"op": "background", "keep": ["stdout", "stderr"], "script": {"ops": [
                {"op": "write", "stdout": 320, "write_size": 16}]}},
            {"op": "write", "stdout": 1600, "stderr": 320, "write_size": 48}]}"#;
        let script = Script::from_json(json).unwrap();
        let mut lanes = vec![said(&script, &[Stream::Stdout], b"")];
        for (background, writer) in script.backgrounds().into_iter().zip(1..) {
            let mut bytes = Vec::new();
            for step in background.script.steps_as(writer) {
                if let crate::script::Step::Write(chunk) = step && chunk.stream == Stream::Stdout {
                    let start = bytes.len();
                    bytes.resize(start + chunk.len, 0);
                    chunk.render(0, &mut bytes[start..]);
                }
            }
            lanes.push(bytes);
        }
        let mut mixed: Vec<u8> = Vec::new();
        for turn in turns.into_iter().chain((0..3).cycle().take(600)) {
            let len = lanes[turn].len().min(RECORD_LEN);
            mixed.extend(lanes[turn].drain(..len));
        }
        let found = verdict(&script, Source::Stdout, Input::Pattern(0), &mixed);
        prop_assert_eq!(found, Verdict { seen: 2560, fault: None, background_missing: 0 });
        let lost = Change::Delete(cut, 1 + cut % 7).of(&mixed);
        let found = verdict(&script, Source::Stdout, Input::Pattern(0), &lost);
        prop_assert!(found.fault.is_some());
    }
}

#[test]
fn swapped_records_are_called_corrupt_or_moved_and_never_right() {
    let script = plain(4096, 0);
    let bytes = said(&script, &[Stream::Stdout], b"");
    let changed = Change::Swap(256, 1024, 512).of(&bytes);
    let moved = FaultKind::Moved {
        tag: crate::pattern::Tag::STDOUT,
        offset: 1024,
    };
    assert_eq!(stdout_kind(&script, &changed), Some(moved));
}

#[test]
fn record_of_the_other_stream_is_called_crossed() {
    let script = plain(64, 64);
    let mut bytes = said(&script, &[Stream::Stdout], b"");
    bytes[32..48].copy_from_slice(&said(&script, &[Stream::Stderr], b"")[16..32]);
    let crossed = FaultKind::Crossed {
        tag: crate::pattern::Tag::STDERR,
        offset: 16,
    };
    assert_eq!(stdout_kind(&script, &bytes), Some(crossed));
}

#[test]
fn end_of_a_stream_is_exact() {
    let script = plain(65_537, 0);
    let bytes = said(&script, &[Stream::Stdout], b"");
    let fault = |bytes: &[u8]| verdict(&script, Source::Stdout, Input::Pattern(0), bytes).fault;
    assert_eq!(fault(&bytes), None);
    let short = Fault {
        offset: 65_536,
        kind: FaultKind::Truncated { missing: 1 },
    };
    assert_eq!(fault(&bytes[..65_536]), Some(short));
    let long = Fault {
        offset: 65_537,
        kind: FaultKind::Extra { bytes: 1 },
    };
    assert_eq!(fault(&[&bytes[..], b"x"].concat()), Some(long));
}

#[test]
fn order_of_merged_streams_counts() {
    let script = plain(4096, 4096);
    let right = said(&script, &[Stream::Stdout, Stream::Stderr], b"");
    let swapped = [&right[4096..], &right[..4096]].concat();
    let merged = |bytes| verdict(&script, Source::Merged, Input::Pattern(0), bytes).fault;
    assert_eq!(merged(&right), None);
    let moved = FaultKind::Moved {
        tag: crate::pattern::Tag::STDERR,
        offset: 0,
    };
    assert_eq!(
        merged(&swapped),
        Some(Fault {
            offset: 0,
            kind: moved
        })
    );
}

#[test]
fn beginning_of_an_endless_stream_is_right() {
    let json = r#"{"ops": [{"op": "repeat", "times": "endless", "ops": [{"op": "write", "stdout": 10}]}]}"#;
    let script = Script::from_json(json).unwrap();
    let mut bytes = vec![0; 1000];
    crate::pattern::render(crate::pattern::Tag::STDOUT, 0, &mut bytes);
    assert_eq!(stdout_kind(&script, &bytes), None);
    // The other stream of such a script is empty, and finding that out must come to an end.
    let stderr = verdict(&script, Source::Stderr, Input::Pattern(0), b"x")
        .fault
        .map(|fault| fault.kind);
    assert_eq!(stderr, Some(FaultKind::Extra { bytes: 1 }));
}

#[test]
fn missing_output_of_a_descendant_is_no_fault() {
    let json = r#"{"ops": [{"op": "background", "keep": ["stdout"], "script": {"ops": [
        {"op": "write", "stdout": 32, "write_size": 16}]}}]}"#;
    let script = Script::from_json(json).unwrap();
    let found = verdict(
        &script,
        Source::Stdout,
        Input::Pattern(0),
        b"o10000000000000\n",
    );
    assert_eq!(found.background_missing, 32 - 16);
}
