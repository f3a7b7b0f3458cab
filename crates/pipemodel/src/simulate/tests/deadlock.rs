//! Who deadlocks, at which byte, and who does not.

use super::*;

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
