//! A command as the kernel takes it: files to try, arguments, environment, directory.

use std::collections::BTreeMap;
use std::ffi::{CString, OsStr, OsString};
use std::io;
use std::os::unix::ffi::OsStrExt;

use crate::Command;
use crate::command::{EnvChange, EnvStart};
use crate::sys::Strings;

/// Where a program is looked up when there is no `PATH`: what glibc's `execvp` has
/// (confstr(3), `_CS_PATH`).
const PATH_UNLESS_SET: &[u8] = b"/bin:/usr/bin";

/// What `execve` is called with.
pub(crate) struct Image {
    pub(crate) files: Vec<CString>,
    pub(crate) arguments: Strings,
    pub(crate) environment: Strings,
    pub(crate) directory: Option<CString>,
}

impl Image {
    /// A NUL byte in any part is an error, of the same kind as std's.
    pub(crate) fn of(command: &Command) -> io::Result<Image> {
        let variables = variables(command);
        let path = variables.iter().find(|(name, _)| name == "PATH");
        let path = path.map_or(PATH_UNLESS_SET, |(_, value)| value.as_bytes());
        let arguments = [&command.program].into_iter().chain(&command.args);
        let directory = command.directory.as_ref();
        let directory = directory.map(|it| c_string(it.as_os_str().as_bytes()));
        Ok(Image {
            files: files(&command.program, path)?,
            arguments: Strings::new(arguments.map(|it| [it.as_bytes()]))?,
            directory: directory.transpose()?,
            environment: Strings::new(lines(&variables))?,
        })
    }
}

/// The child's variables: ours, changed as the command says.
fn variables(command: &Command) -> Vec<(OsString, OsString)> {
    let inherited = || match command.env_start {
        EnvStart::Inherited => std::env::vars_os().collect(),
        EnvStart::Empty => Vec::new(),
    };
    if command.env.is_empty() {
        return inherited();
    }
    let mut variables: BTreeMap<OsString, OsString> = inherited().into_iter().collect();
    for (name, change) in &command.env {
        match change {
            EnvChange::Set(value) => variables.insert(name.clone(), value.clone()),
            EnvChange::Remove => variables.remove(name),
        };
    }
    variables.into_iter().collect()
}

fn lines(variables: &[(OsString, OsString)]) -> impl Iterator<Item = [&[u8]; 3]> {
    let parts = variables.iter();
    parts.map(|(name, value)| [name.as_bytes(), b"=", value.as_bytes()])
}

/// What execvp(3) would try: the program itself if it contains a slash, and otherwise one file in
/// each directory of the child's `PATH`, of which an empty one is the current.
fn files(program: &OsStr, path: &[u8]) -> io::Result<Vec<CString>> {
    let program = program.as_bytes();
    if program.is_empty() {
        return Ok(Vec::new());
    }
    if program.contains(&b'/') {
        return Ok(vec![c_string(program)?]);
    }
    let file = |directory: &[u8]| match directory {
        [] => c_string(program),
        _ => c_string([directory, b"/", program].concat()),
    };
    path.split(|byte| *byte == b':').map(file).collect()
}

fn c_string(bytes: impl Into<Vec<u8>>) -> io::Result<CString> {
    // std's message, and its kind: InvalidInput.
    CString::new(bytes).map_err(io::Error::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tried(program: &str, path: &str) -> Vec<String> {
        let files = files(OsStr::new(program), path.as_bytes()).expect("no NUL");
        let text = files.into_iter().map(|it| it.into_string());
        text.collect::<Result<_, _>>().expect("text")
    }

    #[test]
    fn a_program_is_looked_up_in_path_unless_it_has_a_slash() {
        assert_eq!(tried("cat", "/bin:/usr/bin"), ["/bin/cat", "/usr/bin/cat"]);
        assert_eq!(tried("./cat", "/bin"), ["./cat"]);
        assert_eq!(tried("cat", ":/bin"), ["cat", "/bin/cat"]);
        assert_eq!(tried("", "/bin"), [""; 0]);
    }

    #[test]
    fn the_last_change_of_a_variable_wins() {
        let command = Command::new("x").env("A", "1").env("B", "2");
        let command = command.env_clear().env("A", "3").env("C", "4");
        let variables = variables(&command.env_remove("C"));
        let lines: Vec<Vec<u8>> = lines(&variables).map(|parts| parts.concat()).collect();
        assert_eq!(lines, [b"A=3"]);
    }
}
