//! `pipeclog rescue --spool`: killed at every step, and every byte accounted for; and what is refused.

use std::collections::BTreeSet;

use crate::leaked::is_here;
use crate::run::{Ran, shell};

/// Plants `parent` in the background with its stdout into `$d/out`, waits until a child of it is in write(2) and a diagnosis says that it is stuck there, and goes on
/// with `then`; `$parent` and `$child` are their numbers, `$spool` is a directory that is not there yet, and `rescue` begins in it
/// whatever would fit under the limit. When the readers have gone, nobody may hold a file of the spool.
fn planted(parent: &str, then: &str) -> Ran {
    shell(&format!(
        "d=$(mktemp -d); spool=$d/spool; begin=\"pipeclog rescue --most 64k --guard 0s --spool $spool\"; rescue() {{ $begin \"$@\"; }}; \
         blocked() {{ for child in $(pgrep -P $parent); do grep -q '^1 ' /proc/$child/syscall && return; done; false; }}; \
         stuck() {{ blocked && {{ pipeclog diagnose $parent >/dev/null; case $? in 1|3) ;; *) false ;; esac; }}; }}; \
         {parent} >$d/out 2>$d/err & parent=$!; until stuck; do kill -0 $parent || exit 99; done; \
         {then}; code=$?; kill -KILL $parent $child 2>/dev/null; wait $parent; \
         while ls -l /proc/[0-9]*/fd 2>/dev/null | grep -q $spool; do :; done; rm -r $d; exit $code"
    ))
}

const HANG: &str = "pipeclog capture -s wait_then_read -- pipeclog chatty --stdout 300000";

/// Waits for the parent, and compares what it read with what the child writes.
const COMPARE: &str = "wait $parent; pipeclog chatty --stdout 300000 | cmp - $d/out";

#[test]
fn what_fits_into_no_pipe_goes_over_disk_and_nothing_stays_behind() {
    let ran = planted(
        "pipeclog capture -s wait_then_read -- pipeclog chatty --stdout 20000000",
        "pipeclog rescue --spool $spool $parent && wait $parent && \
         pipeclog chatty --stdout 20000000 | cmp - $d/out && ls -d $spool",
    );
    assert!(
        ran.stdout.contains("gave all 20000000 bytes back"),
        "{ran:?}"
    );
    // The pipe was made larger first, as far as that went; and `ls` found no directory any more.
    assert!(
        ran.stdout.contains("larger, from") && ran.code == 2,
        "{ran:?}"
    );
}

#[test]
fn killed_at_any_step_it_is_resumed_and_not_a_byte_is_lost_or_doubled() {
    killed_at_each_step(HANG, COMPARE);
}

#[test]
fn killed_at_any_step_with_two_pipes_it_is_resumed_and_not_a_byte_is_lost_or_doubled() {
    let seen = killed_at_each_step(
        "pipeclog capture -s stdout_then_stderr -- pipeclog chatty --stdout 300000 --stderr 300000 --order alternate",
        "wait $parent; pipeclog chatty --stdout 300000 2>/dev/null | cmp - $d/out && pipeclog chatty --stderr 300000 2>&1 >/dev/null | cmp - $d/err",
    );
    // Some of these steps were between the two.
    for phase in ["draining", "holding", "feeding"] {
        let both = format!("{phase} 2");
        assert!(seen.contains(&both), "{both}: {seen:?}");
    }
}

/// Kills the rescuer of `parent` at its first step, its second, and so on to the last, and each time lets another one finish: the bytes
/// must be those that `compare` says. Gives the journal's phases with their numbers of pipes, as they were met.
fn killed_at_each_step(parent: &str, compare: &str) -> BTreeSet<String> {
    let mut seen = BTreeSet::new();
    let mut steps = 0;
    loop {
        steps += 1;
        assert!(steps < 200, "it is never done");
        // The first resumption is killed as well, at one step or another: each of the first 31 has its turn, where it gets so far.
        let again = 1 + steps * 11 % 31;
        let ran = planted(
            parent,
            &format!(
                "PIPECLOG_SPOOL_KILL_AT={steps} rescue $parent >/dev/null; first=$?; \
                 at=\"$(sed -n 's/.*\"phase\": \"\\(.*\\)\".*/\\1/p' $spool/journal.json) $(grep -c '\"inode\"' $spool/journal.json)\"; \
                 [ $first = 0 ] || PIPECLOG_SPOOL_KILL_AT={again} pipeclog rescue --resume $spool >/dev/null; \
                 [ $first = 0 ] || [ ! -e $spool/journal.json ] || pipeclog rescue --resume $spool >/dev/null || exit 98; \
                 if [ $first != 0 ] && grep -q '^1 ' /proc/$child/syscall 2>/dev/null; then rescue $parent >/dev/null || exit 97; fi; \
                 {{ {compare}; }} && echo $first $at"
            ),
        );
        assert_eq!(ran.code, 0, "step {steps}: {ran:?}");
        let said = ran.stdout.trim();
        // Before the journal is there, and after, nothing is said of it.
        match said.split_once(' ').unwrap_or((said, "")) {
            ("137", at) => seen.insert(at.to_owned()),
            ("0", _) => break,
            _ => panic!("step {steps}: {ran:?}"),
        };
    }
    // The journal alone is replaced some six times.
    assert!(steps > 20, "{steps}");
    seen
}

