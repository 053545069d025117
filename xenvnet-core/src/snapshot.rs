//! What is: the part of a host's network that operations depend on, as plain data.

use crate::account::Account;
use crate::contents;
use crate::dom0::Dom0;
use crate::drops::Drops;
use crate::entry::{Entry, EntryKind};
use crate::error::{Error, ErrorKind, Result};
use crate::forward::Forward;
use crate::guard::Guard;
use crate::ifname::IfName;
use crate::link::Link;
use crate::mac::{BridgeSeed, MacAddr};
use crate::masquerade::Masquerade;
use crate::network::{NetworkId, NetworkRecord};
use crate::network_root::NetworkRoot;
use crate::plan::{Plan, Step};
use crate::sysctl::Sysctl;
use crate::table::Table;
use crate::untracked::Untracked;
use crate::vif::{VIF_GROUP, VifId};
use ipnetwork::IpNetwork;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// A host's network at one moment, whole or as far as some operations need it.
///
/// ```no_run
/// let host = xenvnet_core::Host::open()?;
/// for bridge in host.snapshot()?.bridges() {
///     println!("{}", bridge.name);
/// }
/// # Ok::<(), xenvnet_core::Error>(())
/// ```
#[non_exhaustive]
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Snapshot {
    /// Interfaces by name.
    pub links: BTreeMap<IfName, Link>,
    /// Addresses of dom0 by interface.
    pub addresses: BTreeMap<IfName, BTreeSet<IpNetwork>>,
    /// Subnets that are reached directly over an interface by a route of ours.
    pub routes: BTreeMap<IfName, BTreeSet<IpNetwork>>,
    /// The metrics of those that have one: a route is deleted, and put back, with its own.
    #[serde(skip)]
    pub(crate) metrics: BTreeMap<(IfName, IpNetwork), u32>,
    /// Our tables that are there, with their layouts.
    #[serde(default)]
    pub tables: BTreeMap<Table, u32>,
    /// Locks of the bridge's table by interface name, whether the interface is there or not.
    pub guards: BTreeMap<IfName, Guard>,
    /// Locks of the netdev table, where frames come in: of routed guests, and beside the one of the
    /// bridge's table, of both ports of a guest that has an emulated card too.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub ingress: BTreeMap<IfName, Guard>,
    /// Interfaces whose frames visit the netdev table.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub hooks: BTreeSet<IfName>,
    /// Interfaces of which half of that is left.
    #[serde(skip)]
    pub(crate) half_hooks: BTreeSet<IfName>,
    /// What guests reach on dom0 itself, by the interface that they are behind; others reach what
    /// dom0's own firewall lets in.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub dom0: BTreeMap<IfName, Dom0>,
    /// Whether that is known of all interfaces.
    #[serde(skip)]
    pub(crate) all_dom0: bool,
    /// Bridged guests that dom0 does not track.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub untracked: BTreeMap<IfName, Untracked>,
    /// MAC addresses that are known to be pinned to a port although no lock says so. Only looked
    /// for where pinning one was refused.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub pinned: BTreeSet<(IfName, MacAddr)>,
    /// Dropped frames.
    pub drops: Vec<Drops>,
    /// Masquerade rules of ours.
    pub masquerades: BTreeSet<Masquerade>,
    /// Ports of dom0 that lead to guests.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub forwards: BTreeSet<Forward>,
    /// Networks that run.
    pub networks: BTreeMap<NetworkId, NetworkRecord>,
    /// Traffic that is counted, by the name of the guest's interface, whether that is there or not.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub accounts: BTreeMap<IfName, Account>,
    /// Kernel settings.
    pub sysctls: BTreeMap<Sysctl, u32>,
    /// Settings of single interfaces, where something may have to be moved or put back.
    #[serde(skip)]
    pub(crate) link_sysctls: BTreeMap<Sysctl, u32>,
    /// Addresses, routes, rules, next hops and neighbours as they are, where something may have to be
    /// moved: in the kernel's order.
    #[serde(skip)]
    pub(crate) entries: Vec<Entry>,
    /// The root file system, where it is on the network and nobody dares to move what it hangs on.
    #[serde(skip)]
    pub(crate) network_root: Option<NetworkRoot>,
    /// VLANs, and the interfaces that they are on.
    #[serde(skip)]
    pub(crate) vlans: BTreeMap<IfName, IfName>,
    /// Interfaces that are on others, VLANs among them, and which.
    #[serde(skip)]
    pub(crate) above: BTreeMap<IfName, IfName>,
    /// Whether this kernel renames interfaces that are up (Linux 6.2).
    #[serde(skip)]
    pub(crate) renames_up: bool,
    /// What the MAC addresses of this host's bridges are made with. Not for reports: machine-id(5)
    /// asks that nothing made from it is shown to others.
    #[serde(skip)]
    pub(crate) bridge_seed: BridgeSeed,
}

