//! What a bridge is, as Xen hosts use them.

use crate::dom0::Dom0;
use crate::error::{Error, ErrorKind, Result};
use crate::guard::{self, Guard, Hold};
use crate::ifname::IfName;
use crate::link::{BridgeState, Link, LinkSettings, Pinning, PortState};
use crate::mac::MacAddr;
use crate::plan::{Plan, Step};
use crate::snapshot::Snapshot;
use crate::table::Table;
use ipnetwork::IpNetwork;
use serde::{Deserialize, Serialize};

/// An Ethernet bridge: what is wanted of it, not what it is just now.
///
/// Unless asked for, no spanning tree: `stp off`, forward delay 0, so that a guest talks at once
/// (with STP on, the kernel's 15 seconds stay). Unless it gets an IPv6 address, the bridge gives
/// itself none, so that guests do not reach dom0 over a link-local address that nobody knows of.
///
/// ```
/// use xenvnet_core::Bridge;
/// let bridge = Bridge::new("xenbr0".parse()?).address("10.98.98.1/24".parse().unwrap()).mtu(9000);
/// assert!(bridge.validate().is_ok());
/// # Ok::<(), xenvnet_core::Error>(())
/// ```
#[non_exhaustive]
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[doc(alias = "brctl")]
pub struct Bridge {
    /// The interface's name.
    pub name: IfName,
    /// Its MAC address. Without one, a new bridge gets one that is always the same for the same
    /// name on the same host, and a bridge that exists keeps its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mac: Option<MacAddr>,
    /// Its MTU in bytes, 68 to 65,535; without one 1500, or what it has. A bridge that is made here
    /// keeps its MTU whatever its ports have.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mtu: Option<u32>,
    /// Whether it takes part in the spanning tree protocol (IEEE 802.1D).
    #[serde(default)]
    pub stp: bool,
    /// Addresses of dom0 on it, with their prefix lengths. Others that it has stay.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub addresses: Vec<IpNetwork>,
}

impl Bridge {
    /// A bridge of this name with nothing else asked for.
    ///
    /// ```
    /// assert!(!xenvnet_core::Bridge::new("xenbr0".parse()?).stp);
    /// # Ok::<(), xenvnet_core::Error>(())
    /// ```
    pub fn new(name: IfName) -> Bridge {
        Bridge { name, mac: None, mtu: None, stp: false, addresses: Vec::new() }
    }

    /// With this MAC address.
    ///
    /// ```
    /// # use xenvnet_core::{Bridge, MacAddr};
    /// let bridge = Bridge::new("xenbr0".parse()?).mac(MacAddr::new([2, 0, 0, 0, 0, 1]));
    /// assert!(bridge.mac.is_some());
    /// # Ok::<(), xenvnet_core::Error>(())
    /// ```
    pub fn mac(mut self, mac: MacAddr) -> Bridge {
        self.mac = Some(mac);
        self
    }

    /// With this MTU in bytes.
    ///
    /// ```
    /// assert_eq!(xenvnet_core::Bridge::new("xenbr0".parse()?).mtu(9000).mtu, Some(9000));
    /// # Ok::<(), xenvnet_core::Error>(())
    /// ```
    pub fn mtu(mut self, mtu: u32) -> Bridge {
        self.mtu = Some(mtu);
        self
    }

    /// With or without the spanning tree protocol.
    ///
    /// ```
    /// assert!(xenvnet_core::Bridge::new("xenbr0".parse()?).stp(true).stp);
    /// # Ok::<(), xenvnet_core::Error>(())
    /// ```
    pub fn stp(mut self, stp: bool) -> Bridge {
        self.stp = stp;
        self
    }

    /// With one more address of dom0.
    ///
    /// ```
    /// let bridge = xenvnet_core::Bridge::new("xenbr0".parse()?).address("10.6.7.1/24".parse().unwrap());
    /// assert_eq!(bridge.addresses.len(), 1);
    /// # Ok::<(), xenvnet_core::Error>(())
    /// ```
    pub fn address(mut self, address: IpNetwork) -> Bridge {
        self.addresses.push(address);
        self
    }

