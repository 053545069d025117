//! Set elements: the facts of a lock, drop counters, networks that run.

pub(crate) mod raw;

use super::accounts::{self, RECEIVED, SENT};
use super::ruleset::{
    AT_INGRESS, FORWARDS4, FORWARDS6, GUARDED, HAIRPIN4, HAIRPIN6, NETWORKS, OWN_DHCP, OWN_IP4, OWN_IP4NET, OWN_IP6,
    OWN_IP6_RAW, OWN_IP6NET, OWN_IP6NET_RAW, OWN_MAC, OWN_MAC_RAW, PINGED, SERVICES, SHIELDED, SOLICITED, TRACKED,
    UNTRACKED, UNTRACKED_MACS, dropped,
};
use super::{HEADER, comment, drop_sets, key_of, message, read_user_text};
use crate::account::{Account, Counter};
use crate::antispoof::{Fact, Lock};
use crate::drops::{DropReason, Drops};
use crate::guard::Guard;
use crate::ifname::IfName;
use crate::mac::MacAddr;
use crate::netlink::attributes::{Reader, Writer};
use crate::netlink::{CREATE, Request};
use crate::table::Table;
use ipnetwork::{Ipv4Network, Ipv6Network};
use nix::libc;
use std::collections::{BTreeMap, BTreeSet};

/// An element as bytes: its key, the end of its range, what it counted, its comment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Element {
    pub(super) key: Vec<u8>,
    pub(super) end: Option<Vec<u8>>,
    /// What a map maps it to.
    pub(super) data: Option<Vec<u8>>,
    pub(super) counter: Option<Counter>,
    pub(super) comment: Option<String>,
}

impl Element {
    /// What no two elements of a set have in common.
    pub(crate) fn identity(&self) -> (&[u8], Option<&[u8]>) {
        (&self.key, self.end.as_deref())
    }
}

/// Adds or deletes elements of one set, many in one message.
fn change(table: Table, what: i32, set: &str, elements: &[Element]) -> Request {
    message(table, what, if what == libc::NFT_MSG_NEWSETELEM { CREATE } else { 0 }, |body| {
        body.text(2, set);
        body.nested(3, |list| elements.iter().for_each(|element| write(list, element)));
    })
}

/// Adds or deletes elements of several sets.
pub(super) fn by_set(
    table: Table,
    what: i32,
    placed: impl IntoIterator<Item = (&'static str, Element)>,
) -> Vec<Request> {
    let mut sets: BTreeMap<&'static str, Vec<Element>> = BTreeMap::new();
    for (set, element) in placed {
        sets.entry(set).or_default().push(element);
    }
    // An attribute's length is 16 bits: elements of a long lock go in several messages.
    let parts = sets.iter().flat_map(|(set, elements)| elements.chunks(128).map(move |part| (set, part)));
    parts.map(|(set, part)| change(table, what, set, part)).collect()
}

fn write(list: &mut Writer, element: &Element) {
    list.nested(1, |body| {
        body.nested(1, |key| {
            key.bytes(1, &element.key);
        });
        if let Some(end) = &element.end {
            body.nested(10, |key| {
                key.bytes(1, end);
            });
        }
        if let Some(data) = &element.data {
            body.nested(2, |value| {
                value.bytes(1, data);
            });
        }
        if let Some(text) = &element.comment {
            body.bytes(6, &comment(text));
        }
        if let Some(counter) = element.counter {
            body.nested(7, |expression| {
                expression.text(1, "counter").nested(2, |data| {
                    data.be64(1, counter.bytes).be64(2, counter.packets);
                });
            });
        }
    });
}

fn get(table: Table, set: &str, name: IfName) -> Request {
    change(table, libc::NFT_MSG_GETSETELEM, set, &[Element { key: key_of(name), ..Element::default() }])
}

pub(super) fn get_all(table: Table, set: &str) -> Request {
    message(table, libc::NFT_MSG_GETSETELEM, 0, |body| {
        body.text(2, set);
    })
}

/// The elements of an answer: key, end, data, userdata, counter.
pub(super) struct Seen<'a> {
    pub(super) key: &'a [u8],
    end: Option<&'a [u8]>,
    data: Option<&'a [u8]>,
    pub(super) userdata: &'a [u8],
    pub(super) counter: Option<Counter>,
}

