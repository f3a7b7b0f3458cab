//! Many children at once, and pipes that the kernel has shrunk.
//!
//! Both use up what one user may have of pipes, so they are run as another user, whom nobody else
//! is: that takes root.

use std::os::fd::OwnedFd;

use nix::unistd::{Uid, setgid, setuid};
use pipeclog_capture::{Bound, Capture, End, Strategy, Streams, Waited};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::support::{LONG, alone, capturing, cases, sh};

/// A user that nothing runs as, unlike `nobody`.
const STRANGER: u32 = 64_123;

/// Becomes the stranger, with so many descriptors; false, with a word why, where that cannot be.
#[expect(clippy::print_stdout, reason = "what is skipped is said")]
fn as_stranger(descriptors: u64) -> bool {
    if !Uid::effective().is_root() {
        println!("skipped: it takes root to become another user, whose pipes are counted alone");
        return false;
    }
    let limit = getrlimit(Resource::Nofile);
    if limit.maximum.is_some_and(|most| most < descriptors) {
        println!("skipped: {descriptors} descriptors are more than this process may have");
        return false;
    }
    let wanted = Rlimit {
        current: Some(descriptors),
        maximum: limit.maximum,
    };
    setrlimit(Resource::Nofile, wanted).expect("below the maximum");
    // Root may not everywhere: a container can take the capability away.
    let became = setgid(STRANGER.into()).and_then(|()| setuid(STRANGER.into()));
    if let Err(errno) = became {
        println!("skipped: this root cannot become another user: {errno}");
    }
    became.is_ok()
}

#[test]
fn a_thousand_children_at_once_lose_no_byte() {
    if !alone("many::a_thousand_children_at_once_lose_no_byte", "") || !as_stranger(16_000) {
        return;
    }
    const SIZE: usize = 20_000;
    let count = cases(200);
    let (read, write) = std::io::pipe().expect("a pipe");
    let gate = std::sync::Arc::new(std::fs::File::from(OwnedFd::from(read)));
    let strategies: Vec<Strategy> = capturing().collect();
    let mut running = Vec::new();
    for index in 0..count {
        // Each writes a letter of its own, once all of them run: the gate opens when its last writer closes.
        let letter = char::from(b'a' + (index % 26) as u8);
        let script = format!(
            "cat; head -c {SIZE} /dev/zero | tr '\\0' {letter}; exit {}",
            index % 100
        );
        let strategy = strategies[index % strategies.len()];
        let input = pipeclog_capture::Input::File(std::sync::Arc::clone(&gate));
        let capture = Capture::new(strategy, End::Drain, Bound::Unbounded).stdin(input);
        running.push((
            strategy,
            index,
            letter,
            capture.start(&sh(&script)).expect("it starts"),
        ));
    }
    drop(write);
    for (strategy, index, letter, running) in running {
        let Waited::Finished(captured) = running.wait(LONG).expect("no error") else {
            panic!("{strategy} {index} hung");
        };
        assert_eq!(
            captured.status.shell_code(),
            Some((index % 100) as i32),
            "{strategy} {index}"
        );
        assert!(
            captured.stdout.bytes == vec![letter as u8; SIZE],
            "{strategy} {index}: {captured:?}"
        );
    }
    println!("{count} children at once");
}

/// From the 1,025th pipe on a user's pipes hold 8,192 bytes (`pipe-user-pages-soft`, pipe(7)), and
/// growing them is refused.
#[test]
fn pipes_that_the_kernel_has_shrunk_lose_no_byte_and_cost_no_error() {
    if !alone(
        "many::pipes_that_the_kernel_has_shrunk_lose_no_byte_and_cost_no_error",
        "",
    ) || !as_stranger(4_000)
    {
        return;
    }
    let pipes: Vec<_> = (0..1_100)
        .map(|_| std::io::pipe().expect("a pipe"))
        .collect();
    let small = rustix::pipe::fcntl_getpipe_size(&pipes.last().expect("1,100 of them").0);
    if small != Ok(8192) {
        println!("skipped: the 1,100th pipe of a user holds {small:?} here, not 8,192 bytes");
        return;
    }
    for strategy in capturing() {
        let input: Vec<u8> = (0..1_000_000_u32).map(|at| (at % 251) as u8).collect();
        let capture = Capture::new(strategy, End::EndOfFile, LONG).stdin(input.clone());
        let script = "cat; head -c 100000 /dev/zero >&2";
        let captured = capture.run(&sh(script)).expect("no error");
        let zeros = vec![0; 100_000];
        if strategy.streams() == Streams::Separate {
            assert!(captured.stdout.bytes == input, "{strategy}: {captured:?}");
            assert!(captured.stderr.bytes == zeros, "{strategy}: {captured:?}");
        } else {
            assert!(
                captured.stdout.bytes == [input, zeros].concat(),
                "{strategy}: {captured:?}"
            );
        }
    }
    // The hazard's boundary has moved along: exactly that much passes.
    for strategy in [Strategy::WaitThenRead, Strategy::BiggerPipeThenWait] {
        let capture = Capture::new(strategy, End::EndOfFile, Bound::Unbounded);
        let captured = capture
            .run(&sh("head -c 8192 /dev/zero"))
            .expect("no error");
        assert_eq!(captured.stdout.seen, 8192, "{strategy}");
    }
    drop(pipes);
}
