//! `io_uring`: io_uring's poll requests.
//!
//! What it does: as [`super::poll`], but the ring says what is ready: one poll request for each
//! descriptor stays with the kernel until it fires, and waiting and asking are one system call
//! (io_uring_enter(2)). The bytes are read by read(2).
//!
//! When it deadlocks: never by itself; it waits where `poll` does.
//!
//! The smallest scenario: none hangs it; `sh -c 'sleep 600 &'` shows the wait with
//! `End::EndOfFile`.
//!
//! What it costs: a ring to set up, and then as `poll`. Where io_uring is
//! forbidden (`kernel.io_uring_disabled`, a container's system call filter) or older than 5.11 it
//! refuses to run, and says so.

use std::io;
use std::time::Instant;

use ::io_uring::IoUring;
use ::io_uring::types::{SubmitArgs, Timespec};
use rustix::event::PollFlags;
use rustix::io::Errno;

use super::Method;
use crate::channel::{Plumbing, output_pipe};
use crate::engine::Engine;
use crate::flow::{Flow, TOKENS, Token};
use crate::{Error, Strategy, sys};

pub(super) const METHOD: Method = Method::Safe {
    plumb: |input| Plumbing::new(input, output_pipe()?, output_pipe()?),
    engine: || Ok(Box::new(Ring::new()?)),
};

struct Ring {
    ring: IoUring,
    in_flight: Vec<Token>,
}

impl Ring {
    fn new() -> Result<Self, Error> {
        let ring = IoUring::new(TOKENS.len().next_power_of_two() as u32).map_err(refused)?;
        if !ring.params().is_feature_ext_arg() {
            return Err(Error::unsupported(
                Strategy::IoUring.name(),
                "run: it needs Linux 5.11 or later",
            ));
        }
        Ok(Ring {
            ring,
            in_flight: Vec::new(),
        })
    }
}

impl Engine for Ring {
    fn turn(&mut self, flow: &mut Flow, until: Option<Instant>) -> Result<(), Error> {
        for (token, fd) in flow.interests() {
            if !self.in_flight.contains(&token)
                && sys::push_poll(&mut self.ring, fd, wanted(token), token as u64)
            {
                self.in_flight.push(token);
            }
        }
        self.wait(until)?;
        let ready: Vec<u64> = self
            .ring
            .completion()
            .map(|completion| completion.user_data())
            .collect();
        for token in TOKENS
            .into_iter()
            .filter(|token| ready.contains(&(*token as u64)))
        {
            self.in_flight.retain(|it| *it != token);
            flow.serve(token)?;
        }
        Ok(())
    }
}

impl Ring {
    fn wait(&mut self, until: Option<Instant>) -> Result<(), Error> {
        let left =
            until.map(|until| Timespec::from(until.saturating_duration_since(Instant::now())));
        let args = match &left {
            Some(left) => SubmitArgs::new().timespec(left),
            None => SubmitArgs::new(),
        };
        match self.ring.submitter().submit_with_args(1, &args) {
            Ok(_) => Ok(()),
            Err(cause) => match cause.raw_os_error().map(Errno::from_raw_os_error) {
                // Late, or interrupted by a signal: the caller's loop comes back.
                Some(Errno::TIME | Errno::INTR) => Ok(()),
                _ => Err(Error::system("wait for the child's streams", cause)),
            },
        }
    }
}

fn wanted(token: Token) -> u32 {
    let flags = match token {
        Token::Stdin => PollFlags::OUT,
        Token::Stdout | Token::Stderr | Token::Exit | Token::Stop | Token::StopNow => PollFlags::IN,
    };
    u32::from(flags.bits())
}

fn refused(cause: io::Error) -> Error {
    match cause.raw_os_error().map(Errno::from_raw_os_error) {
        Some(Errno::NOSYS | Errno::PERM | Errno::ACCESS) => Error::unsupported(
            Strategy::IoUring.name(),
            format!(
                "run: io_uring is off here ({cause}); see /proc/sys/kernel/io_uring_disabled, or a container's filter"
            ),
        ),
        _ => Error::system("set up a ring", cause),
    }
}
