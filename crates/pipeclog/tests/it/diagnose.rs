//! `pipeclog diagnose` on live processes of this test.

use pipeclog_waitgraph::Untrusted;

use crate::rescue::can_be_another_user;
use crate::run::{pipeclog, shell};

/// A hazard that hangs, diagnosed as soon as its child is blocked; `$parent` is its number.
fn hung(then: &str) -> crate::run::Ran {
    shell(&format!(
        "pipeclog capture -s wait_then_read -- head -c 70000 /dev/zero >/dev/null & parent=$!; \
         until child=$(pgrep -P $parent) && grep -q '^1 ' /proc/$child/syscall; do kill -0 $parent; done; \
         {then}; code=$?; kill $parent $child; exit $code"
    ))
}

#[test]
fn a_deadlock_is_proven_and_told_in_the_first_line() {
    let ran = hung("pipeclog diagnose $parent");
    assert_eq!(ran.code, 1, "{ran:?}");
    let first = ran.stdout.lines().next().unwrap_or_default();
    assert!(first.starts_with("deadlock, proven: pipeclog ("), "{first}");
    assert!(
        ran.stdout.contains("class: wait-then-read"),
        "{}",
        ran.stdout
    );
}

/// The same below a script, with somebody beside it who sleeps and then ends it: `$killer` is a shell that waits for a `sleep`.
fn hung_beside_a_killer(killer: &str, then: &str) -> crate::run::Ran {
    shell(&format!(
        "d=$(mktemp -d); mkfifo $d/go; \
         sh -c 'pipeclog capture -s wait_then_read -- head -c 70000 /dev/zero >/dev/null 2>&1 & c=$!; \
                {killer} & echo $c $! >$0/go; wait $c' $d & top=$!; \
         read parent killer <$d/go; \
         until child=$(pgrep -P $parent) && grep -q '^1 ' /proc/$child/syscall; do kill -0 $parent; done; \
         until sleep=$(pgrep -P $killer sleep); do kill -0 $killer; done; \
         {then}; kill -KILL $killer $sleep $top $parent $child; rm -r $d"
    ))
}

#[test]
fn a_sibling_that_sleeps_before_it_kills_leaves_no_proof_and_is_named_and_once_it_has_gone_there_is_one()
 {
    // Who is beside whoever asks is nobody of the run, though the group is one and the one who looks has another.
    let ran = hung_beside_a_killer(
        "(sleep 600; kill $c)",
        "sleep 600 & beside=$!; timeout 100 pipeclog diagnose --format json --save $d/looks $parent; echo; echo code $?; kill $beside; \
         echo sleep $sleep killer $killer; pipeclog diagnose --from $d/looks $parent; \
         kill -KILL $killer $sleep; while kill -0 $sleep; do :; done; \
         pipeclog diagnose $parent",
    );
    let first = ran.stdout.split("\ncode ").next().unwrap_or_default();
    let report: serde_json::Value = serde_json::from_str(first).unwrap();
    assert_eq!(report["verdict"], "deadlocked", "{ran:?}");
    assert_eq!(report["confidence"], "probable", "{ran:?}");
    assert_eq!(
        report["assumptions"].as_array().unwrap().len(),
        1,
        "{ran:?}"
    );
    assert_eq!(
        report["assumptions"][0]["assumption"]["assumes"],
        "no_signal"
    );
    let told = report["assumptions"][0]["text"].as_str().unwrap();
    assert_eq!(told.matches("sleep (").count(), 1, "{told}");
    assert!(told.contains("which waits with a timeout"), "{told}");
    let after = ran.stdout.split("\ncode ").nth(1).unwrap_or_default();
    assert!(
        after.contains("\ndeadlock, probable: pipeclog ("),
        "{after}"
    );
    assert!(after.contains("\ndeadlock, proven: pipeclog ("), "{after}");
}

#[test]
fn a_timeout_above_a_deadlock_leaves_no_proof_and_is_named() {
    let ran = shell(
        "d=$(mktemp -d); mkfifo $d/go; \
         timeout 600 sh -c 'pipeclog capture -s wait_then_read -- head -c 70000 /dev/zero >/dev/null 2>&1 & echo $! >$0/go; wait' $d & top=$!; \
         read parent <$d/go; \
         until child=$(pgrep -P $parent) && grep -q '^1 ' /proc/$child/syscall; do kill -0 $parent; done; \
         pipeclog diagnose $parent; code=$?; kill $top; wait $top; rm -r $d; exit $code",
    );
    assert_eq!(ran.code, 3, "{ran:?}");
    assert!(ran.stdout.starts_with("deadlock, probable: "), "{ran:?}");
    assert!(
        ran.stdout.contains("signals one of them: timeout ("),
        "{ran:?}"
    );
}

#[test]
fn a_watchdog_beside_a_deadlock_in_a_session_of_its_own_leaves_no_proof_and_is_named() {
    let ran = hung_beside_a_killer(
        "setsid sh -c \"sleep 600; kill $c\"",
        "pipeclog diagnose $parent",
    );
    assert!(ran.stdout.starts_with("deadlock, probable: "), "{ran:?}");
    assert!(ran.stdout.contains("sleep ("), "{ran:?}");
}

