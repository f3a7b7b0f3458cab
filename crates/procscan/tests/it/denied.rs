//! What may not be seen, and that it is said. The test binary runs itself as another user, or under another mount of
//! `/proc`, and hands its snapshot back in a file.

use std::fs::File;
use std::process::Command;

use pipeclog_procscan::{Scanner, Selection};
use pipeclog_waitgraph::snapshot::{Facet, Gap, GapKind, Listing, Pid, Snapshot, Table, Wait};

use crate::shape::{Shape, is_installed, process};

/// The environment variables that make the entry below scan that process and write the snapshot there.
const TARGET: &str = "PROCSCAN_TEST_TARGET";
const OUTPUT: &str = "PROCSCAN_TEST_OUTPUT";
const ENTRY: &str = "denied::scans_for_the_other_tests_of_this_file";
/// `nobody`, on every distribution.
const NOBODY: u32 = 65534;

#[test]
fn scans_for_the_other_tests_of_this_file() {
    let (Some(target), Some(output)) = (std::env::var_os(TARGET), std::env::var_os(OUTPUT)) else {
        return;
    };
    let target = Pid(target.to_str().unwrap().parse().unwrap());
    let snapshot = Scanner::new("/proc")
        .unwrap()
        .scan(&Selection::Tree(vec![target]))
        .unwrap();
    serde_json::to_writer(File::options().write(true).open(output).unwrap(), &snapshot).unwrap();
}

/// Whether these tests may look into processes of other users themselves (CAP_SYS_PTRACE, capabilities(7)); said aloud where they may not.
fn sees_others() -> bool {
    const CAP_SYS_PTRACE: u32 = 19;
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let effective = status.lines().find_map(|line| line.strip_prefix("CapEff:"));
    let effective = u64::from_str_radix(effective.unwrap().trim(), 16).unwrap();
    let sees = effective & (1 << CAP_SYS_PTRACE) != 0;
    if !sees {
        println!("skipped: it takes CAP_SYS_PTRACE to wait for another user's process");
    }
    sees
}

/// Runs the entry by a shell line in which `"$@"` is the test binary; `None`, said aloud, where that is not possible.
fn scan_by(line: &str, target: Pid) -> Option<Snapshot> {
    let tools = ["python3", "setpriv", "unshare", "mount"];
    if !nix::unistd::geteuid().is_root() || !tools.iter().all(|tool| is_installed(tool)) {
        println!("skipped: it takes root, to become somebody else, and {tools:?}");
        return None;
    }
    // A copy where anybody may run it, and a file that anybody may write.
    let directory = tempfile::Builder::new()
        .prefix("procscan")
        .tempdir()
        .unwrap();
    let everyone = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    std::fs::set_permissions(directory.path(), everyone).unwrap();
    let binary = directory.path().join("it");
    std::fs::copy(std::env::current_exe().unwrap(), &binary).unwrap();
    let output = directory.path().join("snapshot.json");
    File::create(&output).unwrap();
    std::fs::set_permissions(&output, std::os::unix::fs::PermissionsExt::from_mode(0o666)).unwrap();
    let log = directory.path().join("log");
    let status = Command::new("sh")
        .args(["-c", line, "sh"])
        .arg(&binary)
        .args(["--exact", ENTRY])
        .env(TARGET, target.to_string())
        .env(OUTPUT, &output)
        .stdout(File::create(&log).unwrap())
        .stderr(File::options().append(true).open(&log).unwrap())
        .status()
        .unwrap();
    let log = std::fs::read_to_string(&log).unwrap();
    if status.code() == Some(77) {
        println!("skipped: not permitted here: {log}");
        return None;
    }
    assert!(status.success(), "{log}");
    Some(serde_json::from_slice(&std::fs::read(&output).unwrap()).unwrap())
}

const AS_NOBODY: &str = r#"exec setpriv --reuid 65534 --regid 65534 --clear-groups "$@""#;

fn gaps_of(snapshot: &Snapshot, pid: Pid) -> Vec<&Gap> {
    snapshot
        .gaps
        .iter()
        .filter(|gap| gap.pid == Some(pid))
        .collect()
}

#[test]
fn another_users_process_is_in_the_snapshot_with_its_gaps_and_the_command_that_closes_them() {
    let Some(shape) = Shape::python("import os; r,w=os.pipe(); os.read(r,1)") else {
        return;
    };
    shape.waiting("read", |w| matches!(w, Wait::Read { .. }));
    let Some(snapshot) = scan_by(AS_NOBODY, shape.pid()) else {
        return;
    };
    assert_eq!(snapshot.scan.observer_uid, NOBODY);
    let target = process(&snapshot, shape.pid());
    assert_eq!((&target.table, target.uid), (&Table::Unread, Some(0)));
    assert!(target.tasks.iter().all(|task| task.wait == Wait::Unknown));
    let gaps = gaps_of(&snapshot, shape.pid());
    for facet in [Facet::Descriptors, Facet::Syscall] {
        let gap = gaps.iter().find(|gap| gap.facet == facet).unwrap();
        assert_eq!(gap.kind, GapKind::Denied);
        assert!(
            gap.why.ends_with("permission denied; it belongs to user 0"),
            "{}",
            gap.why
        );
        assert_eq!(
            gap.remedy,
            Some(format!("sudo pipeclog diagnose {}", shape.pid()))
        );
    }
}

