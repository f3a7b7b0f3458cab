//! Windows over looks that are written down: what moves, what sleeps, what only seems to.

use pipeclog_waitgraph::descriptor::Table;
use pipeclog_waitgraph::snapshot::{
    Abi, Freezer, GoProgram, Listing, Namespaces, Observer, PosixTimers, SCHEMA_VERSION, Scan, Tid,
    Toolchain,
};
use pipeclog_waitgraph::wait::{ChildSet, Syscall};

use super::*;

const OBSERVER: u32 = 1;
const PARENT: u32 = 10;
const CHILD: u32 = 11;
const DESCENDANT: u32 = 12;
const STRANGER: u32 = 99;

const CAST: Cast = Cast {
    observer: Pid(OBSERVER),
    parent: Pid(PARENT),
};
const BOUND: Duration = Duration::from_secs(20);

fn task(tid: u32, wait: Wait) -> Task {
    Task {
        tid: Tid(tid),
        comm: "x".into(),
        state: State::Sleeping,
        syscall: Syscall::Running,
        wait,
        switches_voluntary: Some(5),
        switches_involuntary: Some(7),
        signals: None,
        wchan: None,
        own_table: None,
    }
}

fn process(pid: u32, ppid: u32, wait: Wait) -> Process {
    Process {
        pid: Pid(pid),
        start_ticks: 1,
        ppid: Pid(ppid),
        pgrp: PARENT,
        session: 1,
        tty_nr: 0,
        uid: Some(0),
        tracer: None,
        ns_pids: vec![pid],
        exe: None,
        comm: "x".into(),
        cmdline: Vec::new(),
        memory: None,
        abi: Abi::X86_64,
        go_program: GoProgram::No,
        toolchain: Toolchain::NotLooked,
        namespaces: Namespaces::default(),
        timers: PosixTimers::Listed(Vec::new()),
        freezer: Freezer::Thawed,
        table: Table::Complete(Vec::new()),
        tasks: vec![task(pid, wait)],
    }
}

fn write() -> Wait {
    Wait::Write {
        fd: 1,
        call: "write".to_owned(),
    }
}

fn wait_for_child() -> Wait {
    Wait::Child {
        children: ChildSet::Any,
    }
}

fn nap(ms: u64) -> Wait {
    Wait::Sleep {
        timeout: Timeout::After(ms * 1_000_000),
    }
}

/// A parent in wait4, its child in write, the observer and a stranger, both of which run.
fn look() -> Snapshot {
    let mut busy = [
        process(OBSERVER, 0, Wait::Running),
        process(STRANGER, 0, Wait::Running),
    ];
    for process in &mut busy {
        process.tasks[0].state = State::Running;
    }
    let [observer, stranger] = busy;
    Snapshot {
        schema_version: SCHEMA_VERSION,
        scan: Scan {
            at_ms: 10_000,
            ticks_per_second: 100,
            kernel: "6.18".into(),
            forks_before: None,
            forks_after: None,
            listing: Listing::Closed,
            real_timers: None,
            posix_timers: None,
            observer_uid: 0,
            dropped_before: 0,
            observer: Observer::default(),
            runs_of: Vec::new(),
        },
        processes: vec![
            observer,
            process(PARENT, OBSERVER, wait_for_child()),
            process(CHILD, PARENT, write()),
            stranger,
        ],
        locks: Vec::new(),
        peeks: Vec::new(),
        gaps: Vec::new(),
    }
}

fn of(look: &mut Snapshot, pid: u32) -> &mut Process {
    let found = look.processes.iter_mut().find(|p| p.pid == Pid(pid));
    found.expect("it is in the look")
}

fn task_of(look: &mut Snapshot, pid: u32) -> &mut Task {
    &mut of(look, pid).tasks[0]
}

fn polling() -> Snapshot {
    let mut look = look();
    task_of(&mut look, PARENT).wait = nap(5);
    look
}

fn with_descendant(mut look: Snapshot, wait: Wait) -> Snapshot {
    look.processes.insert(3, process(DESCENDANT, CHILD, wait));
    look
}

/// What is said of `second` after `first`.
fn between(first: &Snapshot, second: &Snapshot) -> Motion {
    motion(first, second, CAST, BOUND)
}

/// What is said of a look and itself with something changed.
fn after(first: Snapshot, change: impl FnOnce(&mut Snapshot)) -> Motion {
    let mut second = first.clone();
    change(&mut second);
    between(&first, &second)
}

#[test]
fn two_looks_that_agree_are_quiet_whatever_the_observer_and_strangers_do() {
    let quiet = after(look(), |second| {
        for pid in [OBSERVER, STRANGER] {
            task_of(second, pid).switches_voluntary = Some(99);
        }
    });
    assert_eq!(quiet, Motion::None(Still::All));
}

