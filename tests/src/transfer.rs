//! A TCP connection that must live on.

use crate::netns::Namespace;
use crate::pace::Pace;
use crate::stream::{LOOK, join};
use std::io::{self, ErrorKind, Read, Write};
use std::net::{IpAddr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// Octets of a known pattern from one namespace to another one, in threads of its own.
#[derive(Debug)]
pub struct Transfer {
    stopped: Arc<AtomicBool>,
    sender: JoinHandle<(u64, io::Result<()>)>,
    receiver: JoinHandle<(u64, io::Result<()>)>,
}

/// What became of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Transferred {
    /// Octets that the sender got rid of.
    pub sent: u64,
    /// Octets that the receiver got, and that were the right ones.
    pub received: u64,
    /// What went wrong at either end: a reset, a standstill, a wrong octet.
    pub failures: Vec<String>,
}

impl Transferred {
    /// Everything that was sent came, as it was sent.
    pub fn is_whole(&self) -> bool {
        self.failures.is_empty() && self.sent == self.received && self.sent > 0
    }
}

/// Sent at once.
const CHUNK: usize = 4096;

/// Chunks a second. As fast as it can go would fill the kernel's queues, and lose what others send.
const RATE: u32 = 1000;

/// A prime: no chunk is like one before it.
const PERIOD: usize = 65_521;

/// Who gets nothing for so long never will.
const PATIENCE: Duration = Duration::from_secs(20);

impl Transfer {
    /// From now on, over one connection to this address.
    ///
    /// # Panics
    /// When they cannot be connected.
    pub fn start(from: &Namespace, to: &Namespace, address: IpAddr) -> Transfer {
        let listener = to.within(|| TcpListener::bind(SocketAddr::new(address, 0)).expect("bind a listener"));
        let address = listener.local_addr().expect("an address");
        let out = from.within(|| TcpStream::connect_timeout(&address, PATIENCE).expect("connect"));
        let (into, _) = listener.accept().expect("accept");
        out.set_nodelay(true).expect("no delay");
        out.set_write_timeout(Some(PATIENCE)).expect("a deadline");
        into.set_read_timeout(Some(LOOK)).expect("a deadline");
        let [stopped, failed] = [(); 2].map(|()| Arc::new(AtomicBool::new(false)));
        let (is_over, fails, has_failed) = (stopped.clone(), failed.clone(), failed);
        let sender = std::thread::spawn(move || {
            let mut sent = 0;
            let result = send(out, &is_over, &mut sent);
            fails.store(result.is_err(), Ordering::Relaxed);
            (sent, result)
        });
        let receiver = std::thread::spawn(move || {
            let mut received = 0;
            let result = receive(into, &has_failed, &mut received);
            (received, result)
        });
        Transfer { stopped, sender, receiver }
    }

    /// Ends it in good order.
    pub fn stop(self) -> Transferred {
        self.stopped.store(true, Ordering::Relaxed);
        let (sent, said) = join(self.sender);
        let (received, heard) = join(self.receiver);
        let failure = |end: &str, result: io::Result<()>| result.err().map(|error| format!("{end}: {error}"));
        let failures = [failure("sender", said), failure("receiver", heard)].into_iter().flatten().collect();
        Transferred { sent, received, failures }
    }
}

/// Two periods of the pattern: from any place in the first one, a chunk.
fn pattern() -> Vec<u8> {
    let octet = |at: usize| (at % PERIOD).wrapping_mul(0x9e37_79b1).to_be_bytes()[4];
    (0..2 * PERIOD).map(octet).collect()
}

fn send(mut out: TcpStream, is_over: &AtomicBool, sent: &mut u64) -> io::Result<()> {
    let pattern = pattern();
    let mut pace = Pace::per_second(RATE);
    while !is_over.load(Ordering::Relaxed) {
        for _ in 0..pace.due() {
            let at = (*sent % PERIOD as u64) as usize;
            let written = out.write(&pattern[at..at + CHUNK])?;
            *sent += written as u64;
        }
    }
    out.shutdown(Shutdown::Write)
}

/// Until the end, for so long as the sender has not failed.
fn receive(mut into: TcpStream, has_failed: &AtomicBool, received: &mut u64) -> io::Result<()> {
    let pattern = pattern();
    let mut chunk = [0; CHUNK];
    let mut heard = Instant::now();
    loop {
        let length = match into.read(&mut chunk) {
            Ok(0) => return Ok(()),
            Ok(length) => length,
            Err(error) => {
                let is_silent = [ErrorKind::Interrupted, ErrorKind::WouldBlock].contains(&error.kind());
                if is_silent && heard.elapsed() < PATIENCE && !has_failed.load(Ordering::Relaxed) {
                    continue;
                }
                return Err(error);
            }
        };
        heard = Instant::now();
        let at = (*received % PERIOD as u64) as usize;
        if chunk[..length] != pattern[at..at + length] {
            return Err(io::Error::other(format!("wrong octets after {received}")));
        }
        *received += length as u64;
    }
}
