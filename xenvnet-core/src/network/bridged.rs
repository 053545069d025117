//! Bridges that lead outside: an uplink is a port of them, and dom0 has on the bridge what it had on
//! the uplink. Or one that leads nowhere.

use super::line::{Fields, wrong};
use super::{Network, NetworkRecord};
use crate::bridge::{self, Bridge};
use crate::error::{Error, ErrorKind, Result};
use crate::ifname::IfName;
use crate::plan::Plan;
use crate::snapshot::Snapshot;
use crate::takeover::Takeover;
use std::collections::BTreeSet;
use std::fmt;

/// What a bridge leads outside by.
///
/// ```
/// assert_eq!(xenvnet_core::Uplink::Device("eth0".parse()?).to_string(), "eth0");
/// # Ok::<(), xenvnet_core::Error>(())
/// ```
#[non_exhaustive]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Uplink {
    /// The interface of the default route; `eth0` where there is none.
    #[default]
    Default,
    /// This one.
    Device(IfName),
    /// None: the bridge is between guests and dom0 alone. Written `dummy0`, as one had to where a
    /// bridge needed an interface; neither that interface nor its driver is.
    Nothing,
}

impl Uplink {
    pub(super) fn read(fields: &Fields<'_>) -> Result<Uplink> {
        let is_dummy = |name: IfName| {
            let digits = name.as_str().strip_prefix("dummy").map(str::to_owned);
            digits.is_some_and(|digits| !digits.is_empty() && digits.bytes().all(|octet| octet.is_ascii_digit()))
        };
        Ok(match fields.name("netdev")? {
            None => Uplink::Default,
            Some(name) if is_dummy(name) => Uplink::Nothing,
            Some(name) => Uplink::Device(name),
        })
    }

    /// The interface that is meant on this host.
    pub(super) fn resolve(self, now: &Snapshot) -> Option<IfName> {
        match self {
            Uplink::Device(name) => Some(name),
            Uplink::Nothing => None,
            Uplink::Default => now.default_link().or_else(|| "eth0".parse().ok()),
        }
    }
}

impl fmt::Display for Uplink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Uplink::Default => f.write_str("the default route's interface"),
            Uplink::Device(name) => name.fmt(f),
            Uplink::Nothing => f.write_str("dummy0"),
        }
    }
}

/// `network-bridge`: a bridge takes over an uplink with all that dom0 has on it. Not a packet is lost.
///
/// Where the bridge has a name of its own, the card keeps its name. Where it has none, it gets the
/// name of its uplink, so that nothing else on the host need know, and the card is called `p<name>`.
///
/// ```
/// use xenvnet_core::{BridgedNetwork, Network, Uplink};
/// let network = BridgedNetwork::new(Uplink::Device("eth0".parse()?)).bridge("xenbr0".parse()?);
/// assert_eq!(Network::from(network).to_string(), "network-bridge bridge=xenbr0 netdev=eth0");
/// # Ok::<(), xenvnet_core::Error>(())
/// ```
#[non_exhaustive]
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct BridgedNetwork {
    /// What leads outside.
    #[doc(alias = "netdev")]
    pub uplink: Uplink,
    /// The bridge's name; without one, that of the uplink.
    pub bridge: Option<IfName>,
    /// Whether a vif without a lock is refused on this network.
    pub antispoof: bool,
}

impl BridgedNetwork {
    /// A bridge that gets its uplink's name.
    ///
    /// ```
    /// # use xenvnet_core::{BridgedNetwork, Uplink};
    /// assert_eq!(BridgedNetwork::new(Uplink::Default).bridge, None);
    /// ```
    pub fn new(uplink: Uplink) -> BridgedNetwork {
        BridgedNetwork { uplink, bridge: None, antispoof: false }
    }

    /// With a name of its own.
    ///
    /// ```
    /// # use xenvnet_core::{BridgedNetwork, Uplink};
    /// assert!(BridgedNetwork::new(Uplink::Nothing).bridge("xenbr1".parse()?).bridge.is_some());
    /// # Ok::<(), xenvnet_core::Error>(())
    /// ```
    pub fn bridge(mut self, name: IfName) -> BridgedNetwork {
        self.bridge = Some(name);
        self
    }

