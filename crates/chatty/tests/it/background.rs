//! Descendants: what they hold, where they stand, and that none is left.

use std::os::unix::fs::MetadataExt as _;
use std::path::PathBuf;

use pipeclog_scenario::verify::Source;

use crate::child::{Chatty, assert_complete, no_other_spawn, read_all, script};

/// A process as `/proc` shows it.
#[derive(Debug)]
struct Seen {
    name: String,
    parent: u32,
    session: u32,
    /// What its descriptors 0, 1, 2 are.
    fds: [PathBuf; 3],
    /// What its other descriptors are.
    others: Vec<PathBuf>,
}

impl Seen {
    fn of(pid: u32) -> Self {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
        let (head, tail) = stat.rsplit_once(')').unwrap();
        let fields: Vec<&str> = tail.split_whitespace().collect();
        let fd = |number| std::fs::read_link(format!("/proc/{pid}/fd/{number}")).unwrap();
        Self {
            name: head.split_once('(').unwrap().1.to_owned(),
            parent: fields[1].parse().unwrap(),
            session: fields[3].parse().unwrap(),
            fds: [fd(0), fd(1), fd(2)],
            others: others(&pid.to_string()),
        }
    }
}

/// The descriptors of a process beyond the standard ones.
fn others(pid: &str) -> Vec<PathBuf> {
    let fds = std::fs::read_dir(format!("/proc/{pid}/fd"))
        .unwrap()
        .flatten();
    let number = |path: &PathBuf| {
        path.file_name()
            .unwrap()
            .to_str()
            .unwrap()
            .parse::<u32>()
            .unwrap()
    };
    let paths = fds.map(|fd| fd.path()).filter(|path| number(path) > 2);
    paths
        .filter_map(|path| std::fs::read_link(path).ok())
        .collect()
}

/// Processes other than this one that have the pipe behind `pipe` open.
fn holders(pipe: &impl std::os::fd::AsRawFd) -> Vec<u32> {
    let _nobody = no_other_spawn();
    let own = std::process::id();
    let inode = std::fs::metadata(format!("/proc/self/fd/{}", pipe.as_raw_fd()))
        .unwrap()
        .ino();
    let name = PathBuf::from(format!("pipe:[{inode}]"));
    let holds = |pid: &u32| {
        let fds = std::fs::read_dir(format!("/proc/{pid}/fd"))
            .into_iter()
            .flatten()
            .flatten();
        fds.into_iter()
            .any(|fd| std::fs::read_link(fd.path()).is_ok_and(|link| link == name))
    };
    let pids = std::fs::read_dir("/proc").unwrap().flatten();
    let pids = pids.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    pids.filter(|pid| *pid != own).filter(holds).collect()
}

/// A leader that has exited, and left one descendant that lives until stdin is closed.
fn leader_gone(background: &str) -> Chatty {
    let json = format!(
        r#"{{"ops": [{{"op": "background", {background},
            "script": {{"ops": [{{"op": "stdin", "do": "never"}}]}}}}, {{"op": "exit", "code": 6}}]}}"#
    );
    let mut chatty = script(&json);
    assert_eq!(chatty.child.wait().unwrap().code(), Some(6));
    chatty
}

