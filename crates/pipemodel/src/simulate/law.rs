//! The law of the search: leaving out what cannot matter loses no outcome and invents none.

use std::collections::BTreeSet;

use proptest::collection::vec;
use proptest::prelude::*;

use super::explore::{Found, explore};
use super::outcome::{Ending, Outcome};
use super::state::{Facts, Room, Search, State};
use super::*;
use crate::geometry::{Geometry, PageSize};
use crate::pipe::WriteMode;

type Program = std::vec::IntoIter<Step>;

/// Small enough that every order can be visited.
const BUDGET: Budget = Budget {
    states: 30_000,
    moves: 1 << 22,
};

/// A step before it knows its channels: the numbers choose among those that the task has.
#[derive(Clone, Debug)]
enum Draft {
    Write(u8, u64, Writing),
    Read(u8, u64, u64),
    Drain(u8),
    DrainAll,
    DrainUntilExit,
    Echo(u8, u8, u64),
    AwaitHangUp(u8),
    CloseRead(u8),
    CloseWrite(u8),
    Resize(u8, u64),
    Packet(u8),
    Open(u8, Access),
    Put(u8, u64),
    Get(u8, u64, u64),
    Wait,
    Spawn,
    Sleep,
    Park,
}

/// What a process does with FIFOs, if there are any.
fn fifo_draft() -> impl Strategy<Value = Draft> {
    let access = prop_oneof![Just(Access::Read), Just(Access::Write), Just(Access::Both)];
    let size = 1..14_u64;
    prop_oneof![
        4 => (0..2_u8, access).prop_map(|(fifo, access)| Draft::Open(fifo, access)),
        2 => (0..2_u8, size.clone()).prop_map(|(fifo, bytes)| Draft::Put(fifo, bytes)),
        2 => (0..2_u8, size.clone(), size)
            .prop_map(|(fifo, bytes, per_read)| Draft::Get(fifo, bytes, per_read)),
    ]
}

fn draft() -> impl Strategy<Value = Draft> {
    let size = 1..14_u64;
    let how = prop_oneof![Just(Writing::Blocking), Just(Writing::Polled)];
    prop_oneof![
        8 => (0..2_u8, size.clone(), how).prop_map(|(to, bytes, how)| Draft::Write(to, bytes, how)),
        3 => (0..2_u8, size.clone(), size.clone())
            .prop_map(|(from, bytes, per_read)| Draft::Read(from, bytes, per_read)),
        2 => (0..2_u8).prop_map(Draft::Drain),
        2 => Just(Draft::DrainAll),
        2 => Just(Draft::DrainUntilExit),
        2 => (0..2_u8, 0..2_u8, size.clone())
            .prop_map(|(from, to, per_read)| Draft::Echo(from, to, per_read)),
        1 => (0..2_u8).prop_map(Draft::AwaitHangUp),
        1 => (0..2_u8).prop_map(Draft::CloseRead),
        2 => (0..2_u8).prop_map(Draft::CloseWrite),
        1 => (0..2_u8, 1..17_u64).prop_map(|(to, bytes)| Draft::Resize(to, bytes)),
        1 => (0..2_u8).prop_map(Draft::Packet),
        3 => Just(Draft::Wait),
        2 => Just(Draft::Spawn),
        1 => Just(Draft::Sleep),
        1 => Just(Draft::Park),
    ]
}

fn broken() -> impl Strategy<Value = OnBrokenPipe> {
    prop_oneof![
        Just(OnBrokenPipe::Die),
        Just(OnBrokenPipe::Exit),
        Just(OnBrokenPipe::GoOn)
    ]
}

/// What a process has to do with.
struct Kit {
    reads: [ChannelId; 2],
    writes: [ChannelId; 2],
    fifos: [ChannelId; 2],
    child: Option<ProcessId>,
}

