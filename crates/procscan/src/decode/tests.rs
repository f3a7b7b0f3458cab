//! Decoding over a made-up memory: what no live kernel here can be made to show.

use std::collections::BTreeMap;

use pipeclog_waitgraph::snapshot::{
    Abi, ChildSet, FifoMode, FileId, FutexScope, LockKind, SignalSet, Signals, SocketTimeouts,
    Table, Timeout, Wait,
};

use super::{Blocked, Decoded, decode};
use crate::memory::Memory;
use crate::parse::Hierarchy;
use crate::source::{Cause, Facts, FileStat, ReadError, Source, Start, UnixSocket};

/// A process whose memory is what the test says, mapped at [`BASE`].
#[derive(Debug, Default)]
struct Fake {
    bytes: Vec<u8>,
    texts: BTreeMap<String, Vec<u8>>,
    fifo: Option<FileStat>,
}

const BASE: u64 = 0x1000;
const END: u64 = 0x9000;
const ANONYMOUS: &str = "1000-9000 rw-p 00000000 00:00 0 [stack]\n";

fn gone<T>() -> Result<T, ReadError> {
    Err(ReadError::new("find", "it", Cause::Gone))
}

impl Fake {
    fn new(words: &[(u64, u64, usize)]) -> Self {
        let mut fake = Self {
            bytes: vec![0; 0x8000],
            ..Self::default()
        };
        for &(address, value, len) in words {
            let at = usize::try_from(address - BASE).unwrap();
            fake.bytes[at..at + len].copy_from_slice(&value.to_le_bytes()[..len]);
        }
        fake.texts
            .insert("7/maps".to_owned(), ANONYMOUS.as_bytes().to_vec());
        fake
    }

    fn text(mut self, path: &str, text: &str) -> Self {
        self.texts.insert(path.to_owned(), text.as_bytes().to_vec());
        self
    }

    fn string(mut self, address: u64, text: &str) -> Self {
        let at = usize::try_from(address - BASE).unwrap();
        self.bytes[at..at + text.len()].copy_from_slice(text.as_bytes());
        self
    }
}

impl Source for Fake {
    fn facts(&self) -> Facts {
        Facts {
            abi: Abi::X86_64,
            ticks_per_second: 100,
            uid: 0,
        }
    }
    fn read(&self, path: &str, text: &mut Vec<u8>) -> Result<(), ReadError> {
        *text = self.read_list(path)?;
        Ok(())
    }
    fn read_list(&self, path: &str) -> Result<Vec<u8>, ReadError> {
        self.texts.get(path).cloned().map_or_else(gone, Ok)
    }
    fn read_bounded(&self, path: &str) -> Result<Vec<u8>, ReadError> {
        self.read_list(path)
    }
    fn link(&self, _: &str) -> Result<Vec<u8>, ReadError> {
        gone()
    }
    fn numbers(&self, _: &str) -> Result<Vec<u32>, ReadError> {
        gone()
    }
    fn descriptors(&self, _: &str, _: &mut dyn FnMut(u32, &[u8])) -> Result<(), ReadError> {
        gone()
    }
    fn files(&self, _: &str, _: &[u32]) -> Result<Vec<Result<FileStat, ReadError>>, ReadError> {
        gone()
    }
    fn protocol(&self, _: &str) -> Result<Vec<u8>, ReadError> {
        gone()
    }
    fn memory(&self, _: u32, address: u64, len: usize) -> Result<Vec<u8>, ReadError> {
        let at = usize::try_from(address - BASE).unwrap();
        Ok(self.bytes[at..at + len].to_vec())
    }
    fn resolve(&self, _: u32, _: Start, _: &[u8]) -> Result<FileStat, ReadError> {
        self.fifo.map_or_else(gone, Ok)
    }
    fn socket_timeouts(&self, _: u32, _: u32) -> Result<SocketTimeouts, ReadError> {
        gone()
    }
    fn freezer(&self, _: Hierarchy, _: &[u8]) -> Result<Vec<u8>, ReadError> {
        gone()
    }
    fn unix_sockets(&self, _: Option<u32>) -> Result<Vec<UnixSocket>, ReadError> {
        gone()
    }
}

const SIGNALS: Signals = Signals {
    blocked: SignalSet(0b0100),
    ignored: SignalSet(0),
    caught: SignalSet(0b0110),
    pending: SignalSet(0),
};

