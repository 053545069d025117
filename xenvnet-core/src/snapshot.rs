//! What is: the part of a host's network that operations depend on, as plain data.

use crate::dom0::Dom0;
use crate::drops::Drops;
use crate::error::{Error, ErrorKind, Result};
use crate::guard::Guard;
use crate::ifname::IfName;
use crate::mac::{BridgeSeed, MacAddr};
use crate::masquerade::Masquerade;
use crate::network::NetworkRecord;
use crate::plan::{Plan, Step};
use crate::table::Table;
use crate::untracked::Untracked;
use crate::vif::{VIF_GROUP, VifId};
use ipnetwork::IpNetwork;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

/// The settings of a bridge that this library cares for.
///
/// ```
/// use xenvnet_core::BridgeState;
/// assert_eq!(BridgeState::new(false).to_string(), "stp off forward_delay 0");
/// ```
#[non_exhaustive]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct BridgeState {
    /// Whether it takes part in the spanning tree protocol.
    pub stp: bool,
    /// How long a port listens before it forwards, in hundredths of a second.
    pub forward_delay: u32,
}

impl BridgeState {
    /// As Xen hosts want it: no delay without the spanning tree protocol, the kernel's 15 seconds
    /// with it (which then allows no less than 2).
    ///
    /// ```
    /// assert_eq!(xenvnet_core::BridgeState::new(true).forward_delay, 1500);
    /// ```
    pub fn new(stp: bool) -> BridgeState {
        BridgeState { stp, forward_delay: if stp { 1500 } else { 0 } }
    }
}

impl fmt::Display for BridgeState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "stp {} forward_delay {}", if self.stp { "on" } else { "off" }, self.forward_delay)
    }
}

/// The flags of a bridge port that this library cares for; see bridge(8).
///
/// ```
/// use xenvnet_core::PortState;
/// assert_eq!(PortState::default().to_string(), "learning on, locked off, flood on, isolated off");
/// ```
#[non_exhaustive]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct PortState {
    /// Whether the bridge learns the source addresses of its frames.
    pub learning: bool,
    /// Whether it cannot reach other isolated ports.
    pub isolated: bool,
    /// Whether frames from addresses that are not pinned to it are dropped (Linux 5.18); `None`
    /// on a kernel that does not know the flag.
    pub locked: Option<bool>,
    /// Whether it is sent unicast frames of which the bridge does not know where they belong. Off
    /// where all of a guest's addresses are pinned: such a frame is another's.
    #[serde(default = "yes")]
    pub flood: bool,
    /// Whether a frame of the spanning tree protocol that comes in by it shuts it down. On where a
    /// guest is locked on a bridge that speaks the protocol: the bridge takes such frames before any
    /// filter of its family sees them.
    #[serde(default)]
    pub bpdu_guard: bool,
    /// Of the groups reserved for bridges (01:80:c2:00:00:00 to 0f), those whose frames are treated
    /// like any other, a bit for each; see ip-link(8). All but pause frames (0xfffd) where a guest is
    /// locked: dom0's own stack would get them past every filter.
    #[serde(default)]
    pub group_fwd_mask: u16,
}

fn yes() -> bool {
    true
}

impl Default for PortState {
    /// As a port is when it is new.
    fn default() -> PortState {
        PortState {
            learning: true,
            isolated: false,
            locked: Some(false),
            flood: true,
            bpdu_guard: false,
            group_fwd_mask: 0,
        }
    }
}

/// How a MAC address is held to a bridge port.
///
/// ```
/// assert_eq!(xenvnet_core::Pinning::default().to_string(), "static sticky");
/// ```
#[non_exhaustive]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Pinning {
    /// It never ages, and no port that sees the address takes it over: for a bridge of one host.
    #[default]
    StaticSticky,
}

impl fmt::Display for Pinning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Pinning::StaticSticky => "static sticky",
        })
    }
}

impl fmt::Display for PortState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let word = |on: bool| if on { "on" } else { "off" };
        write!(f, "learning {}, ", word(self.learning))?;
        if let Some(locked) = self.locked {
            write!(f, "locked {}, ", word(locked))?;
        }
        write!(f, "flood {}, isolated {}", word(self.flood), word(self.isolated))?;
        if self.bpdu_guard {
            f.write_str(", guard on")?;
        }
        if self.group_fwd_mask != 0 {
            write!(f, ", group_fwd_mask {:#x}", self.group_fwd_mask)?;
        }
        Ok(())
    }
}

/// One network interface.
///
/// ```
/// use xenvnet_core::Link;
/// let link = Link::new(4, "vif1.0".parse()?);
/// assert!(!link.is_bridge() && !link.up);
/// # Ok::<(), xenvnet_core::Error>(())
/// ```
#[non_exhaustive]
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Link {
    /// The kernel's number for it, never given twice until it reboots.
    #[doc(alias = "ifindex")]
    pub index: u32,
    /// Its name.
    pub name: IfName,
    /// Its MAC address, if it is an Ethernet interface.
    pub mac: Option<MacAddr>,
    /// Its MTU in bytes.
    pub mtu: u32,
    /// Whether it is administratively up.
    pub up: bool,
    /// Its link group.
    pub group: u32,
    /// Its alias, empty for none.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub alias: String,
    /// The bridge that it is a port of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub master: Option<IfName>,
    /// Whether the kernel gives it an IPv6 link-local address; `None` where it has no IPv6.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub auto_link_local: Option<bool>,
    /// A bridge's own settings.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bridge: Option<BridgeState>,
    /// A bridge port's flags.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub port: Option<PortState>,
    /// Whether the guard of the spanning tree protocol shut this port: a frame of the protocol came
    /// in by it.
    #[serde(default, skip_serializing_if = "is_no")]
    pub shut: bool,
}

