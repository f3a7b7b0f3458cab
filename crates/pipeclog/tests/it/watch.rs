//! `pipeclog watch`: timeout(1) side by side, what it says of a hang, and that nothing outlives it.

use crate::leaked::is_here;
use crate::marked::{Mark, VARIABLE};
use crate::run::{Ran, pipeclog, shell};

/// A parent that waits before it reads, and a child that writes more than the pipe holds.
const DEADLOCK: &str = "pipeclog capture -s wait_then_read -- head -c 200000 /dev/zero";

#[test]
fn codes_and_output_are_those_of_timeout() {
    // What timeout(1) is given, and the command.
    let rows = [
        ("10", "true"),
        ("10", "sh -c 'echo out; exit 7'"),
        ("10", "sh -c 'exit 255'"),
        ("10", "sh -c 'kill -TERM $$'"),
        ("10", "sh -c 'kill -KILL $$'"),
        ("10", "sh -c 'kill -USR1 $$'"),
        ("10", "sh -c 'kill -SEGV $$'"),
        ("10", "sh -c 'kill -PIPE $$'"),
        ("10", "sh -c 'kill -34 $$'"),
        ("10", "sh -c 'kill -64 $$'"),
        ("10", "no-such-command-here"),
        ("10", "/etc"),
        ("10", "/etc/passwd"),
        ("0.1", "sleep 600"),
        ("0.1s", "sleep 600"),
        ("-s INT 0.1", "sleep 600"),
        ("-s 1 0.1", "sleep 600"),
        ("-s SIGKILL 0.1", "sleep 600"),
        ("--signal=QUIT 0.1", "sleep 600"),
        ("-s RTMIN 0.1", "sleep 600"),
        ("-s rtmin+3 0.1", "sleep 600"),
        ("--signal=SIGRTMAX-2 0.1", "sleep 600"),
        ("-s 34 0.1", "sleep 600"),
        ("-s 64 0.1", "sleep 600"),
        ("-s 143 0.1", "sleep 600"),
        (
            "--preserve-status -s RTMIN 0.1",
            "sh -c 'trap \"exit 9\" 34; sleep 600 & wait'",
        ),
        ("--preserve-status -s RTMAX 0.1", "sleep 600"),
        ("--preserve-status 0.1", "sleep 600"),
        (
            "--preserve-status 0.1",
            "sh -c 'trap \"exit 9\" TERM; sleep 600 & wait'",
        ),
        ("--foreground 0.1", "sleep 600"),
        (
            "-k 0.1 0.1",
            "sh -c 'trap \"\" TERM; while :; do read x </dev/null; done'",
        ),
        ("-k 10 0.1", "sleep 600"),
        ("-s CONT -k 0.1 0.1", "sleep 600"),
        ("0.1", "sh -c 'kill -STOP $$; exit 5'"),
        ("0", "sh -c 'exit 3'"),
        ("1d", "cat /dev/null"),
        ("10", "env -u HOME sh -c 'cat; echo end' </dev/null"),
        ("ten", "true"),
        ("-s NOSUCH 10", "true"),
        ("-s 32 10", "true"),
        ("-s 65 10", "true"),
        ("-s RTMIN-1 10", "true"),
        ("-s RTMAX+1 10", "true"),
        ("-s RTMIN+31 10", "true"),
        ("-k soon 10", "true"),
    ];
    for (arguments, command) in rows {
        let (options, duration) = arguments.rsplit_once(' ').unwrap_or(("", arguments));
        let theirs = shell(&format!("timeout {options} {duration} {command}"));
        let ours = shell(&format!(
            "pipeclog watch {options} --timeout {duration} -- {command}"
        ));
        assert_eq!(
            (ours.code, &ours.stdout),
            (theirs.code, &theirs.stdout),
            "{arguments} {command}: {}",
            ours.stderr
        );
    }
}

/// What timeout(1) and ours do with this stdin, which the command reads and passes on.
#[test]
fn stdin_comes_through_untouched_to_its_last_byte() {
    for stdin in ["</dev/null", "<&-", "<$0"] {
        let run = |watcher: &str| {
            shell(&format!(
                "d=$(mktemp -d); head -c 300000 /dev/urandom >$d/in; sh -c '{watcher} cat {stdin}' $d/in | cmp - $d/in 2>&1 | sed 's/ after .*//;s,[^ ]*/in,in,'; rm -r $d"
            ))
        };
        let (ours, theirs) = (run("pipeclog watch --timeout 60 --"), run("timeout 60"));
        assert_eq!(ours.stdout, theirs.stdout, "{stdin}: {ours:?}");
    }
    // What the command leaves unread of its stdin is there for whoever comes next.
    for watcher in ["pipeclog watch --timeout 60 --", "timeout 60"] {
        let ran = shell(&format!(
            "printf 'one\\ntwo\\n' | {{ {watcher} sh -c 'read x'; cat; }}"
        ));
        assert_eq!(ran.stdout, "two\n", "{watcher}: {ran:?}");
    }
}

