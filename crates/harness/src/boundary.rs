//! The search for the byte at which a strategy begins to hang: by bisection, each step of it a trial on real processes.
//!
//! The model of the pipe only says where to look first. If it is right, two trials settle the matter (so many bytes
//! complete, one more hangs); if it is wrong, the bisection finds what is true, and the two are told apart.

use std::num::NonZeroU64;

use pipeclog_pipemodel::{Geometry, Pipe, WriteMode};
use pipeclog_scenario::boundary::{Boundary, Found, Layout};
use pipeclog_scenario::outcome::{Hang, Verdict};
use pipeclog_scenario::predict::PipeFacts;
use pipeclog_scenario::scenario::{Descendants, Parent, Scenario};
use pipeclog_scenario::script::{Op, Script, Size, StdinOp, WriteSize};
use pipeclog_scenario::strategy::{Kind, Strategy};

use crate::pool::{Pool, Request};

/// What is searched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Case {
    /// The strategy.
    pub strategy: Strategy,
    /// Which streams the child writes to.
    pub layout: Layout,
    /// Bytes of each write(2).
    pub write_size: NonZeroU64,
}

/// The most bytes that are tried on each stream: twice the largest pipe that needs no privilege.
const MOST: u64 = 2 << 20;
/// The stdin for the strategy whose mistake is in writing it: more than its pipe and the child's read hold.
const STDIN: Size = Size(1 << 20);

/// The write sizes of a full search: single bytes, lines, the worst case (two of them never share a page), a page, a
/// byte more, and whole pipes.
pub const WRITE_SIZES: [u64; 6] = [1, 80, 2049, 4096, 4097, 65_536];

/// Every hazard with every layout and each of these write sizes; sizes of 0 are left out.
#[must_use]
pub fn cases(write_sizes: &[u64], layouts: &[Layout]) -> Vec<Case> {
    let mut cases = Vec::new();
    for strategy in Strategy::ALL {
        if strategy.kind() == Kind::Safe {
            continue;
        }
        for layout in layouts {
            for write_size in write_sizes.iter().copied().filter_map(NonZeroU64::new) {
                cases.push(Case {
                    strategy,
                    layout: *layout,
                    write_size,
                });
            }
        }
    }
    cases
}

/// Runs trials in `pool` until the boundary of `case` is known to the byte.
pub fn search(pool: &Pool, case: Case, facts: PipeFacts) -> Boundary {
    let predicted = predict(case, facts);
    let mut trials = 0;
    let found = bisect(predicted, MOST, |bytes| {
        trials += 1;
        let request = Request {
            scenario: scenario(case, bytes),
            strategy: case.strategy,
        };
        match pool.run(&request).verdict {
            Verdict::Completed => Ended::Completes,
            Verdict::Hung(hang) => Ended::Hangs(hang),
            other @ (Verdict::CutShort { .. }
            | Verdict::Lost { .. }
            | Verdict::WrongExit { .. }
            | Verdict::Harmed { .. }
            | Verdict::Skipped { .. }
            | Verdict::Broken { .. }) => Ended::Unclear(other.to_string()),
        }
    });
    Boundary {
        strategy: case.strategy,
        layout: case.layout,
        write_size: case.write_size.get(),
        stdin: stdin(case.strategy).map_or(0, |size| size.0),
        predicted,
        found,
        trials,
    }
}

/// How a trial of a search ended.
pub(crate) enum Ended {
    Completes,
    Hangs(Hang),
    Unclear(String),
}

/// What bounds the answer: the most bytes known to complete, and the fewest known to hang.
#[derive(Default)]
struct Known {
    completes: Option<u64>,
    hangs: Option<(u64, Hang)>,
}

impl Known {
    fn learn(&mut self, bytes: u64, ended: Ended) -> Result<(), Found> {
        match ended {
            Ended::Completes => self.completes = self.completes.max(Some(bytes)),
            Ended::Hangs(hang) => {
                if self.hangs.as_ref().is_none_or(|(known, _)| bytes < *known) {
                    self.hangs = Some((bytes, hang));
                }
            }
            Ended::Unclear(why) => return Err(Found::Unclear { bytes, why }),
        }
        Ok(())
    }
}

