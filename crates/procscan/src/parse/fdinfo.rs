//! `/proc/PID/fdinfo/FD` (man 5 proc_pid_fdinfo; kernel `fs/proc/fd.c` and each file's `show_fdinfo`).
//!
//! One parser for all kinds: the keys do not collide, and which of them matter is decided by what the link
//! is. Key by key as printed by `fs/eventpoll.c`, `fs/eventfd.c`, `fs/timerfd.c`, `fs/signalfd.c`,
//! `fs/pidfs.c` (`kernel/fork.c` before 6.9), `io_uring/fdinfo.c`, `drivers/tty/pty.c` and `net/unix/af_unix.c`.

use super::Malformed;
use super::field::{decimal, hex, key_value, lines, octal, signed, small, words};

/// What a descriptor's `fdinfo` says.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FdInfo {
    /// The flags of `open(2)`: access mode, `O_NONBLOCK`, `O_DIRECT`, and `O_CLOEXEC` of the descriptor.
    pub flags: u64,
    /// The mount, as `mountinfo` numbers it.
    pub mount: Option<u64>,
    /// The inode (kernel 5.14 and later).
    pub inode: Option<u64>,
    /// What an epoll descriptor watches.
    pub watched: Vec<Watched>,
    /// The number that tells one eventfd from another (kernel 5.2 and later).
    pub eventfd_id: Option<u64>,
    /// An eventfd's counter.
    pub eventfd_count: Option<u64>,
    /// Whether a timerfd will expire: its time left is not zero.
    pub timer_armed: Option<bool>,
    /// The signals that a signalfd takes, bit 0 for signal 1.
    pub signals: Option<u64>,
    /// The process of a pidfd, as the mounted `/proc` counts; -1 once it is reaped, 0 in a foreign namespace.
    pub pidfd: Option<i64>,
    /// The index of the slave of a pty's master.
    pub tty_index: Option<u32>,
    /// How many messages with descriptors wait unread in a unix socket.
    pub descriptors_in_flight: Option<u64>,
    /// The registered files of an io_uring, as the kernel names them.
    pub uring_files: Vec<Vec<u8>>,
    /// The operations that an io_uring polls for, by opcode.
    pub uring_polls: Vec<u32>,
    /// Inotify or fanotify watches, counted.
    pub notify_watches: u64,
}

/// One line of an epoll descriptor: the number is that of registration time, and a closed or reused number
/// stays listed, so the file is told by inode and device.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Watched {
    /// The number under which it was registered.
    pub fd: u32,
    /// The `EPOLL*` bits, with the flags for edge-triggered and one-shot.
    pub events: u32,
    /// The inode (kernel 4.13 and later).
    pub inode: Option<u64>,
    /// The device of the inode's file system, in the kernel's own encoding (20 bits of minor).
    pub device: Option<u64>,
}

impl FdInfo {
    /// Parses the file's text; unknown lines are passed over, since every release adds some.
    ///
    /// # Errors
    ///
    /// [`Malformed`] if there is no `flags` line, or an epoll line cannot be read: a lost target would hide a waker.
    pub fn parse(text: &[u8]) -> Result<Self, Malformed> {
        let bad = |why| Malformed::new("fdinfo", why);
        let mut info = Self::default();
        let mut flags = None;
        let mut list = List::None;
        for line in lines(text) {
            if line.starts_with(b" ") {
                list.take(&mut info, line);
                continue;
            }
            list = List::None;
            let Some((key, value)) = key_value(line) else {
                continue;
            };
            match key {
                b"flags" => flags = octal(value),
                b"mnt_id" => info.mount = decimal(value),
                b"ino" => info.inode = decimal(value),
                b"tfd" => info
                    .watched
                    .push(watched(value).ok_or_else(|| bad("an epoll line is cut"))?),
                b"eventfd-id" => info.eventfd_id = decimal(value),
                b"eventfd-count" => info.eventfd_count = hex(value),
                b"it_value" => info.timer_armed = armed(value),
                b"sigmask" => info.signals = hex(value),
                b"Pid" => info.pidfd = signed(value),
                b"tty-index" => info.tty_index = small(value),
                b"scm_fds" => info.descriptors_in_flight = decimal(value),
                b"UserFiles" => list = List::UserFiles,
                b"PollList" => list = List::Polls,
                _ if key.starts_with(b"inotify wd") || key.starts_with(b"fanotify ") => {
                    info.notify_watches += 1;
                }
                _ => {}
            }
        }
        info.flags = flags.ok_or_else(|| bad("the flags are missing"))?;
        Ok(info)
    }
}

/// Which indented list of io_uring's fdinfo the lines belong to.
enum List {
    None,
    UserFiles,
    Polls,
}

impl List {
    fn take(&self, info: &mut FdInfo, line: &[u8]) {
        match self {
            Self::None => {}
            // `    0: pipe:[10224]`; the kernel escapes newlines within the name.
            Self::UserFiles => {
                if let Some((_, name)) = key_value(line) {
                    info.uring_files.push(name.to_vec());
                }
            }
            // `  op=22, task_works=0`
            Self::Polls => {
                let opcode = line.trim_ascii().strip_prefix(b"op=");
                let digits = opcode.and_then(|rest| rest.split(|&byte| byte == b',').next());
                info.uring_polls.extend(digits.and_then(small));
            }
        }
    }
}