pub(super) fn elements(body: &[u8]) -> impl Iterator<Item = Seen<'_>> {
    Reader::after(body, HEADER).nested(3).filter_map(|(_, element)| {
        let element = element.nested();
        let counter = |kind: u16| {
            let expression = element.nested(kind);
            let expression = if kind == 11 { expression.nested(1) } else { expression };
            (expression.find(1)?.text()? == "counter").then_some(())?;
            let data = expression.nested(2);
            Some(Counter::new(data.find(2)?.be64()?, data.find(1)?.be64()?))
        };
        Some(Seen {
            key: element.nested(1).find(1)?.0,
            end: element.nested(10).find(1).map(|value| value.0),
            data: element.nested(2).find(1).map(|value| value.0),
            userdata: element.find(6).map_or(&[], |value| value.0),
            counter: counter(7).or_else(|| counter(11)),
        })
    })
}

/// Whether a dump of a set told any.
pub(crate) fn has_elements(messages: &[(u16, Vec<u8>)]) -> bool {
    messages.iter().any(|(_, body)| elements(body).next().is_some())
}

pub(super) fn name_of(key: &[u8]) -> Option<IfName> {
    let name = key.get(..IfName::SIZE)?;
    let end = name.iter().position(|b| *b == 0)?;
    IfName::new(std::str::from_utf8(&name[..end]).ok()?).ok()
}

/// The key of a fact: fields padded to four octets.
fn fact_key(vif: IfName, mac: MacAddr, ip: &[u8]) -> Vec<u8> {
    [&vif.padded()[..], &mac.octets(), &[0, 0], ip].concat()
}

/// The elements of a fact, each with its set.
fn fact_elements(vif: IfName, fact: &Fact) -> Vec<(&'static str, Element)> {
    let one = |mac, ip: &[u8]| Element { key: fact_key(vif, mac, ip), ..Element::default() };
    let range = |mac, from: &[u8], to: &[u8]| Element { end: Some(fact_key(vif, mac, to)), ..one(mac, from) };
    let (sets, element): (&[&str], _) = match *fact {
        Fact::Mac(mac) => (&[OWN_MAC, OWN_MAC_RAW], one(mac, &[])),
        Fact::Dhcp(mac) => (&[OWN_DHCP], one(mac, &[])),
        Fact::Ip4(mac, ip) => (&[OWN_IP4], one(mac, &ip.octets())),
        Fact::Ip4Net(mac, net) => (&[OWN_IP4NET], range(mac, &net.network().octets(), &net.broadcast().octets())),
        Fact::Ip6(mac, ip) => (&[OWN_IP6, OWN_IP6_RAW], one(mac, &ip.octets())),
        Fact::Ip6Net(mac, net) => {
            (&[OWN_IP6NET, OWN_IP6NET_RAW], range(mac, &net.network().octets(), &net.broadcast().octets()))
        }
    };
    sets.iter().map(|set| (*set, element.clone())).collect()
}