#[test]
fn signals_that_end_it_are_told_where_that_is_asked_for() {
    let told = |ran: &Ran| {
        ran.stderr
            .lines()
            .filter_map(|line| Some(line.split_once("sending signal ")?.1.to_owned()))
            .map(|line| line.replace(['‘', '’'], "'"))
            .collect::<Vec<_>>()
    };
    for (signal, number) in [("HUP", 1), ("RTMIN", 34), ("RTMIN+3", 37), ("RTMAX-2", 62)] {
        let stubborn = format!("-v -k 0.1 -s {signal}");
        let command = format!("sh -c 'trap \"\" {number}; while :; do read x </dev/null; done'");
        let theirs = shell(&format!("timeout {stubborn} 0.1 {command}"));
        let ours = shell(&format!(
            "pipeclog watch {stubborn} --timeout 0.1 -- {command}"
        ));
        assert_eq!(told(&ours), told(&theirs), "{ours:?}");
        assert_eq!(
            told(&ours),
            [
                format!("{signal} to command 'sh'"),
                "KILL to command 'sh'".to_owned()
            ],
            "{ours:?}"
        );
    }
    let ran = shell("pipeclog watch --timeout 0.1 -- sleep 600");
    assert_eq!(told(&ran), [""; 0], "{ran:?}");
}

#[test]
fn a_signal_sent_to_it_goes_to_the_command_and_its_death_is_told_as_timeout_tells_it() {
    // A shell in the background ignores INT and QUIT, and so does what it starts: those are tried at a terminal. Of all that a shell
    // waits in, only `wait` is sure to be ended by a trap: an open or a read may fail instead. timeout(1) sends each signal twice, to the
    // command and to its group: the second is let pass.
    for (signal, option) in [
        ("TERM", ""),
        ("HUP", ""),
        ("USR1", ""),
        ("USR2", ""),
        ("34", "-s RTMIN"),
    ] {
        let run = |watcher: &str| {
            shell(&format!(
                "d=$(mktemp -d); mkfifo $d/go; \
                 {watcher} sh -c '(trap \"\" {signal}; exec sleep 600 >/dev/null 2>&1) & \
                 trap \"trap : {signal}; kill -KILL $!; echo got; exit 5\" {signal}; echo ready >'$d'/go; while :; do wait; done' & \
                 read x <$d/go; kill -{signal} $!; wait $!; echo $?; rm -r $d"
            ))
        };
        let ours = run(&format!("pipeclog watch {option} --"));
        assert_eq!(ours.stdout, "got\n5\n", "{signal}: {}", ours.stderr);
        // timeout(1) dies of the others.
        if ["TERM", "HUP", "34"].contains(&signal) {
            let theirs = run(&format!("timeout {option} 600"));
            assert_eq!(ours.stdout, theirs.stdout, "{signal}");
        }
    }
}

#[test]
fn a_deadlock_is_explained_and_ended_with_124() {
    let ran = shell(&format!("pipeclog watch -- {DEADLOCK}"));
    assert_eq!(ran.code, 124, "{ran:?}");
    assert!(
        ran.stderr.contains("deadlock, proven: pipeclog ("),
        "{ran:?}"
    );
    assert!(ran.stderr.contains("class: wait-then-read"), "{ran:?}");
}

#[test]
fn a_deadlock_that_somebody_beside_it_will_end_is_let_go_on_and_told_when_it_has_ended() {
    // Below the command, and below an intermediate that has gone, so that the keeper has adopted it.
    let killers = [
        "(sleep 2; kill -TERM $$) &",
        "((sleep 2; kill -TERM $$) &);",
    ];
    for killer in killers {
        let ran = shell(&format!(
            "export PATH; pipeclog watch -- sh -c '{killer} exec {DEADLOCK}'"
        ));
        assert_eq!(ran.code, 143, "{killer}: {ran:?}");
        let told = "before it ended, the command was stuck:\ndeadlock, probable: pipeclog (";
        assert!(ran.stderr.contains(told), "{killer}: {ran:?}");
        assert!(!ran.stderr.contains("proven"), "{killer}: {ran:?}");
    }
}

