//! Runs one command as timeout(1) does, and looks at its tree meanwhile.

use std::fs::File;
use std::io::{self, PipeReader};
use std::os::fd::{AsFd as _, AsRawFd as _};
use std::process::Command;
use std::time::{Duration, Instant};

use pipeclog_rescue::{Action, Limits, Mode};
use pipeclog_waitgraph::awaited::Assumption;
use pipeclog_waitgraph::report::{Assumed, Confidence, Report, VerdictName};
use pipeclog_waitgraph::snapshot::{Pid, Snapshot};
use pipeclog_waitgraph::{Diagnosis, Verdict, diagnose};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::Signal;

use crate::account::{Account, EndedBy, Ending};
use crate::aftermath::{self, Fate};
use crate::census::{self, Stream};
use crate::error::{SuperviseError, system};
use crate::event::{Event, Whose};
use crate::keeper::{self, KEEPER_COMMAND};
use crate::lookout::{Lookout, Next};
use crate::options::{OnDeadlock, Options, Whom};
use crate::send;
use crate::signals::{Came, Signals, StopsHeld};
use crate::silence::{CannotTell, Silence};
use crate::standing::{Standing, ToldDeadlocks};
use crate::switches::Switches;
use crate::tree::{Group, Tree};
use crate::word::{self, Word};

/// Between SIGTERM and SIGKILL for those who are in a deadlock, where nobody said how long: most cannot act on SIGTERM any
/// more than on anything else.
const DEADLOCK_GRACE: Duration = Duration::from_secs(5);
/// The kernel is asked to tell of switches in a tree that is older than this.
const WORTH_ASKING: Duration = Duration::from_millis(100);
/// Runs the command to its end. Stdin and stdout of this process are given up once the command has them.
///
/// # Errors
/// When it cannot be supervised; whatever had been started is ended then.
pub fn run(options: &Options, tell: &mut dyn FnMut(&Event<'_>)) -> Result<Account, SuperviseError> {
    keeper::child_signals_are_told().map_err(system("handle SIGCHLD"))?;
    let signals = Signals::block(options.signal).map_err(system("take signals (signalfd)"))?;
    let streams = [
        census::stream("stdout", io::stdout()),
        census::stream("stderr", io::stderr()),
    ];
    let (report, report_end) = io::pipe().map_err(system("make a pipe to the keeper"))?;
    // Inherited by the keeper, which closes it before it starts the command.
    rustix::io::fcntl_setfd(&report_end, rustix::io::FdFlags::empty())
        .map_err(system("pass a pipe to the keeper"))?;
    let stops = StopsHeld::hold().map_err(system("hold stops back (signalfd)"))?;
    let mut command = Command::new(&options.program);
    command.arg(KEEPER_COMMAND).args(keeper::arguments(
        report_end.as_raw_fd(),
        signals.added().iter().chain(&stops.added),
        &options.command,
    ));
    let tree = Tree::start(&mut command, Group::Same)?;
    drop(report_end);
    stops
        .let_come(&tree)
        .map_err(system("let held stops come"))?;
    let result = give_up_stdin_and_stdout()
        .and_then(|()| Supervisor::new(options, signals, report, &tree, tell)?.run());
    match result {
        Ok((account, fate)) => {
            let streams: Vec<Stream> = streams.into_iter().flatten().collect();
            aftermath::take_over(account, fate, tree, &streams, tell)
        }
        Err(error) => {
            tree.clear()?;
            Err(error)
        }
    }
}

/// A reader of the command's stdout sees its end, and a writer of its stdin that nobody reads on, when the command and
/// its descendants have closed them: not when this process does.
fn give_up_stdin_and_stdout() -> Result<(), SuperviseError> {
    let null = File::options()
        .read(true)
        .write(true)
        .open("/dev/null")
        .map_err(system("open /dev/null"))?;
    let failed = || system("let go of stdin and stdout");
    nix::unistd::dup2_stdin(&null).map_err(failed())?;
    nix::unistd::dup2_stdout(&null).map_err(failed())?;
    Ok(())
}

struct Supervisor<'a> {
    options: &'a Options,
    signals: Signals,
    report: PipeReader,
    tree: &'a Tree,
    tell: &'a mut dyn FnMut(&Event<'_>),
    started: Instant,
    /// Time in which this process was stopped.
    stopped: Duration,
    leader: Pid,
    lookout: Lookout,
    switches: Told,
    ended_by: EndedBy,
    /// When SIGKILL follows.
    kill_at: Option<Duration>,
    killed: bool,
    /// Of those who outlive the command.
    fate: Fate,
    diagnosis: Option<Diagnosis>,
    looks: Vec<Snapshot>,
    actions: Vec<Action>,
    told: ToldDeadlocks,
    silence: Silence,
}

