//! Addresses, routes, rules, next hops and neighbours as they are: read whole, sent whole, with
//! another interface in the place of the one they had (linux/rtnetlink.h, linux/nexthop.h,
//! linux/neighbour.h, linux/fib_rules.h).

use super::attributes::{Reader, Writer};
use super::{CREATE, CREATE_NEW, Request};
use crate::entry::{
    Attribute, Entry, EntryKind, FRA_IIFNAME, FRA_OIFNAME, Hop, IFA_F_NODAD, NDA_DST, NDA_LLADDR, NHA_ID, NTF_PROXY,
    NUD_NOARP, NUD_PERMANENT, RTA_EXPIRES,
};
use crate::ifname::IfName;
use nix::libc;
use std::collections::BTreeMap;
use std::net::IpAddr;

// linux/rtnetlink.h, linux/nexthop.h; the libc crate has no names for some.
const RTM_NEWNEXTHOP: u16 = 104;
const RTM_DELNEXTHOP: u16 = 105;
const RTM_GETNEXTHOP: u16 = 106;
const NHA_OIF: u16 = 5;
const NDA_PROTOCOL: u16 = 12;
const NDA_FLAGS_EXT: u16 = 15;
const NTF_ROUTER: u8 = 0x80;
const NTF_EXT_LEARNED: u8 = 0x10;
const RTNH_F_ONLINK: u8 = 4;
const RTM_F_CLONED: u32 = 0x200;
const FIB_RULE_INVERT: u8 = 2;
const IFA_F_DADFAILED: u32 = 0x08;
/// What may be asked for: the kernel sets the others.
const ADDRESS_FLAGS: u32 = 0x02 | 0x10 | 0x100 | 0x200 | 0x400;
/// Hundredths of a second: USER_HZ on every architecture that Xen runs on.
const TICKS: u32 = 100;

const REPLACE: u16 = CREATE | libc::NLM_F_REPLACE as u16;
const APPEND: u16 = CREATE | libc::NLM_F_APPEND as u16;

/// The length of the fixed part of each kind's message, and where in it an interface is numbered.
const fn shape(kind: EntryKind) -> (usize, Option<usize>) {
    match kind {
        EntryKind::Address => (8, Some(4)),
        EntryKind::Route => (12, None),
        EntryKind::Rule => (12, None),
        EntryKind::Nexthop => (8, None),
        EntryKind::Neighbour => (12, Some(4)),
    }
}

/// To be dumped: all entries of a kind; routes and rules of one address family, neighbours with or
/// without those that dom0 answers for.
pub(crate) fn dumps() -> Vec<(EntryKind, Request)> {
    let dump = |kind: EntryKind, message: u16, family: i32, flags: u8| {
        let mut body = vec![0; shape(kind).0];
        body[0] = family as u8;
        if kind == EntryKind::Neighbour {
            body[10] = flags;
        }
        (kind, Request { kind: message, flags: 0, body })
    };
    let mut all = vec![
        dump(EntryKind::Address, libc::RTM_GETADDR, libc::AF_INET, 0),
        dump(EntryKind::Address, libc::RTM_GETADDR, libc::AF_INET6, 0),
        dump(EntryKind::Nexthop, RTM_GETNEXTHOP, libc::AF_UNSPEC, 0),
    ];
    for family in [libc::AF_INET, libc::AF_INET6] {
        all.push(dump(EntryKind::Route, libc::RTM_GETROUTE, family, 0));
        all.push(dump(EntryKind::Rule, libc::RTM_GETRULE, family, 0));
        all.push(dump(EntryKind::Neighbour, libc::RTM_GETNEIGH, family, 0));
        all.push(dump(EntryKind::Neighbour, libc::RTM_GETNEIGH, family, NTF_PROXY));
    }
    all
}

/// A neighbour, or an address that dom0 answers for, asked for alone (Linux 5.0).
pub(crate) fn get_neighbour(index: u32, ip: IpAddr, proxy: bool) -> Request {
    let (family, octets) = match ip {
        IpAddr::V4(ip) => (libc::AF_INET, ip.octets().to_vec()),
        IpAddr::V6(ip) => (libc::AF_INET6, ip.octets().to_vec()),
    };
    let mut header = [0; 12];
    header[0] = family as u8;
    header[4..8].copy_from_slice(&index.to_ne_bytes());
    header[10] = if proxy { NTF_PROXY } else { 0 };
    let mut body = Writer::after(&header);
    body.bytes(NDA_DST, &octets);
    Request { kind: libc::RTM_GETNEIGH, flags: 0, body: body.finish() }
}

