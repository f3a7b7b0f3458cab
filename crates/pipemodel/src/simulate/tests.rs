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

fn wait_then_read(write_size: u64, times: usize) -> Outcome {
    let mut family = Family::new();
    family.parent(&[
        close(family.stdin, End::Write),
        family.wait_for_child(),
        drain(&[family.stdout]),
        drain(&[family.stderr]),
    ]);
    family.child(&vec![write(family.stdout, write_size); times]);
    family.only_outcome()
}

#[test]
fn waiting_before_reading_passes_at_the_capacity_and_hangs_one_byte_above() {
    let fits = wait_then_read(65_536, 1);
    assert_eq!(fits.ending, completes());
    assert_eq!(fits.read_by_root[1].1, 65_536);
    let hangs = wait_then_read(65_537, 1);
    assert_eq!(hangs.ending, Ending::ArtificialDeadlock);
    assert_eq!(blocked_at(&hangs), Some((65_536, 65_536)));
    let slots = wait_then_read(2049, 17);
    assert_eq!(slots.ending, Ending::ArtificialDeadlock);
    assert_eq!(blocked_at(&slots), Some((32_784, 32_784)));
}

#[test]
fn a_deadlock_names_every_member_and_what_it_waits_for() {
    let hangs = wait_then_read(65_537, 1);
    let waits: Vec<_> = hangs.blocked.iter().map(|blocked| blocked.wait).collect();
    assert!(
        matches!(waits[..], [Wait::Exit { .. }, Wait::Write { .. }]),
        "{waits:?}"
    );
}

#[test]
fn a_polling_waiter_never_sleeps_for_good_and_never_ends() {
    let mut family = Family::new();
    family.parent(&[
        close(family.stdin, End::Write),
        Step::WaitExit {
            process: family.child,
            how: Waiting::Polling,
        },
        drain(&[family.stdout, family.stderr]),
    ]);
    family.child(&[write(family.stderr, 70_000)]);
    assert_eq!(family.only_outcome().ending, Ending::PollsForEver);
}

fn sequential(stdout: u64, stderr: u64) -> Outcome {
    let mut family = Family::new();
    family.parent(&[
        close(family.stdin, End::Write),
        drain(&[family.stdout]),
        drain(&[family.stderr]),
        family.wait_for_child(),
    ]);
    family.child(&[write(family.stdout, stdout), write(family.stderr, stderr)]);
    family.only_outcome()
}

#[test]
fn reading_stdout_first_hangs_on_stderr_alone() {
    assert_eq!(sequential(1 << 26, 65_536).ending, completes());
    let hangs = sequential(1 << 26, 65_537);
    assert_eq!(hangs.ending, Ending::ArtificialDeadlock);
    assert_eq!(blocked_at(&hangs), Some((65_536, 65_536)));
    assert_eq!(hangs.read_by_root[1].1, 1 << 26);
}

#[test]
fn draining_both_at_once_never_hangs() {
    let mut family = Family::new();
    family.parent(&[
        close(family.stdin, End::Write),
        drain(&[family.stdout, family.stderr]),
        family.wait_for_child(),
    ]);
    let alternating: Vec<_> = (0..100_000)
        .flat_map(|_| [write(family.stdout, 80), write(family.stderr, 2049)])
        .collect();
    family.child(&alternating);
    let (outcomes, orders) = family.run();
    assert_eq!(outcomes[0].ending, completes());
    assert_eq!(outcomes[0].read_by_root[2].1, 204_900_000);
    assert_eq!(orders, Orders::Irrelevant);
}

fn write_all_then_read(bytes: u64, per_read: u64) -> Vec<Outcome> {
    let mut family = Family::new();
    family.parent(&[
        write(family.stdin, bytes),
        close(family.stdin, End::Write),
        drain(&[family.stdout, family.stderr]),
        family.wait_for_child(),
    ]);
    family.child(&[Step::Echo {
        from: family.stdin,
        to: family.stdout,
        per_read,
        how: Writing::Blocking,
    }]);
    let (outcomes, orders) = family.run();
    assert_ne!(orders, Orders::Incomplete);
    outcomes
}

#[test]
fn writing_all_input_before_reading_hangs_where_both_pipes_and_the_childs_buffer_are_full() {
    // Input pipe, the child's hands, output pipe: three times 65,536.
    for (bytes, ending) in [
        (3 * 65_536, completes()),
        (3 * 65_536 + 1, Ending::ArtificialDeadlock),
        (1 << 20, Ending::ArtificialDeadlock),
    ] {
        let outcomes = write_all_then_read(bytes, 65_536);
        assert_eq!(outcomes.len(), 1, "{bytes} bytes");
        assert_eq!(outcomes[0].ending, ending, "{bytes} bytes");
    }
}

