//! Networks that dom0 routes: its guests are on no bridge, each is behind an interface of its own.

use super::line::Fields;
use super::{Network, NetworkRecord, Uplink, start_settings, stop_forwarding};
use crate::dom0::Dom0;
use crate::error::{Error, ErrorKind, Result};
use crate::ifname::IfName;
use crate::masquerade::Masquerade;
use crate::plan::Plan;
use crate::snapshot::Snapshot;
use crate::sysctl::{LinkSysctl, Sysctl};
use ipnetwork::{IpNetwork, Ipv4Network};
use std::collections::BTreeSet;
use std::fmt;

/// `network-route`: dom0 forwards, and answers on the uplink for the addresses of its guests (proxy
/// ARP, proxy NDP), so that its neighbours find them without knowing of dom0.
///
/// ```
/// use xenvnet_core::{Network, RoutedNetwork, Uplink};
/// let network: Network = RoutedNetwork::new(Uplink::Device("eth0".parse()?)).into();
/// assert_eq!(network.to_string(), "network-route netdev=eth0");
/// # Ok::<(), xenvnet_core::Error>(())
/// ```
#[non_exhaustive]
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct RoutedNetwork {
    /// The interface that leads outside.
    #[doc(alias = "netdev")]
    pub uplink: Uplink,
    /// Whether IPv6 is forwarded too; unless told, where the uplink has a global IPv6 address.
    pub ipv6: Option<bool>,
    /// Whether a vif without a lock is refused on this network.
    pub antispoof: bool,
}

impl RoutedNetwork {
    /// By this uplink.
    ///
    /// ```
    /// # use xenvnet_core::{RoutedNetwork, Uplink};
    /// assert!(!RoutedNetwork::new(Uplink::Default).antispoof);
    /// ```
    pub fn new(uplink: Uplink) -> RoutedNetwork {
        RoutedNetwork { uplink, ipv6: None, antispoof: false }
    }

    /// With IPv6, or without.
    ///
    /// ```
    /// # use xenvnet_core::{RoutedNetwork, Uplink};
    /// assert_eq!(RoutedNetwork::new(Uplink::Default).ipv6(false).ipv6, Some(false));
    /// ```
    pub fn ipv6(mut self, ipv6: bool) -> RoutedNetwork {
        self.ipv6 = Some(ipv6);
        self
    }

    /// Refusing vifs without a lock.
    ///
    /// ```
    /// # use xenvnet_core::{RoutedNetwork, Uplink};
    /// assert!(RoutedNetwork::new(Uplink::Default).antispoof(true).antispoof);
    /// ```
    pub fn antispoof(mut self, antispoof: bool) -> RoutedNetwork {
        self.antispoof = antispoof;
        self
    }

    pub(super) const KEYS: [&str; 3] = ["netdev", "ipv6", "antispoof"];

    pub(super) fn read(fields: &Fields<'_>) -> Result<RoutedNetwork> {
        Ok(RoutedNetwork {
            uplink: Uplink::read(fields)?,
            ipv6: fields.yes_or_no("ipv6")?,
            antispoof: fields.yes_or_no("antispoof")?.unwrap_or(false),
        })
    }

    pub(super) fn resolve(&self, what: &str, now: &Snapshot) -> Result<RoutedNetwork> {
        let uplink = expect_uplink(self.uplink, what, now)?;
        let ipv6 = self.ipv6.unwrap_or_else(|| has_global_ipv6(uplink, now));
        Ok(RoutedNetwork { uplink: Uplink::Device(uplink), ipv6: Some(ipv6), antispoof: self.antispoof })
    }

    /// What it turns on.
    fn settings(&self, now: &Snapshot) -> Vec<(Sysctl, u32)> {
        let Uplink::Device(uplink) = self.uplink else { return Vec::new() };
        let mut settings = vec![(Sysctl::Link(uplink, LinkSysctl::PROXY_ARP), 1), (Sysctl::Ip4Forward, 1)];
        if self.ipv6 == Some(true) {
            settings.extend(still_taking_ra(uplink, now));
            settings.extend([(Sysctl::Link(uplink, LinkSysctl::PROXY_NDP), 1), (Sysctl::Ip6Forward, 1)]);
        }
        settings
    }

    pub(super) fn plan_start(&self, what: &str, now: &Snapshot) -> Result<Plan> {
        start(Network::from(self.clone()), &[], &self.settings(now), what, now)
    }
}

