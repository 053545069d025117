//! Whole networks of a host, as xend's configuration names them.

use crate::bridge::{self, Bridge};
use crate::dom0::Dom0;
use crate::error::{Error, ErrorKind, Result};
use crate::ifname::IfName;
use crate::masquerade::{self, Masquerade};
use crate::plan::{Plan, Step};
use crate::snapshot::{Snapshot, Sysctl};
use crate::table::Table;
use crate::text::{nearest, quoted, words};
use ipnetwork::IpNetwork;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// A network that a host runs for its guests.
///
/// Written as the line that xend-config.sxp has between the quotes of `network-script`.
///
/// ```
/// use xenvnet_core::Network;
/// let network: Network = "network-virtual bridgeip=10.98.98.1/24 brnet=10.98.98.0/24".parse()?;
/// assert_eq!(network.bridge_name().as_str(), "xenbr0");
/// # Ok::<(), xenvnet_core::Error>(())
/// ```
#[non_exhaustive]
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Network {
    /// A bridge with no physical port, routed and masqueraded by dom0.
    #[doc(alias = "network-virtual")]
    Brouter(Brouter),
}

/// A bridge with an address of dom0 and no physical port: guests are bridged to each other, and
/// routed to the outside by dom0 with its own address.
///
/// ```
/// use xenvnet_core::Brouter;
/// let brouter = Brouter::new("xenbr0".parse()?, "10.98.98.1/24".parse().unwrap());
/// assert_eq!(brouter.subnet.to_string(), "10.98.98.0/24");
/// # Ok::<(), xenvnet_core::Error>(())
/// ```
#[non_exhaustive]
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Brouter {
    /// The bridge, made at start and deleted at stop.
    pub bridge: IfName,
    /// Dom0's address on it, the guests' gateway, with its prefix length.
    #[doc(alias = "bridgeip")]
    pub address: IpNetwork,
    /// The guests' subnet, which is masqueraded towards anything but itself.
    #[doc(alias = "brnet")]
    pub subnet: IpNetwork,
    /// Only what leaves by this interface is masqueraded; without it, all that leaves the subnet.
    pub uplink: Option<IfName>,
    /// Whether a vif without a lock is refused on this network.
    pub antispoof: bool,
    /// What its guests reach on dom0 itself.
    pub dom0: Dom0,
}

impl Brouter {
    /// A brouter whose subnet is the one of its address.
    ///
    /// ```
    /// let brouter = xenvnet_core::Brouter::new("xenbr1".parse()?, "10.6.7.1/24".parse().unwrap());
    /// assert!(!brouter.antispoof);
    /// # Ok::<(), xenvnet_core::Error>(())
    /// ```
    pub fn new(bridge: IfName, address: IpNetwork) -> Brouter {
        Brouter { bridge, address, subnet: subnet_of(address), uplink: None, antispoof: false, dom0: Dom0::Open }
    }

    /// With another subnet than that of the address.
    ///
    /// ```
    /// # use xenvnet_core::Brouter;
    /// let brouter = Brouter::new("xenbr1".parse()?, "10.6.7.1/32".parse().unwrap()).subnet("10.6.0.0/16".parse().unwrap());
    /// assert_eq!(brouter.subnet.prefix(), 16);
    /// # Ok::<(), xenvnet_core::Error>(())
    /// ```
    pub fn subnet(mut self, subnet: IpNetwork) -> Brouter {
        self.subnet = subnet;
        self
    }

    /// Masquerading only what leaves by this interface.
    ///
    /// ```
    /// # use xenvnet_core::Brouter;
    /// let brouter = Brouter::new("xenbr1".parse()?, "10.6.7.1/24".parse().unwrap()).uplink("eth0".parse()?);
    /// assert!(brouter.uplink.is_some());
    /// # Ok::<(), xenvnet_core::Error>(())
    /// ```
    pub fn uplink(mut self, uplink: IfName) -> Brouter {
        self.uplink = Some(uplink);
        self
    }

    /// Refusing vifs without a lock.
    ///
    /// ```
    /// # use xenvnet_core::Brouter;
    /// assert!(Brouter::new("xenbr1".parse()?, "10.6.7.1/24".parse().unwrap()).antispoof(true).antispoof);
    /// # Ok::<(), xenvnet_core::Error>(())
    /// ```
    pub fn antispoof(mut self, antispoof: bool) -> Brouter {
        self.antispoof = antispoof;
        self
    }

