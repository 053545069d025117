//! The two sockets of a host, and what is read over them.

use crate::drops::Drops;
use crate::error::{Error, ErrorKind, Result};
use crate::ifname::IfName;
use crate::needs::Needs;
use crate::netlink::channel::{Answer, Channel, Refusal};
use crate::netlink::link::Seen;
use crate::netlink::transport::{Opener, Protocol, is_missing};
use crate::netlink::{Request, address, link, nf, route};
use crate::plan::Table;
use crate::snapshot::{LAYOUT, Snapshot};
use nix::libc;
use std::collections::{BTreeMap, BTreeSet};
use std::io;

/// One blocking socket for each part of the kernel, kept open: closing one of nf_tables' after a
/// change blocks for a grace period and holds up everybody else's.
#[derive(Debug)]
pub(crate) struct Edge {
    pub(crate) route: Channel,
    /// `None` on a kernel without nfnetlink.
    netfilter: Option<Channel>,
}

impl Edge {
    /// In the network namespace of the calling thread.
    pub(crate) fn open(opener: &Opener) -> Result<Edge> {
        let failed = |error: io::Error| transport("open a netlink socket", &error);
        let netfilter = match opener(Protocol::Netfilter) {
            Ok(transport) => Some(Channel::new(transport)),
            Err(error) if is_missing(&error) => None,
            Err(error) => return Err(failed(error)),
        };
        Ok(Edge { route: Channel::new(opener(Protocol::Route).map_err(failed)?), netfilter })
    }

    pub(crate) fn netfilter(&mut self, what: &str) -> Result<&mut Channel> {
        self.netfilter.as_mut().ok_or_else(|| no_nf_tables(what))
    }

    /// Reads what some operations need, and no more: the cost does not grow with the host.
    pub(crate) fn observe(&mut self, what: &str, needs: &Needs) -> Result<Snapshot> {
        let mut reading = Reading { edge: self, what, snapshot: Snapshot::default(), seen: Vec::new() };
        reading.named_links(needs)?;
        reading.nf_by_key(needs)?;
        reading.renamed(needs)?;
        reading.ports(needs)?;
        reading.masters()?;
        reading.addresses(needs)?;
        reading.nf_dumps(needs)?;
        Ok(reading.finish())
    }

    /// Reads everything.
    pub(crate) fn snapshot(&mut self) -> Result<Snapshot> {
        let mut reading =
            Reading { edge: self, what: "read the host's network", snapshot: Snapshot::default(), seen: Vec::new() };
        reading.all_links()?;
        let needs = Needs { nat: true, all_guards: true, ..Needs::default() };
        reading.all_addresses()?;
        reading.layouts()?;
        reading.nf_dumps(&needs)?;
        reading.drops()?;
        Ok(reading.finish())
    }
}

/// A snapshot in the making.
struct Reading<'a> {
    edge: &'a mut Edge,
    what: &'a str,
    snapshot: Snapshot,
    seen: Vec<Seen>,
}

