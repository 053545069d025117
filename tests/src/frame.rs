//! Ethernet frames, made byte by byte: a test of a filter needs the malformed ones as well.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use xenvnet_core::MacAddr;

/// An Ethernet frame without its check sequence.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame(Vec<u8>);

const TAGS: [u16; 3] = [0x8100, 0x88a8, 0x9100];

impl Frame {
    /// A frame of these bytes.
    pub fn new(bytes: Vec<u8>) -> Frame {
        Frame(bytes)
    }

    /// Its bytes.
    pub fn bytes(&self) -> &[u8] {
        &self.0
    }

    /// Its source address.
    pub fn source(&self) -> MacAddr {
        MacAddr::new(self.0[6..12].try_into().expect("six octets"))
    }

    /// Its destination address.
    pub fn destination(&self) -> MacAddr {
        MacAddr::new(self.0[..6].try_into().expect("six octets"))
    }

    /// The same frame to another station.
    pub fn towards(mut self, station: MacAddr) -> Frame {
        self.0[..6].copy_from_slice(&station.octets());
        self
    }

    /// Source and destination of the IP packet in it, if it carries one and no tag.
    pub fn route(&self) -> Option<(IpAddr, IpAddr)> {
        let at = |from: usize, length: usize| self.0.get(from..from + length);
        let ip4 = |from| Some(IpAddr::from(<[u8; 4]>::try_from(at(from, 4)?).ok()?));
        let ip6 = |from| Some(IpAddr::from(<[u8; 16]>::try_from(at(from, 16)?).ok()?));
        match at(12, 2)? {
            [0x08, 0x00] => Some((ip4(26)?, ip4(30)?)),
            [0x86, 0xdd] => Some((ip6(22)?, ip6(38)?)),
            _ => None,
        }
    }

    /// Whether it carries a piece of an IP packet, and no tag.
    pub fn is_fragment(&self) -> bool {
        match (self.0.get(12..14), self.0.get(20..22)) {
            (Some([0x08, 0x00]), Some([high, low])) => high & 0x3f != 0 || *low != 0,
            (Some([0x86, 0xdd]), Some([next, _])) => *next == 44,
            _ => false,
        }
    }

    /// Where the payload begins and its EtherType, behind any tags.
    fn payload(&self) -> (u16, usize) {
        let word = |at: usize| u16::from_be_bytes([self.0[at], self.0[at + 1]]);
        let mut at = 12;
        while at + 6 <= self.0.len() && TAGS.contains(&word(at)) {
            at += 4;
        }
        (word(at), at + 2)
    }

    /// The same frame with a number that tells it from all others: the identification of IPv4, the
    /// flow label of IPv6, padding at the end of anything else. Nothing behind the payload of IP
    /// would do: it is cut off where bridged frames visit the IP layer.
    pub fn stamped(mut self, number: u16) -> Frame {
        let (ethertype, at) = self.payload();
        match ethertype {
            0x0800 if self.0.len() >= at + 20 => {
                self.0[at + 4..at + 6].copy_from_slice(&number.to_be_bytes());
                let header = usize::from(self.0[at] & 0xf) * 4;
                if self.0[at] >> 4 == 4 && header >= 20 && self.0.len() >= at + header {
                    self.0[at + 10..at + 12].fill(0);
                    let sum = checksum(&[&self.0[at..at + header]]);
                    self.0[at + 10..at + 12].copy_from_slice(&sum);
                }
            }
            0x86dd if self.0.len() >= at + 40 => self.0[at + 2..at + 4].copy_from_slice(&number.to_be_bytes()),
            _ => {
                self.0.extend(b"xv");
                self.0.extend(number.to_be_bytes());
            }
        }
        self
    }

    /// Whether what was received is what a router made of this: the addresses of the link are others,
    /// the hop count is less, and fragments may have been put together and cut again. Its number and
    /// where it goes are what stays.
    pub fn is_routed(&self, received: &[u8]) -> bool {
        let received = Frame(received.to_vec());
        let number = |frame: &Frame| match frame.0.get(12..14)? {
            [0x08, 0x00] => frame.0.get(18..20).map(<[u8]>::to_vec),
            _ => frame.0.get(16..18).map(<[u8]>::to_vec),
        };
        let to = |frame: &Frame| Some((number(frame)?, frame.route()?.1));
        to(self).is_some() && to(self) == to(&received)
    }

