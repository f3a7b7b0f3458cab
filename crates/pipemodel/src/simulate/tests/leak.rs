//! Ends of file that a descendant withholds.

use super::*;

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
