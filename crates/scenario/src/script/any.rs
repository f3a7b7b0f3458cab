//! Scripts at random, for the laws.

use proptest::collection::vec;
use proptest::prelude::*;

use super::*;

pub(crate) fn any_fill() -> impl Strategy<Value = Fill> {
    prop_oneof![
        4 => Just(Fill::Pattern),
        1 => Just(Fill::Zeros),
        1 => Just(Fill::Text),
        1 => any::<u64>().prop_map(Fill::Random),
        1 => Just(Fill::NonUtf8),
    ]
}

fn any_stream() -> impl Strategy<Value = Stream> {
    prop_oneof![Just(Stream::Stdout), Just(Stream::Stderr)]
}

fn any_descriptor() -> impl Strategy<Value = Descriptor> {
    prop_oneof![
        Just(Descriptor::Stdin),
        Just(Descriptor::Stdout),
        Just(Descriptor::Stderr)
    ]
}

fn any_signal() -> impl Strategy<Value = Signal> {
    (0..Signal::ALL.len()).prop_map(|index| Signal::ALL[index])
}

fn any_write_size() -> impl Strategy<Value = WriteSize> {
    let size = || (1..5000_u64).prop_map(Size);
    prop_oneof![
        size().prop_map(WriteSize::Fixed),
        vec(size(), 1..4).prop_map(WriteSize::Cycle),
        (1..100_u64, 0..5000_u64, any::<u64>()).prop_map(|(min, more, seed)| {
            WriteSize::Random(RandomSize {
                min: Size(min),
                max: Size(min + more),
                seed,
            })
        }),
    ]
}

fn any_order() -> impl Strategy<Value = Order> {
    prop_oneof![
        Just(Order::StdoutFirst),
        Just(Order::StderrFirst),
        Just(Order::Alternate),
        any::<u64>().prop_map(Order::Interleave),
    ]
}

pub(crate) fn any_write() -> impl Strategy<Value = Write> {
    let bytes = || prop_oneof![Just(0), 0..9000_u64].prop_map(Size);
    let delay = prop_oneof![Just(0), any::<u64>()];
    (
        bytes(),
        bytes(),
        any_write_size(),
        any_order(),
        any_fill(),
        delay,
    )
        .prop_map(
            |(stdout, stderr, write_size, order, fill, delay_us)| Write {
                stdout,
                stderr,
                write_size,
                order,
                fill,
                delay_us,
            },
        )
}

fn any_stdin() -> impl Strategy<Value = Op> {
    let action = prop_oneof![
        Just(StdinOp::ReadAll),
        Just(StdinOp::Echo),
        Just(StdinOp::Never),
        (0..200_u64).prop_map(|bytes| StdinOp::Read(Size(bytes))),
    ];
    (action, 1..70_000_u64).prop_map(|(action, size)| Op::Stdin {
        action,
        read_size: Size(size),
    })
}

/// Operations that end and start nobody; they are what most laws need.
pub(crate) fn any_saying() -> impl Strategy<Value = Op> {
    prop_oneof![
        6 => any_write().prop_map(Op::Write),
        1 => (".{0,20}", any_stream()).prop_map(|(text, stream)| Op::Prompt { text, stream }),
        1 => any_stream().prop_map(|stream| Op::Flush { stream }),
        1 => any_stdin(),
        1 => any::<u64>().prop_map(|ms| Op::Sleep { ms }),
        1 => any_descriptor().prop_map(|stream| Op::Close { stream }),
    ]
}

fn any_other() -> impl Strategy<Value = Op> {
    let access = prop_oneof![
        Just(FifoAccess::Read),
        Just(FifoAccess::Write),
        Just(FifoAccess::ReadWrite)
    ];
    let then = prop_oneof![
        Just(FifoUse::Hold),
        any_size().prop_map(FifoUse::Read),
        any_size().prop_map(FifoUse::Write),
    ];
    prop_oneof![
        any::<u64>().prop_map(|ms| Op::Compute { ms }),
        Just(Op::Park {}),
        any_descriptor().prop_map(|stream| Op::Nonblock { stream }),
        (any_descriptor(), any_size()).prop_map(|(stream, bytes)| Op::Capacity { stream, bytes }),
        any_stream().prop_map(|stream| Op::Packet { stream }),
        Just(Op::Wait {}),
        ("[a-z/]{1,9}", access, then).prop_map(|(path, access, then)| {
            Op::Fifo {
                path: path.into(),
                access,
                then,
            }
        }),
        Just(Op::Accept {}),
        any_knot().prop_map(Op::Knot),
        Just(Op::Stop {}),
        any::<u8>().prop_map(|code| Op::Exit { code }),
        any_signal().prop_map(|signal| Op::Die { signal }),
    ]
}

fn any_knot() -> impl Strategy<Value = Knot> {
    let medium = prop_oneof![
        proptest::option::of(any_size()).prop_map(|capacity| Medium::Pipe { capacity }),
        Just(Medium::Socket {}),
        Just(Medium::Pty {}),
    ];
    let side = prop_oneof![Just(Side::Reads), Just(Side::Writes)];
    (medium, side, proptest::option::of("[a-z]{1,9}")).prop_map(|(medium, side, name)| {
        let end = End { channel: 0, side };
        let set = Watched {
            data: vec![end],
            exits: vec![1],
            ..Watched::default()
        };
        let part = |parent, threads| Part {
            name: name.clone(),
            parent,
            holds: vec![end],
            threads,
        };
        Knot {
            channels: vec![medium],
            processes: vec![
                part(None, vec![Sleep::Poll { set }, Sleep::Wait { child: None }]),
                part(Some(0), vec![Sleep::Write { end }]),
            ],
        }
    })
}