impl Reading<'_> {
    fn ask(&mut self, requests: &[Request], noun: &str) -> Result<Vec<Answer>> {
        if requests.is_empty() {
            return Ok(Vec::new());
        }
        let answers = self.edge.route.query(requests).map_err(|error| transport(self.what, &error))?;
        let refused = |answer: &Answer| answer.refusal.clone().filter(|refusal| refusal.errno != libc::ENODEV);
        match answers.iter().find_map(refused) {
            Some(refusal) => Err(refusal_error(self.what, noun, refusal)),
            None => Ok(answers),
        }
    }

    fn dump(&mut self, request: &Request, noun: &str) -> Result<Answer> {
        let answer = self.edge.route.dump(request).map_err(|error| transport(self.what, &error))?;
        match answer.refusal.clone() {
            // What was to be dumped went away meanwhile.
            Some(refusal) if refusal.errno == libc::ENODEV => Ok(answer),
            Some(refusal) => Err(refusal_error(self.what, noun, refusal)),
            None => Ok(answer),
        }
    }

    fn named_links(&mut self, needs: &Needs) -> Result<()> {
        let requests: Vec<_> = needs.links.iter().map(|name| link::get(*name)).collect();
        let answers = self.ask(&requests, "its interfaces")?;
        self.take_links(answers);
        Ok(())
    }

    fn take_links(&mut self, answers: impl IntoIterator<Item = Answer>) {
        let messages = answers.into_iter().flat_map(|answer| answer.messages);
        self.seen.extend(messages.filter_map(|(kind, body)| link::parse(kind, &body)));
    }

    fn all_links(&mut self) -> Result<()> {
        let answer = self.dump(&link::all(None), "all interfaces")?;
        self.take_links([answer]);
        Ok(())
    }

    fn ports(&mut self, needs: &Needs) -> Result<()> {
        for bridge in &needs.ports_of {
            let Some(index) = self.index(*bridge) else { continue };
            let answer = self.dump(&link::all(Some(index)), "the bridge's ports")?;
            self.take_links([answer]);
        }
        Ok(())
    }

    fn index(&self, name: IfName) -> Option<u32> {
        self.seen.iter().find(|seen| seen.link.name == name).map(|seen| seen.link.index)
    }

    /// Vifs that are neither there nor locked under the name that netback gave them: perhaps they
    /// have another since.
    fn renamed(&mut self, needs: &Needs) -> Result<()> {
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
            if self.snapshot.filter.is_some() {
                let mut locks = nf::Locks::default();
                let answer = self.nf_dump(&nf::guard::get_every())?;
                answer.messages.iter().for_each(|(_, body)| locks.read_guard(body));
                names.extend(locks.owned_by(vif));
            }
            self.nf_by_key(&Needs { guards: names, ..Needs::default() })?;
        }
        Ok(())
    }

    /// Bridges that nobody named but that something named is a port of.
    fn masters(&mut self) -> Result<()> {
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

    fn addresses(&mut self, needs: &Needs) -> Result<()> {
        for name in &needs.addresses_of {
            let Some(index) = self.index(*name) else { continue };
            self.take_addresses(Some(index))?;
        }
        for name in &needs.routes_of {
            let Some(index) = self.index(*name) else { continue };
            self.take_routes(Some(index))?;
        }
        Ok(())
    }

    fn all_addresses(&mut self) -> Result<()> {
        self.take_addresses(None)?;
        self.take_routes(None)
    }

    fn take_addresses(&mut self, index: Option<u32>) -> Result<()> {
        let answer = self.dump(&address::all(index), "addresses")?;
        let names = self.names();
        for (at, address) in answer.messages.iter().filter_map(|(_, body)| address::parse(body)) {
            // Link-local addresses come and go by the kernel's own hand.
            let own = match address.ip() {
                std::net::IpAddr::V6(ip) => ip.is_unicast_link_local(),
                std::net::IpAddr::V4(_) => false,
            };
            // A kernel that does not know the filter gives everything.
            if let Some(name) = names.get(&at).filter(|_| index.is_none_or(|index| index == at) && !own) {
                self.snapshot.addresses.entry(*name).or_default().insert(address);
            }
        }
        Ok(())
    }

    fn take_routes(&mut self, index: Option<u32>) -> Result<()> {
        let names = self.names();
        for ipv4 in [true, false] {
            let answer = match self.dump(&route::all(ipv4, index), "routes") {
                // No IPv6 in this kernel.
                Err(error) if error.kind() == ErrorKind::Unsupported => continue,
                other => other?,
            };
            for (at, subnet) in answer.messages.iter().filter_map(|(_, body)| route::parse(body)) {
                if let Some(name) = names.get(&at).filter(|_| index.is_none_or(|index| index == at)) {
                    self.snapshot.routes.entry(*name).or_default().insert(subnet);
                }
            }
        }
        Ok(())
    }

    fn names(&self) -> BTreeMap<u32, IfName> {
        self.seen.iter().map(|seen| (seen.link.index, seen.link.name)).collect()
    }

    /// One exchange for everything of nf_tables that is found by its key.
    fn nf_by_key(&mut self, needs: &Needs) -> Result<()> {
        let filter = needs.all_guards || !needs.guards.is_empty();
        let mut requests = Vec::new();
        let mut tables = Vec::new();
        for (table, wanted) in [(Table::Filter, filter), (Table::Nat, needs.nat)] {
            if wanted {
                tables.push(table);
                requests.push(nf::get_layout(table));
            }
        }
        let mut drop_reasons = Vec::new();
        for vif in &needs.guards {
            requests.extend(nf::guard::get_one(*vif));
            drop_reasons.push(None);
            drop_reasons.extend(nf::drop_sets().map(|(reason, _)| Some(reason)));
        }
        let networks: Vec<_> = needs.networks_of.iter().filter(|_| !needs.nat).collect();
        requests.extend(networks.into_iter().map(|bridge| nf::networks::get_one(*bridge)));
        if requests.is_empty() {
            return Ok(());
        }
        let Some(mut answers) = self.nf_query(&requests)?.map(Vec::into_iter) else { return Ok(()) };
        for table in tables {
            let answer = answers.next().unwrap_or_default();
            self.take_layout(table, &answer)?;
        }
        let mut locks = nf::Locks::default();
        for (reason, answer) in drop_reasons.into_iter().zip(answers.by_ref()) {
            for (_, body) in &answer.messages {
                match reason {
                    None => locks.read_guard(body),
                    Some(reason) => self.snapshot.drops.extend(nf::parse_drops(reason, body)),
                }
            }
        }
        if needs.facts {
            locks.doubt_comments();
        }
        self.take_locks(locks)?;
        for answer in answers {
            self.take_networks(&answer);
        }
        Ok(())
    }

    /// Answers of nf_tables; `None` on a kernel without. What is not there is refused and stays
    /// without messages; other refusals are errors.
    fn nf_query(&mut self, requests: &[Request]) -> Result<Option<Vec<Answer>>> {
        let Some(netfilter) = &mut self.edge.netfilter else { return Ok(None) };
        let answers = netfilter.query(requests).map_err(|error| transport(self.what, &error))?;
        for refusal in answers.iter().filter_map(|answer| answer.refusal.clone()) {
            match refusal.errno {
                libc::ENOENT => {}
                // No handler for the subsystem: nf_tables is not in this kernel.
                libc::EINVAL | libc::EOPNOTSUPP => return Ok(None),
                _ => return Err(refusal_error(self.what, "nf_tables", refusal)),
            }
        }
        Ok(Some(answers))
    }

    fn nf_dump(&mut self, request: &Request) -> Result<Answer> {
        let Some(netfilter) = &mut self.edge.netfilter else { return Ok(Answer::default()) };
        let answer = netfilter.dump(request).map_err(|error| transport(self.what, &error))?;
        match answer.refusal.clone() {
            Some(refusal) if !matches!(refusal.errno, libc::ENOENT | libc::EINVAL | libc::EOPNOTSUPP) => {
                Err(refusal_error(self.what, "nf_tables", refusal))
            }
            _ => Ok(answer),
        }
    }

    fn layouts(&mut self) -> Result<()> {
        let tables = [Table::Filter, Table::Nat];
        let Some(answers) = self.nf_query(&tables.map(nf::get_layout))? else { return Ok(()) };
        for (table, answer) in tables.into_iter().zip(answers) {
            self.take_layout(table, &answer)?;
        }
        Ok(())
    }

    fn take_layout(&mut self, table: Table, answer: &Answer) -> Result<()> {
        let Some((_, body)) = answer.messages.first() else { return Ok(()) };
        let layout = nf::parse_layout(body);
        match layout {
            LAYOUT => {}
            0 => {
                return Err(Error::cannot(
                    ErrorKind::Conflict,
                    self.what,
                    format!("there is a {table} that is not ours"),
                )
                .with_advice(format!("look at it with: nft list {table}")));
            }
            other => {
                return Err(Error::cannot(
                    ErrorKind::Unsupported,
                    self.what,
                    format!("{table} has layout {other}, this version knows layout {LAYOUT}"),
                )
                .with_advice("use the version of xenvnet that made it"));
            }
        }
        match table {
            Table::Filter => self.snapshot.filter = Some(layout),
            Table::Nat => self.snapshot.nat = Some(layout),
        }
        Ok(())
    }

    /// Locks whose comment was too short for them cost a dump of the sets.
    fn take_locks(&mut self, mut locks: nf::Locks) -> Result<()> {
        if locks.wants_facts() {
            for (set, request) in nf::guard::get_facts() {
                let answer = self.nf_dump(&request)?;
                answer.messages.iter().for_each(|(_, body)| locks.read_facts(set, body));
            }
        }
        self.snapshot.guards.extend(locks.finish());
        Ok(())
    }

    fn take_networks(&mut self, answer: &Answer) {
        let records = answer.messages.iter().flat_map(|(_, body)| nf::networks::parse(body));
        self.snapshot.networks.extend(records.map(|record| (record.network.bridge_name(), record)));
    }

    fn nf_dumps(&mut self, needs: &Needs) -> Result<()> {
        if needs.all_guards && self.snapshot.filter.is_some() {
            let mut locks = nf::Locks::default();
            let answer = self.nf_dump(&nf::guard::get_every())?;
            answer.messages.iter().for_each(|(_, body)| locks.read_guard(body));
            self.take_locks(locks)?;
        }
        if needs.nat && self.snapshot.nat.is_some() {
            let answer = self.nf_dump(&nf::networks::get_every())?;
            self.take_networks(&answer);
            let answer = self.nf_dump(&nf::get_masquerades())?;
            let rules = answer.messages.iter().filter_map(|(_, body)| nf::parse_masquerade(body));
            self.snapshot.masquerades.extend(rules.map(|(masquerade, _)| masquerade));
        }
        Ok(())
    }

    fn drops(&mut self) -> Result<()> {
        if self.snapshot.filter.is_none() {
            return Ok(());
        }
        for (reason, request) in nf::guard::get_drops() {
            let answer = self.nf_dump(&request)?;
            let drops: Vec<Drops> =
                answer.messages.iter().flat_map(|(_, body)| nf::parse_drops(reason, body)).collect();
            self.snapshot.drops.extend(drops);
        }
        self.snapshot.drops.sort_by_key(|drops| (drops.vif, drops.reason));
        Ok(())
    }

    fn finish(mut self) -> Snapshot {
        let names = self.names();
        for mut seen in self.seen {
            seen.link.master = seen.master.and_then(|index| names.get(&index).copied());
            self.snapshot.links.insert(seen.link.name, seen.link);
        }
        self.snapshot
    }
}

