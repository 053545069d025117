//! Echo requests that never stop: how many are answered, and how late.

use crate::frame::{icmp4, icmp6, summed};
use crate::netns::Namespace;
use crate::pace::Pace;
use crate::register::{FAREWELL, Register};
use crate::stream::{LOOK, Refusals, Tidings, join};
use nix::errno::Errno;
use nix::sys::socket::{
    AddressFamily, MsgFlags, SockFlag, SockProtocol, SockType, SockaddrStorage, recv, sendto, setsockopt, socket,
    sockopt,
};
use nix::sys::time::TimeVal;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::{AsRawFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicU16, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// Sent from one namespace, five hundred a second; the kernel of whoever has the address answers.
#[derive(Debug)]
pub struct Pings {
    register: Arc<Register>,
    sender: JoinHandle<Refusals>,
    hearer: JoinHandle<Duration>,
}

const RATE: u32 = 500;

/// Long for a machine that is busy with other tests.
const PATIENCE: Duration = Duration::from_secs(20);

impl Pings {
    /// From now on.
    pub fn start(from: &Namespace, address: IpAddr) -> Pings {
        let line = Arc::new(Line::open(from, address));
        let register = Arc::new(Register::default());
        let (said, heard, other_end) = (register.clone(), register.clone(), line.clone());
        let sender = std::thread::spawn(move || {
            let mut refused = Refusals::default();
            let mut pace = Pace::per_second(RATE);
            while !said.is_stopped() {
                for _ in 0..pace.due() {
                    if let Err(errno) = line.ask(said.next()) {
                        refused.add(&errno);
                    }
                }
            }
            said.farewell(|| {
                let _ = line.ask(FAREWELL);
            });
            refused
        });
        let hearer = std::thread::spawn(move || {
            let mut worst = Duration::ZERO;
            while !heard.is_told() {
                if let Some((number, delay)) = other_end.answer() {
                    worst = worst.max(delay);
                    heard.note(number);
                }
            }
            worst
        });
        Pings { register, sender, hearer }
    }

    /// How many were sent until now; all of them are answered by now, or never will be.
    ///
    /// # Panics
    /// When nothing is answered any more.
    pub fn mark(&self) -> u64 {
        self.register.mark()
    }

    /// Ends them: what became of them, and how late the latest answer came.
    pub fn stop(self) -> (Tidings, Duration) {
        self.register.stop();
        let refused = join(self.sender);
        let worst = join(self.hearer);
        let (sent, lost) = self.register.sum();
        (Tidings { sent, lost, refused, ..Tidings::default() }, worst)
    }
}

/// Whether an address answers to one who asks again and again for some time: lost ARP costs a second
/// each time, and a bridge is silent until the kernel's link watch has come round.
pub fn answers(from: &Namespace, address: IpAddr) -> bool {
    let line = Line::open(from, address);
    let deadline = Instant::now() + PATIENCE;
    while Instant::now() < deadline {
        let _ = line.ask(0);
        if line.answer().is_some() {
            return true;
        }
    }
    false
}

/// A raw socket to one address.
#[derive(Debug)]
struct Line {
    socket: OwnedFd,
    to: IpAddr,
    /// Other lines of the namespace have other ones.
    id: u16,
    opened: Instant,
}

impl Line {
    fn open(from: &Namespace, to: IpAddr) -> Line {
        static IDS: AtomicU16 = AtomicU16::new(1);
        let (family, protocol) = match to {
            IpAddr::V4(_) => (AddressFamily::Inet, SockProtocol::Icmp),
            IpAddr::V6(_) => (AddressFamily::Inet6, SockProtocol::IcmpV6),
        };
        let socket = from.within(|| socket(family, SockType::Raw, SockFlag::SOCK_CLOEXEC, protocol));
        let socket = socket.expect("a raw socket");
        // It hears all that others of the namespace are sent, too.
        setsockopt(&socket, sockopt::RcvBuf, &(4 << 20)).expect("a large buffer");
        // More than an ordinary user may ask for, where we may.
        let _ = setsockopt(&socket, sockopt::RcvBufForce, &(16 << 20));
        setsockopt(&socket, sockopt::ReceiveTimeout, &TimeVal::new(0, LOOK.as_micros() as i64)).expect("a deadline");
        Line { socket, to, id: IDS.fetch_add(1, Ordering::Relaxed), opened: Instant::now() }
    }

    /// Sends a request with a number and the time.
    fn ask(&self, number: u64) -> Result<(), Errno> {
        let rest = [
            &self.id.to_be_bytes()[..],
            &(number as u16).to_be_bytes(),
            &number.to_be_bytes(),
            &self.now().to_be_bytes(),
        ]
        .concat();
        // The kernel itself computes the checksum of ICMPv6.
        let message = if self.to.is_ipv4() { icmp4(8, 0, &rest) } else { icmp6(128, 0, &rest) };
        let message = summed(&message, &[], &[]);
        let to = SockaddrStorage::from(SocketAddr::new(self.to, 0));
        sendto(self.socket.as_raw_fd(), &message, &to, MsgFlags::empty()).map(drop)
    }

    /// The number of a request that is answered, and how long that took; nothing after a while.
    fn answer(&self) -> Option<(u64, Duration)> {
        let mut packet = [0; 2048];
        let length = match recv(self.socket.as_raw_fd(), &mut packet, MsgFlags::empty()) {
            Ok(length) => length,
            Err(Errno::EAGAIN | Errno::EINTR) => return None,
            // What a router says of it.
            Err(Errno::EHOSTUNREACH | Errno::ENETUNREACH) => return None,
            Err(errno) => panic!("receive an answer: {errno}"),
        };
        // IPv4 is heard with its header, IPv6 without.
        let (start, kind) = if self.to.is_ipv4() { (usize::from(packet[0] & 15) * 4, 0) } else { (0, 129) };
        let message = packet[..length].get(start..start + 24)?;
        let word = |at: usize| u64::from_be_bytes(message[at..at + 8].try_into().expect("eight octets"));
        let ours = message[0] == kind && message[4..6] == self.id.to_be_bytes();
        ours.then(|| (word(8), Duration::from_nanos(self.now().saturating_sub(word(16)))))
    }

    fn now(&self) -> u64 {
        self.opened.elapsed().as_nanos() as u64
    }
}