    /// Whether this is what was received. The kernel takes the outermost tag off before a packet
    /// socket hears the frame.
    pub fn is(&self, received: &[u8]) -> bool {
        let tagged = TAGS.contains(&u16::from_be_bytes([self.0[12], self.0[13]]));
        received.starts_with(&self.0)
            || (tagged && received.starts_with(&self.0[..12]) && received[12..].starts_with(&self.0[16..]))
    }
}

/// A frame of Ethernet II, or of 802.3 when the type is a length.
pub fn ether(to: MacAddr, from: MacAddr, ethertype: u16, payload: &[u8]) -> Frame {
    let mut bytes = to.octets().to_vec();
    bytes.extend(from.octets());
    bytes.extend(ethertype.to_be_bytes());
    bytes.extend(payload);
    Frame(bytes)
}

/// The same frame within one more tag: 0x8100 for 802.1Q, 0x88a8 for 802.1ad.
pub fn tagged(frame: &Frame, tag: u16, vlan: u16) -> Frame {
    let mut bytes = frame.0[..12].to_vec();
    bytes.extend(tag.to_be_bytes());
    bytes.extend(vlan.to_be_bytes());
    bytes.extend(&frame.0[12..]);
    Frame(bytes)
}

/// The body of ARP for IPv4 over Ethernet: operation, sender, target.
pub fn arp(operation: u16, sender: (MacAddr, Ipv4Addr), target: (MacAddr, Ipv4Addr)) -> Vec<u8> {
    arp_with([0, 1, 8, 0, 6, 4], operation, sender, target)
}

/// The same with another beginning: hardware type, protocol type, their address lengths.
pub fn arp_with(head: [u8; 6], operation: u16, sender: (MacAddr, Ipv4Addr), target: (MacAddr, Ipv4Addr)) -> Vec<u8> {
    let mut body = head.to_vec();
    body.extend(operation.to_be_bytes());
    for (mac, ip) in [sender, target] {
        body.extend(mac.octets());
        body.extend(ip.octets());
    }
    body
}

/// What IP carries: its protocol number, its bytes, and where its checksum belongs.
#[derive(Clone, Debug)]
pub struct Transport {
    /// The protocol number.
    pub protocol: u8,
    /// The bytes, with zeros for the checksum.
    pub bytes: Vec<u8>,
    /// Where the checksum belongs; the bool says whether it spans the pseudo header.
    pub checksum: Option<(usize, bool)>,
}

impl Transport {
    /// Bytes of a protocol that has no checksum of its own.
    pub fn raw(protocol: u8, bytes: &[u8]) -> Transport {
        Transport { protocol, bytes: bytes.to_vec(), checksum: None }
    }
}

/// A UDP datagram.
pub fn udp(from: u16, to: u16, payload: &[u8]) -> Transport {
    let mut bytes = [from, to, 8 + payload.len() as u16, 0].into_iter().flat_map(u16::to_be_bytes).collect::<Vec<_>>();
    bytes.extend(payload);
    Transport { protocol: 17, bytes, checksum: Some((6, true)) }
}

/// A TCP segment that opens a connection.
pub fn tcp(from: u16, to: u16) -> Transport {
    let mut bytes = [from, to].into_iter().flat_map(u16::to_be_bytes).collect::<Vec<_>>();
    bytes.extend([0, 0, 0, 1, 0, 0, 0, 0, 0x50, 2, 0xff, 0xff, 0, 0, 0, 0]);
    Transport { protocol: 6, bytes, checksum: Some((16, true)) }
}

/// An ICMP message: type, code, and what follows the checksum.
pub fn icmp4(kind: u8, code: u8, rest: &[u8]) -> Transport {
    Transport { protocol: 1, bytes: [&[kind, code, 0, 0], rest].concat(), checksum: Some((2, false)) }
}

