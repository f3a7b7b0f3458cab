//! The world of a trial: the parent by its strategy's plan, the child and its descendants by the script.

use std::cell::Cell;
use std::rc::Rc;

use pipeclog_pipemodel::simulate::{
    ChannelId, ChannelKind, Channels, Exit, Hold, MAX_MEMBERS, OnBrokenPipe, ProcessId, Step,
    TaskId, Until, Waiting, World, Writing,
};
use pipeclog_pipemodel::{End, Geometry, WriteMode};

use super::family::Family;
use super::found::Who;
use super::program::{Fd, Fds, Program, ScriptProgram};
use super::walk::{Reads, Walk};
use super::{NotModelled, Parent, PipeFacts};
use crate::plan::{AfterExit, Feeding, InputWiring, Plan, PlanStep, Room, Wiring};
use crate::script::{BrokenPipe, Descriptor, Script, Session, Signal, Stream};
use crate::strategy::Kind;

pub(super) fn family<'a>(
    script: &'a Script,
    parent: &Parent,
    facts: PipeFacts,
    promises: Promises,
) -> Result<Family<'a>, NotModelled> {
    let plan = parent.strategy.plan();
    let mut builder = Builder::new(parent, &plan, facts, promises);
    let fds = builder.fds;
    let place = Place {
        who: Who::Child,
        writer: 0,
        parent: builder.parent,
        fds,
        session: Session::Inherited,
    };
    let leader = builder.add_script(script, place)?;
    builder.family.world.leader(leader);
    builder.add_parent(parent, &plan, leader);
    let world = &builder.family.world;
    if world.task_count() > MAX_MEMBERS || world.channel_count() > MAX_MEMBERS {
        return Err(NotModelled::TooMany { max: MAX_MEMBERS });
    }
    Ok(builder.family)
}

/// Whether those who read by draining promise it, which saves orders to try.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Promises {
    /// They do; a script may yet end before it reads, and then the simulation says that the promise is broken.
    Made,
    /// They do not.
    NotMade,
}

/// Writes and operations that the scripts may go through, in all orders that are tried: some seconds of work. Equal writes in a row are
/// one.
const MOST_WORK: u64 = 1 << 25;

/// Where a script runs.
#[derive(Clone, Copy)]
pub(super) struct Place {
    pub(super) who: Who,
    pub(super) writer: u8,
    pub(super) parent: ProcessId,
    pub(super) fds: Fds,
    /// Whether it is in the child's session.
    pub(super) session: Session,
}

pub(super) struct Builder<'a> {
    pub(super) family: Family<'a>,
    pub(super) parent: ProcessId,
    /// The child's standard descriptors.
    pub(super) fds: Fds,
    pub(super) facts: PipeFacts,
    pub(super) wiring: Wiring,
    /// Channels that are made non-blocking, each with the process that does it.
    pub(super) nonblock: Vec<(ChannelId, Who)>,
    pub(super) promises: Promises,
    budget: Rc<Cell<u64>>,
}

impl<'a> Builder<'a> {
    fn new(parent: &Parent, plan: &Plan, facts: PipeFacts, promises: Promises) -> Self {
        let mut world = World::new();
        let stdin = parent.stdin_bytes.map(|_| {
            world.channel(match plan.input {
                InputWiring::Pipe(room) => pipe(room, facts),
                InputWiring::Socket => ChannelKind::Unmodelled,
            })
        });
        let (stdout, stderr) = outputs(&mut world, plan.wiring, facts);
        let mut holds = Vec::new();
        if let Some(stdin) = stdin {
            holds.extend([Hold::read(stdin), Hold::write(stdin)]);
        }
        if let Some(stdout) = stdout {
            holds.extend([Hold::read(stdout), Hold::write(stdout)]);
        }
        if let Some(stderr) = stderr {
            // Of one pipe for both there is one read end, and two descriptors of its write end.
            holds.extend((stdout != Some(stderr)).then_some(Hold::read(stderr)));
            holds.push(Hold::write(stderr));
        }
        let root = world.process(None, &holds);
        let fd = |channel: Option<ChannelId>| channel.map_or(Fd::Null, Fd::Channel);
        Self {
            parent: root,
            fds: Fds {
                stdin: fd(stdin),
                stdout: fd(stdout),
                stderr: fd(stderr),
            },
            facts,
            wiring: plan.wiring,
            nonblock: Vec::new(),
            promises,
            budget: Rc::new(Cell::new(MOST_WORK)),
            family: Family {
                world,
                processes: vec![(root, Who::Parent)],
                tasks: Vec::new(),
                stdin,
                stdout,
                stderr,
                reads: Channels::default(),
                fifos: Vec::new(),
            },
        }
    }

