//! The only unsafe code of the workspace.
#![expect(
    unsafe_code,
    reason = "what neither nix nor rustix offers as a safe call; each block says why it holds"
)]

use std::ffi::{CStr, CString, c_char};
use std::fs::File;
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::MetadataExt;
use std::os::unix::process::CommandExt;
use std::ptr;
#[cfg(test)]
use std::sync::atomic::AtomicU64;
use std::sync::atomic::{AtomicI32, AtomicU32, Ordering};

use nix::libc;
use nix::sys::signal::{SaFlags, SigAction, SigHandler, SigSet, Signal, sigaction};
use rustix::io::Errno;
use rustix::process::Pid;

use crate::Status;
use crate::leader::Grouping;
use crate::stopper::{self, Sender};

/// Strings as `execve` takes them: pointers, and a null one at the end.
pub(crate) struct Strings {
    pointers: Vec<*const c_char>,
    /// What they point to: one string after the other, each with a zero byte at its end. Never changed,
    /// so that the pointers stay valid.
    #[expect(dead_code, reason = "held for the pointers")]
    owned: Vec<u8>,
}

impl Strings {
    /// Strings that are made of these parts. A zero byte in one is an error, of the same kind as std's.
    pub(crate) fn new<'a, const PARTS: usize>(
        strings: impl Iterator<Item = [&'a [u8]; PARTS]>,
    ) -> io::Result<Self> {
        let mut owned = Vec::new();
        let mut starts = Vec::new();
        for parts in strings {
            let start = owned.len();
            starts.push(start);
            parts.iter().for_each(|part| owned.extend_from_slice(part));
            let string = owned.get(start..).unwrap_or_default();
            if string.contains(&0) {
                CString::new(string)?;
            }
            owned.push(0);
        }
        // Each has a byte of its own at least, the zero.
        let string = |start: usize| owned.get(start..).unwrap_or_default().as_ptr().cast();
        let pointers = starts.into_iter().map(string);
        let pointers = pointers.chain([ptr::null()]).collect();
        Ok(Strings { pointers, owned })
    }
}

/// What a child does between clone and exec, all of it made ready before: the child shares our
/// memory, other threads of ours may hold the allocator's lock, and so it must not allocate.
pub(crate) struct Plan<'a> {
    /// What becomes its 0, 1 and 2; none leaves what is there. Numbers above 2.
    pub(crate) ends: [Option<BorrowedFd<'a>>; 3],
    pub(crate) grouping: Grouping,
    pub(crate) directory: Option<&'a CStr>,
    /// Tried in this order, as execvp(3) does.
    pub(crate) files: &'a [CString],
    pub(crate) arguments: &'a Strings,
    pub(crate) environment: &'a Strings,
}

/// Why there is no child.
pub(crate) enum NoChild {
    /// Linux before 5.5, a filter that forbids clone3, another processor: there is another way.
    NoSuchCall,
    /// No process could be had.
    NotCloned(Errno),
    /// The child could not become the program. It has exited, and is still to be reaped.
    NotExecuted(Errno, OwnedFd),
}

/// Starts a child that shares our memory until it executes its program, and stops this thread until
/// then: no page table is copied, however large this process is.
///
/// glibc's posix_spawn does the same with clone, and has to reset every signal's handler by a call
/// of its own, a hundred and more, which is most of what it costs. clone3 resets them at once
/// (`CLONE_CLEAR_SIGHAND`, clone(2), Linux 5.5).
///
/// The child starts with no signal blocked, SIGPIPE at its default, and every other signal that is
/// ignored here ignored, as execve(2) leaves it. Descriptors that are not close-on-exec it
/// inherits.
pub(crate) fn clone_and_exec(plan: &Plan<'_>) -> Result<(Pid, OwnedFd), NoChild> {
    let shared = Shared {
        plan,
        errno: AtomicI32::new(0),
    };
    // SAFETY: `run` is written for this: it makes system calls and allocates nothing.
    let (pid, pidfd) = unsafe { clone_and_wait(0, libc::SIGCHLD, run, &shared) }?;
    match shared.errno.load(Ordering::Acquire) {
        0 => Ok((pid, pidfd)),
        errno => Err(NoChild::NotExecuted(Errno::from_raw_os_error(errno), pidfd)),
    }
}

