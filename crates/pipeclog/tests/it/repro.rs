//! `--repro FILE`: what it writes hangs in the same class.

use crate::run::shell;

/// Hangs of several classes, each under the strategy or the program that makes it.
const HANGS: [(&str, &str); 4] = [
    (
        "pipeclog capture -s wait_then_read -- pipeclog chatty --stdout 300000",
        "wait-then-read",
    ),
    (
        "pipeclog capture -s stdout_then_stderr -- pipeclog chatty --stderr 300000",
        "sequential-read",
    ),
    (
        "pipeclog capture -s write_stdin_then_read --stdin-file $d/input -- cat",
        "write-all-then-read",
    ),
    ("sh -c 'exec 3<>$0/fifo; exec cat <&3' $d", "own-write-end"),
];

#[test]
fn a_watch_writes_a_scenario_that_hangs_in_the_same_class() {
    for (command, class) in HANGS {
        let ran = shell(&format!(
            "d=$(mktemp -d); mkfifo $d/fifo; head -c 900000 /dev/zero >$d/input; \
             pipeclog watch --timeout 3 --repro $d/repro --json $d/json -- {command} >/dev/null; echo $?; \
             pipeclog prove --scenario $d/repro --json $d/proof >/dev/null && \
             pipeclog prove --scenario $d/repro --list | wc -l && \
             grep -o '\"class\": *\"[^\"]*\"' $d/json | head -1 && grep -o '\"class\": *\"{class}\"' $d/proof | sort -u; code=$?; \
             rm -r $d; exit $code"
        ));
        assert_eq!(ran.code, 0, "{class}: {ran:?}");
        assert!(ran.stdout.starts_with("124\n"), "{class}: {ran:?}");
        assert_eq!(ran.stdout.matches(class).count(), 2, "{class}: {ran:?}");
        assert!(
            ran.stderr
                .contains(&format!("a scenario of the same class, {class}, under")),
            "{class}: {ran:?}"
        );
    }
}

#[test]
fn a_diagnosis_writes_the_same_and_says_where_there_is_none() {
    let ran = shell(
        "d=$(mktemp -d); pipeclog capture -s wait_then_read -- head -c 200000 /dev/zero >/dev/null & parent=$!; \
         until child=$(pgrep -P $parent) && grep -q '^1 ' /proc/$child/syscall; do kill -0 $parent || exit 99; done; \
         pipeclog diagnose --repro $d/repro $parent >/dev/null; kill $parent $child; \
         pipeclog prove --scenario $d/repro >/dev/null; echo $?; \
         pipeclog prove --scenario $d/none; echo $?; echo '{}' >$d/bad; pipeclog prove --scenario $d/bad; echo $?; \
         pipeclog diagnose --repro $d/none $$ >/dev/null; echo $?; ls $d/none; rm -r $d",
    );
    assert!(ran.stdout.starts_with("0\n2\n2\n"), "{ran:?}");
    assert!(
        ran.stderr.contains("not a scenario file")
            && ran.stderr.contains("failed to read the scenario in"),
        "{ran:?}"
    );
}