impl Kit {
    fn step(&self, draft: &Draft) -> Option<Step> {
        let reads = |index: u8| self.reads[usize::from(index)];
        let writes = |index: u8| self.writes[usize::from(index)];
        let fifos = |index: u8| self.fifos[usize::from(index)];
        let how = Writing::Blocking;
        Some(match *draft {
            Draft::Write(to, bytes, how) => Step::Write {
                to: writes(to),
                bytes,
                how,
            },
            Draft::Read(from, bytes, per_read) => Step::Read {
                from: reads(from),
                bytes,
                per_read,
            },
            Draft::Drain(from) => Step::Drain {
                from: Channels::of(&[reads(from)]),
                until: Until::EndOfFile,
            },
            Draft::DrainAll => Step::Drain {
                from: Channels::of(&self.reads),
                until: Until::EndOfFile,
            },
            Draft::DrainUntilExit => Step::Drain {
                from: Channels::of(&self.reads),
                until: Until::ExitOf(self.child?),
            },
            Draft::Echo(from, to, per_read) => Step::Echo {
                from: reads(from),
                to: writes(to),
                per_read,
                how,
            },
            Draft::AwaitHangUp(on) => Step::AwaitHangUp { on: reads(on) },
            Draft::CloseRead(channel) => Step::Close {
                channel: reads(channel),
                end: End::Read,
            },
            Draft::CloseWrite(channel) => Step::Close {
                channel: writes(channel),
                end: End::Write,
            },
            Draft::Resize(channel, bytes) => Step::Resize {
                channel: writes(channel),
                end: End::Write,
                bytes,
                on_refusal: if bytes % 2 == 0 {
                    OnRefusal::GoOn
                } else {
                    OnRefusal::Exit(Exit::Code(3))
                },
            },
            Draft::Packet(channel) => Step::SetMode {
                channel: writes(channel),
                mode: WriteMode::Packet,
            },
            Draft::Open(fifo, access) => Step::Open {
                channel: fifos(fifo),
                access,
            },
            Draft::Put(fifo, bytes) => Step::Write {
                to: fifos(fifo),
                bytes,
                how,
            },
            Draft::Get(fifo, bytes, per_read) => Step::Read {
                from: fifos(fifo),
                bytes,
                per_read,
            },
            Draft::Wait => Step::WaitExit {
                process: self.child?,
                how: Waiting::Blocking,
            },
            Draft::Spawn => Step::Spawn {
                process: self.child?,
            },
            Draft::Sleep => Step::Sleep { us: 5 },
            Draft::Park => Step::Never(Never::Parked),
        })
    }

    /// The steps, each child started once at most, and nothing done with an end that is closed, or a FIFO that is not open.
    fn program(&self, drafts: &[Draft], mut steps: Vec<Step>) -> Vec<Step> {
        for draft in drafts {
            let Some(step) = self.step(draft) else {
                continue;
            };
            // What a process passes on, it has.
            let again = matches!(step, Step::Spawn { .. })
                && (steps.contains(&step)
                    || steps.iter().any(|step| matches!(step, Step::Close { .. })));
            let closed = ends_of(step)
                .iter()
                .any(|&Hold { channel, end }| steps.contains(&Step::Close { channel, end }));
            let unopened = matches!(draft, Draft::Put(..) | Draft::Get(..))
                && !ends_of(step)
                    .iter()
                    .all(|hold| steps.iter().any(|step| opens(*step, *hold)));
            if !again && !closed && !unopened {
                steps.push(step);
            }
        }
        steps
    }

    fn uses(&self) -> Vec<Hold> {
        self.reads
            .iter()
            .map(|&channel| Hold::read(channel))
            .chain(self.writes.iter().map(|&channel| Hold::write(channel)))
            .chain(self.fifos.iter().flat_map(|&fifo| both_ends(fifo)))
            .collect()
    }
}

fn both_ends(channel: ChannelId) -> [Hold; 2] {
    [Hold::read(channel), Hold::write(channel)]
}