    /// With what its guests reach on dom0 itself.
    ///
    /// ```
    /// # use xenvnet_core::{Brouter, Dom0};
    /// let brouter = Brouter::new("xenbr1".parse()?, "10.6.7.1/24".parse().unwrap()).dom0("services(dns)".parse()?);
    /// assert_ne!(brouter.dom0, Dom0::Open);
    /// # Ok::<(), xenvnet_core::Error>(())
    /// ```
    pub fn dom0(mut self, access: Dom0) -> Brouter {
        self.dom0 = access;
        self
    }

    fn bridge(&self) -> Bridge {
        Bridge::new(self.bridge).address(self.address)
    }

    fn masquerade(&self) -> Masquerade {
        let rule = Masquerade::new(self.subnet);
        self.uplink.map_or(rule.clone(), |uplink| rule.uplink(uplink))
    }

    /// The route to the guests, where the address does not bring it along already.
    fn route(&self) -> Option<IpNetwork> {
        (subnet_of(self.address) != self.subnet).then_some(self.subnet)
    }

    fn sysctl(&self) -> Sysctl {
        if self.subnet.is_ipv4() { Sysctl::Ip4Forward } else { Sysctl::Ip6Forward }
    }

    /// Whether the values can be meant.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidArgument`] for a gateway that the guests could not reach, and what
    /// [`Bridge::validate`] and [`Masquerade::validate`] refuse.
    ///
    /// ```
    /// # use xenvnet_core::Brouter;
    /// let brouter = Brouter::new("xenbr1".parse()?, "10.6.7.1/24".parse().unwrap());
    /// assert!(brouter.clone().validate().is_ok());
    /// assert!(brouter.subnet("10.1.0.0/16".parse().unwrap()).validate().is_err());
    /// # Ok::<(), xenvnet_core::Error>(())
    /// ```
    pub fn validate(&self) -> Result<()> {
        self.bridge().validate()?;
        self.masquerade().validate()?;
        self.dom0.validate()?;
        let refuse = |why: String| Err(Error::invalid(ErrorKind::InvalidArgument, why));
        if NetworkRecord::new(self.clone().into(), u32::MAX).comment().len() > crate::guard::COMMENT_MAX {
            return refuse(format!("too many services for one network line: {}", self.dom0.services().len()));
        }
        if self.address.is_ipv4() != self.subnet.is_ipv4() {
            return refuse(format!("{} and {} are of two address families", self.address, self.subnet));
        }
        if !self.subnet.contains(self.address.ip()) {
            return refuse(format!(
                "the guests of {} could not reach their gateway {}",
                self.subnet,
                self.address.ip()
            ));
        }
        Ok(())
    }
}

fn subnet_of(address: IpNetwork) -> IpNetwork {
    IpNetwork::new(address.network(), address.prefix()).unwrap_or(address)
}

impl Network {
    /// The bridge that the network stands or falls with.
    ///
    /// ```
    /// use xenvnet_core::{Brouter, Network};
    /// let network = Network::from(Brouter::new("xenbr1".parse()?, "10.6.7.1/24".parse().unwrap()));
    /// assert_eq!(network.bridge_name().as_str(), "xenbr1");
    /// # Ok::<(), xenvnet_core::Error>(())
    /// ```
    pub fn bridge_name(&self) -> IfName {
        match self {
            Network::Brouter(brouter) => brouter.bridge,
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
            Network::Brouter(brouter) => brouter.antispoof,
        }
    }

