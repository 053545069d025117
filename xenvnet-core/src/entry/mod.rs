//! What dom0 has on an interface, so that another can have it: addresses, routes, policy rules, next
//! hops, neighbours, each just as the kernel told it.

mod text;

pub(crate) use text::{FRA_IIFNAME, FRA_OIFNAME};

use crate::ifname::IfName;
use ipnetwork::IpNetwork;
use nix::libc;
use serde::{Deserialize, Serialize};
use std::net::IpAddr;

/// One line of a table of the kernel's: an address, a route, a policy rule, a next hop or a
/// neighbour. It holds every attribute that the kernel told, known here or not, so that nothing is
/// lost when it moves from one interface to another. Interfaces are named, not numbered.
///
/// ```
/// // As `plan` shows one: `~ route default via 192.0.2.1 proto static: dev eth0 -> xenbr0`.
/// let json = r#"{"kind":"neighbour","header":"020000000000000080000000","link":"eth0","attributes":[[1,{"octets":"c0000201"}],[2,{"octets":"020000000001"}]]}"#;
/// let entry: xenvnet_core::Entry = serde_json::from_str(json).unwrap();
/// assert_eq!(entry.to_string(), "neighbour 192.0.2.1 lladdr 02:00:00:00:00:01 permanent dev eth0");
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    pub(crate) kind: EntryKind,
    /// The fixed part of its message, with zeros where an interface's number belongs.
    #[serde(with = "hex")]
    pub(crate) header: Vec<u8>,
    /// The interface that its fixed part names.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) link: Option<IfName>,
    pub(crate) attributes: Vec<(u16, Attribute)>,
}

/// What an [`Entry`] is.
///
/// ```
/// assert_eq!(xenvnet_core::EntryKind::Nexthop.to_string(), "nexthop");
/// ```
#[non_exhaustive]
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EntryKind {
    /// An address of dom0's (ip-address(8)).
    Address,
    /// A route (ip-route(8)).
    Route,
    /// A policy rule that names an interface (ip-rule(8)).
    Rule,
    /// A next hop that routes refer to (ip-nexthop(8)).
    Nexthop,
    /// A neighbour, or an address that dom0 answers for (ip-neighbour(8)).
    Neighbour,
}

/// The value of an attribute.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Attribute {
    #[serde(with = "hex")]
    Octets(Vec<u8>),
    /// An interface, by its number in the message.
    Index(IfName),
    /// An interface, by its name in the message.
    Name(IfName),
    /// The paths of a route that has several.
    Hops(Vec<Hop>),
}

/// One path of several: struct rtnexthop.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Hop {
    pub(crate) flags: u8,
    pub(crate) weight: u8,
    pub(crate) link: IfName,
    #[serde(with = "hex")]
    pub(crate) attributes: Vec<u8>,
}

/// Octets as text.
mod hex {
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    pub(super) fn serialize<S: Serializer>(octets: &[u8], to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(&octets.iter().map(|octet| format!("{octet:02x}")).collect::<String>())
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<u8>, D::Error> {
        let text = String::deserialize(from)?;
        let pairs = text.as_bytes().chunks(2);
        let octet = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok();
        pairs.map(octet).collect::<Option<_>>().ok_or_else(|| D::Error::custom("these are no octets in hexadecimal"))
    }
}

/// Flags of an address (linux/if_addr.h).
pub(crate) const IFA_F_NODAD: u32 = 0x02;
const IFA_F_NOPREFIXROUTE: u32 = 0x200;

impl Entry {
    /// What it is.
    ///
    /// ```
    /// use xenvnet_core::{Entry, EntryKind};
    /// let json = r#"{"kind":"rule","header":"020000000000000100000000","attributes":[[3,{"name":"eth0"}]]}"#;
    /// assert_eq!(serde_json::from_str::<Entry>(json).unwrap().kind(), EntryKind::Rule);
    /// ```
    pub fn kind(&self) -> EntryKind {
        self.kind
    }

    pub(crate) fn octets(&self, kind: u16) -> Option<&[u8]> {
        self.attributes.iter().find_map(|(k, value)| match value {
            Attribute::Octets(octets) if *k == kind => Some(octets.as_slice()),
            _ => None,
        })
    }

