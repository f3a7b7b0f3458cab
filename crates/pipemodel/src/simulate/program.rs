//! What programs are made of: blocking steps on channels.

use crate::pipe::{End, WriteMode};

/// A channel of a [`World`](super::World): a pipe, a file, or one that is not modelled.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ChannelId(pub(super) usize);

/// A process of a [`World`](super::World).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ProcessId(pub(super) usize);

/// A task (thread) of a [`World`](super::World).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TaskId(pub(super) usize);

/// A set of channels.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Channels(u64);

impl Channels {
    /// The set of these.
    #[must_use]
    pub fn of(channels: &[ChannelId]) -> Self {
        Self(channels.iter().fold(0, |set, channel| set | 1 << channel.0))
    }

    /// The set and one more.
    #[must_use]
    pub const fn with(self, channel: ChannelId) -> Self {
        Self(self.0 | 1 << channel.0)
    }

    /// The members of both.
    #[must_use]
    pub const fn union(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Whether any channel is in both.
    #[must_use]
    pub const fn meets(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }

    /// Whether a channel is in the set.
    #[must_use]
    pub fn contains(self, channel: ChannelId) -> bool {
        self.0 & (1 << channel.0) != 0
    }

    /// Its members, in the order of their making.
    pub fn iter(self) -> impl Iterator<Item = ChannelId> {
        (0..u64::BITS as usize)
            .map(ChannelId)
            .filter(move |&channel| self.contains(channel))
    }
}

/// A step: a system call, or a loop of them that goes on until its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Step {
    /// One write(2), continued until all of it is in.
    Write {
        /// Where to.
        to: ChannelId,
        /// How many bytes.
        bytes: u64,
        /// What it does where there is no room.
        how: Writing,
    },
    /// The write before this step, so many times more: a run of a billion equal writes is two steps. Anywhere else it is nothing.
    WriteAgain {
        /// How many times.
        times: u64,
    },
    /// read(2)s of at most `per_read` bytes, until `bytes` have come or the end of file.
    Read {
        /// Where from.
        from: ChannelId,
        /// How many bytes in all.
        bytes: u64,
        /// How many at most in one read(2).
        per_read: u64,
    },
    /// Reads whatever is ready of a set, until its end: a read loop, or one over poll(2).
    Drain {
        /// Where from.
        from: Channels,
        /// Until when.
        until: Until,
    },
    /// Reads, and writes what came before it reads again, until the end of file.
    Echo {
        /// Where from.
        from: ChannelId,
        /// Where to.
        to: ChannelId,
        /// How many bytes at most in one read(2).
        per_read: u64,
        /// What a write does where there is no room.
        how: Writing,
    },
    /// Waits until nobody holds the write end, and reads nothing (poll(2) without events).
    AwaitHangUp {
        /// The channel.
        on: ChannelId,
    },
    /// The process closes one descriptor of an end.
    Close {
        /// The channel.
        channel: ChannelId,
        /// The end.
        end: End,
    },
    /// Opens a FIFO, which the process then holds until it ends. Opened for one end alone, it sleeps until somebody opens the
    /// other, if nobody has it open (fifo(7); `fifo_open`, `wait_for_partner` in `fs/pipe.c`).
    Open {
        /// The FIFO.
        channel: ChannelId,
        /// What for.
        access: Access,
    },
    /// `F_SETPIPE_SZ`, which either end allows.
    Resize {
        /// The channel.
        channel: ChannelId,
        /// The end that the process holds.
        end: End,
        /// Bytes asked for.
        bytes: u64,
        /// What the program does if the ring refuses.
        on_refusal: OnRefusal,
    },
    /// Switches packet mode on or off, for every writer: they share the open file description.
    SetMode {
        /// The channel.
        channel: ChannelId,
        /// From now on.
        mode: WriteMode,
    },
    /// Starts a process, which gets the descriptors that the world says.
    Spawn {
        /// Which.
        process: ProcessId,
    },
    /// Starts another task of the own process.
    Start {
        /// Which.
        task: TaskId,
    },
    /// Waits for the exit of a process.
    WaitExit {
        /// Which.
        process: ProcessId,
        /// How.
        how: Waiting,
    },
    /// Waits for the end of a task of the own process.
    Join {
        /// Which.
        task: TaskId,
    },
    /// Sleeps, or computes.
    Sleep {
        /// Microseconds.
        us: u64,
    },
    /// Waits for what no program of the world can give.
    Never(Never),
    /// What follows, up to the next of these, repeats for ever.
    LoopMark,
    /// The program is too long for its maker to go on with it: the simulation fails.
    GiveUp,
    /// The end of the process (of its main task) or of the task.
    Exit(Exit),
}

/// What a write does where there is no room.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Writing {
    /// It sleeps in write(2), and goes on there.
    Blocking,
    /// The descriptor is non-blocking: it writes, waits in poll(2) for `POLLOUT`, and writes again what is left. Each time its odd bytes
    /// may join the last slot.
    Polled,
}

/// What a FIFO is opened for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Access {
    /// For reading: sleeps until there is a writer.
    Read,
    /// For writing: sleeps until there is a reader.
    Write,
    /// For both: never sleeps.
    Both,
}

impl Access {
    /// The ends that it gives.
    #[must_use]
    pub const fn ends(self) -> &'static [End] {
        match self {
            Self::Read => &[End::Read],
            Self::Write => &[End::Write],
            Self::Both => &[End::Read, End::Write],
        }
    }
}

/// When a [`Step::Drain`] ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Until {
    /// At the end of file of each channel.
    EndOfFile,
    /// As that; or at the exit of a process, after one more drain until nothing is ready.
    ExitOf(ProcessId),
}

/// How a parent waits for an exit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Waiting {
    /// In wait4(2) or the like.
    Blocking,
    /// By looking and sleeping in turns; never blocked for good, and never done either.
    Polling,
}

/// A wait that nothing within the world ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Never {
    /// In a futex that nobody will wake.
    Parked,
    /// For a network, a terminal, a person.
    Outside,
    /// Stopped by a signal.
    Stopped,
}

/// How a process ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Exit {
    /// exit(2) with this code.
    Code(u8),
    /// By a signal of its own choice, by whatever number the maker of the world gives it.
    Signal(u8),
    /// By `SIGPIPE`, for a write that nobody could read.
    BrokenPipe,
}

/// What a task does when a pipe cannot be resized (`EBUSY`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum OnRefusal {
    /// It goes on.
    GoOn,
    /// Its process ends.
    Exit(Exit),
    /// It does something that is not modelled, and so the simulation fails.
    Unmodelled,
}

/// What a task does when it writes to a channel that nobody reads (`EPIPE`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum OnBrokenPipe {
    /// Dies by `SIGPIPE`.
    Die,
    /// Exits with code 1.
    Exit,
    /// Drops that write, and goes on.
    GoOn,
}