/// Runs a function in a child that shares our memory, and stops this thread until the child has executed
/// a program or exited. `flags` are added to what this takes.
///
/// # Safety
///
/// `run` must be sound in a process that shares memory and thread-local storage with a thread that stands
/// still, while other threads run: no allocation, no lock, no panic, and no more stack than a few calls
/// need.
#[cfg(target_arch = "x86_64")]
unsafe fn clone_and_wait<T>(
    flags: libc::c_int,
    exit_signal: libc::c_int,
    run: extern "C" fn(*const T) -> !,
    shared: &T,
) -> Result<(Pid, OwnedFd), NoChild> {
    use std::os::fd::FromRawFd;

    // From linux/sched.h; libc's constant is an int, which it does not fit.
    const CLONE_CLEAR_SIGHAND: u64 = 0x1_0000_0000;
    const STACK_BYTES: usize = 32 * 1024;

    let flags = flags | libc::CLONE_VM | libc::CLONE_VFORK | libc::CLONE_PIDFD;
    let mut stack: Box<[MaybeUninit<u128>]> = Box::new_uninit_slice(STACK_BYTES / 16);
    let mut pidfd: libc::c_int = -1;
    let arguments = libc::clone_args {
        flags: u64::from(flags.cast_unsigned()) | CLONE_CLEAR_SIGHAND,
        pidfd: ptr::from_mut(&mut pidfd).expose_provenance() as u64,
        child_tid: 0,
        parent_tid: 0,
        exit_signal: u64::from(exit_signal.cast_unsigned()),
        stack: stack.as_mut_ptr().expose_provenance() as u64,
        stack_size: STACK_BYTES as u64,
        tls: 0,
        set_tid: 0,
        set_tid_size: 0,
        cgroup: 0,
    };
    let result: libc::c_long;
    // A handler of the caller's must not run in the child, on this small stack and in our memory:
    // clone3 has removed them there before the mask is opened again.
    let before = SigSet::all().thread_swap_mask(nix::sys::signal::SigmaskHow::SIG_SETMASK);
    // SAFETY: for the parent this is one system call that writes `pidfd` and clobbers rax, rcx and
    // r11, and it returns once. `arguments`, `pidfd`, `stack` and `shared` live beyond it, and the
    // child needs them no longer: CLONE_VFORK keeps this thread in the call until the child has
    // executed its program or exited. The child, where the call gives 0, is on the other stack,
    // whose top is 16-byte aligned as a call needs it (System V ABI), and never leaves this block:
    // `run` does not return, and keeps what this function asks of it. It shares this thread's
    // thread-local storage, so that errno may change, which is no more than any call may do. No
    // signal handler can add to the stack's depth.
    unsafe {
        std::arch::asm!(
            "syscall",
            "test rax, rax",
            "jnz 2f",
            "xor ebp, ebp",
            "mov rdi, r9",
            "call r8",
            "ud2",
            "2:",
            inout("rax") libc::SYS_clone3 => result,
            in("rdi") &raw const arguments,
            in("rsi") size_of::<libc::clone_args>(),
            in("r8") run,
            in("r9") ptr::from_ref(shared),
            lateout("rcx") _,
            lateout("r11") _,
        );
    }
    if let Ok(before) = before {
        let _ = before.thread_set_mask();
    }
    drop(stack);
    let result = i32::try_from(result).unwrap_or(-libc::EIO);
    let Some(pid) = Pid::from_raw(result.max(0)) else {
        return Err(match Errno::from_raw_os_error(-result) {
            Errno::NOSYS | Errno::INVAL | Errno::PERM => NoChild::NoSuchCall,
            errno => NoChild::NotCloned(errno),
        });
    };
    // SAFETY: CLONE_PIDFD has opened this descriptor, close-on-exec, and nobody else knows of it.
    let pidfd = unsafe { OwnedFd::from_raw_fd(pidfd) };
    Ok((pid, pidfd))
}

/// The assembly above is written for one processor. Elsewhere std spawns, and there are no large pages for files.
#[cfg(not(target_arch = "x86_64"))]
unsafe fn clone_and_wait<T>(
    _: libc::c_int,
    _: libc::c_int,
    _: extern "C" fn(*const T) -> !,
    _: &T,
) -> Result<(Pid, OwnedFd), NoChild> {
    Err(NoChild::NoSuchCall)
}

/// What the child is given, and where it leaves the reason for its failure.
struct Shared<'a> {
    plan: &'a Plan<'a>,
    errno: AtomicI32,
}

