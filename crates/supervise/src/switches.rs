//! When a task of the tree lets go of a processor, the kernel tells: records of task switches, by perf_event_open(2), which anybody may have
//! of his own processes (`perf_event_paranoid` 2 or less).
//!
//! Who blocks for good lets go of its processor just then, so that this is when to look. It is no evidence of anything, only a reason
//! to look now rather than later.

use std::iter::repeat;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::{fmt, io};

use perf_event::events::Software;
use perf_event::{Builder, Sampler};
use pipeclog_waitgraph::snapshot::Tid;
use rustix::event::PollFlags;
use rustix::io::Errno;
use rustix::process::{PidfdFlags, PidfdGetfdFlags, getpid, pidfd_getfd, pidfd_open};

/// Each task that is there, and each fork after that, takes an event for each processor: more than these are not worth it.
const MOST: usize = 64;
const ONLINE: &str = "/sys/devices/system/cpu/online";
/// One page: that there is a record is all that is asked, so that it matters little when a full ring loses some.
const ROOM: usize = 1;

/// The switches of tasks, and of all whom they start from then on.
pub struct Switches {
    processors: Vec<usize>,
    ourselves: OwnedFd,
    rings: Vec<Ring>,
}

/// Those of one task and its descendants on one processor. A ring is of one processor, or its event is not inherited
/// (kernel/events/core.c, perf_mmap).
struct Ring {
    sampler: Sampler,
    /// A duplicate of its descriptor, which it lends as a number alone.
    descriptor: OwnedFd,
}

impl fmt::Debug for Switches {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Switches, {} rings", self.rings.len())
    }
}

impl Switches {
    /// Of nobody yet.
    ///
    /// # Errors
    /// Where the processors of the machine cannot be listed.
    pub fn new() -> io::Result<Self> {
        let online = std::fs::read_to_string(ONLINE)?;
        Ok(Self {
            processors: numbers(&online).ok_or(io::ErrorKind::InvalidData)?,
            ourselves: pidfd_open(getpid(), PidfdFlags::empty())?,
            rings: Vec::new(),
        })
    }

    /// Of this task as well, if it is still there. The first call waits for all processors, some milliseconds.
    ///
    /// # Errors
    /// Where the machine does not tell: `perf_event_paranoid` above 2, a container's filter, another user's task; and where it would be too
    /// many events.
    pub fn add(&mut self, task: Tid) -> io::Result<()> {
        let task = i32::try_from(task.0).map_err(|_| io::ErrorKind::InvalidInput)?;
        if self.rings.len() + self.processors.len() > MOST {
            return Err(io::ErrorKind::Unsupported.into());
        }
        for processor in &self.processors {
            let mut builder = Builder::new(Software::DUMMY);
            builder.observe_pid(task).one_cpu(*processor);
            builder.inherit(true).context_switch(true);
            builder.wakeup_watermark(1).enabled(true);
            let counter = match builder.build() {
                Ok(counter) => counter,
                Err(error) if error.raw_os_error() == Some(Errno::SRCH.raw_os_error()) => break,
                Err(error) => return Err(error),
            };
            let sampler = counter.sampled(ROOM)?;
            let number = sampler.as_raw_fd();
            let descriptor = pidfd_getfd(&self.ourselves, number, PidfdGetfdFlags::empty())?;
            self.rings.push(Ring {
                sampler,
                descriptor,
            });
        }
        Ok(())
    }

    /// What is readable once somebody has switched.
    pub fn descriptors(&self) -> impl Iterator<Item = BorrowedFd<'_>> {
        self.rings.iter().map(|ring| ring.descriptor.as_fd())
    }

    /// Takes what poll(2) says of [`Self::descriptors`], in their order; whether somebody has switched. They are readable no more
    /// until somebody switches again, and those of tasks that have all ended are gone.
    pub fn hear(&mut self, told: &[PollFlags]) -> bool {
        let mut told = told.iter().copied().chain(repeat(PollFlags::empty()));
        let mut has_switched = false;
        self.rings.retain_mut(|ring| {
            let told = told.next().unwrap_or(PollFlags::empty());
            has_switched |= told.contains(PollFlags::IN);
            while ring.sampler.next_record().is_some() {}
            !told.intersects(PollFlags::HUP | PollFlags::ERR)
        });
        has_switched
    }
}

/// The numbers of a list as the kernel writes it: `0-3,8`.
fn numbers(list: &str) -> Option<Vec<usize>> {
    let mut numbers = Vec::new();
    for part in list.trim().split(',') {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        numbers.extend(first.parse().ok()?..=last.parse::<usize>().ok()?);
    }
    Some(numbers)
}

#[cfg(test)]
mod tests {
    use std::io::{BufRead, BufReader, Write};
    use std::process::{Command, Stdio};
    use std::time::Duration;

    use rustix::event::{PollFd, Timespec, poll};

    use super::*;

    #[test]
    fn a_list_of_processors_is_read_as_the_kernel_writes_it() {
        assert_eq!(numbers("0-3,8\n"), Some(vec![0, 1, 2, 3, 8]));
        assert_eq!(numbers("0\n"), Some(vec![0]));
        for wrong in ["", "0-", "x", "1,,2"] {
            assert_eq!(numbers(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn a_descendant_that_blocks_is_told_of() {
        // It starts the one that blocks when it is told to, and so after the events are there.
        let mut shell = Command::new("sh")
            .args(["-c", "read go; cat"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("a shell");
        let mut stdin = shell.stdin.take().expect("a pipe");
        let mut stdout = BufReader::new(shell.stdout.take().expect("a pipe"));
        let mut echoed = |line: &str| {
            stdin.write_all(line.as_bytes()).expect("it reads");
            let mut echo = String::new();
            stdout.read_line(&mut echo).expect("it writes");
            assert!(line.ends_with(&echo), "{line:?} {echo:?}");
        };
        let added = Switches::new().and_then(|mut switches| {
            switches.add(Tid(shell.id()))?;
            Ok(switches)
        });
        match added {
            Err(error) => {
                println!("skipped: this machine does not tell of switches ({error})");
                drop(stdin);
                shell.wait().expect("it ends with its stdin");
            }
            Ok(mut switches) => {
                echoed("go\nfirst\n");
                // cat may still be on its way to its next read: a switch of before is told as well.
                for _ in 0..10 {
                    switches.hear(&[]);
                    echoed("again\n");
                    assert!(wait(&mut switches), "nothing in a minute");
                }
                drop(stdin);
                shell.wait().expect("it ends with its stdin");
                // Nobody is left who could switch, and nothing that would say so for ever.
                while switches.descriptors().count() > 0 {
                    wait(&mut switches);
                }
            }
        }
    }

    fn wait(switches: &mut Switches) -> bool {
        let minute = Timespec::try_from(Duration::from_secs(60)).expect("short");
        let fds = switches.descriptors();
        let mut fds: Vec<PollFd<'_>> = fds
            .map(|fd| PollFd::from_borrowed_fd(fd, PollFlags::IN))
            .collect();
        assert_ne!(poll(&mut fds, Some(&minute)), Ok(0), "nothing in a minute");
        let told: Vec<PollFlags> = fds.iter().map(PollFd::revents).collect();
        switches.hear(&told)
    }
}