/// The layout of our tables that this version writes; it is stored in them.
pub(crate) const LAYOUT: u32 = 3;

impl Snapshot {
    /// Reads a snapshot from JSON, as it is written by serde.
    ///
    /// # Errors
    /// [`ErrorKind::Parse`](crate::ErrorKind::Parse) with the offset of what could not be read.
    ///
    /// ```
    /// let text = serde_json::to_string(&xenvnet_core::Snapshot::default()).unwrap();
    /// assert_eq!(xenvnet_core::Snapshot::from_json(&text)?, xenvnet_core::Snapshot::default());
    /// # Ok::<(), xenvnet_core::Error>(())
    /// ```
    pub fn from_json(text: &str) -> Result<Snapshot> {
        crate::text::from_json(text, "snapshot")
    }

    /// The interface of this name.
    ///
    /// ```
    /// assert!(xenvnet_core::Snapshot::default().link("eth0".parse()?).is_none());
    /// # Ok::<(), xenvnet_core::Error>(())
    /// ```
    pub fn link(&self, name: IfName) -> Option<&Link> {
        self.links.get(&name)
    }

    /// All bridges.
    ///
    /// ```
    /// assert_eq!(xenvnet_core::Snapshot::default().bridges().count(), 0);
    /// ```
    pub fn bridges(&self) -> impl Iterator<Item = &Link> {
        self.links.values().filter(|link| link.is_bridge())
    }

    /// All interfaces of guests: those in the group, those that are locked, and those that have
    /// netback's name or had it before they were renamed.
    ///
    /// ```
    /// assert_eq!(xenvnet_core::Snapshot::default().vifs().count(), 0);
    /// ```
    pub fn vifs(&self) -> impl Iterator<Item = &Link> {
        self.links.values().filter(|link| {
            let named = |name: &str| name.parse::<VifId>().is_ok();
            link.is_vif() || self.guard_of(link.name).is_some() || named(link.name.as_str()) || named(&link.alias)
        })
    }

    /// The ports of a bridge.
    ///
    /// ```
    /// assert_eq!(xenvnet_core::Snapshot::default().ports_of("xenbr0".parse()?).count(), 0);
    /// # Ok::<(), xenvnet_core::Error>(())
    /// ```
    pub fn ports_of(&self, bridge: IfName) -> impl Iterator<Item = &Link> {
        self.links.values().filter(move |link| link.master == Some(bridge))
    }

    /// The lock of an interface that is there, bridged or routed. A guard that was made for another
    /// interface of the same name does not count.
    ///
    /// ```
    /// assert!(xenvnet_core::Snapshot::default().guard_of("vif1.0".parse()?).is_none());
    /// # Ok::<(), xenvnet_core::Error>(())
    /// ```
    pub fn guard_of(&self, name: IfName) -> Option<&Guard> {
        self.guard_at(Table::Bridge, name).or_else(|| self.guard_at(Table::Netdev, name))
    }

    /// The guard of one of the two tables that hold guests, if it was made for the interface that
    /// has the name now.
    pub(crate) fn guard_at(&self, table: Table, name: IfName) -> Option<&Guard> {
        let guard = self.guards_in(table).get(&name)?;
        (self.link(name)?.index == guard.device).then_some(guard)
    }

    /// Whether an interface is marked as a guest's that is held back, and nothing holds it: it must not be up.
    pub(crate) fn lacks_lock(&self, name: IfName) -> bool {
        self.link(name).is_some_and(|link| link.group == VIF_GROUP) && self.guard_of(name).is_none()
    }

    /// The guards of one of the two tables that hold guests.
    pub(crate) fn guards_in(&self, table: Table) -> &BTreeMap<IfName, Guard> {
        if table == Table::Netdev { &self.ingress } else { &self.guards }
    }

