//! A world of processes, and its outcomes told in the words of scripts.

use pipeclog_pipemodel::simulate::{
    Blocked as ModelBlocked, ChannelId, Channels, Outcome, ProcessId, TaskId, Wait, Waiting, World,
};

use super::found::{Blocked, BlockedOn, Found, LeaderEnding, Leak, Who};
use super::program::Program;
use crate::script::{Descriptor, Stream};

/// A world, and who is who in it.
pub(super) struct Family<'a> {
    pub(super) world: World<Program<'a>>,
    pub(super) processes: Vec<(ProcessId, Who)>,
    pub(super) tasks: Vec<(TaskId, Who)>,
    pub(super) stdin: Option<ChannelId>,
    pub(super) stdout: Option<ChannelId>,
    /// The same as `stdout` where both are one.
    pub(super) stderr: Option<ChannelId>,
    /// What the parent reads, and so can say how much of it.
    pub(super) reads: Channels,
}

impl Family<'_> {
    pub(super) fn translate(&self, outcome: &Outcome) -> Found {
        let bytes = |channel: Option<ChannelId>| {
            let channel = channel.filter(|channel| self.reads.contains(*channel))?;
            let read = outcome.read_by_root.iter().find(|(of, _)| *of == channel);
            read.map(|(_, bytes)| *bytes)
        };
        Found {
            ending: outcome.ending.into(),
            leader: outcome.leader.map(LeaderEnding::of_model),
            stdout_bytes: bytes(self.stdout),
            stderr_bytes: bytes(self.stderr.filter(|_| self.stderr != self.stdout)),
            leaks: outcome
                .leaks
                .iter()
                .filter_map(|leak| {
                    Some(Leak {
                        stream: self.stream(leak.channel)?,
                        holder: self.process(leak.holder)?,
                        withheld_us: leak.withheld_us,
                    })
                })
                .collect(),
            blocked: outcome
                .blocked
                .iter()
                .filter_map(|blocked| self.blocked(blocked))
                .collect(),
        }
    }

    fn blocked(&self, blocked: &ModelBlocked) -> Option<Blocked> {
        let (_, who) = self.tasks.iter().find(|(task, _)| *task == blocked.task)?;
        let on = match blocked.wait {
            Wait::Write { channel } => BlockedOn::Write {
                stream: self.descriptor(channel)?,
                at_byte: blocked.moved,
                unread: blocked.unread,
            },
            Wait::Read { channel } => BlockedOn::Read {
                stream: self.descriptor(channel)?,
                at_byte: blocked.moved,
            },
            Wait::Drain { channels } => {
                let mut members = channels.iter();
                match (members.next(), members.next()) {
                    (Some(only), None) => BlockedOn::Read {
                        stream: self.descriptor(only)?,
                        at_byte: blocked.moved,
                    },
                    _ => BlockedOn::ReadBoth,
                }
            }
            Wait::HangUp { channel } => BlockedOn::HangUp {
                stream: self.descriptor(channel)?,
            },
            Wait::Exit { process, how } => BlockedOn::Exit {
                of: self.process(process)?,
                polling: how == Waiting::Polling,
            },
            Wait::Never(never) => BlockedOn::Never {
                reason: never.into(),
            },
            // Sleeps end, and no plan joins.
            Wait::Join { .. } | Wait::Sleep => return None,
        };
        Some(Blocked { who: *who, on })
    }

    fn process(&self, process: ProcessId) -> Option<Who> {
        let found = self.processes.iter().find(|(id, _)| *id == process);
        found.map(|(_, who)| *who)
    }

    fn stream(&self, channel: ChannelId) -> Option<Stream> {
        match self.descriptor(channel)? {
            Descriptor::Stdin => None,
            Descriptor::Stdout => Some(Stream::Stdout),
            Descriptor::Stderr => Some(Stream::Stderr),
        }
    }

    /// The child's name for a channel; of one for both streams it is standard output.
    fn descriptor(&self, channel: ChannelId) -> Option<Descriptor> {
        [
            (self.stdin, Descriptor::Stdin),
            (self.stdout, Descriptor::Stdout),
            (self.stderr, Descriptor::Stderr),
        ]
        .into_iter()
        .find_map(|(of, descriptor)| (of == Some(channel)).then_some(descriptor))
    }
}