    pub(crate) fn plan_start(&self, now: &Snapshot) -> Result<Plan> {
        let Network::Brouter(brouter) = self;
        let what = || format!("start the network of {}", brouter.bridge);
        brouter.validate().map_err(|error| error.doing(what()))?;
        let running = now.networks.get(&brouter.bridge);
        match running {
            Some(record) if record.network != *self => {
                return Err(Error::cannot(
                    ErrorKind::Conflict,
                    what(),
                    format!("another one runs there: {}", record.network),
                )
                .with_advice("stop that one first: xenvnet network stop 'LINE'"));
            }
            None if now.link(brouter.bridge).is_some() => {
                return Err(Error::cannot(
                    ErrorKind::AlreadyExists,
                    what(),
                    format!("an interface named {} is there already and belongs to no network", brouter.bridge),
                )
                .with_advice("name another bridge, or delete that one first"));
            }
            _ => {}
        }
        let mut plan = Plan::default();
        let sysctl = brouter.sysctl();
        if !now.sysctls.contains_key(&sysctl) {
            return Err(Error::cannot(ErrorKind::Unsupported, what(), format!("{sysctl} cannot be read"))
                .with_advice("the network needs forwarding: is /proc/sys mounted?"));
        }
        if running.is_none() {
            plan.extend(now.step_ready(Table::Inet));
            let record = NetworkRecord { network: self.clone(), sysctl_before: original(sysctl, now) };
            plan.extend([Step::AddNetwork { record }]);
        }
        // Before there is a bridge that anybody could come in by.
        plan.extend(brouter.dom0.steps(brouter.bridge, now));
        let bridge = brouter.bridge().plan_create(&now.after(&plan))?;
        plan = plan.then(bridge);
        if let Some(subnet) = brouter.route()
            && !now.routes.get(&brouter.bridge).is_some_and(|routes| routes.contains(&subnet))
        {
            plan.extend([Step::AddRoute { link: brouter.bridge, subnet }]);
        }
        let masquerade = brouter.masquerade().plan_add(&now.after(&plan))?;
        plan = plan.then(masquerade);
        if let Some(from) = now.sysctls.get(&sysctl).copied().filter(|value| *value != 1) {
            plan.extend([Step::SetSysctl { sysctl, from, to: 1 }]);
        }
        Ok(plan)
    }

    pub(crate) fn plan_stop(&self, now: &Snapshot) -> Result<Plan> {
        // What runs counts, not what is remembered of it: a changed line still stops the network.
        let running = now.networks.get(&self.bridge_name());
        let Network::Brouter(brouter) = running.map_or(self, |record| &record.network);
        let Some(record) = running else {
            // Nothing of ours is there, or its record was flushed: never delete what may be another's.
            return Ok(Plan::default());
        };
        let mut plan = Plan::default();
        let others = now.networks.values().filter(|other| *other != record);
        match now.link(brouter.bridge) {
            Some(_) => plan = plan.then(bridge::plan_delete(brouter.bridge, now)?),
            None => plan = plan.then(Dom0::forget(brouter.bridge, now)),
        }
        // Not before the bridge is gone: nobody's private address is to be seen outside.
        if now.masquerades.contains(&brouter.masquerade())
            && !others
                .clone()
                .any(|other| matches!(&other.network, Network::Brouter(b) if b.masquerade() == brouter.masquerade()))
        {
            plan.extend([Step::DeleteMasquerade { masquerade: brouter.masquerade() }]);
        }
        let sysctl = brouter.sysctl();
        let in_use = others.clone().any(|other| matches!(&other.network, Network::Brouter(b) if b.sysctl() == sysctl));
        if let (false, Some(from)) = (in_use, now.sysctls.get(&sysctl).copied())
            && from != record.sysctl_before
        {
            plan.extend([Step::SetSysctl { sysctl, from, to: record.sysctl_before }]);
        }
        plan.extend([Step::DeleteNetwork { record: record.clone() }]);
        plan.extend(masquerade::step_delete_table(&now.after(&plan)));
        // A detached vif in the guests' group is dropped as long as the tables are there.
        let none_left = others.clone().next().is_none() && now.guards.is_empty() && now.ingress.is_empty();
        for table in [Table::Bridge, Table::Netdev, Table::Untracked] {
            plan.extend((none_left && now.has(table)).then_some(Step::DeleteTable { table }));
        }
        let after = now.after(&plan);
        if none_left && after.has(Table::Dom0) && after.dom0.is_empty() {
            plan.extend([Step::DeleteTable { table: Table::Dom0 }]);
        }
        Ok(plan)
    }
}

/// What a setting was before the first of the networks that run now turned it on.
fn original(sysctl: Sysctl, now: &Snapshot) -> u32 {
    let first =
        now.networks.values().find(|record| matches!(&record.network, Network::Brouter(b) if b.sysctl() == sysctl));
    first.map(|record| record.sysctl_before).or_else(|| now.sysctls.get(&sysctl).copied()).unwrap_or(0)
}

