//! What captures cost: a duel of the safe strategies.
//!
//! All of them run in turn in one process, one capture at a time, in rounds whose order rotates, so that whatever the
//! machine does to one round it does to every strategy, and ratios within a round can be trusted where times of
//! different runs cannot. No hazard takes part: it would hang, and this is the calling process.

use std::ffi::OsString;
use std::hint::black_box;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use nix::sys::resource::{Usage, UsageWho, getrusage};
use pipeclog_capture::{Bound, Capture, Captured, Command, End};
use pipeclog_scenario::outcome::{Effort, Verdict};
use pipeclog_scenario::scenario::{Descendants, Parent, Scenario};
use pipeclog_scenario::script::{Op, Script, Size, Write};
use pipeclog_scenario::strategy::{Delivery, Kind, Strategy};
use pipeclog_scenario::throughput::{Sample, Samples, Series, Throughput};

use crate::library;
use crate::pool::{Pool, Request};

/// One size, and how often each strategy captures it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Duel {
    /// Bytes that the child writes to its stdout.
    pub bytes: u64,
    /// Captures under each strategy.
    pub rounds: u32,
}

/// The bound on a single capture.
const DEADLINE: Duration = Duration::from_secs(60);
/// From this size on the machine's free memory is touched before each capture: a virtual machine's host may have taken
/// it back, and giving it again costs more than the capture.
const TOUCH_FROM: u64 = 16 << 20;

/// The sizes of a run, ascending: nothing, around the capacity of a pipe, and far above.
#[must_use]
pub fn duels(effort: Effort) -> Vec<Duel> {
    let full = [
        (0, 101),
        (65_535, 101),
        (65_536, 101),
        (65_537, 101),
        (256 << 10, 61),
        (1 << 20, 41),
        (16 << 20, 21),
        (64 << 20, 11),
    ];
    let quick = [
        (0, 21),
        (65_536, 21),
        (65_537, 21),
        (1 << 20, 11),
        (16 << 20, 7),
    ];
    let rows = match effort {
        Effort::Full => full.as_slice(),
        Effort::Quick => quick.as_slice(),
    };
    let duel = |(bytes, rounds): &(u64, u32)| Duel {
        bytes: *bytes,
        rounds: *rounds,
    };
    rows.iter().map(duel).collect()
}

/// The strategies that take part: the safe ones, except for `inherit`, which leaves the output to whatever the caller's
/// stdout is.
pub fn contestants() -> impl Iterator<Item = Strategy> {
    Strategy::ALL
        .into_iter()
        .filter(|strategy| strategy.kind() == Kind::Safe && *strategy != Strategy::Inherit)
}

/// Captures once in a parent of its own, so that its peak memory is this capture's, and verifies every byte. The peak in
/// KiB, or why the trial is none to measure.
///
/// # Errors
///
/// When the trial does not complete, in words.
pub fn peak_kib(pool: &Pool, strategy: Strategy, bytes: u64) -> Result<Option<u64>, String> {
    let outcome = pool.run(&Request {
        scenario: scenario(bytes),
        strategy,
    });
    match outcome.verdict {
        Verdict::Completed => Ok(outcome
            .measured
            .and_then(|measured| measured.parent_peak_kib)),
        other @ (Verdict::CutShort { .. }
        | Verdict::Lost { .. }
        | Verdict::WrongExit { .. }
        | Verdict::Harmed { .. }
        | Verdict::Hung(_)
        | Verdict::Skipped { .. }
        | Verdict::Broken { .. }) => Err(other.to_string()),
    }
}

/// The peaks of one strategy, or why it cannot take part, by size.
pub type Peaks = Vec<(Strategy, u64, Result<Option<u64>, String>)>;

/// Runs every duel. `program` is the `pipeclog` binary, which is the child by its subcommand; `after_round` is called
/// after each round, outside of what is measured.
pub fn measure(
    program: &Path,
    duels: &[Duel],
    peaks: &Peaks,
    mut after_round: impl FnMut(),
) -> Throughput {
    let mut series = Vec::new();
    for duel in duels {
        let mut field: Vec<Contestant> = contestants()
            .map(|strategy| Contestant::new(program, strategy, duel.bytes, peaks))
            .collect();
        for round in 0..duel.rounds as usize {
            let first = round % field.len().max(1);
            let (late, early) = field.split_at_mut(first);
            for contestant in early.iter_mut().chain(late) {
                contestant.take_turn(duel.bytes);
            }
            after_round();
        }
        series.extend(field.into_iter().map(|contestant| Series {
            strategy: contestant.strategy,
            bytes: duel.bytes,
            measured: contestant.samples,
        }));
    }
    Throughput {
        baseline: library::of_suite(pipeclog_capture::Strategy::recommended()),
        write_size: WRITE_SIZE,
        series,
    }
}

/// The writes of a program that has much to say.
const WRITE_SIZE: u64 = 64 << 10;

struct Contestant {
    strategy: Strategy,
    capture: Capture,
    command: Command,
    samples: Samples,
}