    /// Whether the values can be meant; every operation asks this first.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidArgument`] for a multicast or zero MAC, an MTU out of range, or an
    /// address that no interface can have.
    ///
    /// ```
    /// # use xenvnet_core::{Bridge, MacAddr};
    /// assert!(Bridge::new("xenbr0".parse()?).mac(MacAddr::new([1, 0, 0, 0, 0, 0])).validate().is_err());
    /// # Ok::<(), xenvnet_core::Error>(())
    /// ```
    pub fn validate(&self) -> Result<()> {
        let refuse = |reason: String| {
            Err(Error::cannot(ErrorKind::InvalidArgument, format!("create bridge {}", self.name), reason))
        };
        match self.mac {
            Some(mac) if !mac.is_unicast() => return refuse(format!("{mac} is no unicast MAC address")),
            _ => {}
        }
        match self.mtu {
            Some(mtu) if !(68..=65_535).contains(&mtu) => {
                return refuse(format!("an MTU of {mtu} bytes is out of the range 68 to 65535"));
            }
            _ => {}
        }
        for address in &self.addresses {
            let ip = address.ip();
            if ip.is_unspecified() || ip.is_multicast() || ip.is_loopback() {
                return refuse(format!("{ip} is no address for an interface"));
            }
            if address.size_is_subnet() && ip == address.network() && ip.is_ipv4() {
                return refuse(format!("{address} is the network itself, not an address in it"));
            }
        }
        Ok(())
    }
}

impl Bridge {
    /// Whether the kernel gives the bridge an IPv6 link-local address: only where dom0 has IPv6
    /// addresses on it anyway.
    fn auto_link_local(&self) -> bool {
        self.addresses.iter().any(|address| address.is_ipv6())
    }

    pub(crate) fn plan_create(&self, now: &Snapshot) -> Result<Plan> {
        self.validate()?;
        let mut plan = Plan::default();
        match now.link(self.name) {
            None => plan.extend([Step::AddBridge {
                bridge: self.name,
                mac: self.mac.unwrap_or_else(|| MacAddr::of_bridge(self.name.as_str(), now.bridge_seed)),
                mtu: self.mtu.unwrap_or(1500),
                state: BridgeState::new(self.stp),
                auto_link_local: self.auto_link_local(),
            }]),
            Some(link) => {
                let Some(from) = link.bridge else {
                    return Err(Error::cannot(
                        ErrorKind::AlreadyExists,
                        format!("create bridge {}", self.name),
                        "an interface of that name is there already, and it is no bridge",
                    ));
                };
                // A delay that somebody chose for a bridge with STP is theirs to choose.
                let to = BridgeState::new(self.stp);
                if from.stp != to.stp || (!to.stp && from.forward_delay != to.forward_delay) {
                    plan.extend([Step::SetBridge { bridge: self.name, from, to }]);
                }
                let wanted = LinkSettings { mac: self.mac, mtu: self.mtu, ..LinkSettings::default() };
                plan.extend(wanted.difference(link).map(|(from, to)| Step::SetLink { link: self.name, from, to }));
            }
        }
        // Up before its addresses, so that on the way back the addresses go before it is down: the
        // kernel drops IPv6 addresses of a link that goes down by itself.
        if !now.link(self.name).is_some_and(|link| link.up) {
            plan.extend([Step::Up { link: self.name }]);
        }
        let have = now.addresses.get(&self.name);
        let mut seen = std::collections::BTreeSet::new();
        for address in self.addresses.iter().copied() {
            if seen.insert(address) && !have.is_some_and(|have| have.contains(&address)) {
                plan.extend([Step::AddAddress { link: self.name, address }]);
            }
        }
        Ok(plan)
    }
}

