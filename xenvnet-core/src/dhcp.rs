//! DHCP for the guests of a network that runs with `dhcp=yes`: who is to be told what.
//!
//! The library serves nobody itself: it says what a server is to know, and the command `xenvnet dhcp`
//! has dnsmasq answer.

use crate::antispoof::{Antispoof, Lock};
use crate::dom0::Dom0;
use crate::error::{Error, ErrorKind, Result};
use crate::ifname::IfName;
use crate::link::Link;
use crate::mac::MacAddr;
use crate::network::{Network, NetworkId};
use crate::snapshot::Snapshot;
use crate::vif::VifId;
use ipnetwork::{IpNetwork, Ipv4Network};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::net::{IpAddr, Ipv4Addr};

/// UDP, and the port at which a server is asked.
const ASKED_AT: (u8, u16) = (17, 67);

/// What a DHCP server is to know to serve the guests of a network: nothing but the addresses that
/// their locks allow them anyway. IPv4 only.
///
/// ```
/// use xenvnet_core::{DhcpService, Snapshot};
/// let error = DhcpService::of(&Snapshot::default(), "xenbr0".parse()?).unwrap_err();
/// assert_eq!(error.to_string(), "cannot serve DHCP to xenbr0: no such network runs");
/// # Ok::<(), xenvnet_core::Error>(())
/// ```
#[non_exhaustive]
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DhcpService {
    /// The network.
    pub network: NetworkId,
    /// The interfaces that its guests are heard on: its bridge, or their own ones where they are routed.
    pub interfaces: BTreeSet<IfName>,
    /// Its subnets: what a guest takes to be on its wire.
    pub subnets: Vec<Ipv4Network>,
    /// The guests that are served, by their interfaces.
    pub guests: BTreeMap<IfName, DhcpGuest>,
    /// Those that are not, and why.
    pub silent: BTreeMap<IfName, DhcpSilence>,
}

/// What a guest is told.
///
/// ```
/// use xenvnet_core::DhcpGuest;
/// let guest = DhcpGuest::new("00:16:3e:00:00:01".parse()?, [10, 0, 1, 1].into(), [10, 0, 1, 128].into());
/// assert_eq!((guest.mtu, guest.name), (1500, None));
/// # Ok::<(), xenvnet_core::Error>(())
/// ```
#[non_exhaustive]
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct DhcpGuest {
    /// The MAC addresses that it may ask with.
    pub macs: Vec<MacAddr>,
    /// Its address: the first of its lock in the network.
    pub address: Ipv4Addr,
    /// The way out.
    pub router: Ipv4Addr,
    /// The MTU of its interface in bytes.
    pub mtu: u32,
    /// The name that vif-nat gave it: `dom3`, and `dom3-1` on its second card.
    pub name: Option<String>,
}

impl DhcpGuest {
    /// With an MTU of 1500 bytes and no name.
    ///
    /// ```
    /// # use xenvnet_core::DhcpGuest;
    /// let guest = DhcpGuest::new("00:16:3e:00:00:01".parse()?, [10, 0, 1, 1].into(), [10, 0, 1, 128].into());
    /// assert_eq!(guest.router.to_string(), "10.0.1.128");
    /// # Ok::<(), xenvnet_core::Error>(())
    /// ```
    pub fn new(mac: MacAddr, address: Ipv4Addr, router: Ipv4Addr) -> DhcpGuest {
        DhcpGuest { macs: vec![mac], address, router, mtu: 1500, name: None }
    }
}

/// Why a guest of the network is not served.
///
/// ```
/// let why = xenvnet_core::DhcpSilence::NotAllowed;
/// assert_eq!(why.to_string(), "its lock lets no DHCP through");
/// ```
#[non_exhaustive]
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DhcpSilence {
    /// It has no lock, so nobody knows its addresses.
    Unlocked,
    /// It may send nothing at all.
    Disabled,
    /// Its lock lets no DHCP through.
    NotAllowed,
    /// What it asks of dom0 is dropped: see [`Dom0`].
    Unheard,
    /// Its lock has no single IPv4 address of the network's.
    NoAddress,
    /// Dom0 has no address of the network's on its interface.
    NoRouter,
    /// Another guest, behind this interface, has its address.
    Taken(IfName),
    /// The name of its interface has signs that a server's configuration has a meaning for.
    Name,
}

