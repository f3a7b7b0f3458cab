//! Looking on: as many looks as a verdict takes, and no more.

use std::thread;
use std::time::{Duration, Instant};

use pipeclog_waitgraph::snapshot::Snapshot;

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
    }
    Ok(looks)
}

#[expect(
    clippy::disallowed_methods,
    reason = "time passing between two looks is what is asked for"
)]
fn sleep(pause: Duration) {
    thread::sleep(pause);
}