fn decoded(fake: &Fake, abi: Abi, number: u64, args: [u64; 6], wchan: Option<&[u8]>) -> Decoded {
    let memory = Memory::new(fake, 7, abi);
    let table = Table::Unread;
    decode(&Blocked {
        source: fake,
        pid: 7,
        number,
        args,
        memory: &memory,
        table: &table,
        signals: Some(SIGNALS),
        wchan,
    })
}

fn wait(fake: &Fake, abi: Abi, number: u64, args: [u64; 6]) -> Wait {
    let decoded = decoded(fake, abi, number, args, None);
    assert!(decoded.missing.is_empty(), "{:?}", decoded.missing);
    decoded.wait
}

fn set(wait: &Wait) -> Vec<(u32, u32)> {
    let Wait::Poll { set: Some(set), .. } = wait else {
        panic!("{wait:?}")
    };
    set.iter().map(|entry| (entry.fd, entry.events.0)).collect()
}

const NOTHING: [u64; 6] = [0; 6];

#[test]
fn a_32_bit_program_has_its_own_numbers_and_words_of_four_bytes() {
    let i386 = Abi::I386;
    let empty = Fake::new(&[]);
    let read = Wait::Read {
        fd: 5,
        call: "read".into(),
    };
    assert_eq!(wait(&empty, i386, 3, [5, 0, 0, 0, 0, 0]), read);
    let children = ChildSet::Any;
    assert_eq!(
        wait(&empty, i386, 114, [0xffff_ffff, 0, 0, 0, 0, 0]),
        Wait::Child { children }
    );
    // pselect6 with a `struct timespec` of two 32-bit words: 3 s and 4 ns, and words of 32 bits in its sets.
    let fake = Fake::new(&[
        (0x2000, 3, 4),
        (0x2004, 4, 4),
        (0x3000, 1 << 9, 4),
        (0x3004, 1 << 1, 4),
    ]);
    let found = wait(&fake, i386, 308, [40, 0x3000, 0, 0, 0x2000, 0]);
    assert_eq!(set(&found), [(9, 1), (33, 1)]);
    assert!(matches!(
        found,
        Wait::Poll {
            timeout: Timeout::After(3_000_000_004),
            ..
        }
    ));
    // pselect6_time64 has two 64-bit words.
    let fake = Fake::new(&[(0x2000, 3, 8), (0x2008, 4, 8)]);
    let found = wait(&fake, i386, 413, [0, 0, 0, 0, 0x2000, 0]);
    assert!(matches!(
        found,
        Wait::Poll {
            timeout: Timeout::After(3_000_000_004),
            ..
        }
    ));
}

#[test]
fn the_calls_that_i386_passes_by_pointer_are_followed() {
    // The first select: n, readfds, writefds, exceptfds, timeout.
    let fake = Fake::new(&[(0x2000, 8, 4), (0x2004, 0x3000, 4), (0x3000, 1 << 4, 4)]);
    assert_eq!(
        set(&wait(&fake, Abi::I386, 82, [0x2000, 0, 0, 0, 0, 0])),
        [(4, 1)]
    );
    // recvfrom by socketcall, on descriptor 6.
    let fake = Fake::new(&[(0x2000, 6, 4)]);
    let found = wait(&fake, Abi::I386, 102, [12, 0x2000, 0, 0, 0, 0]);
    assert_eq!(
        found,
        Wait::Read {
            fd: 6,
            call: "recvfrom".into()
        }
    );
}

#[test]
fn a_64_bit_arm_program_has_its_own_numbers() {
    let fake = Fake::new(&[(0x2000, 3, 4), (0x2004, 1, 2)]);
    let found = wait(&fake, Abi::Aarch64, 73, [0x2000, 1, 0, 0, 0, 0]);
    assert_eq!(set(&found), [(3, 1)]);
    assert!(matches!(
        found,
        Wait::Poll {
            timeout: Timeout::Never,
            ..
        }
    ));
    let read = Wait::Read {
        fd: 0,
        call: "read".into(),
    };
    assert_eq!(wait(&fake, Abi::Aarch64, 63, NOTHING), read);
}

#[test]
fn an_unknown_table_or_number_is_named_and_not_guessed() {
    let fake = Fake::new(&[]);
    let other = |call: &str| Wait::Other { call: call.into() };
    assert_eq!(wait(&fake, Abi::Unknown, 0, NOTHING), other("syscall 0"));
    assert_eq!(
        wait(&fake, Abi::X86_64, 9999, NOTHING),
        other("syscall 9999")
    );
    assert_eq!(wait(&fake, Abi::X86_64, 69, NOTHING), other("msgsnd"));
}