/// Reads one. `None` for what is on no interface, what is the kernel's passing memory, and what is
/// not whole.
pub(crate) fn parse(kind: EntryKind, body: &[u8], names: &BTreeMap<u32, IfName>) -> Option<Entry> {
    let (length, place) = shape(kind);
    let mut header = body.get(..length)?.to_vec();
    let link = match place {
        Some(at) => Some(*names.get(&u32::from_ne_bytes(header[at..at + 4].try_into().ok()?))?),
        None => None,
    };
    if let Some(at) = place {
        header[at..at + 4].fill(0);
    }
    let index = |value: &[u8]| names.get(&u32::from_ne_bytes(value.try_into().ok()?)).copied();
    let mut attributes = Vec::new();
    for (number, value) in Reader::after(body, length) {
        let octets = || Attribute::Octets(value.0.to_vec());
        let value = match (kind, number) {
            (EntryKind::Address, libc::IFA_CACHEINFO) => {
                // How long it is valid and preferred; when it was made and changed is the kernel's.
                let mut times = value.0.to_vec();
                times.iter_mut().skip(8).for_each(|octet| *octet = 0);
                Attribute::Octets(times)
            }
            (EntryKind::Address, libc::IFA_FLAGS) => {
                let flags = value.u32()?;
                if flags & IFA_F_DADFAILED != 0 {
                    return None;
                }
                Attribute::Octets((flags & ADDRESS_FLAGS).to_ne_bytes().to_vec())
            }
            (EntryKind::Route, libc::RTA_OIF | libc::RTA_IIF) | (EntryKind::Nexthop, NHA_OIF) => {
                Attribute::Index(index(value.0)?)
            }
            (EntryKind::Route, libc::RTA_MULTIPATH) => Attribute::Hops(hops(value.0, names)?),
            (EntryKind::Route, libc::RTA_CACHEINFO) => {
                let expires = u32::from_ne_bytes(value.0.get(8..12)?.try_into().ok()?);
                // Of IPv6 routes only; negative ones are about to go.
                if expires == 0 || expires > i32::MAX as u32 {
                    continue;
                }
                attributes.push((RTA_EXPIRES, Attribute::Octets(expires.div_ceil(TICKS).to_ne_bytes().to_vec())));
                continue;
            }
            (EntryKind::Rule, FRA_IIFNAME | FRA_OIFNAME) => Attribute::Name(value.text()?.parse().ok()?),
            (EntryKind::Neighbour, NDA_DST | NDA_LLADDR | NDA_PROTOCOL | NDA_FLAGS_EXT) => octets(),
            (EntryKind::Neighbour, _) => continue,
            _ => octets(),
        };
        attributes.push((number, value));
    }
    match kind {
        EntryKind::Address => header[2] = 0,
        EntryKind::Route => {
            let flags = u32::from_ne_bytes(header[8..12].try_into().ok()?);
            if flags & RTM_F_CLONED != 0 {
                return None;
            }
            header[8..12].copy_from_slice(&(flags & u32::from(RTNH_F_ONLINK)).to_ne_bytes());
        }
        EntryKind::Rule => {
            let flags = header[8] & FIB_RULE_INVERT;
            header[8..12].copy_from_slice(&u32::from(flags).to_ne_bytes());
        }
        EntryKind::Nexthop => {
            header[1] = 0;
            let flags = u32::from_ne_bytes(header[4..8].try_into().ok()?) & u32::from(RTNH_F_ONLINK);
            header[4..8].copy_from_slice(&flags.to_ne_bytes());
        }
        EntryKind::Neighbour => {
            // The kind of address is for the kernel to tell.
            header[11] = 0;
            header[10] &= NTF_PROXY | NTF_ROUTER | NTF_EXT_LEARNED;
            let state = u16::from_ne_bytes([header[8], header[9]]);
            let state = match state {
                _ if header[10] & NTF_PROXY != 0 => 0,
                REACHABLE | NUD_PERMANENT => state,
                // The kernel's own are about groups and broadcasts.
                NUD_NOARP if attributes.iter().any(is_at_one) => state,
                // Was answered for once: it is asked again when it is used, and used meanwhile.
                STALE | DELAY | PROBE => STALE,
                _ => return None,
            };
            header[8..10].copy_from_slice(&state.to_ne_bytes());
        }
    }
    let entry = Entry { kind, header, link, attributes };
    (!entry.links().is_empty()).then_some(entry)
}

