//! Frames that a guest must not send, and the raw socket that sends them all the same.

use super::fabric::{CARD, GATEWAY, Guest, Namespace, OUTSIDE};
use nix::ifaddrs::getifaddrs;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::socket::{AddressFamily, LinkAddr, MsgFlags, SockFlag, SockProtocol, SockType, bind, recv, send, socket};
use std::io;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::time::{Duration, Instant};
use xenvnet_core::{DropReason, MacAddr};

const IPV4: u16 = 0x0800;
const ARP: u16 = 0x0806;
const IPV6: u16 = 0x86dd;
/// For experiments (RFC 3692): no program listens, no kernel answers a port.
const PROTOCOL: u8 = 253;
/// Enough for an Ethernet frame without its check sequence not to be padded.
const PAYLOAD: &[u8; 40] = b"a frame of the demonstration of xenvnet.";
/// Tells an honest frame from a spoofed one where routing has changed what tells them apart.
const HONEST: &[u8; 40] = b"an honest frame of xenvnet's demo to end";
/// The headers of an Ethernet frame of IPv4: what routing changes.
pub(super) const HEADERS: usize = 14 + 20;

/// Nobody's on the stage.
const STRANGER: MacAddr = MacAddr::new([0x02, 0, 0, 0, 0, 0x66]);

/// A frame that claims what is not its sender's.
pub(super) struct Spoof {
    /// What it claims.
    pub(super) claim: String,
    /// What it is counted as.
    pub(super) reason: DropReason,
    pub(super) frame: Vec<u8>,
}

/// What one guest tries on the other.
pub(super) fn spoofs(from: &Guest, to: &Guest) -> [Spoof; 4] {
    let (foreign4, foreign6) = (Ipv4Addr::new(10, 98, 98, 66), Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 0x66));
    [
        Spoof {
            claim: format!("IPv4 from {foreign4}"),
            reason: DropReason::Ip4,
            frame: ipv4(from.mac, to.mac, foreign4, to.ip),
        },
        Spoof {
            claim: format!("MAC {STRANGER}"),
            reason: DropReason::Mac,
            frame: ipv4(STRANGER, to.mac, from.ip, to.ip),
        },
        Spoof {
            claim: format!("ARP \"the gateway {GATEWAY} is me\""),
            reason: DropReason::Arp,
            frame: arp_reply(from.mac, to.mac, GATEWAY, to.ip),
        },
        Spoof {
            claim: format!("IPv6 from {foreign6}"),
            reason: DropReason::Ip6,
            frame: ipv6(from.mac, to.mac, foreign6, to.mac.link_local()),
        },
    ]
}

/// A frame that the guest may send.
pub(super) fn honest(from: &Guest, to: &Guest) -> Vec<u8> {
    ipv4(from.mac, to.mac, from.ip, to.ip)
}

/// What a routed guest tries on the way to the outside.
pub(super) fn spoofs_routed(from: &Guest) -> [Spoof; 2] {
    let foreign4 = Ipv4Addr::new(10, 98, 99, 66);
    [
        Spoof {
            claim: format!("IPv4 from {foreign4}"),
            reason: DropReason::Ip4,
            frame: ipv4(from.mac, MacAddr::VIF_BACKEND, foreign4, OUTSIDE),
        },
        Spoof {
            claim: format!("MAC {STRANGER}"),
            reason: DropReason::Mac,
            frame: ipv4(STRANGER, MacAddr::VIF_BACKEND, from.ip, OUTSIDE),
        },
    ]
}

/// A frame that a routed guest may send to the outside.
pub(super) fn honest_routed(from: &Guest) -> Vec<u8> {
    let header = ipv4_header(from.ip, OUTSIDE);
    ethernet(from.mac, MacAddr::VIF_BACKEND, IPV4, &[&header, HONEST])
}

fn ethernet(from: MacAddr, to: MacAddr, ethertype: u16, parts: &[&[u8]]) -> Vec<u8> {
    [&to.octets()[..], &from.octets(), &ethertype.to_be_bytes(), &parts.concat()].concat()
}

fn ipv4(from: MacAddr, to: MacAddr, source: Ipv4Addr, destination: Ipv4Addr) -> Vec<u8> {
    ethernet(from, to, IPV4, &[&ipv4_header(source, destination), PAYLOAD])
}

fn ipv4_header(source: Ipv4Addr, destination: Ipv4Addr) -> [u8; 20] {
    let mut header = [0; 20];
    header[0] = 0x45;
    header[2..4].copy_from_slice(&((20 + PAYLOAD.len()) as u16).to_be_bytes());
    header[8] = 64;
    header[9] = PROTOCOL;
    header[12..16].copy_from_slice(&source.octets());
    header[16..20].copy_from_slice(&destination.octets());
    let checksum = checksum(&header);
    header[10..12].copy_from_slice(&checksum.to_be_bytes());
    header
}