    /// Whether an interface is one of the two ports of a guest that has an emulated card too: held
    /// where its frames come in, and on the bridge.
    ///
    /// ```
    /// assert!(!xenvnet_core::Snapshot::default().is_paired("vif1.0".parse()?));
    /// # Ok::<(), xenvnet_core::Error>(())
    /// ```
    pub fn is_paired(&self, name: IfName) -> bool {
        let bridged = self.link(name).is_some_and(|link| link.port.is_some());
        bridged && self.guard_at(Table::Netdev, name).is_some() && self.guard_at(Table::Bridge, name).is_some()
    }

    /// The other port of the same guest's card on the same bridge: the vif and the tap that Xen gave
    /// the same numbers, whatever they are called since.
    pub(crate) fn twin_of(&self, name: IfName) -> Option<&Link> {
        let link = self.link(name)?;
        let xen_name = link.xen_name()?;
        self.twin_of_xen(xen_name, link.master?)
    }

    /// The same, of a port that is about to be on this bridge.
    pub(crate) fn twin_of_xen(&self, xen_name: IfName, bridge: IfName) -> Option<&Link> {
        let twin = xen_name.twin()?;
        self.links.values().find(|link| link.xen_name() == Some(twin) && link.master == Some(bridge))
    }

    pub(crate) fn has(&self, table: Table) -> bool {
        self.tables.contains_key(&table)
    }

    /// What makes a table ready to be written: it is added where it is missing, and converted where
    /// it is of an older layout.
    pub(crate) fn step_ready(&self, table: Table) -> Option<Step> {
        match self.tables.get(&table) {
            None => Some(Step::AddTable { table }),
            Some(&LAYOUT) => None,
            Some(_) => Some(Step::RewriteTable { table }),
        }
    }

    /// The interface of this name, or the error that says that there is none.
    pub(crate) fn expect_link(&self, name: IfName, what: impl FnOnce() -> String) -> Result<&Link> {
        self.link(name).ok_or_else(|| Error::cannot(ErrorKind::NotFound, what(), format!("no interface named {name}")))
    }

    /// The bridge of this name, or the error that says that there is none.
    pub(crate) fn expect_bridge(&self, name: IfName, what: impl Fn() -> String) -> Result<&Link> {
        let link = self.expect_link(name, &what)?;
        if link.is_bridge() {
            return Ok(link);
        }
        Err(Error::cannot(ErrorKind::InvalidArgument, what(), format!("{name} is no bridge")))
    }

    /// The network that runs on a bridge.
    pub(crate) fn network_on(&self, bridge: IfName) -> Option<&NetworkRecord> {
        self.networks.get(&NetworkId::Interface(bridge)).filter(|record| record.network.bridge() == Some(bridge))
    }

    /// The interface of the default route: of IPv4 if there is one, of several that with the lowest
    /// metric. Only known where entries are.
    pub(crate) fn default_link(&self) -> Option<IfName> {
        let defaults = self.entries.iter().filter_map(|entry| Some((entry, entry.default_link()?)));
        defaults.min_by_key(|(entry, _)| (!entry.is_ipv4(), entry.metric())).map(|(_, link)| link)
    }

    /// An interface that was just made has the settings that new ones have.
    pub(crate) fn sysctls_of_new(&mut self, link: IfName) {
        let Ok(default) = "default".parse() else { return };
        let of_default = |(sysctl, value): (&Sysctl, &u32)| match sysctl {
            Sysctl::Link(name, setting) if *name == default => Some((Sysctl::Link(link, *setting), *value)),
            _ => None,
        };
        let new: Vec<_> = self.link_sysctls.iter().filter_map(of_default).collect();
        self.link_sysctls.extend(new);
    }

    /// A setting, of the whole host or of one interface, as far as it was read.
    pub(crate) fn sysctl(&self, sysctl: Sysctl) -> Option<u32> {
        self.sysctls.get(&sysctl).or_else(|| self.link_sysctls.get(&sysctl)).copied()
    }

    /// What this becomes when a plan has been carried out: how one operation's plan builds on
    /// another's before either touches the kernel.
    ///
    /// ```
    /// use xenvnet_core::{Bridge, Operation, Snapshot};
    /// let create = Operation::CreateBridge(Bridge::new("xenbr0".parse()?));
    /// let before = Snapshot::default();
    /// let after = before.after(&create.plan(&before)?);
    /// assert!(create.plan(&after)?.is_empty());
    /// # Ok::<(), xenvnet_core::Error>(())
    /// ```
    pub fn after(&self, plan: &Plan) -> Snapshot {
        let mut snapshot = self.clone();
        plan.steps().iter().for_each(|step| snapshot.take(step));
        snapshot
    }

