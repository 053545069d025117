//! What to do: steps, each with its inverse, as plain data.

use crate::account::Account;
use crate::contents::Contents;
use crate::dom0::Dom0;
use crate::drops::DropReason;
use crate::entry::Entry;
use crate::forward::Forward;
use crate::guard::Guard;
use crate::ifname::IfName;
use crate::link::{BridgeState, LinkSettings, Pinning, PortState};
use crate::mac::MacAddr;
use crate::masquerade::Masquerade;
use crate::network::{NetworkId, NetworkRecord};
use crate::sysctl::Sysctl;
use crate::table::Table;
use crate::untracked::Untracked;
use ipnetwork::IpNetwork;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::fmt;
use std::net::IpAddr;

/// One change of the host. Every step carries what was there before, so that its inverse is known
/// without asking the kernel again.
///
/// ```
/// use xenvnet_core::Step;
/// let step = Step::Up { link: "xenbr0".parse()? };
/// assert_eq!(step.to_string(), "~ xenbr0: up");
/// assert_eq!(step.inverse().unwrap().to_string(), "~ xenbr0: down");
/// # Ok::<(), xenvnet_core::Error>(())
/// ```
#[non_exhaustive]
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "step", rename_all = "snake_case")]
#[allow(missing_docs, reason = "the fields are the words of the step's own sentence")]
pub enum Step {
    /// Creates a bridge, down.
    AddBridge { bridge: IfName, mac: MacAddr, mtu: u32, state: BridgeState, auto_link_local: bool },
    /// Deletes a bridge, with whatever is left on it.
    DeleteBridge { bridge: IfName, mac: MacAddr, mtu: u32, state: BridgeState, auto_link_local: bool },
    /// Changes a bridge's own settings.
    SetBridge { bridge: IfName, from: BridgeState, to: BridgeState },
    /// Gives an interface another name.
    Rename {
        /// The name that it has.
        from: IfName,
        /// The name that it gets.
        to: IfName,
        /// Whether it is down meanwhile, as kernels before Linux 6.2 want it: down, renamed and up in
        /// one go.
        #[serde(default, skip_serializing_if = "is_no")]
        pause: bool,
    },
    /// Changes settings that any link has.
    SetLink { link: IfName, from: LinkSettings, to: LinkSettings },
    /// Sets a link administratively up.
    Up { link: IfName },
    /// Sets a link administratively down.
    Down { link: IfName },
    /// Makes an interface a port of a bridge, with these flags and these fixed addresses.
    Enslave {
        port: IfName,
        bridge: IfName,
        state: PortState,
        macs: Vec<MacAddr>,
        #[serde(default)]
        pinning: Pinning,
    },
    /// Takes a port off its bridge; its flags and fixed addresses go with it.
    Release {
        port: IfName,
        bridge: IfName,
        state: PortState,
        macs: Vec<MacAddr>,
        #[serde(default)]
        pinning: Pinning,
    },
    /// Changes the flags of a bridge port.
    SetPort { port: IfName, from: PortState, to: PortState },
    /// Pins a MAC address to a bridge port: static and sticky.
    AddFdb {
        port: IfName,
        mac: MacAddr,
        #[serde(default)]
        pinning: Pinning,
    },
    /// Takes a pinned MAC address off a bridge port.
    DeleteFdb {
        port: IfName,
        mac: MacAddr,
        #[serde(default)]
        pinning: Pinning,
    },
    /// Adds an address of dom0 to a link.
    AddAddress { link: IfName, address: IpNetwork },
    /// Removes an address of dom0 from a link.
    DeleteAddress { link: IfName, address: IpNetwork },
    /// Adds a route to a subnet that is reached directly over a link. Of two, the one with the lower
    /// metric is taken; without one, it has the kernel's.
    AddRoute {
        link: IfName,
        subnet: IpNetwork,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        metric: Option<u32>,
    },
    /// Removes such a route.
    DeleteRoute {
        link: IfName,
        subnet: IpNetwork,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        metric: Option<u32>,
    },
    /// Adds an address, route, rule, next hop or neighbour, just as another interface had it.
    AddEntry { entry: Entry },
    /// Takes one away.
    DeleteEntry { entry: Entry },
    /// Puts one on another interface, in place.
    MoveEntry { entry: Entry, from: IfName, to: IfName },
    /// Waits until a bridge passes on what is sent by it; not at all where its port has no carrier.
    AwaitSending { bridge: IfName, port: IfName },
    /// Waits until these addresses of a link are received.
    AwaitAddresses { link: IfName, addresses: Vec<IpAddr> },
    /// Waits a moment until what was sent by a link is out: who looked the way up before it changed is
    /// through by then.
    AwaitSent { link: IfName },
    /// Has dom0 forget the connections of these addresses: who has one now did not begin them.
    ForgetConnections { addresses: Vec<IpNetwork> },
    /// Changes a kernel setting.
    SetSysctl { sysctl: Sysctl, from: u32, to: u32 },
    /// Creates one of our tables with its fixed sets, chains and rules.
    AddTable { table: Table },
    /// Deletes one of our tables, if nothing is left in it.
    DeleteTable { table: Table },
    /// Changes the lock of a vif in one transaction.
    SetGuard {
        #[serde(default)]
        table: Table,
        vif: IfName,
        from: Option<Guard>,
        to: Option<Guard>,
    },
    /// Books out the drop counters of a vif that goes.
    ForgetDrops {
        #[serde(default)]
        table: Table,
        vif: IfName,
        reasons: Vec<DropReason>,
    },
    /// Adds a masquerade rule.
    AddMasquerade { masquerade: Masquerade },
    /// Removes a masquerade rule.
    DeleteMasquerade { masquerade: Masquerade },
    /// Has a port of dom0 lead to a guest.
    AddForward {
        forward: Forward,
        /// Whether no other port leads there.
        alone: bool,
    },
    /// Ends that.
    DeleteForward {
        forward: Forward,
        /// Whether no other port leads there.
        alone: bool,
    },
    /// Records that a network runs, with what it found.
    AddNetwork { record: NetworkRecord },
    /// Removes such a record.
    DeleteNetwork { record: NetworkRecord },
    /// Reads an interface back and compares: only what was proven goes up.
    Check { link: IfName, group: u32, bridge: Option<IfName>, state: PortState },
    /// Lets a guest's interface through only what its lock allows, where its frames come in.
    AddHook { vif: IfName },
    /// Takes that away.
    DeleteHook { vif: IfName },
    /// Changes what guests behind an interface may reach on dom0 itself; `None` is everything.
    SetDom0 { interface: IfName, from: Option<Dom0>, to: Option<Dom0> },
    /// Changes whether dom0 tracks the connections of a bridged guest.
    SetUntracked { vif: IfName, from: Option<Untracked>, to: Option<Untracked> },
    /// Opens or ends an account of a guest's traffic. One that moves to another table, or comes back,
    /// has the counts that it had.
    SetAccount { name: IfName, from: Option<Account>, to: Option<Account> },
    /// Writes the fixed part of one of our tables anew, in place: what it holds stays in force.
    RewriteTable { table: Table },
    /// Makes all of our tables, fixed parts and contents, what they are to be, in one transaction.
    Restore { contents: Box<Contents> },
    /// Takes out of a table what stands there under names that nobody answers to any more.
    Sweep { table: Table, names: BTreeSet<IfName> },
}