#[test]
fn negative_descriptors_are_left_out_and_upper_register_halves_mean_nothing() {
    let minus = u64::from(u32::MAX);
    let fake = Fake::new(&[
        (0x2000, minus, 4),
        (0x2004, 1, 2),
        (0x2008, 9, 4),
        (0x200c, 4, 2),
    ]);
    let garbage = 0xdead_beef_0000_0002;
    let found = wait(
        &fake,
        Abi::X86_64,
        7,
        [0x2000, garbage, 0xffff_ffff, 0, 0, 0],
    );
    assert_eq!(set(&found), [(9, 4)]);
    assert!(matches!(
        found,
        Wait::Poll {
            timeout: Timeout::Never,
            ..
        }
    ));
    let read = Wait::Other {
        call: "read".into(),
    };
    assert_eq!(wait(&fake, Abi::X86_64, 0, [minus, 0, 0, 0, 0, 0]), read);
}

#[test]
fn futexes_tell_their_scope_their_value_and_their_time() {
    let shared = "1000-5000 rw-s 00000000 00:01 9 /dev/shm/x\n5000-9000 rw-p 00000000 00:00 0\n";
    let fake = Fake::new(&[(0x6000, 2, 8), (0x6008, 5, 8), (0x7000, 0x8000_002a, 4)])
        .text("7/maps", shared);
    let futex = |args| wait(&fake, Abi::X86_64, 202, args);
    let scope_of = |wait: Wait| match wait {
        Wait::Futex {
            scope,
            expected,
            timeout,
            ..
        } => (scope, expected, timeout),
        other => panic!("{other:?}"),
    };
    let never = Timeout::Never;
    assert_eq!(
        scope_of(futex([0x2000, 0x80, 1, 0, 0, 0])),
        (FutexScope::PrivateFlag, 1, never)
    );
    assert_eq!(
        scope_of(futex([0x2000, 0, 1, 0, 0, 0])),
        (FutexScope::SharedMapping, 1, never)
    );
    assert_eq!(
        scope_of(futex([0x6000, 0, 1, 0, 0, 0])),
        (FutexScope::PrivateMapping, 1, never)
    );
    // FUTEX_WAIT is relative, FUTEX_WAIT_BITSET absolute.
    let relative = scope_of(futex([0x6000, 0x80, 1, 0x6000, 0, 0])).2;
    assert_eq!(relative, Timeout::After(2_000_000_005));
    let absolute = scope_of(futex([0x6000, 0x89, 1, 0x6000, 0, 0])).2;
    assert_eq!(absolute, Timeout::At(2_000_000_005));
    // The owner of a priority-inheriting lock stands in its word, beside the bit for waiters.
    assert_eq!(scope_of(futex([0x7000, 0x86, 0, 0, 0, 0])).1, 0x2a);
    assert_eq!(
        futex([0x7000, 1, 0, 0, 0, 0]),
        Wait::Other {
            call: "futex".into()
        }
    );
}

#[test]
fn one_shared_futex_among_many_makes_the_wait_shared() {
    let maps = "1000-5000 rw-s 00000000 00:01 9 /dev/shm/x\n5000-9000 rw-p 00000000 00:00 0\n";
    let waiters = [
        (0x6000, 1, 8),
        (0x6008, 0x7000, 8),
        (0x6010, 0x82, 4),
        (0x6018, 2, 8),
        (0x6020, 0x2000, 8),
        (0x6028, 2, 4),
    ];
    let fake = Fake::new(&waiters).text("7/maps", maps);
    let found = wait(&fake, Abi::X86_64, 449, [0x6000, 2, 0, 0, 0, 0]);
    assert!(
        matches!(
            found,
            Wait::Futex {
                address: 0x2000,
                scope: FutexScope::SharedMapping,
                ..
            }
        ),
        "{found:?}"
    );
}

#[test]
fn vfork_hides_in_three_calls() {
    let fake = Fake::new(&[(0x2000, 0x4100, 8), (0x3000, 0x100, 8)]);
    assert_eq!(wait(&fake, Abi::X86_64, 58, NOTHING), Wait::Vfork);
    assert_eq!(
        wait(&fake, Abi::X86_64, 56, [0x4111, 0, 0, 0, 0, 0]),
        Wait::Vfork
    );
    assert_eq!(
        wait(&fake, Abi::X86_64, 435, [0x2000, 88, 0, 0, 0, 0]),
        Wait::Vfork
    );
    assert_eq!(
        wait(&fake, Abi::X86_64, 435, [0x3000, 88, 0, 0, 0, 0]),
        Wait::Other {
            call: "clone3".into()
        }
    );
}

