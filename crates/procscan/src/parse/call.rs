//! `/proc/PID/syscall` (man 5 proc_pid_syscall; kernel `fs/proc/base.c`, `proc_pid_syscall`, and `lib/syscall.c`).

use super::Malformed;
use super::field::{hex, signed, words};

/// The text of `syscall`: where a task is in the kernel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CallLine {
    /// `running`: on a processor or ready to be, or it became so while the kernel looked.
    Running,
    /// `-1 SP PC`: blocked, but not in a system call (a page fault, a signal stop, a fresh or a dying task).
    Elsewhere,
    /// Blocked in a system call.
    Blocked {
        /// The number, in the numbering of the task's own architecture.
        number: u64,
        /// The six argument registers, of which each call uses as many as it has.
        args: [u64; 6],
        /// The stack pointer.
        sp: u64,
        /// The program counter.
        pc: u64,
    },
}

impl CallLine {
    /// Parses the file's text.
    ///
    /// # Errors
    ///
    /// [`Malformed`] if it is none of the three forms.
    pub fn parse(text: &[u8]) -> Result<Self, Malformed> {
        let bad = |why| Malformed::new("syscall", why);
        if text.trim_ascii() == b"running" {
            return Ok(Self::Running);
        }
        let mut fields = words(text);
        let number = fields
            .next()
            .and_then(signed)
            .ok_or_else(|| bad("the call is no number"))?;
        if number == -1 {
            return Ok(Self::Elsewhere);
        }
        let number = u64::try_from(number).map_err(|_| bad("the call number is negative"))?;
        let mut args = [0; 6];
        for arg in &mut args {
            *arg = fields
                .next()
                .and_then(hex)
                .ok_or_else(|| bad("an argument is missing"))?;
        }
        let mut register = |why| fields.next().and_then(hex).ok_or_else(|| bad(why));
        let sp = register("the stack pointer is missing")?;
        let pc = register("the program counter is missing")?;
        Ok(Self::Blocked {
            number,
            args,
            sp,
            pc,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_three_forms_are_told_apart() {
        assert_eq!(CallLine::parse(b"running\n"), Ok(CallLine::Running));
        assert_eq!(
            CallLine::parse(b"-1 0x7ffe0d1ac0b0 0x7f27d8e1c8f7\n"),
            Ok(CallLine::Elsewhere)
        );
        assert_eq!(CallLine::parse(b"-1 0x0 0x0\n"), Ok(CallLine::Elsewhere));
        let line = b"61 0xffffffff 0x7ffc0a 0x0 0x0 0x0 0x4 0x7ffc5ba1f898 0x7f7a9c9a0c1a\n";
        let args = [0xffff_ffff, 0x7f_fc0a, 0, 0, 0, 4];
        let (sp, pc) = (0x7ffc_5ba1_f898, 0x7f7a_9c9a_0c1a);
        assert_eq!(
            CallLine::parse(line),
            Ok(CallLine::Blocked {
                number: 61,
                args,
                sp,
                pc
            })
        );
    }

    #[test]
    fn a_cut_line_is_refused() {
        for bad in [
            &b""[..],
            b"61",
            b"61 0x0 0x0",
            b"61 0x0 0x0 0x0 0x0 0x0 0x0 0x1",
            b"-2 0x0 0x0",
            b"read 0x0 0x0 0x0 0x0 0x0 0x0",
        ] {
            assert!(CallLine::parse(bad).is_err(), "{bad:?}");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_parsed_or_refused(text: Vec<u8>) {
            let _ = CallLine::parse(&text);
        }

        #[test]
        fn what_the_kernel_prints_is_read_back(number: u32, args: [u64; 6]) {
            let mut text = number.to_string();
            for arg in args {
                text += &format!(" {arg:#x}");
            }
            text += " 0x7ffc 0x7f7a\n";
            let expected = CallLine::Blocked { number: number.into(), args, sp: 0x7ffc, pc: 0x7f7a };
            prop_assert_eq!(CallLine::parse(text.as_bytes()), Ok(expected));
        }
    }
}