    pub(crate) fn number(&self, kind: u16) -> Option<u32> {
        Some(u32::from_ne_bytes(self.octets(kind)?.try_into().ok()?))
    }

    fn header_octet(&self, at: usize) -> u8 {
        self.header.get(at).copied().unwrap_or_default()
    }

    pub(crate) fn is_ipv4(&self) -> bool {
        i32::from(self.header_octet(0)) == libc::AF_INET
    }

    fn ip(&self, kind: u16) -> Option<IpAddr> {
        crate::netlink::address::ip_of(self.octets(kind)?)
    }

    /// The interfaces that it names.
    pub(crate) fn links(&self) -> Vec<IfName> {
        let in_attributes = self.attributes.iter().flat_map(|(_, value)| match value {
            Attribute::Octets(_) => Vec::new(),
            Attribute::Index(link) | Attribute::Name(link) => vec![*link],
            Attribute::Hops(hops) => hops.iter().map(|hop| hop.link).collect(),
        });
        self.link.into_iter().chain(in_attributes).collect()
    }

    /// Those of them that its message numbers.
    pub(crate) fn indexed_links(&self) -> Vec<IfName> {
        if self.kind == EntryKind::Rule { Vec::new() } else { self.links() }
    }

    pub(crate) fn names(&self, link: IfName) -> bool {
        self.links().contains(&link)
    }

    /// The same on another interface. Labels of addresses go with the interface's name.
    pub(crate) fn moved(&self, from: IfName, to: IfName) -> Entry {
        let swap = |link: &mut IfName| {
            if *link == from {
                *link = to;
            }
        };
        let mut entry = self.clone();
        entry.link.iter_mut().for_each(swap);
        for (kind, value) in &mut entry.attributes {
            match value {
                Attribute::Index(link) | Attribute::Name(link) => swap(link),
                Attribute::Hops(hops) => hops.iter_mut().for_each(|hop| swap(&mut hop.link)),
                Attribute::Octets(octets) if self.kind == EntryKind::Address && *kind == libc::IFA_LABEL => {
                    *octets = label_on(octets, from, to);
                }
                Attribute::Octets(_) => {}
            }
        }
        entry
    }

    /// Whether two say the same of the same thing; times that run down do not count.
    pub(crate) fn is_same(&self, other: &Entry) -> bool {
        let runs_down: &[u16] = match self.kind {
            EntryKind::Address => &[libc::IFA_CACHEINFO],
            EntryKind::Route => &[RTA_EXPIRES],
            _ => &[],
        };
        let fixed = |(kind, _): &&(u16, Attribute)| !runs_down.contains(kind);
        match (self.kind, other.kind) {
            // The rest of them changes by itself.
            (EntryKind::Neighbour, EntryKind::Neighbour) => {
                (self.link, self.octets(NDA_DST), self.is_proxy())
                    == (other.link, other.octets(NDA_DST), other.is_proxy())
            }
            (EntryKind::Address, EntryKind::Address) => {
                self.link == other.link && self.address() == other.address() && self.peer() == other.peer()
            }
            _ => {
                (self.kind, &self.header, self.link) == (other.kind, &other.header, other.link)
                    && self.attributes.iter().filter(fixed).eq(other.attributes.iter().filter(fixed))
            }
        }
    }
}

/// What an address is called on another interface: `eth0:1` becomes `xenbr0:1`, if that is short enough.
fn label_on(label: &[u8], from: IfName, to: IfName) -> Vec<u8> {
    let end = label.iter().position(|octet| *octet == 0).unwrap_or(label.len());
    let moved = std::str::from_utf8(&label[..end]).ok().and_then(|text| text.strip_prefix(from.as_str()));
    match moved {
        Some(rest) if rest.is_empty() || rest.starts_with(':') => {
            let text = format!("{to}{rest}\0");
            if text.len() <= IfName::SIZE { text.into_bytes() } else { label.to_vec() }
        }
        _ => label.to_vec(),
    }
}

pub(crate) const NDA_DST: u16 = 1;
pub(crate) const NDA_LLADDR: u16 = 2;
pub(crate) const RTA_EXPIRES: u16 = 23;
pub(crate) const RTA_NH_ID: u16 = 30;
pub(crate) const NHA_ID: u16 = 1;
/// In the flags of a neighbour (linux/neighbour.h).
pub(crate) const NTF_PROXY: u8 = 0x08;
pub(crate) const NUD_PERMANENT: u16 = 0x80;
pub(crate) const NUD_NOARP: u16 = 0x40;

/// # Addresses
impl Entry {
    /// The address with its prefix length.
    pub(crate) fn address(&self) -> Option<IpNetwork> {
        let ip = self.ip(libc::IFA_LOCAL).or_else(|| self.ip(libc::IFA_ADDRESS))?;
        (self.kind == EntryKind::Address).then(|| IpNetwork::new(ip, self.header_octet(1)).ok())?
    }

