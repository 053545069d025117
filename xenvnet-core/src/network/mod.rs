//! Whole networks of a host, as xend's configuration names them. One mode a file; each says what it
//! reads, what it starts and what it stops.

mod additional;
mod bridged;
mod brouter;
mod line;
mod record;
mod routed;

pub use additional::AdditionalPort;
pub use bridged::{BridgedNetwork, ShadowNetwork, Uplink};
pub use brouter::Brouter;
pub use record::{NetworkId, NetworkRecord};
pub use routed::{NatNetwork, RoutedNetwork};

use crate::error::{Error, ErrorKind, Result};
use crate::ifname::IfName;
use crate::masquerade::{self, Masquerade};
use crate::plan::{Plan, Step};
use crate::snapshot::Snapshot;
use crate::sysctl::Sysctl;
use crate::table::Table;
use crate::text::{did_you_mean, quoted, words};
use line::{Fields, wrong};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

/// A network that a host runs for its guests.
///
/// Written as the line that xend-config.sxp has between the quotes of `network-script`.
///
/// ```
/// use xenvnet_core::Network;
/// let network: Network = "network-virtual bridgeip=10.98.98.1/24 brnet=10.98.98.0/24".parse()?;
/// assert_eq!(network.bridge().unwrap().as_str(), "xenbr0");
/// # Ok::<(), xenvnet_core::Error>(())
/// ```
#[non_exhaustive]
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Network {
    /// Nothing at all: `network-dummy`, or any line with `bridge=null`.
    #[doc(alias = "network-dummy")]
    Nothing,
    /// A bridge with no physical port, routed and masqueraded by dom0.
    #[doc(alias = "network-virtual")]
    Brouter(Brouter),
    /// A bridge that takes over an uplink.
    #[doc(alias = "network-bridge")]
    Bridge(BridgedNetwork),
    /// Bridges that take over their uplinks' names too.
    #[doc(alias = "bridge-shadow")]
    Shadow(ShadowNetwork),
    /// Guests that dom0 routes to, with their own addresses.
    #[doc(alias = "network-route")]
    Route(RoutedNetwork),
    /// Guests that dom0 routes to, hidden behind its address.
    #[doc(alias = "network-nat")]
    Nat(NatNetwork),
    /// One more port for a bridge that is there.
    #[doc(alias = "network-bridge-additional")]
    Additional(AdditionalPort),
}

impl Network {
    /// The bridge that guests of this network are on; `None` where they are on none, and where the
    /// line leaves its name to the host.
    ///
    /// ```
    /// use xenvnet_core::{Brouter, Network};
    /// let network = Network::from(Brouter::new("xenbr1".parse()?, "10.6.7.1/24".parse().unwrap()));
    /// assert_eq!(network.bridge().unwrap().as_str(), "xenbr1");
    /// # Ok::<(), xenvnet_core::Error>(())
    /// ```
    pub fn bridge(&self) -> Option<IfName> {
        match self {
            Network::Brouter(brouter) => Some(brouter.bridge),
            Network::Bridge(bridged) => bridged.bridge_name(),
            Network::Shadow(shadow) => shadow.uplinks.first().copied(),
            Network::Additional(additional) => Some(additional.bridge),
            Network::Nothing | Network::Route(_) | Network::Nat(_) => None,
        }
    }

    /// What it is known by while it runs; `None` for nothing, and where the line leaves that to the
    /// host.
    ///
    /// ```
    /// use xenvnet_core::Network;
    /// assert_eq!("network-nat netdev=eth0".parse::<Network>()?.id().unwrap().to_string(), "nat:eth0");
    /// # Ok::<(), xenvnet_core::Error>(())
    /// ```
    pub fn id(&self) -> Option<NetworkId> {
        match self {
            Network::Additional(additional) => additional.port.map(NetworkId::Interface),
            Network::Route(RoutedNetwork { uplink: Uplink::Device(uplink), .. }) => Some(NetworkId::Route(*uplink)),
            Network::Nat(NatNetwork { uplink: Uplink::Device(uplink), .. }) => Some(NetworkId::Nat(*uplink)),
            other => other.bridge().map(NetworkId::Interface),
        }
    }