/// Reads a fact back from a set's element.
fn parse_fact(set: &str, seen: &Seen<'_>) -> Option<(IfName, Fact)> {
    let vif = name_of(seen.key)?;
    let mac = MacAddr::new(seen.key.get(16..22)?.try_into().ok()?);
    let ip4 = |key: &[u8]| Some(u32::from_be_bytes(key.get(24..28)?.try_into().ok()?));
    let ip6 = |key: &[u8]| Some(u128::from_be_bytes(key.get(24..40)?.try_into().ok()?));
    let fact = match set {
        OWN_MAC => Fact::Mac(mac),
        OWN_DHCP => Fact::Dhcp(mac),
        OWN_IP4 => Fact::Ip4(mac, ip4(seen.key)?.into()),
        OWN_IP6 => Fact::Ip6(mac, ip6(seen.key)?.into()),
        OWN_IP4NET => {
            let (from, to) = (ip4(seen.key)?, ip4(seen.end?)?);
            Fact::Ip4Net(mac, Ipv4Network::new_checked(from.into(), (from ^ to).leading_zeros() as u8)?)
        }
        OWN_IP6NET => {
            let (from, to) = (ip6(seen.key)?, ip6(seen.end?)?);
            Fact::Ip6Net(mac, Ipv6Network::new_checked(from.into(), (from ^ to).leading_zeros() as u8)?)
        }
        _ => return None,
    };
    Some((vif, fact))
}

pub(crate) const FACT_SETS: [&str; 6] = [OWN_MAC, OWN_DHCP, OWN_IP4, OWN_IP4NET, OWN_IP6, OWN_IP6NET];

/// Locks and drop counters.
pub(crate) mod guard {
    use super::*;

    /// The request that tells the lock of one interface, then those that tell its drops.
    pub(crate) fn get_one(table: Table, vif: IfName) -> Request {
        get(table, GUARDED, vif)
    }

    pub(crate) fn get_drops_of(table: Table, vif: IfName) -> impl Iterator<Item = (DropReason, Request)> {
        drop_sets(table).map(move |(reason, set)| (reason, get(table, set, vif)))
    }

    /// The dump that tells all locks.
    pub(crate) fn get_every(table: Table) -> Request {
        get_all(table, GUARDED)
    }

    /// The dumps that tell all drops.
    pub(crate) fn get_drops(table: Table) -> impl Iterator<Item = (DropReason, Request)> {
        drop_sets(table).map(move |(reason, set)| (reason, get_all(table, set)))
    }

    /// The dumps of the sets that hold the facts of locks.
    pub(crate) fn get_facts(table: Table) -> Vec<(&'static str, Request)> {
        FACT_SETS.into_iter().map(|set| (set, get_all(table, set))).collect()
    }

    /// What turns one lock into another: only the difference is touched, and the element that
    /// guards is changed with it in the same transaction.
    pub(crate) fn change_lock(table: Table, vif: IfName, from: Option<&Guard>, to: Option<&Guard>) -> Vec<Request> {
        let facts = |guard: Option<&Guard>| guard.map(|guard| guard.lock.facts()).unwrap_or_default();
        let (old, new) = (facts(from), facts(to));
        let mut requests = Vec::new();
        let guarded = |comment: Option<String>| [Element { key: key_of(vif), comment, ..Element::default() }];
        // A comment cannot be changed in place. Between the two the interface is not guarded, but
        // no packet sees that: the transaction becomes visible as a whole.
        if from.is_some() {
            requests.push(change(table, libc::NFT_MSG_DELSETELEM, GUARDED, &guarded(None)));
        }
        let placed = |fact: &Fact| fact_elements(vif, fact);
        requests.extend(by_set(table, libc::NFT_MSG_DELSETELEM, old.difference(&new).flat_map(placed)));
        requests.extend(by_set(table, libc::NFT_MSG_NEWSETELEM, new.difference(&old).flat_map(placed)));
        if let Some(to) = to {
            requests.push(change(table, libc::NFT_MSG_NEWSETELEM, GUARDED, &guarded(Some(to.comment()))));
        }
        requests
    }

    pub(crate) fn forget_drops(table: Table, vif: IfName, reasons: &[DropReason]) -> Vec<Request> {
        let element = || [Element { key: key_of(vif), ..Element::default() }];
        let delete = |reason: &DropReason| change(table, libc::NFT_MSG_DELSETELEM, dropped(*reason), &element());
        reasons.iter().map(delete).collect()
    }
}

/// The names that routed packets of guests may come in by.
pub(crate) mod at_ingress {
    use super::*;