fn is_no(yes: &bool) -> bool {
    !yes
}

impl Step {
    /// What puts this step back; `None` where there is nothing to put back.
    ///
    /// ```
    /// use xenvnet_core::{DropReason, Step, Table};
    /// let step = Step::ForgetDrops { table: Table::Bridge, vif: "vif1.0".parse()?, reasons: vec![DropReason::Mac] };
    /// assert!(step.inverse().is_none());
    /// # Ok::<(), xenvnet_core::Error>(())
    /// ```
    pub fn inverse(&self) -> Option<Step> {
        use Step::*;
        Some(match self.clone() {
            AddBridge { bridge, mac, mtu, state, auto_link_local } => {
                DeleteBridge { bridge, mac, mtu, state, auto_link_local }
            }
            DeleteBridge { bridge, mac, mtu, state, auto_link_local } => {
                AddBridge { bridge, mac, mtu, state, auto_link_local }
            }
            SetBridge { bridge, from, to } => SetBridge { bridge, from: to, to: from },
            Rename { from, to, pause } => Rename { from: to, to: from, pause },
            SetLink { link, from, to } => SetLink { link, from: to, to: from },
            Up { link } => Down { link },
            Down { link } => Up { link },
            Enslave { port, bridge, state, macs, pinning } => Release { port, bridge, state, macs, pinning },
            Release { port, bridge, state, macs, pinning } => Enslave { port, bridge, state, macs, pinning },
            SetPort { port, from, to } => SetPort { port, from: to, to: from },
            AddFdb { port, mac, pinning } => DeleteFdb { port, mac, pinning },
            DeleteFdb { port, mac, pinning } => AddFdb { port, mac, pinning },
            AddAddress { link, address } => DeleteAddress { link, address },
            DeleteAddress { link, address } => AddAddress { link, address },
            AddRoute { link, subnet, metric } => DeleteRoute { link, subnet, metric },
            DeleteRoute { link, subnet, metric } => AddRoute { link, subnet, metric },
            AddEntry { entry } => DeleteEntry { entry },
            DeleteEntry { entry } => AddEntry { entry },
            MoveEntry { entry, from, to } => MoveEntry { entry: entry.moved(from, to), from: to, to: from },
            SetSysctl { sysctl, from, to } => SetSysctl { sysctl, from: to, to: from },
            AddTable { table } => DeleteTable { table },
            DeleteTable { table } => AddTable { table },
            SetGuard { table, vif, from, to } => SetGuard { table, vif, from: to, to: from },
            AddHook { vif } => DeleteHook { vif },
            DeleteHook { vif } => AddHook { vif },
            SetDom0 { interface, from, to } => SetDom0 { interface, from: to, to: from },
            SetUntracked { vif, from, to } => SetUntracked { vif, from: to, to: from },
            SetAccount { name, from, to } => SetAccount { name, from: to, to: from },
            AddMasquerade { masquerade } => DeleteMasquerade { masquerade },
            DeleteMasquerade { masquerade } => AddMasquerade { masquerade },
            AddForward { forward, alone } => DeleteForward { forward, alone },
            DeleteForward { forward, alone } => AddForward { forward, alone },
            AddNetwork { record } => DeleteNetwork { record },
            DeleteNetwork { record } => AddNetwork { record },
            // On the way back it is the other one that has to be ready.
            wait @ (AwaitSending { .. } | AwaitAddresses { .. } | AwaitSent { .. }) => wait,
            // A table of an older layout held the same: there is nothing to go back for.
            ForgetDrops { .. } | Check { .. } | RewriteTable { .. } | Restore { .. } => return None,
            // Nobody had them any more.
            Sweep { .. } => return None,
            // Nobody knows them any more.
            ForgetConnections { .. } => return None,
        })
    }

