//! What the tests share: the strategies, children, and a bound that is never meant to be reached.

use std::time::Duration;

use pipeclog_capture::{Bound, Capture, Captured, Command, End, Strategy, Streams};

/// A test that reaches it has found a hang, and says so by the result.
pub(crate) const LONG: Bound = Bound::Timeout(Duration::from_secs(60));

/// The safe strategies of this build.
pub(crate) fn safe() -> impl Iterator<Item = Strategy> {
    Strategy::ALL
        .into_iter()
        .filter(|it| !it.is_hazard() && it.is_built())
}

/// The safe strategies that capture something.
pub(crate) fn capturing() -> impl Iterator<Item = Strategy> {
    safe().filter(|it| it.streams() != Streams::None)
}

/// A shell that runs this.
pub(crate) fn sh(script: &str) -> Command {
    Command::new("sh").args(["-c", script])
}

/// Runs it, and fails with the strategy's name.
pub(crate) fn run(strategy: Strategy, end: End, script: &str) -> Captured {
    let capture = Capture::new(strategy, end, LONG);
    let captured = capture
        .run(&sh(script))
        .unwrap_or_else(|error| panic!("{strategy}: {error:?}"));
    assert_eq!(
        captured.stopped, None,
        "{strategy}: {script} reached the bound"
    );
    captured
}