    pub(crate) fn get_one(vif: IfName) -> Request {
        get(Table::Inet, AT_INGRESS, vif)
    }

    pub(crate) fn get_every() -> Request {
        get_all(Table::Inet, AT_INGRESS)
    }

    pub(crate) fn add(vif: IfName) -> Request {
        change(Table::Inet, libc::NFT_MSG_NEWSETELEM, AT_INGRESS, &[Element { key: key_of(vif), ..Element::default() }])
    }

    pub(crate) fn delete(vif: IfName) -> Request {
        change(Table::Inet, libc::NFT_MSG_DELSETELEM, AT_INGRESS, &[Element { key: key_of(vif), ..Element::default() }])
    }

    pub(crate) fn parse(body: &[u8]) -> Vec<IfName> {
        elements(body).filter_map(|seen| name_of(seen.key)).collect()
    }
}

/// What guests reach on dom0.
pub(crate) mod dom0 {
    use super::*;
    use crate::dom0::{Dom0, Service};

    pub(crate) fn get_one(interface: IfName) -> Request {
        get(Table::Dom0, SHIELDED, interface)
    }

    pub(crate) fn get_every() -> Request {
        get_all(Table::Dom0, SHIELDED)
    }

    /// The elements of a setting, each with its set.
    pub(super) fn placed(interface: IfName, access: &Dom0) -> Vec<(&'static str, Element)> {
        let name = |comment| Element { key: key_of(interface), comment, ..Element::default() };
        let mut placed = vec![(SHIELDED, name(Some(access.to_string())))];
        for (service, set) in [(Service::Icmp, PINGED), (Service::Ra, SOLICITED)] {
            placed.extend(access.services().contains(&service).then(|| (set, name(None))));
        }
        for (protocol, port) in access.ports() {
            let key = [&interface.padded()[..], &[protocol, 0, 0, 0], &port.to_be_bytes(), &[0, 0]].concat();
            placed.push((SERVICES, Element { key, ..Element::default() }));
        }
        placed
    }

    /// In one transaction: what it was goes, what it is to be comes.
    pub(crate) fn change_access(interface: IfName, from: Option<&Dom0>, to: Option<&Dom0>) -> Vec<Request> {
        let all = |access: Option<&Dom0>, what: i32| -> Vec<Request> {
            by_set(Table::Dom0, what, access.map(|access| placed(interface, access)).unwrap_or_default())
        };
        let mut requests = all(from, libc::NFT_MSG_DELSETELEM);
        requests.extend(all(to, libc::NFT_MSG_NEWSETELEM));
        requests
    }

    pub(crate) fn parse(body: &[u8]) -> Vec<(IfName, Dom0)> {
        let read = |seen: Seen<'_>| {
            // Put there by somebody else's hand: nothing is let through for it.
            let access = read_user_text(0, seen.userdata).and_then(|text| text.parse().ok()).unwrap_or(Dom0::Closed);
            Some((name_of(seen.key)?, access))
        };
        elements(body).filter_map(read).collect()
    }
}

/// Bridged guests that are not tracked.
pub(crate) mod untracked {
    use super::*;
    use crate::untracked::Untracked;

    pub(crate) fn get_one(vif: IfName) -> Request {
        get(Table::Untracked, UNTRACKED, vif)
    }

    pub(crate) fn get_every() -> Request {
        get_all(Table::Untracked, UNTRACKED)
    }

    /// The elements of a guest, each with its set.
    pub(super) fn placed(vif: IfName, untracked: &Untracked) -> Vec<(&'static str, Element)> {
        let plain = |key: Vec<u8>| Element { key, ..Element::default() };
        let name = Element { comment: Some(untracked.to_string()), ..plain(key_of(vif)) };
        let macs = untracked.macs.iter().map(|mac| (UNTRACKED_MACS, plain(mac.octets().to_vec())));
        // Dom0's own: the bridge's address, and that of its side of every vif.
        let own = [untracked.bridge, MacAddr::VIF_BACKEND].map(|mac| (TRACKED, plain(fact_key(vif, mac, &[]))));
        own.into_iter().chain([(UNTRACKED, name)]).chain(macs).collect()
    }

