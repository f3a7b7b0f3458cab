//! The simulator's tests, and the family that they speak of.

mod channel;
mod deadlock;
mod endless;
mod fifo;
mod leak;

use super::*;
use crate::geometry::Geometry;
use crate::pipe::WriteMode;

type Program = std::vec::IntoIter<Step>;

/// A parent, a child and the pipes between them, as most tests here want them.
struct Family {
    world: World<Program>,
    stdin: ChannelId,
    stdout: ChannelId,
    stderr: ChannelId,
    parent: ProcessId,
    child: ProcessId,
}

fn pipe() -> ChannelKind {
    ChannelKind::Pipe {
        geometry: Geometry::DEFAULT,
        mode: WriteMode::Stream,
    }
}

impl Family {
    fn new() -> Self {
        let mut world = World::new();
        let stdin = world.channel(pipe());
        let stdout = world.channel(pipe());
        let stderr = world.channel(pipe());
        let all: Vec<_> = [stdin, stdout, stderr]
            .into_iter()
            .flat_map(|channel| [Hold::read(channel), Hold::write(channel)])
            .collect();
        let parent = world.process(None, &all);
        let child = world.process(
            Some(parent),
            &[Hold::read(stdin), Hold::write(stdout), Hold::write(stderr)],
        );
        world.leader(child);
        Self {
            world,
            stdin,
            stdout,
            stderr,
            parent,
            child,
        }
    }

    /// Spawns the child, closes its ends, and goes on with `then`.
    fn parent(&mut self, then: &[Step]) {
        let mut steps = vec![
            Step::Spawn {
                process: self.child,
            },
            close(self.stdin, End::Read),
            close(self.stdout, End::Write),
            close(self.stderr, End::Write),
        ];
        steps.extend_from_slice(then);
        let uses = [
            Hold::write(self.stdin),
            Hold::read(self.stdout),
            Hold::read(self.stderr),
        ];
        self.world
            .task(self.parent, &uses, OnBrokenPipe::GoOn, steps.into_iter());
    }

    fn child(&mut self, steps: &[Step]) -> TaskId {
        let uses = [
            Hold::read(self.stdin),
            Hold::write(self.stdout),
            Hold::write(self.stderr),
        ];
        self.world.task(
            self.child,
            &uses,
            OnBrokenPipe::Die,
            Vec::from(steps).into_iter(),
        )
    }

    fn run(&self) -> (Vec<Outcome>, Orders) {
        match simulate(&self.world, Budget::USUAL).expect("a sound world") {
            Simulated::Outcomes { outcomes, orders } => (outcomes, orders),
            Simulated::NotModelled => panic!("everything here is modelled"),
        }
    }

    fn only_outcome(&self) -> Outcome {
        let (outcomes, orders) = self.run();
        assert_ne!(orders, Orders::Incomplete);
        match <[Outcome; 1]>::try_from(outcomes) {
            Ok([outcome]) => outcome,
            Err(several) => panic!("more than one outcome: {several:#?}"),
        }
    }

    fn wait_for_child(&self) -> Step {
        Step::WaitExit {
            process: self.child,
            how: Waiting::Blocking,
        }
    }
}

fn close(channel: ChannelId, end: End) -> Step {
    Step::Close { channel, end }
}

fn write(to: ChannelId, bytes: u64) -> Step {
    Step::Write {
        to,
        bytes,
        how: Writing::Blocking,
    }
}

fn drain(channels: &[ChannelId]) -> Step {
    Step::Drain {
        from: Channels::of(channels),
        until: Until::EndOfFile,
    }
}

fn completes() -> Ending {
    Ending::Completes {
        exit: Exit::Code(0),
        after_us: 0,
    }
}

/// The bytes that the first member blocked in a write had in.
fn blocked_at(outcome: &Outcome) -> Option<(u64, u64)> {
    outcome
        .blocked
        .iter()
        .find(|blocked| matches!(blocked.wait, Wait::Write { .. }))
        .map(|blocked| (blocked.moved, blocked.unread))
}
