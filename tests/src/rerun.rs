//! A test that is run again in a process of its own.

use std::process::Command;

/// Runs one of the calling program's tests again, under another program such as env or unshare, and
/// prints what it says.
///
/// # Panics
/// When it fails, or is not there.
pub fn rerun(test: &str, under: &[&str]) {
    let program = std::env::current_exe().expect("the program that runs");
    let mut command = Command::new(under[0]);
    let output = command.args(&under[1..]).arg(program).args(["--exact", test, "--nocapture"]).output();
    let output = output.unwrap_or_else(|error| panic!("{}: {error}", under[0]));
    let said = String::from_utf8_lossy(&output.stdout);
    println!("{said}{}", String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success() && said.contains("1 passed"), "{test} under {}", under.join(" "));
}
