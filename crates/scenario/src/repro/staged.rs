//! Hangs that are about what the parent of a capture does: it plays its part by a strategy.

use pipeclog_waitgraph::class::Class;
use pipeclog_waitgraph::report::Report;

use super::{Act, CannotAct, act};
use crate::expect::Told;
use crate::script::{Background, Descriptor, Intermediates, Op, Script, Session};
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