fn watched(value: &[u8]) -> Option<Watched> {
    let (fd, rest) = value.split_at_checked(value.iter().position(u8::is_ascii_whitespace)?)?;
    let labelled = |label: &[u8]| {
        let start = rest
            .windows(label.len())
            .position(|window| window == label)?;
        words(rest.get(start + label.len()..)?).next()
    };
    Some(Watched {
        fd: small(fd)?,
        events: u32::try_from(hex(labelled(b"events:")?)?).ok()?,
        inode: labelled(b"ino:").and_then(hex),
        device: labelled(b"sdev:").and_then(hex),
    })
}

fn armed(value: &[u8]) -> Option<bool> {
    let inner = value.strip_prefix(b"(")?.strip_suffix(b")")?;
    let mut parts = inner.split(|&byte| byte == b',');
    let seconds = decimal(parts.next()?)?;
    let nanoseconds = decimal(parts.next()?)?;
    Some(seconds != 0 || nanoseconds != 0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn parse(text: &str) -> FdInfo {
        FdInfo::parse(text.as_bytes()).unwrap()
    }

    #[test]
    fn an_epoll_descriptor_lists_its_files_by_inode_and_device() {
        let info = parse(
            "pos:\t0\nflags:\t02000002\nmnt_id:\t17\nino:\t1038\n\
             tfd:        3 events:       19 data:                3  pos:0 ino:23b1 sdev:f\n\
             tfd:        6 events: 80000019 data: ffffffffffffffff  pos:0 ino:23b2 sdev:9\n",
        );
        let row = |fd, events, inode, device| Watched {
            fd,
            events,
            inode: Some(inode),
            device: Some(device),
        };
        let expected = [row(3, 0x19, 0x23b1, 0xf), row(6, 0x8000_0019, 0x23b2, 9)];
        assert_eq!(
            (info.watched.as_slice(), info.inode),
            (&expected[..], Some(1038))
        );
    }

    #[test]
    fn an_epoll_line_of_an_old_kernel_has_no_inode() {
        let info = parse("flags:\t02\ntfd:        5 events:        1 data:        5\n");
        assert_eq!((info.watched[0].fd, info.watched[0].inode), (5, None));
    }

    #[test]
    fn a_cut_epoll_line_is_refused_since_it_would_hide_a_waker() {
        assert!(FdInfo::parse(b"flags:\t02\ntfd:        5\n").is_err());
        assert!(FdInfo::parse(b"flags:\t02\ntfd: 5 events: zz data: 5\n").is_err());
        assert!(FdInfo::parse(b"pos:\t0\n").is_err());
    }

    #[test]
    fn a_timer_is_armed_while_time_is_left() {
        let timer = |value| {
            parse(&format!(
                "flags:\t02\nit_value: {value}\nit_interval: (9, 9)\n"
            ))
        };
        assert_eq!(timer("(49, 997786479)").timer_armed, Some(true));
        assert_eq!(timer("(0, 1)").timer_armed, Some(true));
        assert_eq!(timer("(0, 0)").timer_armed, Some(false));
        assert_eq!(timer("soon").timer_armed, None);
    }

    #[test]
    fn each_kind_gives_what_tells_it_apart() {
        let event = parse("flags:\t02\neventfd-count:               1a\neventfd-id: 7\n");
        assert_eq!((event.eventfd_id, event.eventfd_count), (Some(7), Some(26)));
        assert_eq!(
            parse("flags:\t02\nsigmask:\t0000000000010000\n").signals,
            Some(1 << 16)
        );
        assert_eq!(parse("flags:\t02\nPid:\t-1\nNSpid:\t0\n").pidfd, Some(-1));
        assert_eq!(
            parse("flags:\t02100002\ntty-index:\t3\n").tty_index,
            Some(3)
        );
        assert_eq!(
            parse("flags:\t02\nscm_fds: 1\n").descriptors_in_flight,
            Some(1)
        );
        let notify = "flags:\t00\ninotify wd:1 ino:3c4a7 sdev:fe00000 mask:1 ignored_mask:0\n";
        assert_eq!(parse(notify).notify_watches, 1);
    }

    #[test]
    fn an_io_uring_lists_registered_files_and_polls() {
        let info = parse(
            "flags:\t02000002\nSqMask:\t0x7\nSQEs:\t0\nCQEs:\t0\nSqThread:\t-1\nUserFiles:\t2\n    \
             0: pipe:[10224]\n    1: pipe:[10224]\nUserBufs:\t0\nPollList:\n  op=6, task_works=0\n  \
             op=22, task_works=0\nCqOverflowList:\nNAPI:\tdisabled\n",
        );
        assert_eq!(
            info.uring_files,
            [b"pipe:[10224]".to_vec(), b"pipe:[10224]".to_vec()]
        );
        assert_eq!(info.uring_polls, [6, 22]);
    }

    proptest! {
        #[test]
        fn any_bytes_are_parsed_or_refused(text: Vec<u8>) {
            let _ = FdInfo::parse(&text);
        }

        #[test]
        fn any_values_are_parsed_or_refused(values in prop::collection::vec("[ -~]{0,40}", 8)) {
            let keys = ["flags", "tfd", "it_value", "Pid", "UserFiles", "    0", "PollList", "sigmask"];
            let text: String = keys.iter().zip(&values).map(|(k, v)| format!("{k}:{v}\n")).collect();
            let _ = FdInfo::parse(text.as_bytes());
        }
    }
}