#[test]
fn descendant_holds_exactly_what_it_keeps_after_the_leader_has_gone() {
    let mut chatty = leader_gone(r#""keep": ["stdin", "stdout"]"#);
    let held = holders(&chatty.stdout);
    assert_eq!(held.len(), 1, "{held:?}");
    let seen = Seen::of(held[0]);
    assert_eq!(seen.name, "chatty");
    let pipe = |path: &PathBuf| path.to_str().unwrap().starts_with("pipe:");
    assert!(pipe(&seen.fds[0]) && pipe(&seen.fds[1]), "{seen:?}");
    assert_eq!(seen.fds[2], PathBuf::from("/dev/null"));
    // What this test itself was started with goes on to every program; nothing else does.
    let given = others("self");
    for other in &seen.others {
        assert!(
            given.contains(other) && !seen.fds[..2].contains(other),
            "{other:?}: {seen:?}"
        );
    }
    // Stderr was not kept: it is at its end, while stdout is not.
    assert_eq!(read_all(&mut chatty.stderr), b"");
    assert_eq!(holders(&chatty.stdout), held);
    chatty.close_stdin();
    assert_eq!(read_all(&mut chatty.stdout), b"");
}

#[test]
fn descendant_in_a_session_of_its_own_leads_it() {
    let mut chatty = leader_gone(r#""keep": ["stdin", "stdout"], "session": "own""#);
    let held = holders(&chatty.stdout);
    assert_eq!(Seen::of(held[0]).session, held[0]);
    chatty.close_stdin();
    read_all(&mut chatty.stdout);
}

#[test]
fn double_fork_leaves_one_process_whose_parent_is_not_the_leader() {
    let mut chatty = leader_gone(
        r#""keep": ["stdin", "stdout"], "depth": 2, "intermediates": "exit", "session": "own""#,
    );
    let held = holders(&chatty.stdout);
    assert_eq!(held.len(), 1, "{held:?}");
    let seen = Seen::of(held[0]);
    assert_ne!(seen.parent, chatty.pid());
    assert_ne!(
        seen.session, held[0],
        "the session is that of the generation between, which has gone"
    );
    chatty.close_stdin();
    read_all(&mut chatty.stdout);
}

#[test]
fn generations_between_wait_and_hold_the_same() {
    let mut chatty = leader_gone(r#""keep": ["stdin", "stdout"], "depth": 3"#);
    let mut held = holders(&chatty.stdout);
    held.sort_unstable();
    assert_eq!(held.len(), 3, "{held:?}");
    let parents: Vec<u32> = held.iter().map(|&pid| Seen::of(pid).parent).collect();
    assert_eq!(parents[1..], held[..2]);
    chatty.close_stdin();
    read_all(&mut chatty.stdout);
}

#[test]
fn leader_that_waits_outlives_its_descendant() {
    let json = r#"{"ops": [{"op": "background", "keep": ["stdin", "stdout"], "script": {"ops": [
        {"op": "stdin", "do": "never"}, {"op": "write", "stdout": 32, "write_size": 16}]}},
        {"op": "write", "stdout": 64, "write_size": 64}, {"op": "wait"},
        {"op": "write", "stdout": 64, "write_size": 64}]}"#;
    let mut chatty = script(json);
    let mut bytes = chatty.stdout(64);
    assert!(chatty.child.try_wait().unwrap().is_none());
    let done = chatty.finish();
    bytes.extend(done.stdout);
    assert_eq!(done.status.code(), Some(0));
    assert_complete(json, Source::Stdout, &bytes);
    assert_eq!(&bytes[64..66], b"o1");
}

#[test]
fn descendants_of_descendants_write_under_their_own_numbers() {
    let json = r#"{"ops": [{"op": "background", "keep": ["stdout", "stderr"], "script": {"ops": [
            {"op": "write", "stderr": 160, "write_size": 32},
            {"op": "background", "keep": ["stdout"], "script": {"ops": [{"op": "write", "stdout": 96, "write_size": 16}]}},
            {"op": "wait"}]}},
        {"op": "write", "stdout": 1600, "stderr": 160, "write_size": 160}, {"op": "wait"}]}"#;
    let done = script(json).finish();
    assert_eq!(done.code(), Some(0));
    assert_complete(json, Source::Stdout, &done.stdout);
    assert_complete(json, Source::Stderr, &done.stderr);
}

#[test]
fn descendant_that_closes_nothing_shares_the_description() {
    let json = r#"{"ops": [{"op": "background", "keep": ["stdout"], "script": {"ops": [
        {"op": "nonblock", "stream": "stdout"}]}}, {"op": "wait"},
        {"op": "write", "stdout": 100000, "write_size": 100000}]}"#;
    // The leader's own descriptor is non-blocking now, so a write that does not fit ends it.
    let json = json.replacen('{', r#"{"would_block": "exit", "#, 1);
    let mut chatty = script(&json);
    assert_eq!(chatty.child.wait().unwrap().code(), Some(1));
    assert_eq!(read_all(&mut chatty.stdout).len(), 65536);
}

#[test]
fn descendant_of_a_leader_that_has_closed_its_streams_holds_none() {
    let json = r#"{"ops": [{"op": "close", "stream": "stdout"}, {"op": "close", "stream": "stderr"},
        {"op": "background", "keep": ["stdin", "stdout", "stderr"], "script": {"ops": [
            {"op": "write", "stdout": 16, "write_size": 16}, {"op": "stdin", "do": "never"}]}}]}"#;
    let mut chatty = script(json);
    assert_eq!(chatty.child.wait().unwrap().code(), Some(0));
    // Both ends come while the descendant lives: stdin still holds it.
    assert_eq!(read_all(&mut chatty.stdout), b"");
    assert_eq!(read_all(&mut chatty.stderr), b"");
    let stdin = chatty.stdin.take().unwrap();
    assert_eq!(holders(&stdin).len(), 1);
}
