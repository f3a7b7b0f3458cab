//! Which system call a number names. Numbers differ by architecture and the meaning of a name does not, so all
//! decoding goes by name.

use pipeclog_waitgraph::snapshot::Abi;
use syscalls::{aarch64, x86, x86_64};

/// Calls of this numbering flag on x86-64 are those of the x32 ABI.
const X32_BIT: u64 = 0x4000_0000;

/// The name of a system call; `None` for a number that the table lacks, and for a table that we lack.
pub(crate) fn name(abi: Abi, number: u64) -> Option<&'static str> {
    let index = usize::try_from(number).ok()?;
    match abi {
        Abi::X86_64 if number & X32_BIT != 0 => None,
        Abi::X86_64 => x86_64::Sysno::new(index).map(|call| call.name()),
        Abi::I386 => x86::Sysno::new(index).map(|call| call.name()),
        Abi::Aarch64 => aarch64::Sysno::new(index).map(|call| call.name()),
        Abi::Unknown => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tables_are_those_of_the_kernel() {
        // arch/x86/entry/syscalls/syscall_64.tbl, syscall_32.tbl, include/uapi/asm-generic/unistd.h.
        let rows = [
            (Abi::X86_64, 0, "read"),
            (Abi::X86_64, 61, "wait4"),
            (Abi::X86_64, 202, "futex"),
            (Abi::X86_64, 219, "restart_syscall"),
            (Abi::X86_64, 449, "futex_waitv"),
            (Abi::I386, 3, "read"),
            (Abi::I386, 4, "write"),
            (Abi::I386, 114, "wait4"),
            (Abi::I386, 168, "poll"),
            (Abi::I386, 240, "futex"),
            (Abi::I386, 422, "futex_time64"),
            (Abi::Aarch64, 63, "read"),
            (Abi::Aarch64, 64, "write"),
            (Abi::Aarch64, 73, "ppoll"),
            (Abi::Aarch64, 98, "futex"),
            (Abi::Aarch64, 260, "wait4"),
        ];
        for (abi, number, expected) in rows {
            assert_eq!(name(abi, number), Some(expected), "{abi:?} {number}");
        }
    }

    #[test]
    fn unknown_numbers_have_no_name() {
        assert_eq!(name(Abi::X86_64, 9999), None);
        assert_eq!(name(Abi::X86_64, X32_BIT), None);
        assert_eq!(name(Abi::X86_64, u64::MAX), None);
        assert_eq!(name(Abi::Unknown, 0), None);
    }
}
