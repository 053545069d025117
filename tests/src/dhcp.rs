//! A guest that asks for its address: DHCP from its own end (RFC 2131), frame by frame.

use crate::dom0::FakeVif;
use crate::frame::{Ip4, ether, udp};
use crate::socket::RawSocket;
use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::time::{Duration, Instant};
use xenvnet_core::MacAddr;

const DISCOVER: u8 = 1;
const OFFER: u8 = 2;
const REQUEST: u8 = 3;
const ACK: u8 = 5;

// Options (RFC 2132).
const REQUESTED_ADDRESS: u8 = 50;
const MESSAGE_TYPE: u8 = 53;
const SERVER: u8 = 54;
const WANTED: u8 = 55;
const CLIENT_ID: u8 = 61;

/// What is asked for: mask, router, name servers, name, MTU.
const LIST: [u8; 5] = [1, 3, 6, 12, 26];

/// As long as an answer may take, before it is asked again.
const PATIENCE: Duration = Duration::from_millis(500);

/// What a server told a guest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DhcpLease {
    /// The guest's address.
    pub address: Ipv4Addr,
    options: BTreeMap<u8, Vec<u8>>,
}

impl DhcpLease {
    fn ip(&self, option: u8) -> Option<Ipv4Addr> {
        Some(<[u8; 4]>::try_from(self.options.get(&option)?.get(..4)?).ok()?.into())
    }

    /// What it is to take for its wire.
    pub fn mask(&self) -> Option<Ipv4Addr> {
        self.ip(1)
    }

    /// Its way out.
    pub fn router(&self) -> Option<Ipv4Addr> {
        self.ip(3)
    }

    /// Its name server.
    pub fn dns(&self) -> Option<Ipv4Addr> {
        self.ip(6)
    }

    /// Its name.
    pub fn name(&self) -> Option<String> {
        self.options.get(&12).map(|text| String::from_utf8_lossy(text).into_owned())
    }

    /// Its MTU.
    pub fn mtu(&self) -> Option<u16> {
        Some(u16::from_be_bytes(self.options.get(&26)?.as_slice().try_into().ok()?))
    }
}

/// The client of a guest. It asks with the broadcast flag: it has no address to be answered at.
#[derive(Debug)]
pub struct DhcpClient {
    socket: RawSocket,
    mac: MacAddr,
    number: u32,
}

impl DhcpClient {
    /// On the guest's end.
    pub fn of(guest: &FakeVif) -> DhcpClient {
        DhcpClient { socket: guest.raw(), mac: guest.mac, number: 0x5eed_0000 }
    }

    /// Asks who there is, and waits for nobody.
    pub fn discover(&mut self) {
        self.number += 1;
        self.send(&[MESSAGE_TYPE, 1, DISCOVER]);
    }

    /// Asks until it has a lease.
    ///
    /// # Panics
    /// When it has none within a minute.
    pub fn lease(&mut self) -> DhcpLease {
        let end = Instant::now() + Duration::from_secs(60);
        loop {
            assert!(Instant::now() < end, "no lease for {}", self.mac);
            self.discover();
            if let Some(offer) = self.answer(OFFER)
                && let Some(server) = offer.options.get(&SERVER)
            {
                let address = offer.address.octets();
                let asked = [&[REQUESTED_ADDRESS, 4][..], &address, &[SERVER, 4], server].concat();
                self.send(&[&[MESSAGE_TYPE, 1, REQUEST][..], &asked].concat());
                if let Some(lease) = self.answer(ACK) {
                    return lease;
                }
            }
        }
    }

    /// Everything that a server told this guest and it has not looked at yet.
    pub fn told(&self) -> Vec<DhcpLease> {
        std::iter::from_fn(|| self.socket.pending())
            .filter_map(|frame| self.read(&frame))
            .map(|(_, lease)| lease)
            .collect()
    }

    fn send(&self, options: &[u8]) {
        let mut message = vec![1, 1, 6, 0];
        message.extend(self.number.to_be_bytes());
        message.extend([0, 0, 0x80, 0]);
        message.extend([0; 16]);
        message.extend(self.mac.octets());
        message.extend([0; 10 + 64 + 128]);
        message.extend([99, 130, 83, 99]);
        message.extend(options);
        message.extend([WANTED, LIST.len() as u8]);
        message.extend(LIST);
        // All guests were cloned from one: they call themselves by the same identifier.
        message.extend([CLIENT_ID, 5, 0xff, 1, 2, 3, 4, 255]);
        let packet = Ip4::new(Ipv4Addr::UNSPECIFIED, Ipv4Addr::BROADCAST).carry(&udp(68, 67, &message));
        self.socket.send(ether(MacAddr::new([0xff; 6]), self.mac, 0x0800, &packet).bytes());
    }

    fn answer(&self, kind: u8) -> Option<DhcpLease> {
        let end = Instant::now() + PATIENCE;
        while let Some(frame) = self.socket.receive(end) {
            match self.read(&frame) {
                Some((number, lease))
                    if number == self.number && lease.options.get(&MESSAGE_TYPE) == Some(&vec![kind]) =>
                {
                    return Some(lease);
                }
                _ => {}
            }
        }
        None
    }

    /// A server's message to this guest, and its number.
    fn read(&self, frame: &[u8]) -> Option<(u32, DhcpLease)> {
        let packet = frame.get(14..).filter(|packet| frame[12..14] == [8, 0] && packet.get(9) == Some(&17))?;
        let datagram = packet.get(usize::from(packet[0] & 0xf) * 4..)?;
        let message = datagram.get(8..).filter(|_| datagram[..4] == [0, 67, 0, 68])?;
        if message.first() != Some(&2) || message.get(28..34)? != self.mac.octets() {
            return None;
        }
        let word = |at: usize| <[u8; 4]>::try_from(message.get(at..at + 4)?).ok();
        let mut options = BTreeMap::new();
        let mut rest = message.get(240..)?;
        while let [code, length, tail @ ..] = rest
            && *code != 255
        {
            let length = usize::from(*length);
            options.insert(*code, tail.get(..length)?.to_vec());
            rest = &tail[length..];
        }
        Some((u32::from_be_bytes(word(4)?), DhcpLease { address: word(16)?.into(), options }))
    }
}
