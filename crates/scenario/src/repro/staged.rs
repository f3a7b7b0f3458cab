//! Hangs that are about what the parent of a capture does: it plays its part by a strategy.

use pipeclog_waitgraph::class::Class;
use pipeclog_waitgraph::report::{Report, ReportMember};

use super::{Act, CannotAct, act};
use crate::expect::Told;
use crate::script::{
    Background, Descriptor, Fill, Intermediates, Op, Order, Script, Session, Size, Write, WriteSize,
};
use crate::shape::{Call, Over, Shape};
use crate::strategy::Strategy;

/// A reader, and those who hold what it reads after their parent has gone.
pub(super) fn leak(report: &Report) -> Result<Act, CannotAct> {
    if report.class != Some(Class::GrandchildHolds) {
        return Err(CannotAct::new(
            "the holder is a program of its own that inherited the end, and all processes of a scenario are one program",
        ));
    }
    let edges = Shape::of(report).edges;
    let edge = edges
        .first()
        .ok_or_else(|| CannotAct::new("nobody else is known to hold the end"))?;
    let strategy = match (edge.call, edge.over) {
        (Call::Read, Some(Over::Pipe)) => Strategy::StdoutThenStderr,
        (Call::Poll, Some(Over::Pipe)) => Strategy::Poll,
        (Call::Epoll, Some(Over::Pipe)) => Strategy::Epoll,
        (Call::IoUring, Some(Over::Pipe)) => Strategy::IoUring,
        (Call::Poll, Some(Over::Socket)) => Strategy::Socketpair,
        (call, over) => {
            let over = over.map_or_else(|| "no channel".to_owned(), |over| format!("a {over}"));
            return Err(CannotAct::new(format!(
                "no strategy waits in {call} on {over} for an end of file"
            )));
        }
    };
    let holder = Op::Background(Background {
        keep: vec![Descriptor::Stdout],
        depth: 1,
        intermediates: Intermediates::Wait,
        session: Session::Inherited,
        script: Script::new(vec![Op::Sleep { ms: 600_000 }]),
    });
    let mut ops = vec![holder; edges.len()];
    ops.push(Op::Exit { code: 0 });
    Ok(act(ops, strategy, Told::Leaked))
}

/// A writer, and a parent that looks for its exit again and again.
pub(super) fn stall(report: &Report) -> Result<Act, CannotAct> {
    if report.class != Some(Class::PollingWaiter) {
        return Err(CannotAct::new(
            "its reader does something beside not reading, and what that is stands in no look",
        ));
    }
    let [writer, reader] = told(report)?;
    let over = writer.channel.as_ref().map(Over::of);
    if over != Some(Over::Pipe) || reader.call != "nanosleep" {
        return Err(CannotAct::new(format!(
            "no strategy keeps from reading by {}",
            reader.call
        )));
    }
    let write = Op::Write(Write {
        stdout: Size(1 << 20),
        stderr: Size(0),
        write_size: WriteSize::Fixed(Size(1 << 16)),
        order: Order::StdoutFirst,
        fill: Fill::Pattern,
        delay_us: 0,
    });
    Ok(act(vec![write], Strategy::PollExitThenRead, Told::Stalled))
}

fn told(report: &Report) -> Result<[&ReportMember; 2], CannotAct> {
    let told: Vec<&ReportMember> = report.members.iter().filter(|m| m.in_loop).collect();
    told.try_into()
        .map_err(|_| CannotAct::new("it is not told of a writer and a reader alone"))
}