/// The boundary between 0 and `most` bytes. More bytes of the same writes never need less room, so there is at most one.
pub(crate) fn bisect(
    predicted: Option<u64>,
    most: u64,
    mut trial: impl FnMut(u64) -> Ended,
) -> Found {
    let mut known = Known::default();
    let mut probe = |known: &mut Known, bytes| known.learn(bytes, trial(bytes));
    let mut run = || -> Result<Found, Found> {
        if let Some(predicted) = predicted.filter(|predicted| *predicted < most) {
            probe(&mut known, predicted)?;
            probe(&mut known, predicted + 1)?;
        }
        if known.hangs.is_none() {
            probe(&mut known, most)?;
        }
        if known.completes.is_none() {
            probe(&mut known, 0)?;
        }
        loop {
            match (known.completes, known.hangs.take()) {
                (_, None) => return Ok(Found::Never { tried: most }),
                (None, Some((_, hang))) => return Ok(Found::Always { hang }),
                (Some(completes), Some((hangs, hang))) if hangs <= completes + 1 => {
                    return Ok(at(completes, hangs, hang));
                }
                (Some(completes), Some(hangs)) => {
                    let middle = completes + (hangs.0 - completes) / 2;
                    known.hangs = Some(hangs);
                    probe(&mut known, middle)?;
                }
            }
        }
    };
    run().unwrap_or_else(|unclear| unclear)
}

fn at(completes: u64, hangs: u64, hang: Hang) -> Found {
    if hangs > completes {
        Found::At { completes, hang }
    } else {
        Found::Unclear {
            bytes: hangs,
            why: format!("it hangs, and yet {completes} bytes complete"),
        }
    }
}

/// The most bytes to each stream that complete by the model; nothing if the strategy reads what is written.
fn predict(case: Case, facts: PipeFacts) -> Option<u64> {
    let pipe = match (case.strategy, case.layout) {
        (Strategy::WaitThenRead | Strategy::PollExitThenRead | Strategy::WriteStdinThenRead, _)
        | (Strategy::StdoutThenStderr, Layout::Stderr | Layout::Both | Layout::Alternating) => {
            facts.new_pipe
        }
        (Strategy::BiggerPipeThenWait, _) => grown(facts),
        (Strategy::StdoutThenStderr, Layout::Stdout) => return None,
        (
            Strategy::Threads
            | Strategy::Poll
            | Strategy::Epoll
            | Strategy::TempFile
            | Strategy::Memfd
            | Strategy::Merged
            | Strategy::Pty
            | Strategy::Socketpair
            | Strategy::Discard
            | Strategy::Inherit
            | Strategy::Tokio
            | Strategy::IoUring,
            _,
        ) => return None,
    };
    Some(largest_total(pipe, case.write_size.get()))
}

/// What is left of the 1 MiB that the strategy asks for.
fn grown(facts: PipeFacts) -> Geometry {
    let allowed = facts.largest_bytes.min(1 << 20);
    let asked = allowed.max(facts.new_pipe.capacity_bytes());
    Geometry::from_request(facts.new_pipe.page(), asked).unwrap_or(facts.new_pipe)
}

/// The most bytes that writes of `write_size`, and a last one of what is left, put into a pipe that nobody reads.
///
/// It is more than where an endless writer of that size blocks: the last write is shorter, and may fit where a whole
/// one does not. 16 writes of 2,049 bytes fill every slot of a pipe, and 2,047 bytes fit into what the last one left.
pub(crate) fn largest_total(geometry: Geometry, write_size: u64) -> u64 {
    let endless = Pipe::new(geometry).begin_writes(write_size, u64::MAX, WriteMode::Stream);
    let mut pipe = Pipe::new(geometry);
    pipe.begin_writes(write_size, endless.completed, WriteMode::Stream);
    let fits = |bytes: u64| pipe.accepts(bytes, WriteMode::Stream) == bytes;
    // Larger last writes never fit better, so this too is a bisection.
    let (mut fit, mut unfit) = (0, write_size);
    while unfit - fit > 1 {
        let middle = fit + (unfit - fit) / 2;
        if fits(middle) {
            fit = middle;
        } else {
            unfit = middle;
        }
    }
    endless.completed * write_size + fit
}

fn stdin(strategy: Strategy) -> Option<Size> {
    (strategy == Strategy::WriteStdinThenRead).then_some(STDIN)
}

