//! What is no pipe, and what a world must declare.

use super::*;

#[test]
fn whoever_reads_a_file_while_it_is_written_finds_whole_pages() {
    let mut world = World::new();
    let file = world.channel(ChannelKind::File { bytes: 0 });
    let parent = world.process(None, &[Hold::read(file), Hold::write(file)]);
    let child = world.process(Some(parent), &[Hold::write(file)]);
    world.leader(child);
    let begin = vec![Step::Spawn { process: child }, drain(&[file])];
    world.task(
        parent,
        &[Hold::read(file)],
        OnBrokenPipe::GoOn,
        begin.into_iter(),
    );
    world.task(
        child,
        &[Hold::write(file)],
        OnBrokenPipe::Die,
        vec![write(file, 100), write(file, 9000)].into_iter(),
    );
    let Simulated::Outcomes { outcomes, .. } =
        simulate(&world, Budget::USUAL).expect("a sound world")
    else {
        panic!("it is modelled");
    };
    let read: std::collections::BTreeSet<_> = outcomes
        .iter()
        .map(|outcome| outcome.read_by_root[0].1)
        .collect();
    assert_eq!(read, [0, 100, 4096, 8192, 9100].into());
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