#[test]
fn waitid_names_its_kind() {
    let fake = Fake::new(&[]);
    let children = |args| match wait(&fake, Abi::X86_64, 247, args) {
        Wait::Child { children } => children,
        other => panic!("{other:?}"),
    };
    assert_eq!(children([0, 0, 0, 4, 0, 0]), ChildSet::Any);
    assert_eq!(children([1, 33, 0, 4, 0, 0]), ChildSet::Pid(33));
    assert_eq!(children([2, 33, 0, 4, 0, 0]), ChildSet::Group(33));
    assert_eq!(children([3, 33, 0, 4, 0, 0]), ChildSet::Pidfd(33));
    let group = wait(&fake, Abi::X86_64, 61, [0xffff_ffde, 0, 0, 0, 0, 0]);
    assert_eq!(
        group,
        Wait::Child {
            children: ChildSet::Group(34)
        }
    );
}

#[test]
fn a_suspended_task_awaits_what_is_caught_and_not_masked() {
    let fake = Fake::new(&[(0x2000, 1 << 16, 8), (0x3000, 1, 8)]);
    let awaited = SignalSet(0b0010);
    let timeout = Timeout::Never;
    assert_eq!(
        wait(&fake, Abi::X86_64, 130, [0x2000, 8, 0, 0, 0, 0]),
        Wait::Signal { awaited, timeout }
    );
    let timed = wait(&fake, Abi::X86_64, 128, [0x2000, 0, 0x3000, 8, 0, 0]);
    let awaited = SignalSet::of(&[SignalSet::CHLD]);
    assert_eq!(
        timed,
        Wait::Signal {
            awaited,
            timeout: Timeout::After(1_000_000_000)
        }
    );
}

#[test]
fn an_io_uring_wait_finds_its_time_behind_two_pointers() {
    let fake = Fake::new(&[(0x2010, 0x3000, 8), (0x3000, 7, 8)]);
    let ring = |flags, argument| wait(&fake, Abi::X86_64, 426, [3, 0, 1, flags, argument, 24]);
    assert_eq!(
        ring(1, 0),
        Wait::IoUring {
            fd: 3,
            timeout: Timeout::Never
        }
    );
    assert_eq!(
        ring(9, 0x2000),
        Wait::IoUring {
            fd: 3,
            timeout: Timeout::After(7_000_000_000)
        }
    );
    assert_eq!(
        ring(9, 0x4000),
        Wait::IoUring {
            fd: 3,
            timeout: Timeout::Never
        }
    );
}

#[test]
fn a_restarted_call_is_told_by_where_it_sleeps() {
    let fake = Fake::new(&[(0x2000, 3, 4), (0x2004, 1, 2)]);
    let restarted = |args, wchan: &[u8]| decoded(&fake, Abi::X86_64, 219, args, Some(wchan)).wait;
    let found = restarted([0x2000, 1, 0xffff_ffff, 0, 0, 0], b"poll_schedule_timeout");
    assert_eq!(set(&found), [(3, 1)]);
    let found = restarted([0x2000, 0x80, 3, 0x3000, 0, 0], b"futex_do_wait");
    assert!(matches!(
        found,
        Wait::Futex {
            timeout: Timeout::After(_),
            ..
        }
    ));
    let found = restarted(NOTHING, b"do_syscall_64");
    assert_eq!(
        found,
        Wait::Sleep {
            timeout: Timeout::Unread
        }
    );
    assert_eq!(
        restarted(NOTHING, b"0"),
        Wait::Other {
            call: "restart_syscall".into()
        }
    );
}

#[test]
fn an_open_is_a_fifos_only_if_the_path_or_the_place_says_so() {
    let stat = FileStat {
        mode: 0o010_644,
        device: (8, 1),
        inode: 77,
        rdev: (0, 0),
    };
    let mut fake = Fake::new(&[]).string(0x2000, "/tmp/f\0");
    let open = [0xffff_ff9c, 0x2000, 1, 0, 0, 0];
    let plain = decoded(&fake, Abi::X86_64, 257, open, None);
    assert_eq!(
        plain.wait,
        Wait::Other {
            call: "openat".into()
        }
    );
    assert_eq!(plain.missing.len(), 1);
    let slept = decoded(&fake, Abi::X86_64, 257, open, Some(b"wait_for_partner"));
    assert!(matches!(
        slept.wait,
        Wait::FifoOpen {
            file: None,
            mode: FifoMode::Write,
            ..
        }
    ));
    fake.fifo = Some(stat);
    let Wait::FifoOpen { path, file, mode } = wait(&fake, Abi::X86_64, 257, open) else {
        panic!()
    };
    assert_eq!(path.unwrap().as_bytes(), b"/tmp/f");
    assert_eq!(
        (file, mode),
        (
            Some(FileId {
                dev: 0x801,
                ino: 77
            }),
            FifoMode::Write
        )
    );
    fake.fifo = Some(FileStat {
        mode: 0o100_644,
        ..stat
    });
    assert_eq!(
        wait(&fake, Abi::X86_64, 257, open),
        Wait::Other {
            call: "openat".into()
        }
    );
}