    pub(crate) fn change_tracking(vif: IfName, from: Option<&Untracked>, to: Option<&Untracked>) -> Vec<Request> {
        let all = |untracked: Option<&Untracked>, what: i32| {
            by_set(Table::Untracked, what, untracked.map(|untracked| placed(vif, untracked)).unwrap_or_default())
        };
        let mut requests = all(from, libc::NFT_MSG_DELSETELEM);
        requests.extend(all(to, libc::NFT_MSG_NEWSETELEM));
        requests
    }

    pub(crate) fn parse(body: &[u8]) -> Vec<(IfName, Untracked)> {
        elements(body)
            .filter_map(|seen| Some((name_of(seen.key)?, read_user_text(0, seen.userdata)?.parse().ok()?)))
            .collect()
    }
}

/// Ports of dom0 that lead to guests.
pub(crate) mod forwards {
    use super::*;
    use crate::forward::Forward;
    use std::net::IpAddr;

    pub(crate) fn get_every() -> [Request; 2] {
        [FORWARDS4, FORWARDS6].map(|map| get_all(Table::Forwards, map))
    }

    /// The elements of one, each with its set.
    pub(super) fn placed(forward: &Forward) -> Vec<(&'static str, Element)> {
        let (map, hairpin, ip) = match forward.to.ip() {
            IpAddr::V4(ip) => (FORWARDS4, HAIRPIN4, ip.octets().to_vec()),
            IpAddr::V6(ip) => (FORWARDS6, HAIRPIN6, ip.octets().to_vec()),
        };
        let port = [&[forward.port.protocol.number(), 0, 0, 0][..], &forward.port.port.to_be_bytes(), &[0, 0]].concat();
        let data = Some([&ip[..], &forward.to.port().to_be_bytes(), &[0, 0]].concat());
        let comment = Some(forward.to_string());
        let mut placed = vec![(map, Element { key: port.clone(), data, comment, ..Element::default() })];
        placed.extend(forward.behind.map(|name| {
            let to =
                [&[forward.port.protocol.number(), 0, 0, 0][..], &forward.to.port().to_be_bytes(), &[0, 0]].concat();
            let key = [&name.padded()[..], &name.padded(), &ip, &to].concat();
            (hairpin, Element { key, ..Element::default() })
        }));
        placed
    }

    pub(crate) fn add(forward: &Forward) -> Vec<Request> {
        by_set(Table::Forwards, libc::NFT_MSG_NEWSETELEM, placed(forward))
    }

    /// With the element that others share, or without.
    pub(crate) fn delete(forward: &Forward, alone: bool) -> Vec<Request> {
        let own = placed(forward).into_iter().filter(|(set, _)| alone || !matches!(*set, HAIRPIN4 | HAIRPIN6));
        let keys = own.map(|(set, element)| (set, Element { comment: None, data: None, ..element }));
        by_set(Table::Forwards, libc::NFT_MSG_DELSETELEM, keys)
    }

    /// What the comments say. Those of somebody else's hand say nothing.
    pub(crate) fn parse(body: &[u8]) -> Vec<Forward> {
        elements(body).filter_map(|seen| read_user_text(0, seen.userdata)?.parse().ok()).collect()
    }
}

/// Locks as they are read: by their comments first, and where one is too long, by the facts.
#[derive(Default)]
pub(crate) struct Locks {
    read: BTreeMap<IfName, Guard>,
    /// Those whose comment says to look at the sets.
    long: BTreeMap<IfName, Guard>,
    facts: BTreeMap<IfName, BTreeSet<Fact>>,
}