fn opens(step: Step, hold: Hold) -> bool {
    matches!(step, Step::Open { .. }) && ends_of(step).contains(&hold)
}

/// The ends that a step needs.
fn ends_of(step: Step) -> Vec<Hold> {
    match step {
        Step::Write { to, .. } => vec![Hold::write(to)],
        Step::Resize { channel, .. } | Step::SetMode { channel, .. } => vec![Hold::write(channel)],
        Step::Read { from, .. } => vec![Hold::read(from)],
        Step::AwaitHangUp { on } => vec![Hold::read(on)],
        Step::Drain { from, .. } => from.iter().map(Hold::read).collect(),
        Step::Echo { from, to, .. } => vec![Hold::read(from), Hold::write(to)],
        Step::Close { channel, end } => vec![Hold { channel, end }],
        Step::Open { channel, access } => (access.ends().iter())
            .map(|&end| Hold { channel, end })
            .collect(),
        Step::Spawn { .. }
        | Step::Start { .. }
        | Step::WaitExit { .. }
        | Step::Join { .. }
        | Step::Sleep { .. }
        | Step::Never(_)
        | Step::LoopMark
        | Step::WriteAgain { .. }
        | Step::GiveUp
        | Step::Exit(_) => Vec::new(),
    }
}

#[derive(Clone, Debug)]
struct Plan {
    parent: Vec<Draft>,
    child: Vec<Draft>,
    grandchild: Vec<Draft>,
    broken: [OnBrokenPipe; 3],
    slots: u32,
    closes: bool,
    outputs: Outputs,
}

/// Where the child and the grandchild write to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Outputs {
    Pipes,
    Files,
}

fn plan() -> impl Strategy<Value = Plan> {
    let without = draft().boxed();
    let with = prop_oneof![2 => draft(), 3 => fifo_draft()].boxed();
    prop_oneof![2 => plan_of(without), 1 => plan_of(with)]
}

fn plan_of(draft: BoxedStrategy<Draft>) -> impl Strategy<Value = Plan> {
    (
        vec(draft.clone(), 1..6),
        vec(draft.clone(), 1..6),
        vec(draft, 0..3),
        [broken(), broken(), broken()],
        prop_oneof![Just(1_u32), Just(2), Just(4)],
        any::<bool>(),
        prop_oneof![3 => Just(Outputs::Pipes), 1 => Just(Outputs::Files)],
    )
        .prop_map(
            |(parent, child, grandchild, broken, slots, closes, outputs)| Plan {
                parent,
                child,
                grandchild,
                broken,
                slots,
                closes,
                outputs,
            },
        )
}