    /// Whether a new entry takes its place before this one: among the IPv6 addresses of an interface, the
    /// latest comes first of its scope, and the wider scope before (`ipv6_link_dev_addr` of the kernel).
    pub(crate) fn follows(&self, new: &Entry) -> bool {
        const SCOPE: usize = 3;
        let is_ipv6_address = |entry: &Entry| entry.kind == EntryKind::Address && !entry.is_ipv4();
        is_ipv6_address(new)
            && is_ipv6_address(self)
            && self.link == new.link
            && self.header_octet(SCOPE) >= new.header_octet(SCOPE)
    }

    /// What it is the address towards: the other end of a line between two, else the address itself.
    fn peer(&self) -> Option<IpAddr> {
        self.ip(libc::IFA_ADDRESS)
    }

    /// Whether the kernel adds and takes the route to its subnet with it.
    fn brings_route(&self, subnet: IpNetwork) -> bool {
        let flags = self.number(libc::IFA_FLAGS).unwrap_or_default();
        let net = self.peer().and_then(|ip| IpNetwork::new(ip, self.header_octet(1)).ok());
        // Of a line between two, IPv6 has a route to its own end too.
        let own = self.address().map(|address| IpNetwork::from(address.ip()));
        let is_it = |net: IpNetwork| net.network() == subnet.network() && net.prefix() == subnet.prefix();
        flags & IFA_F_NOPREFIXROUTE == 0 && net.into_iter().chain(own).any(is_it)
    }
}

/// # Routes
impl Entry {
    fn table(&self) -> u32 {
        self.number(libc::RTA_TABLE).unwrap_or(u32::from(self.header_octet(4)))
    }

    /// Where it leads.
    pub(crate) fn destination(&self) -> Option<IpNetwork> {
        let unspecified = || if self.is_ipv4() { IpAddr::from([0u8; 4]) } else { IpAddr::from([0u8; 16]) };
        let ip = self.ip(libc::RTA_DST).unwrap_or_else(unspecified);
        (self.kind == EntryKind::Route).then(|| IpNetwork::new(ip, self.header_octet(1)).ok())?
    }

    pub(crate) fn metric(&self) -> u32 {
        self.number(libc::RTA_PRIORITY).unwrap_or_default()
    }

    /// Routes of which the kernel takes the first one alone, or replaces the first one alone.
    pub(crate) fn is_equal_route(&self, other: &Entry) -> bool {
        // The family, the lengths of the prefixes, the type of service.
        let lengths = |route: &Entry| [0, 1, 2, 3].map(|at| route.header_octet(at));
        // The destination before all: it tells the most of a host's thousands apart.
        self.kind == EntryKind::Route
            && other.kind == EntryKind::Route
            && lengths(self) == lengths(other)
            && self.octets(libc::RTA_DST) == other.octets(libc::RTA_DST)
            && self.octets(libc::RTA_SRC) == other.octets(libc::RTA_SRC)
            && (self.table(), self.metric()) == (other.table(), other.metric())
    }

    /// Whether the kernel made it by itself, and makes it again when its address or link comes.
    pub(crate) fn is_the_kernels(&self, addresses: &[&Entry]) -> bool {
        let kind = self.header_octet(7);
        let made = self.header_octet(5) == libc::RTPROT_KERNEL;
        let local = matches!(kind, libc::RTN_LOCAL | libc::RTN_BROADCAST | libc::RTN_ANYCAST | libc::RTN_MULTICAST);
        let of_address = || self.destination().is_some_and(|net| addresses.iter().any(|a| a.brings_route(net)));
        made && (local || of_address())
    }