/// The child. It makes system calls and nothing else: no allocation, no lock, no panic.
extern "C" fn run(shared: *const Shared<'_>) -> ! {
    // SAFETY: `clone_and_exec` keeps it alive while this runs, and changes nothing in it; the one
    // field that is written here is an atomic.
    let shared = unsafe { &*shared };
    // SAFETY: `become_program` asks for a child of `clone_and_exec`, and this is its first function.
    let errno = unsafe { become_program(shared.plan) };
    shared.errno.store(errno, Ordering::Release);
    // SAFETY: _exit ends the child without running anything of ours, which exit(3) would.
    unsafe { libc::_exit(127) }
}

/// Executes the program, or says why not.
///
/// # Safety
///
/// For the child of [`clone_and_exec`] alone: it gives up the caller's descriptors 0 to 2, its
/// directory, its mask and its group.
unsafe fn become_program(plan: &Plan<'_>) -> libc::c_int {
    let errno = || {
        io::Error::last_os_error()
            .raw_os_error()
            .unwrap_or(libc::EIO)
    };
    // SAFETY: each is a system call on descriptors that the plan borrows, on strings that it owns, and
    // on structures of this frame, all valid until the program is executed, and none of them
    // touches our memory. sigaction and sigprocmask act on the child alone, since it was cloned without
    // CLONE_SIGHAND; a zeroed sigaction is SIG_DFL with no flags and an empty mask.
    unsafe {
        for (number, end) in (0..).zip(&plan.ends) {
            // dup2 leaves the new descriptor without close-on-exec.
            if let Some(end) = end
                && libc::dup2(end.as_raw_fd(), number) < 0
            {
                return errno();
            }
        }
        if let Some(directory) = plan.directory
            && libc::chdir(directory.as_ptr()) != 0
        {
            return errno();
        }
        let grouped = match plan.grouping {
            Grouping::Caller => 0,
            Grouping::Own => libc::setpgid(0, 0),
            // setsid fails only for a group leader, and a fresh child is none.
            Grouping::OwnSession => libc::setsid().min(0) | libc::ioctl(1, libc::TIOCSCTTY, 0),
        };
        if grouped != 0 {
            return errno();
        }
        let default = MaybeUninit::<libc::sigaction>::zeroed();
        let mut none = MaybeUninit::<libc::sigset_t>::zeroed();
        libc::sigemptyset(none.as_mut_ptr());
        if libc::sigaction(libc::SIGPIPE, default.as_ptr(), ptr::null_mut()) != 0
            || libc::sigprocmask(libc::SIG_SETMASK, none.as_ptr(), ptr::null_mut()) != 0
        {
            return errno();
        }
        let mut denied = None;
        let mut last = libc::ENOENT;
        for file in plan.files {
            libc::execve(
                file.as_ptr(),
                plan.arguments.pointers.as_ptr(),
                plan.environment.pointers.as_ptr(),
            );
            last = errno();
            match last {
                // As execvp(3): it may stand in a later directory, and if it does not, that it may not be
                // executed says more than that it is not there.
                libc::EACCES => denied = Some(last),
                libc::ENOENT | libc::ENOTDIR | libc::ESTALE | libc::ENODEV | libc::ETIMEDOUT => {}
                _ => return last,
            }
        }
        denied.unwrap_or(last)
    }
}

/// Makes the child a session leader whose controlling terminal is its stdout.
///
/// std has no safe call for it, and forks (rather than `posix_spawn`s) for a hook.
pub(crate) fn take_stdout_as_terminal(command: &mut std::process::Command) {
    let hook = || {
        // setsid fails only for a group leader, and a fresh child is none.
        rustix::process::setsid().map_err(io::Error::from)?;
        rustix::process::ioctl_tiocsctty(rustix::stdio::stdout()).map_err(io::Error::from)
    };
    // SAFETY: pre_exec runs the hook in the child between fork and exec, where only
    // async-signal-safe work is sound: no lock, no allocation. The hook makes two system calls and
    // converts an errno, which allocates nothing. std has put the child's ends on 0, 1 and 2 before
    // it runs hooks, so that stdout is open.
    unsafe { command.pre_exec(hook) };
}

/// Lets the child start with no signal blocked. std passes the caller's mask on, and forks for a
/// hook.
pub(crate) fn unblock_signals(command: &mut std::process::Command) {
    let hook = || SigSet::empty().thread_set_mask().map_err(io::Error::from);
    // SAFETY: as above; the hook makes one call, pthread_sigmask, which is async-signal-safe
    // (signal-safety(7)).
    unsafe { command.pre_exec(hook) };
}

