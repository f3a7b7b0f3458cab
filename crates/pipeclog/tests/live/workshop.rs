//! Finds interpreters, and compiles what must be compiled, once a run, into a folder that goes with it.

use std::collections::BTreeMap;
use std::env;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use libtest_mimic::Failed;
use pipeclog_capture::{Bound, Capture, Command};

use crate::case::{Case, folder};

/// For one compiler run, on a machine that does other things as well.
const COMPILE_BOUND: Duration = Duration::from_secs(120);

/// The command of a case, or the tool that is missing.
pub(crate) type Found = Result<Vec<String>, String>;

/// Compiled programs, by their source.
#[derive(Debug)]
pub(crate) struct Workshop {
    folder: tempfile::TempDir,
    built: Mutex<BTreeMap<PathBuf, Result<PathBuf, String>>>,
}

impl Workshop {
    pub(crate) fn new() -> Self {
        Self {
            folder: tempfile::tempdir().expect("a folder for compiled programs"),
            built: Mutex::default(),
        }
    }

    /// How to run a case here.
    pub(crate) fn command(&self, case: &Case) -> Result<Found, Failed> {
        if let Some(missing) = case.needs.iter().find(|needed| !is_there(needed)) {
            return Ok(Err(format!("there is no {missing} here")));
        }
        if case.is_script() {
            return Ok(Ok(["sh", "-c", &case.program].map(str::to_owned).to_vec()));
        }
        let mut command = match case.with.split_first() {
            Some((interpreter, options)) => {
                let Some(path) = find(interpreter) else {
                    return Ok(Err(format!("there is no {interpreter} here")));
                };
                let mut command = vec![path.display().to_string()];
                command.extend_from_slice(options);
                command.push(case.file().display().to_string());
                command
            }
            None => match self.compiled(&case.file(), &case.options)? {
                Ok(command) => command,
                Err(missing) => return Ok(Err(missing)),
            },
        };
        command.extend_from_slice(&case.args);
        Ok(Ok(command))
    }

    /// One compiler at a time: they take all processors as it is.
    fn compiled(&self, source: &Path, options: &[String]) -> Result<Found, Failed> {
        let extension = source.extension().and_then(|e| e.to_str());
        let program = |path: &Path| vec![path.display().to_string()];
        let stem = source.file_stem().unwrap_or_default();
        let target = self.folder.path().join(stem);
        let options_of_case = options.iter().map(String::as_str);
        let mut built = self.built.lock().unwrap_or_else(PoisonError::into_inner);
        match extension {
            Some("c") => {
                let options = ["-O1", "-pthread", "-w"].into_iter();
                let all = options.chain(options_of_case).collect();
                self.build(&mut built, source, &target, "cc", all)
            }
            Some("rs") => self.build(
                &mut built,
                source,
                &target,
                "rustc",
                vec!["-O", "-Cstrip=symbols"],
            ),
            Some("go") => self.build(&mut built, source, &target, "go", vec!["build"]),
            Some("java") => {
                let classes = self.folder.path().join("classes");
                let sources = folder().join("java");
                return Ok(self
                    .build_java(&mut built, &sources, &classes)?
                    .map(|()| java_command(&classes, &stem.to_string_lossy())));
            }
            _ => return Err(format!("{}: nothing is known to run it", source.display()).into()),
        }
        .map(|found| found.map(|path| program(&path)))
    }

    fn build(
        &self,
        built: &mut BTreeMap<PathBuf, Result<PathBuf, String>>,
        source: &Path,
        target: &Path,
        compiler: &str,
        options: Vec<&str>,
    ) -> Result<Result<PathBuf, String>, Failed> {
        if let Some(done) = built.get(source) {
            return Ok(done.clone());
        }
        let done = match find(compiler) {
            None => Err(format!("there is no {compiler} here")),
            Some(_) => {
                let output = ["-o".into(), target.display().to_string()];
                let command = Command::new(compiler)
                    .args(options)
                    .args(output)
                    .arg(source);
                self.compile(&command)?;
                Ok(target.to_owned())
            }
        };
        built.insert(source.to_owned(), done.clone());
        Ok(done)
    }

    /// All of them in one run of the compiler, which takes longer to start than to compile.
    fn build_java(
        &self,
        built: &mut BTreeMap<PathBuf, Result<PathBuf, String>>,
        sources: &Path,
        classes: &Path,
    ) -> Result<Result<(), String>, Failed> {
        if find("java").is_none() || find("javac").is_none() {
            return Ok(Err("there is no java here".to_owned()));
        }
        if !built.contains_key(sources) {
            let files = fs::read_dir(sources)?.filter_map(Result::ok);
            let files = files
                .map(|entry| entry.path())
                .filter(|path| path.extension().is_some_and(|e| e == "java"));
            let command = Command::new("javac").arg("-d").arg(classes).args(files);
            self.compile(&command)?;
            built.insert(sources.to_owned(), Ok(classes.to_owned()));
        }
        Ok(Ok(()))
    }

    fn compile(&self, command: &Command) -> Result<(), Failed> {
        let cache = self.folder.path().join("cache");
        let command = command
            .clone()
            .env("GOCACHE", &cache)
            .env("GOPATH", &cache)
            .env("GOFLAGS", "-mod=mod")
            .env("GO111MODULE", "off");
        let captured = Capture::recommended(Bound::Timeout(COMPILE_BOUND)).run(&command)?;
        if captured.status.success() {
            return Ok(());
        }
        let said = String::from_utf8_lossy(&captured.stderr.bytes);
        Err(format!("{command} failed: {}: {said}", captured.status).into())
    }
}

fn java_command(classes: &Path, class: &str) -> Vec<String> {
    let classes = classes.display().to_string();
    let java = find("java").unwrap_or_default().display().to_string();
    vec![java, "-cp".to_owned(), classes, class.to_owned()]
}

/// A command on the path, or one of the interpreters that pyenv keeps. Its shims are shell scripts, and not what is asked for.
pub(crate) fn find(command: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    let on_path = env::split_paths(&path)
        .filter(|folder| !folder.ends_with(".pyenv/shims"))
        .map(|folder| folder.join(command));
    let versions = env::var_os("HOME")
        .and_then(|home| fs::read_dir(Path::new(&home).join(".pyenv/versions")).ok())
        .into_iter()
        .flatten()
        .filter_map(Result::ok)
        .map(|version| version.path().join("bin").join(command));
    on_path.chain(versions).find(|path| is_executable(path))
}

/// What a case needs: a command, or a file by its whole path.
fn is_there(needed: &str) -> bool {
    Path::new(needed).is_absolute() && Path::new(needed).exists() || find(needed).is_some()
}

fn is_executable(path: &Path) -> bool {
    fs::metadata(path).is_ok_and(|m| m.is_file() && m.permissions().mode() & 0o111 != 0)
}
