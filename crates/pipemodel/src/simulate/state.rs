//! The world at a moment.

use super::program::{ChannelId, Channels, Exit, ProcessId, Step, TaskId};
use super::progress::Progress;
use super::world::{ChannelKind, Hold, World};
use crate::pipe::{End, Pipe, WriteMode};

/// How much room an unmodelled channel is taken to have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Room {
    /// None at all: a write goes in only where a reader drains.
    Nothing,
    /// Any amount.
    Endless,
}

/// Whether the search leaves out what cannot matter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Search {
    /// Settled moves go first, and what a drainer reads goes through at once.
    Reduced,
    /// Every order, one system call at a time: the yardstick that the other is held to.
    #[cfg(test)]
    Exhaustive,
}

#[derive(Clone)]
pub(super) struct State<'w, P> {
    pub(super) world: &'w World<P>,
    pub(super) facts: &'w Facts,
    pub(super) room: Room,
    pub(super) search: Search,
    pub(super) channels: Vec<Channel>,
    pub(super) processes: Vec<Process>,
    pub(super) tasks: Vec<Task<P>>,
    pub(super) clock_us: u64,
    pub(super) leaks: Vec<super::outcome::Leak>,
    /// Whether the root has waited for the leader, and so knows how it ended.
    pub(super) leader_reaped: bool,
}

/// What the world says once and for all, in a form that is quick to ask.
pub(super) struct Facts {
    /// By task: the channels whose read end, and whose write end, its program uses.
    pub(super) reads: Vec<Channels>,
    pub(super) writes: Vec<Channels>,
    /// By channel: the only task that ever reads it.
    pub(super) sole_reader: Vec<Option<TaskId>>,
}

#[derive(Clone, PartialEq, Eq, Hash)]
pub(super) struct Channel {
    pub(super) body: Body,
    pub(super) mode: WriteMode,
    pub(super) readers: u32,
    pub(super) writers: u32,
    /// Of a FIFO: how often each of its ends was opened.
    pub(super) opens: Option<Opens>,
}

/// The kernel's `r_counter` and `w_counter`: whoever waits for a partner waits until the count moves, and does not mind if the
/// partner has gone again.
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash)]
pub(super) struct Opens {
    read: u64,
    write: u64,
}

impl Opens {
    pub(super) const fn of(self, end: End) -> u64 {
        match end {
            End::Read => self.read,
            End::Write => self.write,
        }
    }

    pub(super) const fn count(&mut self, end: End) {
        match end {
            End::Read => self.read += 1,
            End::Write => self.write += 1,
        }
    }
}

#[derive(Clone, PartialEq, Eq, Hash)]
pub(super) enum Body {
    Pipe(Pipe),
    File { unread: u64 },
    Null,
    Unmodelled { unread: u64 },
}

#[derive(Clone, PartialEq, Eq, Hash)]
pub(super) struct Process {
    pub(super) life: Life,
    /// Descriptors of read ends and of write ends, by channel.
    pub(super) reads: Vec<u32>,
    pub(super) writes: Vec<u32>,
    /// How often it has opened each channel.
    pub(super) opened: Vec<u32>,
    /// Whether somebody has waited for its end.
    pub(super) awaited: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Life {
    NotYet,
    Alive,
    Ended(Exit),
}

#[derive(Clone)]
pub(super) struct Task<P> {
    pub(super) program: P,
    /// The step after the current run, already taken from the program.
    pub(super) ahead: Option<Step>,
    pub(super) place: Place,
    /// Set while it repeats a loop in which nothing changes but counts.
    pub(super) spins: bool,
    pub(super) last_lap: Option<super::lap::Lap>,
    /// What it had written to each channel when that lap began, and the channels that it has written to since.
    pub(super) written_before: Vec<u64>,
    pub(super) grows: Channels,
}

/// Where a task stands: all of its state but its program, which this determines.
#[derive(Clone, PartialEq, Eq, Hash)]
pub(super) struct Place {
    pub(super) life: Life,
    pub(super) current: Option<Current>,
    /// Steps taken from the program.
    pub(super) fetched: u64,
    /// Bytes that it read from and wrote to each channel.
    pub(super) read: Vec<u64>,
    pub(super) written: Vec<u64>,
}

/// The step that a task is in.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Current {
    pub(super) step: Step,
    /// So many equal steps in a row, this one included.
    pub(super) times: u64,
    pub(super) progress: Progress,
}

impl<'w, P: Iterator<Item = Step> + Clone> State<'w, P> {
    pub(super) fn new(world: &'w World<P>, facts: &'w Facts, room: Room) -> Self {
        let width = world.channels.len();
        let mut state = Self {
            world,
            facts,
            room,
            search: Search::Reduced,
            channels: world.channels.iter().map(Channel::new).collect(),
            processes: vec![
                Process {
                    life: Life::NotYet,
                    reads: vec![0; width],
                    writes: vec![0; width],
                    opened: vec![0; width],
                    awaited: false,
                };
                world.processes.len()
            ],
            tasks: world
                .tasks
                .iter()
                .map(|task| Task::new(task.program.clone(), width))
                .collect(),
            clock_us: 0,
            leaks: Vec::new(),
            leader_reaped: false,
        };
        state.start_process(ProcessId(0));
        state
    }

