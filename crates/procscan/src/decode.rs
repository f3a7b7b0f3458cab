//! From a blocked system call and its registers to what it waits for.

mod files;
mod poll;
mod sync;
#[cfg(test)]
mod tests;
mod time;

use pipeclog_waitgraph::snapshot::{Access, ChildSet, SignalSet, Signals, Table, Timeout, Wait};

pub(crate) use files::id;

use crate::calls;
use crate::memory::{Memory, Unreadable};
use crate::source::Source;

/// All that decoding may look at.
pub(crate) struct Blocked<'a> {
    pub(crate) source: &'a dyn Source,
    pub(crate) pid: u32,
    pub(crate) number: u64,
    pub(crate) args: [u64; 6],
    pub(crate) memory: &'a Memory<'a>,
    pub(crate) table: &'a Table,
    pub(crate) signals: Option<Signals>,
    /// Where the kernel says that the task sleeps, without the compiler's suffixes.
    pub(crate) wchan: Option<&'a [u8]>,
}

/// A wait, and what could not be read of it.
pub(crate) struct Decoded {
    pub(crate) wait: Wait,
    pub(crate) missing: Vec<Unreadable>,
}

/// Decodes a blocked call.
pub(crate) fn decode(task: &Blocked<'_>) -> Decoded {
    let mut call = Call {
        task,
        args: task.args,
        missing: Vec::new(),
    };
    let wait = match calls::name(task.memory.abi(), task.number) {
        Some(name) => call.decode(name),
        None => Wait::Other {
            call: format!("syscall {}", task.number),
        },
    };
    Decoded {
        wait,
        missing: call.missing,
    }
}

/// The call under decoding.
struct Call<'a> {
    task: &'a Blocked<'a>,
    /// The arguments: those of the registers, or for `socketcall` those that it points to.
    args: [u64; 6],
    missing: Vec<Unreadable>,
}

