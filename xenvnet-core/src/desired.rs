//! What a host is to be like again after a reboot: the operations that bring its networks about.

use crate::bridge::Bridge;
use crate::dom0::Dom0;
use crate::forward::Forward;
use crate::ifname::IfName;
use crate::link::Link;
use crate::mac::MacAddr;
use crate::masquerade::Masquerade;
use crate::network::Network;
use crate::operation::Operation;
use crate::snapshot::Snapshot;
use crate::vif::VifId;
use std::collections::BTreeSet;

impl Snapshot {
    /// What would bring this host's networks about from nothing, in the order in which it can be done:
    /// bridges that this library made beside networks, networks that run, subnets that are masqueraded
    /// and ports that are forwarded beside networks, and what guests reach on dom0 where it is not
    /// what their network's line says. Pure: no privilege needed.
    ///
    /// Of guests there is nothing: their interfaces do not outlive a reboot, and the toolstack attaches
    /// them again. What cannot be told from somebody else's, or not at all, is not there either:
    /// bridges that were made with a MAC address of the caller's (the others are known by the address
    /// that this host gives to that name; of a snapshot that was read from JSON nobody knows it),
    /// ports that were enslaved to bridges without a network, what was taken away from a network that
    /// runs, and, of a port that is forwarded to a guest dom0 routes to, the guest's interface: it is
    /// looked for anew.
    ///
    /// ```
    /// use xenvnet_core::{Bridge, Operation, Snapshot};
    /// let nothing = Snapshot::default();
    /// let create = Operation::CreateBridge(Bridge::new("xenbr0".parse()?));
    /// let host = nothing.after(&create.plan(&nothing)?);
    /// assert_eq!(host.operations()[0].verb(), "create_bridge");
    /// # Ok::<(), xenvnet_core::Error>(())
    /// ```
    pub fn operations(&self) -> Vec<Operation> {
        let networks = self.networks_in_order();
        let of_networks: BTreeSet<IfName> = networks.iter().filter_map(|network| network.bridge()).collect();
        let bridges = self.bridges().filter(|link| !of_networks.contains(&link.name) && self.is_ours(link));
        let bridges = bridges.filter_map(|link| self.bridge_of(link)).map(Operation::CreateBridge);
        let masqueraded: BTreeSet<Masquerade> = networks.iter().flat_map(|network| network.masquerades()).collect();
        let masquerades = self.masquerades.difference(&masqueraded).cloned().map(Operation::MasqueradeSubnet);
        let forwards = self.forwards.iter().map(|forward| {
            let behind = forward.behind.filter(|name| !self.is_guests(*name));
            Operation::ForwardPort(Forward { behind, ..forward.clone() })
        });
        let dom0 = self.dom0_beside(&networks).into_iter();
        let dom0 = dom0.map(|(interface, access)| Operation::SetDom0 { interface, access });
        let starts = networks.iter().map(|network| Operation::StartNetwork((*network).clone()));
        bridges.chain(starts).chain(masquerades).chain(forwards).chain(dom0).collect()
    }

    /// Networks that run, each after those that it stands on: one whose uplink is another's bridge, and
    /// a port that is added to one.
    fn networks_in_order(&self) -> Vec<&Network> {
        let mut left: Vec<&Network> = self.networks.values().map(|record| &record.network).collect();
        let mut ordered = Vec::new();
        while !left.is_empty() {
            let stands_on = |network: &Network, other: &Network| {
                let bridge = other.bridge().filter(|_| !matches!(other, Network::Additional(_)));
                let needed = match network {
                    Network::Additional(additional) => vec![additional.bridge],
                    Network::Brouter(brouter) => brouter.uplink.into_iter().collect(),
                    other => other.uplinks(),
                };
                network != other && bridge.is_some_and(|bridge| needed.contains(&bridge))
            };
            let is_ready = |network: &Network| !left.iter().any(|other| stands_on(network, other));
            let (ready, rest): (Vec<_>, Vec<_>) = left.iter().partition(|network| is_ready(network));
            // Two that stand on each other did not start in any order.
            let stuck = ready.is_empty();
            ordered.extend(if stuck { &rest } else { &ready });
            left = if stuck { Vec::new() } else { rest };
        }
        ordered
    }

    /// Whether a bridge has the address that this library gives it here.
    fn is_ours(&self, link: &Link) -> bool {
        link.mac == Some(MacAddr::of_bridge(link.name.as_str(), self.bridge_seed))
    }

    fn bridge_of(&self, link: &Link) -> Option<Bridge> {
        let addresses = self.addresses.get(&link.name).into_iter().flatten();
        let bridge = Bridge::new(link.name).mtu(link.mtu).stp(link.bridge?.stp);
        Some(addresses.fold(bridge, |bridge, address| bridge.address(*address)))
    }

