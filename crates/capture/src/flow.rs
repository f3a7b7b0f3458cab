//! What moves between the child and us.

use std::os::fd::BorrowedFd;

use crate::feed::{Fed, Feed};
use crate::leader::Leader;
use crate::lull::Lull;
use crate::stopper::Stopping;
use crate::stream::{Pumped, Stream};
use crate::{Error, Limit};

/// The leader and its three streams: what an engine moves forward.
pub(crate) struct Flow {
    pub(crate) leader: Leader,
    /// None once there is nothing more to write.
    pub(crate) feed: Option<Feed>,
    pub(crate) stdout: Stream,
    pub(crate) stderr: Stream,
    pub(crate) stopping: Stopping,
    /// For the engine that heeds it.
    pub(crate) lull: Lull,
}

/// One thing that an engine waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Token {
    Stdin,
    Stdout,
    Stderr,
    Exit,
    /// A stopper was used once.
    Stop,
    /// It was used again.
    StopNow,
}

/// All of them: the numbers that a kernel interface hands back are looked up here.
pub(crate) const TOKENS: [Token; 6] = [
    Token::Stdin,
    Token::Stdout,
    Token::Stderr,
    Token::Exit,
    Token::Stop,
    Token::StopNow,
];

/// What a step came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Served {
    Step,
    /// EAGAIN: an engine that caches readiness must forget it.
    NotReady,
}

impl Flow {
    /// What is worth waiting for now. Only stdin is waited on for writing.
    pub(crate) fn interests(&self) -> Vec<(Token, BorrowedFd<'_>)> {
        let mut interests = Vec::with_capacity(5);
        interests.extend(self.feed.as_ref().map(|feed| (Token::Stdin, feed.fd())));
        interests.extend(self.stdout.readable().map(|fd| (Token::Stdout, fd)));
        interests.extend(self.stderr.readable().map(|fd| (Token::Stderr, fd)));
        if !self.leader.has_exited() {
            interests.push((Token::Exit, self.leader.pidfd()));
        }
        interests.extend(self.stopping.bell());
        interests
    }

    /// Does one step of what became ready.
    pub(crate) fn serve(&mut self, token: Token) -> Result<Served, Error> {
        let pumped = match token {
            Token::Stdin => return self.serve_stdin(),
            Token::Stdout => self.stdout.pump_noting(&mut self.lull)?,
            Token::Stderr => self.stderr.pump_noting(&mut self.lull)?,
            Token::Exit => {
                self.leader.note_exit();
                return Ok(Served::Step);
            }
            Token::Stop | Token::StopNow => {
                self.stopping.note(token);
                return Ok(Served::Step);
            }
        };
        Ok(match pumped {
            Pumped::Bytes | Pumped::Ended => Served::Step,
            Pumped::Empty => Served::NotReady,
        })
    }

    fn serve_stdin(&mut self) -> Result<Served, Error> {
        let Some(feed) = &mut self.feed else {
            return Ok(Served::Step);
        };
        match feed.pump()? {
            Fed::More => Ok(Served::Step),
            Fed::Full => Ok(Served::NotReady),
            Fed::Done => {
                self.feed = None;
                Ok(Served::Step)
            }
        }
    }

    pub(crate) fn streams_ended(&self) -> bool {
        self.stdout.has_ended() && self.stderr.has_ended()
    }

    /// Whether a writer may still be there that we know of: of a file's writers we know nothing.
    pub(crate) fn is_reading(&self) -> bool {
        self.stdout.readable().is_some() || self.stderr.readable().is_some()
    }

    /// The first stream that has passed a limit which ends the child.
    pub(crate) fn fatal_limit(&self) -> Option<(&'static str, Limit)> {
        [&self.stdout, &self.stderr]
            .into_iter()
            .find_map(|stream| stream.fatal_limit().map(|limit| (stream.name, limit)))
    }
}
