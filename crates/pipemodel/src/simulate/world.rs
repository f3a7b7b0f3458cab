//! The world before anything runs: channels, processes, and what each task does.

use super::program::{ChannelId, Channels, OnBrokenPipe, ProcessId, Step, TaskId};
use crate::geometry::Geometry;
use crate::pipe::{End, WriteMode};

/// What a channel is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ChannelKind {
    /// A pipe, modelled exactly.
    Pipe {
        /// Its ring.
        geometry: Geometry,
        /// How its writers write.
        mode: WriteMode,
    },
    /// A FIFO, modelled exactly. Nobody has it open at the start, nobody inherits it, and nobody outside of the world opens it.
    Fifo {
        /// Its ring, each time it is opened anew: what is unread when the last holder closes it is lost.
        geometry: Geometry,
    },
    /// A regular file or a memory file: any write fits, and reading ends where the bytes end, whoever holds it.
    File {
        /// Bytes that it has at the start.
        bytes: u64,
    },
    /// `/dev/null`: any write fits, and reading ends at once.
    Null,
    /// A socket or a terminal: end of file as of a pipe, but its room is not modelled. What comes of it is said only
    /// where it is the same for any room.
    Unmodelled,
}

/// An end of a channel in the hands of a process: one descriptor.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Hold {
    /// The channel.
    pub channel: ChannelId,
    /// The end.
    pub end: End,
}

impl Hold {
    /// The read end of a channel.
    #[must_use]
    pub const fn read(channel: ChannelId) -> Self {
        Self {
            channel,
            end: End::Read,
        }
    }

    /// The write end of a channel.
    #[must_use]
    pub const fn write(channel: ChannelId) -> Self {
        Self {
            channel,
            end: End::Write,
        }
    }
}

/// Channels, processes and tasks, as they are declared.
///
/// The first process is the root: it runs from the start, and its exit is the end. Programs are iterators of steps, so that
/// one of a billion steps need not exist as a list; the end of an iterator is `Exit(Code(0))`.
#[derive(Clone, Debug, Default)]
pub struct World<P> {
    pub(super) channels: Vec<ChannelKind>,
    pub(super) processes: Vec<Process>,
    pub(super) tasks: Vec<Task<P>>,
    pub(super) leader: Option<ProcessId>,
    pub(super) altered: Channels,
    pub(super) hung_up: Vec<ProcessId>,
}

#[derive(Clone, Debug)]
pub(super) struct Process {
    pub(super) parent: Option<ProcessId>,
    pub(super) holds: Vec<Hold>,
    pub(super) main: Option<TaskId>,
}

#[derive(Clone, Debug)]
pub(super) struct Task<P> {
    pub(super) process: ProcessId,
    pub(super) program: P,
    pub(super) uses: Vec<Hold>,
    pub(super) drains: Channels,
    pub(super) on_broken_pipe: OnBrokenPipe,
}

/// The most channels, and the most tasks, that a world may have: sets of them are bits of a word.
pub const MAX_MEMBERS: usize = 64;

impl<P: Iterator<Item = Step> + Clone> World<P> {
    /// An empty world.
    #[must_use]
    pub fn new() -> Self {
        Self {
            channels: Vec::new(),
            processes: Vec::new(),
            tasks: Vec::new(),
            leader: None,
            altered: Channels::default(),
            hung_up: Vec::new(),
        }
    }

    /// Adds a channel.
    pub fn channel(&mut self, kind: ChannelKind) -> ChannelId {
        self.channels.push(kind);
        ChannelId(self.channels.len() - 1)
    }

    /// Adds a process, started by its parent (the root has none), that has these descriptors when it starts: one entry for each,
    /// so twice where it has two.
    pub fn process(&mut self, parent: Option<ProcessId>, holds: &[Hold]) -> ProcessId {
        self.processes.push(Process {
            parent,
            holds: holds.to_vec(),
            main: None,
        });
        ProcessId(self.processes.len() - 1)
    }

    /// Adds a task to a process. The first is its main task, which starts with the process and whose exit is the process's; it must
    /// have joined the others by then (the root's need not have joined those that only write).
    ///
    /// `uses` must name every end that the program ever opens, reads (or awaits), writes (or resizes), or closes though it is not
    /// the main task; the simulation relies on it, and fails if the program does otherwise.
    pub fn task(
        &mut self,
        process: ProcessId,
        uses: &[Hold],
        on_broken_pipe: OnBrokenPipe,
        program: P,
    ) -> TaskId {
        let task = TaskId(self.tasks.len());
        self.tasks.push(Task {
            process,
            program,
            uses: uses.to_vec(),
            drains: Channels::default(),
            on_broken_pipe,
        });
        self.processes[process.0].main.get_or_insert(task);
        task
    }

    /// Promises that a task, the only reader of these channels, reads them by [`Step::Drain`] until the end of file alone, and neither closes
    /// them nor ends before that. When it drains them then does not matter to those who write, which saves most of the orders; the
    /// simulation fails if the promise is not kept.
    pub fn drains(&mut self, task: TaskId, channels: Channels) {
        self.tasks[task.0].drains = channels;
    }

    /// Says that a program resizes this channel or switches its mode; without that none may. Then it shows how much is in it at each
    /// moment, and how large each read is: a short one throws away the rest of a packet.
    pub fn altered(&mut self, channel: ChannelId) {
        self.altered = self.altered.with(channel);
    }

    /// Says that the leader's exit sends this process a signal (`SIGHUP`, from the terminal of the leader's session: `disassociate_ctty`
    /// in `drivers/tty/tty_jobctrl.c`), and that it is not known what comes of that: the simulation fails unless the process was waited
    /// for before.
    pub fn hung_up(&mut self, process: ProcessId) {
        self.hung_up.push(process);
    }

    /// Gives a task its program, where that names what was added after the task.
    pub fn program(&mut self, task: TaskId, program: P) {
        self.tasks[task.0].program = program;
    }

    /// How many tasks there are.
    #[must_use]
    pub fn task_count(&self) -> usize {
        self.tasks.len()
    }

    /// How many channels there are.
    #[must_use]
    pub fn channel_count(&self) -> usize {
        self.channels.len()
    }

    /// The tasks so far that use the write end of a channel.
    pub fn writers(&self, channel: ChannelId) -> impl Iterator<Item = TaskId> + '_ {
        let writes = move |task: &TaskId| self.tasks[task.0].uses.contains(&Hold::write(channel));
        (0..self.tasks.len()).map(TaskId).filter(writes)
    }

    /// What a channel is.
    #[must_use]
    pub fn kind(&self, channel: ChannelId) -> ChannelKind {
        self.channels[channel.0]
    }

    /// Says which process is the leader, the root's direct child: after its exit, who withholds an end of file leaks.
    pub fn leader(&mut self, process: ProcessId) {
        self.leader = Some(process);
    }
}
