//! Every figure that we quote about pipes, against the model and against the kernel that the tests run on.

use std::num::NonZeroU64;

use pipeclog_pipemodel::capacity::Fill;
use pipeclog_pipemodel::{WriteError, WriteMode};

use crate::real::RealPipe;

use WriteMode::{Packet, Stream};

/// (capacity, mode, write size, bytes in the pipe when the writer blocks), as measured on Linux 6.18 with 4 KiB pages.
const BLOCKED_AT: &[(u64, WriteMode, u64, u64)] = &[
    (65_536, Stream, 1, 65_536),
    (65_536, Stream, 512, 65_536),
    (65_536, Stream, 1024, 65_536),
    (65_536, Stream, 2048, 65_536),
    (65_536, Stream, 4096, 65_536),
    (65_536, Stream, 8192, 65_536),
    (65_536, Stream, 10, 65_440),
    (65_536, Stream, 80, 65_280),
    (65_536, Stream, 100, 64_000),
    (65_536, Stream, 1000, 64_000),
    (65_536, Stream, 1365, 65_520),
    (65_536, Stream, 1366, 43_712),
    (65_536, Stream, 1500, 48_000),
    (65_536, Stream, 3000, 48_000),
    (65_536, Stream, 2047, 65_504),
    (65_536, Stream, 2049, 32_784),
    (65_536, Stream, 4095, 65_520),
    (65_536, Stream, 4097, 45_066),
    (65_536, Stream, 5000, 54_096),
    (65_536, Stream, 6000, 64_096),
    (65_536, Stream, 10_000, 64_096),
    (65_536, Stream, 8193, 53_254),
    (65_536, Stream, 65_535, 65_535),
    (65_536, Stream, 65_536, 65_536),
    (65_536, Stream, 65_537, 65_536),
    (65_536, Stream, 200_000, 65_536),
    (1_048_576, Stream, 2049, 524_544),
    (1_048_576, Stream, 80, 1_044_480),
    (4096, Stream, 2049, 2049),
    (8192, Stream, 2049, 4098),
    (65_536, Packet, 1, 16),
    (65_536, Packet, 100, 1600),
    (65_536, Packet, 4096, 65_536),
    (65_536, Packet, 4097, 32_776),
];

/// Writes of one size until one is cut short or refused.
fn fill(mut write: impl FnMut() -> Result<u64, WriteError>, size: u64) -> u64 {
    let mut total = 0;
    loop {
        match write() {
            Ok(put) if put == size => total += put,
            Ok(put) => return total + put,
            Err(_) => return total,
        }
    }
}

#[test]
fn the_closed_form_the_ring_and_the_kernel_give_the_measured_totals() {
    for &(capacity, mode, size, total) in BLOCKED_AT {
        let row = format!("{size}-byte writes into {capacity} bytes, {mode:?}");
        let mut real = RealPipe::new();
        assert_eq!(real.resize(capacity), Ok(capacity), "{row}");
        real.set_mode(mode);
        let mut model = real.model();
        let size_given = NonZeroU64::new(size).expect("no row has 0");
        let closed_form = Fill::of_writes(model.geometry(), mode, size_given);
        assert_eq!(closed_form.bytes, total, "closed form: {row}");
        assert_eq!(
            fill(|| model.try_write(size, mode), size),
            total,
            "ring: {row}"
        );
        assert_eq!(fill(|| real.try_write(size), size), total, "kernel: {row}");
    }
}

#[test]
fn a_request_for_a_capacity_is_rounded_up_by_both() {
    for (asked, given) in [(1, 4096), (5000, 8192), (70_000, 131_072)] {
        let real = RealPipe::new();
        assert_eq!(real.resize(asked), Ok(given));
        assert_eq!(real.model().resize(asked), Ok(given));
    }
}

#[test]
fn after_sixteen_writes_of_2049_poll_says_full_and_one_byte_goes_in() {
    let mut real = RealPipe::new();
    assert_eq!(real.resize(65_536), Ok(65_536));
    let mut model = real.model();
    for _ in 0..16 {
        assert_eq!(real.try_write(2049), Ok(2049));
        assert_eq!(model.try_write(2049, Stream), Ok(2049));
    }
    for (bytes, answer) in [
        (1, Ok(1)),
        (2047, Err(WriteError::WouldBlock)),
        (2046, Ok(2046)),
    ] {
        assert!(!real.readiness().writable);
        assert!(!model.readiness().writable);
        assert_eq!(real.try_write(bytes), answer, "kernel, {bytes} bytes");
        assert_eq!(
            model.try_write(bytes, Stream),
            answer,
            "model, {bytes} bytes"
        );
    }
}

#[test]
fn with_a_page_free_poll_says_writable_and_a_larger_write_is_cut_short() {
    let mut real = RealPipe::new();
    assert_eq!(real.resize(65_536), Ok(65_536));
    let mut model = real.model();
    assert_eq!(real.try_write(61_440), Ok(61_440));
    assert_eq!(model.try_write(61_440, Stream), Ok(61_440));
    assert!(real.readiness().writable && model.readiness().writable);
    assert!(model.would_block(8192, Stream));
    assert_eq!(model.accepts(8192, Stream), 4096);
    assert_eq!(real.try_write(8192), Ok(4096));
}
