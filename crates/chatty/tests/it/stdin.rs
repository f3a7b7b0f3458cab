//! What is done with standard input.

use pipeclog_scenario::script::Input;
use pipeclog_scenario::verify::Source;

use crate::child::{flags, no_other_spawn, read_all, script, verdict};

fn input(len: u64) -> Vec<u8> {
    let mut bytes = vec![0; len as usize];
    Input::Pattern(len).render(0, &mut bytes);
    bytes
}

#[test]
fn echo_gives_back_every_byte_while_it_reads() {
    let len = 3 << 20;
    let done = flags(&["--stdin", "echo", "--stdout", "100"]).finish_with_input(input(len));
    let json = r#"{"ops": [{"op": "stdin", "do": "echo"}, {"op": "write", "stdout": 100}]}"#;
    assert_eq!(
        verdict(json, Source::Stdout, Input::Pattern(len), &done.stdout).fault,
        None
    );
    assert_eq!(done.code(), Some(0));
}

#[test]
fn reading_all_comes_before_the_first_write() {
    let mut chatty = flags(&["--stdin", "read-all", "--stdout", "5"]);
    assert_eq!(rustix::io::ioctl_fionread(&chatty.stdout).unwrap(), 0);
    chatty.close_stdin();
    assert_eq!(chatty.finish().stdout.len(), 5);
}

#[test]
fn reading_some_leaves_the_rest_in_the_pipe() {
    let (reader, mut writer) = std::io::pipe().unwrap();
    std::io::Write::write_all(&mut writer, &[0; 100]).unwrap();
    let kept = reader.try_clone().unwrap();
    let null = std::process::Stdio::null;
    let done = crate::child::with_streams(&["--stdin", "read:30"], reader, null(), null()).finish();
    assert_eq!(done.code(), Some(0));
    assert_eq!(rustix::io::ioctl_fionread(&kept).unwrap(), 70);
}

#[test]
fn reading_some_ends_at_an_early_end_of_file() {
    let done = flags(&["--stdin", "read:30", "--stdout", "3"]).finish_with_input(vec![0; 10]);
    assert_eq!((done.code(), done.stdout.len()), (Some(0), 3));
}

#[test]
fn closing_stdin_breaks_the_parents_pipe_while_the_child_lives() {
    let json = r#"{"ops": [{"op": "close", "stream": "stdin"}, {"op": "prompt", "text": "!"}, {"op": "park"}]}"#;
    let mut chatty = script(json);
    chatty.stdout(1);
    let nobody = no_other_spawn();
    let written = std::io::Write::write(chatty.stdin.as_mut().unwrap(), b"x");
    drop(nobody);
    assert_eq!(written.unwrap_err().kind(), std::io::ErrorKind::BrokenPipe);
    assert!(chatty.child.try_wait().unwrap().is_none());
    chatty.child.kill().unwrap();
    chatty.finish();
}

#[test]
fn input_that_is_never_read_stays_and_its_end_lets_the_child_go() {
    let (reader, mut writer) = std::io::pipe().unwrap();
    let kept = reader.try_clone().unwrap();
    let (mut stdout, child_out) = std::io::pipe().unwrap();
    let null = std::process::Stdio::null();
    let args = ["--stdin", "never", "--prompt", "!"];
    let mut chatty = crate::child::with_streams(&args, reader, child_out, null);
    std::io::Write::write_all(&mut writer, &[0; 50]).unwrap();
    std::io::Read::read_exact(&mut stdout, &mut [0]).unwrap();
    assert!(chatty.child.try_wait().unwrap().is_none());
    drop(writer);
    assert_eq!(chatty.finish().code(), Some(0));
    assert_eq!(rustix::io::ioctl_fionread(&kept).unwrap(), 50);
    assert_eq!(read_all(&mut stdout), b"");
}

#[test]
fn never_reading_a_file_without_writers_goes_on_at_once() {
    let null = std::process::Stdio::null;
    let args = ["--stdin", "never"];
    assert_eq!(
        crate::child::with_streams(&args, null(), null(), null())
            .finish()
            .code(),
        Some(0)
    );
}