fn is_no(yes: &bool) -> bool {
    !yes
}

impl Link {
    /// An interface as it is when it is new: down, in no group, on no bridge.
    ///
    /// ```
    /// assert_eq!(xenvnet_core::Link::new(4, "vif1.0".parse()?).mtu, 1500);
    /// # Ok::<(), xenvnet_core::Error>(())
    /// ```
    pub fn new(index: u32, name: IfName) -> Link {
        Link {
            index,
            name,
            mac: None,
            mtu: 1500,
            up: false,
            group: 0,
            alias: String::new(),
            master: None,
            auto_link_local: Some(true),
            bridge: None,
            port: None,
            shut: false,
        }
    }

    /// Whether it is a bridge.
    ///
    /// ```
    /// assert!(!xenvnet_core::Link::new(4, "vif1.0".parse()?).is_bridge());
    /// # Ok::<(), xenvnet_core::Error>(())
    /// ```
    pub fn is_bridge(&self) -> bool {
        self.bridge.is_some()
    }

    /// The name that Xen gave it, if it is a vif or the tap of one: its alias, where it was renamed.
    pub(crate) fn xen_name(&self) -> Option<IfName> {
        let named = |name: &str| name.parse::<VifId>().is_ok().then(|| name.parse().ok())?;
        named(&self.alias).or_else(|| named(self.name.as_str()))
    }

    /// Whether it was put into the group of guests' interfaces.
    ///
    /// ```
    /// assert!(!xenvnet_core::Link::new(4, "vif1.0".parse()?).is_vif());
    /// # Ok::<(), xenvnet_core::Error>(())
    /// ```
    pub fn is_vif(&self) -> bool {
        self.group == VIF_GROUP
    }
}

/// A setting under `/proc/sys/net` that a network turns on.
///
/// ```
/// assert_eq!(xenvnet_core::Sysctl::Ip4Forward.to_string(), "net.ipv4.ip_forward");
/// ```
#[non_exhaustive]
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Sysctl {
    /// Whether IPv4 packets are forwarded between interfaces.
    Ip4Forward,
    /// Whether IPv6 packets are forwarded between interfaces.
    Ip6Forward,
}

impl Sysctl {
    /// All of them.
    ///
    /// ```
    /// assert_eq!(xenvnet_core::Sysctl::ALL.len(), 2);
    /// ```
    pub const ALL: [Sysctl; 2] = [Sysctl::Ip4Forward, Sysctl::Ip6Forward];

    /// Its file below `/proc/sys/net`.
    pub(crate) fn path(self) -> &'static str {
        match self {
            Sysctl::Ip4Forward => "ipv4/ip_forward",
            Sysctl::Ip6Forward => "ipv6/conf/all/forwarding",
        }
    }
}

impl fmt::Display for Sysctl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "net.{}", self.path().replace('/', "."))
    }
}

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
    /// Networks that run, by their bridge.
    pub networks: BTreeMap<IfName, NetworkRecord>,
    /// Kernel settings.
    pub sysctls: BTreeMap<Sysctl, u32>,
    /// What the MAC addresses of this host's bridges are made with. Not for reports: machine-id(5)
    /// asks that nothing made from it is shown to others.
    #[serde(skip)]
    pub(crate) bridge_seed: BridgeSeed,
}

/// The layout of our tables that this version writes; it is stored in them.
pub(crate) const LAYOUT: u32 = 2;

impl Snapshot {
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

    fn take(&mut self, step: &Step) {
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
            }
            SetBridge { bridge, to, .. } => self.change(bridge, |link| link.bridge = Some(to)),
            Rename { from, to } => {
                if let Some(mut link) = self.links.remove(&from) {
                    link.name = to;
                    self.links.insert(to, link);
                }
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
            AddRoute { link, subnet } => drop(self.routes.entry(link).or_default().insert(subnet)),
            DeleteRoute { link, subnet } => remove_from(&mut self.routes, link, &subnet),
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
                self.networks = contents.networks;
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
            ForgetDrops { table, vif, reasons } => {
                self.drops.retain(|drops| drops.table != table || drops.vif != vif || !reasons.contains(&drops.reason));
            }
            AddMasquerade { masquerade } => drop(self.masquerades.insert(masquerade)),
            DeleteMasquerade { masquerade } => drop(self.masquerades.remove(&masquerade)),
            AddNetwork { record } => drop(self.networks.insert(record.network.bridge_name(), record)),
            DeleteNetwork { record } => drop(self.networks.remove(&record.network.bridge_name())),
            DeleteFdb { port, mac, .. } => drop(self.pinned.remove(&(port, mac))),
            AddFdb { .. } | Check { .. } => {}
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

fn remove_from(of: &mut BTreeMap<IfName, BTreeSet<IpNetwork>>, link: IfName, net: &IpNetwork) {
    if let Some(nets) = of.get_mut(&link) {
        nets.remove(net);
        if nets.is_empty() {
            of.remove(&link);
        }
    }
}