/// Makes anonymous memory longer; it may move.
pub(crate) fn resize(memory: &mut memmap2::MmapMut, len: usize) -> io::Result<()> {
    let options = memmap2::RemapOptions::new().may_move(true);
    // SAFETY: remap asks that nobody reads beyond the end of the mapped file, and there is none. The
    // exclusive borrow says that nothing points into memory that may move.
    unsafe { memory.remap(len, options) }
}

/// Maps a part of a file, to be read, if this open file description is the only one that the file has; none otherwise, or if it cannot be
/// mapped.
///
/// The kernel answers that when it is asked for a write lease (`F_SETLEASE` in fcntl(2)): it counts the descriptions that read and those
/// that write. The lease itself is given back at once. Call it with a description that no other process has a
/// duplicate of.
pub(crate) fn map_if_sole(file: &File, from: u64, len: usize) -> Option<memmap2::Mmap> {
    /// From asm-generic/fcntl.h; libc has it for other systems only.
    const F_SETSIG: libc::c_int = 10;
    let fd = file.as_raw_fd();
    // SAFETY: calls on an open descriptor, with integers as arguments, that touch no memory of ours. Whoever opened the
    // file between the two others would have SIGURG sent to us, which is ignored unless somebody handles it.
    let is_sole = unsafe {
        libc::fcntl(fd, F_SETSIG, libc::SIGURG) == 0
            && libc::fcntl(fd, libc::F_SETLEASE, libc::F_WRLCK) == 0
            && libc::fcntl(fd, libc::F_SETLEASE, libc::F_UNLCK) == 0
    };
    let end = from.checked_add(len as u64)?;
    // Asked now, when nobody is left who could shorten it, give it a name or make a hole. A hole is read as zeros, but a page of it
    // that is mapped and that the file system has no room for is a SIGBUS.
    let status = file.metadata().ok()?;
    if !is_sole || status.nlink() != 0 || status.len() < end {
        return None;
    }
    let hole = rustix::fs::seek(file, rustix::fs::SeekFrom::Hole(from));
    if !hole.is_ok_and(|hole| hole >= end) {
        return None;
    }
    let options = memmap2::MmapOptions::new().offset(from).len(len).to_owned();
    // SAFETY: nobody may change or shorten the file while it is mapped. It has no name, and no description but ours, so that
    // no other process has a mapping of it, or a descriptor that can read or write; and ours is used for nothing but reading from here on:
    // the caller does not hand it out. What is left is to open it anew by way of `/proc/PID/fd`: of ours, which takes the right to write our
    // memory as well; or of a descendant's that was opened by O_PATH, which nobody counts, by a process of our own user that goes out of
    // its way to harm us, and could as well send us a signal. The part is within the file, and all of it has pages, as it is now that its
    // last writer has gone.
    unsafe { options.map(file) }.ok()
}

/// Runs a function in a child that has user and mount namespaces of its own, in which it is privileged, and shares our memory
/// and descriptors: what it opens is open here. This user and group are there what they are here.
///
/// `run` must allocate nothing, take no lock and not panic.
pub(crate) fn in_own_namespaces(run: fn() -> Result<OwnedFd, Errno>) -> Result<OwnedFd, Errno> {
    use std::os::fd::FromRawFd;

    const PENDING: i32 = -1;
    let map = |id: u32| CString::new(format!("{id} {id} 1")).unwrap_or_default();
    let inside = Inside {
        uid_map: map(rustix::process::geteuid().as_raw()),
        gid_map: map(rustix::process::getegid().as_raw()),
        run,
        fd: AtomicI32::new(PENDING),
        errno: AtomicI32::new(Errno::PERM.raw_os_error()),
    };
    let flags = libc::CLONE_NEWUSER | libc::CLONE_NEWNS | libc::CLONE_FILES;
    // SAFETY: `inside_namespaces` makes system calls and allocates nothing, as does what it is given to run.
    let cloned = unsafe { clone_and_wait(flags, 0, inside_namespaces, &inside) };
    match cloned {
        // It gives no signal, so that nobody but us looks for it.
        Ok((_, pidfd)) => crate::spawn::reap(rustix::process::WaitId::PidFd(pidfd.as_fd())),
        Err(NoChild::NotCloned(errno) | NoChild::NotExecuted(errno, _)) => return Err(errno),
        Err(NoChild::NoSuchCall) => return Err(Errno::NOSYS),
    }
    match inside.fd.load(Ordering::Acquire) {
        PENDING => Err(Errno::from_raw_os_error(
            inside.errno.load(Ordering::Acquire),
        )),
        // SAFETY: the child opened it in the table that we share, gave up its ownership, and has exited.
        fd => Ok(unsafe { OwnedFd::from_raw_fd(fd) }),
    }
}

