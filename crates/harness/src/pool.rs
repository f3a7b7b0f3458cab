//! Workers: processes that run one trial at a time, so that every child a worker has belongs to the trial that is on.
//!
//! A worker is the subreaper of its trials and cleans up after each. It takes requests as lines of JSON on its stdin and
//! answers in lines on its stdout, strictly in turn. When its stdin ends, by our death or our will, it kills what it
//! has started and exits. Should it be killed itself, its guard (`pipeclog_supervise::guard`) does that.

use std::io::{self, BufRead, BufReader, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::process::CommandExt as _;
use std::path::PathBuf;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{SigSet, SigmaskHow, Signal, kill};
use nix::unistd::Pid;
use pipeclog_scenario::check::Finding;
use pipeclog_scenario::claims::Came;
use pipeclog_scenario::outcome::{Outcome, Verdict, Written};
use pipeclog_scenario::scenario::Scenario;
use pipeclog_scenario::strategy::Strategy;
use pipeclog_waitgraph::snapshot::Untrusted;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::stop::Woken;
use crate::stuck;
use crate::trial::{self, Setup};
use crate::{check, claims};

/// What a worker is asked to run.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Request {
    /// The scenario.
    pub scenario: Scenario,
    /// The strategy of the parent.
    pub strategy: Strategy,
}

/// What a worker takes: a line of JSON.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Job {
    /// A trial of the suite's own; the answer is an [`Outcome`].
    Trial(Box<Request>),
    /// A case that is put to a wrapper; the answer is a [`Finding`].
    Check(Box<check::Request>),
    /// An experiment on a claim; the answer is a [`Came`].
    Claim(Box<claims::Request>),
}

/// Starts workers as they are needed and keeps them for the next trial. Share it among as many threads as there shall
/// be trials at a time.
#[derive(Debug)]
pub struct Pool {
    program: PathBuf,
    idle: Mutex<Vec<Worker>>,
    stop: Option<OwnedFd>,
    answers_within: Duration,
}

/// Far above what a trial may take: its deadline, its descendants', and the killing.
const ANSWER_BOUND: Duration = Duration::from_secs(120);

/// The hidden command that makes a process a worker.
pub const WORKER_COMMAND: &str = "worker";

impl Pool {
    /// A pool whose workers are `program worker`; `program` is the `pipeclog` binary.
    #[must_use]
    pub fn new(program: PathBuf) -> Self {
        Self {
            program,
            idle: Mutex::new(Vec::new()),
            stop: None,
            answers_within: ANSWER_BOUND,
        }
    }

    /// The same pool, which waits for no answer any more once `stop` is readable: whoever waits then gets an error, once
    /// his worker has ended its trial and itself.
    #[must_use]
    pub fn stopped_by(mut self, stop: OwnedFd) -> Self {
        self.stop = Some(stop);
        self
    }

    /// The same pool, whose workers may take so long for an answer. (Two minutes, if nothing is said: far above what a trial
    /// may take.)
    #[must_use]
    pub fn answering_within(mut self, bound: Duration) -> Self {
        self.answers_within = bound;
        self
    }

    /// Runs one trial in a worker. Whatever goes wrong with the worker is told by the outcome.
    pub fn run(&self, request: &Request) -> Outcome {
        match self.ask(&Job::Trial(Box::new(request.clone()))) {
            Ok(outcome) => outcome,
            Err(error) => Outcome {
                verdict: Verdict::Broken {
                    why: format!(
                        "failed to run a trial in `{} {WORKER_COMMAND}`: {error}",
                        self.program.display()
                    ),
                },
                measured: None,
                written: Written::default(),
                seen: None,
            },
        }
    }

    /// Puts a case to a wrapper, in a worker. Whatever goes wrong with the worker is told by the finding.
    pub fn check(&self, request: &check::Request) -> Finding {
        self.ask(&Job::Check(Box::new(request.clone())))
            .unwrap_or_else(|error| Finding::Broken {
                why: format!(
                    "failed to run a case in `{} {WORKER_COMMAND}`: {error}",
                    self.program.display()
                ),
            })
    }

    /// Runs an experiment on a claim, in a worker. Whatever goes wrong with the worker is told by what came.
    pub fn experiment(&self, request: &claims::Request) -> Came {
        self.ask(&Job::Claim(Box::new(request.clone())))
            .unwrap_or_else(|error| Came::Broken {
                why: Untrusted::from(
                    format!(
                        "failed to run an experiment in `{} {WORKER_COMMAND}`: {error}",
                        self.program.display()
                    )
                    .as_str(),
                ),
            })
    }

    fn ask<A: DeserializeOwned>(&self, job: &Job) -> io::Result<A> {
        let idle = self
            .idle
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
            .pop();
        let mut worker = match idle {
            Some(worker) => worker,
            None => Worker::start(&self.program)?,
        };
        worker.put(job)?;
        worker.wait_for_an_answer(self.answers_within, self.stop.as_ref().map(AsFd::as_fd))?;
        let answer = worker.answer()?;
        self.idle
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
            .push(worker);
        Ok(answer)
    }
}