    /// Refusing vifs without a lock.
    ///
    /// ```
    /// # use xenvnet_core::{BridgedNetwork, Uplink};
    /// assert!(BridgedNetwork::new(Uplink::Default).antispoof(true).antispoof);
    /// ```
    pub fn antispoof(mut self, antispoof: bool) -> BridgedNetwork {
        self.antispoof = antispoof;
        self
    }

    /// What the card's name begins with while the bridge has it.
    pub(super) const LETTER: char = 'p';

    pub(super) const KEYS: [&str; 4] = ["bridge", "netdev", "vifnum", "antispoof"];

    /// Reads a `network-bridge` line. Where `vifnum=N` is given, the bridge is `xenbrN` and the uplink
    /// `ethN` unless told otherwise, as with Xen 3.0 to 3.2.
    pub(super) fn read(fields: &Fields<'_>) -> Result<BridgedNetwork> {
        let vifnum = fields.number("vifnum")?;
        let mut uplink = Uplink::read(fields)?;
        let mut bridge = fields.name("bridge")?;
        if let Some(number) = vifnum {
            if bridge.is_none() {
                bridge = Some(format!("xenbr{number}").parse()?);
            }
            if uplink == Uplink::Default {
                uplink = Uplink::Device(format!("eth{number}").parse()?);
            }
        }
        if let (Uplink::Nothing, None, Some((_, dummy))) = (uplink, bridge, fields.value("netdev")) {
            bridge = Some(dummy.parse()?);
        }
        // The uplink's own name is none of its own.
        let bridge = bridge.filter(|name| Uplink::Device(*name) != uplink);
        Ok(BridgedNetwork { uplink, bridge, antispoof: fields.yes_or_no("antispoof")?.unwrap_or(false) })
    }

    pub(super) fn bridge_name(&self) -> Option<IfName> {
        match (self.bridge, self.uplink) {
            (Some(bridge), _) => Some(bridge),
            (None, Uplink::Device(uplink)) => Some(uplink),
            (None, _) => None,
        }
    }

    /// Whether a network that runs is one that this asks for.
    fn is_asked(&self, runs: &BridgedNetwork) -> bool {
        let bridge = self.bridge.is_none_or(|bridge| runs.bridge_name() == Some(bridge));
        let takes_name = self.bridge.is_some() || runs.bridge.is_none();
        bridge
            && match self.uplink {
                Uplink::Default => self.bridge.is_some() || takes_name,
                uplink => uplink == runs.uplink && takes_name,
            }
    }

    /// The one that runs already, or with the host's answers in it.
    pub(super) fn resolve(&self, what: &str, now: &Snapshot) -> Result<BridgedNetwork> {
        let running = now.networks.values().filter_map(|record| match &record.network {
            Network::Bridge(runs) if self.is_asked(runs) => Some(runs),
            _ => None,
        });
        let running: Vec<_> = running.collect();
        let default = now.default_link();
        let by_default = running.iter().find(|runs| self.uplink != Uplink::Default || runs.bridge_name() == default);
        match (by_default, running.as_slice()) {
            (Some(runs), _) => return Ok(BridgedNetwork { antispoof: self.antispoof, ..(*runs).clone() }),
            (None, [runs]) => return Ok(BridgedNetwork { antispoof: self.antispoof, ..(*runs).clone() }),
            (None, []) => {}
            (None, several) => {
                let names: Vec<_> = several.iter().filter_map(|runs| runs.bridge_name()).collect();
                let names = names.iter().map(IfName::as_str).collect::<Vec<_>>().join(", ");
                let error = Error::cannot(ErrorKind::InvalidArgument, what, format!("it may be any of {names}"));
                return Err(error.with_advice("say which: bridge=NAME"));
            }
        }
        let uplink = self.uplink.resolve(now).map_or(Uplink::Nothing, Uplink::Device);
        let bridge = self.bridge.filter(|name| Uplink::Device(*name) != uplink);
        Ok(BridgedNetwork { uplink, bridge, antispoof: self.antispoof })
    }

