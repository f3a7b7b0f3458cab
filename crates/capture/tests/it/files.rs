//! Files in memory: mapped where nobody can change them any more, copied otherwise.

use std::io::Write;

use nix::libc;
use pipeclog_capture::{
    Bytes, Capture, Captured, End, ErrorKind, FilePlace, Limit, LimitPolicy, Strategy, StrategyKind,
};
use rustix::io::Errno;

use crate::support::{LONG, Process, alone, run_with, sh, until, with_failing};

/// The strategies whose files may stand in memory.
fn in_memory() -> [(Capture, Strategy); 2] {
    let new = |strategy| Capture::new(strategy, End::Drain, LONG);
    let large = new(Strategy::TempFile).files_in(FilePlace::LargePages);
    [
        (large, Strategy::TempFile),
        (new(Strategy::Memfd), Strategy::Memfd),
    ]
}

/// What a mapping of ours is of, if the bytes stand in one of a file.
fn mapped_file(bytes: &Bytes) -> Option<String> {
    let maps = std::fs::read_to_string("/proc/self/maps").expect("our own");
    let at = bytes.as_ptr() as u64;
    let line = maps.lines().find(|line| {
        let (range, _) = line.split_once(' ').expect("a range");
        let (from, to) = range.split_once('-').expect("two addresses");
        let address = |text| u64::from_str_radix(text, 16).expect("hexadecimal");
        (address(from)..address(to)).contains(&at)
    });
    let name = line.expect("it is memory of ours").splitn(6, ' ').nth(5);
    name.map(str::trim)
        .filter(|name| name.starts_with('/'))
        .map(str::to_owned)
}

fn is_in_large_pages() -> bool {
    let (capture, strategy) = in_memory().into_iter().next().expect("the first of two");
    let captured = run_with(capture, strategy, "head -c 1000000 /dev/zero");
    mapped_file(&captured.stdout.bytes).is_some()
}

#[test]
fn files_in_large_pages_give_both_streams_exactly_from_nothing_to_64_mib() {
    for size in [0, 1, 4096, 65_537, 256 << 10, (2 << 20) + 1, 64 << 20] {
        let script =
            format!("head -c {size} /dev/zero; head -c {size} /dev/zero | tr '\\0' e >&2; exit 3");
        for (capture, strategy) in in_memory() {
            let captured = run_with(capture, strategy, &script);
            assert!(captured.stdout.bytes == vec![0; size], "{strategy} {size}");
            assert!(
                captured.stderr.bytes == vec![b'e'; size],
                "{strategy} {size}"
            );
        }
    }
}

/// Who only reads back what he was given, in his own time, must not see it change.
#[test]
fn what_was_captured_stays_when_a_descendant_truncates_its_file() {
    // By way of 3, since a shell gives those behind it /dev/null. A sealed file is not to be truncated.
    const SCRIPT: &str = "head -c 1000000 /dev/zero; exec 3<&0
        sh -c 'read go; : >/dev/stdout' <&3 2>/dev/null & echo $! >&2";
    for (capture, strategy) in in_memory() {
        let (stdin, mut go) = std::io::pipe().expect("a pipe");
        let stdin = std::fs::File::from(std::os::fd::OwnedFd::from(stdin));
        let captured = run_with(capture.stdin(stdin), strategy, SCRIPT);
        let descendant = Process::told_in(&captured.stderr.bytes);
        assert_eq!(mapped_file(&captured.stdout.bytes), None, "{strategy}");
        go.write_all(b"go\n").expect("it reads");
        until("it has truncated the file", || !descendant.is_alive());
        assert!(captured.stdout.bytes == vec![0; 1_000_000], "{strategy}");
    }
}

#[test]
fn a_large_output_that_nobody_holds_is_mapped_and_a_small_one_copied() {
    let mapped = |(capture, strategy), size: usize| {
        let captured: Captured = run_with(capture, strategy, &format!("head -c {size} /dev/zero"));
        assert!(captured.stdout.bytes == vec![0; size], "{strategy}");
        mapped_file(&captured.stdout.bytes)
    };
    let [large, memfd] = in_memory();
    let name = mapped(memfd.clone(), 1_000_000).expect("it is mapped");
    assert!(name.starts_with("/memfd:stdout"), "{name}");
    assert_eq!(mapped(memfd, 1000), None);
    if !is_in_large_pages() {
        println!("skipped: large pages for files are not to be had here");
        return;
    }
    mapped(large.clone(), 1_000_000).expect("it is mapped");
    assert_eq!(mapped(large, 1000), None);
}

/// A page of a hole need not be there when it is read; a file that is handed out is its owner's to write.
#[test]
fn a_file_with_a_hole_or_that_is_handed_out_is_copied() {
    let limit = Limit {
        bytes: 500_000,
        policy: LimitPolicy::Spill,
    };
    for (capture, strategy) in in_memory() {
        let hole = "head -c 4096 /dev/zero; truncate -s 1000000 /dev/stdout";
        let captured = run_with(capture.clone(), strategy, hole);
        assert!(captured.stdout.bytes == vec![0; 1_000_000], "{strategy}");
        assert_eq!(mapped_file(&captured.stdout.bytes), None, "{strategy}");

        let captured = run_with(capture.limit(limit), strategy, "head -c 1000000 /dev/zero");
        let spilled = captured.stdout.spilled.expect("the rest");
        assert_eq!((spilled.start, spilled.len), (500_000, 500_000));
        assert_eq!(mapped_file(&captured.stdout.bytes), None, "{strategy}");
    }
}

#[test]
fn without_a_file_system_of_its_own_the_files_are_in_the_temporary_directory() {
    let name = "files::without_a_file_system_of_its_own_the_files_are_in_the_temporary_directory";
    if !alone(name, "") {
        return;
    }
    let script = "readlink /proc/self/fd/1 >&2; head -c 1000000 /dev/zero";
    let [(capture, strategy), _] = in_memory();
    let captured = with_failing(&[libc::SYS_fsopen], Errno::PERM, || {
        run_with(capture, strategy, script)
    });
    assert!(captured.stdout.bytes == vec![0; 1_000_000]);
    let file = captured.stderr.bytes.to_text_lossy();
    let directory = std::env::temp_dir();
    assert!(file.starts_with(&*directory.to_string_lossy()), "{file}");
}

#[test]
fn large_pages_for_a_strategy_without_files_of_that_kind_are_an_error() {
    let others = Strategy::ALL.into_iter();
    for strategy in others.filter(|it| it.is_built() && *it != Strategy::TempFile) {
        let bound = match strategy.kind() {
            StrategyKind::Hazard => pipeclog_capture::Bound::Unbounded,
            StrategyKind::Safe => LONG,
        };
        let capture = Capture::new(strategy, End::EndOfFile, bound);
        let error = capture.files_in(FilePlace::LargePages).run(&sh("true"));
        let error = error.expect_err(strategy.name());
        assert_eq!(error.kind(), ErrorKind::Unsupported, "{strategy}: {error}");
    }
}