impl From<Brouter> for Network {
    fn from(brouter: Brouter) -> Network {
        Network::Brouter(brouter)
    }
}

/// A network that runs: what it is and what it found when it started. Kept in the kernel, as an
/// element of the set `networks`, so that it lives exactly as long as what it describes.
///
/// ```
/// use xenvnet_core::{Brouter, NetworkRecord};
/// let network = Brouter::new("xenbr0".parse()?, "10.98.98.1/24".parse().unwrap()).into();
/// assert_eq!(NetworkRecord::new(network, 0).sysctl_before, 0);
/// # Ok::<(), xenvnet_core::Error>(())
/// ```
#[non_exhaustive]
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct NetworkRecord {
    /// The network.
    pub network: Network,
    /// What the forwarding setting of its address family was before the first network.
    pub sysctl_before: u32,
}

impl NetworkRecord {
    /// A network that found this value in the forwarding setting of its address family.
    ///
    /// ```
    /// # use xenvnet_core::{Brouter, NetworkRecord};
    /// # let network = Brouter::new("xenbr0".parse()?, "10.98.98.1/24".parse().unwrap()).into();
    /// assert_eq!(NetworkRecord::new(network, 1).sysctl_before, 1);
    /// # Ok::<(), xenvnet_core::Error>(())
    /// ```
    pub fn new(network: Network, sysctl_before: u32) -> NetworkRecord {
        NetworkRecord { network, sysctl_before }
    }

    /// The comment of its element.
    pub(crate) fn comment(&self) -> String {
        format!("{} forwarding-before={}", self.network, self.sysctl_before)
    }

