//! Whose descriptors they are, and what they are not.

use std::process::Command;

use pipeclog_waitgraph::snapshot::{Object, Snapshot, State, Table, Task, Wait};

use crate::shape::{Shape, process, task_that};

#[test]
fn files_named_like_pipes_are_no_pipes() {
    let directory = tempfile::tempdir().unwrap();
    let names = [
        "pipe:[123]",
        "socket:[123]",
        "anon_inode:[eventpoll]",
        "pipe:[123] (deleted)",
    ];
    let program = format!(
        "import os; os.chdir({:?})\nfor n in {names:?}: os.open(n,os.O_CREAT|os.O_RDWR)\n\
         os.memfd_create('pipe:[123]'); r,w=os.pipe(); os.dup2(r,62); os.read(62,1)",
        directory.path()
    );
    let Some(shape) = Shape::python(&program) else {
        return;
    };
    let snapshot = shape.waiting("read", |w| matches!(w, Wait::Read { fd: 62, .. }));
    let known = process(&snapshot, shape.pid()).table.known();
    assert!(
        !known
            .iter()
            .any(|d| d.object == Object::Pipe { inode: 123 })
    );
    let files = known.iter().filter(|d| match &d.object {
        Object::File { path } => path.as_bytes().windows(6).any(|w| w == b":[123]"),
        _ => false,
    });
    assert_eq!(files.count(), 4, "{known:#?}");
}

#[test]
fn a_thread_with_its_own_table_has_it_in_the_snapshot() {
    // CLONE_FILES is 0x400: after it, what the thread opens is its own.
    let program = "import ctypes,os,threading\ndef f():\n ctypes.CDLL(None).unshare(0x400)\n r,w=os.pipe()\n os.dup2(r,60)\n os.read(60,1)\n\
        threading.Thread(target=f).start()";
    let Some(shape) = Shape::python(program) else {
        return;
    };
    let is_read = |w: &Wait| matches!(w, Wait::Read { fd: 60, .. });
    let snapshot = shape.waiting("read in a thread", is_read);
    let process = process(&snapshot, shape.pid());
    assert_eq!(process.table.get(60), None, "{process:#?}");
    let task = task_that(process, is_read);
    let Some(Table::Complete(own)) = &task.own_table else {
        panic!("{:?}", task.own_table)
    };
    assert!(
        own.iter()
            .any(|d| d.fd == 60 && matches!(d.object, Object::Pipe { .. }))
    );
    // The main thread shares the process's.
    assert!(process.tasks.iter().any(|t| t.own_table.is_none()));
}

#[test]
fn a_process_whose_leader_has_exited_is_read_through_a_living_thread() {
    // 60 is exit(2), of the calling thread alone, on x86-64; 93 on 64-bit Arm.
    let exit = if cfg!(target_arch = "aarch64") {
        93
    } else {
        60
    };
    let program = format!(
        "import ctypes,os,threading\nr,w=os.pipe()\nos.dup2(r,61)\nthreading.Thread(target=lambda: os.read(61,1)).start()\n\
         ctypes.CDLL(None).syscall({exit},0)"
    );
    let Some(shape) = Shape::python(&program) else {
        return;
    };
    let pid = shape.pid();
    let is_read = |w: &Wait| matches!(w, Wait::Read { fd: 61, .. });
    let snapshot = shape.scan_until("exited leader", |s| {
        s.process(pid).is_some_and(|p| {
            let has_exited = |t: &Task| t.tid.0 == pid.0 && t.state == State::Zombie;
            p.tasks.iter().any(has_exited) && p.tasks.iter().any(|t| is_read(&t.wait))
        })
    });
    let process = process(&snapshot, pid);
    let Wait::Read { fd, .. } = task_that(process, is_read).wait else {
        unreachable!()
    };
    assert!(matches!(
        process.table.get(fd).unwrap().object,
        Object::Pipe { .. }
    ));
    assert!(process.exe.is_some());
}

#[test]
fn a_zombie_holds_nothing_and_stays_in_the_family() {
    let program = "import subprocess,threading; p=subprocess.Popen(['true'],stdout=subprocess.PIPE); p.stdout.read(); threading.Event().wait()";
    let Some(shape) = Shape::python(program) else {
        return;
    };
    let zombie = |s: &Snapshot| {
        let mut children = s.processes.iter().filter(|p| p.ppid == shape.pid());
        children
            .find(|p| p.tasks.iter().all(|t| t.state == State::Zombie))
            .cloned()
    };
    let snapshot = shape.scan_until("zombie", |s| zombie(s).is_some());
    let zombie = zombie(&snapshot).unwrap();
    assert_eq!(zombie.tasks.len(), 1);
    assert_eq!(zombie.table, Table::Complete(Vec::new()));
}

#[test]
fn command_lines_are_read_whole_with_empty_arguments() {
    let shape = Shape::spawn(Command::new("sleep").args(["1000", "0", "0"]));
    let snapshot = shape.waiting("sleep", |w| matches!(w, Wait::Sleep { .. }));
    let words = &process(&snapshot, shape.pid()).cmdline;
    let words: Vec<_> = words.iter().map(|word| word.as_bytes()).collect();
    assert_eq!(words, [&b"sleep"[..], b"1000", b"0", b"0"]);
    let Some(shape) = Shape::python("import time; time.sleep(1000) # \u{e9}\n") else {
        return;
    };
    let snapshot = shape.waiting("sleep", |w| matches!(w, Wait::Sleep { .. }));
    let words = &process(&snapshot, shape.pid()).cmdline;
    assert_eq!(
        words.last().unwrap().as_bytes(),
        "import time; time.sleep(1000) # \u{e9}\n".as_bytes()
    );
}