    pub(crate) fn take(&mut self, step: &Step) {
        use Step::*;
        match step.clone() {
            AddBridge { bridge, mac, mtu, state, auto_link_local } => {
                // The kernel will number it; no two in one plan share a number.
                let index = u32::MAX - self.links.len() as u32;
                let mut link = Link::new(index, bridge);
                link.mac = Some(mac);
                link.mtu = mtu;
                link.bridge = Some(state);
                link.auto_link_local = Some(auto_link_local);
                self.links.insert(bridge, link);
            }
            DeleteBridge { bridge, .. } => {
                self.links.remove(&bridge);
                self.addresses.remove(&bridge);
                self.routes.remove(&bridge);
                self.metrics.retain(|(link, _), _| *link != bridge);
            }
            SetBridge { bridge, to, .. } => self.change(bridge, |link| link.bridge = Some(to)),
            Rename { from, to, .. } => {
                if let Some(mut link) = self.links.remove(&from) {
                    link.name = to;
                    self.links.insert(to, link);
                    let stacked = self.vlans.values_mut().chain(self.above.values_mut());
                    stacked.filter(|under| **under == from).for_each(|under| *under = to);
                }
                self.links.values_mut().filter(|link| link.master == Some(from)).for_each(|l| l.master = Some(to));
                rename_key(&mut self.addresses, from, to);
                rename_key(&mut self.routes, from, to);
                let metrics = std::mem::take(&mut self.metrics).into_iter();
                let renamed = |link: IfName| if link == from { to } else { link };
                self.metrics = metrics.map(|((link, net), metric)| ((renamed(link), net), metric)).collect();
                let sysctls = std::mem::take(&mut self.link_sysctls);
                self.link_sysctls = sysctls.into_iter().map(|(sysctl, v)| (sysctl.renamed(from, to), v)).collect();
                // Rules name whoever has the name.
                let numbered = self.entries.iter_mut().filter(|entry| entry.kind() != EntryKind::Rule);
                numbered.for_each(|entry| *entry = entry.moved(from, to));
            }
            SetLink { link, to, .. } => self.change(link, |link| {
                link.mac = to.mac.or(link.mac);
                link.mtu = to.mtu.unwrap_or(link.mtu);
                link.group = to.group.unwrap_or(link.group);
                link.auto_link_local = to.auto_link_local.or(link.auto_link_local);
                link.alias = to.alias.unwrap_or(std::mem::take(&mut link.alias));
            }),
            Up { link } => self.change(link, |link| link.up = true),
            Down { link } => self.change(link, |link| link.up = false),
            Enslave { port, bridge, state, .. } => self.change(port, |link| {
                link.master = Some(bridge);
                link.port = Some(state);
            }),
            Release { port, .. } => self.change(port, |link| {
                link.master = None;
                link.port = None;
            }),
            SetPort { port, to, .. } => self.change(port, |link| link.port = Some(to)),
            AddAddress { link, address } => drop(self.addresses.entry(link).or_default().insert(address)),
            DeleteAddress { link, address } => remove_from(&mut self.addresses, link, &address),
            AddRoute { link, subnet, metric } => {
                self.routes.entry(link).or_default().insert(subnet);
                self.metrics.extend(metric.map(|metric| ((link, subnet), metric)));
            }
            DeleteRoute { link, subnet, .. } => {
                remove_from(&mut self.routes, link, &subnet);
                self.metrics.remove(&(link, subnet));
            }
            AddEntry { entry } => {
                self.take_entry(&entry, true);
                let place = self.entries.iter().position(|there| there.follows(&entry));
                let place = place.unwrap_or(self.entries.len());
                self.entries.insert(place, entry);
            }
            DeleteEntry { entry } => {
                self.take_entry(&entry, false);
                self.entries.retain(|there| !there.is_same(&entry));
            }
            MoveEntry { entry, from, to } => {
                self.take_entry(&entry, false);
                let moved = entry.moved(from, to);
                self.take_entry(&moved, true);
                let there = self.entries.iter_mut().filter(|there| there.is_same(&entry));
                there.for_each(|there| *there = moved.clone());
            }
            SetSysctl { sysctl: sysctl @ Sysctl::Link(..), to, .. } => drop(self.link_sysctls.insert(sysctl, to)),
            SetSysctl { sysctl, to, .. } => drop(self.sysctls.insert(sysctl, to)),
            AddTable { table } | RewriteTable { table } => drop(self.tables.insert(table, LAYOUT)),
            DeleteTable { table } => drop(self.tables.remove(&table)),
            Restore { contents } => {
                let contents = *contents;
                self.hooks = contents.ingress.keys().copied().collect();
                self.half_hooks.clear();
                self.tables
                    .extend(Table::ALL.iter().copied().filter(|table| contents.needs(*table)).map(|t| (t, LAYOUT)));
                (self.guards, self.ingress, self.dom0) = (contents.guards, contents.ingress, contents.dom0);
                (self.untracked, self.masquerades) = (contents.untracked, contents.masquerades);
                (self.networks, self.forwards) = (contents.networks, contents.forwards);
                self.accounts = contents.accounts;
            }
            Sweep { table, names } => {
                let guards = [&mut self.guards, &mut self.ingress];
                contents::sweep(table, &names, guards, &mut self.dom0, &mut self.untracked);
                if table == Table::Netdev {
                    self.hooks.retain(|name| !names.contains(name));
                    self.half_hooks.retain(|name| !names.contains(name));
                }
            }
            SetGuard { table, vif, to, .. } => {
                let guards = if table == Table::Netdev { &mut self.ingress } else { &mut self.guards };
                set_or_remove(guards, vif, to);
            }
            AddHook { vif } => {
                self.hooks.insert(vif);
                self.half_hooks.remove(&vif);
            }
            DeleteHook { vif } => {
                self.hooks.remove(&vif);
                self.half_hooks.remove(&vif);
            }
            SetDom0 { interface, to, .. } => set_or_remove(&mut self.dom0, interface, to),
            SetUntracked { vif, to, .. } => set_or_remove(&mut self.untracked, vif, to),
            SetAccount { name, to, .. } => set_or_remove(&mut self.accounts, name, to),
            ForgetDrops { table, vif, reasons } => {
                self.drops.retain(|drops| drops.table != table || drops.vif != vif || !reasons.contains(&drops.reason));
            }
            AddMasquerade { masquerade } => drop(self.masquerades.insert(masquerade)),
            DeleteMasquerade { masquerade } => drop(self.masquerades.remove(&masquerade)),
            AddForward { forward, .. } => drop(self.forwards.insert(forward)),
            DeleteForward { forward, .. } => drop(self.forwards.remove(&forward)),
            AddNetwork { record } => {
                self.networks.extend(record.network.id().map(|id| (id, record)));
            }
            DeleteNetwork { record } => self.networks.retain(|_, there| there.network.id() != record.network.id()),
            DeleteFdb { port, mac, .. } => drop(self.pinned.remove(&(port, mac))),
            AddFdb { .. } | Check { .. } | ForgetConnections { .. } => {}
            AwaitSending { .. } | AwaitAddresses { .. } | AwaitSent { .. } => {}
        }
    }

