//! Whether a wrapper does what every case takes for granted, asked before any of them: otherwise each case finds a fault of its own in it.

use pipeclog_scenario::check::{Capability, Case, Exit, Finding, Output, Wrapper};
use pipeclog_scenario::script::{Op, Script, Write};

use crate::check::Request;
use crate::pool::Pool;

/// What a wrapper has to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Term {
    /// It runs the command that follows its own words.
    Runs,
    /// It writes the command's stdout to its own.
    Stdout,
    /// The same of stderr.
    Stderr,
    /// It exits with the command's code.
    Exit,
}

impl Term {
    /// Every one. Without the first the others mean nothing.
    pub const ALL: [Self; 4] = [Self::Runs, Self::Stdout, Self::Stderr, Self::Exit];

    /// Bytes that the child writes to a stream that is asked about.
    const BYTES: u64 = 100;
    /// The child's code where that is asked about.
    const CODE: u8 = 3;

    /// Puts it to a wrapper: what came otherwise, in words; nothing where it does it, where it has declared that it cannot, and where it
    /// hangs on so little, which is for the cases to tell.
    #[must_use]
    pub fn breach(self, pool: &Pool, wrapper: &Wrapper) -> Option<String> {
        if self == Self::Stderr
            && [Capability::Stderr, Capability::Separate]
                .into_iter()
                .any(|needed| wrapper.lacks(needed))
        {
            return None;
        }
        let wrapper = wrapper.clone();
        let case = self.case();
        match pool.check(&Request { case, wrapper }) {
            Finding::WrongExit { expected, found } if self == Self::Exit => {
                Some(format!("{found} came where {expected} was owed"))
            }
            Finding::WrongExit { found, .. } => Some(found),
            Finding::Lost { what, .. } => Some(what),
            Finding::Passed
            | Finding::Hung(_)
            | Finding::Harmed { .. }
            | Finding::Imposed { .. }
            | Finding::NotApplicable { .. }
            | Finding::Broken { .. } => None,
        }
    }

    fn case(self) -> Case {
        let write = |stdout, stderr| Op::Write(Write::new(stdout, stderr));
        let (ops, output, exit) = match self {
            Self::Runs => (vec![], Output::Any, Exit::Any),
            // What the wrapper says on its own stderr is another matter.
            Self::Stdout => (vec![write(Self::BYTES, 0)], Output::Written, Exit::Any),
            Self::Stderr => (vec![write(0, Self::BYTES)], Output::Whole, Exit::Any),
            Self::Exit => (vec![Op::Exit { code: Self::CODE }], Output::Any, Exit::Same),
        };
        Case {
            output,
            exit,
            ..Case::of_script("contract", Script::new(ops))
        }
    }
}