impl fmt::Display for RoutedNetwork {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("network-route")?;
        if self.uplink != Uplink::Default {
            write!(f, " netdev={}", self.uplink)?;
        }
        if let Some(ipv6) = self.ipv6 {
            write!(f, " ipv6={}", if ipv6 { "yes" } else { "no" })?;
        }
        if self.antispoof {
            f.write_str(" antispoof=yes")?;
        }
        Ok(())
    }
}

/// `network-nat`: dom0 forwards, and its guests speak to the outside with dom0's address.
///
/// ```
/// use xenvnet_core::{NatNetwork, Network, Uplink};
/// let network: Network = NatNetwork::new(Uplink::Device("eth0".parse()?)).subnet("fd00:5::/64".parse().unwrap()).into();
/// assert_eq!(network.to_string(), "network-nat netdev=eth0 subnet=fd00:5::/64");
/// # Ok::<(), xenvnet_core::Error>(())
/// ```
#[non_exhaustive]
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct NatNetwork {
    /// The interface that leads outside. A host with several has a network for each.
    #[doc(alias = "netdev")]
    pub uplink: Uplink,
    /// The guests' subnets; unless told, 10.0.0.0/8, where the addresses made from domain ids are. One
    /// that is here twice counts once. Whatever leaves by the uplink from such an address is masqueraded,
    /// dom0's own too: name the guests' subnet where dom0 speaks from several addresses of it.
    pub subnets: Vec<IpNetwork>,
    /// Whether a vif without a lock is refused on this network.
    pub antispoof: bool,
    /// Whether DHCP is to be served to its guests: see [`DhcpService`](crate::DhcpService).
    pub dhcp: bool,
}

impl NatNetwork {
    /// By this uplink.
    ///
    /// ```
    /// # use xenvnet_core::{NatNetwork, Uplink};
    /// assert!(NatNetwork::new(Uplink::Default).subnets.is_empty());
    /// ```
    pub fn new(uplink: Uplink) -> NatNetwork {
        NatNetwork { uplink, subnets: Vec::new(), antispoof: false, dhcp: false }
    }

    /// With one more subnet.
    ///
    /// ```
    /// # use xenvnet_core::{NatNetwork, Uplink};
    /// let network = NatNetwork::new(Uplink::Default).subnet("192.168.7.0/24".parse().unwrap());
    /// assert_eq!(network.subnets.len(), 1);
    /// ```
    pub fn subnet(mut self, subnet: IpNetwork) -> NatNetwork {
        self.subnets.push(subnet);
        self
    }

    /// Refusing vifs without a lock.
    ///
    /// ```
    /// # use xenvnet_core::{NatNetwork, Uplink};
    /// assert!(NatNetwork::new(Uplink::Default).antispoof(true).antispoof);
    /// ```
    pub fn antispoof(mut self, antispoof: bool) -> NatNetwork {
        self.antispoof = antispoof;
        self
    }

    /// With DHCP for its guests.
    ///
    /// ```
    /// # use xenvnet_core::{NatNetwork, Uplink};
    /// assert!(NatNetwork::new(Uplink::Default).dhcp(true).dhcp);
    /// ```
    pub fn dhcp(mut self, served: bool) -> NatNetwork {
        self.dhcp = served;
        self
    }

    pub(super) const KEYS: [&str; 4] = ["netdev", "subnet", "antispoof", "dhcp"];

    pub(super) fn read(fields: &Fields<'_>) -> Result<NatNetwork> {
        let network = NatNetwork {
            uplink: Uplink::read(fields)?,
            subnets: fields.nets("subnet")?.unwrap_or_default(),
            antispoof: fields.yes_or_no("antispoof")?.unwrap_or(false),
            dhcp: fields.yes_or_no("dhcp")?.unwrap_or(false),
        };
        network.validate()?;
        Ok(network)
    }

    fn validate(&self) -> Result<()> {
        self.masquerades().iter().try_for_each(Masquerade::validate)?;
        if self.dhcp { crate::dhcp::check(&self.nets(), None, &Dom0::Open) } else { Ok(()) }
    }

    pub(super) fn resolve(&self, what: &str, now: &Snapshot) -> Result<NatNetwork> {
        self.validate().map_err(|error| error.doing(what))?;
        let uplink = expect_uplink(self.uplink, what, now)?;
        Ok(NatNetwork { uplink: Uplink::Device(uplink), ..self.clone() })
    }