/// Deletes a bridge that no network runs on.
pub(crate) fn plan_delete_idle(bridge: IfName, now: &Snapshot) -> Result<Plan> {
    match now.network_on(bridge) {
        None => plan_delete(bridge, now),
        Some(record) => Err(Error::cannot(
            ErrorKind::Conflict,
            format!("delete bridge {bridge}"),
            format!("a network runs on it: {}", record.network),
        )
        .with_advice(format!("stop the network: xenvnet network stop '{}'", record.network))),
    }
}

/// Deletes a bridge. Its ports are released first, guests' interfaces are taken down before: off
/// the bridge, its filter no longer sees their frames.
pub(crate) fn plan_delete(bridge: IfName, now: &Snapshot) -> Result<Plan> {
    let what = || format!("delete bridge {bridge}");
    let Some(link) = now.link(bridge) else { return Ok(Plan::default()) };
    let Some(state) = link.bridge else {
        return Err(Error::cannot(ErrorKind::InvalidArgument, what(), format!("{bridge} is no bridge")));
    };
    let mut plan = Plan::default();
    for port in now.ports_of(bridge) {
        plan.extend(steps_set_free(port, bridge, now));
    }
    for subnet in now.routes.get(&bridge).into_iter().flatten().copied() {
        plan.extend([now.step_unroute(bridge, subnet)]);
    }
    for address in now.addresses.get(&bridge).into_iter().flatten().copied() {
        plan.extend([Step::DeleteAddress { link: bridge, address }]);
    }
    if link.up {
        plan.extend([Step::Down { link: bridge }]);
    }
    plan.extend([Step::DeleteBridge {
        bridge,
        mac: link.mac.unwrap_or(MacAddr::new([0; 6])),
        mtu: link.mtu,
        state,
        auto_link_local: link.auto_link_local.unwrap_or(false),
    }]);
    // What its guests reached on dom0 is not for the next bridge of that name.
    Ok(plan.then(Dom0::forget(bridge, now)).once_ready())
}

/// Makes an interface a port. A locked one gets its port flags and its fixed addresses with it,
/// and is down while it moves.
pub(crate) fn plan_enslave(port: IfName, bridge: IfName, now: &Snapshot) -> Result<Plan> {
    let what = || format!("enslave {port} to {bridge}");
    now.expect_bridge(bridge, what)?;
    let link = now.expect_link(port, what)?;
    let lock = now.guard_at(Table::Bridge, port).map(|guard| &guard.lock);
    if lock.is_none() && now.guard_at(Table::Netdev, port).is_some() {
        return Err(Error::cannot(ErrorKind::Conflict, what(), format!("{port} is held as a routed interface"))
            .with_advice(format!("detach it first: xenvnet vif detach {port}")));
    }
    let twin = link.xen_name().and_then(|xen_name| now.twin_of_xen(xen_name, bridge));
    let paired = lock.is_some() && (twin.is_some() || link.xen_name().is_some_and(IfName::is_emulated));
    let hold = Hold { guarded: lock.is_some(), isolated: false, paired, stp: false, guest: lock.is_some() };
    let macs = lock.map(|lock| lock.macs()).unwrap_or_default();
    let Some(enslave) = step_enslave(link, bridge, hold, macs, now, what)? else { return Ok(Plan::default()) };
    let Step::Enslave { state, .. } = &enslave else { return Ok(Plan::from_iter([enslave])) };
    let state = *state;
    let mut plan = Plan::default();
    let pause = link.up && lock.is_some();
    if pause {
        plan.extend([Step::Down { link: port }]);
    }
    plan.extend([enslave]);
    if let Some(lock) = lock {
        // A pair is held at ingress too; one alone is not, as soon as its port holds it.
        let guard = now.guard_at(Table::Netdev, port);
        let to = paired.then(|| Guard::of(link, lock));
        plan.extend(guard::step_guard(Table::Netdev, port, guard, to.as_ref(), now));
        plan.extend(guard::step_hook(port, paired, now));
        plan.extend([Step::Check { link: port, group: link.group, bridge: Some(bridge), state }]);
    }
    if pause {
        plan.extend([Step::Up { link: port }]);
    }
    Ok(plan)
}