#[test]
fn how_much_goes_through_before_a_hang_may_depend_on_what_each_read_finds() {
    let outcomes = write_all_then_read(1 << 20, 10_000);
    assert!(outcomes.len() > 1, "{outcomes:#?}");
    for outcome in &outcomes {
        assert_eq!(outcome.ending, Ending::ArtificialDeadlock);
    }
}

#[test]
fn a_child_that_reads_an_input_that_nobody_closes_is_a_true_deadlock() {
    let mut family = Family::new();
    family.parent(&[family.wait_for_child()]);
    family.child(&[drain(&[family.stdin])]);
    assert_eq!(family.only_outcome().ending, Ending::TrueDeadlock);
}

#[test]
fn a_reader_that_holds_its_own_write_end_never_sees_the_end() {
    let mut family = Family::new();
    let steps = vec![
        Step::Spawn {
            process: family.child,
        },
        drain(&[family.stdout]),
    ];
    family.world.task(
        family.parent,
        &[Hold::read(family.stdout)],
        OnBrokenPipe::GoOn,
        steps.into_iter(),
    );
    family.child(&[write(family.stdout, 10)]);
    let outcome = family.only_outcome();
    assert_eq!(outcome.ending, Ending::TrueDeadlock);
    assert_eq!(outcome.leader, Some(Exit::Code(0)));
    assert_eq!(outcome.blocked.len(), 1, "a set of one");
}

/// A grandchild that keeps stdout, and what it does.
fn with_grandchild(grandchild: &[Step], until: fn(&Family) -> Until) -> Vec<Outcome> {
    let mut family = Family::new();
    let grandchild_process = family
        .world
        .process(Some(family.child), &[Hold::write(family.stdout)]);
    let until = until(&family);
    family.parent(&[
        close(family.stdin, End::Write),
        Step::Drain {
            from: Channels::of(&[family.stdout, family.stderr]),
            until,
        },
        family.wait_for_child(),
    ]);
    family.child(&[
        write(family.stdout, 10),
        Step::Spawn {
            process: grandchild_process,
        },
    ]);
    family.world.task(
        grandchild_process,
        &[Hold::write(family.stdout)],
        OnBrokenPipe::Die,
        Vec::from(grandchild).into_iter(),
    );
    family.run().0
}

fn end_of_file(_: &Family) -> Until {
    Until::EndOfFile
}

fn exit_of_child(family: &Family) -> Until {
    Until::ExitOf(family.child)
}

#[test]
fn a_grandchild_that_keeps_stdout_leaks_for_as_long_as_it_lives() {
    let for_ever = with_grandchild(&[Step::Never(Never::Parked)], end_of_file);
    assert_eq!(for_ever[0].ending, Ending::Leaks);
    assert_eq!(for_ever[0].leaks.len(), 1);
    assert_eq!(for_ever[0].leaks[0].withheld_us, None);
    let asleep = with_grandchild(&[Step::Sleep { us: 600_000_000 }], end_of_file);
    assert_eq!(
        asleep[0].ending,
        Ending::Completes {
            exit: Exit::Code(0),
            after_us: 600_000_000
        }
    );
    assert_eq!(asleep[0].leaks[0].withheld_us, Some(600_000_000));
}

#[test]
fn draining_until_the_leaders_exit_is_not_held_up_by_a_grandchild() {
    for steps in [
        &[Step::Never(Never::Parked)][..],
        &[Step::Sleep { us: 600_000_000 }],
    ] {
        let outcomes = with_grandchild(steps, exit_of_child);
        assert_eq!(outcomes.len(), 1);
        assert_eq!(outcomes[0].ending, completes());
        assert_eq!(outcomes[0].read_by_root[1].1, 10);
    }
}

#[test]
fn a_grandchild_that_writes_about_when_the_leader_exits_is_read_or_not() {
    let ChannelId(stdout) = ChannelId(1);
    let outcomes = with_grandchild(&[write(ChannelId(stdout), 5)], exit_of_child);
    let mut read: Vec<_> = outcomes
        .iter()
        .map(|outcome| outcome.read_by_root[stdout].1)
        .collect();
    read.sort_unstable();
    assert_eq!(read, [10, 15], "both orders are found");
}