    /// Whether a vif without a lock is refused on this network.
    ///
    /// ```
    /// let network: xenvnet_core::Network = "network-virtual antispoof=yes".parse()?;
    /// assert!(network.demands_lock());
    /// # Ok::<(), xenvnet_core::Error>(())
    /// ```
    pub fn demands_lock(&self) -> bool {
        match self {
            Network::Brouter(Brouter { antispoof, .. })
            | Network::Bridge(BridgedNetwork { antispoof, .. })
            | Network::Route(RoutedNetwork { antispoof, .. })
            | Network::Nat(NatNetwork { antispoof, .. }) => *antispoof,
            Network::Nothing | Network::Shadow(_) | Network::Additional(_) => false,
        }
    }

    /// Whether DHCP is to be served to its guests.
    ///
    /// ```
    /// let network: xenvnet_core::Network = "network-nat netdev=eth0 dhcp=yes".parse()?;
    /// assert!(network.serves_dhcp());
    /// # Ok::<(), xenvnet_core::Error>(())
    /// ```
    pub fn serves_dhcp(&self) -> bool {
        match self {
            Network::Brouter(Brouter { dhcp, .. }) | Network::Nat(NatNetwork { dhcp, .. }) => *dhcp,
            _ => false,
        }
    }

    /// The interface that leads outside, if the line names one.
    pub(crate) fn uplink(&self) -> Option<IfName> {
        let uplink = match self {
            Network::Bridge(bridged) => bridged.uplink,
            Network::Route(routed) => routed.uplink,
            Network::Nat(nat) => nat.uplink,
            Network::Shadow(shadow) => return shadow.uplinks.first().copied(),
            Network::Additional(additional) => return additional.port,
            Network::Brouter(_) | Network::Nothing => return None,
        };
        if let Uplink::Device(name) = uplink { Some(name) } else { None }
    }

    /// All of them, where there are several.
    pub(crate) fn uplinks(&self) -> Vec<IfName> {
        match self {
            Network::Shadow(shadow) => shadow.uplinks.clone(),
            other => other.uplink().into_iter().collect(),
        }
    }

    /// The interfaces that lead outside, by the names that they have as ports of its bridge.
    ///
    /// ```
    /// let network: xenvnet_core::Network = "bridge-shadow eth0".parse()?;
    /// assert_eq!(network.cards()[0].as_str(), "seth0");
    /// # Ok::<(), xenvnet_core::Error>(())
    /// ```
    pub fn cards(&self) -> Vec<IfName> {
        match self {
            Network::Bridge(BridgedNetwork { uplink: Uplink::Device(uplink), bridge: None, .. }) => {
                uplink.lettered(BridgedNetwork::LETTER).into_iter().collect()
            }
            Network::Shadow(shadow) => {
                shadow.uplinks.iter().filter_map(|uplink| uplink.lettered(ShadowNetwork::LETTER).ok()).collect()
            }
            other => other.uplink().into_iter().collect(),
        }
    }

    /// Whether what it carries goes out, and comes in, by this interface alone.
    pub(crate) fn leads_by(&self, link: IfName) -> bool {
        match self {
            Network::Brouter(brouter) => brouter.uplink == Some(link),
            other => other.cards().contains(&link),
        }
    }

    /// Whether what it does is found in the host's routes and addresses, not by a name alone.
    pub(crate) fn asks_the_host(&self) -> bool {
        !matches!(self, Network::Brouter(_) | Network::Nothing)
    }

    /// The forwarding settings that a brouter has; a record of a former version has their values.
    pub(crate) fn sysctls(&self) -> Vec<Sysctl> {
        match self {
            Network::Brouter(brouter) => vec![brouter.sysctl()],
            _ => Vec::new(),
        }
    }

    pub(crate) fn masquerades(&self) -> Vec<Masquerade> {
        match self {
            Network::Brouter(brouter) => brouter.masquerades(),
            Network::Nat(nat) => nat.masquerades(),
            _ => Vec::new(),
        }
    }

    /// Each network of its own, with the host's answers in it.
    fn resolve(&self, what: &str, now: &Snapshot) -> Result<Vec<Network>> {
        Ok(match self {
            Network::Nothing => Vec::new(),
            Network::Brouter(_) => vec![self.clone()],
            Network::Bridge(bridged) => vec![bridged.resolve(what, now)?.into()],
            Network::Shadow(shadow) => shadow.singly().map(|(_, network)| network).collect(),
            Network::Route(routed) => vec![routed.resolve(what, now)?.into()],
            Network::Nat(nat) => vec![nat.resolve(what, now)?.into()],
            Network::Additional(additional) => vec![additional.resolve(now)?.into()],
        })
    }