#[test]
fn a_runner_that_leads_a_terminal_and_waits_with_a_timeout_leaves_no_proof_and_one_that_waits_as_a_shell_does()
 {
    let told = |wait: &str| {
        let runner = format!(
            "import os, pty, subprocess, sys
pid, _ = pty.fork()
if pid == 0:
    command = 'pipeclog capture -s wait_then_read -- head -c 70000 /dev/zero'.split()
    quiet = subprocess.DEVNULL
    child = subprocess.Popen(command, stdout=quiet, stderr=quiet, preexec_fn=os.setpgrp)
    with open(sys.argv[1], 'w') as go:
        print(child.pid, os.getpid(), file=go)
    {wait}
os.waitpid(pid, 0)
"
        );
        shell(&format!(
            "d=$(mktemp -d); mkfifo $d/go; python3 -c \"{runner}\" $d/go & top=$!; \
             read parent runner <$d/go; \
             until child=$(pgrep -P $parent) && grep -q '^1 ' /proc/$child/syscall; do kill -0 $parent; done; \
             until ! grep -q running /proc/$runner/syscall; do kill -0 $runner; done; \
             echo runner $runner; pipeclog diagnose $parent; \
             kill -KILL $runner $top $parent $child; rm -r $d"
        ))
    };
    let ran = told("child.wait(timeout=600)");
    assert!(ran.stdout.contains("\ndeadlock, probable: "), "{ran:?}");
    let runner = ran
        .stdout
        .lines()
        .next()
        .and_then(|line| line.split(' ').nth(1));
    let runner = runner.unwrap_or_default();
    assert!(ran.stdout.contains(&format!(" ({runner})")), "{ran:?}");
    let ran = told("child.wait()");
    assert!(ran.stdout.contains("\ndeadlock, proven: "), "{ran:?}");
}

#[test]
fn what_was_saved_gives_the_same_diagnosis() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("looks.json").display().to_string();
    let ran = hung(&format!(
        "pipeclog diagnose --format json --save {file} $parent >{file}.1; \
         pipeclog diagnose --format json --from {file} $parent >{file}.2; cmp {file}.1 {file}.2"
    ));
    assert_eq!(ran.code, 0, "{ran:?}");
}

#[test]
fn json_has_its_verdict_at_the_top() {
    let ran = hung("pipeclog diagnose --format json $parent");
    let report: serde_json::Value = serde_json::from_str(&ran.stdout).unwrap();
    for key in [
        "schema_version",
        "verdict",
        "confidence",
        "class",
        "members",
        "culprit",
        "fix",
        "assumptions",
        "gaps",
    ] {
        assert!(report.get(key).is_some(), "{key}: {}", ran.stdout);
    }
    assert_eq!(report["verdict"], "deadlocked");
}

#[test]
fn a_sleeper_is_not_stuck() {
    let ran = shell("sleep 600 & pipeclog diagnose $!; code=$?; kill $!; exit $code");
    assert_eq!(ran.code, 0, "{ran:?}");
    assert!(!ran.stdout.contains("deadlock"), "{}", ran.stdout);
}

#[test]
fn a_process_that_is_not_there_is_an_error() {
    // The largest number that a pid can have, and it is not given out before all others.
    let ran = pipeclog(&["diagnose", "4194303"]);
    assert_eq!(ran.code, 2, "{ran:?}");
    assert!(ran.stderr.contains("4194303"), "{}", ran.stderr);
}

#[test]
fn what_is_stuck_is_shown_if_that_is_asked_for_and_only_then() {
    let ran = hung("pipeclog diagnose --peek $parent");
    assert_eq!(ran.code, 1, "{ran:?}");
    assert!(ran.stdout.contains("looked inside"), "{}", ran.stdout);
    assert!(ran.stdout.contains("bytes unread"), "{}", ran.stdout);
    assert!(ran.stdout.contains("begins: \\0\\0"), "{}", ran.stdout);
    let ran = hung("pipeclog diagnose $parent");
    assert!(!ran.stdout.contains("unread\n"), "{}", ran.stdout);
}

#[test]
fn a_deadlock_below_a_live_process_comes_first_and_decides_the_exit_code() {
    let ran = hung("pipeclog diagnose $$");
    assert_eq!(ran.code, 1, "{ran:?}");
    assert!(
        ran.stdout.starts_with("deadlock, proven: "),
        "{}",
        ran.stdout
    );
    assert!(
        ran.stdout.contains("which was asked about:"),
        "{}",
        ran.stdout
    );
}

#[test]
fn wrong_input_is_told_once_with_what_to_do() {
    let ran = pipeclog(&["diagnose", "abc"]);
    assert_eq!(ran.code, 2, "{ran:?}");
    assert!(ran.stderr.contains("pgrep"), "{}", ran.stderr);
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("looks.json");
    std::fs::write(&file, "{").unwrap();
    let ran = pipeclog(&["diagnose", "--from", &file.display().to_string()]);
    assert_eq!(ran.code, 2, "{ran:?}");
    assert_eq!(
        ran.stderr.matches("failed to read").count(),
        1,
        "{}",
        ran.stderr
    );
    assert!(ran.stderr.contains("--save"), "{}", ran.stderr);
}

