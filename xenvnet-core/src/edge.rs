//! The two sockets of a host, and what is read over them.

use crate::drops::{DropReason, Drops};
use crate::error::{Error, ErrorKind, Result};
use crate::ifname::IfName;
use crate::mac::MacAddr;
use crate::needs::Needs;
use crate::netlink::channel::{Answer, Channel, Refusal};
use crate::netlink::link::Seen;
use crate::netlink::transport::{Opener, Protocol, is_missing};
use crate::netlink::{Request, address, link, neighbour, nf, route};
use crate::snapshot::{LAYOUT, Snapshot};
use crate::table::Table;
use crate::verify::{DroppingChain, Evidence};
use nix::libc;
use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::net::IpAddr;

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
        let mut reading =
            Reading { edge: self, what, snapshot: Snapshot::default(), seen: Vec::new(), read: BTreeSet::new() };
        reading.named_links(needs)?;
        reading.nf_by_key(needs)?;
        reading.renamed(needs)?;
        reading.twins(needs)?;
        reading.ports(needs)?;
        reading.masters()?;
        reading.addresses(needs)?;
        reading.nf_dumps(needs)?;
        Ok(reading.finish())
    }

    /// Reads one of our tables as it is, down to its rules.
    pub(crate) fn inspect(&mut self, table: Table) -> Result<nf::Inspection> {
        let what = format!("look at {table}");
        let mut reading =
            Reading { edge: self, what: &what, snapshot: Snapshot::default(), seen: Vec::new(), read: BTreeSet::new() };
        let mut found = nf::Inspection::default();
        let Some(answers) = reading.nf_query(&[nf::Inspection::get_table(table)])? else { return Ok(found) };
        let messages = answers.iter().flat_map(|answer| &answer.messages);
        messages.for_each(|(_, body)| found.read_table(body));
        if found.is_present() {
            for request in nf::Inspection::dumps(table) {
                let answer = reading.nf_dump(&request)?;
                answer.messages.iter().for_each(|(kind, body)| found.read(table, *kind, body));
            }
        }
        Ok(found)
    }

    /// Reads all that is compared with what was asked for.
    pub(crate) fn evidence(&mut self) -> Result<Evidence> {
        let mut evidence = Evidence { now: self.snapshot()?, ..Evidence::default() };
        for table in Table::ALL.iter().copied() {
            evidence.tables.insert(table, self.inspect(table)?);
        }
        let what = "verify the host";
        let mut reading =
            Reading { edge: self, what, snapshot: Snapshot::default(), seen: Vec::new(), read: BTreeSet::new() };
        let entries = reading.dump(&neighbour::all(), "the bridges' tables")?;
        evidence.pinned = entries.messages.iter().filter_map(|(_, body)| neighbour::parse_pinned(body)).collect();
        let chains = reading.nf_dump(&nf::get_all_chains())?;
        let dropping = chains.messages.iter().filter_map(|(_, body)| nf::parse_dropping(body));
        evidence.dropping = dropping.map(|(family, table, chain)| DroppingChain { family, table, chain }).collect();
        Ok(evidence)
    }

    /// Reads everything.
    pub(crate) fn snapshot(&mut self) -> Result<Snapshot> {
        let mut reading = Reading {
            edge: self,
            what: "read the host's network",
            snapshot: Snapshot::default(),
            seen: Vec::new(),
            read: BTreeSet::new(),
        };
        reading.all_links()?;
        let needs = Needs { nat: true, all_guards: true, all_dom0: true, ..Needs::default() };
        reading.all_addresses()?;
        reading.layouts()?;
        reading.nf_dumps(&needs)?;
        reading.tracking()?;
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
    /// Names whose locks were asked for.
    read: BTreeSet<IfName>,
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
        let names = needs.links.union(&needs.twins);
        let requests: Vec<_> = names.map(|name| link::get(*name)).collect();
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
    fn twins(&mut self, needs: &Needs) -> Result<()> {
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

    fn all_addresses(&mut self) -> Result<()> {
        self.take_addresses(None)?;
        self.take_routes(None)
    }

    fn take_addresses(&mut self, index: Option<u32>) -> Result<()> {
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

    /// One exchange for everything of nf_tables that is found by its key; another one for the few of
    /// which more is to be known by then.
    fn nf_by_key(&mut self, needs: &Needs) -> Result<()> {
        let mut questions: Vec<(About, Request)> = Vec::new();
        // What comes in by a port of a bridge comes in by the bridge.
        let is_port = |name: &IfName| self.seen.iter().any(|seen| seen.link.name == *name && seen.master.is_some());
        let shielded: Vec<IfName> = needs.dom0.iter().copied().filter(|name| !is_port(name)).collect();
        let mut tables = needs.tables();
        if shielded.is_empty() && !needs.all_dom0 {
            tables.remove(&Table::Dom0);
        }
        questions.extend(tables.iter().copied().map(about_layout));
        // Each is asked for once: half of a hook twice is not a whole one.
        let unread: Vec<IfName> = needs.guards.iter().copied().filter(|vif| self.read.insert(*vif)).collect();
        for vif in unread.iter().copied() {
            questions.extend(GUESTS.map(|table| (About::Guard(table), nf::guard::get_one(table, vif))));
            let fresh = needs.fresh.contains(&vif);
            questions.extend(
                drops_of(Table::Bridge, vif)
                    .filter(|(reason, _)| is_asked_at_once(*reason, fresh))
                    .map(|(_, question)| question),
            );
            questions.push((About::Hook, nf::get_hook(vif)));
        }
        questions.extend(needs.untracked.iter().map(|vif| (About::Untracked, nf::untracked::get_one(*vif))));
        for name in shielded {
            questions.push((About::Dom0, nf::dom0::get_one(name)));
            questions.extend(drops_of(Table::Dom0, name).map(|(_, question)| question));
        }
        if !needs.nat {
            questions.extend(needs.networks_of.iter().map(|name| (About::Network, nf::networks::get_one(*name))));
        }
        self.nf_answers(questions, needs.facts)?;
        let mut more = Vec::new();
        let mut matter = BTreeSet::new();
        for vif in unread {
            if needs.fresh.contains(&vif) && self.snapshot.guards.contains_key(&vif) {
                let rest = drops_of(Table::Bridge, vif).filter(|(reason, _)| !is_asked_at_once(*reason, true));
                more.extend(rest.map(|(_, question)| question));
            }
            if self.snapshot.half_hooks.contains(&vif) || self.snapshot.ingress.contains_key(&vif) {
                more.push((About::AtIngress, nf::at_ingress::get_one(vif)));
                let drops = [Table::Netdev, Table::Inet].into_iter().flat_map(|table| drops_of(table, vif));
                more.extend(drops.map(|(_, question)| question));
                matter.extend([Table::Netdev, Table::Inet]);
            }
        }
        matter.extend((!self.snapshot.untracked.is_empty()).then_some(Table::Untracked));
        more.extend(matter.difference(&tables).copied().map(about_layout));
        self.nf_answers(more, false)
    }

    /// A hook is whole when its chain is there and the inet table knows of it.
    fn take_half_hook(&mut self, vif: IfName) {
        if !self.snapshot.half_hooks.insert(vif) {
            self.snapshot.half_hooks.remove(&vif);
            self.snapshot.hooks.insert(vif);
        }
    }

    fn nf_answers(&mut self, questions: Vec<(About, Request)>, facts: bool) -> Result<()> {
        if questions.is_empty() {
            return Ok(());
        }
        let (about, requests): (Vec<_>, Vec<_>) = questions.into_iter().unzip();
        let Some(answers) = self.nf_query(&requests)? else { return Ok(()) };
        let mut locks = GUESTS.map(|table| (table, nf::Locks::default()));
        for (about, answer) in about.into_iter().zip(answers) {
            for (_, body) in &answer.messages {
                match about {
                    About::Layout(table) => self.take_layout(table, body)?,
                    About::Guard(table) => locks[usize::from(table == Table::Netdev)].1.read_guard(body),
                    About::Drops(table, reason) => self.snapshot.drops.extend(nf::parse_drops(table, reason, body)),
                    About::Hook => nf::parse_hook(body).into_iter().for_each(|vif| self.take_half_hook(vif)),
                    About::AtIngress => {
                        nf::at_ingress::parse(body).into_iter().for_each(|vif| self.take_half_hook(vif));
                    }
                    About::Untracked => self.snapshot.untracked.extend(nf::untracked::parse(body)),
                    About::Dom0 => self.snapshot.dom0.extend(nf::dom0::parse(body)),
                    About::Network => self.take_network(body),
                }
            }
        }
        for (table, mut locks) in locks {
            if facts {
                locks.doubt_comments();
            }
            self.take_locks(table, locks)?;
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
        let questions = Table::ALL.iter().copied().map(about_layout).collect();
        self.nf_answers(questions, false)
    }

    fn take_layout(&mut self, table: Table, body: &[u8]) -> Result<()> {
        let layout = nf::parse_layout(body);
        match layout {
            // What an older version left behind is read as it is, and converted before it is written.
            1..=LAYOUT => drop(self.snapshot.tables.insert(table, layout)),
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
        Ok(())
    }

    /// Locks whose comment was too short for them cost a dump of the sets.
    fn take_locks(&mut self, table: Table, mut locks: nf::Locks) -> Result<()> {
        if locks.wants_facts() {
            for (set, request) in nf::guard::get_facts(table) {
                let answer = self.nf_dump(&request)?;
                answer.messages.iter().for_each(|(_, body)| locks.read_facts(set, body));
            }
        }
        let guards = if table == Table::Netdev { &mut self.snapshot.ingress } else { &mut self.snapshot.guards };
        guards.extend(locks.finish());
        Ok(())
    }

    fn take_network(&mut self, body: &[u8]) {
        let records = nf::networks::parse(body);
        self.snapshot.networks.extend(records.into_iter().map(|record| (record.network.bridge_name(), record)));
    }

    fn nf_dumps(&mut self, needs: &Needs) -> Result<()> {
        for table in
            GUESTS.into_iter().filter(|table| needs.all_guards && self.snapshot.has(*table)).collect::<Vec<_>>()
        {
            let mut locks = nf::Locks::default();
            let answer = self.nf_dump(&nf::guard::get_every(table))?;
            answer.messages.iter().for_each(|(_, body)| locks.read_guard(body));
            if needs.facts {
                locks.doubt_comments();
            }
            self.take_locks(table, locks)?;
        }
        if needs.all_guards && self.snapshot.has(Table::Netdev) {
            let chains = self.nf_dump(&nf::get_chains(Table::Netdev))?;
            chains
                .messages
                .iter()
                .filter_map(|(_, body)| nf::parse_hook(body))
                .for_each(|vif| self.take_half_hook(vif));
            let names = self.nf_dump(&nf::at_ingress::get_every())?;
            let names = names.messages.iter().flat_map(|(_, body)| nf::at_ingress::parse(body));
            names.for_each(|vif| self.take_half_hook(vif));
        }
        if needs.all_dom0 {
            self.snapshot.all_dom0 = true;
            if self.snapshot.has(Table::Dom0) {
                let answer = self.nf_dump(&nf::dom0::get_every())?;
                self.snapshot.dom0.extend(answer.messages.iter().flat_map(|(_, body)| nf::dom0::parse(body)));
            }
        }
        if needs.nat && self.snapshot.has(Table::Inet) {
            let answer = self.nf_dump(&nf::networks::get_every())?;
            answer.messages.iter().for_each(|(_, body)| self.take_network(body));
            let answer = self.nf_dump(&nf::get_masquerades())?;
            let rules = answer.messages.iter().filter_map(|(_, body)| nf::parse_masquerade(body));
            self.snapshot.masquerades.extend(rules.map(|(masquerade, _)| masquerade));
        }
        Ok(())
    }

    fn tracking(&mut self) -> Result<()> {
        if self.snapshot.has(Table::Untracked) {
            let answer = self.nf_dump(&nf::untracked::get_every())?;
            self.snapshot.untracked.extend(answer.messages.iter().flat_map(|(_, body)| nf::untracked::parse(body)));
        }
        Ok(())
    }

    fn drops(&mut self) -> Result<()> {
        for table in Table::ALL.iter().copied().filter(|table| self.snapshot.has(*table)).collect::<Vec<_>>() {
            for (reason, request) in nf::guard::get_drops(table) {
                let answer = self.nf_dump(&request)?;
                let drops = answer.messages.iter().flat_map(|(_, body)| nf::parse_drops(table, reason, body));
                self.snapshot.drops.extend(drops.collect::<Vec<Drops>>());
            }
        }
        self.snapshot.drops.sort_by_key(|drops| (drops.vif, drops.reason, drops.table));
        Ok(())
    }

    fn finish(mut self) -> Snapshot {
        let names = self.names();
        let speaks_stp: BTreeSet<_> = self
            .seen
            .iter()
            .filter(|seen| seen.link.bridge.is_some_and(|bridge| bridge.stp))
            .map(|seen| seen.link.index)
            .collect();
        for mut seen in self.seen {
            seen.link.master = seen.master.and_then(|index| names.get(&index).copied());
            seen.link.shut = seen.shut && seen.master.is_some_and(|index| speaks_stp.contains(&index));
            self.snapshot.links.insert(seen.link.name, seen.link);
        }
        self.snapshot
    }
}

/// The tables that hold guests.
pub(crate) const GUESTS: [Table; 2] = [Table::Bridge, Table::Netdev];

/// What a question to nf_tables is about.
#[derive(Clone, Copy)]
enum About {
    Layout(Table),
    Guard(Table),
    Drops(Table, DropReason),
    Hook,
    AtIngress,
    Untracked,
    Dom0,
    Network,
}

fn drops_of(table: Table, vif: IfName) -> impl Iterator<Item = (DropReason, (About, Request))> {
    nf::guard::get_drops_of(table, vif).map(move |(reason, request)| (reason, (About::Drops(table, reason), request)))
}

/// Who was never held has nothing counted but what was dropped for that.
fn is_asked_at_once(reason: DropReason, fresh: bool) -> bool {
    !fresh || reason == DropReason::Unguarded
}

fn about_layout(table: Table) -> (About, Request) {
    (About::Layout(table), nf::get_layout(table))
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
