//! Connections that dom0 tracks (linux/netfilter/nfnetlink_conntrack.h): forgotten where they are of
//! somebody who had the address before.

use super::Request;
use super::address::ip;
use super::attributes::{Reader, Writer};
use ipnetwork::IpNetwork;
use nix::libc;
use std::net::IpAddr;

const SUBSYSTEM: u16 = 1 << 8;
const GET: u16 = SUBSYSTEM | 1;
const DELETE: u16 = SUBSYSTEM | 2;
/// Family, version, resource: struct nfgenmsg.
const HEADER: usize = 4;

// enum ctattr_type, ctattr_tuple, ctattr_ip, ctattr_filter
const TUPLE_ORIG: u16 = 1;
const TUPLE_REPLY: u16 = 2;
const ID: u16 = 12;
const ZONE: u16 = 18;
const FILTER: u16 = 25;
const TUPLE_IP: u16 = 1;
/// Source and destination of IPv4, then of IPv6; their numbers less one are the bits of a filter.
const IPS: [u16; 4] = [1, 2, 3, 4];

/// To be dumped: the connections in which these addresses take part. A kernel before 5.8 gives all.
pub(crate) fn all_of(addresses: &[IpNetwork]) -> Vec<Request> {
    let is_host = |net: &IpNetwork| net.prefix() == if net.is_ipv4() { 32 } else { 128 };
    let mut requests = Vec::new();
    for ipv4 in [true, false] {
        let of_family: Vec<_> = addresses.iter().filter(|net| net.is_ipv4() == ipv4).collect();
        if of_family.iter().all(|net| is_host(net)) {
            for (ip, (tuple, place)) in
                of_family.iter().flat_map(|net| SIDES.into_iter().map(move |side| (net.ip(), side)))
            {
                requests.push(request(ipv4, |body| filter(body, ip, tuple, place)));
            }
        } else {
            requests.push(request(ipv4, |_| {}));
        }
    }
    requests
}

/// Where an address may stand: who began it, who was meant, and who answers when that is another.
const SIDES: [(u16, usize); 3] = [(TUPLE_ORIG, 0), (TUPLE_ORIG, 1), (TUPLE_REPLY, 0)];

fn filter(body: &mut Writer, ip: IpAddr, tuple: u16, place: usize) {
    let kind = IPS[place + if ip.is_ipv4() { 0 } else { 2 }];
    body.nested(tuple, |tuple| {
        tuple.nested(TUPLE_IP, |body| match ip {
            IpAddr::V4(ip) => drop(body.bytes(kind, &ip.octets())),
            IpAddr::V6(ip) => drop(body.bytes(kind, &ip.octets())),
        });
    });
    // CTA_FILTER_ORIG_FLAGS and CTA_FILTER_REPLY_FLAGS have the numbers of the tuples.
    body.nested(FILTER, |filter| {
        filter.bytes(tuple, &(1u32 << (kind - 1)).to_ne_bytes());
    });
}

fn request(ipv4: bool, content: impl FnOnce(&mut Writer)) -> Request {
    let family = if ipv4 { libc::AF_INET } else { libc::AF_INET6 };
    let mut body = Writer::after(&[family as u8, 0, 0, 0]);
    content(&mut body);
    Request { kind: GET, flags: 0, body: body.finish() }
}

/// What deletes a connection of an answer, if one of these addresses takes part in it.
pub(crate) fn delete_if_of(addresses: &[IpNetwork], answer: &[u8]) -> Option<Request> {
    let attributes = Reader::after(answer, HEADER);
    let takes_part = |tuple: u16| {
        let tuple = attributes.nested(tuple).nested(TUPLE_IP);
        IPS.into_iter().filter_map(|kind| ip(tuple.find(kind)?)).any(|ip| addresses.iter().any(|net| net.contains(ip)))
    };
    if !(takes_part(TUPLE_ORIG) || takes_part(TUPLE_REPLY)) {
        return None;
    }
    let mut body = Writer::after(answer.get(..HEADER)?);
    body.bytes(TUPLE_ORIG | 0x8000, attributes.find(TUPLE_ORIG)?.0);
    for kind in [ID, ZONE] {
        if let Some(value) = attributes.find(kind) {
            body.bytes(kind, value.0);
        }
    }
    Some(Request { kind: DELETE, flags: 0, body: body.finish() })
}
