//! A stream of numbered datagrams, of which each one that is lost is known.

use crate::netns::Namespace;
use crate::pace::Pace;
use crate::register::{FAREWELL, Register};
use nix::sys::socket::{setsockopt, sockopt};
use std::io::ErrorKind;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

/// Datagrams from one namespace to an address in another one, in threads of its own. Each is sent as
/// a program without a connection does it: the kernel looks up its route and its source each time.
#[derive(Debug)]
pub struct Stream {
    register: Arc<Register>,
    sender: JoinHandle<Refusals>,
    hearer: JoinHandle<(u64, u64)>,
}

/// What became of a stream.
#[derive(Clone, Debug, Default)]
pub struct Tidings {
    /// How many were sent, those included that the kernel refused to send.
    pub sent: u64,
    /// The numbers of those that never came, from 0 on.
    pub lost: Vec<u64>,
    /// What the kernel would not send; it is among the lost.
    pub refused: Refusals,
    /// How many came, but from another source than is theirs; they are among the lost.
    pub misattributed: u64,
    /// How many came too fast for the hearer, as the kernel counts them. They were not lost on the
    /// way, but are among the lost, as nobody knows their numbers.
    pub overrun: u64,
}

/// What the kernel would not send.
#[derive(Clone, Debug, Default)]
pub struct Refusals {
    /// So many.
    pub count: u64,
    /// The reason of the last one.
    pub reason: Option<String>,
}

impl Tidings {
    /// How many were lost on the way.
    pub fn losses(&self) -> u64 {
        (self.lost.len() as u64).saturating_sub(self.overrun)
    }

    /// How many of those between two marks were lost.
    pub fn lost_between(&self, from: u64, to: u64) -> u64 {
        self.lost.iter().filter(|number| (from..to).contains(number)).count() as u64
    }
}

impl Refusals {
    pub(crate) fn add(&mut self, reason: &dyn ToString) {
        self.count += 1;
        self.reason = Some(reason.to_string());
    }
}

/// How often a hearer looks whether all is said.
pub(crate) const LOOK: Duration = Duration::from_millis(100);

impl Stream {
    /// From now on, so many a second; they are to come from this source.
    ///
    /// # Panics
    /// When a namespace has no such address.
    pub fn start(from: &Namespace, source: IpAddr, to: &Namespace, address: IpAddr, rate: u32) -> Stream {
        let ear = to.within(|| UdpSocket::bind(SocketAddr::new(address, 0)).expect("bind a hearer"));
        setsockopt(&ear, sockopt::RcvBuf, &(4 << 20)).expect("a large buffer");
        // More than an ordinary user may ask for, where we may.
        let _ = setsockopt(&ear, sockopt::RcvBufForce, &(16 << 20));
        ear.set_read_timeout(Some(LOOK)).expect("a deadline");
        let address = ear.local_addr().expect("an address");
        let any: IpAddr = if address.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
        let mouth = from.within(|| UdpSocket::bind(SocketAddr::new(any, 0)).expect("bind a sender"));
        let register = Arc::new(Register::default());
        let (said, heard, place) = (register.clone(), register.clone(), to.clone());
        let sender = std::thread::spawn(move || send(&mouth, address, &said, rate));
        let hearer = std::thread::spawn(move || {
            let misattributed = hear(&ear, source, &heard);
            // The kernel counts as long as the socket is open.
            (misattributed, place.within(|| overrun(address)))
        });
        Stream { register, sender, hearer }
    }

    /// How many were sent until now; all of them have come by now, or never will.
    ///
    /// # Panics
    /// When nothing comes any more.
    pub fn mark(&self) -> u64 {
        self.register.mark()
    }

    /// Ends it.
    pub fn stop(self) -> Tidings {
        self.register.stop();
        let refused = join(self.sender);
        let (misattributed, overrun) = join(self.hearer);
        let (sent, lost) = self.register.sum();
        Tidings { sent, lost, refused, misattributed, overrun }
    }
}

pub(crate) fn join<T>(thread: JoinHandle<T>) -> T {
    thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}

fn send(mouth: &UdpSocket, to: SocketAddr, register: &Register, rate: u32) -> Refusals {
    let mut refused = Refusals::default();
    let mut pace = Pace::per_second(rate);
    while !register.is_stopped() {
        for _ in 0..pace.due() {
            if let Err(error) = mouth.send_to(&register.next().to_be_bytes(), to) {
                refused.add(&error);
            }
        }
    }
    register.farewell(|| drop(mouth.send_to(&FAREWELL.to_be_bytes(), to)));
    refused
}

/// Returns how many came from elsewhere.
fn hear(ear: &UdpSocket, source: IpAddr, register: &Register) -> u64 {
    let mut misattributed = 0;
    while !register.is_told() {
        let mut number = [0; 8];
        match ear.recv_from(&mut number) {
            Ok((8, from)) if from.ip() == source => register.note(u64::from_be_bytes(number)),
            Ok(_) => misattributed += 1,
            // Nothing came for a while.
            Err(error) if [ErrorKind::WouldBlock, ErrorKind::Interrupted].contains(&error.kind()) => {}
            Err(error) => panic!("hear a datagram: {error}"),
        }
    }
    misattributed
}

/// How many datagrams the kernel did not put into a socket's buffer: the last column of its table.
fn overrun(address: SocketAddr) -> u64 {
    let table = if address.is_ipv4() { "udp" } else { "udp6" };
    let table = std::fs::read_to_string(format!("/proc/thread-self/net/{table}")).expect("the sockets of a namespace");
    let port = format!(":{:04X}", address.port());
    let ours = table.lines().filter(|line| line.split_whitespace().nth(1).is_some_and(|local| local.ends_with(&port)));
    ours.filter_map(|line| line.split_whitespace().last()?.parse::<u64>().ok()).sum()
}
