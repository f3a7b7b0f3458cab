//! What each command exits with: one table each, at the end of its `--help` and of its manual page.

/// Of `prove`.
pub(crate) const PROVE: &str = "\
Exit codes:
  0    every trial came out as expected, or was skipped
  1    a trial came out otherwise
  2    wrong usage, or no trial could be run
  125  stdout takes no output";

/// Of `report`.
pub(crate) const REPORT: &str = "\
Exit codes:
  0    all is as expected; with --check, the verdicts hold on this machine
  1    something is not
  2    wrong usage, or no report could be made
  125  stdout takes no output";

/// Of `check`.
pub(crate) const CHECK: &str = "\
Exit codes:
  0    the wrapper does what it must, apart from known failures
  1    a case failed
  2    wrong usage, or the wrapper could not be tried
  125  stdout takes no output";

/// Of `diagnose`.
pub(crate) const DIAGNOSE: &str = "\
Exit codes:
  0    nothing is stuck for good
  1    a proven deadlock
  2    wrong usage, or nothing could be looked at
  3    something suspected: a probable deadlock, a leak, a stall
  4    the evidence is incomplete
  5    the wait-for graph that --repro asked for cannot be acted out
  125  stdout takes no output";

/// Of `watch`.
pub(crate) const WATCH: &str = "\
Exit codes:
  124    ended by a timeout, a silence or a deadlock (137 if it took SIGKILL after a timeout)
  125    a failure of watch itself, wrong usage and an unwritten --json or --junit among them
  126    the command cannot be run
  127    the command is not found
  128+n  signal n killed the command
  other  that of the command";

/// Of `rescue`.
pub(crate) const RESCUE: &str = "\
Exit codes:
  0    it goes on, or has ended by itself
  1    refused, with the reason and what would help
  2    wrong usage, or nothing could be looked at
  3    it was freed, and is stuck again where no more can be done
  4    bytes are on disk, and the text says what to do
  125  stdout takes no output";