#[test]
fn ones_own_process_is_seen_whole_and_all_unseen_ones_are_named() {
    let program = "import os; os.setresgid(65534,65534,65534); os.setresuid(65534,65534,65534); \
        os.execvp('python3',['python3','-c','import os; r,w=os.pipe(); os.dup2(r,50); os.read(50,1)'])";
    let Some(shape) = Shape::python(program) else {
        return;
    };
    if !sees_others() {
        return;
    }
    // An interpreter under a home directory cannot be run by somebody else.
    let mut shape = shape;
    let is_up = loop {
        let mut scanner = Scanner::new("/proc").unwrap();
        let snapshot = scanner.scan(&Selection::Tree(vec![shape.pid()])).unwrap();
        let hangs = |task: &pipeclog_waitgraph::snapshot::Task| {
            matches!(task.wait, Wait::Read { fd: 50, .. })
        };
        if snapshot
            .process(shape.pid())
            .is_some_and(|p| p.uid == Some(NOBODY) && p.tasks.iter().any(hangs))
        {
            break true;
        }
        if shape.exit_code().is_some() {
            break false;
        }
        std::thread::park_timeout(std::time::Duration::from_millis(5));
    };
    if !is_up {
        println!("skipped: nobody may not run this python3");
        return;
    }
    let Some(snapshot) = scan_by(AS_NOBODY, shape.pid()) else {
        return;
    };
    let target = process(&snapshot, shape.pid());
    assert!(matches!(target.table, Table::Complete(_)));
    assert!(matches!(target.tasks[0].wait, Wait::Read { fd: 50, .. }));
    assert!(gaps_of(&snapshot, shape.pid()).is_empty());
    // The test itself belongs to root: it may hold anything.
    let own = process(&snapshot, Pid(std::process::id()));
    assert_eq!((&own.table, own.uid), (&Table::Unread, Some(0)));
}

#[test]
fn a_program_that_changed_its_user_is_unreadable_to_that_user_and_the_reason_is_said() {
    // Without an exec after it, a change of user makes a process undumpable.
    let program = "import os; os.setresgid(65534,65534,65534); os.setresuid(65534,65534,65534); \
        r,w=os.pipe(); os.dup2(r,50); os.read(50,1)";
    let Some(shape) = Shape::python(program) else {
        return;
    };
    if !sees_others() {
        return;
    }
    shape.waiting("read", |w| matches!(w, Wait::Read { fd: 50, .. }));
    let Some(snapshot) = scan_by(AS_NOBODY, shape.pid()) else {
        return;
    };
    let gaps = gaps_of(&snapshot, shape.pid());
    let reason = "it has changed its user or runs a program that its user may not read";
    assert!(gaps.iter().any(|gap| gap.why.ends_with(reason)), "{gaps:?}");
}

#[test]
fn a_proc_that_hides_processes_is_noticed() {
    for mode in [1, 2, 4] {
        notices_hidden(mode);
    }
}

fn notices_hidden(mode: u32) {
    let line = format!(
        r#"exec unshare --mount sh -c 'mount -t proc -o hidepid={mode} proc /proc || exit 77
        exec setpriv --reuid 65534 --regid 65534 --clear-groups "$@"' sh "$@""#
    );
    let Some(snapshot) = scan_by(&line, Pid(std::process::id())) else {
        return;
    };
    assert_eq!(snapshot.scan.listing, Listing::Partial);
    let hidden = |gap: &&Gap| gap.kind == GapKind::Hidden && gap.facet == Facet::Process;
    let gap = snapshot.gaps.iter().find(hidden).unwrap();
    assert!(gap.why.contains("hidepid"), "{}", gap.why);
    assert_eq!(gap.remedy.as_deref(), Some("sudo pipeclog diagnose --all"));
    // The one that was asked for is not silently missing.
    let about = gaps_of(&snapshot, Pid(std::process::id()));
    assert!(
        about.iter().any(|gap| gap.facet == Facet::Process),
        "{about:?}"
    );
}

#[test]
fn a_proc_of_pids_alone_is_noticed_and_counts_no_forks() {
    let line = r#"exec unshare --mount sh -c 'mount -t proc -o subset=pid proc /proc || exit 77; exec "$@"' sh "$@""#;
    let Some(shape) = Shape::python("import os; r,w=os.pipe(); os.dup2(r,50); os.read(50,1)")
    else {
        return;
    };
    shape.waiting("read", |w| matches!(w, Wait::Read { fd: 50, .. }));
    let Some(snapshot) = scan_by(line, shape.pid()) else {
        return;
    };
    assert!(
        snapshot
            .gaps
            .iter()
            .any(|gap| gap.why.contains("subset=pid"))
    );
    assert_eq!(
        (snapshot.scan.forks_before, snapshot.scan.real_timers),
        (None, None)
    );
    assert!(matches!(
        process(&snapshot, shape.pid()).tasks[0].wait,
        Wait::Read { fd: 50, .. }
    ));
}

#[test]
fn an_observer_in_a_pid_namespace_of_its_own_sees_all_of_it_and_says_that_there_is_an_outside() {
    let line = r#"exec unshare --pid --fork --mount-proc "$@""#;
    let Some(snapshot) = scan_by(line, Pid(1)) else {
        return;
    };
    assert_eq!(snapshot.scan.listing, Listing::Closed);
    assert!(
        snapshot
            .gaps
            .iter()
            .any(|gap| gap.why.contains("one pid namespace"))
    );
}