fn any_size() -> impl Strategy<Value = Size> {
    (0..1_u64 << 52).prop_map(Size)
}

fn any_buffering() -> impl Strategy<Value = Buffering> {
    prop_oneof![2 => Just(Buffering::None), 1 => Just(Buffering::Line), 1 => Just(Buffering::Full)]
}

fn script_of(ops: impl Strategy<Value = Vec<Op>>) -> impl Strategy<Value = Script> {
    let broken = prop_oneof![
        Just(BrokenPipe::Die),
        Just(BrokenPipe::Exit),
        Just(BrokenPipe::GoOn)
    ];
    let block = prop_oneof![
        Just(WouldBlock::Wait),
        Just(WouldBlock::Exit),
        Just(WouldBlock::Drop),
        Just(WouldBlock::Spin),
    ];
    let rules = (
        vec(any_signal(), 0..3),
        broken,
        block,
        any_buffering(),
        any_buffering(),
    );
    (rules, ops).prop_map(|(rules, ops)| {
        let (ignore, broken_pipe, would_block, stdout_buffer, stderr_buffer) = rules;
        Script {
            ignore,
            broken_pipe,
            would_block,
            stdout_buffer,
            stderr_buffer,
            ops,
        }
    })
}

/// Any script that can be written down, whether or not it can be done.
pub(crate) fn any_script() -> impl Strategy<Value = Script> {
    let leaf = prop_oneof![any_saying(), any_other()];
    let ops = leaf.prop_recursive(3, 24, 4, |inner| {
        let times = prop_oneof![
            any::<u64>().prop_map(Times::Times),
            Just(Times::Endless(Endless::Endless)),
        ];
        let background = (
            vec(any_descriptor(), 0..3),
            any::<u8>(),
            prop_oneof![Just(Intermediates::Wait), Just(Intermediates::Exit)],
            prop_oneof![Just(Session::Inherited), Just(Session::Own)],
            script_of(vec(inner.clone(), 0..4)),
        );
        prop_oneof![
            vec(inner.clone(), 0..4).prop_map(|ops| Op::Thread { ops }),
            (times, vec(inner, 0..4)).prop_map(|(times, ops)| Op::Repeat { times, ops }),
            background.prop_map(|(keep, depth, intermediates, session, script)| {
                Op::Background(Background {
                    keep,
                    depth,
                    intermediates,
                    session,
                    script,
                })
            }),
        ]
    });
    script_of(vec(ops, 0..5))
}

/// A script of one process that can be done and comes to its end, by exit or by death.
pub(crate) fn any_saying_script() -> impl Strategy<Value = Script> {
    let repeat = (0..3_u64, vec(any_saying(), 1..3));
    let op = prop_oneof![
        8 => any_saying(),
        1 => repeat.prop_map(|(times, ops)| Op::Repeat { times: Times::Times(times), ops }),
        1 => vec(any_saying(), 1..3).prop_map(|ops| Op::Thread { ops }),
    ];
    let end = prop_oneof![
        2 => Just(Vec::new()),
        1 => any::<u8>().prop_map(|code| vec![Op::Exit { code }]),
        1 => Just(vec![Op::Die { signal: Signal::Term }]),
    ];
    let ops = (vec(op, 0..6), end).prop_map(|(ops, end)| [ops, end].concat());
    (ops, any_buffering(), any_buffering())
        .prop_map(|(ops, stdout, stderr)| {
            let mut script = Script::new(ops);
            script.stdout_buffer = stdout;
            script.stderr_buffer = stderr;
            script
        })
        .prop_filter("it can be done", |script| script.check().is_ok())
}

/// What a script says, the plain way: every step rendered one after the other.
pub(crate) fn said(script: &Script, streams: &[Stream], input: &[u8]) -> Vec<u8> {
    let mut said = Vec::new();
    let mut unread = input;
    let mut closed = Vec::new();
    for step in script.steps() {
        match step {
            Step::Write(chunk)
                if streams.contains(&chunk.stream)
                    && !closed.contains(&Descriptor::from(chunk.stream)) =>
            {
                let start = said.len();
                said.resize(start + chunk.len, 0);
                chunk.render(0, &mut said[start..]);
            }
            Step::Close(descriptor) => closed.push(descriptor),
            Step::Read { limit, .. } if !closed.contains(&Descriptor::Stdin) => {
                let len = limit.unwrap_or(u64::MAX).min(unread.len() as u64);
                unread = &unread[len as usize..];
            }
            Step::Echo { .. } if !closed.contains(&Descriptor::Stdin) => {
                if streams.contains(&Stream::Stdout) && !closed.contains(&Descriptor::Stdout) {
                    said.extend_from_slice(unread);
                }
                unread = &[];
            }
            _ => {}
        }
    }
    said
}