/// An ICMPv6 message: type, code, and what follows the checksum.
pub fn icmp6(kind: u8, code: u8, rest: &[u8]) -> Transport {
    Transport { protocol: 58, bytes: [&[kind, code, 0, 0], rest].concat(), checksum: Some((2, true)) }
}

/// A link-layer address option of neighbour discovery: 1 for the source's, 2 for the target's.
pub fn nd_option(kind: u8, mac: MacAddr) -> Vec<u8> {
    [&[kind, 1], &mac.octets()[..]].concat()
}

/// An IPv4 packet in the making.
#[derive(Clone, Debug)]
pub struct Ip4 {
    /// The source.
    pub source: Ipv4Addr,
    /// The destination.
    pub destination: Ipv4Addr,
    /// Options, a multiple of four octets.
    pub options: Vec<u8>,
    /// Offset in units of eight octets, with the flag "more fragments" as 0x2000.
    pub fragment: u16,
    /// The first octet, where it is not what it should be.
    pub first: Option<u8>,
}

impl Ip4 {
    /// From, to.
    pub fn new(source: Ipv4Addr, destination: Ipv4Addr) -> Ip4 {
        Ip4 { source, destination, options: Vec::new(), fragment: 0, first: None }
    }

    /// With these options.
    pub fn options(mut self, options: &[u8]) -> Ip4 {
        self.options = options.to_vec();
        self
    }

    /// As a fragment: flags and offset.
    pub fn fragment(mut self, field: u16) -> Ip4 {
        self.fragment = field;
        self
    }

    /// With this first octet: version and header length.
    pub fn first(mut self, octet: u8) -> Ip4 {
        self.first = Some(octet);
        self
    }

    /// The packet.
    pub fn carry(&self, transport: &Transport) -> Vec<u8> {
        let header = 20 + self.options.len();
        let body = summed(transport, &self.source.octets(), &self.destination.octets());
        let mut packet = vec![self.first.unwrap_or(0x40 | (header / 4) as u8), 0];
        packet.extend(((header + body.len()) as u16).to_be_bytes());
        packet.extend([0, 0]);
        packet.extend(self.fragment.to_be_bytes());
        packet.extend([64, transport.protocol, 0, 0]);
        packet.extend(self.source.octets());
        packet.extend(self.destination.octets());
        packet.extend(&self.options);
        let sum = checksum(&[&packet]);
        packet[10..12].copy_from_slice(&sum);
        packet.extend(body);
        packet
    }
}

/// An IPv6 packet in the making.
#[derive(Clone, Debug)]
pub struct Ip6 {
    /// The source.
    pub source: Ipv6Addr,
    /// The destination.
    pub destination: Ipv6Addr,
    /// The hop limit.
    pub hops: u8,
    /// Extension headers in order: their numbers and their bytes, whose first octet is filled in.
    pub extensions: Vec<(u8, Vec<u8>)>,
}

impl Ip6 {
    /// From, to, with the hop limit of neighbour discovery.
    pub fn new(source: Ipv6Addr, destination: Ipv6Addr) -> Ip6 {
        Ip6 { source, destination, hops: 255, extensions: Vec::new() }
    }

    /// With this hop limit.
    pub fn hops(mut self, hops: u8) -> Ip6 {
        self.hops = hops;
        self
    }

    /// With one more extension header: its number, and its bytes from its length field on.
    pub fn extension(mut self, number: u8, bytes: &[u8]) -> Ip6 {
        self.extensions.push((number, [&[0], bytes].concat()));
        self
    }

    /// Behind an empty extension header of eight octets.
    pub fn behind(self, number: u8) -> Ip6 {
        // PadN over what is left.
        self.extension(number, &[0, 1, 4, 0, 0, 0, 0])
    }

    /// As a fragment: offset in octets, and whether more follow.
    pub fn fragment(self, offset: u16, more: bool) -> Ip6 {
        let field = (offset & !7) | u16::from(more);
        self.extension(44, &[&[0], &field.to_be_bytes()[..], &[0, 0, 0x30, 0x39]].concat())
    }

