//! The raw floor: the bytes of an attach and of a detach, prepared beforehand, handed to the kernel
//! by netlink-sys. Nothing is decided and nothing is built while the clock runs.
//!
//! The bytes are what the library itself sent for the same vif, from its first change on: the same
//! changes of the kernel in the same safe order, the reading back before the vif goes up included.
//! What the library looks up beforehand is left out: a program that knew all would not ask.

use netlink_sys::{Socket, SocketAddr, protocols};
use xenvnet_core::transport::Protocol;

const HEADER: usize = 16;
const ERROR: u16 = 2;
const ACK: u16 = 4;

/// A datagram, and where the sequence numbers of its messages are.
struct Datagram {
    to: Protocol,
    octets: Vec<u8>,
    sequences: Vec<usize>,
    /// Which of its messages the kernel acknowledges.
    acknowledged: usize,
}

/// Datagrams that change the kernel, ready to be sent again and again.
pub(crate) struct Prepared(Vec<Datagram>);

impl Prepared {
    /// What was recorded, from the first change on.
    ///
    /// # Panics
    /// When nothing was changed, or when a datagram asks for no acknowledgement.
    pub(crate) fn new(recorded: Vec<(Protocol, Vec<u8>)>) -> Prepared {
        let datagrams: Vec<_> = recorded
            .into_iter()
            .skip_while(|(to, octets)| messages(octets).all(|at| is_question(*to, kind(octets, at))))
            .map(|(to, octets)| {
                let acknowledged = messages(&octets).position(|at| field(&octets, at + 6) & ACK != 0);
                let sequences = messages(&octets).map(|at| at + 8).collect();
                Datagram { to, sequences, acknowledged: acknowledged.expect("an acknowledgement is asked for"), octets }
            })
            .collect();
        assert!(!datagrams.is_empty(), "a change of the kernel was recorded");
        Prepared(datagrams)
    }
}

/// Where the messages of a datagram begin.
fn messages(octets: &[u8]) -> impl Iterator<Item = usize> {
    let mut next = 0;
    std::iter::from_fn(move || {
        let at = next;
        let length = octets.get(at..at + 4)?;
        let length = u32::from_ne_bytes(length.try_into().ok()?) as usize;
        next = at + length.max(HEADER).next_multiple_of(4);
        Some(at)
    })
}

fn field(octets: &[u8], at: usize) -> u16 {
    u16::from_ne_bytes([octets[at], octets[at + 1]])
}

fn kind(octets: &[u8], at: usize) -> u16 {
    field(octets, at + 4)
}

/// rtnetlink's kinds come in fours, the third of which asks (RTM_GETLINK is 18); of nf_tables, an
/// attach asks for elements only (NFT_MSG_GETSETELEM is 13).
fn is_question(to: Protocol, kind: u16) -> bool {
    match to {
        Protocol::Route => kind % 4 == 2,
        _ => matches!(kind & 0xff, 1 | 4 | 7 | 10 | 13 | 16) && kind >> 8 == 10,
    }
}

/// One socket for each part of the kernel, kept open like the library's.
pub(crate) struct Floor {
    route: Socket,
    netfilter: Socket,
    sequence: u32,
}

impl Floor {
    pub(crate) fn open() -> Floor {
        let open = |protocol| {
            let mut socket = Socket::new(protocol).expect("a netlink socket");
            socket.bind_auto().expect("bind");
            socket.connect(&SocketAddr::new(0, 0)).expect("connect");
            // As the library has it: without, the kernel copies each request into its answer.
            socket.set_ext_ack(true).expect("NETLINK_EXT_ACK");
            socket.set_cap_ack(true).expect("NETLINK_CAP_ACK");
            socket
        };
        Floor { route: open(protocols::NETLINK_ROUTE), netfilter: open(protocols::NETLINK_NETFILTER), sequence: 0 }
    }

    /// Sends everything, each datagram after the one before was acknowledged.
    ///
    /// # Panics
    /// When the kernel refuses something.
    pub(crate) fn send(&mut self, prepared: &mut Prepared) {
        for datagram in &mut prepared.0 {
            let first = self.sequence;
            for at in &datagram.sequences {
                datagram.octets[*at..*at + 4].copy_from_slice(&self.sequence.to_ne_bytes());
                self.sequence = self.sequence.wrapping_add(1);
            }
            let socket = match datagram.to {
                Protocol::Route => &self.route,
                _ => &self.netfilter,
            };
            socket.send(&datagram.octets, 0).expect("send");
            wait(socket, first.wrapping_add(datagram.acknowledged as u32));
        }
    }
}

/// Reads answers up to the acknowledgement of this message.
fn wait(socket: &Socket, sequence: u32) {
    let mut buffer = [0; 32 * 1024];
    loop {
        let length = socket.recv(&mut &mut buffer[..], 0).expect("an answer");
        for at in messages(&buffer[..length]) {
            if kind(&buffer, at) != ERROR {
                continue;
            }
            let word = |at: usize| u32::from_ne_bytes(buffer[at..at + 4].try_into().expect("four octets"));
            let (asked, errno) = (word(at + 8), -(word(at + HEADER) as i32));
            assert_eq!(errno, 0, "the kernel refuses a message of the floor");
            if asked == sequence {
                return;
            }
        }
    }
}