impl Call<'_> {
    fn decode(&mut self, name: &'static str) -> Wait {
        let [first, second, third, ..] = self.args;
        match name {
            "read" | "readv" | "pread64" | "preadv" | "preadv2" | "recv" | "recvfrom"
            | "recvmsg" | "recvmmsg" | "recvmmsg_time64" => {
                self.on(first, name, |fd, call| Wait::Read { fd, call })
            }
            "write" | "writev" | "pwrite64" | "pwritev" | "pwritev2" | "send" | "sendto"
            | "sendmsg" | "sendmmsg" => self.on(first, name, |fd, call| Wait::Write { fd, call }),
            // It copies into a pipe or out of it, by which end it is given.
            "vmsplice" => match self.access(first) {
                Access::Read => self.on(first, name, |fd, call| Wait::Read { fd, call }),
                Access::Write | Access::Both | Access::Path | Access::Unknown => {
                    self.on(first, name, |fd, call| Wait::Write { fd, call })
                }
            },
            "splice" => transfer(first, third, name),
            "tee" => transfer(first, second, name),
            "sendfile" | "sendfile64" => transfer(second, first, name),
            "accept" | "accept4" => self.on(first, name, |fd, _| Wait::Accept { fd }),
            "connect" => self.on(first, name, |fd, _| Wait::Connect { fd }),
            "socketcall" => self.socketcall(),
            "poll" | "ppoll" | "ppoll_time64" => self.poll(name),
            "select" | "_newselect" | "pselect6" | "pselect6_time64" => self.select(name),
            "epoll_wait" | "epoll_pwait" | "epoll_pwait2" => self.epoll(name),
            "wait4" | "waitpid" => wait_pid(first),
            "waitid" => wait_id(first, second).unwrap_or_else(|| other(name)),
            "vfork" => Wait::Vfork,
            "clone" | "clone3" => self.clone_call(name),
            "futex" | "futex_time64" | "futex_wait" | "futex_waitv" => self.futex(name),
            "nanosleep" | "clock_nanosleep" | "clock_nanosleep_time64" => self.sleep(name),
            "pause" | "rt_sigsuspend" | "sigsuspend" => self.suspended(),
            "rt_sigtimedwait" | "rt_sigtimedwait_time64" => self.signal_wait(name),
            "flock" | "fcntl" | "fcntl64" => self.lock(name),
            "open" | "creat" | "openat" | "openat2" => self.open(name),
            "io_uring_enter" => self.io_uring(),
            "restart_syscall" => self.restarted(),
            _ => other(name),
        }
    }

    fn on(&self, fd: u64, name: &str, wait: impl FnOnce(u32, String) -> Wait) -> Wait {
        match descriptor(fd) {
            Some(fd) => wait(fd, name.to_owned()),
            None => other(name),
        }
    }

    fn access(&self, fd: u64) -> Access {
        let known = descriptor(fd).and_then(|fd| self.task.table.get(fd));
        known.map_or(Access::Unknown, |descriptor| descriptor.access)
    }

    /// Keeps what could not be read, so that it becomes a gap.
    fn note<T>(&mut self, result: Result<T, Unreadable>) -> Option<T> {
        match result {
            Ok(value) => Some(value),
            Err(unreadable) => {
                self.missing.push(unreadable);
                None
            }
        }
    }

    /// The i386 call that stands for all of the socket interface: its second argument points to the real ones
    /// (man 2 socketcall; numbers from include/uapi/linux/net.h).
    fn socketcall(&mut self) -> Wait {
        let name = match self.args[0] {
            3 => "connect",
            5 => "accept",
            9 => "send",
            10 => "recv",
            11 => "sendto",
            12 => "recvfrom",
            16 => "sendmsg",
            17 => "recvmsg",
            18 => "accept4",
            19 => "recvmmsg",
            20 => "sendmmsg",
            _ => return other("socketcall"),
        };
        match self.note(
            self.task
                .memory
                .number(self.args[1], self.task.memory.word()),
        ) {
            Some(fd) => {
                self.args = [fd, 0, 0, 0, 0, 0];
                self.decode(name)
            }
            None => Wait::Unknown,
        }
    }

    /// After a stop and a continuation, poll, relative sleeps and timed futexes come back under the number of
    /// `restart_syscall`, with the registers of the first time (kernel `do_no_restart_syscall` and the setters of
    /// `restart_block`). Which one it was, only the place where it sleeps tells.
    fn restarted(&mut self) -> Wait {
        let Some(wchan) = self.task.wchan else {
            return other("restart_syscall");
        };
        if wchan.starts_with(b"poll_schedule_timeout") || wchan.starts_with(b"do_restart_poll") {
            self.decode("poll")
        } else if wchan.starts_with(b"futex") {
            self.decode("futex")
        } else if wchan.starts_with(b"hrtimer_nanosleep")
            || wchan.starts_with(b"do_nanosleep")
            || wchan.starts_with(b"do_syscall_64")
        {
            // Only a sleep with an end is restarted this way. Its length stands where the registers point, but
            // nanosleep and clock_nanosleep keep it in different ones.
            Wait::Sleep {
                timeout: Timeout::Unread,
            }
        } else {
            other("restart_syscall")
        }
    }

    fn suspended(&self) -> Wait {
        // While these calls wait, the mask that they set is the thread's mask (kernel `sigsuspend`).
        let awaited = match self.task.signals {
            Some(signals) => signals.caught.without(signals.blocked),
            None => SignalSet(u64::MAX),
        };
        Wait::Signal {
            awaited,
            timeout: Timeout::Never,
        }
    }

    fn clone_call(&mut self, name: &'static str) -> Wait {
        const CLONE_VFORK: u64 = 0x4000;
        let flags = match name {
            "clone" => Some(self.args[0]),
            // The flags are the first member of `struct clone_args`.
            _ => self.note(self.task.memory.number(self.args[0], 8)),
        };
        match flags {
            Some(flags) if flags & CLONE_VFORK != 0 => Wait::Vfork,
            Some(_) => other(name),
            None => Wait::Unknown,
        }
    }
}

fn other(name: &str) -> Wait {
    Wait::Other {
        call: name.to_owned(),
    }
}

/// A register that holds a descriptor: an `int`, so its upper half means nothing.
fn descriptor(register: u64) -> Option<u32> {
    u32::try_from(int(register)).ok()
}

/// The `int` in a register.
fn int(register: u64) -> i32 {
    #[expect(
        clippy::cast_possible_truncation,
        reason = "the kernel cuts the register in the same way"
    )]
    let value = register as u32;
    value.cast_signed()
}

fn transfer(from: u64, to: u64, name: &str) -> Wait {
    match (descriptor(from), descriptor(to)) {
        (Some(from), Some(to)) => Wait::Transfer {
            from,
            to,
            call: name.to_owned(),
        },
        _ => other(name),
    }
}

/// The pid of wait4 and waitpid (man 2 waitpid): -1 any, 0 the own group, below -1 a group.
fn wait_pid(register: u64) -> Wait {
    let children = match int(register) {
        -1 => ChildSet::Any,
        0 => ChildSet::Group(0),
        pid if pid > 0 => ChildSet::Pid(pid.unsigned_abs()),
        group => ChildSet::Group(group.unsigned_abs()),
    };
    Wait::Child { children }
}

/// The kind and id of waitid (man 2 waitid; include/uapi/linux/wait.h).
fn wait_id(kind: u64, id: u64) -> Option<Wait> {
    let id = int(id).unsigned_abs();
    let children = match int(kind) {
        0 => ChildSet::Any,
        1 => ChildSet::Pid(id),
        2 => ChildSet::Group(id),
        3 => ChildSet::Pidfd(id),
        _ => return None,
    };
    Some(Wait::Child { children })
}