/// A link-layer address that is not a group's.
fn is_at_one((number, value): &(u16, Attribute)) -> bool {
    matches!(value, Attribute::Octets(mac) if *number == NDA_LLADDR && mac.first().is_some_and(|octet| octet & 1 == 0))
}

// linux/neighbour.h
const REACHABLE: u16 = 0x02;
const STALE: u16 = 0x04;
const DELAY: u16 = 0x08;
const PROBE: u16 = 0x10;

/// struct rtnexthop: length, flags, weight less one, index.
fn hops(mut rest: &[u8], names: &BTreeMap<u32, IfName>) -> Option<Vec<Hop>> {
    let mut hops = Vec::new();
    while let Some((head, _)) = rest.split_at_checked(8) {
        let length = usize::from(u16::from_ne_bytes([head[0], head[1]]));
        let link = *names.get(&u32::from_ne_bytes(head[4..8].try_into().ok()?))?;
        let attributes = rest.get(8..length)?.to_vec();
        hops.push(Hop { flags: head[2] & RTNH_F_ONLINK, weight: head[3], link, attributes });
        rest = rest.get(length.next_multiple_of(4)..).unwrap_or_default();
    }
    Some(hops)
}

/// Sends it: with the numbers that its interfaces have now; `Err` names one that is not there.
struct Sending<'a, F: Fn(IfName) -> Option<u32>> {
    entry: &'a Entry,
    index: F,
}

impl<F: Fn(IfName) -> Option<u32>> Sending<'_, F> {
    fn index(&self, link: IfName) -> Result<[u8; 4], IfName> {
        (self.index)(link).map(u32::to_ne_bytes).ok_or(link)
    }

    /// The body, with these flags of an address in place of its own.
    fn body(&self, flags: Option<u32>) -> Result<Vec<u8>, IfName> {
        let mut header = self.entry.header.clone();
        header.resize(shape(self.entry.kind).0, 0);
        if let (Some(link), Some(at)) = (self.entry.link, shape(self.entry.kind).1) {
            header[at..at + 4].copy_from_slice(&self.index(link)?);
        }
        let mut body = Writer::after(&header);
        for (kind, value) in &self.entry.attributes {
            match value {
                Attribute::Octets(_) if flags.is_some() && *kind == libc::IFA_FLAGS => {}
                Attribute::Octets(octets) => drop(body.bytes(*kind, octets)),
                Attribute::Index(link) => drop(body.bytes(*kind, &self.index(*link)?)),
                Attribute::Name(link) => drop(body.text(*kind, link.as_str())),
                Attribute::Hops(hops) => {
                    let mut list = Vec::new();
                    for hop in hops {
                        let length = (8 + hop.attributes.len()) as u16;
                        list.extend_from_slice(&length.to_ne_bytes());
                        list.extend_from_slice(&[hop.flags, hop.weight]);
                        list.extend_from_slice(&self.index(hop.link)?);
                        list.extend_from_slice(&hop.attributes);
                        list.resize(list.len().next_multiple_of(4), 0);
                    }
                    body.bytes(*kind, &list);
                }
            }
        }
        if let Some(flags) = flags {
            body.bytes(libc::IFA_FLAGS, &flags.to_ne_bytes());
        }
        Ok(body.finish())
    }
}

const fn messages(kind: EntryKind) -> (u16, u16) {
    match kind {
        EntryKind::Address => (libc::RTM_NEWADDR, libc::RTM_DELADDR),
        EntryKind::Route => (libc::RTM_NEWROUTE, libc::RTM_DELROUTE),
        EntryKind::Rule => (libc::RTM_NEWRULE, libc::RTM_DELRULE),
        EntryKind::Nexthop => (RTM_NEWNEXTHOP, RTM_DELNEXTHOP),
        EntryKind::Neighbour => (libc::RTM_NEWNEIGH, libc::RTM_DELNEIGH),
    }
}

