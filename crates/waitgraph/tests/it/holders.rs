//! Who holds an end, and when that cannot be told.

use pipeclog_waitgraph::class::Class;
use pipeclog_waitgraph::descriptor::{Access, Object, Peer, Table};
use pipeclog_waitgraph::report::VerdictName;
use pipeclog_waitgraph::snapshot::Syscall;
use pipeclog_waitgraph::wait::{SignalSet, Wait};

use crate::deadlocks::wait_then_read;
use crate::look_alikes::expect;
use crate::scene::*;

#[test]
fn a_lock_in_shared_memory_is_not_known_to_be_stuck() {
    let mut s = wait_then_read();
    s.process(813, 812, "worker", shared_futex())
        .fd(1, writes(9));
    let report = expect(&s, 812, VerdictName::Unproven, None);
    assert!(
        report.headline.contains("shared memory"),
        "{}",
        report.headline
    );
}

#[test]
fn a_registered_file_is_known_by_its_inode_and_not_by_its_number() {
    let mut s = wait_then_read();
    // Number 14 was closed and used again for a pipe; the socket lives on at 15.
    s.process(812, 1, "node", epoll_wait(13))
        .fd(3, reads(9))
        .fd(13, epoll(&[(14, POLLIN, 77)]))
        .fd(14, reads(30))
        .fd(15, network())
        .catches(&[SignalSet::CHLD]);
    expect(&s, 812, VerdictName::Waiting, Some(Class::WaitingOutside));
}

#[test]
fn a_number_that_another_thread_closed_and_used_again() {
    let mut s = Scene::new();
    s.process(10, 1, "parent", wait4(11)).fd(4, writes(30));
    s.process(11, 10, "child", read(3))
        .fd(3, reads(30))
        .with(|p| p.tasks[0].wchan = Some("unix_stream_read_generic".into()));
    expect(&s, 10, VerdictName::Unproven, None);
    s.process(11, 10, "child", read(3));
    expect(&s, 10, VerdictName::Unproven, None);
    s.process(11, 10, "child", read(3)).fd(3, writes(30));
    expect(&s, 10, VerdictName::Unproven, None);
}

#[test]
fn an_end_that_nobody_in_sight_holds() {
    let mut s = Scene::new();
    s.process(10, 1, "parent", wait4(11));
    s.process(11, 10, "child", read(0)).fd(0, reads(30));
    let report = expect(&s, 10, VerdictName::Unproven, None);
    assert!(
        report.headline.contains("nobody in sight holds"),
        "{}",
        report.headline
    );
}

#[test]
fn an_end_that_may_be_in_flight_to_a_live_process() {
    let mut s = wait_then_read();
    let (
        Object::UnixSocket {
            inode,
            peer,
            socket,
            timeouts,
            ..
        },
        access,
        id,
    ) = socket(50, 51)
    else {
        panic!()
    };
    let receiving = (
        Object::UnixSocket {
            inode,
            peer,
            socket,
            fds_in_flight: 1,
            timeouts,
        },
        access,
        id,
    );
    s.process(900, 1, "broker", sleep_ms(50)).fd(5, receiving);
    expect(&s, 812, VerdictName::Waiting, Some(Class::SlowChild));
}

#[test]
fn a_unix_socket_whose_peer_is_not_known() {
    for peer in [Peer::Unknown, Peer::None] {
        let mut s = Scene::new();
        let (
            Object::UnixSocket {
                inode,
                socket,
                fds_in_flight,
                timeouts,
                ..
            },
            access,
            id,
        ) = socket(41, 40)
        else {
            panic!()
        };
        s.process(10, 1, "parent", wait4(11))
            .fd(4, crate::scene::socket(40, 41));
        s.process(11, 10, "child", write(1)).fd(
            1,
            (
                Object::UnixSocket {
                    inode,
                    peer,
                    socket,
                    fds_in_flight,
                    timeouts,
                },
                access,
                id,
            ),
        );
        expect(&s, 10, VerdictName::Unproven, None);
    }
}

#[test]
fn a_call_outside_the_table_is_not_known() {
    let mut s = wait_then_read();
    s.process(
        813,
        812,
        "odd",
        Wait::Other {
            call: "msgrcv".to_owned(),
        },
    )
    .fd(1, writes(9));
    expect(&s, 812, VerdictName::Unproven, None);
    s.edit(813).with(|p| {
        p.tasks[0].wait = Wait::Unknown;
        p.tasks[0].syscall = Syscall::Outside;
    });
    expect(&s, 812, VerdictName::Unproven, None);
}

#[test]
fn a_path_only_descriptor_is_no_end() {
    let mut s = wait_then_read();
    let (object, _, id) = reads(9);
    s.process(900, 1, "lister", sleep_ms(50))
        .fd(7, (object, Access::Path, id));
    assert_eq!(s.diagnose(812).report().verdict, VerdictName::Deadlocked);
}

#[test]
fn an_opener_both_ways_counts_as_both() {
    let mut s = wait_then_read();
    s.process(900, 1, "keeper", sleep_ms(50))
        .fd(7, both_ends(9));
    assert_eq!(s.diagnose(812).report().verdict, VerdictName::Waiting);
}

#[test]
fn a_table_of_a_thread_of_its_own_counts() {
    let mut s = wait_then_read();
    s.edit(812).thread(815, "own", sleep_ms(50)).with(|p| {
        let Table::Complete(mine) = p.table.clone() else {
            panic!()
        };
        // The leader closed its copy after the thread had got a table of its own.
        p.table = Table::Complete(vec![]);
        p.tasks[1].own_table = Some(Table::Complete(mine));
    });
    assert_eq!(s.diagnose(812).report().verdict, VerdictName::Waiting);
}