/// One worker process; dropping it ends it.
#[derive(Debug)]
struct Worker {
    child: Child,
    /// Taken when the worker is to end: the end of its stdin tells it to.
    requests: Option<ChildStdin>,
    answers: BufReader<ChildStdout>,
}

impl Worker {
    fn start(program: &PathBuf) -> io::Result<Self> {
        let mut command = Command::new(program);
        command
            .arg(WORKER_COMMAND)
            // A group of its own: a signal that ends all of ours must leave somebody to clean up.
            .process_group(0)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped());
        let mut child = spawn_with_no_stop_between(&mut command)?;
        let requests = child.stdin.take();
        let answers = child
            .stdout
            .take()
            .ok_or_else(|| io::Error::other("its stdout is not a pipe"))?;
        Ok(Self {
            child,
            requests,
            answers: BufReader::new(answers),
        })
    }

    fn put(&mut self, job: &Job) -> io::Result<()> {
        let mut line = serde_json::to_string(job)?;
        line.push('\n');
        let requests = self
            .requests
            .as_mut()
            .ok_or_else(|| io::Error::other("it was told to end"))?;
        // A request is far below a pipe's capacity, and the worker has read the one before.
        requests.write_all(line.as_bytes())
    }

    fn answer<A: DeserializeOwned>(&mut self) -> io::Result<A> {
        let mut line = String::new();
        if self.answers.read_line(&mut line)? == 0 {
            let status = self.child.wait()?;
            return Err(io::Error::other(format!(
                "it ended in mid-trial with {status}"
            )));
        }
        Ok(serde_json::from_str(&line)?)
    }

    /// The worker bounds each trial and its cleaning up; the bound here is for a worker that is stuck itself.
    fn wait_for_an_answer(&self, bound: Duration, stop: Option<BorrowedFd<'_>>) -> io::Result<()> {
        let until = Instant::now() + bound;
        loop {
            let answers = self.answers.get_ref().as_fd();
            let mut fds = vec![PollFd::new(answers, PollFlags::POLLIN)];
            fds.extend(stop.map(|stop| PollFd::new(stop, PollFlags::POLLIN)));
            let left = until.saturating_duration_since(Instant::now());
            match poll(
                &mut fds,
                PollTimeout::try_from(left).unwrap_or(PollTimeout::MAX),
            ) {
                Ok(0) => {
                    let seen = stuck::told(self.child.id());
                    self.end()?;
                    return Err(io::Error::other(format!(
                        "it gave no answer for {} s, and was ended: {seen}",
                        bound.as_secs()
                    )));
                }
                Ok(_) if fds.get(1).and_then(PollFd::any).unwrap_or(false) => {
                    return Err(io::Error::other("it was told to stop"));
                }
                Ok(_) => return Ok(()),
                Err(Errno::EINTR) => {}
                Err(errno) => return Err(errno.into()),
            }
        }
    }
}

/// A Ctrl-Z between the fork and the exec would stop the child, which has not left our group yet, while our thread waits for
/// its exec in vfork(2), where it cannot stop: the shell would never learn that we did. Blocked, the signal is another thread's.
fn spawn_with_no_stop_between(command: &mut Command) -> io::Result<Child> {
    let mut stop = SigSet::empty();
    stop.add(Signal::SIGTSTP);
    let before = stop.thread_swap_mask(SigmaskHow::SIG_BLOCK)?;
    let spawned = command.spawn();
    before.thread_set_mask()?;
    spawned
}

impl Worker {
    /// Its guard gives it a little time, and kills it then. Who is stopped acts on no signal before he goes on.
    fn end(&self) -> io::Result<()> {
        // Not reaped, so the number is its own.
        let guard = Pid::from_raw(self.child.id().cast_signed());
        kill(guard, Signal::SIGTERM)?;
        kill(guard, Signal::SIGCONT)?;
        Ok(())
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        drop(self.requests.take());
        // It kills its trial, if there is one, within a bound of its own.
        let _ = self.child.wait();
    }
}

/// The worker's side: answers requests until its stdin ends, or it is told to give one up.
///
/// # Errors
///
/// When stdin or stdout fail, or a request is not one.
pub fn serve(setup: &Setup) -> io::Result<()> {
    let mut answers = io::stdout().lock();
    let mut line = String::new();
    while setup.stop.or_request()? == Woken::Ready {
        line.clear();
        if io::stdin().lock().read_line(&mut line)? == 0 {
            break;
        }
        let answer = match serde_json::from_str(&line)? {
            Job::Trial(request) => trial::run(&request, setup).map(serde_json::to_value),
            Job::Check(request) => check::run(&request, setup).map(serde_json::to_value),
            Job::Claim(request) => claims::run(&request, setup).map(serde_json::to_value),
        };
        let Some(answer) = answer else {
            break;
        };
        serde_json::to_writer(&mut answers, &answer?)?;
        answers.write_all(b"\n")?;
        answers.flush()?;
    }
    Ok(())
}
