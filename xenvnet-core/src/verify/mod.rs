//! Whether the kernel still holds what was asked for: read back, compared, mended.

mod finding;
mod repair;

pub use finding::{Finding, Report, Severity};

use crate::account::Account;
use crate::asked::Asked;
use crate::contents::Contents;
use crate::edge::GUESTS;
use crate::guard::{COMMENT_MAX, Guard, Hold};
use crate::ifname::IfName;
use crate::link::{Link, Pinning, PortState};
use crate::mac::MacAddr;
use crate::netlink::nf::{Inspection, raw};
use crate::plan::{Plan, Step};
use crate::snapshot::{LAYOUT, Snapshot};
use crate::table::Table;
use crate::vif::{VIF_GROUP, VifId};
use std::collections::{BTreeMap, BTreeSet};

/// A chain of somebody else's that drops what is forwarded, unless a rule of its accepts it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct DroppingChain {
    pub(crate) family: &'static str,
    pub(crate) table: String,
    pub(crate) chain: String,
}

/// Everything that is looked at.
#[derive(Debug, Default)]
pub(crate) struct Evidence {
    /// The host, with locks as their comments tell them.
    pub(crate) now: Snapshot,
    /// Our tables, down to their elements.
    pub(crate) tables: BTreeMap<Table, Inspection>,
    /// Addresses that are pinned so that they stay, by the index of their port.
    pub(crate) pinned: BTreeSet<(u32, MacAddr)>,
    pub(crate) dropping: Vec<DroppingChain>,
    pub(crate) cut_off: bool,
    /// What was asked for, where that is remembered.
    pub(crate) asked: Asked,
}

impl Evidence {
    /// What is said to stand: by the kernel's own comments, which whoever set a lock last wrote; and
    /// where they are gone, or too short for a lock, as it was asked for here.
    fn said(&self) -> Contents {
        let Snapshot { guards, ingress, dom0, untracked, masquerades, networks, forwards, accounts, .. } =
            self.now.clone();
        let mut said = self.asked.contents.clone();
        let whole = |guard: &Guard| guard.device != 0 && guard.to_string().len() <= COMMENT_MAX;
        for (said, told) in [(&mut said.guards, guards), (&mut said.ingress, ingress)] {
            for (name, guard) in told {
                if whole(&guard) || !said.contains_key(&name) {
                    said.insert(name, guard);
                }
            }
        }
        said.dom0.extend(dom0);
        said.untracked.extend(untracked);
        said.masquerades.extend(masquerades);
        said.forwards.extend(forwards);
        for (name, account) in accounts {
            // Where its number is gone it is remembered, or nobody asked for it.
            let index =
                if account.index == 0 { said.accounts.get(&name).map(|said| said.index) } else { Some(account.index) };
            said.accounts.extend(index.map(|index| (name, Account { index, ..account })));
        }
        // What a network that is gone left behind is not brought back.
        said.networks.retain(|id, _| self.now.link(id.link()).is_some());
        said.networks.extend(networks);
        said
    }

    /// Looks at everything, and plans what mends it.
    pub(crate) fn report(&self) -> Report {
        let judgement = Judgement::new(self);
        let mut findings = judgement.fixed_parts();
        findings.extend(judgement.renamed());
        findings.extend(judgement.contents());
        findings.extend(judgement.ports());
        findings.extend(judgement.others());
        let repair = repair::plan(&judgement, &findings);
        Report { findings, repair }
    }

    /// What stands although it was not asked for here, to be remembered: a lock that was set through
    /// another state directory, or before there was any.
    pub(crate) fn unremembered(&self) -> Plan {
        let said = self.said();
        let mut steps = Vec::new();
        for link in said.guards.keys().filter_map(|name| self.now.link(*name)) {
            let known = self.asked.ports.get(&link.name).map(|(bridge, _)| *bridge);
            if let (None, Some(bridge), Some(state)) = (known, link.master, link.port) {
                let (port, pinning) = (link.name, Pinning::default());
                steps.push(Step::Enslave { port, bridge, state, macs: Vec::new(), pinning });
            }
        }
        // Written anew for each packet that was counted it would never be done.
        if said.clone().without_counts() != self.asked.contents.clone().without_counts() {
            steps.push(Step::Restore { contents: Box::new(said) });
        }
        steps.into_iter().collect()
    }

    /// Addresses that are to be pinned again, from wherever the bridge learned them meanwhile.
    pub(crate) fn learned(&self) -> BTreeSet<MacAddr> {
        self.said().guards.into_values().flat_map(|guard| guard.lock.macs().to_vec()).collect()
    }
}