    fn takeover(&self) -> Result<Option<Takeover>> {
        match (self.uplink, self.bridge) {
            (Uplink::Device(uplink), Some(bridge)) => Ok(Some(Takeover::beside(uplink, bridge))),
            (Uplink::Device(uplink), None) => Takeover::shadow(uplink, Self::LETTER).map(Some),
            _ => Ok(None),
        }
    }

    pub(super) fn plan_start(&self, what: &str, now: &Snapshot) -> Result<Plan> {
        let network = Network::from(self.clone());
        match (self.takeover().map_err(|error| error.doing(what))?, self.bridge) {
            (Some(takeover), _) => start_takeover(network, takeover, what, now),
            (None, Some(name)) => {
                let runs = network.is_running(now)?;
                if !runs && now.link(name).is_some() {
                    return Err(already_there(what, name));
                }
                let record = NetworkRecord::new(network, []);
                let mut plan: Plan = if runs { Plan::default() } else { record.steps_add(now).into_iter().collect() };
                plan = plan.then(Bridge::new(name).plan_create(now)?);
                Ok(plan)
            }
            (None, None) => {
                Err(Error::cannot(ErrorKind::InvalidArgument, what, "a bridge without an uplink has no name")
                    .with_advice("name it: bridge=xenbr0"))
            }
        }
    }

    pub(super) fn plan_stop(&self, record: &NetworkRecord, what: &str, now: &Snapshot) -> Result<Plan> {
        match (self.takeover()?, self.bridge) {
            (Some(takeover), _) => {
                check_others(&takeover, takeover.bridge, what, now)?;
                takeover.with_mode_of(&record.before).plan_out(what, now)
            }
            (None, Some(name)) => bridge::plan_delete(name, now),
            (None, None) => Ok(Plan::default()),
        }
    }
}

impl fmt::Display for BridgedNetwork {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("network-bridge")?;
        if let Some(bridge) = self.bridge {
            write!(f, " bridge={bridge}")?;
        }
        if self.uplink != Uplink::Default {
            write!(f, " netdev={}", self.uplink)?;
        }
        if self.antispoof {
            f.write_str(" antispoof=yes")?;
        }
        Ok(())
    }
}

/// `bridge-shadow`: for each of some cards, a bridge takes over the card's name and all that dom0 has
/// on it, and the card is called `s<name>`. Nothing else on the host need know.
///
/// ```
/// use xenvnet_core::{Network, ShadowNetwork};
/// let network: Network = ShadowNetwork::new(["eth0".parse()?, "eth1".parse()?]).into();
/// assert_eq!(network.to_string(), "bridge-shadow eth0 eth1");
/// # Ok::<(), xenvnet_core::Error>(())
/// ```
#[non_exhaustive]
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ShadowNetwork {
    /// The cards, by the names that their bridges get. Each runs, and is stopped, for itself.
    #[doc(alias = "INTERFACES")]
    pub uplinks: Vec<IfName>,
}

impl ShadowNetwork {
    /// Shadows of these.
    ///
    /// ```
    /// assert_eq!(xenvnet_core::ShadowNetwork::new(["eth0".parse()?]).uplinks.len(), 1);
    /// # Ok::<(), xenvnet_core::Error>(())
    /// ```
    pub fn new(uplinks: impl IntoIterator<Item = IfName>) -> ShadowNetwork {
        ShadowNetwork { uplinks: uplinks.into_iter().collect() }
    }

    /// What a card's name begins with while its bridge has it.
    pub(super) const LETTER: char = 's';

    pub(super) const KEYS: [&str; 1] = ["INTERFACES"];

