//! Looking on: as many looks as a verdict takes, and no more of them kept than show something of their own.

use std::thread;
use std::time::{Duration, Instant};

use pipeclog_waitgraph::snapshot::{Process, Snapshot, Timeout, Wait};

use crate::scanner::{ScanError, Scanner, Selection};

/// Between the first two looks: long enough for whoever runs at all to be seen running.
const BETWEEN: Duration = Duration::from_millis(120);
/// Between later ones.
const TICK: Duration = Duration::from_millis(250);

/// See [`Scanner::watch`].
pub(crate) fn run(
    scanner: &mut Scanner,
    selection: &Selection,
    window: Duration,
    is_settled: &mut dyn FnMut(&[Snapshot]) -> bool,
) -> Result<Vec<Snapshot>, ScanError> {
    let started = Instant::now();
    let mut looks = vec![scanner.scan(selection)?];
    let mut pause = BETWEEN;
    while !is_settled(&looks) && (looks.len() == 1 || started.elapsed() < window) {
        sleep(pause);
        pause = TICK;
        let next = match looks.last() {
            Some(last) => scanner.confirm(selection, last)?,
            None => scanner.scan(selection)?,
        };
        looks.push(next);
        thin(&mut looks);
    }
    Ok(looks)
}

/// Drops looks that show nothing of their own, however long the window: the first and the last two stay, and of those between
/// them the ones in which somebody who still lives does what no other look shows.
fn thin(looks: &mut Vec<Snapshot>) {
    let mut at = 1;
    while at + 2 < looks.len() {
        if is_told_by_others(looks, at) {
            let dropped = looks.remove(at);
            if let Some(next) = looks.get_mut(at) {
                next.scan.dropped_before += 1 + dropped.scan.dropped_before;
            }
        } else {
            at += 1;
        }
    }
}

fn is_told_by_others(looks: &[Snapshot], at: usize) -> bool {
    let (Some(look), Some(last)) = (looks.get(at), looks.last()) else {
        return false;
    };
    let others = || looks.iter().enumerate().filter(|(other, _)| *other != at);
    let lives = |process: &&Process| {
        let now = last.process(process.pid);
        now.is_some_and(|now| now.start_ticks == process.start_ticks)
    };
    look.processes.iter().filter(lives).all(|process| {
        process.tasks.iter().all(|task| {
            others().any(|(_, other)| {
                let tasks = other.process(process.pid).map(|process| &process.tasks);
                let same = tasks
                    .into_iter()
                    .flatten()
                    .find(|same| same.tid == task.tid);
                same.is_some_and(|same| is_same_deed(&same.wait, &task.wait))
            })
        })
    })
}

/// Whether two waits are the same but for how long they last, and for which lock of the process.
fn is_same_deed(a: &Wait, b: &Wait) -> bool {
    let may_end = |timeout: &Timeout| *timeout != Timeout::Never;
    match (a, b) {
        (Wait::Sleep { .. }, Wait::Sleep { .. }) => true,
        (Wait::Futex { timeout: a, .. }, Wait::Futex { timeout: b, .. }) => {
            may_end(a) == may_end(b)
        }
        (
            Wait::Poll {
                set: a,
                timeout: ta,
                ..
            },
            Wait::Poll {
                set: b,
                timeout: tb,
                ..
            },
        ) => a == b && may_end(ta) == may_end(tb),
        (Wait::Epoll { fd: a, timeout: ta }, Wait::Epoll { fd: b, timeout: tb }) => {
            a == b && may_end(ta) == may_end(tb)
        }
        _ => a == b,
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "time passing between two looks is what is asked for"
)]
fn sleep(pause: Duration) {
    thread::sleep(pause);
}

#[cfg(test)]
mod tests {
    use pipeclog_waitgraph::snapshot::{Listing, Observer, SCHEMA_VERSION, Scan};

    use super::*;
    use crate::parse::Stat;

    /// A look at one process that waits so.
    fn look(at_ms: u64, wait: Wait) -> Snapshot {
        let line = b"10 (x) S 1 10 10 0 -1 0 0 0 0 0 0 0 0 0 20 0 1 0 5 0 0\n";
        let mut process = crate::process::unseen(&Stat::parse(line).unwrap(), Some(0));
        process.tasks[0].wait = wait;
        Snapshot {
            schema_version: SCHEMA_VERSION,
            scan: Scan {
                at_ms,
                ticks_per_second: 100,
                kernel: "6.18".into(),
                forks_before: None,
                forks_after: None,
                listing: Listing::Closed,
                real_timers: None,
                posix_timers: None,
                observer_uid: 0,
                dropped_before: 0,
                observer: Observer::default(),
                runs_of: Vec::new(),
            },
            processes: vec![process],
            locks: Vec::new(),
            peeks: Vec::new(),
            gaps: Vec::new(),
        }
    }

    fn sleep(ms: u64) -> Wait {
        Wait::Sleep {
            timeout: Timeout::After(ms),
        }
    }

    fn read() -> Wait {
        Wait::Read {
            fd: 3,
            call: "read".to_owned(),
        }
    }

    #[test]
    fn of_many_looks_the_first_the_last_two_and_those_that_show_something_of_their_own_are_kept() {
        let mut looks = Vec::new();
        for at in 0..1_000 {
            // Once it reads, in a look like any other.
            let wait = if at == 300 { read() } else { sleep(at) };
            looks.push(look(at, wait));
            thin(&mut looks);
            assert!(looks.len() <= 5, "{} looks at {at}", looks.len());
        }
        let at: Vec<u64> = looks.iter().map(|look| look.scan.at_ms).collect();
        assert_eq!(at, [0, 300, 998, 999]);
        let dropped: u32 = looks.iter().map(|look| look.scan.dropped_before).sum();
        assert_eq!(looks.len() + dropped as usize, 1_000);
    }

    #[test]
    fn what_those_did_who_have_ended_is_not_kept() {
        let mut looks = vec![look(0, sleep(1)), look(1, read()), look(2, sleep(1))];
        let mut last = look(3, sleep(1));
        last.processes.clear();
        looks.push(last);
        thin(&mut looks);
        assert_eq!(looks.len(), 3);
    }
}
