//! `pipeclog rescue --close-leaked`: what can be closed from outside, and what cannot.

use crate::run::{Ran, shell};

/// A python program whose child leaves a `sleep` behind with its stdout, which is `end`; the program reads from `rest` until the end of file,
/// says how many bytes came, and ends. Goes on with `then` once the program sleeps in its second read; `$parent` and `$holder` are their numbers.
fn planted(ends: &str, then: &str) -> Ran {
    shell(&format!(
        "d=$(mktemp -d); python3 -c '
import os, socket, subprocess, sys
{ends}
subprocess.run([\"sh\", \"-c\", \"echo some; sleep 600 & echo $! >$0/holder\", sys.argv[1]], stdout=w)
os.close(w); n = len(os.read(r, 100)); open(sys.argv[1] + \"/ready\", \"w\").close(); n += len(os.read(r, 100)); print(n)' $d >$d/out & parent=$!; \
         until [ -e $d/ready ] && grep -q '^0 ' /proc/$parent/syscall; do kill -0 $parent || exit 99; done; holder=$(cat $d/holder); \
         {then}; code=$?; kill $holder $parent 2>/dev/null; wait $parent; rm -r $d; exit $code"
    ))
}

const PIPE: &str = "r, w = os.pipe()";
const SOCKET: &str = "r, w = [s.detach() for s in socket.socketpair()]";

#[expect(clippy::print_stdout, reason = "a skipped test says so")]
pub(crate) fn is_here(program: &str) -> bool {
    let is_here = shell(&format!("{program} --version")).code == 0;
    if !is_here {
        println!("skipped: no {program} here");
    }
    is_here
}

#[test]
fn a_leaked_end_of_a_socket_is_shut_and_its_reader_sees_the_end() {
    if !is_here("python3") {
        return;
    }
    let ran = planted(
        SOCKET,
        "pipeclog rescue --dry-run --close-leaked $parent && grep -c '^0 ' /proc/$parent/syscall && \
         pipeclog rescue --close-leaked $parent && wait $parent && cat $d/out && kill -0 $holder && echo lives",
    );
    assert_eq!(ran.code, 0, "{ran:?}");
    assert!(
        ran.stdout
            .contains("would shut the leaked end of unix socket pair:[")
            && ran
                .stdout
                .contains("\nshut the leaked end of unix socket pair:[")
            && ran.stdout.ends_with("\n5\nlives\n"),
        "{ran:?}"
    );
}

#[test]
fn a_leaked_end_of_a_pipe_is_refused_and_what_the_refusal_says_helps() {
    if !is_here("python3") {
        return;
    }
    let ran = planted(
        PIPE,
        "pipeclog rescue --close-leaked $parent; echo $?; grep -c '^0 ' /proc/$parent/syscall; kill $holder; wait $parent; cat $d/out",
    );
    assert_eq!(ran.stdout, "1\n1\n5\n", "{ran:?}");
    assert!(
        ran.stderr
            .contains("no system call closes a descriptor of another process"),
        "{ran:?}"
    );
    if !is_here("gdb") {
        return;
    }
    // The line of the debugger, as it is told.
    let ran = planted(
        PIPE,
        "eval $(pipeclog rescue --close-leaked $parent 2>&1 | sed -n \"s/.*debugger: \\(gdb .*)'\\);.*/\\1/p\") >$d/gdb 2>&1; \
         if grep -q 'Operation not permitted' $d/gdb; then echo 5; else wait $parent; cat $d/out; fi",
    );
    assert_eq!((ran.code, ran.stdout.as_str()), (0, "5\n"), "{ran:?}");
}

#[test]
fn an_end_that_is_held_on_purpose_is_nobodys_leak() {
    let ran = shell(
        "d=$(mktemp -d); mkfifo $d/f; sh -c 'sleep 600 | cat' & parent=$!; \
         until cat=$(pgrep -P $parent cat) && grep -q '^0 ' /proc/$cat/syscall; do kill -0 $parent || exit 99; done; \
         pipeclog rescue --close-leaked $cat; code=$?; kill $(pgrep -P $parent) ; wait $parent; rm -r $d; exit $code",
    );
    assert_eq!(ran.code, 1, "{ran:?}");
    assert!(ran.stderr.contains("none is known"), "{ran:?}");
    let ran = shell(
        "pipeclog rescue --close-leaked 4194303; echo $?; pipeclog rescue --close-leaked --spool /nowhere 1; echo $?",
    );
    assert_eq!(ran.stdout, "2\n2\n", "{ran:?}");
}