/// The step that enslaves, or nothing when it is so already.
pub(crate) fn step_enslave(
    link: &Link,
    bridge: IfName,
    hold: Hold,
    macs: &[MacAddr],
    now: &Snapshot,
    what: impl Fn() -> String,
) -> Result<Option<Step>> {
    match link.master {
        Some(master) if master == bridge => return Ok(None),
        Some(master) => {
            return Err(Error::cannot(ErrorKind::Conflict, what(), format!("{} is a port of {master}", link.name))
                .with_advice(format!("release it first: xenvnet bridge release {}", link.name)));
        }
        None => {}
    }
    if link.is_bridge() {
        return Err(Error::cannot(ErrorKind::InvalidArgument, what(), format!("{} is a bridge itself", link.name)));
    }
    let stp = now.link(bridge).and_then(|bridge| bridge.bridge).is_some_and(|bridge| bridge.stp);
    let state = Hold { stp, ..hold }.state(PortState::default());
    let macs = if hold.is_pinned() { macs.to_vec() } else { Vec::new() };
    Ok(Some(Step::Enslave { port: link.name, bridge, state, macs, pinning: Pinning::default() }))
}

/// Takes an interface off whatever bridge it is on.
pub(crate) fn plan_release(port: IfName, now: &Snapshot) -> Result<Plan> {
    let link = now.expect_link(port, || format!("release {port}"))?;
    let Some(bridge) = link.master else { return Ok(Plan::default()) };
    now.expect_bridge(bridge, || format!("release {port} from {bridge}"))?;
    Ok(Plan::from_iter(steps_set_free(link, bridge, now)))
}

pub(crate) fn steps_release(link: &Link, bridge: IfName, now: &Snapshot) -> Vec<Step> {
    let guard = now.guard_of(link.name);
    // A port that learns has nothing pinned to it.
    let pinned = now.guard_at(Table::Bridge, link.name).filter(|_| link.port.is_some_and(|port| !port.learning));
    let down = (link.up && (link.is_vif() || guard.is_some())).then_some(Step::Down { link: link.name });
    let release = Step::Release {
        port: link.name,
        bridge,
        state: link.port.unwrap_or_default(),
        macs: pinned.map(|guard| guard.lock.macs().to_vec()).unwrap_or_default(),
        pinning: Pinning::default(),
    };
    down.into_iter().chain([release]).collect()
}

/// Takes a port off that keeps its lock. Off the bridge, the bridge's filter sees its frames no more:
/// should somebody set it up, its group holds it back in the inet table.
fn steps_set_free(link: &Link, bridge: IfName, now: &Snapshot) -> Vec<Step> {
    let ready = now.guard_of(link.name).and_then(|_| now.step_ready(Table::Inet));
    ready.into_iter().chain(steps_release(link, bridge, now)).collect()
}

/// Whether a network has room for more than point-to-point pairs, so that its first address is
/// the network's own (RFC 3021 excepts /31).
trait IsSubnet {
    fn size_is_subnet(&self) -> bool;
}

impl IsSubnet for IpNetwork {
    fn size_is_subnet(&self) -> bool {
        match self {
            IpNetwork::V4(net) => net.prefix() < 31,
            IpNetwork::V6(net) => net.prefix() < 127,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_no_interface_can_have_is_refused() {
        let bridge = || Bridge::new("xenbr0".parse().unwrap());
        for address in ["10.0.0.0/24", "0.0.0.0/0", "224.0.0.1/32", "127.0.0.1/8", "::/0", "ff02::1/128"] {
            assert!(bridge().address(address.parse().unwrap()).validate().is_err(), "{address}");
        }
        for address in ["10.0.0.1/24", "10.0.0.0/31", "10.0.0.0/32", "2001:db8::/64", "fe80::1/64"] {
            assert!(bridge().address(address.parse().unwrap()).validate().is_ok(), "{address}");
        }
        assert_eq!(
            bridge().mtu(67).validate().unwrap_err().to_string(),
            "cannot create bridge xenbr0: an MTU of 67 bytes is out of the range 68 to 65535"
        );
    }
}