    /// The packet.
    pub fn carry(&self, transport: &Transport) -> Vec<u8> {
        let mut body = Vec::new();
        for (n, (_, bytes)) in self.extensions.iter().enumerate() {
            let next = self.extensions.get(n + 1).map_or(transport.protocol, |(number, _)| *number);
            let mut bytes = bytes.clone();
            bytes[0] = next;
            body.extend(bytes);
        }
        let first = self.extensions.first().map_or(transport.protocol, |(number, _)| *number);
        body.extend(summed(transport, &self.source.octets(), &self.destination.octets()));
        let mut packet = vec![0x60, 0, 0, 0];
        packet.extend((body.len() as u16).to_be_bytes());
        packet.extend([first, self.hops]);
        packet.extend(self.source.octets());
        packet.extend(self.destination.octets());
        packet.extend(body);
        packet
    }
}

/// The transport's bytes with their checksum filled in.
pub(crate) fn summed(transport: &Transport, source: &[u8], destination: &[u8]) -> Vec<u8> {
    let mut bytes = transport.bytes.clone();
    let Some((at, pseudo)) = transport.checksum.filter(|(at, _)| at + 2 <= bytes.len()) else { return bytes };
    let tail = [(bytes.len() as u32).to_be_bytes(), [0, 0, 0, transport.protocol]].concat();
    let sum = if pseudo { checksum(&[source, destination, &tail, &bytes]) } else { checksum(&[&bytes]) };
    bytes[at..at + 2].copy_from_slice(&sum);
    bytes
}

/// The Internet checksum (RFC 1071) over parts of even length, the last one excepted.
fn checksum(parts: &[&[u8]]) -> [u8; 2] {
    let words = parts.iter().flat_map(|part| part.chunks(2));
    let mut sum: u32 = words.map(|pair| u32::from(pair[0]) << 8 | u32::from(*pair.get(1).unwrap_or(&0))).sum();
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    (!(sum as u16)).to_be_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    const MAC: MacAddr = MacAddr::new([0, 0x16, 0x3e, 0, 0, 1]);

    #[test]
    fn the_checksum_is_that_of_rfc_1071() {
        assert_eq!(checksum(&[&[0x00, 0x01, 0xf2, 0x03], &[0xf4, 0xf5, 0xf6, 0xf7]]), [0x22, 0x0d]);
    }

    #[test]
    fn a_stamped_ipv4_header_still_sums_to_zero() {
        let packet = Ip4::new([10, 0, 0, 1].into(), [10, 0, 0, 2].into()).carry(&udp(1, 2, b"x"));
        let frame = ether(MAC, MAC, 0x0800, &packet).stamped(0x1234);
        assert_eq!(checksum(&[&frame.bytes()[14..34]]), [0, 0]);
        assert_eq!(frame.bytes()[18..20], [0x12, 0x34]);
    }

    #[test]
    fn a_frame_is_known_again_behind_a_router() {
        let packet = Ip4::new([10, 0, 0, 1].into(), [10, 0, 0, 2].into()).carry(&udp(1, 2, b"x"));
        let sent = ether(MAC, MAC, 0x0800, &packet).stamped(7);
        let mut routed = sent.clone().towards(MacAddr::new([9; 6]));
        routed.0[22] -= 1;
        assert!(!sent.is(routed.bytes()) && sent.is_routed(routed.bytes()));
        assert!(!sent.clone().stamped(8).is_routed(routed.bytes()));
        let lie = ether(MAC, MAC, 0x0806, &[1; 28]);
        assert!(!lie.is_routed(lie.bytes()), "ARP is not routed");
    }

    #[test]
    fn a_frame_is_known_again_without_its_outermost_tag() {
        let frame = tagged(&tagged(&ether(MAC, MAC, 0x0806, &[1; 28]), 0x8100, 5), 0x88a8, 7).stamped(9);
        let untagged = [&frame.bytes()[..12], &frame.bytes()[16..]].concat();
        assert!(frame.is(frame.bytes()) && frame.is(&untagged));
        assert!(!frame.clone().stamped(8).is(&untagged));
        assert!(!frame.is(&untagged[..20]));
    }
}