/// Input and two outputs between a parent, its child and a grandchild that shares all of the child's ends; and two FIFOs that any may open.
fn world(plan: &Plan) -> World<Program> {
    let geometry = Geometry::new(PageSize::new(4).expect("a power of two"), plan.slots)
        .expect("a power of two");
    let kind = ChannelKind::Pipe {
        geometry,
        mode: WriteMode::Stream,
    };
    let mut world = World::new();
    let output = match plan.outputs {
        Outputs::Pipes => kind,
        Outputs::Files => ChannelKind::File { bytes: 0 },
    };
    let (input, out, err) = (
        world.channel(kind),
        world.channel(output),
        world.channel(output),
    );
    let fifo = ChannelKind::Fifo { geometry };
    let fifos = [world.channel(fifo), world.channel(fifo)];
    let all: Vec<_> = [input, out, err].into_iter().flat_map(both_ends).collect();
    let ends = [Hold::read(input), Hold::write(out), Hold::write(err)];
    let parent = world.process(None, &all);
    let child = world.process(Some(parent), &ends);
    let grandchild = world.process(Some(child), &ends);
    world.leader(child);
    let drafts = [&plan.parent, &plan.child, &plan.grandchild];
    if drafts
        .into_iter()
        .flatten()
        .any(|draft| matches!(draft, Draft::Packet(_) | Draft::Resize(..)))
    {
        for channel in [input, out, err] {
            world.altered(channel);
        }
    }
    let parent_kit = Kit {
        reads: [out, err],
        writes: [input, input],
        fifos,
        child: Some(child),
    };
    let mut begin = vec![Step::Spawn { process: child }];
    if plan.closes {
        begin.extend(ends.map(|hold| Step::Close {
            channel: hold.channel,
            end: hold.end,
        }));
    }
    let steps = parent_kit.program(&plan.parent, begin);
    let drains = promised(&steps, plan.broken[0], [out, err]);
    let mut uses = uses_of(&parent_kit, &steps);
    // Of pipes it names more than it uses.
    uses.extend([Hold::read(out), Hold::read(err), Hold::write(input)]);
    let task = world.task(parent, &uses, plan.broken[0], steps.into_iter());
    world.drains(task, drains);
    for (process, below, drafts, broken) in [
        (child, Some(grandchild), &plan.child, plan.broken[1]),
        (grandchild, None, &plan.grandchild, plan.broken[2]),
    ] {
        let kit = Kit {
            reads: [input, input],
            writes: [out, err],
            fifos,
            child: below,
        };
        let steps = kit.program(drafts, Vec::new());
        let shared = process == child && reads_input(&plan.grandchild) || process == grandchild;
        let drains = if shared {
            Channels::default()
        } else {
            promised(&steps, broken, [input, input])
        };
        let task = world.task(process, &uses_of(&kit, &steps), broken, steps.into_iter());
        world.drains(task, drains);
    }
    world
}

/// The channels that a program drains to the end, whatever happens, and reads in no other way.
fn promised(steps: &[Step], broken: OnBrokenPipe, channels: [ChannelId; 2]) -> Channels {
    let keeps = |channel: &ChannelId| {
        let drained = steps.iter().any(|step| drains(*step, *channel));
        let otherwise = steps.iter().any(|step| {
            !drains(*step, *channel)
                && match *step {
                    Step::AwaitHangUp { .. } => false,
                    // It may end the process before.
                    Step::Resize { on_refusal, .. } => on_refusal != OnRefusal::GoOn,
                    other => ends_of(other).contains(&Hold::read(*channel)),
                }
        });
        drained && !otherwise && broken == OnBrokenPipe::GoOn
    };
    let kept: Vec<_> = channels.into_iter().filter(keeps).collect();
    Channels::of(&kept)
}

fn drains(step: Step, channel: ChannelId) -> bool {
    matches!(step, Step::Drain { from, until: Until::EndOfFile } if from.contains(channel))
}

fn reads_input(drafts: &[Draft]) -> bool {
    drafts.iter().any(|draft| {
        matches!(
            draft,
            Draft::Read(..)
                | Draft::Drain(_)
                | Draft::DrainAll
                | Draft::DrainUntilExit
                | Draft::Echo(..)
                | Draft::AwaitHangUp(_)
        )
    })
}

/// The ends that a program uses, and no more: who is the only reader depends on it.
fn uses_of(kit: &Kit, steps: &[Step]) -> Vec<Hold> {
    let used: Vec<_> = steps.iter().flat_map(|step| ends_of(*step)).collect();
    let mut uses = kit.uses();
    uses.retain(|hold| used.contains(hold));
    uses
}

/// What must agree: everything but how long sleeps took, which depends on what was tried first.
fn essence(found: &Found) -> BTreeSet<String> {
    found
        .outcomes
        .iter()
        .map(|outcome: &Outcome| {
            let ending = match outcome.ending {
                Ending::Completes { exit, .. } => Ending::Completes { exit, after_us: 0 },
                other => other,
            };
            let leader = outcome.leader;
            let mut blocked = outcome.blocked.clone();
            blocked.sort_by_key(|blocked| blocked.task);
            format!(
                "{ending:?} {leader:?} {:?} {blocked:?}",
                outcome.read_by_root
            )
        })
        .collect()
}

