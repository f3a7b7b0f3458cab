//! Whether a lap of an endless loop changed anything but counts.

use super::program::{Step, TaskId};
use super::progress::Progress;
use super::state::{Body, Channel, Current, Process, State};

/// The world at the beginning of a lap, without what only counts: clock, totals, and the looping task's own place in its program.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Lap {
    channels: Vec<Channel>,
    processes: Vec<Process>,
    places: Vec<(u64, Option<Current>)>,
}

impl<P: Iterator<Item = Step> + Clone> State<'_, P> {
    pub(super) fn lap_of(&self, looping: TaskId) -> Lap {
        let mut channels = self.channels.clone();
        for channel in &mut channels {
            match &mut channel.body {
                Body::Pipe(pipe) => *pipe = pipe.without_places(),
                // Files only grow, and whoever reads one reads all of it.
                Body::File { unread } => *unread = 0,
                // With endless room it grows before its reader comes to reading.
                Body::Unmodelled { unread } => *unread = (*unread).min(1),
                Body::Null => {}
            }
        }
        let places = self.tasks.iter().enumerate().map(|(index, task)| {
            let mut current = task.place.current;
            if let Some(Current {
                progress: Progress::SleepingUntil(until),
                ..
            }) = &mut current
            {
                *until = until.saturating_sub(self.clock_us);
            }
            let fetched = if index == looping.0 {
                0
            } else {
                task.place.fetched
            };
            (fetched, current)
        });
        Lap {
            places: places.collect(),
            channels,
            processes: self.processes.clone(),
        }
    }
}
