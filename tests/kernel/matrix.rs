//! The matrix: what a locked guest may send and what it may not, one line a case.
//!
//! The sender is locked to [`OWN`]'s MAC, to 10.98.98.2, 10.98.99.0/28, 2001:db8:98::2 and
//! 2001:db8:99::/64, and to the link-local address of its MAC. To extend the table, add a line: what
//! it tries, the document that says why it matters, the frame.

mod arp;
mod dhcp;
mod ethertypes;
mod ip4;
mod ip6;
mod legitimate;
mod link;
mod neighbours;
mod routers;

use std::net::{Ipv4Addr, Ipv6Addr};
use xenvnet_core::{Antispoof, MacAddr};
use xenvnet_tests::{Frame, Ip4, Ip6, Transport, arp, arp_with, ether, icmp4, icmp6, nd_option, tagged, tcp, udp};

/// The guest that sends.
pub(crate) const OWN: MacAddr = MacAddr::new([0x00, 0x16, 0x3e, 0, 0, 1]);
/// The guest that is to be hurt.
pub(crate) const VICTIM: MacAddr = MacAddr::new([0x00, 0x16, 0x3e, 0, 0, 2]);
/// The station at the far end of the cable to the outside.
pub(crate) const OUTSIDE: MacAddr = MacAddr::new([0x02, 0, 0, 0, 0, 0x09]);
/// Dom0's address on the bridge.
pub(crate) const GATEWAY: MacAddr = MacAddr::new([0x2e, 0, 0, 0, 0, 0xfe]);
/// A station that is not there.
const STRANGER: MacAddr = MacAddr::new([0x02, 0, 0, 0, 0, 0x66]);
const ALL: MacAddr = MacAddr::new([0xff; 6]);
const NONE: MacAddr = MacAddr::new([0; 6]);

pub(crate) const OWN4: Ipv4Addr = Ipv4Addr::new(10, 98, 98, 2);
const NET4: Ipv4Addr = Ipv4Addr::new(10, 98, 99, 5);
pub(crate) const VICTIM4: Ipv4Addr = Ipv4Addr::new(10, 98, 98, 3);
pub(crate) const GATEWAY4: Ipv4Addr = Ipv4Addr::new(10, 98, 98, 1);
const ANY4: Ipv4Addr = Ipv4Addr::UNSPECIFIED;

const OWN6: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0x98, 0, 0, 0, 0, 2);
const NET6: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0x99, 0, 1, 2, 3, 4);
pub(crate) const VICTIM6: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0x98, 0, 0, 0, 0, 3);
pub(crate) const GATEWAY6: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0x98, 0, 0, 0, 0, 1);
const ALL_NODES: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 1);
const ALL_ROUTERS: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 2);
const ANY6: Ipv6Addr = Ipv6Addr::UNSPECIFIED;

/// The lock of the guest that sends.
pub(crate) fn lock() -> Antispoof {
    ["10.98.98.2", "10.98.99.0/28", "2001:db8:98::2", "2001:db8:99::/64"]
        .iter()
        .fold(Antispoof::new(OWN), |lock, ip| lock.ip(ip.parse().unwrap()))
}

/// The lock of the guest that is to be hurt.
pub(crate) fn victims_lock() -> Antispoof {
    Antispoof::new(VICTIM).ip("10.98.98.3".parse().unwrap()).ip("2001:db8:98::3".parse().unwrap())
}

/// An IPv4 packet with the gateway's address as its source.
pub(crate) fn foreign_packet() -> Vec<u8> {
    Ip4::new(GATEWAY4, VICTIM4).carry(&data())
}

/// A packet that the lock lets through and that a router hands on to the victim.
pub(crate) fn routed_sentinel() -> Frame {
    from4(OWN4)
}

/// A frame that the lock lets through and that reaches everybody.
pub(crate) fn sentinel(from: MacAddr, ip: Ipv4Addr) -> Frame {
    ether(ALL, from, 0x0806, &arp(1, (from, ip), (NONE, GATEWAY4)))
}

/// Whether a case may pass.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// It must not pass a lock, and does pass a bridge without one, or makes it learn.
    Hostile,
    /// It must not pass, and no bridge forwards it anyway.
    Inert,
    /// It must pass.
    Legitimate,
    /// It must pass where the lock allows a DHCP client, else it must not.
    Dhcp,
}

