//! The brouter: a bridge with no physical port, routed and masqueraded by dom0.

use super::line::{Fields, wrong};
use super::{Network, NetworkRecord, start_forwarding, stop_forwarding};
use crate::bridge::{self, Bridge};
use crate::dom0::Dom0;
use crate::error::{Error, ErrorKind, Result};
use crate::ifname::IfName;
use crate::link::LinkSettings;
use crate::masquerade::Masquerade;
use crate::plan::{Plan, Step};
use crate::snapshot::Snapshot;
use crate::sysctl::Sysctl;
use ipnetwork::{IpNetwork, Ipv4Network};
use std::fmt;

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
    /// Whether DHCP is to be served to its guests: see [`DhcpService`](crate::DhcpService).
    pub dhcp: bool,
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
        let subnet = subnet_of(address);
        Brouter { bridge, address, subnet, uplink: None, antispoof: false, dom0: Dom0::Open, dhcp: false }
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

    /// With DHCP for its guests.
    ///
    /// ```
    /// # use xenvnet_core::Brouter;
    /// assert!(Brouter::new("xenbr1".parse()?, "10.6.7.1/24".parse().unwrap()).dhcp(true).dhcp);
    /// # Ok::<(), xenvnet_core::Error>(())
    /// ```
    pub fn dhcp(mut self, served: bool) -> Brouter {
        self.dhcp = served;
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

    pub(super) fn sysctl(&self) -> Sysctl {
        Sysctl::forward(self.subnet.is_ipv4())
    }

    /// Whether the values can be meant.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidArgument`] for a gateway that the guests could not reach, for DHCP of which
    /// dom0 would not hear or that is not IPv4's, and what [`Bridge::validate`] and
    /// [`Masquerade::validate`] refuse.
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
        if NetworkRecord::new(self.clone().into(), [(self.sysctl(), u32::MAX)]).comment().len()
            > crate::guard::COMMENT_MAX
        {
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
        if self.dhcp {
            crate::dhcp::check(&[self.subnet], Some(self.bridge), &self.dom0)?;
        }
        Ok(())
    }
}

fn subnet_of(address: IpNetwork) -> IpNetwork {
    IpNetwork::new(address.network(), address.prefix()).unwrap_or(address)
}

impl Brouter {
    pub(super) const KEYS: [&str; 8] = ["bridge", "bridgeip", "brnet", "vifnum", "uplink", "antispoof", "dom0", "dhcp"];

    /// Reads a `network-virtual` line: `bridgeip=`, `brnet=`, `bridge=`, `vifnum=`, `antispoof=`, and
    /// beyond the old script's `uplink=`, `dom0=open|closed|services(...)` and `dhcp=yes`. Defaults:
    /// `vifnum=0`, `bridge=xenbr<vifnum>`, `bridgeip=10.6.7.1/24`, `brnet` the subnet of `bridgeip`.
    pub(super) fn read(fields: &Fields<'_>) -> Result<Brouter> {
        let bridge = match fields.name("bridge")? {
            Some(bridge) => bridge,
            None => format!("xenbr{}", fields.number("vifnum")?.unwrap_or(0)).parse()?,
        };
        let address = fields.net("bridgeip")?.unwrap_or_else(|| {
            IpNetwork::V4(
                Ipv4Network::new_checked([10, 6, 7, 1].into(), 24).unwrap_or_else(|| unreachable!("a /24 is a prefix")),
            )
        });
        let dom0 = match fields.value("dom0") {
            Some((at, value)) => value.parse::<Dom0>().map_err(|error| wrong(at, error.to_string()))?,
            None => Dom0::Open,
        };
        let brouter = Brouter {
            bridge,
            address,
            subnet: fields.net("brnet")?.unwrap_or(subnet_of(address)),
            uplink: fields.name("uplink")?,
            antispoof: fields.yes_or_no("antispoof")?.unwrap_or(false),
            dom0,
            dhcp: fields.yes_or_no("dhcp")?.unwrap_or(false),
        };
        brouter.validate()?;
        Ok(brouter)
    }

    pub(super) fn plan_start(&self, now: &Snapshot) -> Result<Plan> {
        let what = || format!("start the network of {}", self.bridge);
        self.validate().map_err(|error| error.doing(what()))?;
        if let Some(uplink) = self.uplink
            && let Some(bridge) = now.link(uplink).and_then(|link| link.master)
        {
            let why = format!("{uplink} is a port of {bridge}, which leads outside");
            return Err(Error::cannot(ErrorKind::InvalidArgument, what(), why)
                .with_advice(format!("name that one: uplink={bridge}")));
        }
        let network = Network::from(self.clone());
        let runs = network.is_running(now)?;
        if !runs && now.link(self.bridge).is_some() {
            return Err(Error::cannot(
                ErrorKind::AlreadyExists,
                what(),
                format!("an interface named {} is there already and belongs to no network", self.bridge),
            )
            .with_advice("name another bridge, or delete that one first"));
        }
        let forwarding = start_forwarding(&[self.sysctl()], &what(), now)?;
        let mut plan = Plan::default();
        if !runs {
            plan.extend(NetworkRecord::new(network, forwarding.before).steps_add(now));
        }
        // Before there is a bridge that anybody could come in by.
        plan.extend(self.dom0.steps(self.bridge, now));
        // One that was begun before may lack what comes after its birth.
        let begun = now.link(self.bridge).filter(|bridge| !bridge.up);
        let wanted =
            LinkSettings { mtu: Some(1500), auto_link_local: Some(self.address.is_ipv6()), ..LinkSettings::default() };
        let difference = begun.and_then(|bridge| wanted.difference(bridge));
        plan.extend(difference.map(|(from, to)| Step::SetLink { link: self.bridge, from, to }));
        let bridge = self.bridge().plan_create(&now.after(&plan))?;
        plan = plan.then(bridge);
        if let Some(subnet) = self.route()
            && !now.routes.get(&self.bridge).is_some_and(|routes| routes.contains(&subnet))
        {
            plan.extend([Step::AddRoute { link: self.bridge, subnet, metric: None }]);
        }
        let masquerade = self.masquerade().plan_add(&now.after(&plan))?;
        Ok(plan.then(masquerade).then(forwarding.plan))
    }

    pub(super) fn plan_stop(&self, record: &NetworkRecord, now: &Snapshot) -> Result<Plan> {
        let mut plan = match now.link(self.bridge) {
            Some(_) => bridge::plan_delete(self.bridge, now)?,
            None => Dom0::forget(self.bridge, now),
        };
        // Not before the bridge is gone: nobody's private address is to be seen outside.
        plan.extend(super::steps_unmasquerade(&[self.masquerade()], record, now));
        Ok(plan.then(stop_forwarding(record, now)))
    }

    pub(super) fn masquerades(&self) -> Vec<Masquerade> {
        vec![self.masquerade()]
    }
}

impl fmt::Display for Brouter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "network-virtual bridge={} bridgeip={} brnet={}", self.bridge, self.address, self.subnet)?;
        if let Some(uplink) = self.uplink {
            write!(f, " uplink={uplink}")?;
        }
        if self.antispoof {
            f.write_str(" antispoof=yes")?;
        }
        if self.dom0 != Dom0::Open {
            write!(f, " dom0={}", self.dom0)?;
        }
        if self.dhcp {
            f.write_str(" dhcp=yes")?;
        }
        Ok(())
    }
}
