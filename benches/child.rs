//! The child, a few lines of C.

use std::path::PathBuf;
use std::process::Command;

/// What the child is to write.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Job {
    /// The child's file.
    pub program: PathBuf,
    /// Bytes to stdout.
    pub out: u64,
    /// Bytes to stderr.
    pub err: u64,
    /// Bytes of each write(2).
    pub piece: u64,
}

impl Job {
    /// The child's arguments.
    #[must_use]
    pub fn args(&self) -> [String; 3] {
        [self.out, self.err, self.piece].map(|number| number.to_string())
    }
}

/// Compiles the child into `directory`, with the compiler that Rust links with: static, and on x86-64 without a C
/// library, so that their starting is not taken for a capture's cost.
#[must_use]
pub fn compile(directory: &str) -> PathBuf {
    let source = concat!(env!("CARGO_MANIFEST_DIR"), "/child.c");
    let program = PathBuf::from(directory).join("child");
    let flags: &[&str] = if cfg!(target_arch = "x86_64") {
        &[
            "-O2",
            "-static",
            "-nostdlib",
            "-ffreestanding",
            "-fno-stack-protector",
        ]
    } else {
        &["-O2"]
    };
    let mut compiler = Command::new("cc");
    compiler.args(flags).arg("-o").arg(&program).arg(source);
    let compiled = compiler.status().is_ok_and(|status| status.success());
    assert!(compiled, "cc cannot compile {source}");
    program
}