    fn add_parent(&mut self, parent: &Parent, plan: &Plan, leader: ProcessId) {
        let mut steps = vec![Step::Spawn { process: leader }];
        for descriptor in [Descriptor::Stdin, Descriptor::Stdout, Descriptor::Stderr] {
            if let Fd::Channel(channel) = self.fds.get(descriptor) {
                let end = Fds::end(descriptor);
                steps.push(Step::Close { channel, end });
            }
        }
        let until = match (parent.strategy.kind(), parent.after_exit) {
            (Kind::Safe, AfterExit::Drain) => Until::ExitOf(leader),
            // What a grace period adds is told from its two ends.
            (Kind::Hazard, _) | (Kind::Safe, AfterExit::EndOfFile | AfterExit::Grace { .. }) => {
                Until::EndOfFile
            }
        };
        let mut uses: Vec<Hold> = Vec::new();
        for step in plan.steps {
            let lowered = self.lower(*step, parent, leader, until);
            for step in &lowered {
                if let Step::Drain { from, .. } = step {
                    uses.extend(from.iter().map(Hold::read));
                    self.family.reads = from.iter().fold(self.family.reads, Channels::with);
                } else if let Step::Write { to, .. } = step {
                    uses.push(Hold::write(*to));
                }
            }
            steps.extend(lowered);
        }
        steps.push(Step::Exit(Exit::Code(0)));
        let world = &mut self.family.world;
        let main = world.task(self.parent, &uses, OnBrokenPipe::GoOn, list(Vec::new()));
        self.family.tasks.push((main, Who::Parent));
        if until == Until::EndOfFile && self.promises == Promises::Made {
            self.family.world.drains(main, self.family.reads);
        }
        if let Some(feeder) = self.add_feeder(parent, plan) {
            // Before anything that may block.
            let after_closes = steps
                .iter()
                .take_while(|step| matches!(step, Step::Spawn { .. } | Step::Close { .. }))
                .count();
            steps.insert(after_closes, Step::Start { task: feeder });
        }
        self.family.world.program(main, list(steps));
    }

    fn lower(&self, step: PlanStep, parent: &Parent, leader: ProcessId, until: Until) -> Vec<Step> {
        let Family { stdout, stderr, .. } = self.family;
        let drain = |channels: &[Option<ChannelId>], until| {
            let from: Vec<_> = channels.iter().copied().flatten().collect();
            vec![Step::Drain {
                from: Channels::of(&from),
                until,
            }]
        };
        let await_exit = |how| {
            vec![Step::WaitExit {
                process: leader,
                how,
            }]
        };
        match step {
            PlanStep::WriteStdin => self.feed(parent, Writing::Blocking),
            PlanStep::ReadToEnd(Stream::Stdout) => drain(&[stdout], Until::EndOfFile),
            PlanStep::ReadToEnd(Stream::Stderr) => drain(&[stderr], Until::EndOfFile),
            PlanStep::ReadBoth => drain(&[stdout, stderr], until),
            PlanStep::AwaitExit => await_exit(Waiting::Blocking),
            PlanStep::PollForExit => await_exit(Waiting::Polling),
        }
    }

    /// One write of all there is, and the end of file.
    fn feed(&self, parent: &Parent, how: Writing) -> Vec<Step> {
        let Some(to) = self.family.stdin else {
            return Vec::new();
        };
        let mut steps = Vec::new();
        if let Some(bytes @ 1..) = parent.stdin_bytes {
            steps.push(Step::Write { to, bytes, how });
        }
        steps.push(Step::Close {
            channel: to,
            end: End::Write,
        });
        steps
    }

    fn add_feeder(&mut self, parent: &Parent, plan: &Plan) -> Option<TaskId> {
        let how = match plan.feeding {
            Feeding::Thread => Writing::Blocking,
            Feeding::Loop => Writing::Polled,
            Feeding::Step => return None,
        };
        let stdin = self.family.stdin?;
        let steps = self.feed(parent, how);
        let uses = [Hold::write(stdin)];
        let world = &mut self.family.world;
        let feeder = world.task(self.parent, &uses, OnBrokenPipe::GoOn, list(steps));
        self.family.tasks.push((feeder, Who::ParentFeeding));
        Some(feeder)
    }