/// As for the agreement with the kernel; a world takes as long as thirty sequences there.
fn cases() -> u32 {
    let all = std::env::var("PIPECLOG_CASES").ok();
    all.and_then(|text| text.parse::<u32>().ok())
        .map_or(300, |cases| (cases / 30).max(1))
}

/// Nothing, if there is too much to try, or a race that is not decided.
fn search(world: &World<Program>, how: Search) -> Option<BTreeSet<String>> {
    let facts = Facts::of(world);
    let mut start = State::new(world, &facts, Room::Endless);
    start.search = how;
    let found = match explore(start, BUDGET) {
        Err(SimulateError::ResizeRace { .. }) => return None,
        found => found.expect("a sound world"),
    };
    (found.orders != Orders::Incomplete).then(|| essence(&found))
}

fn check(plan: &Plan) -> Result<(), TestCaseError> {
    let world = world(plan);
    let reduced = search(&world, Search::Reduced);
    let exhaustive = search(&world, Search::Exhaustive);
    if reduced.is_some() && exhaustive.is_some() {
        prop_assert_eq!(reduced, exhaustive);
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: cases(), failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_reduced_search_finds_the_outcomes_of_the_exhaustive_one(plan in plan()) {
        check(&plan)?;
    }
}

#[test]
fn what_the_reduced_search_once_missed_it_finds() {
    use Draft::{CloseWrite, DrainUntilExit, Echo, Resize, Spawn, Wait, Write};
    use OnBrokenPipe::Die;
    let blocking = |to, bytes| Write(to, bytes, Writing::Blocking);
    let polled = |to, bytes| Write(to, bytes, Writing::Polled);
    let plan = |parent, child, grandchild, slots, closes| Plan {
        parent,
        child,
        grandchild,
        broken: [Die; 3],
        slots,
        closes,
        outputs: Outputs::Pipes,
    };
    let files = |parent, child, grandchild| Plan {
        outputs: Outputs::Files,
        broken: [OnBrokenPipe::GoOn; 3],
        ..plan(parent, child, grandchild, 1, false)
    };
    for plan in [
        // The parent reads a file to its end before the grandchild has written to it.
        files(
            vec![Wait, Draft::Drain(0)],
            vec![Spawn],
            vec![blocking(0, 1)],
        ),
        // What a drain took from a file is not in it any more.
        files(vec![DrainUntilExit], vec![blocking(0, 1)], vec![]),
        // The parent reads a file before an echo has come to write to it.
        files(
            vec![blocking(0, 1), Draft::Read(0, 1, 1)],
            vec![Echo(0, 0, 1)],
            vec![],
        ),
        // A writer comes between two reads of the last drain.
        plan(
            vec![Echo(1, 0, 1)],
            vec![Spawn, DrainUntilExit],
            vec![Resize(1, 9), blocking(1, 9)],
            1,
            false,
        ),
        // A non-blocking write on a full pipe that merges.
        plan(
            vec![polled(0, 6), polled(0, 6)],
            vec![Draft::Park],
            vec![],
            2,
            false,
        ),
        // The grandchild's write joins the child's in its slot, and the rest of it comes too late.
        plan(
            vec![CloseWrite(0), DrainUntilExit],
            vec![Spawn, blocking(0, 1)],
            vec![blocking(0, 5)],
            1,
            false,
        ),
        // A read end that closes first is not the last, and yet it matters that it closes.
        plan(
            vec![Wait, blocking(0, 1)],
            vec![Resize(0, 9), Spawn, blocking(0, 1)],
            vec![],
            1,
            true,
        ),
    ] {
        check(&plan).unwrap_or_else(|error| panic!("{plan:?}: {error}"));
    }
}
