//! What the report needs that is built only then: wrappers in other languages, and the crates that are our peers.

use std::ffi::OsString;
use std::io::Write as _;
use std::os::fd::AsRawFd as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::Context as _;
use pipeclog_harness::check::shipped::{self, Shipped};
use pipeclog_scenario::goals::{self, Contest};
use rustix::fs::MemfdFlags;
use tempfile::TempDir;

use crate::out::Sink;

/// Where the wrappers of other languages, and of Rust, are built, and what of it is there.
pub(super) struct Workshop {
    folder: TempDir,
    pub(super) wrappers: Vec<Shipped>,
    /// The binary of the Rust peers, whether it is there or not.
    pub(super) peer: PathBuf,
}

impl Workshop {
    /// Unpacks the wrappers, and has `cargo` build the Rust peers where it is what runs this program.
    pub(super) fn open() -> anyhow::Result<Self> {
        let folder = tempfile::tempdir().context("failed to make a folder for the wrappers")?;
        let unpacked = || {
            format!(
                "failed to write the wrappers to {}",
                folder.path().display()
            )
        };
        shipped::unpack(folder.path()).with_context(unpacked)?;
        let wrappers =
            shipped::read(folder.path()).context("failed to read the built-in wrappers")?;
        let program = std::env::current_exe().context("failed to find this program's own file")?;
        let peer = program.with_file_name("peer");
        if let Some(cargo) = Cargo::that_runs_this()
            && !peer.is_file()
        {
            note("building the Rust crates that are put to the cases");
            // Without them the report says that they were not run.
            cargo.run("build", &["--package", "pipeclog-peers"])?;
        }
        Ok(Self {
            folder,
            wrappers,
            peer,
        })
    }

    /// A folder that goes with the workshop.
    pub(super) fn folder(&self) -> &Path {
        self.folder.path()
    }
}

/// Measures us beside other crates; nothing unless `cargo` runs this program from a clone.
pub(super) fn contest() -> anyhow::Result<Option<Contest>> {
    let Some(cargo) = Cargo::that_runs_this() else {
        return Ok(None);
    };
    note("building the other crates that capture, and measuring them beside ours: some minutes");
    // A file without a name: whatever ends us while they are measured leaves none behind.
    let file = rustix::fs::memfd_create("contest", MemfdFlags::CLOEXEC)
        .context("failed to make a memory file for what the duel measures")?;
    let path = format!("/proc/{}/fd/{}", std::process::id(), file.as_raw_fd());
    let options = [
        "--package",
        "pipeclog-benches",
        "--bench",
        "duel",
        "--",
        "--json",
        &path,
    ];
    if !cargo.run("bench", &options)? {
        return Ok(None);
    }
    read(Path::new(&path)).map(Some)
}

fn read(path: &Path) -> anyhow::Result<Contest> {
    let failed = || {
        format!(
            "failed to read what the duel measured from {}",
            path.display()
        )
    };
    let text = std::fs::read(path).with_context(failed)?;
    let contest: Contest = serde_json::from_slice(&text).with_context(failed)?;
    anyhow::ensure!(
        contest.schema_version == goals::SCHEMA_VERSION,
        "failed to read what the duel measured from {}: it has version {}, and this program knows version {}: \
         is it of the same checkout?",
        path.display(),
        contest.schema_version,
        goals::SCHEMA_VERSION
    );
    Ok(contest)
}

/// Says what takes so long.
fn note(text: &str) {
    // A reader that has gone needs no telling.
    let _ = writeln!(Sink::stderr(), "{text}");
}

/// The cargo that runs this program: it tells so in the environment.
struct Cargo {
    program: OsString,
    manifest: PathBuf,
}

impl Cargo {
    fn that_runs_this() -> Option<Self> {
        let program = std::env::var_os("CARGO")?;
        let package = PathBuf::from(std::env::var_os("CARGO_MANIFEST_DIR")?);
        let manifest = package.parent()?.parent()?.join("Cargo.toml");
        // Another program's build may have started us: its workspace is none of our business.
        let is_ours = package.ends_with("crates/pipeclog") && manifest.is_file();
        is_ours.then_some(Self { program, manifest })
    }

    /// Whether it succeeded; what it says goes to stderr, and what its programs print to nowhere.
    fn run(&self, command: &str, options: &[&str]) -> anyhow::Result<bool> {
        let mut cargo = Command::new(&self.program);
        cargo
            .arg(command)
            .arg("--quiet")
            .arg("--manifest-path")
            .arg(&self.manifest);
        if command == "build" && !cfg!(debug_assertions) {
            cargo.arg("--release");
        }
        let failed = || format!("failed to run `cargo {command} {}`", options.join(" "));
        let status = cargo
            .args(options)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .status()
            .with_context(failed)?;
        if !status.success() {
            note(&format!(
                "`cargo {command} {}` ended by {status}: the report goes without it",
                options.join(" ")
            ));
        }
        Ok(status.success())
    }
}
