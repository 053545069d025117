//! Somebody else's hand in the middle of a call.

use crate::oracle::ip;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use xenvnet_core::transport::{Protocol, Transport, kernel};

/// A line of ip(8) that is run once, before one of the datagrams of a call.
#[derive(Debug)]
pub struct Deed {
    line: String,
    /// How many datagrams are sent before; nothing when it is done.
    after: Mutex<Option<usize>>,
}

impl Deed {
    /// A line that `ip` understands in the namespace of the thread that calls.
    pub fn new(line: &str, after: usize) -> Arc<Deed> {
        Arc::new(Deed { line: line.to_owned(), after: Mutex::new(Some(after)) })
    }

    /// Whether it was done.
    pub fn is_done(&self) -> bool {
        self.after.lock().unwrap_or_else(PoisonError::into_inner).is_none()
    }

    fn count(&self) {
        let mut after = self.after.lock().unwrap_or_else(PoisonError::into_inner);
        if *after == Some(0) {
            ip(&self.line);
        }
        *after = after.and_then(|after| after.checked_sub(1));
    }
}

/// The kernel's socket, with a deed in the midst of what is sent over it and its like.
#[derive(Debug)]
pub struct Meddling {
    inner: Box<dyn Transport>,
    deed: Arc<Deed>,
}

impl Meddling {
    /// As [`xenvnet_core::HostOptions::transport`] wants it.
    ///
    /// # Errors
    /// Those of `socket(2)`.
    pub fn open(protocol: Protocol, deed: &Arc<Deed>) -> io::Result<Box<dyn Transport>> {
        Ok(Box::new(Meddling { inner: kernel(protocol)?, deed: deed.clone() }))
    }
}

impl Transport for Meddling {
    fn send(&mut self, datagram: &[u8]) -> io::Result<()> {
        self.deed.count();
        self.inner.send(datagram)
    }

    fn receive(&mut self, answers: &mut Vec<u8>, wait: bool) -> io::Result<bool> {
        self.inner.receive(answers, wait)
    }

    fn subscribe(&mut self, group: u32, on: bool) -> io::Result<()> {
        self.inner.subscribe(group, on)
    }

    fn wait(&mut self, patience: Duration) -> io::Result<bool> {
        self.inner.wait(patience)
    }
}