impl DhcpSilence {
    /// What to do about it.
    ///
    /// ```
    /// let advice = xenvnet_core::DhcpSilence::NotAllowed.advice("vif1.0".parse()?);
    /// assert!(advice.contains("--dhcp"));
    /// # Ok::<(), xenvnet_core::Error>(())
    /// ```
    pub fn advice(&self, vif: IfName) -> String {
        let set = format!("xenvnet antispoof set {vif} --mac MAC --ip ADDRESS --dhcp");
        match self {
            DhcpSilence::Unlocked | DhcpSilence::Disabled => format!("give it a lock: {set}"),
            DhcpSilence::NotAllowed => format!("allow it: {set}"),
            DhcpSilence::Unheard => "let dom0 hear it: xenvnet dom0 set INTERFACE 'services(dhcp,...)'".to_owned(),
            DhcpSilence::NoAddress => format!("give it one: {set}"),
            DhcpSilence::NoRouter => {
                format!("attach it with one: xenvnet vif attach {vif} --nat --gateway ADDRESS")
            }
            DhcpSilence::Taken(_) => "give one of the two another address".to_owned(),
            DhcpSilence::Name => "use letters, digits, dots, hyphens and underscores".to_owned(),
        }
    }
}

impl fmt::Display for DhcpSilence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            DhcpSilence::Unlocked => f.write_str("it has no lock that says what its addresses are"),
            DhcpSilence::Disabled => f.write_str("it may send nothing at all"),
            DhcpSilence::NotAllowed => f.write_str("its lock lets no DHCP through"),
            DhcpSilence::Unheard => f.write_str("dom0 does not hear it"),
            DhcpSilence::NoAddress => f.write_str("its lock has no single IPv4 address of the network's"),
            DhcpSilence::NoRouter => f.write_str("dom0 has no address of the network's on its interface"),
            DhcpSilence::Taken(other) => write!(f, "its address is that of {other}"),
            DhcpSilence::Name => f.write_str("its interface has a name that cannot be written down"),
        }
    }
}

impl DhcpService {
    /// What the guests of a network that runs are to be told.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`] where no such network runs, [`ErrorKind::InvalidArgument`] where it runs
    /// without `dhcp=yes`.
    ///
    /// ```no_run
    /// use xenvnet_core::{DhcpService, Host};
    /// let service = DhcpService::of(&Host::open()?.snapshot()?, "nat:eth0".parse()?)?;
    /// for (vif, why) in &service.silent {
    ///     println!("{vif} is not served: {why}");
    /// }
    /// # Ok::<(), xenvnet_core::Error>(())
    /// ```
    pub fn of(now: &Snapshot, network: NetworkId) -> Result<DhcpService> {
        let what = || format!("serve DHCP to {network}");
        let record = now.networks.get(&network).ok_or_else(|| {
            Error::cannot(ErrorKind::NotFound, what(), "no such network runs")
                .with_advice("see which do: xenvnet network status")
        })?;
        let (bridge, nets) = match &record.network {
            Network::Brouter(brouter) if brouter.dhcp => (Some(brouter.bridge), vec![brouter.subnet]),
            Network::Nat(nat) if nat.dhcp => (None, nat.nets()),
            other => {
                return Err(Error::cannot(ErrorKind::InvalidArgument, what(), "it runs without dhcp=yes")
                    .with_advice(format!("start it with that: xenvnet network stop '{other}'")));
            }
        };
        let subnets: Vec<_> = nets.iter().filter_map(ipv4).collect();
        let mut service = DhcpService {
            network,
            interfaces: bridge.into_iter().collect(),
            subnets,
            guests: BTreeMap::new(),
            silent: BTreeMap::new(),
        };
        for vif in now.vifs().filter(|vif| vif.master == bridge) {
            if bridge.is_some() || service.is_of(vif, now) {
                service.consider(vif, bridge.unwrap_or(vif.name), now);
            }
        }
        Ok(service)
    }

