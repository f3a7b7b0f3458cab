//! `epoll`: one thread, epoll(7).
//!
//! What it does: as [`super::poll`], by a level-triggered epoll instance. It is here to show that
//! the choice does not matter for three descriptors, and as the shape that an event loop has.
//!
//! When it deadlocks: never by itself; it waits where `poll` does.
//!
//! The smallest scenario: none hangs it; `sh -c 'sleep 600 &'` shows the wait with
//! `End::EndOfFile`.
//!
//! What it costs: an epoll instance and a registration for each descriptor, then as `poll`.

use std::os::fd::{BorrowedFd, OwnedFd};
use std::time::Instant;

use rustix::buffer::spare_capacity;
use rustix::event::epoll::{self, CreateFlags, EventData, EventFlags};
use rustix::io::Errno;

use super::Method;
use crate::Error;
use crate::channel::{Plumbing, output_pipe};
use crate::engine::{Engine, timespec_until};
use crate::flow::{Flow, TOKENS, Token};

pub(super) const METHOD: Method = Method::Safe {
    plumb: |input| Plumbing::new(input, output_pipe()?, output_pipe()?),
    engine: || {
        let instance = epoll::create(CreateFlags::CLOEXEC)
            .map_err(|errno| Error::system("make an epoll instance", errno))?;
        Ok(Box::new(Epoll {
            instance,
            registered: Vec::new(),
        }))
    },
};

struct Epoll {
    instance: OwnedFd,
    registered: Vec<Token>,
}

impl Engine for Epoll {
    fn turn(&mut self, flow: &mut Flow, until: Option<Instant>) -> Result<(), Error> {
        self.register(flow)?;
        let mut events = Vec::with_capacity(TOKENS.len());
        match epoll::wait(
            &self.instance,
            spare_capacity(&mut events),
            timespec_until(until).as_ref(),
        ) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(errno) => return Err(Error::system("wait for the child's streams", errno)),
        }
        for event in events {
            if let Some(token) = token_of(event.data) {
                flow.serve(token)?;
                self.forget_if_done(token, flow);
            }
        }
        Ok(())
    }
}

impl Epoll {
    /// Adds what is newly of interest.
    fn register(&mut self, flow: &Flow) -> Result<(), Error> {
        for (token, fd) in flow.interests() {
            if !self.registered.contains(&token) {
                let (data, flags) = (EventData::new_u64(number_of(token)), wanted(token));
                epoll::add(&self.instance, fd, data, flags)
                    .map_err(|errno| Error::system("watch the child's streams", errno))?;
                self.registered.push(token);
            }
        }
        Ok(())
    }

    /// Takes out what has ended but stays open, since it is ready for ever. A closed stdin is out
    /// by itself: its description had no other descriptor.
    fn forget_if_done(&mut self, token: Token, flow: &Flow) {
        if flow
            .interests()
            .iter()
            .any(|(interest, _)| *interest == token)
        {
            return;
        }
        if let Some(fd) = descriptor_of(token, flow) {
            let _ = epoll::delete(&self.instance, fd);
        }
    }
}

fn wanted(token: Token) -> EventFlags {
    match token {
        Token::Stdin => EventFlags::OUT,
        Token::Stdout | Token::Stderr | Token::Exit | Token::Stop | Token::StopNow => {
            EventFlags::IN
        }
    }
}

fn descriptor_of(token: Token, flow: &Flow) -> Option<BorrowedFd<'_>> {
    match token {
        Token::Stdin => None,
        Token::Stdout => flow.stdout.descriptor(),
        Token::Stderr => flow.stderr.descriptor(),
        Token::Exit => Some(flow.leader.pidfd()),
        Token::Stop | Token::StopNow => flow.stopping.bell_of(token),
    }
}

fn number_of(token: Token) -> u64 {
    token as u64
}

fn token_of(data: EventData) -> Option<Token> {
    TOKENS
        .into_iter()
        .find(|token| number_of(*token) == data.u64())
}