/// Adds it where it is not.
pub(crate) fn add(entry: &Entry, index: impl Fn(IfName) -> Option<u32>) -> Result<Vec<Request>, IfName> {
    let sending = Sending { entry, index };
    let (kind, _) = messages(entry.kind);
    let flags = match entry.kind {
        EntryKind::Address | EntryKind::Rule => CREATE_NEW,
        EntryKind::Route => APPEND,
        EntryKind::Nexthop | EntryKind::Neighbour => REPLACE,
    };
    if entry.kind == EntryKind::Address && !entry.is_ipv4() {
        // The address was in use a moment ago: to wait for duplicates would leave it unusable for a
        // second. The flag that says so is no property of the address, and goes again.
        let own = entry.number(libc::IFA_FLAGS).unwrap_or_default();
        let add = Request { kind, flags, body: sending.body(Some(own | IFA_F_NODAD))? };
        let change = Request { kind, flags: libc::NLM_F_REPLACE as u16, body: sending.body(Some(own))? };
        return Ok(if own & IFA_F_NODAD == 0 { vec![add, change] } else { vec![add] });
    }
    Ok(vec![Request { kind, flags, body: sending.body(None)? }])
}

/// Puts it in the place of what is there under its key.
pub(crate) fn replace(entry: &Entry, index: impl Fn(IfName) -> Option<u32>) -> Result<Vec<Request>, IfName> {
    let (kind, _) = messages(entry.kind);
    Ok(vec![Request { kind, flags: REPLACE, body: Sending { entry, index }.body(None)? }])
}

pub(crate) fn delete(entry: &Entry, index: impl Fn(IfName) -> Option<u32>) -> Result<Vec<Request>, IfName> {
    let (_, kind) = messages(entry.kind);
    let named;
    let entry = match entry.kind {
        // A next hop is deleted by its number alone.
        EntryKind::Nexthop => {
            let attributes = entry.attributes.iter().filter(|(kind, _)| *kind == NHA_ID).cloned().collect();
            named = Entry { header: vec![0; 8], attributes, ..entry.clone() };
            &named
        }
        // The kernel gives addresses other labels when their interface is renamed.
        EntryKind::Address => {
            named = Entry {
                attributes: entry.attributes.iter().filter(|(kind, _)| *kind != libc::IFA_LABEL).cloned().collect(),
                ..entry.clone()
            };
            &named
        }
        _ => entry,
    };
    Ok(vec![Request { kind, flags: 0, body: Sending { entry, index }.body(None)? }])
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const KINDS: [EntryKind; 5] =
        [EntryKind::Address, EntryKind::Route, EntryKind::Rule, EntryKind::Nexthop, EntryKind::Neighbour];

    proptest! {
        #[test]
        fn any_octets_are_read_or_refused(bytes: Vec<u8>) {
            let names = BTreeMap::from([(0, "eth0".parse().unwrap()), (1, "eth1".parse().unwrap())]);
            for kind in KINDS {
                if let Some(entry) = parse(kind, &bytes, &names) {
                    let json = serde_json::to_string(&entry).unwrap();
                    prop_assert_eq!(&serde_json::from_str::<Entry>(&json).unwrap(), &entry);
                    let _ = (entry.to_string(), entry.moved("eth0".parse().unwrap(), "eth1".parse().unwrap()));
                    prop_assert!(add(&entry, |_| Some(1)).is_ok());
                }
            }
        }
    }

    #[test]
    fn what_is_read_is_sent_as_it_was() {
        let eth0: IfName = "eth0".parse().unwrap();
        let names = BTreeMap::from([(7, eth0)]);
        let mut header = vec![0; 12];
        header[0] = libc::AF_INET as u8;
        header[4] = libc::RT_TABLE_MAIN;
        header[7] = libc::RTN_UNICAST;
        let mut body = Writer::after(&header);
        body.bytes(libc::RTA_GATEWAY, &[192, 0, 2, 1]).bytes(libc::RTA_OIF, &7u32.to_ne_bytes());
        let body = body.finish();
        let entry = parse(EntryKind::Route, &body, &names).unwrap();
        assert_eq!(entry.to_string(), "route default via 192.0.2.1 dev eth0");
        assert_eq!(add(&entry, |_| Some(7)).unwrap()[0].body, body);
        let moved = entry.moved(eth0, "xenbr0".parse().unwrap());
        assert_eq!(moved.to_string(), "route default via 192.0.2.1 dev xenbr0");
        assert_eq!(add(&moved, |_| None).unwrap_err().as_str(), "xenbr0");
    }
}
