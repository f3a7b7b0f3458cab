//! `/proc/PID/stat` and `/proc/PID/task/TID/stat` (man 5 proc_pid_stat; kernel `fs/proc/array.c`, `do_task_stat`).

use super::Malformed;
use super::field::{decimal, signed, small, words};

/// What a scan uses of a task's `stat` line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stat {
    /// The process or thread id, as the mounted `/proc` counts.
    pub pid: u32,
    /// The name of the task, at most 15 bytes, chosen by the task itself: it may hold blanks, brackets and newlines.
    pub comm: Vec<u8>,
    /// The state letter.
    pub state: u8,
    /// The parent process; 0 if it is outside the pid namespace.
    pub ppid: u32,
    /// The process group; 0 if it has none any more.
    pub pgrp: u32,
    /// The session; 0 if it has none any more.
    pub session: u32,
    /// The device number of the controlling terminal, 0 for none.
    pub tty_nr: u32,
    /// `PF_*` flags of the kernel (`include/linux/sched.h`).
    pub flags: u64,
    /// Time spent in user and in kernel mode, in clock ticks.
    pub cpu_ticks: u64,
    /// How many threads the process has.
    pub threads: u32,
    /// When the task started, in clock ticks since boot; with the pid it names a task for good.
    pub start_ticks: u64,
    /// Where the command line lies in the target's memory; 0 when not permitted to know.
    pub arguments: std::ops::Range<u64>,
}

impl Stat {
    /// `PF_KTHREAD`: a kernel thread, which owns no descriptors and no user memory.
    pub const KERNEL_THREAD: u64 = 0x0020_0000;
    /// `PF_IO_WORKER` and `PF_USER_WORKER` mark io_uring's and vhost's helpers, which are no threads of the program.
    pub const IO_WORKER: u64 = 0x0000_0010;
    /// See [`Self::IO_WORKER`].
    pub const USER_WORKER: u64 = 0x0000_4000;

    /// Parses the file's text.
    ///
    /// # Errors
    ///
    /// [`Malformed`] if the name has no closing bracket or a field is missing or no number.
    pub fn parse(text: &[u8]) -> Result<Self, Malformed> {
        let bad = |why| Malformed::new("stat", why);
        let open = text.iter().position(|&b| b == b'(');
        // The name may hold brackets of its own: the last one closes it.
        let close = text.iter().rposition(|&b| b == b')');
        let (Some(open), Some(close)) = (open, close) else {
            return Err(bad("the name has no brackets"));
        };
        let comm = text
            .get(open + 1..close)
            .ok_or_else(|| bad("the name's brackets are reversed"))?;
        let pid = text
            .get(..open)
            .and_then(small)
            .ok_or_else(|| bad("the pid is no number"))?;
        let rest: Vec<&[u8]> = words(text.get(close + 1..).unwrap_or_default()).collect();
        // The manual counts fields from 1; the first after the name is 3.
        let field = |number: usize| rest.get(number - 3).copied();
        let number = |index: usize, why| field(index).and_then(decimal).ok_or_else(|| bad(why));
        let id = |index: usize, why| field(index).and_then(small).ok_or_else(|| bad(why));
        let state = field(3)
            .and_then(|f| f.first().copied())
            .ok_or_else(|| bad("the state is missing"))?;
        let tty = field(7)
            .and_then(signed)
            .ok_or_else(|| bad("tty_nr is no number"))?;
        // A task that has been reaped, and not yet let go of, prints -1.
        let group = |index: usize, why| match field(index) {
            Some(b"-1") => Ok(0),
            _ => id(index, why),
        };
        // Absent before 3.5, zero when not permitted.
        let late = |index: usize| field(index).and_then(decimal).unwrap_or(0);
        Ok(Self {
            pid,
            comm: comm.to_vec(),
            state,
            ppid: id(4, "the parent is no number")?,
            pgrp: group(5, "the process group is no number")?,
            session: group(6, "the session is no number")?,
            tty_nr: u32::try_from(tty & 0xffff_ffff).unwrap_or(0),
            flags: number(9, "the flags are no number")?,
            cpu_ticks: number(14, "utime is no number")?
                .saturating_add(number(15, "stime is no number")?),
            threads: id(20, "the thread count is no number")?,
            start_ticks: number(22, "the start time is no number")?,
            arguments: late(48)..late(49),
        })
    }

