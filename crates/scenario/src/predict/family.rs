//! A world of processes, and its outcomes told in the words of scripts.

use std::path::Path;

use pipeclog_pipemodel::End;
use pipeclog_pipemodel::simulate::{
    Blocked as ModelBlocked, ChannelId, Channels, Outcome, ProcessId, TaskId, Wait, Waiting, World,
};

use super::found::{Blocked, BlockedOn, Channel, Found, LeaderEnding, Leak, Who};
use super::program::Program;
use crate::script::{FifoAccess, Stream};

/// A world, and who is who in it.
pub(super) struct Family<'a> {
    /// By the paths that the scripts name.
    pub(super) fifos: Vec<(&'a Path, ChannelId)>,
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
                stream: self.name(channel)?,
                at_byte: blocked.moved,
                unread: blocked.unread,
            },
            Wait::Read { channel } => BlockedOn::Read {
                stream: self.name(channel)?,
                at_byte: blocked.moved,
            },
            Wait::Drain { channels } => {
                let mut members = channels.iter();
                match (members.next(), members.next()) {
                    (Some(only), None) => BlockedOn::Read {
                        stream: self.name(only)?,
                        at_byte: blocked.moved,
                    },
                    _ => BlockedOn::ReadBoth,
                }
            }
            Wait::HangUp { channel } => BlockedOn::HangUp {
                stream: self.name(channel)?,
            },
            Wait::Partner { channel, end } => BlockedOn::Open {
                fifo: self.fifo(channel)?,
                access: match end {
                    End::Read => FifoAccess::Write,
                    End::Write => FifoAccess::Read,
                },
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
        self.name(channel)?.output()
    }

    fn fifo(&self, channel: ChannelId) -> Option<String> {
        let (path, _) = self.fifos.iter().find(|(_, of)| *of == channel)?;
        Some(path.display().to_string())
    }

    /// The child's name for a channel; of one for both streams it is standard output.
    fn name(&self, channel: ChannelId) -> Option<Channel> {
        [
            (self.stdin, Channel::Stdin),
            (self.stdout, Channel::Stdout),
            (self.stderr, Channel::Stderr),
        ]
        .into_iter()
        .find_map(|(of, name)| (of == Some(channel)).then_some(name))
        .or_else(|| self.fifo(channel).map(Channel::Fifo))
    }
}