    pub(super) fn start_process(&mut self, process: ProcessId) {
        self.processes[process.0].life = Life::Alive;
        for &Hold { channel, end } in &self.world.processes[process.0].holds {
            *self.processes[process.0].held_mut(channel, end) += 1;
            *self.channels[channel.0].holders_mut(end) += 1;
        }
        if let Some(main) = self.world.processes[process.0].main {
            self.start_task(main);
        }
    }

    pub(super) fn start_task(&mut self, task: TaskId) {
        self.tasks[task.0].place.life = Life::Alive;
        self.tasks[task.0].fetch();
    }

    pub(super) fn root_exit(&self) -> Option<Exit> {
        match self.processes.first().map(|root| root.life) {
            Some(Life::Ended(exit)) => Some(exit),
            Some(Life::Alive | Life::NotYet) | None => None,
        }
    }

    pub(super) fn leader_exit(&self) -> Option<Exit> {
        match self
            .world
            .leader
            .map(|leader| self.processes[leader.0].life)
        {
            Some(Life::Ended(exit)) => Some(exit),
            Some(Life::Alive | Life::NotYet) | None => None,
        }
    }

    pub(super) fn alive(&self) -> impl Iterator<Item = TaskId> + '_ {
        (0..self.tasks.len())
            .map(TaskId)
            .filter(|task| self.tasks[task.0].place.life == Life::Alive)
    }
}

impl<P: Iterator<Item = Step>> Task<P> {
    fn new(program: P, width: usize) -> Self {
        Self {
            program,
            ahead: None,
            place: Place {
                life: Life::NotYet,
                current: None,
                fetched: 0,
                read: vec![0; width],
                written: vec![0; width],
            },
            spins: false,
            last_lap: None,
            written_before: Vec::new(),
            grows: Channels::default(),
        }
    }

    /// Takes the next step, and with a write all equal ones that follow.
    pub(super) fn fetch(&mut self) {
        let step = self
            .ahead
            .take()
            .or_else(|| self.program.next())
            .unwrap_or(Step::Exit(Exit::Code(0)));
        let mut times: u64 = 1;
        if matches!(step, Step::Write { .. }) {
            self.ahead = self.program.next();
            loop {
                times = match self.ahead {
                    // Of the write before it, however long the run has become: by itself it would be nothing.
                    Some(Step::WriteAgain { times: more }) => times.saturating_add(more),
                    Some(next) if next == step && times < RUN_MAX => times + 1,
                    Some(_) | None => break,
                };
                self.ahead = self.program.next();
            }
        }
        self.place.fetched = self.place.fetched.saturating_add(times);
        self.place.current = Some(Current {
            step,
            times,
            progress: Progress::Fresh,
        });
    }
}

/// How many equal writes are taken at once where each is a step: many, so that a run costs as one; and bounded, since the first may
/// block for ever, and then the others were taken for nothing.
const RUN_MAX: u64 = 1 << 12;

impl Channel {
    fn new(kind: &ChannelKind) -> Self {
        let opens = match kind {
            ChannelKind::Fifo { .. } => Some(Opens::default()),
            ChannelKind::Pipe { .. }
            | ChannelKind::File { .. }
            | ChannelKind::Null
            | ChannelKind::Unmodelled => None,
        };
        let (body, mode) = match *kind {
            ChannelKind::Pipe { geometry, mode } => (Body::Pipe(Pipe::new(geometry)), mode),
            ChannelKind::Fifo { geometry } => (Body::Pipe(Pipe::new(geometry)), WriteMode::Stream),
            ChannelKind::File { bytes } => (Body::File { unread: bytes }, WriteMode::Stream),
            ChannelKind::Null => (Body::Null, WriteMode::Stream),
            ChannelKind::Unmodelled => (Body::Unmodelled { unread: 0 }, WriteMode::Stream),
        };
        Self {
            body,
            mode,
            readers: 0,
            writers: 0,
            opens,
        }
    }

    pub(super) fn unread(&self) -> u64 {
        match &self.body {
            Body::Pipe(pipe) => pipe.unread_bytes(),
            Body::File { unread } | Body::Unmodelled { unread } => *unread,
            Body::Null => 0,
        }
    }

    /// Whether an empty channel makes its reader wait while somebody can write.
    pub(super) fn waits_for_writers(&self) -> bool {
        match self.body {
            Body::Pipe(_) | Body::Unmodelled { .. } => true,
            Body::File { .. } | Body::Null => false,
        }
    }

    pub(super) fn holders_mut(&mut self, end: End) -> &mut u32 {
        match end {
            End::Read => &mut self.readers,
            End::Write => &mut self.writers,
        }
    }
}

impl Process {
    pub(super) fn held(&self, channel: ChannelId, end: End) -> u32 {
        match end {
            End::Read => self.reads[channel.0],
            End::Write => self.writes[channel.0],
        }
    }

    pub(super) fn held_mut(&mut self, channel: ChannelId, end: End) -> &mut u32 {
        match end {
            End::Read => &mut self.reads[channel.0],
            End::Write => &mut self.writes[channel.0],
        }
    }
}