#[test]
fn a_deadlock_that_is_waited_on_lasts_until_the_timeout() {
    let ran = shell(&format!(
        "pipeclog watch --on-deadlock wait --timeout 2 -- {DEADLOCK}"
    ));
    assert_eq!(ran.code, 124, "{ran:?}");
    let at = |text: &str| ran.stderr.find(text);
    assert!(
        at("deadlock, proven").is_some() && at("time is up").is_some(),
        "{ran:?}"
    );
    assert!(at("deadlock, proven") < at("time is up"), "{ran:?}");
}

#[test]
fn a_dump_gives_the_same_diagnosis_elsewhere() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("seen.json").display().to_string();
    let ran = shell(&format!(
        "pipeclog watch --on-deadlock dump --dump {file} -- {DEADLOCK} 2>{file}.err; echo $?; \
         eval $(sed -n 's/^pipeclog watch: .*: pipeclog diagnose/pipeclog diagnose/p' {file}.err)"
    ));
    assert!(ran.stdout.starts_with("124\n"), "{ran:?}");
    assert!(ran.stdout.contains("class: wait-then-read"), "{ran:?}");
}

#[test]
fn a_timeout_says_what_each_process_waited_for() {
    let ran = shell("pipeclog watch --timeout 0.5 -- sh -c 'sleep 600 & sleep 601 & wait'");
    assert_eq!(ran.code, 124, "{ran:?}");
    for waited in ["time is up", "sleep 600", "- waiting: sleep ("] {
        assert!(ran.stderr.contains(waited), "{waited}: {ran:?}");
    }
}

#[test]
fn silence_ends_a_command_that_runs_and_not_one_that_writes() {
    let ran = shell("pipeclog watch --no-output 0.5 -- sleep 600");
    assert_eq!(ran.code, 124, "{ran:?}");
    assert!(ran.stderr.contains("nothing was written"), "{ran:?}");
    // Ten lines, 0.3 s apart: more than the bound in all, and never as long without one.
    let ran = shell(
        "pipeclog watch --no-output 2 -- sh -c 'i=0; while [ $i -lt 10 ]; do sleep 0.3; echo $i; i=$((i+1)); done'",
    );
    assert_eq!((ran.code, ran.stdout.lines().count()), (0, 10), "{ran:?}");
}

/// Until the child in the background is `sleep`: before its exec it is a shell still, with the streams that it is about to give up.
const IS_SLEEP: &str = "until grep -q sleep /proc/$!/comm; do :; done";

#[test]
fn who_outlives_the_command_and_holds_its_output_is_named_and_left_alone() {
    let ran = shell(&format!(
        "d=$(mktemp -d); {{ pipeclog watch -- sh -c 'sleep 600 & echo $! >'$d'/pid; {IS_SLEEP}'; echo $? >$d/code; kill $(cat $d/pid); }} | cat; \
         cat $d/code; rm -r $d",
    ));
    assert_eq!(ran.stdout, "0\n", "{ran:?}");
    assert!(
        ran.stderr.contains("sleep (")
            && ran
                .stderr
                .contains("outlives the command and holds its stdout"),
        "{ran:?}"
    );
    // Whoever has let go of both is nobody's business.
    let ran = shell(&format!(
        "d=$(mktemp -d); pipeclog watch -- sh -c 'sleep 600 >/dev/null 2>&1 & echo $! >'$d'/pid; {IS_SLEEP}'; kill $(cat $d/pid); rm -r $d",
    ));
    assert_eq!(ran.stderr, "", "{ran:?}");
}

/// Runs `watcher` over a command with a child, a child in a session of its own, and an orphan; then kills `whom` by SIGKILL, and
/// waits until all have gone.
fn kill_and_wait_for_the_tree(watcher: &str, whom: &str) -> Ran {
    let spawn = "sleep 600 & a=$!; setsid sleep 601 & b=$!; c=$(sh -c \"sleep 602 >/dev/null & echo \\$!\"); \
                 echo $$ $a $b $c >$go; wait";
    shell(&format!(
        "d=$(mktemp -d); mkfifo $d/go; export go=$d/go; {watcher} sh -c '{spawn}' & w=$!; \
         read pids <$d/go; kill -KILL {whom}; wait $w; code=$?; \
         for pid in $pids; do while kill -0 $pid 2>/dev/null; do :; done; done; rm -r $d; echo $code"
    ))
}

#[test]
fn killed_it_takes_its_whole_tree_along() {
    let ran = kill_and_wait_for_the_tree("pipeclog watch --", "$w");
    assert_eq!(ran.stdout, "137\n", "{ran:?}");
}

