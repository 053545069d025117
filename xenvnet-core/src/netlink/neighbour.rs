//! MAC addresses pinned to bridge ports: entries of the forwarding database (linux/neighbour.h).

use super::attributes::{Reader, Writer};
use super::{CREATE, CREATE_NEW, Request};
use crate::link::Pinning;
use crate::mac::MacAddr;
use netlink_packet_route::neighbour::{
    NeighbourAttribute, NeighbourFlags, NeighbourHeader, NeighbourMessage, NeighbourState,
};
use netlink_packet_route::{AddressFamily, RouteNetlinkMessage};
use nix::libc;

/// Family, padding, index, state, flags, type: struct ndmsg.
const HEADER: usize = 12;
const NUD_PERMANENT: u16 = 0x80;
const NUD_NOARP: u16 = 0x40;

fn message(port: u32, mac: MacAddr, flags: NeighbourFlags) -> NeighbourMessage {
    let mut message = NeighbourMessage::default();
    message.header = NeighbourHeader {
        family: AddressFamily::Bridge,
        ifindex: port,
        // Static: it never ages.
        state: NeighbourState::Noarp,
        flags: NeighbourFlags::Controller | flags,
        ..NeighbourHeader::default()
    };
    message.attributes = vec![NeighbourAttribute::LinkLayerAddress(mac.octets().to_vec())];
    message
}

/// Refused with `EEXIST` where the address is known on any port, learned or pinned; unless it is to
/// be taken over.
pub(crate) fn pin(port: u32, mac: MacAddr, pinning: Pinning, take_over: bool) -> Request {
    let flags = if take_over { CREATE | libc::NLM_F_REPLACE as u16 } else { CREATE_NEW };
    let sticky = match pinning {
        Pinning::StaticSticky => NeighbourFlags::Sticky,
    };
    Request::route(RouteNetlinkMessage::NewNeighbour(message(port, mac, sticky)), flags)
}

pub(crate) fn unpin(port: u32, mac: MacAddr) -> Request {
    Request::route(RouteNetlinkMessage::DelNeighbour(message(port, mac, NeighbourFlags::empty())), 0)
}

/// Where a bridge thinks that an address is.
pub(crate) fn get(bridge: u32, mac: MacAddr) -> Request {
    let mut header = [0; HEADER];
    header[0] = libc::AF_BRIDGE as u8;
    let mut body = Writer::after(&header);
    body.bytes(NDA_LLADDR, &mac.octets());
    body.bytes(NDA_MASTER, &bridge.to_ne_bytes());
    Request { kind: libc::RTM_GETNEIGH, flags: 0, body: body.finish() }
}

const NDA_LLADDR: u16 = 2;
const NDA_MASTER: u16 = 9;

/// Where a bridge thinks that an address is.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Place {
    /// The index of the port.
    pub(crate) port: u32,
    /// Whether it was merely learned, and will age away.
    pub(crate) learned: bool,
}

pub(crate) fn parse(body: &[u8]) -> Option<Place> {
    let port = u32::from_ne_bytes(body.get(4..8)?.try_into().ok()?);
    let state = u16::from_ne_bytes(body.get(8..10)?.try_into().ok()?);
    Some(Place { port, learned: state & (NUD_PERMANENT | NUD_NOARP) == 0 })
}

/// To be dumped: the forwarding databases of all bridges.
pub(crate) fn all() -> Request {
    let mut header = [0; HEADER];
    header[0] = libc::AF_BRIDGE as u8;
    Request { kind: libc::RTM_GETNEIGH, flags: 0, body: header.to_vec() }
}

/// The port of an entry that never ages and that no other port takes over, and its address.
pub(crate) fn parse_pinned(body: &[u8]) -> Option<(u32, MacAddr)> {
    const STICKY: u8 = 0x40;
    let Place { port: index, learned } = parse(body)?;
    let sticky = *body.get(10)? & STICKY != 0;
    let attributes = Reader::after(body, HEADER);
    let of_a_bridge = attributes.find(NDA_MASTER).is_some();
    let mac = MacAddr::new(attributes.find(NDA_LLADDR)?.0.try_into().ok()?);
    (sticky && !learned && of_a_bridge).then_some((index, mac))
}

/// An entry of a bridge's table.
pub(crate) struct Entry {
    pub(crate) bridge: u32,
    pub(crate) mac: MacAddr,
    /// It was not learned, and never ages.
    pub(crate) stays: bool,
}

pub(crate) fn parse_entry(body: &[u8]) -> Option<Entry> {
    let state = u16::from_ne_bytes(body.get(8..10)?.try_into().ok()?);
    let attributes = Reader::after(body, HEADER);
    let bridge = attributes.find(NDA_MASTER).filter(|_| body[0] == libc::AF_BRIDGE as u8)?;
    let mac = MacAddr::new(attributes.find(NDA_LLADDR)?.0.try_into().ok()?);
    let bridge = u32::from_ne_bytes(bridge.0.try_into().ok()?);
    Some(Entry { bridge, mac, stays: state & (NUD_PERMANENT | NUD_NOARP) != 0 })
}