    /// Whether it has ended and been waited for: what is left of it is on its way out of `/proc`.
    #[must_use]
    pub fn is_reaped(&self) -> bool {
        matches!(self.state, b'X' | b'x')
    }

    /// Whether this is the kernel's own thread or a helper of io_uring, not a thread of a program.
    #[must_use]
    pub fn is_kernel_worker(&self) -> bool {
        self.flags & (Self::KERNEL_THREAD | Self::IO_WORKER | Self::USER_WORKER) != 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use procfs::FromRead;
    use proptest::prelude::*;

    const SH: &[u8] = b"813 (sh) S 812 812 700 34816 812 4194304 110 0 0 0 3 4 0 0 20 0 1 0 178467 2621440 233 \
        18446744073709551615 94440270811136 94440270896273 140722908741488 0 0 0 0 0 65538 1 0 0 17 1 0 0 0 0 0 \
        94440270921520 94440270926160 94440276467712 140722908748110 140722908748131 140722908748131 140722908749808 0\n";

    #[test]
    fn a_line_gives_the_family_the_start_and_the_place_of_the_arguments() {
        let stat = Stat::parse(SH).unwrap();
        assert_eq!(
            (stat.pid, stat.comm.as_slice(), stat.state),
            (813, &b"sh"[..], b'S')
        );
        assert_eq!(
            (stat.ppid, stat.pgrp, stat.session, stat.tty_nr),
            (812, 812, 700, 34816)
        );
        assert_eq!(
            (stat.cpu_ticks, stat.threads, stat.start_ticks),
            (7, 1, 178_467)
        );
        assert_eq!(stat.arguments, 140_722_908_748_110..140_722_908_748_131);
        assert!(!stat.is_kernel_worker());
    }

    #[test]
    fn a_name_may_hold_brackets_blanks_and_newlines() {
        let text = [&b"7 (a) R (\nb"[..], &SH[b"813 (sh".len()..]].concat();
        let stat = Stat::parse(&text).unwrap();
        assert_eq!(
            (stat.comm.as_slice(), stat.state),
            (&b"a) R (\nb"[..], b'S')
        );
    }

    #[test]
    fn a_task_that_has_been_reaped_has_no_group_and_no_session() {
        let text = b"7075 (true) X 0 -1 -1 0 -1 4227084 79 0 0 0 0 0 0 0 20 0 0 0 517087 0 0 0 0 0 0 0 0 0 0 0 0 1 \
            0 0 17 1 0 0 0 0 0 0 0 0 0 0 0 0 0\n";
        let stat = Stat::parse(text).unwrap();
        assert!(stat.is_reaped());
        assert_eq!((stat.pgrp, stat.session, stat.ppid), (0, 0, 0));
    }

    #[test]
    fn a_reversed_or_a_cut_line_is_refused() {
        for bad in [&b""[..], b")(", b"1 (x)", b"1 (x) S 1", b"x (y) S 1 2 3"] {
            assert!(Stat::parse(bad).is_err(), "{bad:?}");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_parsed_or_refused(text: Vec<u8>) {
            let _ = Stat::parse(&text);
        }

        #[test]
        fn what_the_procfs_crate_reads_is_read_alike(comm in "[a-z() ]{1,15}", ids: [u16; 3], start: u32) {
            let [ppid, pgrp, session] = ids;
            let text = format!("5 ({comm}) S {ppid} {pgrp} {session} 0 -1 64 0 0 0 0 1 2 0 0 20 0 1 0 {start} 1 1 1 \
                1 1 1 0 0 0 0 0 0 0 0 0 17 0 0 0 0 0 0 0 0 0 8 9 0 0 0\n");
            let theirs = procfs::process::Stat::from_read(text.as_bytes()).unwrap();
            let ours = Stat::parse(text.as_bytes()).unwrap();
            prop_assert_eq!(theirs.comm.as_bytes(), ours.comm.as_slice());
            prop_assert_eq!(i64::from(theirs.ppid), i64::from(ours.ppid));
            prop_assert_eq!(i64::from(theirs.session), i64::from(ours.session));
            prop_assert_eq!(theirs.starttime, ours.start_ticks);
            prop_assert_eq!(theirs.utime + theirs.stime, ours.cpu_ticks);
        }
    }
}
