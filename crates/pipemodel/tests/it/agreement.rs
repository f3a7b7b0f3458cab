//! The law: for any sequence of non-blocking writes, reads, resizes and changes of mode, the model answers as the kernel does,
//! byte for byte: return values, errors, data, `FIONREAD`, poll bits, capacity.

use std::os::fd::AsFd;

use pipeclog_pipemodel::{End, Pipe, WriteMode};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::test_runner::{Config, FileFailurePersistence};
use rustix::event::{PollFd, PollFlags, Timespec, poll};

use crate::real::{RealPipe, errno_of};

/// How many random sequences are tried.
const CASES_VARIABLE: &str = "PIPECLOG_CASES";
/// A few seconds' worth in a debug build.
const DEFAULT_CASES: u32 = 10_000;

#[derive(Clone, Copy, Debug)]
enum Operation {
    Write(u64),
    /// The same write until it is cut short or refused.
    Fill(u64),
    Read(u64),
    Resize(u64),
    Mode(WriteMode),
}

fn cases() -> u32 {
    match std::env::var(CASES_VARIABLE) {
        Ok(text) => text
            .parse()
            .unwrap_or_else(|_| panic!("{CASES_VARIABLE} must be a number of cases, not {text:?}")),
        Err(_) => DEFAULT_CASES,
    }
}

/// Sizes where the rules change: bytes, halves of pages, pages and their neighbours, and anything.
fn size() -> impl Strategy<Value = u64> {
    prop_oneof![
        3 => 0..12_u64,
        2 => 2040..2056_u64,
        3 => (1..20_u64, 0..5_u64).prop_map(|(pages, near)| pages * 4096 + near - 2),
        2 => 1..5000_u64,
        1 => 1..70_000_u64,
    ]
}

fn operation() -> impl Strategy<Value = Operation> {
    prop_oneof![
        6 => size().prop_map(Operation::Write),
        1 => (1..9000_u64).prop_map(Operation::Fill),
        5 => size().prop_map(Operation::Read),
        1 => prop_oneof![0..20_000_u64, 0..300_000_u64].prop_map(Operation::Resize),
        1 => prop_oneof![Just(WriteMode::Stream), Just(WriteMode::Packet)]
            .prop_map(Operation::Mode),
    ]
}

/// Which end is closed when the sequence is over.
fn last_close() -> impl Strategy<Value = End> {
    prop_oneof![Just(End::Read), Just(End::Write)]
}

/// A real pipe and its model, side by side.
struct Pair {
    real: RealPipe,
    model: Pipe,
    mode: WriteMode,
}

impl Pair {
    fn new() -> Self {
        let real = RealPipe::new();
        let model = real.model();
        Self {
            real,
            model,
            mode: WriteMode::Stream,
        }
    }

    fn apply(&mut self, operation: Operation) {
        match operation {
            Operation::Write(bytes) => {
                self.write(bytes);
            }
            Operation::Fill(bytes) => while self.write(bytes) == bytes {},
            Operation::Read(bytes) => self.read(bytes),
            Operation::Resize(bytes) => {
                let model = self.model.resize(bytes).map_err(errno_of);
                assert_eq!(self.real.resize(bytes), model, "resize to {bytes}");
            }
            Operation::Mode(mode) => {
                self.mode = mode;
                self.real.set_mode(mode);
            }
        }
        assert_eq!(self.real.readiness(), self.model.readiness(), "poll");
        assert_eq!(
            self.real.unread_bytes(),
            self.model.unread_bytes(),
            "FIONREAD"
        );
    }

    fn write(&mut self, bytes: u64) -> u64 {
        let foretold = self.model.accepts(bytes, self.mode);
        let model = self.model.try_write(bytes, self.mode);
        assert_eq!(self.real.try_write(bytes), model, "write of {bytes}");
        assert_eq!(model.unwrap_or(0), foretold, "what was foretold of it");
        foretold
    }

    fn read(&mut self, bytes: u64) {
        let model = self.model.try_read(bytes);
        let real = self.real.try_read(bytes, &model);
        let model = model.map(|range| range.end - range.start);
        assert_eq!(real, model, "read of {bytes}");
    }

    /// One end closes; the other end is told so, and what is left can still be read.
    fn close(mut self, end: End) {
        self.model.close(end);
        match end {
            End::Read => {
                let Self { real, model, .. } = self;
                drop(real.read_end);
                // Whoever looks at this process's descriptors just then (fdinfo) keeps the end for a moment longer.
                assert!(is_told(&real.write_end, PollFlags::ERR), "POLLERR");
                assert_eq!(
                    rustix::io::write(&real.write_end, b"x"),
                    Err(rustix::io::Errno::PIPE)
                );
                assert!(model.readiness().error);
            }
            End::Write => {
                // The end must close, and the pair keep its type: any other descriptor will do in its place.
                let elsewhere = self.real.read_end.try_clone().expect("dup");
                drop(std::mem::replace(&mut self.real.write_end, elsewhere));
                assert!(is_told(&self.real.read_end, PollFlags::HUP), "POLLHUP");
                for _ in 0..200 {
                    self.read(2000);
                }
                assert!(self.model.readiness().hang_up);
            }
        }
    }
}

/// Whether poll tells this of an end, unasked; it has ten seconds, and takes none.
fn is_told(end: &impl AsFd, what: PollFlags) -> bool {
    let mut fds = [PollFd::new(end, PollFlags::empty())];
    let bound = Timespec {
        tv_sec: 10,
        tv_nsec: 0,
    };
    poll(&mut fds, Some(&bound)).is_ok() && fds[0].revents().contains(what)
}

proptest! {
    #![proptest_config(Config {
        cases: cases(),
        // Beside the crate, and kept in the repository: each line is a disagreement that was found once.
        failure_persistence: Some(Box::new(FileFailurePersistence::Direct(
            "tests/it/agreement.regressions",
        ))),
        ..Config::default()
    })]

    #[test]
    fn the_model_answers_as_the_kernel_does(
        operations in vec(operation(), 1..40),
        end in last_close(),
    ) {
        let mut pair = Pair::new();
        for operation in operations {
            pair.apply(operation);
        }
        pair.close(end);
    }
}