/// A child that writes `bytes` to each stream, and then reads its stdin if it is given one.
fn scenario(case: Case, bytes: u64) -> Scenario {
    let mut write = case.layout.write(bytes);
    write.write_size = WriteSize::Fixed(Size(case.write_size.get()));
    let mut ops = vec![Op::Write(write)];
    let stdin = stdin(case.strategy);
    if stdin.is_some() {
        ops.push(Op::Stdin {
            action: StdinOp::ReadAll,
            read_size: Size(64 << 10),
        });
    }
    let row = format!("boundary-search/{}-w{}", case.layout, case.write_size);
    Scenario {
        name: format!("{row}-{bytes}"),
        row,
        size: Some(Size(bytes)),
        title: "the search for the boundary".to_owned(),
        imitates: String::new(),
        references: Vec::new(),
        script: Script::new(ops),
        stdin,
        fifos: Vec::new(),
        class: None,
        parent: Parent::default(),
        descendants: Descendants::Killed,
        rules: Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use pipeclog_pipemodel::PageSize;
    use pipeclog_scenario::outcome::EndedBy;
    use proptest::prelude::*;

    use super::*;

    fn hang() -> Hang {
        Hang {
            ended_by: EndedBy::Quiescence,
            after_ms: 0,
            blocked: Vec::new(),
            diagnosis: None,
        }
    }

    /// A strategy that hangs above `threshold`, if there is one, and how often it was tried.
    fn search_for(threshold: Option<u64>, predicted: Option<u64>, most: u64) -> (Found, u32) {
        let mut trials = 0;
        let found = bisect(predicted, most, |bytes| {
            trials += 1;
            if threshold.is_some_and(|threshold| bytes > threshold) {
                Ended::Hangs(hang())
            } else {
                Ended::Completes
            }
        });
        (found, trials)
    }

    #[test]
    fn a_right_prediction_is_settled_by_two_trials() {
        let (found, trials) = search_for(Some(65_536), Some(65_536), MOST);
        assert_eq!(
            (found, trials),
            (
                Found::At {
                    completes: 65_536,
                    hang: hang()
                },
                2
            )
        );
        let (found, trials) = search_for(None, None, MOST);
        assert_eq!((found, trials), (Found::Never { tried: MOST }, 1));
    }

    #[test]
    fn a_trial_that_neither_completes_nor_hangs_ends_the_search() {
        let found = bisect(Some(10), 100, |_| Ended::Unclear("it broke".to_owned()));
        let why = "it broke".to_owned();
        assert_eq!(found, Found::Unclear { bytes: 10, why });
    }

    #[test]
    fn a_strategy_that_hangs_with_nothing_written_is_found_to() {
        let found = bisect(Some(10), 100, |_| Ended::Hangs(hang()));
        assert_eq!(found, Found::Always { hang: hang() });
    }

    #[test]
    fn what_hangs_below_a_total_that_completes_has_no_boundary() {
        let found = bisect(Some(10), 100, |bytes| match bytes {
            10 => Ended::Hangs(hang()),
            _ => Ended::Completes,
        });
        assert!(
            matches!(found, Found::Unclear { bytes: 10, .. }),
            "{found:?}"
        );
    }

    proptest! {
        #[test]
        fn every_boundary_is_found_whatever_was_predicted(
            threshold in 0..2000_u64,
            predicted in proptest::option::of(0..3000_u64),
            most in 2000..2100_u64,
        ) {
            let (found, trials) = search_for(Some(threshold), predicted, most);
            prop_assert_eq!(found, Found::At { completes: threshold, hang: hang() });
            prop_assert!(trials <= 4 + 12, "{} trials", trials);
        }

        #[test]
        fn the_predicted_total_fits_the_pipe_and_a_byte_more_does_not(write_size in 1..20_000_u64, slots in 0..6_u32) {
            let geometry = Geometry::new(PageSize::FOUR_KIB, 1 << slots).unwrap();
            let completes = |total: u64| {
                let mut pipe = Pipe::new(geometry);
                let whole = pipe.begin_writes(write_size, total / write_size, WriteMode::Stream);
                let rest = total % write_size;
                whole.completed == total / write_size && pipe.accepts(rest, WriteMode::Stream) == rest
            };
            let largest = largest_total(geometry, write_size);
            prop_assert!(completes(largest), "{}", largest);
            prop_assert!(!completes(largest + 1), "{}", largest);
        }
    }

    #[test]
    fn the_last_write_is_shorter_and_may_fit_where_a_whole_one_does_not() {
        for (write_size, largest) in [
            (1, 65_536),
            (80, 65_296),
            (2049, 34_831),
            (4096, 65_536),
            (4097, 45_066),
            (65_536, 65_536),
        ] {
            assert_eq!(
                largest_total(Geometry::DEFAULT, write_size),
                largest,
                "{write_size}"
            );
        }
    }
}