    /// The guests' subnets.
    pub(crate) fn nets(&self) -> Vec<IpNetwork> {
        if !self.subnets.is_empty() {
            let mut seen = BTreeSet::new();
            return self.subnets.iter().copied().filter(|net| seen.insert(*net)).collect();
        }
        Ipv4Network::new_checked([10, 0, 0, 0].into(), 8).map(IpNetwork::V4).into_iter().collect()
    }

    pub(super) fn masquerades(&self) -> Vec<Masquerade> {
        let rule = |subnet| {
            let rule = Masquerade::new(subnet).everywhere(true);
            if let Uplink::Device(uplink) = self.uplink { rule.uplink(uplink) } else { rule }
        };
        self.nets().into_iter().map(rule).collect()
    }

    fn settings(&self, now: &Snapshot) -> Vec<(Sysctl, u32)> {
        let Uplink::Device(uplink) = self.uplink else { return Vec::new() };
        let mut settings = Vec::new();
        if self.nets().iter().any(IpNetwork::is_ipv4) {
            settings.push((Sysctl::Ip4Forward, 1));
        }
        if self.nets().iter().any(IpNetwork::is_ipv6) {
            settings.extend(still_taking_ra(uplink, now));
            settings.push((Sysctl::Ip6Forward, 1));
        }
        settings
    }

    pub(super) fn plan_start(&self, what: &str, now: &Snapshot) -> Result<Plan> {
        start(Network::from(self.clone()), &self.masquerades(), &self.settings(now), what, now)
    }
}

impl fmt::Display for NatNetwork {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("network-nat")?;
        if self.uplink != Uplink::Default {
            write!(f, " netdev={}", self.uplink)?;
        }
        if !self.subnets.is_empty() {
            let subnets: Vec<_> = self.subnets.iter().map(IpNetwork::to_string).collect();
            write!(f, " subnet={}", subnets.join(","))?;
        }
        if self.antispoof {
            f.write_str(" antispoof=yes")?;
        }
        if self.dhcp {
            f.write_str(" dhcp=yes")?;
        }
        Ok(())
    }
}

fn expect_uplink(uplink: Uplink, what: &str, now: &Snapshot) -> Result<IfName> {
    let Some(name) = uplink.resolve(now) else {
        return Err(Error::cannot(ErrorKind::InvalidArgument, what, "it leads nowhere without an uplink")
            .with_advice("name one: netdev=eth0"));
    };
    match crate::takeover::expect_uplink(name, what, now)?.master {
        Some(bridge) => Err(Error::cannot(
            ErrorKind::InvalidArgument,
            what,
            format!("{name} is a port of {bridge}, which leads outside"),
        )
        .with_advice(format!("name that one: netdev={bridge}"))),
        None => Ok(name),
    }
}

fn has_global_ipv6(link: IfName, now: &Snapshot) -> bool {
    let mut addresses = now.addresses.get(&link).into_iter().flatten();
    addresses.any(|address| match address {
        IpNetwork::V6(six) => !six.ip().is_unicast_link_local(),
        IpNetwork::V4(_) => false,
    })
}

/// A host that forwards IPv6 takes no router advertisements any more, and loses its own default route
/// some time later, unless it was told to take them all the same.
fn still_taking_ra(uplink: IfName, now: &Snapshot) -> Option<(Sysctl, u32)> {
    let accept_ra = Sysctl::Link(uplink, LinkSysctl::ACCEPT_RA);
    // What it was before the first network is what counts: another may have turned it up already.
    (super::original(accept_ra, now) == Some(1)).then_some((accept_ra, 2))
}

fn start(
    network: Network,
    masquerades: &[Masquerade],
    settings: &[(Sysctl, u32)],
    what: &str,
    now: &Snapshot,
) -> Result<Plan> {
    let runs = network.is_running(now)?;
    let settings = start_settings(settings, what, now)?;
    let mut plan = Plan::default();
    if !runs {
        plan.extend(NetworkRecord::new(network, settings.before).steps_add(now));
    }
    for masquerade in masquerades {
        let add = masquerade.plan_add(&now.after(&plan))?;
        plan = plan.then(add);
    }
    Ok(plan.then(settings.plan))
}

pub(super) fn plan_stop(masquerades: &[Masquerade], record: &NetworkRecord, now: &Snapshot) -> Plan {
    // First nothing is forwarded any more: nobody's private address is to be seen outside.
    let mut plan = stop_forwarding(record, now);
    plan.extend(super::steps_unmasquerade(masquerades, record, now));
    plan
}