#[test]
fn killed_in_the_middle_of_moving_bytes_it_is_resumed_and_not_a_byte_is_lost_or_doubled() {
    // Not at a step of its own, but from outside, once so many bytes are on disk, and again once so many have gone back: the kernel
    // may be at work on the next then, at any place.
    for taken in [1, 65_536, 3_000_000, 11_000_000] {
        let ran = planted(
            "pipeclog capture -s wait_then_read -- pipeclog chatty --stdout 20000000",
            &format!(
                "$begin $parent >/dev/null & rescuer=$!; \
                 until [ $(stat -c %s $spool/pipe-* || echo 0) -ge {taken} ] || ! kill -0 $rescuer; do :; done 2>/dev/null; \
                 kill -KILL $rescuer; wait $rescuer; \
                 pipeclog rescue --resume $spool >/dev/null & rescuer=$!; \
                 given() {{ holder=$(pgrep -P $rescuer) && sed -n 's/pos:\t//p' /proc/$holder/fdinfo/* | sort -n | tail -1; }}; \
                 until [ $(given || echo 0) -ge {taken} ] || ! kill -0 $rescuer; do :; done 2>/dev/null; \
                 kill -KILL $rescuer; wait $rescuer; [ ! -e $spool/journal.json ] || pipeclog rescue --resume $spool || exit 98; \
                 wait $parent; pipeclog chatty --stdout 20000000 | cmp - $d/out"
            ),
        );
        assert_eq!(ran.code, 0, "{taken}: {ran:?}");
    }
}

