//! What a kernel answers, through all of the library: the first octet says what is asked, the rest is
//! the tape of the answers.

use crate::asks::{Ask, story};
use crate::stage;
use crate::tape::Tape;
use std::sync::OnceLock;
use xenvnet_core::Host;

static TAPE: OnceLock<(Tape, Host, Vec<Ask>)> = OnceLock::new();

fn open() -> (Tape, Host, Vec<Ask>) {
    let tape = Tape::default();
    let player = tape.clone();
    let host = Host::options().transport(move |protocol| player.play(protocol)).open();
    (tape, host.expect("a host"), story())
}

/// Before the first run.
pub fn begin() {
    stage::set();
    TAPE.get_or_init(open);
}

/// One run.
pub fn run(octets: &[u8]) {
    let ((tape, host, story), Some((which, answers))) = (TAPE.get_or_init(open), octets.split_first()) else {
        return;
    };
    tape.wind(answers);
    story[usize::from(*which) % story.len()].put_to(host);
}
