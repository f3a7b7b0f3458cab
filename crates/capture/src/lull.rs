//! Letting a writer of small pieces write on before it is read again.
//!
//! A reader that comes for every line makes its writer pay for waking it. After a read of little, a short sleep
//! lets the next one find a few hundred lines: fewer switches of both, and a fraction of the
//! reader's time. The sleep is on the leader's exit and on stdin, which both end it, and never long enough to
//! let a pipe fill for long: if it did, the next one is half as long.

use std::time::Duration;

/// Less than this is little: a writer that buffers, as stdio does, writes this much at a time.
const LITTLE: usize = 4096;
/// What a line writer needs to write some 64 KiB; a quarter of an enlarged pipe.
const LONGEST: Duration = Duration::from_micros(200);
/// Below this a sleep costs more than it saves.
const SHORTEST: Duration = Duration::from_micros(25);

/// How long to sleep, learned from what the reads found.
pub(crate) struct Lull {
    length: Duration,
    /// Since the last look something was read that was little.
    little: bool,
    /// And something that was not.
    much: bool,
    /// And so much that a pipe was half full or more.
    half_full: bool,
    has_slept: bool,
}

impl Lull {
    pub(crate) fn new() -> Self {
        Lull {
            length: LONGEST,
            little: false,
            much: false,
            half_full: false,
            has_slept: false,
        }
    }

    /// A read found `count` bytes in a pipe that holds `capacity`; none for what is no pipe, and
    /// holds too little to be left alone.
    pub(crate) fn note(&mut self, count: usize, capacity: Option<usize>) {
        match capacity {
            Some(capacity) => {
                self.half_full |= count >= capacity / 2;
                self.much |= count >= LITTLE;
                self.little |= count < LITTLE;
            }
            None => self.much = true,
        }
    }

    /// How long to leave the writer alone now.
    pub(crate) fn take(&mut self) -> Option<Duration> {
        let [little, much, half_full] =
            [&mut self.little, &mut self.much, &mut self.half_full].map(std::mem::take);
        if half_full && std::mem::take(&mut self.has_slept) {
            self.length /= 2;
        }
        if much || half_full || !little {
            return None;
        }
        // It grows by little, so that a writer that fills its pipe in less is seldom kept waiting.
        self.length = (self.length + self.length / 8).min(LONGEST);
        self.has_slept = self.length >= SHORTEST;
        self.has_slept.then_some(self.length)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PIPE: Option<usize> = Some(256 * 1024);

    #[test]
    fn only_a_read_of_little_from_a_pipe_is_followed_by_a_sleep() {
        let mut lull = Lull::new();
        assert_eq!(lull.take(), None, "nothing was read");
        lull.note(80, PIPE);
        assert_eq!(lull.take(), Some(LONGEST));
        assert_eq!(lull.take(), None, "nothing more was read");
        lull.note(LITTLE, PIPE);
        assert_eq!(lull.take(), None);
        lull.note(80, None);
        assert_eq!(lull.take(), None);
    }

    #[test]
    fn sleeps_get_shorter_where_they_let_the_pipe_fill_until_there_are_none() {
        let mut lull = Lull::new();
        let mut slept = 0;
        for _ in 0..20 {
            lull.note(2049, PIPE);
            if lull.take().is_some() {
                slept += 1;
                lull.note(131_136, PIPE);
                assert_eq!(lull.take(), None);
            }
        }
        assert!((3..10).contains(&slept), "{slept}");
    }

    #[test]
    fn a_stream_of_much_beside_one_of_little_is_not_kept_waiting() {
        let mut lull = Lull::new();
        lull.note(80, PIPE);
        lull.note(65_536, PIPE);
        assert_eq!(lull.take(), None);
        lull.note(65_536, PIPE);
        lull.note(80, PIPE);
        assert_eq!(lull.take(), None);
    }
}
