//! The two sockets of a host, and what is read over them: no more than somebody needs to know.

mod links;
mod tables;

use crate::error::{Error, ErrorKind, Result};
use crate::ifname::IfName;
use crate::mac::MacAddr;
use crate::needs::Needs;
use crate::netlink::channel::{Answer, Channel, Refusal};
use crate::netlink::link::Seen;
use crate::netlink::neighbour::Place;
use crate::netlink::transport::{Opener, Protocol, is_missing};
use crate::netlink::{Request, neighbour, nf};
use crate::snapshot::Snapshot;
use crate::table::Table;
use crate::verify::{DroppingChain, Evidence};
use nix::libc;
use std::collections::BTreeSet;
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

    /// Where bridges, told by their indices, think that addresses are; all asked for at once.
    pub(crate) fn places_of(&mut self, addresses: &[(u32, MacAddr)]) -> io::Result<Vec<Option<Place>>> {
        let questions: Vec<_> = addresses.iter().map(|(bridge, mac)| neighbour::get(*bridge, *mac)).collect();
        let place = |answer: Answer| answer.messages.first().and_then(|(_, body)| neighbour::parse(body));
        Ok(self.route.query(&questions)?.into_iter().map(place).collect())
    }

    /// Reads what some operations need, and no more: the cost does not grow with the host.
    pub(crate) fn observe(&mut self, what: &str, needs: &Needs) -> Result<Snapshot> {
        let mut reading =
            Reading { edge: self, what, snapshot: Snapshot::default(), seen: Vec::new(), read: BTreeSet::new() };
        if needs.host {
            reading.all_links()?;
        } else {
            reading.named_links(needs)?;
        }
        reading.nf_by_key(needs)?;
        reading.renamed(needs)?;
        reading.twins(needs)?;
        reading.ports(needs)?;
        reading.masters()?;
        if needs.host {
            reading.all_addresses()?;
            reading.entries()?;
        } else {
            reading.addresses(needs)?;
        }
        reading.nf_dumps(needs)?;
        reading.routed(needs)?;
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
        let needs =
            Needs { nat: true, forwards: true, accounts: true, all_guards: true, all_dom0: true, ..Needs::default() };
        reading.all_addresses()?;
        reading.entries()?;
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
            let vlan_of = seen.vlan_of.and_then(|index| names.get(&index).copied());
            self.snapshot.vlans.extend(vlan_of.map(|under| (seen.link.name, under)));
            let above = seen.above.and_then(|index| names.get(&index).copied());
            self.snapshot.above.extend(above.map(|under| (seen.link.name, under)));
            self.snapshot.links.insert(seen.link.name, seen.link);
        }
        self.snapshot
    }
}

/// The tables that hold guests.
pub(crate) const GUESTS: [Table; 2] = [Table::Bridge, Table::Netdev];

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
