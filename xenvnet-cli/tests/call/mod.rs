//! How the tests call the command.
#![allow(dead_code, reason = "every test program has a copy of its own")]

use serde_json::Value;
use std::ffi::OsStr;
use std::fs;
use std::path::Path;
use std::process::{Command, Output};
use std::time::{Duration, Instant};
use xenvnet_tests::Dom0;

/// One call of the command.
pub(crate) struct Answer {
    pub(crate) exit: i32,
    pub(crate) out: String,
    pub(crate) err: String,
}

/// The command, about to be called in the namespace of the test.
pub(crate) fn command(dom0: &Dom0) -> Command {
    command_at(dom0.state.path())
}

/// The same with another history.
fn command_at(state: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_xenvnet"));
    command.arg("--state-dir").arg(state);
    command
}

/// Calls it with these words.
pub(crate) fn call(dom0: &Dom0, words: impl IntoIterator<Item = impl AsRef<OsStr>>) -> Answer {
    run_at(dom0.state.path(), words)
}

/// Calls it with these words and another history.
pub(crate) fn run_at(state: &Path, words: impl IntoIterator<Item = impl AsRef<OsStr>>) -> Answer {
    let output = command_at(state).args(words).output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    Answer { exit: output.status.code().unwrap(), out: text(output.stdout), err: text(output.stderr) }
}

/// The calls that change anything: messages to the kernel, its settings and what is written for
/// others to read, and the journal.
pub(crate) const CALLS: [&str; 5] = ["sendto", "write", "pwrite64", "ftruncate", "unlinkat"];

/// The same under strace with these words, which traces it alone: a guard that it starts goes on untouched.
pub(crate) fn under_strace(
    strace: &[&str],
    state: &Path,
    words: impl IntoIterator<Item = impl AsRef<OsStr>>,
) -> Output {
    let command = command_at(state);
    let mut traced = Command::new("strace");
    traced.args(strace).arg(command.get_program()).args(command.get_args()).args(words);
    traced.output().unwrap()
}

/// Calls it with the words between blanks.
pub(crate) fn xenvnet(dom0: &Dom0, line: &str) -> Answer {
    call(dom0, line.split(' '))
}

/// The exit code alone.
pub(crate) fn exit(dom0: &Dom0, line: &str) -> i32 {
    xenvnet(dom0, line).exit
}

/// One object, whose version is the one that programs were told.
pub(crate) fn json(dom0: &Dom0, line: &str) -> Value {
    let answer = xenvnet(dom0, &format!("--json {line}"));
    let object: Value = serde_json::from_str(&answer.out).unwrap_or_else(|error| panic!("{error}: {}", answer.out));
    assert_eq!(object["version"], 1, "{object}");
    object
}

/// The guard that the command started for this state directory: its process id.
pub(crate) fn guard_at(state: &Path) -> Option<u32> {
    let state = state.to_str().unwrap();
    let all = fs::read_dir("/proc").unwrap().flatten();
    all.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok()).find(|pid| {
        let words = fs::read_to_string(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        words.contains(&format!("\0{state}\0")) && words.ends_with("\0guard\0")
    })
}

/// Asks until it is so: the kernel counts in its own time.
#[track_caller]
pub(crate) fn until(mut holds: impl FnMut() -> bool) {
    let end = Instant::now() + Duration::from_secs(60);
    while !holds() {
        assert!(Instant::now() < end, "it is not so after a minute");
    }
}
