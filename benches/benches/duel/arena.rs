//! Where a duel is fought.

use std::fmt::Write;
use std::hint::black_box;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use memmap2::{Advice, MmapMut};
use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::time::TimeValLike;
use pipeclog_benches::child::Job;
use pipeclog_benches::contenders::Contender;
use pipeclog_scenario::goals;
use pipeclog_scenario::goals::Spread;
use serde::Serialize;

use crate::Effort;
use crate::statistics::spread;

/// Methods that do the same job in turn.
pub(crate) struct Duel {
    pub(crate) name: &'static str,
    /// Bytes to stdout and to stderr, and of each write.
    pub(crate) out: u64,
    pub(crate) err: u64,
    pub(crate) piece: u64,
    pub(crate) contenders: &'static [Contender],
    /// Rounds of a full run, and of a quick one.
    pub(crate) rounds: [usize; 2],
    /// Memory that this process holds meanwhile.
    pub(crate) held: usize,
}

/// The child, and how much is wanted.
pub(crate) struct Arena {
    pub(crate) program: PathBuf,
    pub(crate) effort: Effort,
}

/// What was measured of each contender, by round.
#[derive(Clone, Debug, Default, Serialize)]
pub(crate) struct Times {
    rows: Vec<Row>,
}

#[derive(Clone, Debug, Serialize)]
struct Row {
    name: &'static str,
    capture_us: Vec<f64>,
    use_and_free_us: Vec<f64>,
    cpu_us: Vec<f64>,
}

/// Which of the figures.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Figure {
    /// The capture alone.
    Capture,
    /// The capture, one look at every byte, and the freeing.
    UseAndFree,
    /// The capturing process's own CPU time.
    Cpu,
}

/// From this size on the host may have taken free memory back, and giving it again costs more than the capture: so it
/// is touched before.
const TOUCH_FROM: u64 = 16 << 20;
const PAGE: usize = 4096;

impl Arena {
    pub(crate) fn fight(&self, duel: &Duel) -> Times {
        let ballast = touched(duel.held);
        let job = Job {
            program: self.program.clone(),
            out: duel.out,
            err: duel.err,
            piece: duel.piece,
        };
        let mut times = Times::default();
        for contender in duel.contenders {
            // Whatever is made once is made now.
            black_box((contender.run)(&job));
            times.rows.push(Row {
                name: contender.name,
                capture_us: Vec::new(),
                use_and_free_us: Vec::new(),
                cpu_us: Vec::new(),
            });
        }
        let [full, quick] = duel.rounds;
        let rounds = match self.effort {
            Effort::Full => full,
            Effort::Quick => quick,
        };
        for round in 0..rounds {
            for turn in 0..duel.contenders.len() {
                let at = (round + turn) % duel.contenders.len();
                if let (Some(contender), Some(row)) =
                    (duel.contenders.get(at), times.rows.get_mut(at))
                {
                    row.measure(contender, &job);
                }
            }
        }
        drop(ballast);
        times
    }
}

impl Row {
    fn measure(&mut self, contender: &Contender, job: &Job) {
        let bytes = job.out + job.err;
        if bytes >= TOUCH_FROM {
            touch_huge(usize::try_from(bytes + bytes / 5).unwrap_or(usize::MAX));
        }
        let cpu = own_cpu();
        let start = Instant::now();
        let held = (contender.run)(job);
        let captured = start.elapsed();
        let cpu = own_cpu().saturating_sub(cpu);
        // A method that throws the bytes away counts them; the bare spawn does not even that.
        let count = held.count();
        assert!(
            count == bytes || count == 0,
            "{}: {count} bytes of {bytes}",
            contender.name
        );
        black_box(held.sum());
        drop(held);
        self.capture_us.push(microseconds(captured));
        self.use_and_free_us.push(microseconds(start.elapsed()));
        self.cpu_us.push(microseconds(cpu));
    }
}

impl Times {
    fn of(&self, name: &str, figure: Figure) -> Option<&[f64]> {
        let row = self.rows.iter().find(|row| row.name == name)?;
        Some(match figure {
            Figure::Capture => &row.capture_us,
            Figure::UseAndFree => &row.use_and_free_us,
            Figure::Cpu => &row.cpu_us,
        })
    }

    /// What one contender took by what another took, round by round.
    pub(crate) fn ratio(&self, of: &str, to: &str, figure: Figure) -> Option<Spread> {
        let pairs = self.of(of, figure)?.iter().zip(self.of(to, figure)?);
        spread(pairs.map(|(of, to)| of / to.max(1.0)).collect())
    }

    /// Medians and spreads, for the report.
    pub(crate) fn summary(&self, name: &str, ours: &str) -> goals::Duel {
        let contender = |row: &Row| {
            Some(goals::Contender {
                name: row.name.into(),
                capture_us: spread(row.capture_us.clone())?,
                use_and_free_us: spread(row.use_and_free_us.clone())?,
                cpu_us: spread(row.cpu_us.clone())?,
                to_ours: self.ratio(row.name, ours, Figure::Capture),
            })
        };
        goals::Duel {
            name: name.into(),
            contenders: self.rows.iter().filter_map(contender).collect(),
        }
    }

    /// Medians, for people.
    pub(crate) fn table(&self, duel: &Duel) -> String {
        let mut text = format!(
            "\n{}\n{:24} {:>12} {:>12} {:>12} {:>10}\n",
            duel.name, "", "capture us", "use+free us", "own CPU us", "x first"
        );
        let first = self.rows.first().map_or("", |row| row.name);
        for row in &self.rows {
            let median =
                |samples: &[f64]| spread(samples.to_vec()).map_or(f64::NAN, |it| it.median);
            let ratio = self.ratio(row.name, first, Figure::Capture);
            let _ = writeln!(
                text,
                "{:24} {:>12.0} {:>12.0} {:>12.0} {:>10.2}",
                row.name,
                median(&row.capture_us),
                median(&row.use_and_free_us),
                median(&row.cpu_us),
                ratio.map_or(f64::NAN, |it| it.median),
            );
        }
        text
    }
}

/// So much memory, every page of which was written.
fn touched(bytes: usize) -> Vec<u8> {
    let mut memory = vec![0_u8; bytes];
    for page in memory.chunks_mut(PAGE) {
        if let Some(first) = page.first_mut() {
            *first = 1;
        }
    }
    black_box(memory)
}

/// Has the host give so much memory, in huge pages, and frees it.
fn touch_huge(bytes: usize) {
    let mut memory = MmapMut::map_anon(bytes).expect("memory");
    let _unless_there_are_none = memory.advise(Advice::HugePage);
    for page in memory.chunks_mut(PAGE) {
        if let Some(first) = page.first_mut() {
            *first = 1;
        }
    }
    black_box(&memory);
}

/// CPU time of this process and all its threads, not of its children.
fn own_cpu() -> Duration {
    let usage = getrusage(UsageWho::RUSAGE_SELF).expect("our own");
    let microseconds =
        usage.user_time().num_microseconds() + usage.system_time().num_microseconds();
    Duration::from_micros(microseconds.unsigned_abs())
}

fn microseconds(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e6
}
