//! A writer that really blocks, in a thread of its own: what its one write(2) has put in at each moment.

use std::io::Write;
use std::thread;
use std::time::{Duration, Instant};

use pipeclog_pipemodel::WriteMode;
use rustix::fs::{OFlags, fcntl_getfl, fcntl_setfl};

use crate::real::{RealPipe, byte_at};

/// Far beyond what a wake-up takes; a disagreement fails here instead of hanging.
const BOUND: Duration = Duration::from_secs(20);

/// Waits until the kernel holds as many bytes as the model; the handshake with a thread that sleeps in the kernel.
fn wait_until_unread(real: &RealPipe, bytes: u64) {
    let deadline = Instant::now() + BOUND;
    while real.unread_bytes() != bytes {
        assert!(
            Instant::now() < deadline,
            "the kernel holds {} bytes, the model {bytes}",
            real.unread_bytes()
        );
        thread::yield_now();
    }
}

#[test]
fn a_blocked_write_goes_on_by_whole_slots_as_they_come_free() {
    for (capacity, before, write) in [
        (65_536, 0, 200_000),
        (4096, 1, 4097),
        (8192, 3000, 20_001),
        (65_536, 61_440, 8192),
    ] {
        let mut real = RealPipe::new();
        assert_eq!(real.resize(capacity), Ok(capacity));
        let mut model = real.model();
        assert_eq!(real.try_write(before), Ok(before));
        assert_eq!(model.try_write(before, WriteMode::Stream), Ok(before));

        let blocking = real.write_end.try_clone().expect("dup");
        let flags = fcntl_getfl(&blocking).expect("F_GETFL");
        fcntl_setfl(&blocking, flags - OFlags::NONBLOCK).expect("F_SETFL");
        let data: Vec<u8> = (before..before + write).map(byte_at).collect();
        let writer = thread::spawn(move || std::fs::File::from(blocking).write(&data));

        let mut left = write - model.begin_write(write, WriteMode::Stream);
        assert!(left > 0, "the row must block");
        wait_until_unread(&real, model.unread_bytes());
        while left > 0 {
            // Not a divisor of a page: a slot that is read in part frees nothing.
            let expected = model.try_read(1500);
            let got = real.try_read(1500, &expected);
            assert_eq!(got, expected.map(|range| range.end - range.start));
            left -= model.go_on_writing(left, WriteMode::Stream);
            wait_until_unread(&real, model.unread_bytes());
        }
        let put = writer.join().expect("no panic").expect("no error");
        assert_eq!(put as u64, write, "one write(2) put it all in");
    }
}
