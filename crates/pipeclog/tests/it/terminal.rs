//! `pipeclog watch` at a terminal, side by side with no watcher at all: Ctrl-C, Ctrl-Z, Ctrl-\, a password, and whose the terminal is;
//! and `pipeclog prove`, whose progress goes away.

use crate::run::shell;

const DRIVER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it/terminal.py");

/// What came of a command under a terminal, alone and under `watch`: it must be the same.
#[expect(clippy::print_stdout, reason = "a skipped test says so")]
fn same(action: &str, command: &str, fact: &str) {
    if shell("python3 --version").code != 0 {
        println!("skipped: no python3 here");
        return;
    }
    let run = |watcher: &str| shell(&format!("python3 {DRIVER} {action} {watcher} {command}"));
    let (ours, theirs) = (run("pipeclog watch --timeout 50 --"), run("env"));
    assert_eq!(theirs.code, 0, "{action}: {theirs:?}");
    assert_eq!(ours.stdout, theirs.stdout, "{action}: {ours:?}");
    assert!(ours.stdout.contains(fact), "{action}: {ours:?}");
    assert!(ours.stdout.contains("owner job"), "{action}: {ours:?}");
    // timeout(1) leaves the terminal to its command only with --foreground, and there it passes a Ctrl-C on that the command has had
    // already. Ours always leaves it, and passes nothing on that came from the terminal.
    let ours = run("pipeclog watch --foreground --timeout 50 --");
    assert_eq!(ours.stdout, theirs.stdout, "{action}: {ours:?}");
}

#[test]
fn ctrl_c_ends_the_command_and_its_watcher_by_the_signal() {
    // By exec: a dash that is interrupted while it forks may forget it, whoever runs it.
    same(
        "interrupt",
        "sh -c 'echo ready; exec sleep 600'",
        "killed 2",
    );
}

#[test]
fn ctrl_c_that_the_command_handles_comes_once_and_the_code_is_its_own() {
    same(
        "interrupt",
        "python3 -c 'import signal, sys
interrupt = [signal.SIGINT]
signal.pthread_sigmask(signal.SIG_BLOCK, interrupt)
print(\"ready\", flush=True)
signal.sigwait(interrupt)
again = signal.sigtimedwait(interrupt, 0.2)
print(\"shown\", 1 if again is None else 2, flush=True); sys.exit(7)'",
        "shown 1",
    );
}

#[test]
fn ctrl_backslash_quits_both() {
    same(
        "quit",
        "sh -c 'ulimit -c 0; echo ready; exec sleep 600'",
        "killed 3",
    );
}

#[test]
fn ctrl_z_stops_both_and_the_job_goes_on_when_the_shell_says_so() {
    same(
        "suspend",
        "python3 -c 'import signal, sys
def resumed(*a): print(\"resumed\", flush=True)
signal.signal(signal.SIGCONT, resumed)
print(\"ready\", flush=True)
sys.stdin.readline(); sys.exit(5)'",
        "stopped 20",
    );
}

#[test]
fn ctrl_z_before_the_command_has_become_itself_stops_it_there_and_it_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("program");
    std::fs::write(&file, "#!/bin/sh\necho shown ready\nexit 5\n").unwrap();
    let executable = std::os::unix::fs::PermissionsExt::from_mode(0o700);
    std::fs::set_permissions(&file, executable).unwrap();
    let file = file.display();
    same(
        &format!("suspend-exec {file}"),
        &file.to_string(),
        "exited 5\nowner job\nowner job\nshown ready\nstopped 20",
    );
}

#[test]
fn ctrl_z_at_any_time_stops_the_job_and_it_goes_on() {
    if shell("python3 --version").code != 0 {
        println!("skipped: no python3 here");
        return;
    }
    // Most of these are before the command runs; which of them meet the start of what process is for the machine to say.
    for after_us in (0..12_000).step_by(300) {
        let ran = shell(&format!(
            "python3 {DRIVER} suspend-after-{after_us} pipeclog watch -- sh -c 'read x; exit 5'"
        ));
        let facts = "exited 5\nowner job\nowner job\nstopped 20\n";
        assert_eq!(ran.stdout, facts, "{after_us}: {ran:?}");
    }
}

#[test]
fn a_program_that_asks_for_a_password_gets_it_from_the_terminal() {
    same(
        "type",
        "python3 -c 'import getpass
print(\"shown\", getpass.getpass(\"ready\"), flush=True)'",
        "shown secret",
    );
}

#[test]
fn what_it_says_is_set_to_the_width_of_the_terminal() {
    if shell("python3 --version").code != 0 {
        println!("skipped: no python3 here");
        return;
    }
    // The terminal has 80 columns.
    let ran = shell(&format!(
        "python3 {DRIVER} widest sh -c 'echo ready; read x; pipeclog watch -v -t 0.1 -- sleep 600; pipeclog watch -- pipeclog capture -s wait_then_read -- head -c 200000 /dev/zero; \
         pipeclog watch --json /no/such/directory/that/has/a/name/which/is/rather/long -- true; pipeclog rescue --resume /no/such/directory/that/has/a/name; \
         sleep 600 & pipeclog rescue $!; kill $!'"
    ));
    let widest: Option<usize> = ran
        .stdout
        .lines()
        .find_map(|line| line.strip_prefix("shown widest ")?.parse().ok());
    // Wide enough that something was broken, and no more than there is room for.
    assert!(matches!(widest, Some(60..=80)), "{ran:?}");
}

/// What came of `pipeclog prove` under a terminal that has seen its progress.
#[expect(clippy::print_stdout, reason = "a skipped test says so")]
fn proves(action: &str, facts: &str) {
    if shell("python3 --version").code != 0 {
        println!("skipped: no python3 here");
        return;
    }
    let ran = shell(&format!(
        "python3 {DRIVER} {action} pipeclog prove -j 1 waiting-outside/threads"
    ));
    assert_eq!(ran.stdout, facts, "{ran:?}");
}

#[test]
fn ctrl_c_ends_a_run_by_the_signal_and_takes_its_progress_from_the_terminal() {
    proves(
        "interrupt-bar",
        "killed 2\nowner job\nshown after the bar: b''\n",
    );
}

#[test]
fn ctrl_z_stops_a_run_which_comes_out_the_same_when_it_goes_on() {
    proves(
        "suspend-bar",
        "exited 0\nowner job\nowner job\nshown after the bar: b''\nstopped 20\n",
    );
}

#[test]
fn a_job_of_an_interactive_shell_is_proven_while_the_shell_lives_and_whatever_its_other_jobs_do() {
    let driver = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it/jobs.py");
    let unread = "deadlocked probable ['run_unread']";
    // What zsh waits for is any signal that it handles.
    let shells = [
        ("bash --norc -i", unread),
        ("dash -i", unread),
        ("mksh -i", unread),
        ("zsh -f -i", "waiting observed []"),
    ];
    for (interactive, from_looks_at_its_job) in shells {
        let program = interactive.split(' ').next().unwrap_or_default();
        if shell(&format!("command -v python3 && command -v {program}")).code != 0 {
            println!("skipped: no python3 or no {program} here");
            continue;
        }
        let ran = shell(&format!("python3 {driver} {interactive}"));
        assert_eq!(
            ran.stdout,
            format!(
                "foreground deadlocked proven []\nbackground deadlocked proven []\nbeside a timer deadlocked proven []\n\
                 behind a timer deadlocked proven []\nsaved deadlocked proven []\n\
                 the shell from these {from_looks_at_its_job}\nthe shell waiting observed []\n"
            ),
            "{interactive}: {ran:?}"
        );
    }
}
