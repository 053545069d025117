//! What others say of the host: iproute2, nft, sysctl.

use crate::netns::skip;
use serde_json::Value;
use std::path::Path;
use std::process::Command;
use xenvnet_core::Operation;

/// Runs a program in the calling thread's namespace and returns what it printed.
///
/// # Panics
/// When it fails, with what it said.
pub fn program(name: &str, arguments: &[&str]) -> String {
    let output = Command::new(name).args(arguments).output().unwrap_or_else(|error| panic!("{name}: {error}"));
    assert!(
        output.status.success(),
        "{name} {}: {}",
        arguments.join(" "),
        String::from_utf8_lossy(&output.stderr).trim()
    );
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// `ip` with the words of one line.
pub fn ip(line: &str) -> String {
    program("ip", &line.split_whitespace().collect::<Vec<_>>())
}

/// `nft` with one command or several, separated by `;` or lines.
pub fn nft(commands: &str) -> String {
    program("nft", &[commands])
}

fn json(name: &str, arguments: &[&str]) -> Value {
    let text = program(name, arguments);
    // iproute2 prints nothing at all for an empty list.
    if text.trim().is_empty() {
        return Value::Array(Vec::new());
    }
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{name} {}: {error}: {text}", arguments.join(" ")))
}

/// `ip -j` with the words of one line, such as `-d link show dev vif1.0`.
pub fn ip_json(line: &str) -> Value {
    json("ip", &["-j"].into_iter().chain(line.split_whitespace()).collect::<Vec<_>>())
}

/// `bridge -j` with the words of one line, such as `fdb show`.
pub fn bridge_json(line: &str) -> Value {
    json("bridge", &["-j"].into_iter().chain(line.split_whitespace()).collect::<Vec<_>>())
}

/// `nft -j` with the words of one line, such as `list ruleset`.
pub fn nft_json(line: &str) -> Value {
    json("nft", &["-j"].into_iter().chain(line.split_whitespace()).collect::<Vec<_>>())
}

/// The ruleset as an administrator reads it, without counters and handles.
pub fn nft_ruleset() -> String {
    program("nft", &["-s", "list", "ruleset"])
}

/// A setting under `/proc/sys/net`, such as `ipv4/ip_forward`.
pub fn sysctl(name: &str) -> String {
    let path = format!("/proc/sys/net/{name}");
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path}: {error}")).trim().to_owned()
}

/// Changes a setting under `/proc/sys/net`.
pub fn sysctl_set(name: &str, value: &str) {
    let path = format!("/proc/sys/net/{name}");
    std::fs::write(&path, value).unwrap_or_else(|error| panic!("{path}: {error}"));
}

/// Whether a program is there. Without it the test is skipped, with a printed line, or fails where
/// `XENVNET_REQUIRE_KERNEL=1` demands it.
pub fn has_program(name: &str) -> bool {
    let found =
        std::env::var_os("PATH").is_some_and(|path| std::env::split_paths(&path).any(|dir| dir.join(name).is_file()));
    if !found {
        skip(&format!("there is no {name}"));
    }
    found
}

/// What the program `attach_once` prints when it runs these operations, under another program such
/// as strace or setpriv, in the calling thread's namespace.
pub fn run_attach_once(under: &[&str], attach_once: &str, state: &Path, operations: &[Operation]) -> String {
    let operations = operations.iter().map(|operation| serde_json::to_string(operation).expect("JSON"));
    let output = Command::new(under[0])
        .args(&under[1..])
        .arg(attach_once)
        .arg(state)
        .args(operations)
        .output()
        .unwrap_or_else(|error| panic!("{}: {error}", under[0]));
    String::from_utf8_lossy(&output.stdout).into_owned()
}