    /// A route of an interface taken away, to be put back as it was.
    pub(crate) fn step_unroute(&self, link: IfName, subnet: IpNetwork) -> Step {
        Step::DeleteRoute { link, subnet, metric: self.metrics.get(&(link, subnet)).copied() }
    }

    /// What the reports show of an entry comes or goes with it.
    fn take_entry(&mut self, entry: &Entry, comes: bool) {
        let take = |of: &mut BTreeMap<IfName, BTreeSet<IpNetwork>>, link, net| match comes {
            true => drop(of.entry(link).or_default().insert(net)),
            false => remove_from(of, link, &net),
        };
        if let (Some(address), Some(link)) = (entry.address(), entry.links().first()) {
            take(&mut self.addresses, *link, address);
        }
        if let Some((link, subnet)) = entry.as_direct_route() {
            take(&mut self.routes, link, subnet);
        }
    }

    fn change(&mut self, name: IfName, change: impl FnOnce(&mut Link)) {
        if let Some(link) = self.links.get_mut(&name) {
            change(link);
        }
    }
}

fn set_or_remove<T>(of: &mut BTreeMap<IfName, T>, name: IfName, to: Option<T>) {
    match to {
        Some(value) => drop(of.insert(name, value)),
        None => drop(of.remove(&name)),
    }
}

fn rename_key<T>(of: &mut BTreeMap<IfName, T>, from: IfName, to: IfName) {
    if let Some(value) = of.remove(&from) {
        of.insert(to, value);
    }
}

fn remove_from(of: &mut BTreeMap<IfName, BTreeSet<IpNetwork>>, link: IfName, net: &IpNetwork) {
    if let Some(nets) = of.get_mut(&link) {
        nets.remove(net);
        if nets.is_empty() {
            of.remove(&link);
        }
    }
}