    /// Whether it runs already; an error where another one does in its place.
    fn is_running(&self, now: &Snapshot) -> Result<bool> {
        match self.id().and_then(|id| now.networks.get(&id)) {
            None => Ok(false),
            Some(record) if record.network == *self => Ok(true),
            Some(record) => Err(Error::cannot(
                ErrorKind::Conflict,
                self.starting(),
                format!("another one runs there: {}", record.network),
            )
            .with_advice(format!("stop that one first: xenvnet network stop '{}'", record.network))),
        }
    }

    fn starting(&self) -> String {
        format!("start {}", self.noun())
    }

    /// What it is called in messages.
    pub(crate) fn noun(&self) -> String {
        match self.id() {
            Some(NetworkId::Interface(name)) => format!("the network of {name}"),
            Some(NetworkId::Route(uplink)) => format!("the routed network of {uplink}"),
            Some(NetworkId::Nat(uplink)) => format!("the masqueraded network of {uplink}"),
            None => format!("the network '{self}'"),
        }
    }

    pub(crate) fn plan_start(&self, now: &Snapshot) -> Result<Plan> {
        let what = self.starting();
        let mut plan = Plan::default();
        let mut after = now.clone();
        for network in self.resolve(&what, now)? {
            let one = match &network {
                Network::Nothing => Plan::default(),
                Network::Brouter(brouter) => brouter.plan_start(&after)?,
                Network::Bridge(bridged) => bridged.plan_start(&what, &after)?,
                Network::Shadow(shadow) => {
                    let singly =
                        shadow.singly().map(|(uplink, _)| ShadowNetwork::plan_start_one(uplink, &what, &after));
                    singly.collect::<Result<Vec<_>>>()?.into_iter().fold(Plan::default(), Plan::then)
                }
                Network::Route(routed) => routed.plan_start(&what, &after)?,
                Network::Nat(nat) => nat.plan_start(&what, &after)?,
                Network::Additional(additional) => match additional.port {
                    Some(port) => additional.plan_start(port, &what, &after)?,
                    None => Plan::default(),
                },
            };
            one.steps().iter().try_for_each(|step| match step {
                Step::AddNetwork { record } => record.validate().map_err(|error| error.doing(what.clone())),
                _ => Ok(()),
            })?;
            after = after.after(&one);
            plan = plan.then(one);
        }
        Ok(plan)
    }

    pub(crate) fn plan_stop(&self, now: &Snapshot) -> Result<Plan> {
        let what = format!("stop {}", self.noun());
        let mut plan = Plan::default();
        let mut after = now.clone();
        for network in self.resolve_running(&what, now)? {
            // What runs counts, not what is remembered of it: a changed line still stops the network.
            // Where nothing is known to run, nothing is touched: what is there may be another's.
            let Some(record) = network.id().and_then(|id| after.networks.get(&id).cloned()) else { continue };
            let one = record.plan_stop(&what, &after)?;
            after = after.after(&one);
            plan = plan.then(one);
        }
        // Also where a stop was cut off after its record: what nobody needs does not stay.
        Ok(plan.then(plan_tidy(&after)))
    }

    /// What the networks that this line means are known by: as the host answers what the line leaves to
    /// it, as far as they run, or as the line says itself.
    ///
    /// ```
    /// use xenvnet_core::{Network, Snapshot};
    /// let network: Network = "bridge-shadow eth0 eth1".parse()?;
    /// assert_eq!(network.ids(&Snapshot::default()).len(), 3);
    /// # Ok::<(), xenvnet_core::Error>(())
    /// ```
    pub fn ids(&self, now: &Snapshot) -> Vec<NetworkId> {
        let meant = self.resolve_running("tell the networks", now).unwrap_or_default();
        meant.iter().filter_map(Network::id).chain(self.id()).collect()
    }

