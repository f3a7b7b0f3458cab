//! What `watch` says and does of a deadlock that rests on assumptions.

use crate::run::shell;

/// A reader that waits before it reads, by a FIFO: that nobody else opens it is an assumption.
const PROBABLE: &str = "sh -c 'exec 3<>$0/fifo; head -c 100000 /dev/zero >&3; exit 7' $d";

#[test]
fn a_deadlock_that_rests_on_assumptions_is_told_once_and_ends_nothing() {
    let ran = shell(&format!(
        "d=$(mktemp -d); mkfifo $d/fifo; pipeclog watch --annotate github --json $d/json -- {PROBABLE} 2>$d/err & watch=$!; \
         until grep -q '::warning' $d/err; do kill -0 $watch || exit 99; done; \
         kill -0 $watch && kill -TERM $watch; wait $watch; grep -o '\"confidence\": \"probable\"' $d/json; \
         grep -o '\"assumptions\"' $d/json | head -1; cat $d/err; rm -r $d"
    ));
    assert!(
        ran.stdout
            .starts_with("\"confidence\": \"probable\"\n\"assumptions\"\n"),
        "{ran:?}"
    );
    assert_eq!(
        ran.stdout.matches("rests on assumptions").count(),
        1,
        "{ran:?}"
    );
    assert!(
        ran.stdout.contains("nobody else opens the FIFO")
            && ran
                .stdout
                .contains("nothing but an anonymous pipe makes a proof of it")
            && ran.stdout.contains("::warning title=probable deadlock::"),
        "{ran:?}"
    );
}

#[test]
fn a_full_channel_of_a_probable_deadlock_is_made_larger_where_that_was_asked_for() {
    let ran = shell(&format!(
        "d=$(mktemp -d); mkfifo $d/fifo; pipeclog watch --timeout 60 --on-deadlock rescue -- {PROBABLE}; code=$?; rm -r $d; exit $code"
    ));
    assert_eq!(ran.code, 7, "{ran:?}");
    assert!(
        ran.stderr.contains("which harms nobody if that is wrong")
            && ran.stderr.contains("larger, from 65536 to 131072 bytes"),
        "{ran:?}"
    );
}