    /// The interfaces that it finds by their names.
    pub(crate) fn links(&self) -> Vec<IfName> {
        use Step::*;
        match *self {
            AddBridge { bridge, .. } | DeleteBridge { bridge, .. } | SetBridge { bridge, .. } => vec![bridge],
            Rename { from, to, .. } => vec![from, to],
            SetLink { link, .. } | Up { link } | Down { link } => vec![link],
            AddAddress { link, .. } | DeleteAddress { link, .. } => vec![link],
            AddRoute { link, .. } | DeleteRoute { link, .. } => vec![link],
            AddEntry { ref entry } | DeleteEntry { ref entry } => entry.indexed_links(),
            MoveEntry { ref entry, to, .. } => entry.indexed_links().into_iter().chain([to]).collect(),
            ForgetConnections { .. } => Vec::new(),
            AwaitSending { bridge, port } => vec![bridge, port],
            AwaitAddresses { link, .. } | AwaitSent { link } => vec![link],
            Enslave { port, bridge, .. } | Release { port, bridge, .. } => vec![port, bridge],
            Check { link, bridge, .. } => [Some(link), bridge].into_iter().flatten().collect(),
            SetPort { port, .. } | AddFdb { port, .. } | DeleteFdb { port, .. } => vec![port],
            SetSysctl { .. } | AddTable { .. } | DeleteTable { .. } | SetGuard { .. } | ForgetDrops { .. } => {
                Vec::new()
            }
            AddMasquerade { .. } | DeleteMasquerade { .. } | AddNetwork { .. } | DeleteNetwork { .. } => Vec::new(),
            AddForward { .. } | DeleteForward { .. } => Vec::new(),
            AddHook { .. } | DeleteHook { .. } | SetDom0 { .. } | SetUntracked { .. } => Vec::new(),
            SetAccount { .. } | RewriteTable { .. } | Restore { .. } | Sweep { .. } => Vec::new(),
        }
    }

