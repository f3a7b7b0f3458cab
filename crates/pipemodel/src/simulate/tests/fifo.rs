//! FIFOs: who waits for whom to open one, and what cannot be told; and the leader's exit that hangs others up.

use super::*;

/// A parent that waits for two children, which have nothing but two FIFOs.
fn between(left: &[Step], right: &[Step]) -> Result<Simulated, SimulateError> {
    let mut world = pair();
    let processes = [ProcessId(1), ProcessId(2)];
    let steps = processes
        .map(|process| Step::Spawn { process })
        .into_iter()
        .chain(processes.map(|process| Step::WaitExit {
            process,
            how: Waiting::Blocking,
        }));
    let steps: Vec<_> = steps.collect();
    world.task(ProcessId(0), &[], OnBrokenPipe::GoOn, steps.into_iter());
    let uses = [FIRST, SECOND].map(|fifo| [Hold::read(fifo), Hold::write(fifo)]);
    for (process, steps) in processes.into_iter().zip([left, right]) {
        let steps = Vec::from(steps).into_iter();
        world.task(process, uses.as_flattened(), OnBrokenPipe::Die, steps);
    }
    simulate(&world, Budget::USUAL)
}

const FIRST: ChannelId = ChannelId(0);
const SECOND: ChannelId = ChannelId(1);

fn pair() -> World<Program> {
    let mut world = World::new();
    for _ in 0..2 {
        world.channel(ChannelKind::Fifo {
            geometry: Geometry::DEFAULT,
        });
    }
    let parent = world.process(None, &[]);
    let left = world.process(Some(parent), &[]);
    world.process(Some(parent), &[]);
    world.leader(left);
    world
}

fn outcomes(simulated: Result<Simulated, SimulateError>) -> Vec<Outcome> {
    match simulated.expect("a sound world") {
        Simulated::Outcomes { outcomes, .. } => outcomes,
        Simulated::NotModelled => panic!("FIFOs are modelled"),
    }
}

const fn open(channel: ChannelId, access: Access) -> Step {
    Step::Open { channel, access }
}

const fn read(from: ChannelId, bytes: u64) -> Step {
    Step::Read {
        from,
        bytes,
        per_read: 8192,
    }
}

#[test]
fn two_who_open_two_fifos_in_opposite_orders_wait_for_each_other() {
    let outcomes = outcomes(between(
        &[open(FIRST, Access::Write), open(SECOND, Access::Write)],
        &[open(SECOND, Access::Read), open(FIRST, Access::Read)],
    ));
    assert_eq!(outcomes.len(), 1, "{outcomes:#?}");
    assert_eq!(outcomes[0].ending, Ending::TrueDeadlock);
    let partners = outcomes[0]
        .blocked
        .iter()
        .filter_map(|blocked| match blocked.wait {
            Wait::Partner { channel, end } => Some((channel, end)),
            _ => None,
        });
    let partners: Vec<_> = partners.collect();
    assert_eq!(partners, [(FIRST, End::Read), (SECOND, End::Write)]);
}

#[test]
fn in_the_same_order_they_meet_and_a_byte_past_the_capacity_waits_for_its_reader() {
    for (reads, ending) in [(1_u64 << 20, completes()), (0, Ending::ArtificialDeadlock)] {
        // One that reads nothing waits for the writer instead.
        let last = if reads > 0 {
            read(FIRST, reads)
        } else {
            read(SECOND, 1)
        };
        let all = outcomes(between(
            &[
                open(FIRST, Access::Write),
                open(SECOND, Access::Write),
                write(FIRST, 65_537),
            ],
            &[open(FIRST, Access::Read), open(SECOND, Access::Read), last],
        ));
        assert!(
            all.iter().all(|outcome| outcome.ending == ending),
            "{all:#?}"
        );
        if ending == Ending::ArtificialDeadlock {
            assert_eq!(all.iter().find_map(blocked_at), Some((65_536, 65_536)));
        }
    }
}