fn ipv6(from: MacAddr, to: MacAddr, source: Ipv6Addr, destination: Ipv6Addr) -> Vec<u8> {
    let length = (PAYLOAD.len() as u16).to_be_bytes();
    let fixed = [0x60, 0, 0, 0, length[0], length[1], PROTOCOL, 64];
    ethernet(from, to, IPV6, &[&fixed, &source.octets(), &destination.octets(), PAYLOAD])
}

/// "`claimed` is at my MAC", to one station.
fn arp_reply(from: MacAddr, to: MacAddr, claimed: Ipv4Addr, target: Ipv4Addr) -> Vec<u8> {
    let fixed = [0, 1, 8, 0, 6, 4, 0, 2];
    let body = [&from.octets()[..], &claimed.octets(), &to.octets(), &target.octets()].concat();
    // Up to the shortest frame that a card would send.
    ethernet(from, to, ARP, &[&fixed, &body, &[0; 18]])
}

/// The Internet checksum (RFC 1071) of a header whose checksum field is zero.
fn checksum(header: &[u8]) -> u16 {
    let sum: u32 = header.chunks(2).map(|pair| u32::from(u16::from_be_bytes([pair[0], pair[1]]))).sum();
    !((sum & 0xffff) + (sum >> 16)) as u16
}

/// A raw socket on a guest's card.
pub(super) struct RawPort(OwnedFd);

impl RawPort {
    pub(super) fn open(namespace: &Namespace) -> io::Result<RawPort> {
        namespace.enter(|| {
            let flags = SockFlag::SOCK_NONBLOCK | SockFlag::SOCK_CLOEXEC;
            let fd = socket(AddressFamily::Packet, SockType::Raw, flags, SockProtocol::EthAll)?;
            bind(fd.as_raw_fd(), &card()?)?;
            Ok(RawPort(fd))
        })
    }

    pub(super) fn send(&self, frame: &[u8]) -> io::Result<()> {
        send(self.0.as_raw_fd(), frame, MsgFlags::empty())?;
        Ok(())
    }

    /// The frames that arrive until one is the last, or until the deadline.
    pub(super) fn until(&self, deadline: Duration, mut is_last: impl FnMut(&[u8]) -> bool) -> io::Result<Vec<Vec<u8>>> {
        let end = Instant::now() + deadline;
        let mut frames = Vec::new();
        let mut buffer = [0; 2048];
        loop {
            let left =
                PollTimeout::try_from(end.saturating_duration_since(Instant::now())).unwrap_or(PollTimeout::ZERO);
            if poll(&mut [PollFd::new(self.0.as_fd(), PollFlags::POLLIN)], left)? == 0 {
                return Ok(frames);
            }
            let length = recv(self.0.as_raw_fd(), &mut buffer, MsgFlags::empty())?;
            frames.push(buffer[..length].to_vec());
            if is_last(&buffer[..length]) {
                return Ok(frames);
            }
        }
    }
}

/// The packet address of the card in this thread's namespace.
fn card() -> io::Result<LinkAddr> {
    getifaddrs()?
        .filter(|entry| entry.interface_name == CARD)
        .find_map(|entry| entry.address?.as_link_addr().copied())
        .ok_or_else(|| io::Error::from_raw_os_error(nix::errno::Errno::ENODEV as i32))
}

#[cfg(test)]
mod tests {
    use super::*;

    const ME: MacAddr = MacAddr::new([2, 0, 0, 0, 0, 1]);
    const YOU: MacAddr = MacAddr::new([2, 0, 0, 0, 0, 2]);

    #[test]
    fn the_checksum_is_that_of_the_book() {
        // RFC 1071's worked example: the sum is ddf2.
        assert_eq!(checksum(&[0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7]), !0xddf2);
        let frame = ipv4(ME, YOU, Ipv4Addr::new(10, 0, 0, 1), Ipv4Addr::new(10, 0, 0, 2));
        assert_eq!(checksum(&frame[14..34]), 0, "a header with its checksum sums up to nothing");
    }

    #[test]
    fn frames_are_laid_out_as_ethernet_has_it() {
        let frame = arp_reply(ME, YOU, GATEWAY, Ipv4Addr::new(10, 98, 98, 3));
        assert_eq!(frame.len(), 60);
        assert_eq!(frame[..14], [2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1, 8, 6]);
        assert_eq!(frame[28..32], [10, 98, 98, 1]);
        let frame = ipv6(ME, YOU, Ipv6Addr::LOCALHOST, Ipv6Addr::LOCALHOST);
        assert_eq!(frame.len(), 14 + 40 + PAYLOAD.len());
        assert_eq!(usize::from(u16::from_be_bytes([frame[18], frame[19]])), PAYLOAD.len());
    }
}