    /// What is being done, for "cannot …".
    pub(crate) fn verb(&self) -> String {
        use Step::*;
        match self {
            AddBridge { bridge, .. } => format!("create bridge {bridge}"),
            DeleteBridge { bridge, .. } => format!("delete bridge {bridge}"),
            SetBridge { bridge, .. } => format!("change bridge {bridge}"),
            Rename { from, to, .. } => format!("rename {from} to {to}"),
            SetLink { link, to, .. } => format!("set {} on {link}", LinkSettings::default().change_to(to)),
            Up { link } => format!("set {link} up"),
            Down { link } => format!("set {link} down"),
            Enslave { port, bridge, .. } => format!("enslave {port} to {bridge}"),
            Release { port, bridge, .. } => format!("release {port} from {bridge}"),
            SetPort { port, .. } => format!("set the bridge port flags of {port}"),
            AddFdb { port, mac, .. } => format!("pin {mac} to {port}"),
            DeleteFdb { port, mac, .. } => format!("unpin {mac} from {port}"),
            AddAddress { link, address } => format!("add address {address} to {link}"),
            DeleteAddress { link, address } => format!("delete address {address} from {link}"),
            AddRoute { link, subnet, .. } => format!("add the route to {subnet} over {link}"),
            DeleteRoute { link, subnet, .. } => format!("delete the route to {subnet} over {link}"),
            AddEntry { entry } => format!("add the {entry}"),
            DeleteEntry { entry } => format!("delete the {entry}"),
            MoveEntry { entry, from, to } => format!("move the {} from {from} to {to}", entry.without_link()),
            ForgetConnections { .. } => "forget former connections".to_owned(),
            AwaitSending { bridge, .. } => format!("wait for {bridge}"),
            AwaitAddresses { link, .. } => format!("wait for the addresses of {link}"),
            AwaitSent { link } => format!("wait for {link}"),
            SetSysctl { sysctl, to, .. } => format!("set {sysctl} to {to}"),
            AddTable { table } => format!("create {table}"),
            DeleteTable { table } => format!("delete {table}"),
            SetGuard { vif, to: Some(_), .. } => format!("set antispoof on {vif}"),
            SetGuard { vif, to: None, .. } => format!("clear antispoof on {vif}"),
            ForgetDrops { vif, .. } => format!("book out the drop counters of {vif}"),
            AddMasquerade { masquerade } => format!("masquerade {masquerade}"),
            DeleteMasquerade { masquerade } => format!("unmasquerade {masquerade}"),
            AddForward { forward, .. } => format!("forward {}", forward.port),
            DeleteForward { forward, .. } => format!("end the forwarding of {}", forward.port),
            AddNetwork { record } => format!("record {}", record.network.noun()),
            DeleteNetwork { record } => format!("forget {}", record.network.noun()),
            Check { link, .. } => format!("prove {link} as it was set up"),
            AddHook { vif } => format!("filter what comes in by {vif}"),
            DeleteHook { vif } => format!("stop filtering what comes in by {vif}"),
            SetDom0 { interface, .. } => format!("set what guests on {interface} reach on dom0"),
            SetUntracked { vif, .. } => format!("set whether connections of {vif} are tracked"),
            SetAccount { name, to: Some(_), .. } => format!("account for {name}"),
            SetAccount { name, to: None, .. } => format!("forget the account of {name}"),
            RewriteTable { table } => format!("rewrite {table}"),
            Restore { .. } => "restore the tables".to_owned(),
            Sweep { table, .. } => format!("sweep {table}"),
        }
    }
}

fn macs(macs: &[MacAddr], pinning: Pinning) -> String {
    macs.iter().map(|mac| format!(", fdb {mac} {pinning}")).collect()
}