    /// The same for networks that run: their uplinks may be gone.
    fn resolve_running(&self, what: &str, now: &Snapshot) -> Result<Vec<Network>> {
        let of_kind = |kind: fn(IfName) -> NetworkId| {
            let all = now
                .networks
                .iter()
                .filter(move |(id, record)| record.network.uplink().is_some_and(|uplink| kind(uplink) == **id));
            all.map(|(_, record)| record.network.clone()).collect::<Vec<_>>()
        };
        let one = match self {
            Network::Route(routed) if routed.uplink == Uplink::Default => of_kind(NetworkId::Route),
            Network::Nat(nat) if nat.uplink == Uplink::Default => of_kind(NetworkId::Nat),
            Network::Additional(additional) if additional.port.is_none() => {
                let added = now.networks.values().map(|record| &record.network);
                let of_bridge = |network: &&Network| matches!(network, Network::Additional(other) if other.bridge == additional.bridge);
                added.filter(of_bridge).cloned().collect()
            }
            Network::Route(_) | Network::Nat(_) => return Ok(vec![self.clone()]),
            _ => return self.resolve(what, now),
        };
        if one.len() > 1 {
            let lines: Vec<_> = one.iter().map(|network| format!("'{network}'")).collect();
            return Err(Error::cannot(
                ErrorKind::InvalidArgument,
                what,
                format!("it may be any of {}", lines.join(", ")),
            )
            .with_advice("say which: netdev=NAME"));
        }
        Ok(one)
    }
}

impl NetworkRecord {
    fn plan_stop(&self, what: &str, now: &Snapshot) -> Result<Plan> {
        let mut plan = match &self.network {
            Network::Nothing => Plan::default(),
            Network::Brouter(brouter) => brouter.plan_stop(self, now)?,
            Network::Bridge(bridged) => bridged.plan_stop(self, what, now)?,
            Network::Shadow(shadow) => {
                let singly = shadow.singly().map(|(uplink, _)| ShadowNetwork::plan_stop_one(uplink, self, what, now));
                singly.collect::<Result<Vec<_>>>()?.into_iter().fold(Plan::default(), Plan::then)
            }
            Network::Additional(additional) => match additional.port {
                Some(port) => additional.plan_stop(port, now)?,
                None => Plan::default(),
            },
            Network::Route(_) | Network::Nat(_) => routed::plan_stop(&self.network.masquerades(), self, now),
        };
        plan.extend([Step::DeleteNetwork { record: self.clone() }]);
        Ok(plan)
    }
}

/// Tables in which nothing stands. A detached vif in the guests' group is dropped as long as they are
/// there: they go with the last network and the last lock.
fn plan_tidy(now: &Snapshot) -> Plan {
    let mut plan: Plan = masquerade::step_delete_table(now).into_iter().collect();
    let none_left = now.networks.is_empty() && now.guards.is_empty() && now.ingress.is_empty();
    for table in [Table::Bridge, Table::Netdev, Table::Untracked] {
        plan.extend((none_left && now.has(table)).then_some(Step::DeleteTable { table }));
    }
    if none_left && now.has(Table::Dom0) && now.dom0.is_empty() {
        plan.extend([Step::DeleteTable { table: Table::Dom0 }]);
    }
    plan
}

/// Settings that a network turns on, and what they were.
struct Settings {
    before: BTreeMap<Sysctl, u32>,
    plan: Plan,
}

fn start_settings(wanted: &[(Sysctl, u32)], what: &str, now: &Snapshot) -> Result<Settings> {
    let mut settings = Settings { before: BTreeMap::new(), plan: Plan::default() };
    for (sysctl, to) in wanted.iter().copied() {
        // What is not known cannot be put back.
        let (Some(from), Some(before)) = (now.sysctl(sysctl), original(sysctl, now)) else {
            return Err(Error::cannot(ErrorKind::Unsupported, what, format!("{sysctl} cannot be read"))
                .with_advice("the network needs that setting: is /proc/sys mounted?"));
        };
        settings.before.insert(sysctl, before);
        settings.plan.extend((from != to).then_some(Step::SetSysctl { sysctl, from, to }));
    }
    Ok(settings)
}

fn start_forwarding(wanted: &[Sysctl], what: &str, now: &Snapshot) -> Result<Settings> {
    let wanted: Vec<_> = wanted.iter().map(|sysctl| (*sysctl, 1)).collect();
    start_settings(&wanted, what, now)
}

/// What a setting was before the first of the networks that run now changed it.
fn original(sysctl: Sysctl, now: &Snapshot) -> Option<u32> {
    let first = now.networks.values().find_map(|record| record.before.get(&sysctl).copied());
    first.or_else(|| now.sysctl(sysctl))
}

