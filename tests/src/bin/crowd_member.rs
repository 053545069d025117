//! Makes the calls that its standard input tells of, and writes what became of them.
#![forbid(unsafe_code)]

use std::io::{read_to_string, stdin, stdout};
use xenvnet_tests::Member;

fn main() {
    // It ends when all others know their work, too.
    let work = read_to_string(stdin()).expect("what to do");
    let member: Member = serde_json::from_str(&work).expect("a member as JSON");
    serde_json::to_writer(stdout(), &member.act()).expect("tell what was done");
}