/// What a child in its own namespaces is given, and where it leaves what it opened.
struct Inside {
    uid_map: CString,
    gid_map: CString,
    run: fn() -> Result<OwnedFd, Errno>,
    fd: AtomicI32,
    errno: AtomicI32,
}

/// That child. It makes system calls and nothing else.
extern "C" fn inside_namespaces(inside: *const Inside) -> ! {
    use std::os::fd::IntoRawFd;

    // SAFETY: `in_own_namespaces` keeps it alive while this runs; the fields that are written are atomics.
    let inside = unsafe { &*inside };
    let write = |path: &CStr, text: &CStr| {
        let file = rustix::fs::open(
            path,
            rustix::fs::OFlags::WRONLY | rustix::fs::OFlags::CLOEXEC,
            rustix::fs::Mode::empty(),
        )?;
        rustix::io::write(&file, text.to_bytes())
    };
    // Who may not give up setgroups(2) may not map his group either (user_namespaces(7)).
    let opened = write(c"/proc/self/setgroups", c"deny")
        .and_then(|_| write(c"/proc/self/uid_map", &inside.uid_map))
        .and_then(|_| write(c"/proc/self/gid_map", &inside.gid_map))
        .and_then(|_| (inside.run)());
    match opened {
        Ok(fd) => inside.fd.store(fd.into_raw_fd(), Ordering::Release),
        Err(errno) => inside.errno.store(errno.raw_os_error(), Ordering::Release),
    }
    // SAFETY: _exit ends the child without running anything of ours, which exit(3) would.
    unsafe { libc::_exit(0) }
}

/// What a pidfd tells of a process that is reaped already: Linux 6.15 and later keep the status for
/// it (`PIDFD_GET_INFO` with `PIDFD_INFO_EXIT`, include/uapi/linux/pidfd.h).
pub(crate) fn status_after_reaping(pidfd: BorrowedFd<'_>) -> Status {
    let mut info = MaybeUninit::<libc::pidfd_info>::zeroed();
    // SAFETY: `info` is a valid, zeroed pidfd_info, and the request number carries its size, so
    // that the kernel reads and writes no more than that. The descriptor is open for the borrow's
    // lifetime.
    let info = unsafe {
        (*info.as_mut_ptr()).mask = u64::from(libc::PIDFD_INFO_EXIT);
        if libc::ioctl(pidfd.as_raw_fd(), libc::PIDFD_GET_INFO, info.as_mut_ptr()) != 0 {
            return Status::Lost;
        }
        // SAFETY: a structure of integers, for which any bytes are valid; it was zeroed, then
        // written by the kernel.
        info.assume_init()
    };
    if info.mask & u64::from(libc::PIDFD_INFO_EXIT) == 0 {
        return Status::Lost;
    }
    let wait_status = info.exit_code;
    if libc::WIFEXITED(wait_status) {
        Status::Exited(libc::WEXITSTATUS(wait_status))
    } else if libc::WIFSIGNALED(wait_status) {
        Status::Signaled(libc::WTERMSIG(wait_status))
    } else {
        Status::Lost
    }
}

/// Has this signal go to the process's stopper; none if it is ignored, which it then stays. The
/// result is what was there before.
pub(crate) fn catch(signal: Signal) -> nix::Result<Option<SigAction>> {
    extern "C" fn handle(signal: libc::c_int, info: *mut libc::siginfo_t, _: *mut libc::c_void) {
        // SAFETY: the kernel gives a handler with SA_SIGINFO a valid siginfo_t, which lives until it
        // returns (sigaction(2)).
        let by_kernel = unsafe { (*info).si_code } == libc::SI_KERNEL;
        let sender = if by_kernel {
            Sender::Terminal
        } else {
            Sender::Process
        };
        stopper::caught(signal, sender);
    }
    // What it interrupts is not restarted: the writes and waits here all expect EINTR.
    let action = SigAction::new(
        SigHandler::SigAction(handle),
        SaFlags::SA_SIGINFO,
        SigSet::empty(),
    );
    // SAFETY: the handler does nothing but atomics and one write(2) made without libc, so that errno
    // is left alone: async-signal-safe (signal-safety(7)).
    let before = unsafe { sigaction(signal, &action) }?;
    if matches!(before.handler(), SigHandler::SigIgn) {
        handle_as(signal, &before);
        return Ok(None);
    }
    Ok(Some(before))
}

