//! Runs operations, one call each, between marks that a trace of system calls shows.
//!
//! `attach_once STATE_DIR OPERATION...`: each operation is JSON, or `undo`. Prints one line for each: the
//! outcome, or the error's kind, its text and its advice.
#![forbid(unsafe_code)]

use std::io::Write;
use std::process::ExitCode;
use xenvnet_core::{Error, Host, Operation, Outcome};

fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1);
    let state = arguments.next().expect("a directory for the state");
    let read = |json: String| serde_json::from_str(&json).expect("an operation as JSON");
    let operations: Vec<Option<Operation>> =
        arguments.map(|word| if word == "undo" { None } else { Some(read(word)) }).collect();
    let host = match Host::options().state_dir(state).open() {
        Ok(host) => host,
        Err(error) => return report(&error),
    };
    for operation in &operations {
        mark("begin\n");
        let result = operation.as_ref().map_or_else(|| host.undo(), |operation| host.run(operation));
        mark("end\n");
        match result {
            Ok(Outcome::Changed) => println!("changed"),
            Ok(Outcome::Unchanged) => println!("unchanged"),
            Err(error) => return report(&error),
        }
    }
    ExitCode::SUCCESS
}

fn mark(word: &str) {
    // One write, unbuffered: it shows as one line of the trace.
    let _ = std::io::stderr().write_all(word.as_bytes());
}

fn report(error: &Error) -> ExitCode {
    println!("{}: {error}", error.kind());
    if let Some(advice) = error.advice() {
        println!("{advice}");
    }
    ExitCode::FAILURE
}