/// Whether the kernel tells of switches in the tree.
enum Told {
    /// It was not asked: that takes some milliseconds, which a short command is not worth.
    NotYet,
    Yes(Switches),
    /// It does not.
    No,
}

impl<'a> Supervisor<'a> {
    fn new(
        options: &'a Options,
        signals: Signals,
        report: PipeReader,
        tree: &'a Tree,
        tell: &'a mut dyn FnMut(&Event<'_>),
    ) -> Result<Self, SuperviseError> {
        let keeper = Pid(tree.leader().as_raw().cast_unsigned());
        Ok(Self {
            options,
            signals,
            report,
            tree,
            tell,
            started: Instant::now(),
            stopped: Duration::ZERO,
            leader: keeper,
            lookout: Lookout::new(keeper, keeper)?,
            switches: Told::NotYet,
            ended_by: EndedBy::Itself,
            kill_at: None,
            killed: false,
            fate: Fate::LeftAlone,
            diagnosis: None,
            looks: Vec::new(),
            actions: Vec::new(),
            told: ToldDeadlocks::default(),
            silence: Silence::default(),
        })
    }

    fn keeper(&self) -> Pid {
        Pid(self.tree.leader().as_raw().cast_unsigned())
    }

    /// How old the command is.
    fn age(&self) -> Duration {
        self.started.elapsed().saturating_sub(self.stopped)
    }

    fn run(mut self) -> Result<(Account, Fate), SuperviseError> {
        let mut next_look = Next::default();
        let mut woke = Instant::now();
        let end = loop {
            let now = self.age();
            // Who looks at every switch of a busy tree looks at nothing else.
            let may_look = now >= next_look.if_told;
            let looks_at = match self.switches {
                Told::Yes(_) if !may_look => next_look.if_told,
                Told::Yes(_) | Told::NotYet | Told::No => next_look.at_last,
            };
            let due = [
                (!self.killed).then_some(looks_at),
                self.kill_at,
                self.timeout_at(),
            ];
            let due = due.into_iter().flatten().min();
            let wait = due.map(|due| due.saturating_sub(now));
            let looks = !self.killed && self.leader != self.keeper();
            let is_told = self.wait(wait, may_look && looks)?;
            for came in self.signals.read() {
                match came {
                    // This long at most was it stopped; the wait itself had been no longer than a second or so.
                    Came::Continued => self.stopped += woke.elapsed(),
                    Came::Sent(signal) => self.pass_on(signal)?,
                    Came::ToAll => self.schedule_kill(),
                }
            }
            woke = Instant::now();
            match word::read(&mut self.report)? {
                Word::None => {}
                Word::Started(leader) => {
                    self.leader = leader;
                    self.lookout = Lookout::new(self.keeper(), leader)?;
                    self.started = Instant::now();
                    self.stopped = Duration::ZERO;
                    next_look = Next::default();
                }
                Word::End(end) => break end,
            }
            self.act_on_time()?;
            let is_due = is_told || self.age() >= next_look.at_last;
            // The keeper's word may just have come, or the time to kill.
            if is_due && !self.killed && self.leader != self.keeper() {
                next_look = self.look()?;
            }
        };
        if let Some(diagnosis) = self.told.unsure.take()
            && self.diagnosis.is_none()
            && end != Ending::Exited(0)
            && !self.lookout.has_moved_on(self.age())
        {
            (self.tell)(&Event::WasStuck(&diagnosis));
            self.diagnosis = Some(diagnosis);
        }
        let account = Account {
            end,
            ended_by: self.ended_by,
            took: self.age(),
            cost: self.lookout.cost,
            diagnosis: self.diagnosis,
            looks: self.looks,
            actions: self.actions,
            left_behind: Vec::new(),
        };
        Ok((account, self.fate))
    }

    /// Waits for a signal, a word of the keeper or the time; and, if asked, for a switch in the tree. Says whether there was one.
    fn wait(
        &mut self,
        timeout: Option<Duration>,
        for_switches: bool,
    ) -> Result<bool, SuperviseError> {
        let timeout = timeout.and_then(|timeout| Timespec::try_from(timeout).ok());
        let input = |fd| PollFd::from_borrowed_fd(fd, PollFlags::IN);
        let signals = self.signals.descriptors();
        let mut fds: Vec<_> = signals.chain([self.report.as_fd()]).map(input).collect();
        let own = fds.len();
        if let Told::Yes(switches) = &self.switches
            && for_switches
        {
            fds.extend(switches.descriptors().map(input));
        }
        match poll(&mut fds, timeout.as_ref()) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(errno) => return Err(system("wait for the command (poll)")(errno).into()),
        }
        let told: Vec<PollFlags> = fds.iter().skip(own).map(PollFd::revents).collect();
        // Before the look: who switches after it is told of anew.
        Ok(match &mut self.switches {
            Told::Yes(switches) if for_switches => switches.hear(&told),
            Told::Yes(_) | Told::NotYet | Told::No => false,
        })
    }

    fn timeout_at(&self) -> Option<Duration> {
        let fresh = self.ended_by == EndedBy::Itself && self.kill_at.is_none();
        self.options.timeout.filter(|_| fresh)
    }

    fn act_on_time(&mut self) -> Result<(), SuperviseError> {
        if self.kill_at.is_some_and(|at| self.age() >= at) {
            self.kill_at = None;
            self.killed = true;
            (self.tell)(&Event::Sends(Signal::KILL));
            return self.send(Signal::KILL);
        }
        if self.timeout_at().is_some_and(|at| self.age() >= at) {
            return self.out_of_time(EndedBy::Timeout);
        }
        Ok(())
    }

    fn out_of_time(&mut self, why: EndedBy) -> Result<(), SuperviseError> {
        match self.lookout.diagnose() {
            Ok(of_command) => {
                let looks = self.lookout.looks();
                let others = looks.last().into_iter().flat_map(|look| &look.processes);
                let others = others
                    .map(|process| process.pid)
                    .filter(|pid| *pid != self.leader && *pid != self.keeper())
                    .filter(|pid| descends(looks, *pid, self.keeper()))
                    .map(|pid| diagnose(looks, pid));
                let mut diagnoses = vec![of_command];
                diagnoses.extend(others);
                (self.tell)(&Event::OutOfTime {
                    why,
                    diagnoses: &diagnoses,
                });
                if let Some(of_command) = diagnoses.into_iter().next() {
                    self.keep(of_command);
                }
            }
            Err(error) => (self.tell)(&Event::Trouble(&error)),
        }
        self.end_it(why, self.options.kill_after)
    }

    /// Sends the signal, and lets SIGKILL follow.
    fn end_it(&mut self, why: EndedBy, kill_after: Option<Duration>) -> Result<(), SuperviseError> {
        self.ended_by = why;
        self.kill_at = kill_after.map(|after| self.age() + after);
        (self.tell)(&Event::Sends(self.options.signal));
        self.send(self.options.signal)
    }

    fn pass_on(&mut self, signal: Signal) -> Result<(), SuperviseError> {
        self.schedule_kill();
        self.send(signal)
    }

    /// Whoever asks for the end may count on it: SIGKILL follows, where it was asked for.
    fn schedule_kill(&mut self) {
        if let Some(after) = self.options.kill_after
            && self.kill_at.is_none()
        {
            self.kill_at = Some(self.age() + after);
        }
    }

    fn send(&mut self, signal: Signal) -> Result<(), SuperviseError> {
        let (leader, whom, root) = (self.leader, self.options.whom, self.keeper());
        let wanted = |pid: Pid| whom == Whom::Tree || pid == leader;
        if signal == Signal::KILL && whom == Whom::Tree {
            self.fate = Fate::Killed;
        }
        let mut had = send::to_family(self.lookout.scanner(), root, signal, wanted)?;
        // Who forks while others are killed leaves some for another round.
        let mut goes_on = signal == Signal::KILL;
        while goes_on {
            let again = send::to_family(self.lookout.scanner(), root, signal, wanted)?;
            goes_on = !again.is_subset(&had);
            had.extend(again);
        }
        Ok(())
    }

    fn look(&mut self) -> Result<Next, SuperviseError> {
        let (diagnosis, next) = match self.lookout.look(self.age()) {
            Ok(looked) => looked,
            Err(error) => {
                (self.tell)(&Event::Trouble(&error));
                // It may be for want of the descriptors that these take.
                self.switches = Told::No;
                let later = self.age() + Duration::from_secs(1);
                return Ok(Next {
                    if_told: later,
                    at_last: later,
                });
            }
        };
        if matches!(self.switches, Told::NotYet) && self.age() >= WORTH_ASKING {
            let asked = self.lookout.switches();
            self.switches = asked.map_or(Told::No, Told::Yes);
        }
        if self.signals.have_come() {
            // The tree has yet to get it from us, and it may be what somebody there waits for.
            self.lookout.forget();
            let now = self.age();
            return Ok(Next {
                if_told: now,
                at_last: now,
            });
        }
        if let Some(diagnosis) = diagnosis {
            self.judge(diagnosis)?;
        }
        match self.options.no_output {
            Some(bound) if !self.silence.cannot_tell => self.listen(bound)?,
            _ => {}
        }
        Ok(next)
    }

    fn listen(&mut self, bound: Duration) -> Result<(), SuperviseError> {
        let now = self.age();
        match self.lookout.written() {
            Ok(Some(written)) if written != self.silence.written => {
                self.silence.written = written;
                self.silence.since = now;
            }
            Ok(Some(_)) => {
                let is_over = now >= self.silence.since + bound;
                if is_over && self.ended_by == EndedBy::Itself && self.kill_at.is_none() {
                    return self.out_of_time(EndedBy::Silence);
                }
            }
            Ok(None) => {
                self.silence.cannot_tell = true;
                (self.tell)(&Event::Trouble(&CannotTell));
            }
            Err(error) => (self.tell)(&Event::Trouble(&error)),
        }
        Ok(())
    }

    fn judge(&mut self, diagnosis: Diagnosis) -> Result<(), SuperviseError> {
        let report = diagnosis.report();
        let is_deadlock = |report: &Report, confidence| {
            report.verdict == VerdictName::Deadlocked && report.confidence == confidence
        };
        let beside = |confidence| report.beside.iter().any(|r| is_deadlock(r, confidence));
        let is_own =
            matches!(diagnosis.verdict(), Verdict::Deadlocked { proof, .. } if proof.is_strict());
        let is_own_probable = is_deadlock(report, Confidence::Probable);
        // That nobody signals it holds of all that is left alone by its supervisor.
        let is_beside = !is_own && report.beside.iter().any(lacks_only_silence);
        let is_suspected = !is_own && (is_own_probable || beside(Confidence::Probable));
        let is_unsure = !is_own && lacks_only_silence(report);
        let now = self.age();
        let tell_beside = self.told.beside.is_due(is_beside, now);
        let tell_suspected = self.told.suspected.is_due(is_suspected && !is_beside, now);
        self.told.unsure = is_unsure.then(|| diagnosis.clone());
        if is_own && !self.told.own {
            self.told.own = true;
            if self.actions.is_empty() {
                self.tell_deadlock(diagnosis, Whose::Command);
            } else {
                // The next full pipe of a command that is being rescued: what is done about it says enough.
                self.keep(diagnosis);
            }
            self.react()?;
        } else if tell_beside {
            self.tell_deadlock(diagnosis, Whose::Descendants);
        } else if tell_suspected {
            let whose = if is_own_probable {
                Whose::Command
            } else {
                Whose::Descendants
            };
            self.suspect(diagnosis, whose);
        }
        Ok(())
    }

    /// Tells of a deadlock that rests on assumptions. It ends nothing; a full channel of it may be made larger, which harms nobody if
    /// they do not hold.
    fn suspect(&mut self, diagnosis: Diagnosis, whose: Whose) {
        if self.actions.is_empty() {
            (self.tell)(&Event::Suspected {
                diagnosis: &diagnosis,
                whose,
            });
        }
        self.keep(diagnosis);
        let OnDeadlock::Rescue(limits) = self.options.on_deadlock else {
            return;
        };
        match self.rescue(limits) {
            // It may meet the next full channel.
            Ok(()) => self.told.suspected = Standing::default(),
            Err(why) => (self.tell)(&Event::Trouble(why.as_ref())),
        }
    }

    /// Does what was asked for, once a deadlock of the command's own has been told.
    fn react(&mut self) -> Result<(), SuperviseError> {
        match self.options.on_deadlock {
            OnDeadlock::Wait => return Ok(()),
            OnDeadlock::Rescue(limits) => match self.rescue(limits) {
                Ok(()) => {
                    // It may meet the next full channel, and that is another deadlock.
                    self.told.own = false;
                    return Ok(());
                }
                Err(why) => (self.tell)(&Event::Trouble(why.as_ref())),
            },
            OnDeadlock::Kill => {}
        }
        if self.ended_by == EndedBy::Itself {
            let grace = self.options.kill_after.unwrap_or(DEADLOCK_GRACE);
            self.end_it(EndedBy::Deadlock, Some(grace))?;
        }
        Ok(())
    }

    fn rescue(&mut self, limits: Limits) -> Result<(), Box<dyn std::error::Error>> {
        let plan = pipeclog_rescue::plan(self.lookout.looks(), self.leader)?;
        let action = pipeclog_rescue::grow(&plan, limits, Mode::Act)?;
        (self.tell)(&Event::Rescued(&action));
        self.actions.push(action);
        Ok(())
    }

    fn tell_deadlock(&mut self, diagnosis: Diagnosis, whose: Whose) {
        (self.tell)(&Event::Deadlock {
            diagnosis: &diagnosis,
            looks: self.lookout.looks(),
            whose,
        });
        self.keep(diagnosis);
    }

    fn keep(&mut self, diagnosis: Diagnosis) {
        self.diagnosis = Some(diagnosis);
        self.looks = self.lookout.looks().to_vec();
    }
}

/// Whether a report is of a deadlock that is proven, or would be if nobody who was started with its members signalled one.
fn lacks_only_silence(report: &Report) -> bool {
    let is_silence = |assumed: &Assumed| matches!(assumed.assumption, Assumption::NoSignal { .. });
    report.verdict == VerdictName::Deadlocked && report.assumptions.iter().all(is_silence)
}

/// Whether `pid` is below `root` in the last look.
fn descends(looks: &[Snapshot], pid: Pid, root: Pid) -> bool {
    let Some(look) = looks.last() else {
        return false;
    };
    std::iter::successors(look.process(pid), |process| look.process(process.ppid))
        .take(look.processes.len())
        .any(|process| process.ppid == root)
}
