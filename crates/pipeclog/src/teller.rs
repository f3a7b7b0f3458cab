//! Telling on stderr without waiting for whoever reads it: a watchdog that hangs on a full stderr would be one more hang.

use std::io::{self, Write as _};
use std::sync::mpsc::{self, Receiver, Sender};
use std::thread;
use std::time::Duration;

use anyhow::Context as _;
use nix::sys::signal::{SigSet, SigmaskHow};

use crate::table;

/// How long a reader of stderr is waited for before what is to be told comes too late.
const PATIENCE: Duration = Duration::from_secs(1);

/// A message in lines, as wide as stderr shows them.
pub(crate) fn said(message: &str) -> String {
    table::message(&format!("pipeclog watch: {message}"), io::stderr())
}

/// Writes to stderr from a thread of its own.
pub(crate) struct Teller {
    texts: Sender<String>,
    written: Receiver<()>,
    /// Texts that have not been written yet.
    pending: usize,
}

impl Teller {
    pub(crate) fn new() -> anyhow::Result<Self> {
        let (texts, incoming) = mpsc::channel::<String>();
        let (done, written) = mpsc::channel();
        // The thread starts with every signal blocked: one that it did not block would kill the process that means to take it.
        let before = SigSet::all().thread_swap_mask(SigmaskHow::SIG_SETMASK);
        let started = thread::Builder::new().spawn(move || {
            for text in incoming {
                // A reader that has gone needs no telling, and there is nowhere else to complain.
                let _ = anstream::stderr().write_all(text.as_bytes());
                let _ = done.send(());
            }
        });
        if let Ok(before) = before {
            let _ = before.thread_set_mask();
        }
        started.context(
            "failed to start a thread that tells what happens; end some processes of this user, or raise their limit (ulimit -u)",
        )?;
        Ok(Self {
            texts,
            written,
            pending: 0,
        })
    }

    /// Tells a message.
    pub(crate) fn say(&mut self, message: &str) {
        self.tell(said(message));
    }

    /// Tells what is set in lines already; comes back once it is written, or nobody has read it for a second.
    pub(crate) fn tell(&mut self, text: String) {
        if self.texts.send(text).is_ok() {
            self.pending += 1;
        }
        while self.pending > 0 && self.written.recv_timeout(PATIENCE).is_ok() {
            self.pending -= 1;
        }
    }
}