    /// Whether a routed vif has anything in the network.
    fn is_of(&self, vif: &Link, now: &Snapshot) -> bool {
        let lock = now.guard_of(vif.name).map(|guard| &guard.lock);
        let locked = if let Some(Lock::Locked(lock)) = lock { lock.ips.as_slice() } else { &[] };
        let routed = now.routes.get(&vif.name).into_iter().flatten();
        locked.iter().chain(routed).filter_map(ipv4).any(|net| self.subnet_of(net.ip()).is_some())
    }

    fn subnet_of(&self, ip: Ipv4Addr) -> Option<Ipv4Network> {
        self.subnets.iter().copied().find(|net| net.contains(ip))
    }

    /// Serves a guest that is heard on this interface, or says why not.
    fn consider(&mut self, vif: &Link, heard_on: IfName, now: &Snapshot) {
        match self.guest(vif, heard_on, now) {
            Ok(guest) => {
                self.interfaces.insert(heard_on);
                // The tap of an emulated card has the addresses of its vif: they are told once.
                if !self.guests.values().any(|other| other.address == guest.address) {
                    self.guests.insert(vif.name, guest);
                }
            }
            Err(why) => drop(self.silent.insert(vif.name, why)),
        }
    }

    fn guest(&self, vif: &Link, heard_on: IfName, now: &Snapshot) -> Result<DhcpGuest, DhcpSilence> {
        let lock = match now.guard_of(vif.name).map(|guard| &guard.lock) {
            Some(Lock::Locked(lock)) => lock,
            Some(Lock::Disabled) => return Err(DhcpSilence::Disabled),
            Some(Lock::Unlocked) | None => return Err(DhcpSilence::Unlocked),
        };
        if !lock.dhcp_client {
            return Err(DhcpSilence::NotAllowed);
        }
        if now.dom0.get(&heard_on).is_some_and(|dom0| !hears(dom0)) {
            return Err(DhcpSilence::Unheard);
        }
        if !is_plain(heard_on) {
            return Err(DhcpSilence::Name);
        }
        let (address, subnet) = self.address(lock).ok_or(DhcpSilence::NoAddress)?;
        let addresses = now.addresses.get(&heard_on).into_iter().flatten();
        let router = addresses.filter_map(ipv4).map(|net| net.ip()).find(|ip| subnet.contains(*ip));
        let router = router.ok_or(DhcpSilence::NoRouter)?;
        let holder = self.guests.iter().find(|(_, other)| other.address == address && other.macs != lock.macs);
        if let Some((holder, _)) = holder {
            return Err(DhcpSilence::Taken(*holder));
        }
        let xen = vif.xen_name().and_then(|name| name.as_str().parse::<VifId>().ok());
        let name = xen.map(|vif| match vif.devid() {
            0 => format!("dom{}", vif.domid()),
            devid => format!("dom{}-{devid}", vif.domid()),
        });
        Ok(DhcpGuest { macs: lock.macs.clone(), address, router, mtu: vif.mtu, name })
    }

    /// The first single address of a lock in the network.
    fn address(&self, lock: &Antispoof) -> Option<(Ipv4Addr, Ipv4Network)> {
        let single = lock.ips.iter().filter_map(ipv4).filter(|net| net.prefix() == 32);
        single.map(|net| net.ip()).find_map(|ip| Some((ip, self.subnet_of(ip)?)))
    }
}

fn ipv4(net: &IpNetwork) -> Option<Ipv4Network> {
    if let IpNetwork::V4(net) = net { Some(*net) } else { None }
}

/// Whether requests for DHCP reach dom0.
fn hears(dom0: &Dom0) -> bool {
    *dom0 == Dom0::Open || dom0.ports().contains(&ASKED_AT)
}