/// One line of the table.
pub(crate) struct Case {
    /// What it tries.
    pub(crate) what: &'static str,
    /// Where it is told that it harms, or is needed: a CVE, an RFC, a clause of an IEEE standard.
    pub(crate) source: &'static str,
    /// Whether it may.
    pub(crate) kind: Kind,
    /// The frames; all of a legitimate case must pass, none of a hostile one may.
    pub(crate) frames: Vec<Frame>,
}

fn hostile(what: &'static str, source: &'static str, frame: Frame) -> Case {
    Case { what, source, kind: Kind::Hostile, frames: vec![frame] }
}

fn inert(what: &'static str, source: &'static str, frame: Frame) -> Case {
    Case { what, source, kind: Kind::Inert, frames: vec![frame] }
}

fn good(what: &'static str, source: &'static str, frame: Frame) -> Case {
    Case { what, source, kind: Kind::Legitimate, frames: vec![frame] }
}

fn client(what: &'static str, source: &'static str, frame: Frame) -> Case {
    Case { what, source, kind: Kind::Dhcp, frames: vec![frame] }
}

/// All cases.
pub(crate) fn cases() -> Vec<Case> {
    [
        link::stations(),
        link::thefts(),
        ethertypes::tags(),
        ethertypes::lengths(),
        ethertypes::types(),
        arp::arp(),
        ip4::sources(),
        ip4::headers(),
        ip4::routers(),
        dhcp::dhcp(),
        ip6::sources(),
        ip6::headers(),
        routers::advertisements(),
        routers::messages(),
        neighbours::hostile_discovery(),
        neighbours::discovery(),
        legitimate::arp_and_ip4(),
        legitimate::ip6(),
    ]
    .into_iter()
    .flatten()
    .collect()
}

/// The same bytes with some of them others.
fn with(mut bytes: Vec<u8>, at: usize, others: &[u8]) -> Vec<u8> {
    bytes[at..at + others.len()].copy_from_slice(others);
    bytes
}

fn data() -> Transport {
    udp(1000, 2000, b"data")
}

/// An IPv4 datagram from this address.
fn from4(source: Ipv4Addr) -> Frame {
    packet4(&Ip4::new(source, VICTIM4).carry(&data()))
}

fn packet4(packet: &[u8]) -> Frame {
    ether(VICTIM, OWN, 0x0800, packet)
}

/// An IPv6 datagram from this address.
fn from6(source: Ipv6Addr) -> Frame {
    packet6(&Ip6::new(source, VICTIM6).hops(64).carry(&data()))
}

fn packet6(packet: &[u8]) -> Frame {
    ether(VICTIM, OWN, 0x86dd, packet)
}

/// A multicast IPv6 packet, to the Ethernet group of its destination.
fn group6(packet: &Ip6, transport: &Transport) -> Frame {
    let [.., a, b, c, d] = packet.destination.octets();
    ether(MacAddr::new([0x33, 0x33, a, b, c, d]), OWN, 0x86dd, &packet.carry(transport))
}

fn own_link_local() -> Ipv6Addr {
    OWN.link_local()
}

const ALL4: Ipv4Addr = Ipv4Addr::BROADCAST;

pub(crate) fn solicited_node(of: Ipv6Addr) -> Ipv6Addr {
    let [.., b, c, d] = of.octets();
    Ipv6Addr::new(0xff02, 0, 0, 0, 0, 1, 0xff00 | u16::from(b), u16::from(c) << 8 | u16::from(d))
}

#[test]
fn the_table_is_large_and_each_line_says_something_of_its_own() {
    let cases = cases();
    let count = |kinds: &[Kind]| cases.iter().filter(|case| kinds.contains(&case.kind)).count();
    let counts = [Kind::Hostile, Kind::Inert, Kind::Legitimate, Kind::Dhcp].map(|kind| count(&[kind]));
    println!("{} cases: {counts:?} hostile, inert, legitimate, of a DHCP client", cases.len());
    assert!(count(&[Kind::Hostile]) >= 180);
    assert!(count(&[Kind::Legitimate, Kind::Dhcp]) >= 40);
    let words: std::collections::BTreeSet<_> = cases.iter().map(|case| case.what).collect();
    assert_eq!(words.len(), cases.len(), "two lines with the same words");
    for (n, case) in cases.iter().enumerate() {
        let named = ["CVE-", "RFC ", "IEEE "].iter().any(|of| case.source.starts_with(of));
        assert!(named, "{}: {:?} is no CVE, RFC or IEEE clause", case.what, case.source);
        let twin = cases[..n].iter().find(|other| other.frames == case.frames);
        assert!(twin.is_none(), "{:?} and {:?} are one case", twin.map(|twin| twin.what), case.what);
    }
}