impl fmt::Display for Step {
    /// One line of a diff: `+` for what comes, `-` for what goes, `~` for what changes, `?` for
    /// what is read back.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        use Step::*;
        match self {
            AddBridge { bridge, mac, mtu, state, .. } => {
                write!(f, "+ bridge {bridge} mac {mac} mtu {mtu} {state}")
            }
            DeleteBridge { bridge, .. } => write!(f, "- bridge {bridge}"),
            SetBridge { bridge, from, to } => write!(f, "~ bridge {bridge}: {from} -> {to}"),
            Rename { from, to, pause: false } => write!(f, "~ {from}: name {from} -> {to}"),
            Rename { from, to, pause: true } => write!(f, "~ {from}: name {from} -> {to}, down meanwhile"),
            SetLink { link, from, to } => write!(f, "~ {link}: {}", from.change_to(to)),
            Up { link } => write!(f, "~ {link}: up"),
            Down { link } => write!(f, "~ {link}: down"),
            Enslave { port, bridge, state, macs: fixed, pinning } => {
                write!(f, "+ {port}: port of {bridge}, {state}{}", macs(fixed, *pinning))
            }
            Release { port, bridge, .. } => write!(f, "- {port}: port of {bridge}"),
            SetPort { port, from, to } => write!(f, "~ {port}: {from} -> {to}"),
            AddFdb { port, mac, pinning } => write!(f, "+ {port}: fdb {mac} {pinning}"),
            DeleteFdb { port, mac, pinning } => write!(f, "- {port}: fdb {mac} {pinning}"),
            AddAddress { link, address } => write!(f, "+ {link}: address {address}"),
            DeleteAddress { link, address } => write!(f, "- {link}: address {address}"),
            AddRoute { link, subnet, metric: None } => write!(f, "+ {link}: route {subnet}"),
            AddRoute { link, subnet, metric: Some(metric) } => write!(f, "+ {link}: route {subnet} metric {metric}"),
            DeleteRoute { link, subnet, .. } => write!(f, "- {link}: route {subnet}"),
            AddEntry { entry } => write!(f, "+ {entry}"),
            DeleteEntry { entry } => write!(f, "- {entry}"),
            MoveEntry { entry, from, to } => write!(f, "~ {}: dev {from} -> {to}", entry.without_link()),
            AwaitSending { bridge, port } => write!(f, "? {bridge}: sends by {port}"),
            AwaitAddresses { link, addresses } => {
                write!(f, "? {link}: {} IPv6 addresses are received", addresses.len())
            }
            AwaitSent { link } => write!(f, "? {link}: what was sent by it is out"),
            ForgetConnections { addresses } => {
                let addresses: Vec<_> = addresses.iter().map(IpNetwork::to_string).collect();
                write!(f, "- connections of {}", addresses.join(", "))
            }
            SetSysctl { sysctl, from, to } => write!(f, "~ sysctl {sysctl}: {from} -> {to}"),
            AddTable { table } => write!(f, "+ {table}"),
            DeleteTable { table } => write!(f, "- {table}"),
            SetGuard { table, vif, from, to } => {
                let place = if *table == Table::Netdev { "at ingress " } else { "" };
                match (from, to) {
                    (None, Some(to)) => write!(f, "+ {vif}: {place}{}", to.lock),
                    (Some(from), Some(to)) => write!(f, "~ {vif}: {place}{} -> {}", from.lock, to.lock),
                    (Some(from), None) => write!(f, "- {vif}: {place}{}", from.lock),
                    (None, None) => write!(f, "- {vif}: {place}unlocked"),
                }
            }
            AddHook { vif } => write!(f, "+ {vif}: ingress filter"),
            DeleteHook { vif } => write!(f, "- {vif}: ingress filter"),
            SetDom0 { interface, from, to } => {
                let word = |access: &Option<Dom0>| access.as_ref().map_or("open".to_owned(), Dom0::to_string);
                write!(f, "~ {interface}: dom0 {} -> {}", word(from), word(to))
            }
            SetUntracked { vif, to, .. } => {
                write!(f, "{} {vif}: connections untracked", if to.is_some() { '+' } else { '-' })
            }
            SetAccount { name, from, to } => match (from, to) {
                (None, Some(to)) => write!(f, "+ {name}: account {}", to.index),
                (Some(_), Some(to)) => {
                    write!(f, "~ {name}: account {}, {}", to.index, if to.routed { "routed" } else { "bridged" })
                }
                (Some(from), None) => write!(f, "- {name}: account {}", from.index),
                (None, None) => write!(f, "- {name}: account"),
            },
            RewriteTable { table } => write!(f, "~ {table}: rules written anew"),
            Restore { .. } => f.write_str("~ tables: as they are to be"),
            Sweep { table, names } => {
                let names: Vec<_> = names.iter().map(IfName::as_str).collect();
                write!(f, "- {table}: what is left of {}", names.join(", "))
            }
            ForgetDrops { vif, .. } => write!(f, "- {vif}: drop counters"),
            AddMasquerade { masquerade } => write!(f, "+ masquerade {masquerade}"),
            DeleteMasquerade { masquerade } => write!(f, "- masquerade {masquerade}"),
            AddForward { forward, .. } => write!(f, "+ forward {forward}"),
            DeleteForward { forward, .. } => write!(f, "- forward {forward}"),
            AddNetwork { record } => write!(f, "+ network {}", record.network),
            DeleteNetwork { record } => write!(f, "- network {}", record.network),
            Check { link, bridge: Some(bridge), state, .. } => {
                write!(f, "? {link}: read back as a port of {bridge}, {state}")
            }
            Check { link, bridge: None, group, .. } => write!(f, "? {link}: read back in group {group}"),
        }
    }
}