impl Locks {
    /// Takes an answer with elements of the set of guarded interfaces.
    pub(crate) fn read_guard(&mut self, body: &[u8]) {
        for seen in elements(body) {
            let Some(vif) = name_of(seen.key) else { continue };
            match read_user_text(0, seen.userdata).and_then(Guard::parse_comment) {
                Some((guard, true)) => drop(self.read.insert(vif, guard)),
                Some((guard, false)) => drop(self.long.insert(vif, guard)),
                // Put there by somebody else's hand: guarded all the same, by what the sets say.
                None => drop(self.long.insert(vif, Guard::new(0, Lock::Disabled))),
            }
        }
    }

    /// Has the sets of facts read for all of them: somebody may have changed an element by hand.
    pub(crate) fn doubt_comments(&mut self) {
        self.long.append(&mut self.read);
    }

    /// The names under which locks of a vif stand that netback named so.
    pub(crate) fn owned_by(&self, vif: IfName) -> impl Iterator<Item = IfName> {
        let all = self.read.iter().chain(&self.long);
        all.filter(move |(_, guard)| guard.owner == Some(vif)).map(|(name, _)| *name)
    }

    /// Whether the sets of facts have to be read too.
    pub(crate) fn wants_facts(&self) -> bool {
        !self.long.is_empty()
    }

    /// Takes an answer with elements of a set of facts.
    pub(crate) fn read_facts(&mut self, set: &str, body: &[u8]) {
        for (vif, fact) in elements(body).filter_map(|seen| parse_fact(set, &seen)) {
            if self.long.contains_key(&vif) {
                self.facts.entry(vif).or_default().insert(fact);
            }
        }
    }

    pub(crate) fn finish(mut self) -> BTreeMap<IfName, Guard> {
        for (vif, guard) in self.long {
            let facts = self.facts.remove(&vif).unwrap_or_default();
            self.read.insert(vif, Guard { lock: Lock::from_facts(&facts), ..guard });
        }
        self.read
    }
}

/// Drop counters in an answer.
pub(crate) fn parse_drops(table: Table, reason: DropReason, body: &[u8]) -> Vec<Drops> {
    let drops = elements(body).filter_map(|seen| {
        let Counter { packets, bytes } = seen.counter.unwrap_or_default();
        Some(Drops { table, ..Drops::new(name_of(seen.key)?, reason, packets, bytes) })
    });
    drops.collect()
}

/// Networks that run.
pub(crate) mod networks {
    use super::*;
    use crate::network::NetworkRecord;

    pub(crate) fn get_one(bridge: IfName) -> Request {
        get(Table::Inet, NETWORKS, bridge)
    }

    pub(crate) fn get_every() -> Request {
        get_all(Table::Inet, NETWORKS)
    }

    pub(crate) fn add(record: &NetworkRecord) -> Request {
        let key = record.network.id().map(|id| id.key().to_vec()).unwrap_or_default();
        let element = Element { key, comment: Some(record.comment()), ..Element::default() };
        change(Table::Inet, libc::NFT_MSG_NEWSETELEM, NETWORKS, &[element])
    }

    pub(crate) fn delete(record: &NetworkRecord) -> Request {
        let key = record.network.id().map(|id| id.key().to_vec()).unwrap_or_default();
        let element = Element { key, ..Element::default() };
        change(Table::Inet, libc::NFT_MSG_DELSETELEM, NETWORKS, &[element])
    }

    pub(crate) fn parse(body: &[u8]) -> Vec<NetworkRecord> {
        elements(body).filter_map(|seen| NetworkRecord::parse_comment(read_user_text(0, seen.userdata)?)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::antispoof::tests::locks;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn facts_are_read_back_from_their_elements(lock in locks()) {
            let vif: IfName = "vif1.0".parse().unwrap();
            for fact in Lock::from(lock).facts() {
                let (set, element) = &fact_elements(vif, &fact)[0];
                let seen =
                    Seen { key: &element.key, end: element.end.as_deref(), data: None, userdata: &[], counter: None };
                prop_assert_eq!(parse_fact(set, &seen), Some((vif, fact)));
            }
        }
    }
}
