//! `/proc/PID/status` (man 5 proc_pid_status; kernel `fs/proc/array.c`, `proc_pid_status`).

use super::Malformed;
use super::field::{decimal, hex, key_value, lines, small, words};

/// What a scan uses of a task's `status`. A field that a kernel does not print is `None`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Status {
    /// The state letter.
    pub state: u8,
    /// The process that the task belongs to.
    pub tgid: u32,
    /// The tracing process, 0 for none.
    pub tracer: u32,
    /// The real, effective, saved and file-system user ids.
    pub uids: [u32; 4],
    /// The task's id in each pid namespace, from the reader's down to its own (kernel 4.1 and later).
    pub ns_pids: Vec<u32>,
    /// Size of the descriptor table, in slots.
    pub fd_slots: Option<u64>,
    /// Whether the process has user memory: kernel threads and zombies print no `VmSize`.
    pub has_memory: bool,
    /// Signals pending for the thread.
    pub pending: u64,
    /// Signals pending for the process.
    pub shared_pending: u64,
    /// Signals that the thread blocks.
    pub blocked: u64,
    /// Signals that the process ignores.
    pub ignored: u64,
    /// Signals that the process handles.
    pub caught: u64,
    /// How often the task gave up the processor to wait.
    pub voluntary_switches: Option<u64>,
    /// How often the processor was taken from it.
    pub involuntary_switches: Option<u64>,
}

impl Status {
    /// Parses the file's text. Keys are read by line, so an empty `Name:` does no harm.
    ///
    /// # Errors
    ///
    /// [`Malformed`] if there is no state or no thread group id: then this was no `status`.
    pub fn parse(text: &[u8]) -> Result<Self, Malformed> {
        let bad = |why| Malformed::new("status", why);
        let mut status = Self::default();
        let mut tgid = None;
        for (key, value) in lines(text).filter_map(key_value) {
            match key {
                b"State" => status.state = value.first().copied().unwrap_or(0),
                b"Tgid" => tgid = small(value),
                b"TracerPid" => status.tracer = small(value).unwrap_or(0),
                b"Uid" => {
                    for (slot, id) in status.uids.iter_mut().zip(words(value)) {
                        *slot = small(id).ok_or_else(|| bad("a user id is no number"))?;
                    }
                }
                b"NSpid" => status.ns_pids = words(value).filter_map(small).collect(),
                b"FDSize" => status.fd_slots = decimal(value),
                b"VmSize" => status.has_memory = true,
                b"SigPnd" => status.pending = mask(value)?,
                b"ShdPnd" => status.shared_pending = mask(value)?,
                b"SigBlk" => status.blocked = mask(value)?,
                b"SigIgn" => status.ignored = mask(value)?,
                b"SigCgt" => status.caught = mask(value)?,
                b"voluntary_ctxt_switches" => status.voluntary_switches = decimal(value),
                b"nonvoluntary_ctxt_switches" => status.involuntary_switches = decimal(value),
                _ => {}
            }
        }
        if status.state == 0 {
            return Err(bad("the state is missing"));
        }
        status.tgid = tgid.ok_or_else(|| bad("the thread group is missing"))?;
        Ok(status)
    }
}

fn mask(value: &[u8]) -> Result<u64, Malformed> {
    hex(value).ok_or_else(|| Malformed::new("status", "a signal mask is no hexadecimal number"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use procfs::FromRead;
    use proptest::prelude::*;

    const RUBY: &[u8] = b"Name:\t\nUmask:\t0022\nState:\tS (sleeping)\nTgid:\t900\nNgid:\t0\nPid:\t902\nPPid:\t1\n\
        TracerPid:\t77\nUid:\t1000\t1001\t1002\t1003\nGid:\t0\t0\t0\t0\nFDSize:\t64\nNSpid:\t902\t13\nVmSize:\t    3060 kB\n\
        Threads:\t2\nSigPnd:\t0000000000000000\nShdPnd:\t0000000000000001\nSigBlk:\t0000000000010000\n\
        SigIgn:\t0000000000001000\nSigCgt:\t0000000142017e4f\nvoluntary_ctxt_switches:\t8\nnonvoluntary_ctxt_switches:\t3\n";

    #[test]
    fn an_empty_name_does_not_shift_the_fields() {
        let status = Status::parse(RUBY).unwrap();
        assert_eq!((status.state, status.tgid, status.tracer), (b'S', 900, 77));
        assert_eq!(status.uids, [1000, 1001, 1002, 1003]);
        assert_eq!(status.ns_pids, [902, 13]);
        assert_eq!((status.blocked, status.caught), (0x10000, 0x1_4201_7e4f));
        assert_eq!(
            (status.voluntary_switches, status.involuntary_switches),
            (Some(8), Some(3))
        );
        assert!(status.has_memory);
    }

    #[test]
    fn a_text_without_state_or_thread_group_is_refused() {
        assert!(Status::parse(b"").is_err());
        assert!(Status::parse(b"State:\tS (sleeping)\n").is_err());
        assert!(Status::parse(b"Tgid:\t1\nSigBlk:\tzz\nState:\tS\n").is_err());
    }

    #[test]
    fn our_own_status_reads_as_the_procfs_crate_reads_it() {
        let text = std::fs::read("/proc/self/status").unwrap();
        let theirs = procfs::process::Status::from_read(text.as_slice()).unwrap();
        let ours = Status::parse(&text).unwrap();
        assert_eq!(i64::from(theirs.tgid), i64::from(ours.tgid));
        assert_eq!(
            (theirs.sigblk, theirs.sigcgt, theirs.sigign),
            (ours.blocked, ours.caught, ours.ignored)
        );
        assert_eq!(theirs.voluntary_ctxt_switches, ours.voluntary_switches);
        assert_eq!(
            [theirs.ruid, theirs.euid, theirs.suid, theirs.fuid],
            ours.uids
        );
    }

    proptest! {
        #[test]
        fn any_bytes_are_parsed_or_refused(text: Vec<u8>) {
            let _ = Status::parse(&text);
        }

        #[test]
        fn any_values_are_parsed_or_refused(values in prop::collection::vec("[ -~\t]{0,12}", 8)) {
            let keys = ["State", "Tgid", "Uid", "NSpid", "SigBlk", "SigCgt", "FDSize", "TracerPid"];
            let text: String = keys.iter().zip(&values).map(|(k, v)| format!("{k}:\t{v}\n")).collect();
            let _ = Status::parse(text.as_bytes());
        }
    }
}
