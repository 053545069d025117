//! Writes the tapes that the target `netlink` begins with: what a real kernel answers to its story.
//!
//! In a network namespace of its own, with iproute2 and nft for what is not ours:
//! `unshare -rn cargo run --manifest-path fuzz/Cargo.toml --example record -- fuzz/corpus/netlink`

use std::path::PathBuf;
use std::process::Command;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use std::{fs, io};
use xenvnet_core::Host;
use xenvnet_core::transport::{Protocol, Transport, kernel};
use xenvnet_fuzz::asks::{Ask, CARD, VIFS, story};
use xenvnet_fuzz::{stage, tape};

fn main() {
    let folder = PathBuf::from(std::env::args().nth(1).expect("the folder to write to"));
    stage::set();
    run("ip", "link set lo up");
    for vif in VIFS {
        run("ip", &format!("tuntap add {vif} mode tap"));
    }
    // What comes in by it is nobody's business.
    run("ip", &format!("link add {CARD} type veth peer name far"));
    run("ip", "link set far up");
    run("ip", &format!("link set {CARD} up"));
    run("ip", &format!("address add 192.0.2.2/24 dev {CARD}"));
    run("ip", "route add default via 192.0.2.1");
    let answers = Answers::default();
    let recorded = answers.clone();
    let opened = Host::options().transport(move |protocol| recorded.record(protocol)).open();
    let host = opened.expect("a host");
    for (n, ask) in story().iter().enumerate() {
        if matches!(ask, Ask::Verify) {
            run("nft", "flush chain inet xenvnet postrouting");
        }
        answers.take();
        ask.try_put_to(&host).unwrap_or_else(|error| panic!("{ask:?}: {error}"));
        let octets: Vec<u8> = answers.take().iter().flat_map(|answer| tape::taped(answer)).collect();
        let path = folder.join(format!("{n:02}-{}", ask.name()));
        fs::write(path, [&[n as u8][..], &octets].concat()).expect("the folder can be written");
    }
}

fn run(program: &str, words: &str) {
    let status = Command::new(program).args(words.split_ascii_whitespace()).status();
    assert!(status.is_ok_and(|status| status.success()), "{program} {words}");
}

/// The answers that came, their messages numbered from their questions.
#[derive(Clone, Debug, Default)]
struct Answers(Arc<Mutex<Vec<Vec<u8>>>>);

impl Answers {
    fn record(&self, protocol: Protocol) -> io::Result<Box<dyn Transport>> {
        Ok(Box::new(Recorder { inner: kernel(protocol)?, answers: self.clone(), latest: 0 }))
    }

    fn take(&self) -> Vec<Vec<u8>> {
        std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

#[derive(Debug)]
struct Recorder {
    inner: Box<dyn Transport>,
    answers: Answers,
    latest: u32,
}

impl Transport for Recorder {
    fn send(&mut self, datagram: &[u8]) -> io::Result<()> {
        self.latest = tape::number(datagram);
        self.inner.send(datagram)
    }

    fn receive(&mut self, answers: &mut Vec<u8>, wait: bool) -> io::Result<bool> {
        let before = answers.len();
        let came = self.inner.receive(answers, wait)?;
        if came {
            let mut answer = answers[before..].to_vec();
            tape::renumber(&mut answer, |number| number.wrapping_sub(self.latest).wrapping_add(1));
            self.answers.0.lock().unwrap_or_else(PoisonError::into_inner).push(answer);
        }
        Ok(came)
    }

    fn subscribe(&mut self, group: u32, on: bool) -> io::Result<()> {
        self.inner.subscribe(group, on)
    }

    fn wait(&mut self, patience: Duration) -> io::Result<bool> {
        self.inner.wait(patience)
    }
}
