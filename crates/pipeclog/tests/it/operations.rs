//! The law of the predictions over scripts that do more than write: close, resize, repeat, have threads and descendants.
//! `PIPECLOG_CASES` says how many (80 unless told otherwise).

use pipeclog_scenario::scenario::Parent;
use pipeclog_scenario::script::{
    Background, BrokenPipe, Buffering, Descriptor, Intermediates, Op, Order, Script, Session, Size,
    StdinOp, Stream, Times, WouldBlock, Write, WriteSize,
};
use pipeclog_scenario::strategy::Strategy as Capture;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;

use crate::laws::{hold, scenario};

const STREAMS: [Descriptor; 3] = [Descriptor::Stdin, Descriptor::Stdout, Descriptor::Stderr];

/// Of whole records, so that those of several writers can be told apart.
fn write() -> impl Strategy<Value = Op> {
    let total =
        || prop_oneof![Just(0), 1..300_u64, 4000..4200_u64].prop_map(|records| records * 16);
    let write_size = prop_oneof![
        select(vec![80, 2048, 2064, 4096, 4112, 65_536])
            .prop_map(|size| WriteSize::Fixed(Size(size))),
        vec((1..500_u64).prop_map(|records| Size(records * 16)), 1..4).prop_map(WriteSize::Cycle),
    ];
    let order = prop_oneof![
        Just(Order::StdoutFirst),
        Just(Order::StderrFirst),
        Just(Order::Alternate),
        any::<u64>().prop_map(Order::Interleave),
    ];
    (total(), total(), write_size, order).prop_map(|(stdout, stderr, write_size, order)| {
        let mut write = Write::new(stdout, stderr);
        write.write_size = write_size;
        write.order = order;
        Op::Write(write)
    })
}

fn operation() -> impl Strategy<Value = Op> {
    let action = prop_oneof![
        Just(StdinOp::ReadAll),
        Just(StdinOp::Never),
        (0..100_000_u64).prop_map(|bytes| StdinOp::Read(Size(bytes))),
    ];
    let some = || select(STREAMS.to_vec());
    let bytes = prop_oneof![1..20_000_u64, 65_536..1_048_577_u64];
    prop_oneof![
        8 => write(),
        1 => (action, 1..70_000_u64).prop_map(|(action, size)| Op::Stdin { action, read_size: Size(size) }),
        1 => some().prop_map(|stream| Op::Close { stream }),
        1 => some().prop_map(|stream| Op::Nonblock { stream }),
        1 => (some(), bytes).prop_map(|(stream, bytes)| Op::Capacity { stream, bytes: Size(bytes) }),
        1 => select(vec![Stream::Stdout, Stream::Stderr]).prop_map(|stream| Op::Packet { stream }),
        1 => select(vec![Stream::Stdout, Stream::Stderr]).prop_map(|stream| Op::Flush { stream }),
        1 => (0..4_u64).prop_map(|ms| Op::Sleep { ms }),
        1 => (1..4_u64, vec(write(), 1..3)).prop_map(|(times, ops)| Op::Repeat { times: Times::Times(times), ops }),
        1 => vec(write(), 1..3).prop_map(|ops| Op::Thread { ops }),
        1 => Just(Op::Wait {}),
    ]
}

fn script(ops: impl Strategy<Value = Vec<Op>>) -> impl Strategy<Value = Script> {
    let broken_pipe = select(vec![BrokenPipe::Die, BrokenPipe::Exit, BrokenPipe::GoOn]);
    let would_block = select(vec![WouldBlock::Wait, WouldBlock::Exit, WouldBlock::Drop]);
    let buffering = || {
        select(vec![
            Buffering::None,
            Buffering::None,
            Buffering::Line,
            Buffering::Full,
        ])
    };
    (ops, broken_pipe, would_block, buffering(), buffering()).prop_map(
        |(ops, broken_pipe, would_block, stdout_buffer, stderr_buffer)| {
            let mut script = Script::new(ops);
            script.broken_pipe = broken_pipe;
            script.would_block = would_block;
            script.stdout_buffer = stdout_buffer;
            script.stderr_buffer = stderr_buffer;
            script
        },
    )
}

fn background() -> impl Strategy<Value = Op> {
    (
        prop::sample::subsequence(STREAMS.to_vec(), 0..=3),
        1..3_u8,
        select(vec![Intermediates::Wait, Intermediates::Exit]),
        select(vec![Session::Inherited, Session::Own]),
        script(vec(operation(), 0..3)),
    )
        .prop_map(|(keep, depth, intermediates, session, script)| {
            Op::Background(Background {
                keep,
                depth,
                intermediates,
                session,
                script,
            })
        })
}

/// One that can be done, with ten thousand writes at most.
fn family() -> impl Strategy<Value = Script> {
    let ops = vec(prop_oneof![6 => operation(), 1 => background()], 1..6);
    script(ops).prop_filter("it cannot be done, or takes long", |script| {
        script.check().is_ok() && script.steps().nth(10_000).is_none()
    })
}

#[test]
fn whatever_a_script_does_its_outcome_is_one_of_those_foretold() {
    let stdin = prop_oneof![Just(None), (0..200_000_u64).prop_map(Some)];
    let random = (family(), stdin, select(Capture::ALL.to_vec()));
    let random = random.prop_map(|(script, stdin, strategy)| {
        (scenario(script, stdin, Parent::default()), strategy)
    });
    hold(random, "tests/it/operations.regressions", 50, |_, _, _| {
        true
    });
}