    /// Whether an address or a route comes and goes by itself: with its interface, or as a router advertises it.
    pub(crate) fn is_passing(&self) -> bool {
        const RTPROT_RA: u8 = 9;
        match self.kind {
            // How long it is valid (struct ifa_cacheinfo in linux/if_addr.h); no end of permanent ones.
            EntryKind::Address => {
                let valid = self.octets(libc::IFA_CACHEINFO).and_then(|times| times.get(4..8));
                valid.is_some_and(|valid| valid != [0xff; 4])
            }
            EntryKind::Route => [libc::RTPROT_KERNEL, RTPROT_RA].contains(&self.header_octet(5)),
            _ => false,
        }
    }

    /// The interface and the subnet, where it is a route of the kind that this library makes.
    pub(crate) fn as_direct_route(&self) -> Option<(IfName, IpNetwork)> {
        let ours = self.table() == u32::from(libc::RT_TABLE_MAIN)
            && self.header_octet(5) == libc::RTPROT_STATIC
            && self.header_octet(7) == libc::RTN_UNICAST
            && self.is_direct();
        Some((self.links().first().copied()?, self.destination().filter(|_| ours)?))
    }

    /// A route to somebody, not to this host itself, to all, or to nobody.
    pub(crate) fn is_unicast(&self) -> bool {
        self.header_octet(7) == libc::RTN_UNICAST
    }

    /// Whether it goes by next hops of its own, not by a next hop object that moves for all of its routes.
    pub(crate) fn has_own_hops(&self) -> bool {
        !self.attributes.iter().any(|(kind, _)| *kind == RTA_NH_ID)
    }

    /// A route to a gateway needs the one that leads to the gateway first.
    pub(crate) fn is_direct(&self) -> bool {
        self.octets(libc::RTA_GATEWAY).is_none()
            && !self.attributes.iter().any(|(_, value)| matches!(value, Attribute::Hops(_)))
    }

    /// The interface of a default route of the main table.
    pub(crate) fn default_link(&self) -> Option<IfName> {
        let is_default = self.kind == EntryKind::Route
            && self.header_octet(1) == 0
            && self.table() == u32::from(libc::RT_TABLE_MAIN)
            && self.header_octet(7) == libc::RTN_UNICAST;
        is_default.then(|| self.links().first().copied())?
    }
}

/// # Neighbours
impl Entry {
    /// A neighbour that never ages.
    pub(crate) fn permanent_neighbour(link: IfName, ip: IpAddr, mac: crate::mac::MacAddr) -> Entry {
        let mut entry = Entry::neighbour(link, ip, NUD_PERMANENT, 0);
        entry.attributes.push((NDA_LLADDR, Attribute::Octets(mac.octets().to_vec())));
        entry
    }

    /// An address that dom0 answers neighbour solicitations for.
    pub(crate) fn proxy(link: IfName, ip: IpAddr) -> Entry {
        Entry::neighbour(link, ip, NUD_PERMANENT, NTF_PROXY)
    }

    fn neighbour(link: IfName, ip: IpAddr, state: u16, flags: u8) -> Entry {
        let (family, octets) = match ip {
            IpAddr::V4(ip) => (libc::AF_INET, ip.octets().to_vec()),
            IpAddr::V6(ip) => (libc::AF_INET6, ip.octets().to_vec()),
        };
        let mut header = vec![0; 12];
        header[0] = family as u8;
        header[8..10].copy_from_slice(&state.to_ne_bytes());
        header[10] = flags;
        let attributes = vec![(NDA_DST, Attribute::Octets(octets))];
        Entry { kind: EntryKind::Neighbour, header, link: Some(link), attributes }
    }

    pub(crate) fn state(&self) -> u16 {
        u16::from_ne_bytes([self.header_octet(8), self.header_octet(9)])
    }

    pub(crate) fn is_proxy(&self) -> bool {
        self.header_octet(10) & NTF_PROXY != 0
    }

    /// Whether it stays until somebody takes it away.
    pub(crate) fn is_permanent(&self) -> bool {
        self.is_proxy() || self.state() & (NUD_PERMANENT | NUD_NOARP) != 0
    }
}
