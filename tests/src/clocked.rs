//! When a call spoke with the kernel, by a clock that all processes share.

use nix::time::{ClockId, clock_gettime};
use std::cell::Cell;
use std::io;
use std::time::Duration;
use xenvnet_core::transport::{Protocol, Transport, kernel};

thread_local! {
    static SPOKEN: Cell<Option<(u64, u64)>> = const { Cell::new(None) };
}

/// The kernel's socket, with a note of the first word and the last one that each thread exchanged
/// over it. A call does so in the thread that makes it.
#[derive(Debug)]
pub struct Clocked(Box<dyn Transport>);

impl Clocked {
    /// As [`xenvnet_core::HostOptions::transport`] wants it.
    ///
    /// # Errors
    /// Those of `socket(2)`.
    pub fn open(protocol: Protocol) -> io::Result<Box<dyn Transport>> {
        Ok(Box::new(Clocked(kernel(protocol)?)))
    }

    /// From when to when the calling thread spoke since it asked last, in nanoseconds of
    /// CLOCK_MONOTONIC.
    pub fn take() -> Option<(u64, u64)> {
        SPOKEN.take()
    }

    fn note() {
        let now = clock_gettime(ClockId::CLOCK_MONOTONIC).map(Duration::from).expect("a clock").as_nanos() as u64;
        SPOKEN.set(Some((SPOKEN.get().map_or(now, |(first, _)| first), now)));
    }
}

impl Transport for Clocked {
    fn send(&mut self, datagram: &[u8]) -> io::Result<()> {
        Clocked::note();
        let sent = self.0.send(datagram);
        Clocked::note();
        sent
    }

    fn receive(&mut self, answers: &mut Vec<u8>, wait: bool) -> io::Result<bool> {
        let received = self.0.receive(answers, wait);
        Clocked::note();
        received
    }

    fn subscribe(&mut self, group: u32, on: bool) -> io::Result<()> {
        self.0.subscribe(group, on)
    }

    fn wait(&mut self, patience: Duration) -> io::Result<bool> {
        self.0.wait(patience)
    }
}