/// Puts back what [`catch`] found.
pub(crate) fn handle_as(signal: Signal, action: &SigAction) {
    // SAFETY: it was in force before, so whoever installed it answers for it. That it is a valid
    // signal was shown when it was caught, so this cannot fail.
    let _ = unsafe { sigaction(signal, action) };
}

/// A bit for each of 0, 1 and 2 that was closed at the start.
pub(crate) static CLOSED_AT_START: AtomicU32 = AtomicU32::new(0);

/// Run by the C library before `main`, and so before Rust's start-up fills the holes.
// SAFETY: the section holds pointers to functions that take no argument that must be read and return
// nothing, and this is one. It relies on nothing of the standard library: a system call, an atomic.
#[used]
#[unsafe(link_section = ".init_array")]
static LOOK_AT_START: extern "C" fn() = {
    extern "C" fn look() {
        let stdio = [
            rustix::stdio::stdin(),
            rustix::stdio::stdout(),
            rustix::stdio::stderr(),
        ];
        for (fd, number) in stdio.into_iter().zip(0..) {
            if rustix::io::fcntl_getfd(fd) == Err(Errno::BADF) {
                CLOSED_AT_START.fetch_or(1 << number, Ordering::Relaxed);
            }
        }
    }
    look
};

/// Asks the ring to say when a descriptor is ready. False when the submission queue is full.
#[cfg(feature = "io_uring")]
pub(crate) fn push_poll(
    ring: &mut io_uring::IoUring,
    fd: BorrowedFd<'_>,
    mask: u32,
    user_data: u64,
) -> bool {
    let entry = io_uring::opcode::PollAdd::new(io_uring::types::Fd(fd.as_raw_fd()), mask).build();
    // SAFETY: push asks that the entry's parameters stay valid until the kernel is done with them.
    // A poll request has no pointer, only a descriptor number, which is open now; the kernel takes
    // its own reference to the file when the entry is submitted. Should it be closed before that,
    // the request fails with EBADF, which is sound.
    unsafe { ring.submission().push(&entry.user_data(user_data)) }.is_ok()
}

/// Registers a descriptor with the current tokio runtime. Call it in the context of one.
#[cfg(feature = "tokio")]
pub(crate) fn register(
    fd: OwnedFd,
    interest: tokio::io::Interest,
) -> io::Result<tokio::io::unix::AsyncFd<OwnedFd>> {
    // SAFETY: the descriptor must stay open, and stay the same, for as long as it is registered.
    // The AsyncFd owns an OwnedFd, which guarantees both: nobody else closes it, and it gives the
    // same number at every call.
    unsafe { tokio::io::unix::AsyncFd::register_with_interest(fd, interest) }
        .map_err(io::Error::from)
}

/// Gives a signal its default disposition in this process: what a test needs of a caller that does
/// so.
#[cfg(test)]
pub(crate) fn restore_default(signal: Signal) {
    use nix::sys::signal::signal as set;
    // SAFETY: no handler is installed, only the default put back; nothing of ours relies on another
    // disposition.
    unsafe { set(signal, SigHandler::SigDfl) }.expect("any signal but KILL and STOP");
}

/// Counts a signal, and does not restart what it interrupted: what a test needs of a caller's
/// handler.
#[cfg(test)]
pub(crate) fn count_without_restart(signal: Signal) {
    extern "C" fn count(_: libc::c_int) {
        COUNTED.fetch_add(1, Ordering::Relaxed);
    }
    let action = SigAction::new(
        SigHandler::Handler(count),
        SaFlags::empty(),
        SigSet::empty(),
    );
    // SAFETY: the handler adds to an atomic and does nothing else, which is async-signal-safe.
    unsafe { sigaction(signal, &action) }.expect("any signal but KILL and STOP");
}

/// How many signals [`count_without_restart`] has counted.
#[cfg(test)]
pub(crate) static COUNTED: AtomicU64 = AtomicU64::new(0);
