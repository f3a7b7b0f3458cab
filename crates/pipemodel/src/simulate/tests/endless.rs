//! Runs of writes, and loops without end.

use super::*;

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