#[test]
fn who_has_its_own_write_end_open_waits_for_itself() {
    let all = outcomes(between(&[open(FIRST, Access::Both), read(FIRST, 1)], &[]));
    assert_eq!(all.len(), 1);
    assert_eq!(all[0].ending, Ending::TrueDeadlock);
}

#[test]
fn what_nobody_has_open_any_more_is_empty_and_its_next_reader_waits() {
    let all = outcomes(between(
        &[open(FIRST, Access::Both), write(FIRST, 5)],
        &[open(FIRST, Access::Read), read(FIRST, 5)],
    ));
    let endings: Vec<_> = all.iter().map(|outcome| outcome.ending).collect();
    // In time it finds a writer, too late none.
    assert!(
        endings.contains(&completes()) && endings.contains(&Ending::TrueDeadlock),
        "{endings:?}"
    );
    assert!(all.iter().all(|outcome| {
        outcome
            .blocked
            .iter()
            .all(|blocked| !matches!(blocked.wait, Wait::Read { .. }))
    }));
}

#[test]
fn a_partner_that_has_gone_again_has_come_nonetheless() {
    // Whoever opens for writing is let go by the reader, and its bytes may find nobody.
    let all = outcomes(between(
        &[open(FIRST, Access::Write), write(FIRST, 1)],
        &[open(FIRST, Access::Read)],
    ));
    let leaders: Vec<_> = all.iter().map(|outcome| outcome.leader).collect();
    assert!(
        leaders.contains(&Some(Exit::Code(0))) && leaders.contains(&Some(Exit::BrokenPipe)),
        "{all:#?}"
    );
    assert!(all.iter().all(|outcome| outcome.ending == completes()));
}

#[test]
fn who_ends_with_two_fifos_may_close_either_first() {
    // It sees the end of the first, and finds the second closed, or not yet.
    let all = outcomes(between(
        &[open(SECOND, Access::Both), open(FIRST, Access::Write)],
        &[
            open(FIRST, Access::Read),
            read(FIRST, 1),
            open(SECOND, Access::Read),
        ],
    ));
    let endings: Vec<_> = all.iter().map(|outcome| outcome.ending).collect();
    assert!(
        endings.contains(&completes()) && endings.contains(&Ending::TrueDeadlock),
        "{endings:?}"
    );
}

#[test]
fn a_fifo_is_neither_closed_before_the_end_nor_is_a_pipe_opened() {
    let close = between(&[open(FIRST, Access::Both), close(FIRST, End::Read)], &[]);
    assert!(
        matches!(close, Err(SimulateError::FifoClosed { .. })),
        "{close:?}"
    );
    let mut family = Family::new();
    family.parent(&[family.wait_for_child()]);
    family.child(&[open(family.stdin, Access::Read)]);
    let opened = simulate(&family.world, Budget::USUAL);
    assert!(
        matches!(opened, Err(SimulateError::NotAFifo { .. })),
        "{opened:?}"
    );
}

#[test]
fn who_is_hung_up_by_the_leaders_exit_is_not_foretold_unless_it_was_waited_for() {
    for (waits, foretold) in [(true, true), (false, false)] {
        let mut family = Family::new();
        let below = family.world.process(Some(family.child), &[]);
        family.world.hung_up(below);
        family.parent(&[family.wait_for_child()]);
        let mut steps = vec![Step::Spawn { process: below }];
        steps.extend(waits.then_some(Step::WaitExit {
            process: below,
            how: Waiting::Blocking,
        }));
        family.child(&steps);
        let nothing = Vec::new().into_iter();
        family.world.task(below, &[], OnBrokenPipe::Die, nothing);
        let found = simulate(&family.world, Budget::USUAL);
        assert_eq!(found.is_ok(), foretold, "{found:?}");
        if !foretold {
            assert_eq!(found, Err(SimulateError::HungUp { process: below }));
        }
    }
}
