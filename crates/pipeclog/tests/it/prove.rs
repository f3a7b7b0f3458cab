//! `pipeclog prove`: the table, its filters, its codes, and that it cleans up.

use pipeclog_scenario::outcome::Results;

use crate::run::{pipeclog, shell};

#[test]
fn the_table_shows_the_hang_and_the_code_says_that_it_was_expected() {
    let ran = pipeclog(&["prove", "sequential-read"]);
    assert_eq!(ran.code, 0, "{ran:?}");
    assert!(ran.stdout.contains("≥65537"), "{}", ran.stdout);
    assert!(
        !ran.stdout.contains('\x1b'),
        "no colour into a pipe: {:?}",
        ran.stdout
    );
    assert_eq!(ran.stderr, "", "no progress bar without a terminal");
}

#[test]
fn colour_is_there_when_it_is_asked_for() {
    let ran = pipeclog(&["prove", "--color", "always", "sequential-read/1M/threads"]);
    assert!(ran.stdout.contains('\x1b'), "{:?}", ran.stdout);
}

#[test]
fn results_are_written_as_json_that_reads_back_with_evidence() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let path = file.path().to_str().unwrap();
    let ran = pipeclog(&[
        "prove",
        "--json",
        path,
        "sequential-read/65537/stdout_then_stderr",
    ]);
    assert_eq!(ran.code, 0, "{ran:?}");
    let results: Results = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    let [cell] = results.cells.as_slice() else {
        panic!("one cell: {results:?}")
    };
    let pipeclog_scenario::outcome::Verdict::Hung(hang) = &cell.outcome.verdict else {
        panic!("it hangs: {cell:?}")
    };
    assert!(
        hang.blocked
            .iter()
            .any(|blocked| blocked.call == "write" && blocked.descriptor == Some(2))
    );
    assert!(cell.predicted.is_some());
}

#[test]
fn a_filter_that_fits_nothing_is_an_error_and_not_a_proof_of_nothing() {
    let ran = pipeclog(&["prove", "no-such-scenario"]);
    assert_eq!(ran.code, 2);
    assert!(
        ran.stderr.contains("no-such-scenario") && ran.stderr.contains("--list"),
        "{}",
        ran.stderr
    );
}

#[test]
fn a_misspelt_name_is_answered_with_the_right_one() {
    for (wrong, right) in [
        ("sequental-read", "(did you mean sequential-read"),
        ("boundary/stdout-65537/wait_then_red", " or wait_then_read"),
        ("grandchild-hold/deamon", "(did you mean daemon"),
    ] {
        let ran = pipeclog(&["prove", wrong]);
        assert_eq!((ran.code, ran.stdout.as_str()), (2, ""), "{ran:?}");
        assert!(ran.stderr.contains(right), "{wrong}: {}", ran.stderr);
    }
}

#[test]
fn a_bad_value_is_a_clear_error_and_nothing_runs() {
    for (arguments, names) in [
        (
            vec!["-j", "0"],
            "'--jobs <N>': write a whole number from 1 on",
        ),
        (
            vec!["-j", "many"],
            "'--jobs <N>': write a whole number from 1 on",
        ),
        (
            vec!["--jobs=-1"],
            "'--jobs <N>': write a whole number from 1 on",
        ),
        (vec!["--json", "/no/such/folder/file"], "/no/such/folder"),
        (vec!["--json", "/"], "it is a directory"),
        (vec!["--color", "sometimes"], "'--color <WHEN>'"),
        (vec!["--no-such-option"], "--no-such-option"),
    ] {
        let ran = pipeclog(
            &[
                &["prove", "sequential-read/65537/threads"],
                arguments.as_slice(),
            ]
            .concat(),
        );
        assert_eq!(
            (ran.code, ran.stdout.as_str()),
            (2, ""),
            "{arguments:?}: {ran:?}"
        );
        assert!(ran.stderr.contains(names), "{arguments:?}: {}", ran.stderr);
    }
}

#[test]
fn a_reader_that_has_enough_ends_it_quietly_however_often() {
    let ran = shell("for run in $(seq 50); do pipeclog prove --list | head -1; done");
    assert_eq!((ran.code, ran.stderr.as_str()), (0, ""), "{ran:?}");
    assert_eq!(ran.stdout.lines().count(), 50);
    let ran = shell("for run in 1 2 3; do pipeclog prove sequential-read/65537/p | head -1; done");
    assert_eq!((ran.code, ran.stderr.as_str()), (0, ""), "{ran:?}");
}