#[test]
fn a_reader_that_reads_once_moves_the_byte_at_which_the_writer_blocks() {
    let mut family = Family::new();
    family.parent(&[
        close(family.stdin, End::Write),
        Step::Read {
            from: family.stdout,
            bytes: 80,
            per_read: 80,
        },
        family.wait_for_child(),
    ]);
    family.child(&vec![write(family.stdout, 80); 1000]);
    let (outcomes, orders) = family.run();
    assert!(matches!(orders, Orders::Explored { .. }));
    let mut blocked: Vec<_> = outcomes.iter().filter_map(blocked_at).collect();
    blocked.sort_unstable();
    // Read before the second write, the first slot is given back; read later, it stays taken by what merged into it.
    assert_eq!(blocked, [(65_280, 65_200), (65_360, 65_280)]);
}

#[test]
fn an_endless_writer_that_is_read_goes_on_for_ever_and_unread_it_blocks() {
    let endless = |then: &dyn Fn(&Family) -> Vec<Step>| {
        let mut family = Family::new();
        family.parent(&then(&family));
        let lap = [Step::LoopMark, write(family.stdout, 100)];
        family.child(&lap.repeat(2000));
        family.only_outcome().ending
    };
    assert_eq!(
        endless(&|family| vec![drain(&[family.stdout])]),
        Ending::Endless
    );
    assert_eq!(
        endless(&|family| vec![family.wait_for_child()]),
        Ending::ArtificialDeadlock
    );
}

#[test]
fn an_endless_writer_says_which_channels_it_fills_again_and_again() {
    let mut family = Family::new();
    family.parent(&[drain(&[family.stdout, family.stderr])]);
    let steps = [
        write(family.stderr, 10),
        Step::LoopMark,
        write(family.stdout, 10),
    ];
    let endless = steps
        .into_iter()
        .chain([Step::LoopMark, steps[2]].repeat(8));
    family.child(&endless.collect::<Vec<_>>());
    // The list ends; the simulation does not come to that.
    let outcome = family.only_outcome();
    assert_eq!(outcome.ending, Ending::Endless);
    assert_eq!(outcome.grows, Channels::of(&[family.stdout]));
}

#[test]
fn a_run_told_as_a_number_is_that_many_writes() {
    for (write_size, times) in [(2049, 15), (2049, 16), (80, 900), (1, 70_000)] {
        let outcome = |steps: Vec<Step>, family: &mut Family| {
            family.parent(&[
                close(family.stdin, End::Write),
                family.wait_for_child(),
                drain(&[family.stdout]),
            ]);
            family.child(&steps);
            family.only_outcome()
        };
        let mut family = Family::new();
        let first = write(family.stdout, write_size);
        let again = Step::WriteAgain { times };
        let told = outcome(vec![first, again], &mut family);
        let each = usize::try_from(times).expect("a few") + 1;
        assert_eq!(told, outcome(vec![first; each], &mut Family::new()));
    }
}

#[test]
fn two_runs_of_the_same_write_are_both_counted() {
    let mut family = Family::new();
    family.parent(&[drain(&[family.stdout])]);
    let (one, again) = (write(family.stdout, 1), Step::WriteAgain { times: 4094 });
    family.child(&[one, again, one, again]);
    assert_eq!(family.only_outcome().read_by_root[1].1, 8190);
}

#[test]
fn a_run_of_more_writes_than_anybody_lives_to_see_costs_two_steps() {
    let mut family = Family::new();
    family.parent(&[drain(&[family.stdout])]);
    let times = (1 << 62) - 1;
    family.child(&[write(family.stdout, 2), Step::WriteAgain { times }]);
    let outcome = family.only_outcome();
    assert_eq!(outcome.ending, completes());
    assert_eq!(outcome.read_by_root[1].1, 1 << 63);
}

#[test]
fn a_program_that_gives_up_is_no_outcome() {
    let mut family = Family::new();
    family.parent(&[drain(&[family.stdout])]);
    let task = family.child(&[Step::GiveUp]);
    let error = simulate(&family.world, Budget::USUAL).expect_err("no outcome");
    assert_eq!(error, SimulateError::GivenUp { task });
}

#[test]
fn a_child_dies_of_a_pipe_that_nobody_reads() {
    let mut family = Family::new();
    family.parent(&[
        close(family.stdin, End::Write),
        close(family.stdout, End::Read),
        drain(&[family.stderr]),
        family.wait_for_child(),
    ]);
    family.child(&[
        Step::AwaitHangUp { on: family.stdin },
        Step::Sleep { us: 1000 },
        write(family.stdout, 10),
    ]);
    let (outcomes, _) = family.run();
    let leaders: Vec<_> = outcomes.iter().map(|outcome| outcome.leader).collect();
    assert!(leaders.contains(&Some(Exit::BrokenPipe)), "{leaders:?}");
}