/// What is said to stand, and what follows from it for the interfaces that are there.
struct Judgement<'a> {
    evidence: &'a Evidence,
    now: &'a Snapshot,
    said: Contents,
    /// What is to stand: what is said, for the interfaces that are there, under the names that they
    /// have now.
    wanted: Contents,
    /// The names that interfaces have now by those under which they were locked.
    names: BTreeMap<IfName, IfName>,
    /// The bridges that interfaces were attached to, by the names that they have now.
    ports: BTreeMap<IfName, (IfName, PortState)>,
}

impl Judgement<'_> {
    fn new(evidence: &Evidence) -> Judgement<'_> {
        let said = evidence.said();
        let by_index: BTreeMap<u32, &Link> = evidence.now.links.values().map(|link| (link.index, link)).collect();
        // A number alone is no proof: after a reboot it is another's. Its name is, or that it is among
        // the guests' interfaces.
        let link_of = |name: IfName, guard: &Guard| match guard.device {
            // A lock whose comment was lost is that of the interface that has the name.
            0 => evidence.now.link(name),
            device => by_index.get(&device).copied().filter(|link| {
                let owner = guard.owner.is_some_and(|owner| link.name == owner || link.alias == owner.as_str());
                link.name == name || owner || link.is_vif()
            }),
        };
        let mut wanted = said.clone();
        let mut names = BTreeMap::new();
        let mut dead = BTreeSet::new();
        for table in GUESTS {
            let guards = if table == Table::Netdev { &mut wanted.ingress } else { &mut wanted.guards };
            guards.clear();
            for (name, guard) in said.guards_in(table) {
                match link_of(*name, guard) {
                    Some(link) => {
                        let guard = if guard.device == 0 { Guard::of(link, &guard.lock) } else { guard.clone() };
                        guards.insert(link.name, guard);
                        names.insert(*name, link.name);
                    }
                    None => drop(dead.insert(*name)),
                }
            }
        }
        // What was said of an interface goes with it, and ends with it.
        dead.retain(|name| !names.contains_key(name) && evidence.now.link(*name).is_none());
        let now = |name: IfName| names.get(&name).copied().unwrap_or(name);
        let dom0 = said.dom0.iter().filter(|(name, _)| !dead.contains(*name));
        wanted.dom0 = dom0.map(|(name, to)| (now(*name), to.clone())).collect();
        let untracked = said.untracked.iter().map(|(name, to)| (now(*name), to.clone()));
        wanted.untracked = untracked.filter(|(name, _)| wanted.guards.contains_key(name)).collect();
        let ports = evidence.asked.ports.iter().map(|(name, port)| (now(*name), *port)).collect();
        Judgement { evidence, now: &evidence.now, said, wanted, names, ports }
    }

    /// Whether an interface was locked under another name: all that stands of it stands there.
    fn is_renamed(&self, vif: IfName) -> bool {
        self.names.get(&vif) != Some(&vif) && self.names.values().any(|now| *now == vif)
    }

    fn fixed_parts(&self) -> Vec<Finding> {
        let wanted = &self.wanted;
        let mut findings = Vec::new();
        for (table, found) in &self.evidence.tables {
            let table = *table;
            if !found.is_present() {
                findings.extend(wanted.needs(table).then_some(Finding::TableMissing { table }));
                continue;
            }
            findings.extend(found.is_dormant().then_some(Finding::TableDormant { table }));
            match found.layout() {
                // Its rules are another version's, and right for that.
                layout @ 1..LAYOUT => findings.push(Finding::OldLayout { table, layout }),
                _ => {
                    let defects = found.defects(table).into_iter();
                    findings.extend(defects.map(|defect| Finding::TableAltered { table, defect }));
                }
            }
        }
        findings
    }

    fn renamed(&self) -> Vec<Finding> {
        let renamed = self.names.iter().filter(|(was, now)| was != now);
        renamed.map(|(was, now)| Finding::Renamed { vif: *now, was: *was }).collect()
    }

    /// What stands in the tables beside what is to stand there, by interface.
    fn contents(&self) -> Vec<Finding> {
        let absent = Inspection::default();
        let wanted = &self.wanted;
        let mut findings = Vec::new();
        for table in Table::ALL.iter().copied() {
            let found = self.evidence.tables.get(&table).unwrap_or(&absent);
            let differences = found.differences(table, wanted);
            let mut by_name: BTreeMap<Option<IfName>, (usize, usize)> = BTreeMap::new();
            for (set, element) in &differences.missing {
                if let Some(forward) = raw::forward(set, element) {
                    findings.push(Finding::NotForwarded { forward });
                    continue;
                }
                if let Some(record) = raw::network(set, element) {
                    findings.push(Finding::NetworkForgotten { network: record.network });
                    continue;
                }
                by_name.entry(raw::interface(set, element)).or_default().0 += 1;
            }
            for (set, element) in &differences.surplus {
                by_name.entry(raw::interface(set, element)).or_default().1 += 1;
            }
            let mut addresses = (0, 0);
            let before = findings.len();
            for (name, (missing, surplus)) in by_name {
                let Some(name) = name else {
                    addresses = (missing, surplus);
                    continue;
                };
                // What stands under a former name was said already.
                let moved = self.names.get(&name).is_some_and(|now| *now != name);
                let present = found.is_present();
                findings.extend(self.difference(table, name, (missing, surplus), moved, present));
            }
            // Addresses whose guest is not told: only where nothing was said of a guest.
            if addresses != (0, 0) && found.is_present() && findings.len() == before {
                let set = match table {
                    Table::Inet => "networks",
                    Table::Forwards => "forwards4",
                    _ => "untracked_macs",
                };
                let defect = format!("set {set}: {}", finding::count(addresses.0, addresses.1));
                findings.push(Finding::TableAltered { table, defect });
            }
        }
        findings
    }

    fn difference(
        &self,
        table: Table,
        name: IfName,
        (missing, surplus): (usize, usize),
        moved: bool,
        present: bool,
    ) -> Option<Finding> {
        let wanted = &self.wanted;
        let leftover = || (!moved).then_some(Finding::Leftover { vif: name, table });
        match table {
            Table::Bridge | Table::Netdev => match wanted.guards_in(table).get(&name) {
                // Renamed: that was said.
                Some(_) if !self.said.guards_in(table).contains_key(&name) => None,
                Some(guard) => {
                    let asked = guard.lock.clone();
                    match present && self.now.guards_in(table).contains_key(&name) {
                        true => Some(Finding::LockDiffers { vif: name, table, asked, missing, surplus }),
                        false => Some(Finding::NotLocked { vif: name, table, asked }),
                    }
                }
                None => leftover(),
            },
            Table::Inet => match wanted.ingress.contains_key(&name) {
                true => None,
                false => leftover(),
            },
            Table::Dom0 => match wanted.dom0.get(&name) {
                Some(_) if self.is_renamed(name) => None,
                Some(access) => Some(Finding::Dom0Differs { interface: name, asked: access.clone(), missing, surplus }),
                None => leftover(),
            },
            Table::Forwards => None,
            Table::Accounts | Table::RoutedAccounts => match wanted.accounts.get(&name) {
                Some(account) if account.table() == table => Some(Finding::NotAccounted { vif: name }),
                _ => leftover(),
            },
            Table::Untracked => match wanted.untracked.contains_key(&name) {
                true if self.is_renamed(name) => None,
                true => Some(Finding::Tracked { vif: name }),
                false => leftover(),
            },
        }
    }

    /// Whether an interface is held at ingress, as it should be.
    fn is_at_ingress(&self, link: &Link) -> bool {
        self.wanted.ingress.get(&link.name).is_some_and(|guard| guard.device == link.index)
    }

    /// The flags that a port of a bridge is to have under its lock.
    fn wanted_state(&self, link: &Link, bridge: IfName, port: PortState) -> PortState {
        let asked = self.ports.get(&link.name).filter(|(asked, _)| *asked == bridge);
        let isolated = asked.map_or(port.isolated, |(_, state)| state.isolated);
        let stp = self.now.link(bridge).and_then(|bridge| bridge.bridge).is_some_and(|bridge| bridge.stp);
        Hold { guarded: true, isolated, paired: self.is_at_ingress(link), stp, guest: true }.state(port)
    }

    fn ports(&self) -> Vec<Finding> {
        let wanted = &self.wanted;
        let mut findings = Vec::new();
        let demanding: BTreeSet<IfName> = wanted
            .networks
            .values()
            .filter(|record| record.network.demands_lock())
            .filter_map(|record| record.network.bridge())
            .collect();
        let mut guarded_bridges = demanding.clone();
        for (vif, guard) in &wanted.guards {
            let Some(link) = self.now.link(*vif) else { continue };
            guarded_bridges.extend(link.master);
            findings.extend(self.port(link, guard));
        }
        for vif in wanted.ingress.keys() {
            let Some(link) = self.now.link(*vif) else { continue };
            let bridged = wanted.guards.contains_key(vif);
            if !bridged && link.group != VIF_GROUP {
                findings.push(Finding::NotInGroup { vif: *vif, group: link.group });
            }
            let hooked = self.now.hooks.contains(vif) || self.is_renamed(*vif);
            findings.extend((!hooked).then_some(Finding::NotAtIngress { vif: *vif }));
            if let (false, Some(bridge)) = (bridged, link.master) {
                findings.push(Finding::UnknownPort { bridge, port: *vif });
            }
        }
        let cards: BTreeSet<IfName> = wanted.networks.values().flat_map(|record| record.network.cards()).collect();
        let known = |link: &Link| wanted.guards.contains_key(&link.name) || wanted.ingress.contains_key(&link.name);
        for link in self.now.links.values().filter(|link| !known(link)) {
            if link.is_vif() {
                findings.extend(link.up.then_some(Finding::Unguarded { vif: link.name }));
                continue;
            }
            let Some(bridge) = link.master.filter(|bridge| guarded_bridges.contains(bridge)) else { continue };
            let named = |name: &str| name.parse::<VifId>().is_ok();
            let attached = self.ports.get(&link.name).is_some_and(|(master, _)| *master == bridge);
            let like_a_guest = (named(link.name.as_str()) || named(&link.alias)) && !attached;
            if (like_a_guest || demanding.contains(&bridge)) && !cards.contains(&link.name) {
                findings.push(Finding::UnknownPort { bridge, port: link.name });
            }
        }
        findings
    }

    /// What is wrong with the port of one bridged guest.
    fn port(&self, link: &Link, guard: &Guard) -> Vec<Finding> {
        let vif = link.name;
        let paired = self.is_at_ingress(link) && link.port.is_some();
        let mut findings = Vec::new();
        if link.group != VIF_GROUP {
            findings.push(Finding::NotInGroup { vif, group: link.group });
        }
        let asked = self.ports.get(&vif).map(|(bridge, _)| *bridge).filter(|bridge| self.now.link(*bridge).is_some());
        if let Some(bridge) = asked.filter(|bridge| link.master != Some(*bridge)) {
            findings.push(Finding::Released { vif, bridge, found: link.master });
            return findings;
        }
        let Some((bridge, port)) = link.master.zip(link.port) else {
            findings.extend((link.up && !self.is_at_ingress(link)).then_some(Finding::NotAtIngress { vif }));
            return findings;
        };
        let state = self.wanted_state(link, bridge, port);
        if port != state {
            findings.push(Finding::PortFlags { vif, found: port, asked: state });
        }
        if paired {
            let twin = self.now.twin_of(vif).filter(|twin| twin.name.is_emulated());
            findings.extend(twin.map(|twin| Finding::Pair { vif, twin: twin.name }));
        } else {
            let loose = guard.lock.macs().iter().filter(|mac| !self.evidence.pinned.contains(&(link.index, **mac)));
            findings.extend(loose.map(|mac| Finding::NotPinned { vif, mac: *mac }));
            findings.extend(port.locked.is_none().then_some(Finding::NoPortLock { vif }));
        }
        findings.extend(link.shut.then_some(Finding::PortShut { vif, bridge }));
        findings
    }

    fn others(&self) -> Vec<Finding> {
        let wanted = &self.wanted;
        let mut findings = Vec::new();
        let absent = Inspection::default();
        let found = self.evidence.tables.get(&Table::Inet).unwrap_or(&absent);
        if found.layout() != LAYOUT {
            // Another version's rules are told by their comments; where there is no table there is none.
            let missing = wanted.masquerades.difference(&self.now.masquerades);
            findings.extend(missing.map(|rule| Finding::NotMasqueraded { masquerade: rule.clone() }));
        } else {
            let (missing, others) = found.masquerade_differences(&wanted.masquerades);
            let stale =
                others.saturating_sub(missing.iter().filter(|rule| self.now.masquerades.contains(rule)).count());
            findings.extend(missing.into_iter().map(|rule| Finding::NotMasqueraded { masquerade: rule.clone() }));
            if stale > 0 {
                let defect = format!("chain postrouting: {stale} rules are not ours");
                findings.push(Finding::TableAltered { table: Table::Inet, defect });
            }
        }
        let gone = wanted.networks.iter().filter(|(id, _)| self.now.link(id.link()).is_none());
        findings.extend(gone.map(|(_, record)| Finding::NoBridge { network: record.network.clone() }));
        let of_nobody = wanted.dom0.iter().filter(|(name, _)| self.now.link(**name).is_none());
        findings.extend(
            of_nobody.map(|(name, access)| Finding::NoSuchInterface { interface: *name, asked: access.clone() }),
        );
        let forwards = !(wanted.networks.is_empty() && wanted.masquerades.is_empty() && wanted.ingress.is_empty());
        for DroppingChain { family, table, chain } in &self.evidence.dropping {
            let matters = if *family == "bridge" { !wanted.guards.is_empty() } else { forwards };
            findings.extend(matters.then(|| Finding::ForwardDrop {
                family: (*family).to_owned(),
                table: table.clone(),
                chain: chain.clone(),
            }));
        }
        findings.extend(self.evidence.cut_off.then_some(Finding::CutOff));
        findings
    }
}