#[test]
fn three_levels_of_escape_are_ended_with_the_command_however_often() {
    // Each in a session of its own, its parent gone: nothing but a subreaper holds them.
    let escape = "setsid sh -c \"(setsid sh -c \\\"(setsid sleep 600 &) ; exit\\\" &) ; exit\"; exec sleep 601";
    for _ in 0..50 {
        let mark = Mark::new();
        let ran = shell(&format!(
            "export {VARIABLE}={}; pipeclog watch --signal KILL --timeout 0.1 -- sh -c '{escape}' 2>/dev/null; echo $?; exec true",
            mark.0
        ));
        assert_eq!(ran.stdout, "137\n", "{ran:?}");
        let left = mark.living();
        assert!(left.is_empty(), "{left:?}");
    }
}

#[test]
fn a_keeper_that_is_killed_takes_the_tree_along_too() {
    let ran = kill_and_wait_for_the_tree("pipeclog watch --", "$(pgrep -P $w)");
    assert_eq!(ran.stdout, "125\n", "{ran:?}");
    assert!(ran.stderr.contains("has ended before its time"), "{ran:?}");
}

#[test]
fn three_of_them_nested_work_as_one() {
    let nest = "pipeclog watch -- pipeclog watch -- pipeclog watch --";
    let ran = shell(&format!("{nest} sh -c 'cat; exit 7' <<END\nthrough\nEND"));
    assert_eq!(
        (ran.code, ran.stdout.as_str(), ran.stderr.as_str()),
        (7, "through\n", "")
    );
    let ran = kill_and_wait_for_the_tree(nest, "$w");
    assert_eq!(ran.stdout, "137\n", "{ran:?}");
    // The innermost proves it, and the others pass its code on.
    let ran = shell(&format!("{nest} {DEADLOCK}"));
    assert_eq!(ran.code, 124, "{ran:?}");
    assert_eq!(ran.stderr.matches("deadlock, proven").count(), 1, "{ran:?}");
}

#[test]
fn the_command_has_the_descriptors_the_mask_and_the_dispositions_of_the_caller_and_no_others() {
    // Of the masks the signals 1 to 28: the C library's posix_spawn(3) meddles with its own, 32 and 33.
    let show = "ls -l /proc/self/fd | grep -c pipe; sed -n \"s/^\\(Sig[BI].*\\).........\\(.......\\)$/\\2/p\" /proc/self/status; cat <&3";
    let with = |watcher: &str| {
        shell(&format!(
            "trap '' USR1; echo three | {{ {watcher} sh -c '{show}' 3<&0 </dev/null 2>/dev/null; }}"
        ))
    };
    let (ours, theirs) = (with("pipeclog watch --"), with("env"));
    assert_eq!(ours.stdout, theirs.stdout);
    assert!(ours.stdout.ends_with("three\n"), "{ours:?}");
}

#[test]
fn a_reader_of_its_output_sees_the_end_when_the_command_closes_it() {
    // The command closes its stdout and lives on, until the reader of the pipe has seen the end.
    let ran = shell(
        "d=$(mktemp -d); mkfifo $d/go; pipeclog watch --timeout 60 -- sh -c 'echo out; exec >&-; read x <'$d/go | \
         { cat; echo end; echo go >$d/go; }; rm -r $d",
    );
    assert_eq!(
        (ran.stdout.as_str(), ran.stderr.as_str()),
        ("out\nend\n", "")
    );
}

#[test]
fn a_full_stderr_that_nobody_reads_does_not_keep_it() {
    // Its own stderr is a pipe that is full before it starts, and that stays so: it must come to its end all the same.
    let ran = shell(
        "d=$(mktemp -d); mkfifo $d/e; exec 3<>$d/e; head -c 65536 /dev/zero >&3; \
         pipeclog watch --timeout 0.2 -- sleep 600 2>&3; echo $?; rm -r $d",
    );
    assert_eq!(ran.stdout, "124\n", "{ran:?}");
}

#[test]
fn children_are_waited_for_though_the_caller_ignores_their_end() {
    let ran = shell("trap '' CHLD; exec pipeclog watch -- sh -c 'exit 7'");
    assert_eq!(ran.code, 7, "{ran:?}");
}

