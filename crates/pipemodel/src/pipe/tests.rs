use super::*;
use crate::geometry::PageSize;

use WriteMode::{Packet, Stream};

fn pipe_of(capacity: u64) -> Pipe {
    Pipe::new(Geometry::from_request(PageSize::FOUR_KIB, capacity).expect("a capacity"))
}

#[test]
fn sixteen_writes_of_2049_fill_the_pipe_and_one_byte_still_merges() {
    let mut pipe = pipe_of(65_536);
    let run = pipe.begin_writes(2049, 100, Stream);
    assert_eq!(
        run,
        WriteRun {
            completed: 16,
            partial: Some(0)
        }
    );
    assert!(!pipe.readiness().writable);
    assert_eq!(pipe.try_write(2048, Stream), Err(WriteError::WouldBlock));
    assert_eq!(pipe.try_write(1, Stream), Ok(1));
    // The merged byte took the last slot to 2,050: 2,046 are left.
    assert_eq!(pipe.try_write(2047, Stream), Err(WriteError::WouldBlock));
    assert_eq!(pipe.try_write(2046, Stream), Ok(2046));
}

#[test]
fn poll_may_say_writable_where_a_blocking_write_blocks() {
    let mut pipe = pipe_of(65_536);
    pipe.begin_write(61_440, Stream);
    assert!(pipe.readiness().writable);
    assert!(pipe.would_block(8192, Stream));
    assert_eq!(pipe.accepts(8192, Stream), 4096);
    assert_eq!(pipe.unread_bytes(), 61_440, "asking changes nothing");
}

#[test]
fn a_partial_read_gives_no_room_back() {
    let mut pipe = pipe_of(4096);
    pipe.begin_write(4096, Stream);
    assert_eq!(pipe.try_read(4095), Ok(0..4095));
    assert_eq!(pipe.unread_bytes(), 1);
    assert!(pipe.is_full());
    assert_eq!(pipe.try_write(1, Stream), Err(WriteError::WouldBlock));
    assert_eq!(pipe.try_read(4096), Ok(4095..4096));
    assert_eq!(pipe.try_write(1, Stream), Ok(1));
}

#[test]
fn odd_bytes_go_first_and_may_be_all_that_a_short_write_puts_in() {
    let mut pipe = pipe_of(4096);
    pipe.begin_write(1, Stream);
    assert_eq!(pipe.try_write(4097, Stream), Ok(1));
    assert_eq!(pipe.unread_bytes(), 2);
}

#[test]
fn a_woken_write_does_not_merge() {
    let mut pipe = pipe_of(4096);
    assert_eq!(pipe.begin_write(5000, Stream), 4096);
    assert_eq!(pipe.try_read(4096), Ok(0..4096));
    assert_eq!(
        pipe.begin_write(10, Stream),
        10,
        "another writer was faster"
    );
    assert_eq!(pipe.go_on_writing(904, Stream), 0);
    assert_eq!(
        pipe.begin_write(904, Stream),
        904,
        "a new write would merge"
    );
}

#[test]
fn a_packet_is_read_alone_and_its_rest_is_thrown_away() {
    let mut pipe = pipe_of(65_536);
    pipe.begin_write(100, Packet);
    pipe.begin_write(50, Packet);
    assert_eq!(pipe.try_read(10), Ok(0..10));
    assert_eq!(pipe.try_read(4096), Ok(100..150));
    assert_eq!(pipe.try_read(1), Err(ReadError::WouldBlock));
}

#[test]
fn the_mode_is_the_slots_and_not_the_pipes() {
    let mut pipe = pipe_of(65_536);
    pipe.begin_write(10, Stream);
    pipe.begin_write(10, Packet);
    assert_eq!(
        pipe.slots_in_use(),
        1,
        "a packet's bytes join a stream's slot"
    );
    pipe.begin_write(4096, Packet);
    pipe.begin_write(10, Stream);
    assert_eq!(pipe.slots_in_use(), 3, "but nothing joins a packet's");
    // A read takes the stream's slot and goes on into the packet, and ends with it.
    assert_eq!(pipe.try_read(10_000), Ok(0..4116));
    assert_eq!(pipe.try_read(10_000), Ok(4116..4126));
}

#[test]
fn resizing_counts_slots_in_use_and_keeps_the_last_one_merging() {
    let mut pipe = pipe_of(65_536);
    pipe.begin_writes(2049, 2, Stream);
    assert_eq!(
        pipe.resize(4096),
        Err(ResizeError::Busy {
            in_use: 2,
            slots: 1
        })
    );
    assert_eq!(pipe.resize(5000), Ok(8192));
    assert!(pipe.is_full());
    assert_eq!(pipe.try_write(2047, Stream), Ok(2047));
    assert_eq!(pipe.try_write(1, Stream), Err(WriteError::WouldBlock));
    assert_eq!(
        pipe.resize(1 << 32),
        Err(ResizeError::TooLarge { bytes: 1 << 32 })
    );
}

#[test]
fn the_ends_decide_between_waiting_end_of_file_and_a_broken_pipe() {
    let mut pipe = pipe_of(65_536);
    pipe.open(End::Write);
    pipe.close(End::Write);
    assert_eq!(
        pipe.try_read(1),
        Err(ReadError::WouldBlock),
        "one writer is left"
    );
    pipe.begin_write(1, Stream);
    pipe.close(End::Write);
    assert!(pipe.readiness().hang_up);
    assert_eq!(pipe.try_read(9), Ok(0..1));
    assert_eq!(pipe.try_read(9), Ok(1..1));
    pipe.close(End::Read);
    assert!(pipe.readiness().error);
    assert_eq!(pipe.try_write(1, Stream), Err(WriteError::BrokenPipe));
    assert_eq!(pipe.try_write(0, Stream), Ok(0));
}

#[test]
fn a_run_of_writes_equals_the_writes_one_by_one() {
    for bytes in [0, 1, 80, 1365, 2048, 2049, 4096, 4097, 9000] {
        for mode in [Stream, Packet] {
            for times in [0, 1, 3, 7, 1000, 70_000] {
                let mut run_pipe = pipe_of(65_536);
                run_pipe.begin_write(33, Stream);
                let mut step_pipe = run_pipe.clone();
                let run = run_pipe.begin_writes(bytes, times, mode);
                let mut step = WriteRun {
                    completed: 0,
                    partial: None,
                };
                while step.completed < times && step.partial.is_none() {
                    match step_pipe.begin_write(bytes, mode) {
                        put if put < bytes => step.partial = Some(put),
                        _ => step.completed += 1,
                    }
                }
                assert_eq!(run, step, "{times} x {bytes}, {mode:?}");
                assert_eq!(run_pipe, step_pipe, "{times} x {bytes}, {mode:?}");
            }
        }
    }
}