    /// What guests reach on dom0, where the lines of their networks say something else.
    fn dom0_beside(&self, networks: &[&Network]) -> Vec<(IfName, Dom0)> {
        let said = networks.iter().filter_map(|network| match network {
            Network::Brouter(brouter) => Some((brouter.bridge, brouter.dom0.clone())),
            _ => None,
        });
        let said: Vec<_> = said.collect();
        let now = |name: IfName| self.dom0.get(&name).cloned().unwrap_or_default();
        let changed = said.iter().map(|(name, access)| (*name, now(*name), access));
        let changed = changed.filter(|(_, now, said)| now != *said).map(|(name, now, _)| (name, now));
        let others = self.dom0.iter().filter(|(name, _)| !said.iter().any(|(of, _)| of == *name));
        let others = others.filter(|(name, _)| !self.is_guests(**name)).map(|(name, now)| (*name, now.clone()));
        changed.chain(others).collect()
    }

    /// Whether a name is that of a guest's interface, which may be gone.
    fn is_guests(&self, name: IfName) -> bool {
        let held = self.guards.contains_key(&name) || self.ingress.contains_key(&name);
        held || name.as_str().parse::<VifId>().is_ok() || self.vifs().any(|link| link.name == name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::operation::tests::{operations, uplinked};
    use crate::plan::Plan;
    use proptest::prelude::*;

    fn lines(snapshot: &Snapshot) -> Vec<String> {
        let line = |operation: &Operation| match operation {
            Operation::StartNetwork(network) => network.to_string(),
            other => other.to_string(),
        };
        snapshot.operations().iter().map(line).collect()
    }

    fn running(lines: &[&str]) -> Snapshot {
        let records = lines.iter().map(|line| crate::NetworkRecord::new(line.parse().unwrap(), []));
        let networks = records.map(|record| (record.network.id().unwrap(), record)).collect();
        Snapshot { networks, ..Snapshot::default() }
    }

    #[test]
    fn a_network_comes_after_what_it_stands_on() {
        let nat = "network-nat netdev=zbr";
        let all = ["network-bridge-additional netdev=eth1 bridge=zbr", nat, "network-bridge bridge=zbr netdev=eth0"];
        let found = lines(&running(&all));
        assert_eq!(found[0], all[2]);
        assert_eq!(found.len(), 3);
        let brouter = "network-virtual bridge=abr bridgeip=10.1.0.1/24 uplink=zbr";
        let found = lines(&running(&[brouter, all[2]]));
        assert!(found[0] == all[2] && found[1].contains("bridge=abr"), "{found:?}");
    }

    #[test]
    fn networks_in_a_circle_are_all_told() {
        let all = ["network-virtual bridge=abr uplink=bbr", "network-virtual bridge=bbr uplink=abr"];
        assert_eq!(lines(&running(&all)).len(), 2);
    }

    #[test]
    fn what_a_line_says_of_dom0_is_not_said_twice() {
        let mut host = running(&["network-virtual bridge=xenbr0 dom0=closed"]);
        host.dom0.insert("xenbr0".parse().unwrap(), Dom0::Closed);
        host.dom0.insert("vif3.0".parse().unwrap(), Dom0::Closed);
        assert_eq!(host.operations().len(), 1);
        host.dom0.insert("docker0".parse().unwrap(), Dom0::Closed);
        assert!(lines(&host)[1].contains("docker0"));
        host.dom0.remove(&"xenbr0".parse::<IfName>().unwrap());
        assert!(
            host.operations()
                .contains(&Operation::SetDom0 { interface: "xenbr0".parse().unwrap(), access: Dom0::Open })
        );
    }

    #[test]
    fn bridges_of_others_are_left_to_them() {
        let mut host = Snapshot::default();
        for name in ["xenbr0", "docker0"] {
            let create = Operation::CreateBridge(Bridge::new(name.parse().unwrap()));
            host = host.after(&create.plan(&host).unwrap());
        }
        host.links.get_mut(&"docker0".parse().unwrap()).unwrap().mac = Some(MacAddr::new([2, 0x42, 0, 0, 0, 1]));
        assert_eq!(lines(&host), ["create bridge xenbr0"]);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(500))]
        /// What stands is nothing to do, and what is brought about from nothing is told the same.
        #[test]
        fn what_is_told_stands_and_can_be_brought_about(past in proptest::collection::vec(operations(), 0..8)) {
            let nothing = uplinked();
            // What was taken away from a network that runs is not told.
            let past = past.iter().filter(|operation| !matches!(operation, Operation::UnmasqueradeSubnet(_)));
            let host = past.fold(nothing.clone(), |now, operation| match operation.plan(&now) {
                Ok(plan) => now.after(&plan),
                Err(_) => now,
            });
            // A port that was forwarded before there was a way to its guest finds it by now.
            // And what leaves by a port of a bridge, which nothing leaves by, is refused.
            let Ok(first) = Operation::plan_all(&host.operations(), &host) else { return Ok(()) };
            let host = host.after(&first);
            let told = host.operations();
            let again = Operation::plan_all(&told, &host);
            prop_assert!(again.as_ref().is_ok_and(Plan::is_empty), "{:?}\n{:?}", told, again);
            let plan = Operation::plan_all(&told, &nothing);
            prop_assert!(plan.is_ok(), "{:?}\n{:?}", told, plan);
            prop_assert_eq!(nothing.after(&plan.unwrap()).operations(), told);
        }
    }
}