#[test]
fn wrong_usage_is_code_125_and_nothing_runs() {
    for arguments in [
        vec!["watch"],
        vec!["watch", "--timeout", "soon", "echo", "ran"],
        vec!["watch", "--signal", "NOSUCH", "echo", "ran"],
        vec!["watch", "--no-such-option", "echo", "ran"],
        vec!["watch", "--on-deadlock", "pray", "echo", "ran"],
        vec!["watch", "--dump", "/tmp/seen.json", "echo", "ran"],
        vec![
            "watch",
            "--on-deadlock",
            "dump",
            "--dump",
            "/no/such/directory/seen.json",
            "echo",
            "ran",
        ],
        vec![
            "watch",
            "--json",
            "/no/such/directory/a.json",
            "echo",
            "ran",
        ],
    ] {
        let ran = pipeclog(&arguments);
        assert_eq!(
            (ran.code, ran.stdout.as_str()),
            (125, ""),
            "{arguments:?}: {ran:?}"
        );
        assert!(!ran.stderr.is_empty(), "{arguments:?}");
    }
}

#[test]
fn what_came_of_it_is_written_as_json_and_junit_and_annotated() {
    let folder = tempfile::tempdir().unwrap();
    let (json, junit) = (folder.path().join("a.json"), folder.path().join("a.xml"));
    let files = format!("--json {} --junit {}", json.display(), junit.display());
    let ran = shell(&format!(
        "pipeclog watch --annotate github {files} -- {DEADLOCK}"
    ));
    assert_eq!(ran.code, 124, "{ran:?}");
    let told: Vec<&str> = ran
        .stderr
        .lines()
        .filter(|line| line.starts_with("::"))
        .collect();
    assert_eq!(told.len(), 1, "{ran:?}");
    assert!(
        told[0].starts_with("::error title=deadlock::deadlock%2C proven%3A pipeclog ("),
        "{told:?}"
    );
    let record: serde_json::Value =
        serde_json::from_str(&std::fs::read_to_string(&json).unwrap()).unwrap();
    assert_eq!(record["exit_code"], 124);
    assert_eq!(record["ended_by"], "deadlock");
    assert_eq!(record["diagnosis"]["class"], "wait-then-read");
    let xml = std::fs::read_to_string(&junit).unwrap();
    assert!(
        xml.contains("failures=\"1\"") && xml.contains("type=\"deadlock\""),
        "{xml}"
    );

    let ran = shell(&format!("pipeclog watch --annotate github {files} -- true"));
    assert_eq!((ran.code, ran.stderr.as_str()), (0, ""), "{ran:?}");
    let xml = std::fs::read_to_string(&junit).unwrap();
    assert!(xml.contains("failures=\"0\""), "{xml}");

    // A file that cannot be made is known before anything runs.
    let ran = shell("pipeclog watch --json /no/such/place/a.json -- echo ran");
    assert_eq!((ran.code, ran.stdout.as_str()), (125, ""), "{ran:?}");
}

/// And a deadlock is none as long as a signal is on its way through us: the program below waits for each.
#[test]
fn signals_meet_nobody_else_when_numbers_are_passed_on_at_once() {
    const ROUNDS: usize = 1000;
    let alone = "unshare --user --map-root-user --pid --fork --mount-proc";
    if !is_here("python3") {
        return;
    }
    let namespaces = shell(&format!("{alone} true"));
    if namespaces.code != 0 {
        println!("skipped: {}", namespaces.stderr);
        return;
    }
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it/reuse.py");
    let program = env!("CARGO_BIN_EXE_pipeclog");
    let ran = shell(&format!("{alone} python3 {script} {program} {ROUNDS}"));
    let passed_on = ran.stdout.strip_suffix(" passed on, 0 wrong\n");
    let passed_on: Option<usize> = passed_on.and_then(|count| count.parse().ok());
    // Another process of the machine may come in between, but not often.
    assert!(passed_on.is_some_and(|count| count * 2 > ROUNDS), "{ran:?}");
}

#[test]
fn stopped_alone_while_it_starts_and_let_go_alone_it_goes_on_with_its_command() {
    // Who is stopped must have a parent in another group of its session; the moments go through the whole of the start.
    let program = "import os, signal, subprocess, time
for n in range(60):
    it = subprocess.Popen(['pipeclog', 'watch', '--', 'true'], process_group=0)
    time.sleep(0.002 + n % 20 * 0.0005)
    it.send_signal(signal.SIGTSTP)
    while it.poll() is None and open(f'/proc/{it.pid}/stat').read().split(') ')[1][0] != 'T': pass
    it.send_signal(signal.SIGCONT)
    try: print(it.wait(60))
    except subprocess.TimeoutExpired: it.kill(); raise";
    let ran = shell(&format!("python3 -c \"{program}\""));
    assert_eq!(ran.stdout, "0\n".repeat(60), "{ran:?}");
}
