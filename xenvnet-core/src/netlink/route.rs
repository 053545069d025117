//! Routes to subnets that are reached directly over a link (linux/rtnetlink.h).

use super::attributes::{Reader, Writer};
use super::{CREATE_NEW, Request};
use ipnetwork::IpNetwork;
use netlink_packet_route::RouteNetlinkMessage;
use netlink_packet_route::route::{RouteAttribute, RouteMessage, RouteScope};
use nix::libc;
use rtnetlink::RouteMessageBuilder;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Family, lengths, tos, table, protocol, scope, type, flags: struct rtmsg.
const HEADER: usize = 12;

/// To be dumped: the routes of one address family, over one link or all.
pub(crate) fn all(ipv4: bool, index: Option<u32>) -> Request {
    let mut header = [0; HEADER];
    header[0] = if ipv4 { libc::AF_INET as u8 } else { libc::AF_INET6 as u8 };
    let mut body = Writer::after(&header);
    if let Some(index) = index {
        body.bytes(libc::RTA_OIF, &index.to_ne_bytes());
    }
    Request { kind: libc::RTM_GETROUTE, flags: 0, body: body.finish() }
}

/// The index of the link, the subnet and the metric, for a route of the kind that [`add`] makes.
pub(crate) fn parse(body: &[u8]) -> Option<(u32, IpNetwork, Option<u32>)> {
    let &[family, prefix, _, _, table, protocol, _, kind, ..] = body else { return None };
    let attributes = Reader::after(body, HEADER);
    let ours = table == libc::RT_TABLE_MAIN
        && protocol == libc::RTPROT_STATIC
        && kind == libc::RTN_UNICAST
        && attributes.find(libc::RTA_GATEWAY).is_none();
    let unspecified: IpAddr =
        if i32::from(family) == libc::AF_INET { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
    let ip = attributes.find(libc::RTA_DST).map_or(Some(unspecified), super::address::ip)?;
    let index = attributes.find(libc::RTA_OIF)?.u32()?;
    let metric = attributes.find(libc::RTA_PRIORITY).and_then(|metric| metric.u32());
    ours.then_some((index, IpNetwork::new(ip, prefix).ok()?, metric))
}

/// Tells of changes of IPv6 routes (RTNLGRP_IPV6_ROUTE).
pub(crate) const CHANGES6: u32 = 11;

/// To be dumped: the routes by which a link's IPv6 addresses are this host's own.
pub(crate) fn own6(index: u32) -> Request {
    let mut header = [0; HEADER];
    header[0] = libc::AF_INET6 as u8;
    header[4] = libc::RT_TABLE_LOCAL;
    let mut body = Writer::after(&header);
    body.bytes(libc::RTA_OIF, &index.to_ne_bytes());
    Request { kind: libc::RTM_GETROUTE, flags: 0, body: body.finish() }
}

/// The link and the address of such a route.
pub(crate) fn parse_own6(body: &[u8]) -> Option<(u32, IpAddr)> {
    let &[_, 128, _, _, libc::RT_TABLE_LOCAL, _, _, libc::RTN_LOCAL, ..] = body else { return None };
    let attributes = Reader::after(body, HEADER);
    Some((attributes.find(libc::RTA_OIF)?.u32()?, super::address::ip(attributes.find(libc::RTA_DST)?)?))
}

fn message(index: u32, subnet: IpNetwork, metric: Option<u32>) -> RouteMessage {
    let mut message = match subnet {
        IpNetwork::V4(net) => RouteMessageBuilder::<Ipv4Addr>::new()
            .destination_prefix(net.ip(), net.prefix())
            .output_interface(index)
            .scope(RouteScope::Link)
            .build(),
        IpNetwork::V6(net) => RouteMessageBuilder::<Ipv6Addr>::new()
            .destination_prefix(net.ip(), net.prefix())
            .output_interface(index)
            .build(),
    };
    message.attributes.extend(metric.map(RouteAttribute::Priority));
    message
}

pub(crate) fn add(index: u32, subnet: IpNetwork, metric: Option<u32>) -> Request {
    Request::route(RouteNetlinkMessage::NewRoute(message(index, subnet, metric)), CREATE_NEW)
}

pub(crate) fn delete(index: u32, subnet: IpNetwork, metric: Option<u32>) -> Request {
    Request::route(RouteNetlinkMessage::DelRoute(message(index, subnet, metric)), 0)
}