#[test]
fn a_child_that_ran_or_may_is_no_hang() {
    let changes: [fn(&mut Task); 9] = [
        |task| task.switches_voluntary = Some(6),
        |task| task.switches_involuntary = Some(8),
        |task| task.switches_voluntary = None,
        |task| task.syscall = Syscall::Outside,
        |task| task.state = State::Running,
        |task| task.state = State::Disk,
        |task| task.state = State::Unread,
        |task| task.wait = Wait::Unknown,
        |task| task.wait = Wait::Running,
    ];
    for (index, change) in changes.into_iter().enumerate() {
        let found = after(look(), |second| change(task_of(second, CHILD)));
        assert_eq!(found, Motion::Some, "change {index}");
    }
}

#[test]
fn somebody_new_and_a_number_that_passed_to_another_are_no_hang() {
    let new = after(look(), |second| {
        second
            .processes
            .insert(3, process(DESCENDANT, CHILD, write()));
    });
    assert_eq!(new, Motion::Some);
    let reused = after(look(), |second| of(second, CHILD).start_ticks = 2);
    assert_eq!(reused, Motion::Some);
    let thread = after(look(), |second| {
        of(second, CHILD).tasks.push(task(77, write()));
    });
    assert_eq!(thread, Motion::Some);
}

#[test]
fn a_timer_within_the_bound_will_move_it_and_one_beyond_will_not() {
    let ms = u64::try_from(BOUND.as_millis()).unwrap();
    let timed = |timeout| {
        let mut first = look();
        task_of(&mut first, CHILD).wait = Wait::Poll {
            call: "poll".to_owned(),
            set: Some(Vec::new()),
            timeout,
            mask: None,
        };
        after(first, |_| {})
    };
    let quiet = Motion::None(Still::All);
    assert_eq!(timed(Timeout::Never), quiet);
    assert_eq!(timed(Timeout::After(ms * 1_000_000)), quiet);
    assert_eq!(timed(Timeout::After(ms * 1_000_000 - 1)), Motion::Some);
    assert_eq!(timed(Timeout::Unread), Motion::Some);
}

#[test]
fn a_sleeping_child_is_slow_and_a_sleeping_parent_polls() {
    let slow = {
        let mut first = look();
        task_of(&mut first, CHILD).wait = nap(5);
        after(first, |_| {})
    };
    assert_eq!(slow, Motion::Some);
    let polls = after(polling(), |second| {
        task_of(second, PARENT).switches_voluntary = Some(50);
    });
    assert_eq!(polls, Motion::None(Still::AllButNaps));
    let runs = after(polling(), |second| {
        task_of(second, PARENT).state = State::Running;
    });
    assert_eq!(runs, Motion::ParentRuns);
}

#[test]
fn stopped_and_dead_processes_do_not_move() {
    for state in [State::Stopped, State::Traced, State::Zombie, State::Dead] {
        let found = after(look(), |second| {
            let child = task_of(second, CHILD);
            (child.state, child.switches_voluntary) = (state, Some(6));
        });
        assert_eq!(found, Motion::None(Still::All), "{state:?}");
    }
}

#[test]
fn a_leader_that_has_gone_is_told_from_one_that_waits() {
    let here = with_descendant(look(), nap(600_000));
    assert_eq!(after(here, |_| {}), Motion::None(Still::All));
    let mut gone = with_descendant(look(), nap(600_000));
    task_of(&mut gone, CHILD).state = State::Zombie;
    assert_eq!(after(gone, |_| {}), Motion::None(Still::LeaderGone));
    let mut orphaned = with_descendant(look(), nap(600_000));
    orphaned
        .processes
        .retain(|process| process.pid != Pid(CHILD));
    of(&mut orphaned, DESCENDANT).ppid = Pid(OBSERVER);
    assert_eq!(after(orphaned, |_| {}), Motion::None(Still::LeaderGone));
}

#[test]
fn roles_follow_from_who_started_whom() {
    let look = with_descendant(look(), write());
    let roles: Vec<(u32, Role)> = CAST
        .members(&look)
        .map(|(role, process)| (process.pid.0, role))
        .collect();
    assert_eq!(
        roles,
        [
            (PARENT, Role::Parent),
            (CHILD, Role::Child),
            (DESCENDANT, Role::Descendant)
        ]
    );
}

type Change = fn(&mut Snapshot);

/// The window after looks at these times, each changed as it says.
fn window(first: Snapshot, looks: &[(u64, Change)]) -> Window {
    let start_ms = first.scan.at_ms;
    let base = first.clone();
    looks
        .iter()
        .fold(Window::new(first), |window, (at_ms, change)| {
            let mut look = base.clone();
            look.scan.at_ms = start_ms + at_ms;
            change(&mut look);
            window.then(look, CAST, BOUND)
        })
}

