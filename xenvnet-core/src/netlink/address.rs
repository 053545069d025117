//! Addresses of dom0 (linux/if_addr.h).

use super::attributes::{Reader, Value, Writer};
use super::{CREATE_NEW, Request};
use ipnetwork::IpNetwork;
use netlink_packet_route::RouteNetlinkMessage;
use netlink_packet_route::address::{AddressFlags, AddressHeaderFlags, AddressMessage};
use nix::libc;
use rtnetlink::AddressMessageBuilder;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Family, prefix length, flags, scope, index: struct ifaddrmsg.
const HEADER: usize = 8;

/// To be dumped: the addresses of one link, or of all.
pub(crate) fn all(index: Option<u32>) -> Request {
    let mut header = [0; HEADER];
    header[4..8].copy_from_slice(&index.unwrap_or(0).to_ne_bytes());
    Request { kind: libc::RTM_GETADDR, flags: 0, body: Writer::after(&header).finish() }
}

/// Who made an address (IFA_PROTO in linux/if_addr.h, Linux 5.18): the kernel, for link-local use.
const PROTO: u16 = 11;
const KERNEL_LINK_LOCAL: u8 = 3;

/// Whether the kernel made an address by itself, and will take it away by itself; `None` on a kernel
/// that does not tell.
pub(crate) fn is_the_kernels(body: &[u8]) -> Option<bool> {
    Reader::after(body, HEADER).find(PROTO)?.u8().map(|proto| proto == KERNEL_LINK_LOCAL)
}

/// The index of the link, and the address with its prefix length.
pub(crate) fn parse(body: &[u8]) -> Option<(u32, IpNetwork)> {
    let prefix = *body.get(1)?;
    let index = u32::from_ne_bytes(body.get(4..8)?.try_into().ok()?);
    let attributes = Reader::after(body, HEADER);
    // On point-to-point links `address` is the peer's.
    let address = attributes.find(libc::IFA_LOCAL).or(attributes.find(libc::IFA_ADDRESS))?;
    Some((index, IpNetwork::new(ip(address)?, prefix).ok()?))
}

/// An IP address by its length.
pub(crate) fn ip(value: Value<'_>) -> Option<IpAddr> {
    ip_of(value.0)
}

pub(crate) fn ip_of(octets: &[u8]) -> Option<IpAddr> {
    match octets.len() {
        4 => Some(Ipv4Addr::from(<[u8; 4]>::try_from(octets).ok()?).into()),
        16 => Some(Ipv6Addr::from(<[u8; 16]>::try_from(octets).ok()?).into()),
        _ => None,
    }
}

fn message(index: u32, address: IpNetwork) -> AddressMessage {
    match address {
        IpNetwork::V4(net) => {
            AddressMessageBuilder::<Ipv4Addr>::new().index(index).address(net.ip(), net.prefix()).build()
        }
        IpNetwork::V6(net) => {
            let mut message =
                AddressMessageBuilder::<Ipv6Addr>::new().index(index).address(net.ip(), net.prefix()).build();
            // The bridge is ours and new, a vif has nobody but its guest: nobody can have the address,
            // and waiting for duplicates would leave it unusable for a second.
            message.header.flags = AddressHeaderFlags::Nodad;
            message.attributes.push(netlink_packet_route::address::AddressAttribute::Flags(AddressFlags::Nodad));
            message
        }
    }
}

pub(crate) fn add(index: u32, address: IpNetwork) -> Request {
    Request::route(RouteNetlinkMessage::NewAddress(message(index, address)), CREATE_NEW)
}

pub(crate) fn delete(index: u32, address: IpNetwork) -> Request {
    Request::route(RouteNetlinkMessage::DelAddress(message(index, address)), 0)
}