    /// Reads `bridge-shadow eth0 eth1` or `bridge-shadow INTERFACES="eth0 eth1"`.
    pub(super) fn read(fields: &Fields<'_>) -> Result<ShadowNetwork> {
        let listed = fields
            .value("INTERFACES")
            .into_iter()
            .flat_map(|(at, list)| crate::text::words(list).into_iter().map(move |(offset, name)| (at + offset, name)));
        let (mut uplinks, mut named) = (Vec::new(), BTreeSet::new());
        for (at, name) in listed.chain(fields.bare.iter().copied()) {
            let name = name.parse().map_err(|error: Error| wrong(at, error.to_string()))?;
            if !named.insert(name) {
                return Err(wrong(at, format!("{name} is named twice")));
            }
            uplinks.push(name);
        }
        if uplinks.is_empty() {
            return Err(Error::invalid(ErrorKind::Parse, "network line: bridge-shadow of which interface?")
                .at(0)
                .with_advice("write: bridge-shadow eth0"));
        }
        Ok(ShadowNetwork { uplinks })
    }

    /// Each for itself.
    pub(super) fn singly(&self) -> impl Iterator<Item = (IfName, Network)> + '_ {
        self.uplinks.iter().map(|uplink| (*uplink, ShadowNetwork::new([*uplink]).into()))
    }

    pub(super) fn plan_start_one(uplink: IfName, what: &str, now: &Snapshot) -> Result<Plan> {
        let takeover = Takeover::shadow(uplink, Self::LETTER).map_err(|error| error.doing(what))?;
        start_takeover(ShadowNetwork::new([uplink]).into(), takeover, what, now)
    }

    pub(super) fn plan_stop_one(uplink: IfName, record: &NetworkRecord, what: &str, now: &Snapshot) -> Result<Plan> {
        Takeover::shadow(uplink, Self::LETTER)?.with_mode_of(&record.before).plan_out(what, now)
    }
}

impl fmt::Display for ShadowNetwork {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("bridge-shadow")?;
        self.uplinks.iter().try_for_each(|uplink| write!(f, " {uplink}"))
    }
}

fn already_there(what: &str, name: IfName) -> Error {
    Error::cannot(
        ErrorKind::AlreadyExists,
        what,
        format!("an interface named {name} is there already and belongs to no network"),
    )
    .with_advice("use it as it is, or name another bridge")
}

/// Networks and rules that lead outside by an interface, when nothing leads outside by it any more, would
/// lead nowhere. A shadow keeps the name.
fn check_others(takeover: &Takeover, link: IfName, what: &str, now: &Snapshot) -> Result<()> {
    if takeover.bridge == takeover.uplink {
        return Ok(());
    }
    let refuse = |why: String, advice: String| Err(Error::cannot(ErrorKind::Conflict, what, why).with_advice(advice));
    let by_it = |record: &&NetworkRecord| {
        let network = &record.network;
        matches!(network, Network::Route(_) | Network::Nat(_) | Network::Brouter(_)) && network.leads_by(link)
    };
    if let Some(NetworkRecord { network, .. }) = now.networks.values().find(by_it) {
        return refuse(
            format!("{} leads outside by {link}", network.noun()),
            format!("stop that one first: xenvnet network stop '{network}'"),
        );
    }
    match now.masquerades.iter().find(|rule| rule.uplink == Some(link)) {
        Some(rule) => refuse(
            format!("{} is masqueraded by {link} alone", rule.subnet),
            format!("end that first: xenvnet masquerade remove {} --uplink {link}", rule.subnet),
        ),
        None => Ok(()),
    }
}

/// The record comes first: whatever is cut off after it is known to be begun.
fn start_takeover(network: Network, takeover: Takeover, what: &str, now: &Snapshot) -> Result<Plan> {
    let runs = network.is_running(now)?;
    let taken = now.link(takeover.bridge).filter(|link| takeover.bridge != takeover.uplink || link.is_bridge());
    if let (false, Some(link)) = (runs, taken) {
        return Err(already_there(what, link.name));
    }
    check_others(&takeover, takeover.uplink, what, now)?;
    let running = network.id().and_then(|id| now.networks.get(&id)).cloned();
    let record = running.unwrap_or_else(|| NetworkRecord::new(network, takeover.mode_of_card(now)));
    let takeover = takeover.with_mode_of(&record.before);
    let mut plan: Plan = if runs { Plan::default() } else { record.steps_add(now).into_iter().collect() };
    plan = plan.then(takeover.plan_in(what, now)?);
    Ok(plan)
}