/// Every setting that nobody else uses is put back.
fn stop_forwarding(record: &NetworkRecord, now: &Snapshot) -> Plan {
    let others = || now.networks.values().filter(|other| *other != record);
    let unused = record.before.iter().filter(|(sysctl, _)| !others().any(|other| other.before.contains_key(sysctl)));
    let back = unused.filter_map(|(sysctl, before)| {
        let from = now.sysctl(*sysctl).filter(|from| from != before)?;
        Some(Step::SetSysctl { sysctl: *sysctl, from, to: *before })
    });
    back.collect()
}

/// Masquerade rules that no other network has.
fn steps_unmasquerade(rules: &[Masquerade], record: &NetworkRecord, now: &Snapshot) -> Vec<Step> {
    let others = now.networks.values().filter(|other| *other != record);
    let shared: Vec<_> = others.flat_map(|other| other.network.masquerades()).collect();
    // In the opposite order, so that on the way back they come as they came.
    let own = rules.iter().rev().filter(|rule| now.masquerades.contains(*rule) && !shared.contains(rule));
    own.map(|rule| Step::DeleteMasquerade { masquerade: rule.clone() }).collect()
}

macro_rules! from_mode {
    ($($mode:ident($type:ident)),*) => {$(
        impl From<$type> for Network {
            fn from(network: $type) -> Network {
                Network::$mode(network)
            }
        }
    )*};
}
from_mode!(
    Brouter(Brouter),
    Bridge(BridgedNetwork),
    Shadow(ShadowNetwork),
    Route(RoutedNetwork),
    Nat(NatNetwork),
    Additional(AdditionalPort)
);

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Network::Nothing => f.write_str("network-dummy"),
            Network::Brouter(brouter) => brouter.fmt(f),
            Network::Bridge(bridged) => bridged.fmt(f),
            Network::Shadow(shadow) => shadow.fmt(f),
            Network::Route(routed) => routed.fmt(f),
            Network::Nat(nat) => nat.fmt(f),
            Network::Additional(additional) => additional.fmt(f),
        }
    }
}

impl From<Network> for String {
    fn from(network: Network) -> String {
        network.to_string()
    }
}

impl TryFrom<String> for Network {
    type Error = Error;

    fn try_from(line: String) -> Result<Network> {
        line.parse()
    }
}

const SCRIPTS: [&str; 7] = [
    "network-virtual",
    "network-bridge",
    "network-nat",
    "network-route",
    "bridge-shadow",
    "network-bridge-additional",
    "network-dummy",
];

impl FromStr for Network {
    type Err = Error;

    /// Reads a line: the script, then `KEY=VALUE` words. Any key is given once; a value may stand in
    /// double quotes; nothing is ever evaluated.
    fn from_str(line: &str) -> Result<Network> {
        let words = words(line);
        let Some(((offset, script), rest)) = words.split_first().map(|(first, rest)| (*first, rest)) else {
            return Err(wrong(0, "nothing".to_owned()));
        };
        let named = |keys: &[&str]| Fields::read(rest, keys)?.all_named();
        let is_null = |fields: &Fields<'_>| fields.value("bridge").is_some_and(|(_, bridge)| bridge == "null");
        Ok(match script {
            "network-virtual" => match named(&Brouter::KEYS)? {
                fields if is_null(&fields) => Network::Nothing,
                fields => Brouter::read(&fields)?.into(),
            },
            "network-bridge" => match named(&BridgedNetwork::KEYS)? {
                fields if is_null(&fields) => Network::Nothing,
                fields => BridgedNetwork::read(&fields)?.into(),
            },
            "network-bridge-additional" => match named(&AdditionalPort::KEYS)? {
                fields if is_null(&fields) => Network::Nothing,
                fields => AdditionalPort::read(&fields)?.into(),
            },
            "bridge-shadow" => ShadowNetwork::read(&Fields::read(rest, &ShadowNetwork::KEYS)?)?.into(),
            "network-route" => RoutedNetwork::read(&named(&RoutedNetwork::KEYS)?)?.into(),
            "network-nat" => NatNetwork::read(&named(&NatNetwork::KEYS)?)?.into(),
            "network-dummy" => {
                named(&[])?;
                Network::Nothing
            }
            _ => {
                let guess = did_you_mean(script, &SCRIPTS);
                return Err(wrong(offset, format!("unknown script {}", quoted(script))).with_more(&guess));
            }
        })
    }
}

#[cfg(test)]
mod tests;