/// The kernel did not take part: a socket failed.
pub(crate) fn transport(what: &str, error: &io::Error) -> Error {
    match error.raw_os_error() {
        Some(errno) => Error::kernel(what, "the netlink socket failed", errno, None),
        None if error.kind() == io::ErrorKind::TimedOut => {
            Error::cannot(ErrorKind::Busy, what, "the kernel did not answer")
                .with_advice("look at the kernel's log: dmesg")
        }
        None => Error::cannot(ErrorKind::Kernel, what, error.to_string()),
    }
}

/// The kernel said no to a question.
fn refusal_error(what: &str, noun: &str, refusal: Refusal) -> Error {
    Error::kernel(what, format!("{noun} could not be read"), refusal.errno, refusal.words)
}

/// Somebody else chose our name.
pub(crate) fn not_ours(what: &str, table: Table) -> Error {
    Error::cannot(ErrorKind::Conflict, what, format!("there is a {table} that is not ours"))
        .with_advice(format!("look at it with: nft list {table}"))
}

pub(crate) fn no_nf_tables(what: &str) -> Error {
    Error::cannot(ErrorKind::Unsupported, what, "this kernel has no nf_tables")
        .with_advice("load the module nf_tables, or use a kernel with CONFIG_NF_TABLES and CONFIG_NF_TABLES_BRIDGE")
}