    pub(super) fn add_script(
        &mut self,
        script: &'a Script,
        place: Place,
    ) -> Result<ProcessId, NotModelled> {
        let process = self.add_process(place);
        if !script.ignore.contains(&Signal::Hup) {
            self.note_hang_up(process, place);
        }
        let Place {
            who, writer, fds, ..
        } = place;
        let mut walk = Walk {
            script,
            who,
            process,
            fds,
            session: place.session,
            next_writer: writer.saturating_add(1),
            children: Vec::new(),
            uses: Vec::new(),
            reads: Reads::Nothing,
        };
        self.walk(&script.ops, &mut walk)?;
        let Walk {
            children,
            uses,
            reads,
            ..
        } = walk;
        let steps = script.steps_as(writer);
        let program = Program::Script(Box::new(ScriptProgram::new(
            steps,
            fds,
            children,
            self.family.fifos.as_slice().into(),
            Rc::clone(&self.budget),
        )));
        let on_broken_pipe = match script.broken_pipe {
            BrokenPipe::Die => OnBrokenPipe::Die,
            BrokenPipe::Exit => OnBrokenPipe::Exit,
            BrokenPipe::GoOn => OnBrokenPipe::GoOn,
        };
        for (channel, other) in &self.nonblock {
            if *other != who && uses.contains(&Hold::write(*channel)) {
                return Err(NotModelled::SharedNonblock);
            }
        }
        let task = self
            .family
            .world
            .task(process, &uses, on_broken_pipe, program);
        self.family.tasks.push((task, who));
        if let (Reads::ToTheEnd, Promises::Made, Fd::Channel(stdin)) =
            (reads, self.promises, fds.stdin)
        {
            self.family.world.drains(task, Channels::of(&[stdin]));
        }
        Ok(process)
    }

    /// A terminal's SIGHUP goes to the group in its foreground, which is the child's; what it does there depends on what they inherit.
    pub(super) fn note_hang_up(&mut self, process: ProcessId, place: Place) {
        let in_foreground = place.who != Who::Child && place.session == Session::Inherited;
        if self.wiring == Wiring::Terminal && in_foreground {
            self.family.world.hung_up(process);
        }
    }

    pub(super) fn add_process(&mut self, place: Place) -> ProcessId {
        let Place {
            who, parent, fds, ..
        } = place;
        let holds: Vec<_> = [Descriptor::Stdin, Descriptor::Stdout, Descriptor::Stderr]
            .into_iter()
            .filter_map(|descriptor| match fds.get(descriptor) {
                Fd::Channel(channel) => Some(Hold {
                    channel,
                    end: Fds::end(descriptor),
                }),
                Fd::Null | Fd::Closed => None,
            })
            .collect();
        let process = self.family.world.process(Some(parent), &holds);
        self.family.processes.push((process, who));
        process
    }
}

fn outputs(
    world: &mut World<Program<'_>>,
    wiring: Wiring,
    facts: PipeFacts,
) -> (Option<ChannelId>, Option<ChannelId>) {
    let (kind, one) = match wiring {
        Wiring::Pipes(room) => (pipe(room, facts), false),
        Wiring::OnePipe(room) => (pipe(room, facts), true),
        Wiring::Sockets => (ChannelKind::Unmodelled, false),
        Wiring::Terminal => (ChannelKind::Unmodelled, true),
        Wiring::Files | Wiring::Inherited => (ChannelKind::File { bytes: 0 }, false),
        Wiring::Nothing => return (None, None),
    };
    let stdout = world.channel(kind);
    let stderr = if one { stdout } else { world.channel(kind) };
    (Some(stdout), Some(stderr))
}

/// A new pipe; what is refused above the machine's limit leaves it as it was.
fn pipe(room: Room, facts: PipeFacts) -> ChannelKind {
    let grown = match room {
        Room::Grown(bytes) if bytes <= facts.largest_bytes => {
            Geometry::from_request(facts.page(), bytes).ok()
        }
        Room::Grown(_) | Room::AsGiven => None,
    };
    ChannelKind::Pipe {
        geometry: grown.unwrap_or(facts.new_pipe),
        mode: WriteMode::Stream,
    }
}

pub(super) fn list<'a>(steps: Vec<Step>) -> Program<'a> {
    Program::List(steps.into_iter())
}
