//! `pipeclog explain`.

use pipeclog_waitgraph::class::Class;

use crate::run::pipeclog;

#[test]
fn every_class_is_listed_and_explained() {
    let list = pipeclog(&["explain"]);
    for class in Class::ALL {
        assert!(
            list.stdout
                .lines()
                .any(|line| line.starts_with(class.slug())),
            "{}",
            class.slug()
        );
        let ran = pipeclog(&["explain", class.slug()]);
        assert!(
            ran.code == 0 && ran.stdout.contains("the way out"),
            "{}: {ran:?}",
            class.slug()
        );
    }
}

#[test]
fn a_slip_of_the_pen_is_answered_with_what_was_meant() {
    let ran = pipeclog(&["explain", "seqential-read"]);
    assert_eq!(ran.code, 2);
    assert!(ran.stderr.contains("sequential-read"), "{}", ran.stderr);
}