    pub(crate) fn parse_comment(text: &str) -> Option<NetworkRecord> {
        let (line, before) = text.rsplit_once(" forwarding-before=")?;
        Some(NetworkRecord { network: line.parse().ok()?, sysctl_before: before.parse().ok()? })
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Network::Brouter(brouter) = self;
        write!(f, "network-virtual bridge={} bridgeip={} brnet={}", brouter.bridge, brouter.address, brouter.subnet)?;
        if let Some(uplink) = brouter.uplink {
            write!(f, " uplink={uplink}")?;
        }
        if brouter.antispoof {
            f.write_str(" antispoof=yes")?;
        }
        if brouter.dom0 != Dom0::Open {
            write!(f, " dom0={}", brouter.dom0)?;
        }
        Ok(())
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

const KEYS: [&str; 7] = ["bridge", "bridgeip", "brnet", "vifnum", "uplink", "antispoof", "dom0"];

impl FromStr for Network {
    type Err = Error;

    /// Reads a `network-virtual` line: `bridgeip=`, `brnet=`, `bridge=`, `vifnum=`, `antispoof=`,
    /// and beyond the old script's `uplink=` and `dom0=open|closed|services(...)`. Defaults: `vifnum=0`, `bridge=xenbr<vifnum>`,
    /// `bridgeip=10.6.7.1/24`, `brnet` the subnet of `bridgeip`.
    fn from_str(line: &str) -> Result<Network> {
        let wrong = |offset: usize, why: String| {
            Error::invalid(ErrorKind::Parse, format!("network line: {why} at byte {offset}")).at(offset)
        };
        let mut words = words(line);
        let (offset, script) = words.next().ok_or_else(|| wrong(0, "nothing".to_owned()))?;
        match script {
            "network-virtual" => {}
            "network-bridge" | "network-nat" | "network-route" | "bridge-shadow" | "network-bridge-additional" => {
                return Err(Error::invalid(
                    ErrorKind::Unsupported,
                    format!("this version starts network-virtual (the brouter) only, not {script}"),
                ));
            }
            _ => return Err(wrong(offset, format!("unknown script {}", quoted(script)))),
        }
        let (mut bridge, mut address, mut subnet, mut vifnum, mut uplink) = (None, None, None, 0u32, None);
        let (mut antispoof, mut dom0) = (false, Dom0::Open);
        let mut seen: Vec<&str> = Vec::new();
        for (offset, word) in words {
            let (key, value) =
                word.split_once('=').ok_or_else(|| wrong(offset, format!("{} is no KEY=VALUE", quoted(word))))?;
            let at = offset + key.len() + 1;
            let net = || -> Result<IpNetwork> {
                value.parse().map_err(|_| wrong(at, format!("{key}={} is no ADDRESS/PREFIX", quoted(value))))
            };
            let name = || value.parse::<IfName>().map_err(|error| wrong(at, error.to_string()));
            if seen.contains(&key) {
                return Err(wrong(offset, format!("{key}= is given twice")));
            }
            match key {
                "bridge" => bridge = Some(name()?),
                "bridgeip" => address = Some(net()?),
                "brnet" => subnet = Some(net()?),
                "uplink" => uplink = Some(name()?),
                "vifnum" => {
                    vifnum = value.parse().map_err(|_| wrong(at, format!("vifnum={} is no number", quoted(value))))?
                }
                "antispoof" => {
                    antispoof = match value {
                        "yes" => true,
                        "no" => false,
                        _ => {
                            return Err(wrong(at, format!("antispoof={} is neither yes nor no", quoted(value))));
                        }
                    }
                }
                "dom0" => dom0 = value.parse::<Dom0>().map_err(|error| wrong(at, error.to_string()))?,
                _ => {
                    let guess = nearest(key, &KEYS).map(|key| format!("; did you mean \"{key}\"?")).unwrap_or_default();
                    return Err(wrong(offset, format!("unknown key {}", quoted(key))).with_more(&guess));
                }
            }
            seen.push(key);
        }
        let bridge = match bridge {
            Some(bridge) if bridge.as_str() == "null" => {
                return Err(Error::invalid(ErrorKind::Unsupported, "bridge=null asks for no network at all")
                    .with_advice("leave the line out"));
            }
            Some(bridge) => bridge,
            None => format!("xenbr{vifnum}").parse()?,
        };
        let address = address.unwrap_or_else(|| {
            IpNetwork::V4(
                ipnetwork::Ipv4Network::new_checked([10, 6, 7, 1].into(), 24)
                    .unwrap_or_else(|| unreachable!("a /24 is a prefix")),
            )
        });
        let brouter =
            Brouter { bridge, address, subnet: subnet.unwrap_or(subnet_of(address)), uplink, antispoof, dom0 };
        brouter.validate()?;
        Ok(Network::Brouter(brouter))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_old_scripts_defaults_hold() {
        let network: Network = "network-virtual".parse().unwrap();
        assert_eq!(network.to_string(), "network-virtual bridge=xenbr0 bridgeip=10.6.7.1/24 brnet=10.6.7.0/24");
        let network: Network = "network-virtual  vifnum=3 antispoof=yes".parse().unwrap();
        assert_eq!(network.bridge_name().as_str(), "xenbr3");
    }

    #[test]
    fn a_typo_is_named_with_its_byte() {
        let error = "network-virtual brige=xenbr0".parse::<Network>().unwrap_err();
        assert_eq!(error.to_string(), "network line: unknown key \"brige\" at byte 16; did you mean \"bridge\"?");
        assert_eq!(error.offset(), Some(16));
        for line in [
            "",
            "network",
            "network-virtual bridge",
            "network-virtual vifnum=x",
            "network-virtual bridge=a bridge=b",
            "network-virtual bridgeip=10.0.0.0/33",
            "network-virtual antispoof=maybe",
        ] {
            assert_eq!(line.parse::<Network>().unwrap_err().kind(), ErrorKind::Parse, "{line}");
        }
    }

    #[test]
    fn a_gateway_outside_of_the_subnet_is_refused() {
        let error = "network-virtual bridgeip=10.0.0.1/24 brnet=10.1.0.0/24".parse::<Network>().unwrap_err();
        assert_eq!(error.to_string(), "the guests of 10.1.0.0/24 could not reach their gateway 10.0.0.1");
    }

    #[test]
    fn records_are_read_back() {
        for line in ["network-virtual", "network-virtual uplink=eth0 antispoof=yes bridgeip=2001:db8::1/64"] {
            let record = NetworkRecord::new(line.parse().unwrap(), 1);
            assert_eq!(NetworkRecord::parse_comment(&record.comment()), Some(record));
        }
    }

    proptest! {
        #[test]
        fn any_line_is_read_or_refused(line in "(network-virtual )?\\PC{0,60}") {
            if let Ok(network) = line.parse::<Network>() {
                prop_assert_eq!(network.to_string().parse::<Network>().unwrap(), network);
            }
        }
    }
}
