//! What rtnetlink tells: interfaces, and what dom0 has on them.

use super::{GUESTS, Reading, refusal_error, transport};
use crate::entry::EntryKind;
use crate::error::{ErrorKind, Result};
use crate::ifname::IfName;
use crate::mac::MacAddr;
use crate::needs::Needs;
use crate::netlink::channel::{Answer, Refusal};
use crate::netlink::link::Seen;
use crate::netlink::{address, entry, link, nf, route};
use crate::network::Network;
use crate::plan::Step;
use nix::libc;
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

impl Reading<'_> {
    pub(super) fn named_links(&mut self, needs: &Needs) -> Result<()> {
        let names = needs.links.union(&needs.twins);
        let requests: Vec<_> = names.map(|name| link::get(*name)).collect();
        let answers = self.ask(&requests, "its interfaces")?;
        self.take_links(answers);
        Ok(())
    }

    pub(super) fn take_links(&mut self, answers: impl IntoIterator<Item = Answer>) {
        let messages = answers.into_iter().flat_map(|answer| answer.messages);
        self.seen.extend(messages.filter_map(|(kind, body)| link::parse(kind, &body)));
    }

    pub(super) fn all_links(&mut self) -> Result<()> {
        let answer = self.dump(&link::all(None), "all interfaces")?;
        self.take_links([answer]);
        Ok(())
    }

    pub(super) fn ports(&mut self, needs: &Needs) -> Result<()> {
        for bridge in &needs.ports_of {
            let Some(index) = self.index(*bridge) else { continue };
            let answer = self.dump(&link::all(Some(index)), "the bridge's ports")?;
            self.take_links([answer]);
        }
        Ok(())
    }

    pub(super) fn index(&self, name: IfName) -> Option<u32> {
        self.seen.iter().find(|seen| seen.link.name == name).map(|seen| seen.link.index)
    }

    /// Vifs that are neither there nor locked under the name that netback gave them: perhaps they
    /// have another since.
    pub(super) fn renamed(&mut self, needs: &Needs) -> Result<()> {
        let known =
            |reading: &Self, vif: IfName| reading.index(vif).is_some() || reading.snapshot.guards.contains_key(&vif);
        for vif in needs.renamed.iter().copied() {
            if known(self, vif) {
                continue;
            }
            let answer = self.dump(&link::all(None), "all interfaces")?;
            let links = answer.messages.iter().filter_map(|(kind, body)| link::parse(*kind, body));
            let found: Vec<_> = links.filter(|seen| seen.link.alias == vif.as_str()).collect();
            let mut names: BTreeSet<_> = found.iter().map(|seen| seen.link.name).collect();
            self.seen.extend(found);
            for table in GUESTS {
                let mut locks = nf::Locks::default();
                let answer = self.nf_dump(&nf::guard::get_every(table))?;
                answer.messages.iter().for_each(|(_, body)| locks.read_guard(body));
                names.extend(locks.owned_by(vif));
            }
            let dom0 = if needs.dom0.contains(&vif) { names.clone() } else { BTreeSet::new() };
            let needs = Needs { guards: names.clone(), untracked: names, dom0, at_ingress: true, ..Needs::default() };
            self.nf_by_key(&needs)?;
        }
        Ok(())
    }

    /// The other ports of guests that have two; for most there is none.
    pub(super) fn twins(&mut self, needs: &Needs) -> Result<()> {
        let formerly = |seen: &Seen| needs.guards.contains(&seen.link.name).then(|| seen.link.alias.parse().ok())?;
        let renamed: BTreeSet<_> = self.seen.iter().filter_map(formerly).filter_map(IfName::twin).collect();
        let unseen: Vec<_> = renamed.difference(&needs.twins).map(|name| link::get(*name)).collect();
        let answers = self.ask(&unseen, "its interfaces")?;
        self.take_links(answers);
        let twins = needs.twins.union(&renamed).copied().filter(|name| !needs.guards.contains(name));
        let there: BTreeSet<_> = twins.filter(|name| self.index(*name).is_some()).collect();
        if there.is_empty() {
            return Ok(());
        }
        let needs =
            Needs { guards: there.clone(), untracked: there, facts: needs.facts, at_ingress: true, ..Needs::default() };
        self.nf_by_key(&needs)
    }

    /// Bridges that nobody named but that something named is a port of.
    pub(super) fn masters(&mut self) -> Result<()> {
        let known: Vec<u32> = self.seen.iter().map(|seen| seen.link.index).collect();
        let mut unknown: Vec<u32> =
            self.seen.iter().filter_map(|seen| seen.master).filter(|index| !known.contains(index)).collect();
        unknown.sort_unstable();
        unknown.dedup();
        let requests: Vec<_> = unknown.into_iter().map(link::get_index).collect();
        let answers = self.ask(&requests, "its bridge")?;
        self.take_links(answers);
        Ok(())
    }

    pub(super) fn addresses(&mut self, needs: &Needs) -> Result<()> {
        for name in &needs.addresses_of {
            let Some(index) = self.index(*name) else { continue };
            self.take_addresses(Some(index))?;
        }
        for name in &needs.routes_of {
            let Some(index) = self.index(*name) else { continue };
            self.take_routes(Some(index))?;
        }
        for name in &needs.unbridged {
            let is_it = |seen: &&Seen| seen.link.name == *name || seen.link.alias == name.as_str();
            let alone = self.seen.iter().filter(is_it).filter(|seen| seen.master.is_none());
            for index in alone.map(|seen| seen.link.index).collect::<Vec<_>>() {
                self.take_addresses(Some(index))?;
                self.take_routes(Some(index))?;
            }
        }
        Ok(())
    }

    pub(super) fn all_addresses(&mut self) -> Result<()> {
        self.take_addresses(None)?;
        self.take_routes(None)
    }

    pub(super) fn take_addresses(&mut self, index: Option<u32>) -> Result<()> {
        let answer = self.dump(&address::all(index), "addresses")?;
        let names = self.names();
        let macs: BTreeMap<_, _> = self.seen.iter().map(|seen| (seen.link.index, seen.link.mac)).collect();
        let read = |body: &[u8]| Some((address::parse(body)?, address::is_the_kernels(body)));
        for ((at, address), made) in answer.messages.iter().filter_map(|(_, body)| read(body)) {
            // Link-local addresses come and go by the kernel's own hand, unless somebody chose one.
            let own = match address.ip() {
                IpAddr::V6(ip) if ip.is_unicast_link_local() => made.unwrap_or_else(|| {
                    macs.get(&at).copied().flatten().is_some_and(|mac: MacAddr| mac.link_local() == ip)
                }),
                _ => false,
            };
            // A kernel that does not know the filter gives everything.
            if let Some(name) = names.get(&at).filter(|_| index.is_none_or(|index| index == at) && !own) {
                self.snapshot.addresses.entry(*name).or_default().insert(address);
            }
        }
        Ok(())
    }

    /// What is told of routed guests elsewhere: whose neighbour each is, and who answers for it.
    pub(super) fn routed(&mut self, needs: &Needs) -> Result<()> {
        let is_it = |seen: &&Seen| {
            let named = |name: &IfName| seen.link.name == *name || seen.link.alias == name.as_str();
            seen.master.is_none() && needs.unbridged.iter().any(named)
        };
        let vifs: Vec<_> = self.seen.iter().filter(is_it).map(|seen| (seen.link.index, seen.link.name)).collect();
        if vifs.is_empty() {
            return Ok(());
        }
        if !(needs.nat || needs.networks) {
            let answer = self.nf_dump(&nf::networks::get_every())?;
            answer.messages.iter().for_each(|(_, body)| self.take_network(body));
        }
        let routed = |network: &Network| matches!(network, Network::Route(_)).then(|| network.uplink()).flatten();
        let uplinks: BTreeSet<_> = self.snapshot.networks.values().filter_map(|r| routed(&r.network)).collect();
        let unseen: Vec<_> =
            uplinks.iter().filter(|name| self.index(**name).is_none()).map(|n| link::get(*n)).collect();
        let answers = self.ask(&unseen, "its uplink")?;
        self.take_links(answers);
        let uplinks: Vec<_> = uplinks.into_iter().filter_map(|name| self.index(name)).collect();
        for uplink in &uplinks {
            self.take_addresses(Some(*uplink))?;
        }
        let mut questions = Vec::new();
        for (index, name) in vifs {
            let routes = self.snapshot.routes.get(&name).into_iter().flatten().map(|net| net.ip());
            let hosts: BTreeSet<IpAddr> = routes.chain(needs.hosts.iter().copied()).collect();
            for ip in hosts {
                questions.push(entry::get_neighbour(index, ip, false));
                let told = uplinks.iter().filter(|_| ip.is_ipv6());
                questions.extend(told.map(|uplink| entry::get_neighbour(*uplink, ip, true)));
            }
        }
        // What is not there is refused, each with a word of its own.
        let answers = self.edge.route.query(&questions).map_err(|error| transport(self.what, &error))?;
        let is_none = |refusal: &Refusal| {
            use libc::{EADDRNOTAVAIL, EAFNOSUPPORT, EINVAL, ENODEV, ENOENT, EOPNOTSUPP, ESRCH};
            [ENOENT, ENODEV, ESRCH, EADDRNOTAVAIL, EINVAL, EOPNOTSUPP, EAFNOSUPPORT].contains(&refusal.errno)
        };
        if let Some(refusal) = answers.iter().filter_map(|answer| answer.refusal.clone()).find(|r| !is_none(r)) {
            return Err(refusal_error(self.what, "its neighbours", refusal));
        }
        let names = self.names();
        let messages = answers.iter().flat_map(|answer| &answer.messages);
        let entries = messages.filter_map(|(_, body)| entry::parse(EntryKind::Neighbour, body, &names));
        self.snapshot.entries.extend(entries);
        Ok(())
    }

    /// Everything that dom0 has on any interface, as it is.
    pub(super) fn entries(&mut self) -> Result<()> {
        let names = self.names();
        for (kind, request) in entry::dumps() {
            let answer = match self.dump(&request, "addresses, routes, rules and neighbours") {
                // No IPv6 in this kernel, no policy routing, no next hops before Linux 5.3.
                Err(error) if error.kind() == ErrorKind::Unsupported => continue,
                other => other?,
            };
            let entries = answer.messages.iter().filter_map(|(_, body)| entry::parse(kind, body, &names));
            self.snapshot.entries.extend(entries);
        }
        Ok(())
    }

    pub(super) fn take_routes(&mut self, index: Option<u32>) -> Result<()> {
        let names = self.names();
        for ipv4 in [true, false] {
            let answer = match self.dump(&route::all(ipv4, index), "routes") {
                // No IPv6 in this kernel.
                Err(error) if error.kind() == ErrorKind::Unsupported => continue,
                other => other?,
            };
            for (at, subnet, metric) in answer.messages.iter().filter_map(|(_, body)| route::parse(body)) {
                if let Some(name) = names.get(&at).filter(|_| index.is_none_or(|index| index == at)) {
                    self.snapshot.take(&Step::AddRoute { link: *name, subnet, metric });
                }
            }
        }
        Ok(())
    }

    pub(super) fn names(&self) -> BTreeMap<u32, IfName> {
        self.seen.iter().map(|seen| (seen.link.index, seen.link.name)).collect()
    }
}