impl Contestant {
    fn new(program: &Path, strategy: Strategy, bytes: u64, peaks: &Peaks) -> Self {
        let peak = peaks
            .iter()
            .find(|(of, size, _)| (*of, *size) == (strategy, bytes))
            .map_or(&Ok(None), |(_, _, peak)| peak);
        let samples = match peak {
            Ok(peak_kib) => Samples::Taken {
                rounds: Vec::new(),
                peak_kib: *peak_kib,
            },
            Err(why) => Samples::Failed { why: why.clone() },
        };
        let arguments = ["chatty", "--stdout", &bytes.to_string(), "--write-size"];
        Self {
            strategy,
            capture: Capture::new(
                library::of_library(strategy),
                End::EndOfFile,
                Bound::Timeout(DEADLINE),
            ),
            command: Command::new(PathBuf::from(program))
                .args(arguments.map(OsString::from))
                .arg(WRITE_SIZE.to_string()),
            samples,
        }
    }

    fn take_turn(&mut self, bytes: u64) {
        let Samples::Taken { rounds, .. } = &mut self.samples else {
            return;
        };
        if bytes >= TOUCH_FROM {
            touch_and_free(bytes + bytes / 5);
        }
        match sample(&self.capture, &self.command, self.strategy, bytes) {
            Ok(sample) => rounds.push(sample),
            Err(why) => self.samples = Samples::Failed { why },
        }
    }
}

fn sample(
    capture: &Capture,
    command: &Command,
    strategy: Strategy,
    bytes: u64,
) -> Result<Sample, String> {
    let before = Cpu::now()?;
    let started = Instant::now();
    let captured = capture.run(command).map_err(|error| error.to_string())?;
    let wall = started.elapsed();
    let after = Cpu::now()?;
    check(&captured, strategy, bytes)?;
    black_box(read_once(&captured.stdout.bytes));
    drop(captured);
    let used = started.elapsed();
    Ok(Sample {
        wall_ns: nanoseconds(wall),
        used_ns: nanoseconds(used),
        parent_cpu_us: after.own_us.saturating_sub(before.own_us),
        child_cpu_us: after.children_us.saturating_sub(before.children_us),
    })
}

/// The number of bytes alone: which they are was verified where the peak was taken, and takes as long as a capture.
fn check(captured: &Captured, strategy: Strategy, bytes: u64) -> Result<(), String> {
    let owed = match strategy.delivery() {
        Delivery::Separate | Delivery::Merged => bytes,
        Delivery::Nothing => 0,
    };
    if !captured.status.success() {
        return Err(format!("the child ended with {}", captured.status));
    }
    if captured.stdout.kept != owed {
        return Err(format!("captured {} of {owed} bytes", captured.stdout.kept));
    }
    Ok(())
}

fn read_once(bytes: &[u8]) -> u8 {
    bytes.iter().fold(0, |sum, byte| sum ^ byte)
}

/// Makes the host give the memory that a capture is about to need.
fn touch_and_free(bytes: u64) {
    let len = usize::try_from(bytes).unwrap_or(0);
    let mut memory = vec![0_u8; len];
    for page in memory.chunks_mut(4096) {
        page.fill(1);
    }
    black_box(&memory);
}

/// Processor time, in microseconds.
struct Cpu {
    own_us: u64,
    children_us: u64,
}

impl Cpu {
    fn now() -> Result<Self, String> {
        let used = |who| {
            getrusage(who).map(|usage| cpu_us(&usage)).map_err(|errno| {
                format!("failed to ask for the resources used (getrusage): {errno}")
            })
        };
        Ok(Self {
            own_us: used(UsageWho::RUSAGE_SELF)?,
            children_us: used(UsageWho::RUSAGE_CHILDREN)?,
        })
    }
}

fn cpu_us(usage: &Usage) -> u64 {
    [usage.user_time(), usage.system_time()]
        .into_iter()
        .map(|time| time.tv_sec().cast_unsigned() * 1_000_000 + time.tv_usec().cast_unsigned())
        .sum()
}

fn nanoseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

fn scenario(bytes: u64) -> Scenario {
    Scenario {
        name: format!("throughput-{bytes}"),
        row: "throughput".to_owned(),
        size: Some(Size(bytes)),
        title: "the child of a measured capture".to_owned(),
        imitates: String::new(),
        references: Vec::new(),
        script: Script::new(vec![Op::Write(Write::new(bytes, 0))]),
        stdin: None,
        fifos: Vec::new(),
        class: None,
        parent: Parent::default(),
        descendants: Descendants::Killed,
        rules: Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_hazard_takes_part_and_the_baseline_does() {
        assert!(contestants().all(|strategy| strategy.kind() == Kind::Safe));
        let baseline = library::of_suite(pipeclog_capture::Strategy::recommended());
        assert!(contestants().any(|strategy| strategy == baseline));
    }

    #[test]
    fn sizes_ascend_and_straddle_the_capacity_of_a_pipe() {
        for effort in [Effort::Full, Effort::Quick] {
            let duels = duels(effort);
            assert!(duels.is_sorted_by(|a, b| a.bytes < b.bytes));
            for bytes in [65_536, 65_537] {
                assert!(duels.iter().any(|duel| duel.bytes == bytes), "{effort:?}");
            }
        }
    }

    #[test]
    fn a_contestant_that_failed_is_not_asked_again() {
        let strategy = Strategy::Poll;
        let peaks = vec![(strategy, 7, Err("it broke".to_owned()))];
        let mut contestant =
            Contestant::new(Path::new("/nonexistent/program"), strategy, 7, &peaks);
        contestant.take_turn(7);
        let why = "it broke".to_owned();
        assert_eq!(contestant.samples, Samples::Failed { why });
        let mut contestant =
            Contestant::new(Path::new("/nonexistent/program"), strategy, 8, &peaks);
        contestant.take_turn(8);
        assert!(matches!(contestant.samples, Samples::Failed { .. }));
    }
}