#[test]
fn a_pipe_that_the_writer_waits_for_through_another_process_goes_the_same_way() {
    if shell("python3 --version").code != 0 {
        println!("skipped: no python3 here");
        return;
    }
    // It writes to the parent, and then through a second process that writes to the parent too.
    let ran = planted(
        "python3 -c 'import os, subprocess
r, w = os.pipe()
b = subprocess.Popen([\"cat\"], stdin=r, stdout=subprocess.PIPE)
a = subprocess.Popen([\"perl\", \"-e\", \"syswrite STDOUT, q(a) x 300000; open W, qq(>&=$ARGV[0]); syswrite W, q(b) x 300000\", str(w)],
    stdout=subprocess.PIPE, pass_fds=[w])
os.close(r); os.close(w); a.wait()
print(a.stdout.read().count(b\"a\"), b.stdout.read().count(b\"b\"))'",
        "rescue $parent && wait $parent && cat $d/out",
    );
    assert_eq!(ran.code, 0, "{ran:?}");
    assert_eq!(ran.stdout.matches("gave all").count(), 2, "{ran:?}");
    assert!(ran.stdout.ends_with("300000 300000\n"), "{ran:?}");
}

#[test]
fn a_second_pipe_that_its_writer_meets_goes_the_same_way() {
    let ran = planted(
        "pipeclog capture -s stdout_then_stderr -- pipeclog chatty --stdout 900000 --stderr 900000 --order alternate",
        "rescue $parent && wait $parent && pipeclog chatty --stdout 900000 2>/dev/null | cmp - $d/out && \
         pipeclog chatty --stderr 900000 2>&1 >/dev/null | cmp - $d/err",
    );
    assert_eq!(ran.code, 0, "{ran:?}");
    assert_eq!(ran.stdout.matches("gave all").count(), 2, "{ran:?}");
}

#[test]
fn a_dry_run_says_whom_it_would_stop_and_makes_nothing() {
    let ran = planted(
        HANG,
        "rescue --dry-run $parent; ls -d $spool 2>/dev/null; grep -c '^1 ' /proc/$child/syscall",
    );
    assert!(ran.stdout.contains("would stop process "), "{ran:?}");
    assert!(
        ran.stdout
            .ends_with("nothing was changed, as was asked\n1\n"),
        "{ran:?}"
    );
}

#[test]
fn a_full_disk_loses_nothing_and_room_lets_it_go_on() {
    // A file of at most 102,400 bytes, and the signal that would tell of it ignored.
    let ran = planted(
        HANG,
        &format!(
            "(trap '' XFSZ; ulimit -f 200; rescue $parent); echo $?; grep State /proc/$parent/status; \
             pipeclog rescue --resume $spool && {COMPARE}"
        ),
    );
    assert_eq!(ran.code, 0, "{ran:?}");
    assert!(
        ran.stdout.contains("\n4\n") && ran.stdout.contains("T (stopped)"),
        "{ran:?}"
    );
    assert!(ran.stderr.contains("make room"), "{ran:?}");
}

/// A rescuer that was killed at the first step at which its journal names `phase`, and what comes of `then`.
fn killed_in(phase: &str, then: &str) -> Ran {
    killed_in_rescue_of(HANG, phase, then)
}

fn killed_in_rescue_of(parent: &str, phase: &str, then: &str) -> Ran {
    (1..60)
        .map(|step| {
            planted(
                parent,
                &format!(
                    "PIPECLOG_SPOOL_KILL_AT={step} rescue $parent >/dev/null; \
                     if grep -q '\"phase\": \"{phase}\"' $spool/journal.json; then {then}; else (exit 55); fi"
                ),
            )
        })
        .find(|ran| ran.code != 55)
        .expect("no step is in that phase")
}

#[test]
fn what_cannot_be_mended_any_more_is_said_and_the_bytes_stay() {
    // The holder is killed as well as the rescuer.
    let ran = killed_in(
        "feeding",
        "kill -KILL $(sed -n '/party/,/}/s/.*\"pid\": //p' $spool/journal.json | tr -d ,) && pipeclog rescue --resume $spool; echo $?; \
         kill -CONT $parent; ls $spool | grep -c pipe-",
    );
    assert_eq!(ran.stdout, "4\n1\n", "{ran:?}");
    assert!(ran.stderr.contains("has been killed as well"), "{ran:?}");
    // Somebody lets the reader go on.
    let ran = killed_in(
        "draining",
        "kill -CONT $parent; while grep -q 'State:.T' /proc/$parent/status; do :; done; pipeclog rescue --resume $spool; echo $?",
    );
    assert_eq!(ran.stdout, "4\n", "{ran:?}");
    assert!(
        ran.stderr.contains("somebody has let a reader go on"),
        "{ran:?}"
    );
    // And while the rescuer lives, which then takes no more and gives nothing.
    let ran = planted(
        "mkfifo $d/go; pipeclog capture -s wait_then_read -- perl -e 'syswrite STDOUT, q(a) x 300000; open G, $ARGV[0]; <G>' $d/go",
        "$begin $parent & rescuer=$!; until [ $(stat -c %s $spool/pipe-* || echo 0) = 300000 ] 2>/dev/null; do :; done; \
         kill -CONT $parent; wait $rescuer",
    );
    assert_eq!(ran.code, 4, "{ran:?}");
    assert!(
        ran.stderr.contains("somebody has let a reader go on"),
        "{ran:?}"
    );
    // The reader is killed: its writer learns of it as ever.
    let ran = killed_in(
        "draining",
        "kill -KILL $parent; wait $parent; while grep -q '^1 ' /proc/$child/syscall 2>/dev/null; do :; done; \
         pipeclog rescue --resume $spool; echo $?",
    );
    assert_eq!(ran.stdout, "4\n", "{ran:?}");
    assert!(ran.stderr.contains("every reader has ended"), "{ran:?}");
}

#[test]
fn whoever_could_come_to_harm_is_not_stopped() {
    if shell("python3 --version").code != 0 {
        println!("skipped: no python3 here");
        return;
    }
    const CHILD: &str = "p = subprocess.Popen([\"head\", \"-c\", \"300000\", \"/dev/zero\"], stdout=subprocess.PIPE)";
    let hazards = [
        (
            "p = subprocess.Popen([\"cat\"], stdin=subprocess.PIPE, stdout=subprocess.PIPE); os.write(p.stdin.fileno(), bytes(900000))",
            "until grep -q '^1 ' /proc/$parent/syscall; do :; done",
            "in the middle of a write",
        ),
        (
            &format!("{CHILD}; os.set_blocking(p.stdout.fileno(), False); p.wait()"),
            ":",
            "it reads without blocking",
        ),
        (
            "a, b = socket.socketpair()
p = subprocess.Popen([\"head\", \"-c\", \"300000\", \"/dev/zero\"], stdout=subprocess.PIPE, pass_fds=[b.fileno()])
b.send(bytes(10)); b.close(); a.recv(100, socket.MSG_WAITALL)",
            "until grep -q '^45 ' /proc/$parent/syscall; do :; done",
            "it receives until it has all (MSG_WAITALL)",
        ),
        (
            &format!("{CHILD}; signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGCHLD]); signal.sigwait([signal.SIGCHLD])"),
            "until grep -q '^128 ' /proc/$parent/syscall; do :; done",
            "it sleeps in a call that a stop interrupts (EINTR)",
        ),
        (
            &format!("signal.signal(signal.SIGCONT, lambda *_: None); {CHILD}; p.wait()"),
            ":",
            "it has a handler for SIGCONT",
        ),
        (
            "r, w = os.pipe2(os.O_DIRECT)
p = subprocess.Popen([\"dd\", \"if=/dev/zero\", \"bs=100\", \"count=900\", \"status=none\"], stdout=w); os.close(w); p.wait()",
            ":",
            "packet mode",
        ),
        (
            &format!(
                "r, w = os.pipe(); {}; os.close(w); os.set_blocking(r, False); p.wait()",
                CHILD.replace("PIPE)", "PIPE, stderr=w)")
            ),
            ":",
            "which could not follow: it reads without blocking",
        ),
        (
            "os.mkfifo(sys.argv[1] + \"/fifo\"); p = subprocess.Popen([\"sh\", \"-c\", \"exec head -c 300000 /dev/zero >$0/fifo\", sys.argv[1]])
r = os.open(sys.argv[1] + \"/fifo\", os.O_RDONLY); p.wait()",
            ":",
            "only a pipe without a name can be",
        ),
    ];
    for (program, ready, why) in hazards {
        let ran = planted(
            &format!("python3 -c 'import os, signal, socket, subprocess, sys\n{program}' $d"),
            &format!(
                "{ready}; rescue $parent; code=$?; ls -d $spool; grep State /proc/$parent/status; [ $code = 1 ]"
            ),
        );
        assert_eq!(ran.code, 0, "{why}: {ran:?}");
        assert!(ran.stdout.ends_with("S (sleeping)\n"), "{why}: {ran:?}");
        assert!(ran.stderr.contains(why), "{why}: {ran:?}");
        // What `ls` says of the directory that is not there.
        assert!(ran.stderr.contains("cannot access"), "{why}: {ran:?}");
    }
}

/// Readers in calls that a stop leaves alone: what they print in the end.
#[test]
fn a_reader_that_waits_for_a_signal_of_its_child_or_at_a_socket_gets_all() {
    if !is_here("python3") {
        return;
    }
    const CHILD: &str = "p = subprocess.Popen([\"head\", \"-c\", \"300000\", \"/dev/zero\"], stdout=subprocess.PIPE)";
    let told = "told = []; signal.signal(signal.SIGCHLD, lambda *_: told.append(1))";
    let rows = [
        // Between a check and pause(2) a signal is lost; none comes here before the child has ended, and it is stuck.
        format!("{told}; {CHILD}\nwhile not told: signal.pause()\nn = len(told)"),
        format!("{told}; {CHILD}; p.wait(); n = len(told)"),
        "a, b = socket.socketpair()
p = subprocess.Popen([\"perl\", \"-e\", \"syswrite STDOUT, q(a) x 300000; open W, qq(>&=$ARGV[0]); syswrite W, q(b)\", str(b.fileno())],
    stdout=subprocess.PIPE, pass_fds=[b.fileno()])
b.close(); n = len(a.recv(100))"
            .to_owned(),
    ];
    for program in rows {
        let ran = planted(
            &format!(
                "python3 -c 'import os, signal, socket, subprocess, sys\n{program}\nprint(n, len(p.stdout.read()))'"
            ),
            "rescue $parent && wait $parent && cat $d/out",
        );
        assert_eq!(ran.code, 0, "{program}: {ran:?}");
        assert!(ran.stdout.ends_with("\n1 300000\n"), "{program}: {ran:?}");
    }
}

#[test]
fn a_grandchild_that_keeps_the_writing_end_is_told_of() {
    if !is_here("python3") {
        return;
    }
    // It sleeps for now, and could end the others when it wakes.
    let ran = planted(
        "python3 -c 'import subprocess
p = subprocess.Popen([\"sh\", \"-c\", \"sleep 600 & exec head -c 300000 /dev/zero\"], stdout=subprocess.PIPE); p.wait()'",
        "rescue $parent; code=$?; grep State /proc/$parent/status; pkill -P $child sleep; [ $code = 1 ]",
    );
    assert_eq!(ran.code, 0, "{ran:?}");
    assert!(ran.stdout.ends_with("S (sleeping)\n"), "{ran:?}");
    assert!(
        ran.stderr.contains("the proof stands on assumptions"),
        "{ran:?}"
    );
    // It waits for the parent, who is stopped, and would keep the end for ever.
    let ran = planted(
        "python3 -c 'import os, subprocess
r, w = os.pipe()
p = subprocess.Popen([\"sh\", \"-c\", f\"exec {w}>&-; cat <&{r} & echo $! >&2; exec head -c 300000 /dev/zero {r}<&-\"],
    stdout=subprocess.PIPE, pass_fds=[r, w])
os.close(r); p.wait(); os.close(w); print(len(p.stdout.read()))'",
        "rescue $parent; echo $?; kill $(cat $d/err); pipeclog rescue --resume $spool && wait $parent && cat $d/out",
    );
    assert_eq!(ran.code, 0, "{ran:?}");
    assert!(
        ran.stdout.contains("\n4\n") && ran.stdout.ends_with("300000\n"),
        "{ran:?}"
    );
    assert!(
        ran.stderr
            .contains("which only those can write who are stopped"),
        "{ran:?}"
    );
}

#[test]
fn a_directory_that_is_in_use_is_left_alone() {
    let ran = planted(
        HANG,
        "mkdir $spool; echo mine >$spool/file; rescue $parent; echo $?; cat $spool/file; pipeclog rescue --resume $spool; echo $?; \
         pipeclog rescue --resume $d/none; echo $?; grep State /proc/$parent/status",
    );
    assert!(
        ran.stdout.contains("\n1\nmine\n1\n1\n") && ran.stdout.contains("S (sleeping)"),
        "{ran:?}"
    );
    assert!(ran.stderr.contains("the directory is not empty"), "{ran:?}");
}

#[test]
fn a_writer_that_waits_for_an_answer_of_the_stopped_reader_is_told_and_loses_nothing() {
    if !is_here("python3") {
        return;
    }
    let ran = planted(
        "python3 -c 'import subprocess
p = subprocess.Popen([\"perl\", \"-e\", \"syswrite STDOUT, q(a) x 300000; <STDIN>\"], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
p.wait(); print(len(p.stdout.read()))'",
        "rescue $parent; echo $?; kill $child; pipeclog rescue --resume $spool && wait $parent && cat $d/out",
    );
    assert_eq!(ran.code, 0, "{ran:?}");
    assert!(
        ran.stdout.contains("\n4\n") && ran.stdout.ends_with("300000\n"),
        "{ran:?}"
    );
    assert!(
        ran.stderr
            .contains("which only those can write who are stopped"),
        "{ran:?}"
    );
}

#[test]
fn a_directory_that_others_may_write_to_is_not_used() {
    let ran = planted(
        HANG,
        "mkdir -m 777 $spool; rescue $parent; echo $?; pipeclog rescue --resume $spool; echo $?; grep State /proc/$parent/status",
    );
    assert!(
        ran.stdout.ends_with("1\n1\nState:\tS (sleeping)\n"),
        "{ran:?}"
    );
    assert_eq!(
        ran.stderr.matches("others may write there").count(),
        2,
        "{ran:?}"
    );
}

#[test]
fn a_reader_that_is_left_when_the_first_has_been_killed_gets_all() {
    if !is_here("python3") {
        return;
    }
    // Both can read the pipe; the second waits for the first, and reads when that has gone.
    let ran = killed_in_rescue_of(
        "python3 -c 'import os, subprocess
p = subprocess.Popen([\"head\", \"-c\", \"300000\", \"/dev/zero\"], stdout=subprocess.PIPE)
r, w = os.pipe()
if os.fork() == 0:
    os.close(w); os.read(r, 1)
    print(len(p.stdout.read()), flush=True); os._exit(0)
os.close(r); p.wait()'",
        "draining",
        "kill -KILL $parent; pipeclog rescue --resume $spool; echo $?; until grep -q 0 $d/out; do :; done; cat $d/out",
    );
    assert!(ran.stdout.ends_with("0\n300000\n"), "{ran:?}");
}
