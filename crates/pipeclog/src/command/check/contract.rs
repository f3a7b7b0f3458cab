//! Says first of all what of the contract a wrapper does not keep.

use anstream::eprintln;
use anyhow::bail;
use indicatif::ProgressBar;
use pipeclog_harness::check::contract::Term;
use pipeclog_harness::pool::Pool;
use pipeclog_scenario::check::Wrapper;
use pipeclog_waitgraph::Untrusted;

use crate::run;

/// Characters of a breach, which quotes the wrapper.
const CHARS: usize = 300;

/// Asks for each term. Of a breach that leaves the cases their meaning there is a line on stderr.
///
/// # Errors
/// When the wrapper does not run the command at all; when a signal asked for the end.
pub(super) fn ask(pool: &Pool, wrapper: &Wrapper, jobs: usize) -> anyhow::Result<()> {
    let bar = ProgressBar::hidden();
    let breaches = run::each(&Term::ALL, jobs, &bar, |term| term.breach(pool, wrapper))?;
    for (term, breach) in Term::ALL.into_iter().zip(breaches) {
        let Some(breach) = breach else { continue };
        let breach = Untrusted::new(breach).terminal(CHARS);
        let what = match term {
            Term::Runs => bail!(
                "this is no wrapper: it does not run the command that it is given ({breach}); `pipeclog check` calls it as `{} COMMAND…`, and \
                 it must run that COMMAND, capture both of its streams, write them to its own stdout and stderr, and exit with COMMAND's code; \
                 docs/wrapper-authors.md shows one in five languages",
                Untrusted::new(wrapper.command.join(" ")).terminal(CHARS)
            ),
            Term::Stdout => "write the command's stdout to its own",
            Term::Stderr => {
                "write the command's stderr to its own (if it never does, say --without stderr)"
            }
            Term::Exit => {
                "exit with the command's code (if it knows only success and failure, say --without exit)"
            }
        };
        eprintln!(
            "pipeclog: the wrapper breaks the contract, and the cases fail for it: it does not {what}: {breach}"
        );
    }
    Ok(())
}