#[test]
fn a_save_that_fails_leaves_the_old_file_whole_and_nothing_beside_it() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("looks.json").display().to_string();
    let ran = shell(&format!(
        "printf old >{file}; trap '' XFSZ; (ulimit -f 0; pipeclog diagnose --save {file} $$ >/dev/null); code=$?; \
         cat {file}; ls -A {}; exit $code",
        folder.path().display()
    ));
    assert_eq!(ran.code, 2, "{ran:?}");
    assert_eq!(ran.stdout, "oldlooks.json\n", "{ran:?}");
    assert!(
        ran.stderr.contains(&file) && ran.stderr.contains("ulimit -f"),
        "{ran:?}"
    );
}

/// The kill follows the first bytes of the file that is to take the name's place, later and later.
#[test]
fn killed_at_a_hundred_points_a_save_leaves_the_old_file_or_the_new_one_and_never_half_of_one() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path().display();
    let ran = shell(&format!(
        "f={folder}/looks.json; i=0; old=0; new=0; \
         while [ $i -lt 100 ]; do \
             printf old >$f; pipeclog diagnose --look 1ms --save $f $$ >/dev/null 2>&1 & p=$!; \
             until set -- {folder}/.??*; [ -s \"$1\" ] || [ $(wc -c <$f) -gt 3 ] || ! kill -0 $p 2>/dev/null; do :; done; \
             j=0; while [ $j -lt $((i * 4)) ]; do j=$((j + 1)); done; \
             kill -KILL $p 2>/dev/null; wait $p; rm -f {folder}/.??*; \
             if [ $(wc -c <$f) = 3 ]; then old=$((old + 1)); \
             elif pipeclog diagnose --from $f $$ >/dev/null; [ $? != 2 ]; then new=$((new + 1)); fi; \
             i=$((i + 1)); \
         done; echo $((old + new)) of 100; echo $old old, $new new >&2"
    ));
    assert_eq!(ran.stdout, "100 of 100\n", "{ran:?}");
}

#[test]
fn a_place_where_nothing_can_be_saved_is_told_before_the_look() {
    let ran = pipeclog(&[
        "diagnose",
        "--save",
        "/nowhere/at/all/looks.json",
        "4194303",
    ]);
    assert_eq!(ran.code, 2, "{ran:?}");
    assert!(
        ran.stderr
            .starts_with("pipeclog: failed to write /nowhere/at/all/looks.json: No such file")
            && ran.stderr.contains("make its directory first"),
        "{ran:?}"
    );
}

#[test]
fn what_is_saved_to_stdout_is_written_where_stdout_goes() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("looks.json").display().to_string();
    let ran = shell(&format!(
        "pipeclog diagnose --format dot --save /dev/stdout $$ >>{file}; test -L /dev/stdout && grep -c schema_version {file}"
    ));
    assert_eq!(ran.code, 0, "{ran:?}");
}

#[test]
fn bash_reads_the_words_of_a_command_back() {
    if shell("command -v bash").code != 0 {
        eprintln!("skipped: there is no bash");
        return;
    }
    let payloads: [&[u8]; 5] = [
        b"a b\n\\\x1b[31m\xff'\"`$(x)",
        b"it's \\ \"q\"",
        b"~/x *",
        "\u{202e}\u{e0001}\u{e9}".as_bytes(),
        b"\\'",
    ];
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("script");
    for payload in payloads {
        let word = Untrusted::from(payload).shell_word();
        std::fs::write(&file, format!("printf %s {word}")).unwrap();
        let ran = shell(&format!("LC_ALL=C.UTF-8 bash {}", file.display()));
        assert_eq!(ran.stdout, String::from_utf8_lossy(payload), "{word}");
    }
}

#[test]
fn a_user_who_may_start_no_thread_more_has_everything_looked_at_and_is_told_that_nothing_can_be_watched()
 {
    if !can_be_another_user() {
        return;
    }
    let alone = |what: &str| {
        shell(&format!(
            "d=$(mktemp -d); chmod 755 $d; cp $(which pipeclog) $d; sleeps=; for _ in $(seq 16); do sleep 600 & sleeps=\"$sleeps $!\"; done; PATH=/usr/bin:/bin; user=$((20000 + $$ % 40000)); \
             setpriv --reuid=$user --regid=$user --clear-groups prlimit --nproc=1 $d/pipeclog {what}; code=$?; \
             kill $sleeps; rm -r $d; exit $code"
        ))
    };
    // Of others such a user sees too little to say more.
    let all = alone("diagnose --all");
    assert_eq!(all.code, 4, "{all:?}");
    let watch = alone("watch -- true");
    assert_eq!(watch.code, 125, "{watch:?}");
    assert!(watch.stderr.contains("ulimit -u"), "{watch:?}");
}