#[test]
fn a_file_takes_everything_and_ends_where_its_bytes_end() {
    let mut world = World::new();
    let file = world.channel(ChannelKind::File { bytes: 0 });
    let parent = world.process(None, &[Hold::read(file), Hold::write(file)]);
    let child = world.process(Some(parent), &[Hold::write(file)]);
    world.leader(child);
    world.task(
        parent,
        &[Hold::read(file)],
        OnBrokenPipe::GoOn,
        vec![
            Step::Spawn { process: child },
            Step::WaitExit {
                process: child,
                how: Waiting::Blocking,
            },
            drain(&[file]),
        ]
        .into_iter(),
    );
    world.task(
        child,
        &[Hold::write(file)],
        OnBrokenPipe::Die,
        vec![write(file, 1 << 40)].into_iter(),
    );
    match simulate(&world, Budget::USUAL).expect("a sound world") {
        Simulated::Outcomes { outcomes, .. } => {
            assert_eq!(outcomes.len(), 1);
            assert_eq!(outcomes[0].ending, completes());
            assert_eq!(outcomes[0].read_by_root[0].1, 1 << 40);
        }
        Simulated::NotModelled => panic!("files are modelled"),
    }
}

fn over_a_socket(then: fn(ChannelId, ProcessId) -> Vec<Step>, bytes: u64) -> Simulated {
    let mut world = World::new();
    let socket = world.channel(ChannelKind::Unmodelled);
    let parent = world.process(None, &[Hold::read(socket), Hold::write(socket)]);
    let child = world.process(Some(parent), &[Hold::write(socket)]);
    let mut steps = vec![Step::Spawn { process: child }, close(socket, End::Write)];
    steps.extend(then(socket, child));
    world.task(
        parent,
        &[Hold::read(socket)],
        OnBrokenPipe::GoOn,
        steps.into_iter(),
    );
    world.task(
        child,
        &[Hold::write(socket)],
        OnBrokenPipe::Die,
        vec![write(socket, bytes)].into_iter(),
    );
    simulate(&world, Budget::USUAL).expect("a sound world")
}

#[test]
fn what_depends_on_a_sockets_room_is_not_modelled_and_the_rest_is() {
    let read = over_a_socket(|socket, _| vec![drain(&[socket])], 1 << 30);
    assert!(
        matches!(read, Simulated::Outcomes { ref outcomes, .. } if outcomes[0].ending == completes())
    );
    let wait = |_, child| {
        vec![Step::WaitExit {
            process: child,
            how: Waiting::Blocking,
        }]
    };
    assert_eq!(over_a_socket(wait, 300_000), Simulated::NotModelled);
}

#[test]
fn an_endless_writer_over_a_socket_is_seen_to_go_on_for_ever() {
    let mut world = World::new();
    let socket = world.channel(ChannelKind::Unmodelled);
    let both = [Hold::read(socket), Hold::write(socket)];
    let parent = world.process(None, &both);
    let child = world.process(Some(parent), &[Hold::write(socket)]);
    world.leader(child);
    let steps = vec![
        Step::Spawn { process: child },
        close(socket, End::Write),
        drain(&[socket]),
    ];
    let uses = [Hold::read(socket)];
    world.task(parent, &uses, OnBrokenPipe::GoOn, steps.into_iter());
    let laps = [Step::LoopMark, write(socket, 100)].repeat(2000);
    let uses = [Hold::write(socket)];
    world.task(child, &uses, OnBrokenPipe::Die, laps.into_iter());
    match simulate(&world, Budget::USUAL).expect("a sound world") {
        Simulated::Outcomes { outcomes, .. } => assert_eq!(outcomes[0].ending, Ending::Endless),
        Simulated::NotModelled => panic!("the room does not matter"),
    }
}

#[test]
fn a_program_that_uses_what_it_does_not_declare_is_refused() {
    let mut world = World::new();
    let channel = world.channel(pipe());
    let parent = world.process(None, &[Hold::write(channel), Hold::read(channel)]);
    let task = world.task(
        parent,
        &[],
        OnBrokenPipe::Die,
        vec![write(channel, 1)].into_iter(),
    );
    assert_eq!(
        simulate(&world, Budget::USUAL),
        Err(SimulateError::UndeclaredUse {
            task,
            channel,
            end: End::Write
        })
    );
}
