//! Workers: processes that run one trial at a time, so that every child a worker has belongs to the trial that is on.
//!
//! A worker is the subreaper of its trials and cleans up after each. It takes requests as lines of JSON on its stdin and
//! answers in lines on its stdout, strictly in turn. When its stdin ends, by our death or our will, it kills what it
//! has started and exits.

use std::io::{self, BufRead, BufReader, Write};
use std::os::fd::AsFd as _;
use std::path::PathBuf;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::Mutex;

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use pipeclog_scenario::check::Finding;
use pipeclog_scenario::claims::Came;
use pipeclog_scenario::outcome::{Outcome, Verdict, Written};
use pipeclog_scenario::scenario::Scenario;
use pipeclog_scenario::strategy::Strategy;
use pipeclog_waitgraph::snapshot::Untrusted;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

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
}

/// In milliseconds, far above what a trial may take: its deadline, its descendants', and the killing.
const ANSWER_BOUND: i32 = 120_000;

/// The hidden command that makes a process a worker.
pub const WORKER_COMMAND: &str = "worker";

impl Pool {
    /// A pool whose workers are `program worker`; `program` is the `pipeclog` binary.
    #[must_use]
    pub fn new(program: PathBuf) -> Self {
        Self {
            program,
            idle: Mutex::new(Vec::new()),
        }
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
        let answer = worker.ask(job)?;
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
        let mut child = Command::new(program)
            .arg(WORKER_COMMAND)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
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

    fn ask<A: DeserializeOwned>(&mut self, job: &Job) -> io::Result<A> {
        let mut line = serde_json::to_string(job)?;
        line.push('\n');
        let requests = self
            .requests
            .as_mut()
            .ok_or_else(|| io::Error::other("it was told to end"))?;
        // A request is far below a pipe's capacity, and the worker has read the one before.
        requests.write_all(line.as_bytes())?;
        line.clear();
        // The worker bounds each trial and its cleaning up; this is for a worker that is stuck itself.
        let mut answer = [PollFd::new(
            self.answers.get_ref().as_fd(),
            PollFlags::POLLIN,
        )];
        if poll(
            &mut answer,
            PollTimeout::try_from(ANSWER_BOUND).unwrap_or(PollTimeout::MAX),
        )
        .map_err(io::Error::from)?
            == 0
        {
            self.child.kill()?;
            return Err(io::Error::other(
                "it gave no answer for two minutes, and was killed",
            ));
        }
        if self.answers.read_line(&mut line)? == 0 {
            let status = self.child.wait()?;
            return Err(io::Error::other(format!(
                "it ended in mid-trial with {status}"
            )));
        }
        Ok(serde_json::from_str(&line)?)
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
    for line in io::stdin().lock().lines() {
        let answer = match serde_json::from_str(&line?)? {
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
