//! No byte lost, added or moved.

use pipeclog_capture::{End, Status, Streams};

use crate::support::{capturing, run};

#[test]
fn every_safe_strategy_gives_both_streams_exactly_around_the_capacity_of_a_pipe() {
    for strategy in capturing() {
        for size in [0, 1, 4096, 65_535, 65_536, 65_537, 1 << 20] {
            for end in [End::EndOfFile, End::Drain] {
                let script = format!(
                    "head -c {size} /dev/zero; head -c {size} /dev/zero | tr '\\0' e >&2; exit 3"
                );
                let captured = run(strategy, end, &script);
                assert_eq!(captured.status, Status::Exited(3), "{strategy} {size}");
                let (out, err) = (vec![0; size], vec![b'e'; size]);
                match strategy.streams() {
                    Streams::Separate => {
                        assert!(captured.stdout.bytes == out, "{strategy} {size}");
                        assert!(captured.stderr.bytes == err, "{strategy} {size}");
                    }
                    Streams::Merged => {
                        assert!(
                            captured.stdout.bytes == [out, err].concat(),
                            "{strategy} {size}"
                        );
                    }
                    Streams::None => unreachable!("it captures"),
                }
            }
        }
    }
}
