//! The one entry point.

use std::time::Instant;

use crate::descriptors::LowNumbers;
use crate::flow::Flow;
use crate::leader::Grouping;
use crate::lull::Lull;
use crate::running::Running;
use crate::session::Session;
use crate::spawn::spawn;
use crate::stopper::Stopping;
use crate::strategy::{Method, Specimen};
use crate::stream::Stream;
use crate::{
    Background, Bound, Captured, Command, End, Error, FilePlace, Input, Kill, KillTarget, Limit,
    Stopped, Stopper, Strategy, Waited,
};

/// How to capture. Made once, run as often as you like.
///
/// What decides whether the caller can hang has no default: the strategy, the end and the bound.
/// The rest starts as: stdin from `/dev/null`, no limit, [`Kill::LEADER`],
/// [`Background::KeepDraining`].
///
/// ```
/// use std::time::Duration;
/// use pipeclog_capture::{Bound, Capture, Command, End, Strategy};
///
/// let captured = Capture::new(Strategy::Poll, End::Drain, Bound::Timeout(Duration::from_secs(10)))
///     .stdin("one\ntwo\n")
///     .run(&Command::new("wc").arg("-l"))?;
/// assert!(captured.status.success());
/// assert_eq!(captured.stdout.bytes.trim_ascii(), b"2");
/// # Ok::<(), pipeclog_capture::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Capture {
    strategy: Strategy,
    end: End,
    bound: Bound,
    input: Input,
    limit: Option<Limit>,
    kill: Kill,
    background: Background,
    files_in: FilePlace,
    stopper: Option<Stopper>,
}

impl Capture {
    /// A capture by this strategy, which stops reading by `end`, and ends the child when `bound`
    /// passes.
    ///
    /// A hazard takes neither a bound nor another end than [`End::EndOfFile`]: it is kept to hang.
    /// What is killed, and what becomes of background descendants, does not arise with one.
    pub fn new(strategy: Strategy, end: End, bound: Bound) -> Self {
        Capture {
            strategy,
            end,
            bound,
            input: Input::Null,
            limit: None,
            kill: Kill::LEADER,
            background: Background::KeepDraining,
            files_in: FilePlace::TempDir,
            stopper: None,
        }
    }

    /// [`Strategy::recommended`] with [`End::Drain`]: no hang on a background descendant, no loss
    /// of the leader's output, no harm to the descendant while this process lives. The bound is
    /// yours to say.
    pub fn recommended(bound: Bound) -> Self {
        Capture::new(Strategy::recommended(), End::Drain, bound)
    }

    /// What the child reads. `/dev/null` unless told otherwise.
    #[must_use]
    pub fn stdin(mut self, input: impl Into<Input>) -> Self {
        self.input = input.into();
        self
    }

    /// How many bytes of each stream are kept. All of them unless told otherwise, so that memory
    /// grows with the output.
    #[must_use]
    pub fn limit(mut self, limit: Limit) -> Self {
        self.limit = Some(limit);
        self
    }

    /// Who is killed, and how, when the capture has to end the child. [`Kill::LEADER`] unless told
    /// otherwise.
    #[must_use]
    pub fn kill(mut self, kill: Kill) -> Self {
        self.kill = kill;
        self
    }

    /// What happens to streams that descendants still hold. [`Background::KeepDraining`] unless
    /// told otherwise.
    #[must_use]
    pub fn background(mut self, background: Background) -> Self {
        self.background = background;
        self
    }

    /// Where [`Strategy::TempFile`] has its files. [`FilePlace::TempDir`] unless told otherwise; another place is an error
    /// with any other strategy.
    ///
    /// ```
    /// use pipeclog_capture::{Bound, Capture, Command, End, FilePlace, Strategy};
    ///
    /// let captured = Capture::new(Strategy::TempFile, End::Drain, Bound::Unbounded)
    ///     .files_in(FilePlace::LargePages)
    ///     .run(&Command::new("seq").args(["1", "100000"]))?;
    /// assert_eq!(captured.stdout.bytes.len(), 588_895);
    /// # Ok::<(), pipeclog_capture::Error>(())
    /// ```
    #[must_use]
    pub fn files_in(mut self, place: FilePlace) -> Self {
        self.files_in = place;
        self
    }

    /// Lets this end the capture before its time: from another thread, or when this process gets a
    /// signal ([`crate::CaughtSignals`]).
    #[must_use]
    pub fn stopped_by(mut self, stopper: &Stopper) -> Self {
        self.stopper = Some(stopper.clone());
        self
    }