#[test]
fn a_window_is_a_hang_once_nothing_has_moved_for_long_enough() {
    assert_eq!(
        window(look(), &[]).hang(Patience::with_our_own(BOUND)),
        None
    );
    assert_eq!(
        window(look(), &[(499, |_| {})]).hang(Patience::with_our_own(BOUND)),
        None
    );
    assert_eq!(
        window(look(), &[(10, |_| {}), (500, |_| {})]).hang(Patience::with_our_own(BOUND)),
        Some(EndedBy::Quiescence)
    );
    assert_eq!(
        window(polling(), &[(999, |_| {})]).hang(Patience::with_our_own(BOUND)),
        None
    );
    assert_eq!(
        window(polling(), &[(1000, |_| {})]).hang(Patience::with_our_own(BOUND)),
        Some(EndedBy::Polling)
    );
}

#[test]
fn a_window_begins_anew_when_something_moves() {
    let moved: fn(&mut Snapshot) = |look| task_of(look, CHILD).switches_voluntary = Some(6);
    let anew = window(look(), &[(400, moved), (700, moved)]);
    assert_eq!(
        (
            anew.hang(Patience::with_our_own(BOUND)),
            anew.looks().map(|look| look.scan.at_ms).collect()
        ),
        (None, vec![10_400])
    );
    let then = window(look(), &[(400, moved), (700, moved), (900, moved)]);
    assert_eq!(
        then.hang(Patience::with_our_own(BOUND)),
        Some(EndedBy::Quiescence)
    );
}

#[test]
fn a_parent_met_awake_neither_ends_a_window_nor_counts_in_it() {
    let awake: fn(&mut Snapshot) = |look| task_of(look, PARENT).state = State::Running;
    let asleep: fn(&mut Snapshot) = |look| task_of(look, PARENT).switches_voluntary = Some(50);
    assert_eq!(
        window(polling(), &[(1000, awake)]).hang(Patience::with_our_own(BOUND)),
        None
    );
    assert_eq!(
        window(polling(), &[(500, awake), (1000, asleep)]).hang(Patience::with_our_own(BOUND)),
        Some(EndedBy::Polling)
    );
    // What the parent did while it was awake shows in the child.
    let read: fn(&mut Snapshot) = |look| {
        task_of(look, PARENT).switches_voluntary = Some(50);
        task_of(look, CHILD).switches_voluntary = Some(6);
    };
    assert_eq!(
        window(polling(), &[(500, awake), (1000, read)]).hang(Patience::with_our_own(BOUND)),
        None
    );
}

fn select(ms: u64) -> Wait {
    Wait::Poll {
        call: "select".to_owned(),
        set: Some(Vec::new()),
        timeout: Timeout::After(ms * 1_000_000),
        mask: None,
    }
}

#[test]
fn timers_that_run_out_in_turns_are_a_hang_after_the_childs_exit_alone() {
    let ran = |second: &mut Snapshot| task_of(second, PARENT).switches_voluntary = Some(50);
    let mut here = with_descendant(look(), nap(600_000));
    task_of(&mut here, PARENT).wait = select(500);
    assert_eq!(after(here.clone(), ran), Motion::ParentRuns);
    let mut gone = here;
    task_of(&mut gone, CHILD).state = State::Zombie;
    assert_eq!(after(gone, ran), Motion::None(Still::AllButTimers));
}

#[test]
fn a_grace_period_ends_in_its_own_time_and_is_no_part_of_the_quiet_after_it() {
    let mut first = with_descendant(look(), nap(600_000));
    task_of(&mut first, CHILD).state = State::Zombie;
    task_of(&mut first, PARENT).wait = select(500);
    let patience = Patience {
        timers: Some(Duration::from_secs(10)),
        ..Patience::with_our_own(BOUND)
    };
    let ran: Change = |look| task_of(look, PARENT).switches_voluntary = Some(50);
    let blocked: Change = |look| {
        let parent = task_of(look, PARENT);
        (parent.wait, parent.switches_voluntary) = (wait_for_child(), Some(60));
    };
    let hang = |looks: &[(u64, Change)]| window(first.clone(), looks).hang(patience);
    // From the first look that found it in a wait with a timer after another.
    assert_eq!(hang(&[(100, ran), (10_099, ran)]), None);
    assert_eq!(hang(&[(100, ran), (10_100, ran)]), Some(EndedBy::Polling));
    let since = [(5_000, ran), (5_100, blocked), (5_200, blocked)];
    assert_eq!(hang(&since), None);
    let long_since = [(5_000, ran), (5_100, blocked), (5_600, blocked)];
    assert_eq!(hang(&long_since), Some(EndedBy::LeaderGone));
}
