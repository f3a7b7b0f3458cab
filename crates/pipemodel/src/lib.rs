//! A model of the kernel's pipe as slots, and a simulator of programs that block on such pipes.