/// Steps in order: a value that can be read, stored, put back, joined, and carried out by
/// [`Host::apply`](crate::Host::apply).
///
/// ```
/// use xenvnet_core::{Bridge, Operation, Snapshot};
/// let create = Operation::CreateBridge(Bridge::new("xenbr0".parse()?));
/// let plan = create.plan(&Snapshot::default())?;
/// println!("{plan}");
/// assert_eq!(plan.inverse().inverse(), plan);
/// # Ok::<(), xenvnet_core::Error>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Plan {
    steps: Vec<Step>,
}

impl Plan {
    /// The networks that it starts or stops.
    pub(crate) fn networks(&self) -> BTreeSet<NetworkId> {
        let of = |step: &Step| match step {
            Step::AddNetwork { record } | Step::DeleteNetwork { record } => record.network.id(),
            _ => None,
        };
        self.steps.iter().filter_map(of).collect()
    }

    /// Reads a plan from JSON, as it is written by serde.
    ///
    /// # Errors
    /// [`ErrorKind::Parse`](crate::ErrorKind::Parse) with the offset of what could not be read.
    ///
    /// ```
    /// let plan = xenvnet_core::Plan::from_json(r#"[{"step":"up","link":"xenbr0"}]"#)?;
    /// assert_eq!(plan.to_string(), "~ xenbr0: up\n");
    /// # Ok::<(), xenvnet_core::Error>(())
    /// ```
    pub fn from_json(text: &str) -> crate::Result<Plan> {
        crate::text::from_json(text, "plan")
    }

    /// The steps in the order they are taken.
    ///
    /// ```
    /// assert!(xenvnet_core::Plan::default().steps().is_empty());
    /// ```
    pub fn steps(&self) -> &[Step] {
        &self.steps
    }

    /// Whether there is nothing to do.
    ///
    /// ```
    /// assert!(xenvnet_core::Plan::default().is_empty());
    /// ```
    pub fn is_empty(&self) -> bool {
        self.steps.is_empty()
    }

    /// The plan that puts everything back, in the opposite order.
    ///
    /// ```
    /// use xenvnet_core::{Plan, Step};
    /// let plan = Plan::from_iter([Step::Up { link: "xenbr0".parse()? }]);
    /// assert_eq!(plan.inverse().to_string(), "~ xenbr0: down\n");
    /// # Ok::<(), xenvnet_core::Error>(())
    /// ```
    pub fn inverse(&self) -> Plan {
        self.steps.iter().rev().filter_map(Step::inverse).collect()
    }

    /// With each table made ready once, however many steps ask for it.
    pub(crate) fn once_ready(self) -> Plan {
        let mut ready = std::collections::BTreeSet::new();
        let mut asks_again = |step: &Step| match step {
            Step::AddTable { table } | Step::RewriteTable { table } => !ready.insert(*table),
            _ => false,
        };
        self.steps.into_iter().filter(|step| !asks_again(step)).collect()
    }

    /// This plan, then another.
    ///
    /// ```
    /// use xenvnet_core::Plan;
    /// assert!(Plan::default().then(Plan::default()).is_empty());
    /// ```
    pub fn then(mut self, other: Plan) -> Plan {
        self.steps.extend(other.steps);
        self
    }
}

impl FromIterator<Step> for Plan {
    fn from_iter<I: IntoIterator<Item = Step>>(steps: I) -> Plan {
        Plan { steps: steps.into_iter().collect() }
    }
}

impl Extend<Step> for Plan {
    fn extend<I: IntoIterator<Item = Step>>(&mut self, steps: I) {
        self.steps.extend(steps);
    }
}

impl fmt::Display for Plan {
    /// One line a step.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.steps.iter().try_for_each(|step| writeln!(f, "{step}"))
    }
}

/// Whether a call had to change anything.
///
/// ```
/// assert!(xenvnet_core::Outcome::Changed.is_changed());
/// ```
#[must_use]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Outcome {
    /// Something was changed, and all of it worked.
    Changed,
    /// It was so already; nothing was sent.
    Unchanged,
}

impl Outcome {
    /// `true` for [`Outcome::Changed`].
    ///
    /// ```
    /// assert!(!xenvnet_core::Outcome::Unchanged.is_changed());
    /// ```
    pub fn is_changed(self) -> bool {
        self == Outcome::Changed
    }
}
