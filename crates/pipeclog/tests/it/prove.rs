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
fn the_list_ends_quietly_in_front_of_a_reader_that_has_enough() {
    let ran = shell("pipeclog prove --list | head -1");
    assert_eq!(ran.code, 0);
    assert_eq!(ran.stdout.lines().count(), 1);
    assert!(!ran.stderr.contains("panicked"), "{}", ran.stderr);
}

#[test]
fn a_run_that_is_killed_leaves_no_process_behind() {
    // The trial's chatty is recognised by what it can only have from this run: the worker's descriptor paths.
    // A run that has ended before all of them were seen is begun again.
    let ran = shell(
        "pipeclog prove -j 1 fork-lock/threads >/dev/null & run=$!; \
         until worker=$(pgrep -P $run) && parent=$(pgrep -P $worker) && child=$(pgrep -P $parent); do \
           case $(ps -o stat= -p $run) in Z*|'') pipeclog prove -j 1 fork-lock/threads >/dev/null & run=$!;; esac; done; \
         kill -KILL $run; \
         while kill -0 $worker 2>/dev/null && [ $(ps -o stat= -p $worker | cut -c1) != Z ]; do :; done; \
         for pid in $parent $child; do ps -o stat= -p $pid; done | grep -v Z; echo done",
    );
    assert_eq!(ran.stdout, "done\n", "{}", ran.stderr);
}