/// Whether a name is the same in everybody's configuration: no list, no pattern.
fn is_plain(name: IfName) -> bool {
    name.as_str().bytes().all(|byte| byte.is_ascii_alphanumeric() || b".-_@+".contains(&byte))
}

/// Whether DHCP can be served to guests of these networks behind an interface of this name, if it has
/// one of its own, and of which dom0 lets this much in.
pub(crate) fn check(nets: &[IpNetwork], bridge: Option<IfName>, dom0: &Dom0) -> Result<()> {
    let refuse = |why: String, advice: &str| Err(Error::invalid(ErrorKind::InvalidArgument, why).with_advice(advice));
    if let Some(six) = nets.iter().map(IpNetwork::ip).find(IpAddr::is_ipv6)
        && !nets.iter().any(IpNetwork::is_ipv4)
    {
        let advice = "leave dhcp=yes out: guests find their IPv6 addresses by router advertisements";
        return refuse(format!("dhcp=yes is for IPv4, and {six} is not"), advice);
    }
    if let Some(bridge) = bridge.filter(|bridge| !is_plain(*bridge)) {
        let advice = "use letters, digits, dots, hyphens and underscores";
        return refuse(format!("dhcp=yes cannot be had on a bridge named {bridge}"), advice);
    }
    if !hears(dom0) {
        let advice = "add dhcp to its services: dom0=services(dhcp,...)";
        return refuse(format!("with dom0={dom0} nobody would hear what guests ask by DHCP"), advice);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::guard::Guard;
    use crate::link::PortState;
    use crate::network::NetworkRecord;
    use crate::table::Table;

    fn name(text: &str) -> IfName {
        text.parse().unwrap()
    }

    fn running(line: &str) -> Snapshot {
        let network: Network = line.parse().unwrap();
        let mut now = Snapshot::default();
        now.networks.insert(network.id().unwrap(), NetworkRecord::new(network, []));
        now
    }

    /// A guest with this lock, on a bridge, or with a gateway of its own.
    fn add(now: &mut Snapshot, vif: &str, bridge: Option<&str>, lock: &str) {
        let mut link = Link::new(now.links.len() as u32 + 1, name(vif));
        link.master = bridge.map(name);
        link.port = bridge.map(|_| PortState::default());
        let guard = Guard::new(link.index, Lock::Locked(lock.parse().unwrap()));
        let table = if bridge.is_some() { &mut now.guards } else { &mut now.ingress };
        table.insert(link.name, guard);
        now.tables.insert(Table::Bridge, 2);
        now.links.insert(link.name, link);
    }

    fn gateway(now: &mut Snapshot, interface: &str, address: &str) {
        now.addresses.entry(name(interface)).or_default().insert(address.parse().unwrap());
    }

    const NAT: &str = "network-nat netdev=eth0 dhcp=yes";

    #[test]
    fn a_routed_guest_is_told_its_own_gateway_and_name() {
        let mut now = running(NAT);
        add(&mut now, "vif3.1", None, "mac=00:16:3e:00:00:01 ip=10.0.3.2 dhcp");
        gateway(&mut now, "vif3.1", "10.0.3.129/32");
        now.links.get_mut(&name("vif3.1")).unwrap().mtu = 9000;
        let service = DhcpService::of(&now, "nat:eth0".parse().unwrap()).unwrap();
        assert_eq!(service.interfaces, [name("vif3.1")].into());
        assert_eq!(service.subnets, ["10.0.0.0/8".parse().unwrap()]);
        let told = &service.guests[&name("vif3.1")];
        assert_eq!((told.address, told.router), ([10, 0, 3, 2].into(), [10, 0, 3, 129].into()));
        assert_eq!((told.mtu, told.name.as_deref()), (9000, Some("dom3-1")));
        assert!(service.silent.is_empty());
    }

    #[test]
    fn guests_of_other_networks_are_not_its_own() {
        let mut now = running("network-nat netdev=eth0 subnet=10.0.0.0/16 dhcp=yes");
        add(&mut now, "vif1.0", None, "mac=00:16:3e:00:00:01 ip=10.1.0.2 dhcp");
        add(&mut now, "vif2.0", Some("xenbr0"), "mac=00:16:3e:00:00:02 ip=10.0.0.2 dhcp");
        let service = DhcpService::of(&now, "nat:eth0".parse().unwrap()).unwrap();
        assert!(service.guests.is_empty() && service.silent.is_empty(), "{service:?}");
    }

    #[test]
    fn a_guest_that_cannot_be_served_is_named_with_the_reason() {
        let mut now = running("network-virtual bridgeip=10.6.7.1/24 dhcp=yes");
        gateway(&mut now, "xenbr0", "10.6.7.1/24");
        for (n, lock) in [
            "mac=00:16:3e:00:00:01 ip=10.6.7.2 dhcp",
            "mac=00:16:3e:00:00:02 ip=10.6.7.3",
            "mac=00:16:3e:00:00:03 ip=10.6.7.64/26 dhcp",
            "mac=00:16:3e:00:00:04 ip=10.6.7.2 dhcp",
        ]
        .iter()
        .enumerate()
        {
            add(&mut now, &format!("vif{}.0", n + 1), Some("xenbr0"), lock);
        }
        // The emulated card of the first, and one without any lock.
        add(&mut now, "vif1.0-emu", Some("xenbr0"), "mac=00:16:3e:00:00:01 ip=10.6.7.2 dhcp");
        add(&mut now, "vif9.0", Some("xenbr0"), "mac=00:16:3e:00:00:09 ip=10.6.7.9 dhcp");
        now.guards.remove(&name("vif9.0"));
        let silent = |now: &Snapshot| {
            let service = DhcpService::of(now, "xenbr0".parse().unwrap()).unwrap();
            assert_eq!(service.interfaces, [name("xenbr0")].into());
            service.silent.into_iter().map(|(vif, why)| (vif.to_string(), why)).collect::<Vec<_>>()
        };
        let wanted = [
            ("vif2.0", DhcpSilence::NotAllowed),
            ("vif3.0", DhcpSilence::NoAddress),
            ("vif4.0", DhcpSilence::Taken(name("vif1.0"))),
            ("vif9.0", DhcpSilence::Unlocked),
        ];
        assert_eq!(silent(&now), wanted.map(|(vif, why)| (vif.to_owned(), why)));
        // Whoever shuts dom0 later shuts them up as well.
        now.dom0.insert(name("xenbr0"), Dom0::Closed);
        assert_eq!(silent(&now)[0], ("vif1.0".to_owned(), DhcpSilence::Unheard));
        now.dom0.insert(name("xenbr0"), "services(dhcp)".parse().unwrap());
        now.addresses.clear();
        assert_eq!(silent(&now)[0], ("vif1.0".to_owned(), DhcpSilence::NoRouter));
    }

    #[test]
    fn lines_that_nobody_could_serve_are_refused() {
        for (line, why) in [
            ("network-virtual dhcp=yes dom0=closed", "nobody would hear"),
            ("network-virtual dhcp=yes dom0=services(dns)", "nobody would hear"),
            ("network-virtual dhcp=yes bridgeip=2001:db8::1/64", "is for IPv4"),
            ("network-virtual dhcp=yes bridge=a,b", "named a,b"),
            ("network-nat dhcp=yes subnet=2001:db8::/64", "is for IPv4"),
        ] {
            let error = line.parse::<Network>().unwrap_err();
            assert!(error.to_string().contains(why) && error.advice().is_some(), "{line}: {error}");
        }
        for line in
            ["network-virtual dhcp=yes dom0=services(dhcp,dns)", "network-virtual dhcp=yes dom0=services(udp:67)"]
        {
            assert!(line.parse::<Network>().unwrap().serves_dhcp(), "{line}");
        }
        let error = DhcpService::of(&running("network-nat netdev=eth0"), "nat:eth0".parse().unwrap()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidArgument);
    }
}