    /// Runs the command to its end. When the bound passes first, the child is ended as [`Kill`]
    /// says, and the result has what it had written; it then comes later than the bound by no more
    /// than the term grace and the time of dying. The time that spawning takes counts, but spawning
    /// itself cannot be interrupted.
    pub fn run(&self, command: &Command) -> Result<Captured, Error> {
        // Before the spawn: the bound covers that as well.
        let deadline = self.bound.instant(Instant::now());
        match self.strategy.method() {
            Method::Hazard(run) => run(&self.specimen(command)?),
            Method::Safe { .. } => {
                match self
                    .start(command)?
                    .wait(deadline.map_or(Bound::Unbounded, Bound::Deadline))?
                {
                    Waited::Finished(captured) => Ok(captured),
                    Waited::DeadlinePassed(running) => running.stop(Stopped::Deadline),
                }
            }
            Method::Missing { feature } => Err(missing(self.strategy, feature)),
        }
    }

    /// Starts the command, to be waited for in pieces; the bound of the capture is not used. No
    /// hazard can do this.
    ///
    /// ```
    /// use std::time::Duration;
    /// use pipeclog_capture::{Bound, Capture, Command, Waited};
    ///
    /// let shell = Command::new("sh").args(["-c", "echo early; read line; echo $line"]);
    /// let mut running = Capture::recommended(Bound::Unbounded).stdin("late\n").start(&shell)?;
    /// let captured = loop {
    ///     running = match running.wait(Bound::Timeout(Duration::from_millis(5)))? {
    ///         Waited::Finished(captured) => break captured,
    ///         Waited::DeadlinePassed(running) => running,
    ///     };
    /// };
    /// assert_eq!(captured.stdout.bytes, b"early\nlate\n");
    /// # Ok::<(), pipeclog_capture::Error>(())
    /// ```
    pub fn start(&self, command: &Command) -> Result<Running, Error> {
        let (plumb, engine) = match self.strategy.method() {
            Method::Safe { plumb, engine } => (plumb, engine),
            Method::Hazard(_) => {
                return Err(Error::unsupported(
                    self.strategy.name(),
                    "be waited for in pieces",
                ));
            }
            Method::Missing { feature } => return Err(missing(self.strategy, feature)),
        };
        let plumb = match (self.files_in, self.strategy.plumb_large_pages()) {
            (FilePlace::TempDir, _) => plumb,
            (FilePlace::LargePages, Some(plumb)) => plumb,
            (FilePlace::LargePages, None) => return Err(self.no_large_pages()),
        };
        // Everything that can fail for want of a resource comes before the spawn.
        let low_numbers = LowNumbers::hold()?;
        let engine = engine()?;
        let plumbing = plumb(&self.input)?;
        let grouping = match (plumbing.grouping, self.kill.target) {
            (Grouping::Caller, KillTarget::Group | KillTarget::Tree) => Grouping::Own,
            (grouping, _) => grouping,
        };
        let leader = spawn(command, plumbing.ends, grouping, self.kill.target)?;
        drop(low_numbers);
        let flow = Flow {
            leader,
            feed: plumbing.feed,
            stdout: Stream::new("stdout", plumbing.stdout, self.limit),
            stderr: Stream::new("stderr", plumbing.stderr, self.limit),
            stopping: Stopping::by(self.stopper.clone()),
            lull: Lull::new(),
        };
        Ok(Running::new(Session::new(
            flow,
            engine,
            self.end,
            self.kill,
            self.background,
        )))
    }

    fn no_large_pages(&self) -> Error {
        Error::unsupported(
            self.strategy.name(),
            "have its output in large pages: temp_file does",
        )
    }

    /// What a hazard gets: nothing that would save it.
    fn specimen<'a>(&'a self, command: &'a Command) -> Result<Specimen<'a>, Error> {
        let refused = match (self.bound, self.end, self.limit, &self.stopper) {
            (Bound::Timeout(_) | Bound::Deadline(_), _, _, _) => {
                "take a deadline: it is kept to hang"
            }
            (_, End::Drain | End::Grace(_), _, _) => {
                "end otherwise than by end of file: it is kept to hang"
            }
            (_, _, Some(_), _) => "take a limit",
            (_, _, _, Some(_)) => "be stopped: it is kept to hang",
            (Bound::Unbounded, End::EndOfFile, None, None)
                if self.files_in == FilePlace::LargePages =>
            {
                return Err(self.no_large_pages());
            }
            (Bound::Unbounded, End::EndOfFile, None, None) => {
                return Ok(Specimen {
                    command,
                    input: &self.input,
                });
            }
        };
        Err(Error::unsupported(self.strategy.name(), refused))
    }
}

fn missing(strategy: Strategy, feature: &str) -> Error {
    Error::unsupported(
        strategy.name(),
        format!("run: the library was built without its feature `{feature}`"),
    )
}
