//! Whether the kernel still holds what was asked for: read back, compared, mended.

mod finding;
mod repair;

pub use finding::{Finding, Report, Severity};

use crate::asked::Asked;
use crate::contents::Contents;
use crate::edge::GUESTS;
use crate::guard::{Guard, Hold};
use crate::ifname::IfName;
use crate::mac::MacAddr;
use crate::netlink::nf::{Inspection, raw};
use crate::snapshot::{LAYOUT, Link, PortState, Snapshot};
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
    /// What is said to stand: as it was asked for here, else as the kernel's own comments tell it,
    /// which others may have set.
    fn said(&self) -> Contents {
        let Snapshot { guards, ingress, dom0, untracked, masquerades, networks, .. } = self.now.clone();
        let mut said = Contents { guards, ingress, dom0, untracked, masquerades, networks };
        let asked = self.asked.contents.clone();
        said.guards.extend(asked.guards);
        said.ingress.extend(asked.ingress);
        said.dom0.extend(asked.dom0);
        said.untracked.extend(asked.untracked);
        said.masquerades.extend(asked.masquerades);
        said.networks.extend(asked.networks);
        said
    }

    /// What is to stand: that, for the interfaces that are there, under the names that they have now.
    fn wanted(&self) -> Contents {
        let said = self.said();
        let mut wanted = said.clone();
        let mut renamed = BTreeMap::new();
        let mut dead = BTreeSet::new();
        for table in GUESTS {
            let guards = if table == Table::Netdev { &mut wanted.ingress } else { &mut wanted.guards };
            guards.clear();
            for (name, guard) in said.guards_in(table) {
                let by_name = || self.now.link(*name).filter(|_| guard.device == 0);
                match self.link_of(guard).or_else(by_name) {
                    Some(link) => {
                        // A lock whose comment was lost is that of the interface that has the name.
                        let guard = if guard.device == 0 { Guard::of(link, &guard.lock) } else { guard.clone() };
                        guards.insert(link.name, guard);
                        renamed.insert(*name, link.name);
                    }
                    None => drop(dead.insert(*name)),
                }
            }
        }
        // What was said of an interface goes with it, and ends with it.
        dead.retain(|name| !renamed.contains_key(name) && self.now.link(*name).is_none());
        let lives = |name: &IfName| !dead.contains(name);
        let now = |name: IfName| renamed.get(&name).copied().unwrap_or(name);
        wanted.dom0 = said.dom0.into_iter().filter(|(name, _)| lives(name)).map(|(name, to)| (now(name), to)).collect();
        let held = |name: &IfName| wanted.guards.contains_key(name);
        wanted.untracked =
            said.untracked.into_iter().map(|(name, to)| (now(name), to)).filter(|(name, _)| held(name)).collect();
        wanted.networks.retain(|bridge, _| self.now.link(*bridge).is_some());
        wanted
    }

    /// The interface that a lock was made for, whatever its name is by now.
    fn link_of(&self, guard: &Guard) -> Option<&Link> {
        self.now.links.values().find(|link| link.index == guard.device)
    }

    /// Looks at everything, and plans what mends it.
    pub(crate) fn report(&self) -> Report {
        let wanted = self.wanted();
        let mut findings = self.fixed_parts(&wanted);
        findings.extend(self.renamed());
        findings.extend(self.contents(&wanted));
        findings.extend(self.ports(&wanted));
        findings.extend(self.others(&wanted));
        let repair = repair::plan(self, &findings, wanted);
        Report { findings, repair }
    }

    fn fixed_parts(&self, wanted: &Contents) -> Vec<Finding> {
        let mut findings = Vec::new();
        for (table, found) in &self.tables {
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
        let said = self.said();
        let mut findings = Vec::new();
        for (was, guard) in GUESTS.into_iter().flat_map(|table| said.guards_in(table).iter()) {
            let renamed = self.link_of(guard).filter(|link| link.name != *was);
            let finding = renamed.map(|link| Finding::Renamed { vif: link.name, was: *was });
            findings.extend(finding.filter(|finding| !findings.contains(finding)));
        }
        findings
    }

    /// Whether an interface was locked under another name: all that stands of it stands there.
    fn is_renamed(&self, vif: IfName) -> bool {
        let said = self.said();
        let mut all = GUESTS.into_iter().flat_map(|table| said.guards_in(table).iter());
        all.any(|(was, guard)| *was != vif && self.link_of(guard).is_some_and(|link| link.name == vif))
    }

    /// What stands in the tables beside what is to stand there, by interface.
    fn contents(&self, wanted: &Contents) -> Vec<Finding> {
        let absent = Inspection::default();
        let said = self.said();
        let mut findings = Vec::new();
        for table in Table::ALL {
            let found = self.tables.get(&table).unwrap_or(&absent);
            let differences = found.differences(table, wanted);
            let mut by_name: BTreeMap<Option<IfName>, (usize, usize)> = BTreeMap::new();
            for (set, element) in &differences.missing {
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
                let moved = GUESTS.into_iter().any(|table| {
                    said.guards_in(table)
                        .get(&name)
                        .and_then(|guard| self.link_of(guard))
                        .is_some_and(|link| link.name != name)
                });
                let present = found.is_present();
                findings.extend(self.difference(table, name, (missing, surplus), wanted, moved, present));
            }
            // Addresses whose guest is not told: only where nothing was said of a guest.
            if addresses != (0, 0) && found.is_present() && findings.len() == before {
                let defect = format!("set untracked_macs: {}", finding::count(addresses.0, addresses.1));
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
        wanted: &Contents,
        moved: bool,
        present: bool,
    ) -> Option<Finding> {
        let leftover = || (!moved).then_some(Finding::Leftover { vif: name, table });
        match table {
            Table::Bridge | Table::Netdev => match wanted.guards_in(table).get(&name) {
                // Renamed: that was said.
                Some(guard) if self.said().guards_in(table).get(&name) != Some(guard) => None,
                Some(guard) => {
                    let asked = guard.lock.clone();
                    match present && self.now.guards_in(table).contains_key(&name) {
                        true => Some(Finding::LockDiffers { vif: name, table, asked, missing, surplus }),
                        false => Some(Finding::NotLocked { vif: name, table, asked }),
                    }
                }
                None => leftover(),
            },
            Table::Inet => match (wanted.networks.get(&name), wanted.ingress.contains_key(&name)) {
                (Some(record), _) => Some(Finding::NetworkForgotten { network: record.network.clone() }),
                (None, true) => None,
                (None, false) => leftover(),
            },
            Table::Dom0 => match wanted.dom0.get(&name) {
                Some(_) if self.is_renamed(name) => None,
                Some(access) => Some(Finding::Dom0Differs { interface: name, asked: access.clone(), missing, surplus }),
                None => leftover(),
            },
            Table::Untracked => match wanted.untracked.contains_key(&name) {
                true if self.is_renamed(name) => None,
                true => Some(Finding::Tracked { vif: name }),
                false => leftover(),
            },
        }
    }

    /// Whether an interface is held at ingress, as it should be.
    fn is_at_ingress(&self, link: &Link, wanted: &Contents) -> bool {
        wanted.ingress.get(&link.name).is_some_and(|guard| guard.device == link.index)
    }

    /// The bridge that an interface was attached to, by the name that it had then, and its flags.
    fn asked_port(&self, link: &Link) -> Option<(IfName, PortState)> {
        let said = self.said();
        let names = GUESTS.into_iter().flat_map(|table| said.guards_in(table).iter());
        let was = names.filter(|(_, guard)| guard.device == link.index).map(|(name, _)| *name);
        was.chain([link.name]).find_map(|name| self.asked.ports.get(&name).copied())
    }

    /// The flags that a port of a bridge is to have under its lock.
    fn wanted_state(&self, link: &Link, bridge: IfName, port: PortState, wanted: &Contents) -> PortState {
        let asked = self.asked_port(link).filter(|(asked, _)| *asked == bridge);
        let isolated = asked.map_or(port.isolated, |(_, state)| state.isolated);
        let stp = self.now.link(bridge).and_then(|bridge| bridge.bridge).is_some_and(|bridge| bridge.stp);
        Hold { guarded: true, isolated, paired: self.is_at_ingress(link, wanted), stp }.state(port)
    }

    fn ports(&self, wanted: &Contents) -> Vec<Finding> {
        let mut findings = Vec::new();
        let demanding: BTreeSet<IfName> = wanted
            .networks
            .values()
            .filter(|record| record.network.demands_lock())
            .map(|record| record.network.bridge_name())
            .collect();
        let mut guarded_bridges = demanding.clone();
        for (vif, guard) in &wanted.guards {
            let Some(link) = self.now.link(*vif) else { continue };
            guarded_bridges.extend(link.master);
            findings.extend(self.port(link, guard, wanted));
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
        let known = |link: &Link| wanted.guards.contains_key(&link.name) || wanted.ingress.contains_key(&link.name);
        for link in self.now.links.values().filter(|link| !known(link)) {
            if link.is_vif() {
                findings.extend(link.up.then_some(Finding::Unguarded { vif: link.name }));
                continue;
            }
            let Some(bridge) = link.master.filter(|bridge| guarded_bridges.contains(bridge)) else { continue };
            let named = |name: &str| name.parse::<VifId>().is_ok();
            let attached = self.asked.ports.get(&link.name).is_some_and(|(master, _)| *master == bridge);
            let like_a_guest = (named(link.name.as_str()) || named(&link.alias)) && !attached;
            if like_a_guest || demanding.contains(&bridge) {
                findings.push(Finding::UnknownPort { bridge, port: link.name });
            }
        }
        findings
    }

    /// What is wrong with the port of one bridged guest.
    fn port(&self, link: &Link, guard: &Guard, wanted: &Contents) -> Vec<Finding> {
        let vif = link.name;
        let paired = self.is_at_ingress(link, wanted);
        let mut findings = Vec::new();
        if link.group != VIF_GROUP {
            findings.push(Finding::NotInGroup { vif, group: link.group });
        }
        let asked = self.asked_port(link).map(|(bridge, _)| bridge).filter(|bridge| self.now.link(*bridge).is_some());
        if let Some(bridge) = asked.filter(|bridge| link.master != Some(*bridge)) {
            findings.push(Finding::Released { vif, bridge, found: link.master });
            return findings;
        }
        let Some((bridge, port)) = link.master.zip(link.port) else {
            findings.extend((link.up && !paired).then_some(Finding::NotAtIngress { vif }));
            return findings;
        };
        let state = self.wanted_state(link, bridge, port, wanted);
        if port != state {
            findings.push(Finding::PortFlags { vif, found: port, asked: state });
        }
        if paired {
            let twin = self.now.twin_of(vif).filter(|twin| twin.name.is_emulated());
            findings.extend(twin.map(|twin| Finding::Pair { vif, twin: twin.name }));
        } else {
            let loose = guard.lock.macs().iter().filter(|mac| !self.pinned.contains(&(link.index, **mac)));
            findings.extend(loose.map(|mac| Finding::NotPinned { vif, mac: *mac }));
            findings.extend(port.locked.is_none().then_some(Finding::NoPortLock { vif }));
        }
        findings.extend(link.shut.then_some(Finding::PortShut { vif, bridge }));
        findings
    }

    fn others(&self, wanted: &Contents) -> Vec<Finding> {
        let mut findings = Vec::new();
        let absent = Inspection::default();
        let found = self.tables.get(&Table::Inet).unwrap_or(&absent);
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
        let forwards = !(wanted.networks.is_empty() && wanted.masquerades.is_empty() && wanted.ingress.is_empty());
        for DroppingChain { family, table, chain } in &self.dropping {
            let matters = if *family == "bridge" { !wanted.guards.is_empty() } else { forwards };
            findings.extend(matters.then(|| Finding::ForwardDrop {
                family: (*family).to_owned(),
                table: table.clone(),
                chain: chain.clone(),
            }));
        }
        findings.extend(self.cut_off.then_some(Finding::CutOff));
        findings
    }

    /// Addresses that are to be pinned again, from wherever the bridge learned them meanwhile.
    pub(crate) fn learned(&self) -> BTreeSet<MacAddr> {
        self.said().guards.into_values().flat_map(|guard| guard.lock.macs().to_vec()).collect()
    }
}