#[test]
fn locks_wait_in_three_commands() {
    let fake = Fake::new(&[]);
    let lock = |kind| Wait::Lock { fd: 4, kind };
    assert_eq!(
        wait(&fake, Abi::X86_64, 73, [4, 2, 0, 0, 0, 0]),
        lock(LockKind::Flock)
    );
    assert_eq!(
        wait(&fake, Abi::X86_64, 72, [4, 7, 0, 0, 0, 0]),
        lock(LockKind::Record)
    );
    assert_eq!(
        wait(&fake, Abi::X86_64, 72, [4, 38, 0, 0, 0, 0]),
        lock(LockKind::OpenFile)
    );
    assert_eq!(
        wait(&fake, Abi::I386, 221, [4, 14, 0, 0, 0, 0]),
        lock(LockKind::Record)
    );
    assert_eq!(
        wait(&fake, Abi::X86_64, 72, [4, 14, 0, 0, 0, 0]),
        Wait::Other {
            call: "fcntl".into()
        }
    );
}

#[test]
fn memory_that_a_file_system_serves_is_read_only_if_it_cannot_hang() {
    let mapped = "1000-9000 rw-p 00000000 00:35 9 /mnt/x\n";
    let poll = [0x2000, 1, 0xffff_ffff, 0, 0, 0];
    let look = |mountinfo: &str| {
        let fake = Fake::new(&[(0x2000, 3, 4), (0x2004, 1, 2)])
            .text("7/maps", mapped)
            .text("7/mountinfo", mountinfo);
        let found = decoded(&fake, Abi::X86_64, 7, poll, None);
        (
            found.wait,
            found.missing.first().map(|missing| missing.error.cause),
        )
    };
    let unread = Wait::Poll {
        set: None,
        timeout: Timeout::Never,
        mask: None,
        call: "poll".into(),
    };
    let hangs = (unread, Some(Cause::MayHang));
    assert_eq!(look("9 1 0:53 / /mnt rw - fuse.sshfs a rw\n"), hangs);
    assert_eq!(look("9 1 0:53 / /mnt rw - nfs4 a rw\n"), hangs);
    // What is not in the table of mounts may be anything.
    assert_eq!(look(""), hangs);
    assert_eq!(
        set(&look("9 1 0:53 / /mnt rw - overlay a rw\n").0),
        [(3, 1)]
    );
}

#[test]
fn what_is_not_mapped_is_a_gap() {
    let fake = Fake::new(&[]);
    for address in [0, END - 4, END, u64::MAX - 3] {
        let found = decoded(&fake, Abi::X86_64, 7, [address, 1, 0, 0, 0, 0], None);
        assert!(matches!(found.wait, Wait::Poll { set: None, .. }));
        assert_eq!(found.missing.len(), 1, "{address:#x}");
    }
    let too_many = decoded(
        &fake,
        Abi::X86_64,
        7,
        [0x2000, 0xffff_ffff, 0, 0, 0, 0],
        None,
    );
    assert_eq!(too_many.missing.len(), 1);
}

proptest::proptest! {
    #[test]
    fn any_call_with_any_registers_is_decoded(abi in 0..4, number in 0_u64..500, args: [u64; 6], words: [u64; 8]) {
        let abi = [Abi::X86_64, Abi::I386, Abi::Aarch64, Abi::Unknown][usize::try_from(abi).unwrap()];
        let mut places = Vec::new();
        for (place, word) in (0..).zip(words) {
            places.push((0x2000 + 8 * place, word, 8));
        }
        let fake = Fake::new(&places);
        // Registers that are no addresses, and those that are.
        let _ = decoded(&fake, abi, number, args, Some(b"poll_schedule_timeout"));
        let _ = decoded(&fake, abi, number, args.map(|arg| 0x2000 + arg % 64), None);
    }
}
