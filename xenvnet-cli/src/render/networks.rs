//! Networks of the whole host, and what dom0 does for them: masquerades, forwards, forwarding.

use super::columns::{Cell, join, or_dash, table};
use crate::output::{BOLD, paint};
use xenvnet_core::{IfName, Network, NetworkRecord, Snapshot, Sysctl};

pub(crate) fn networks(snapshot: &Snapshot) -> Option<String> {
    let row = |(id, record): (&_, &NetworkRecord)| {
        let NetworkRecord { network, before, .. } = record;
        vec![
            ToString::to_string(id).into(),
            mode(network).into(),
            or_dash(join(network.bridge())),
            or_dash(join(network.cards())),
            or_dash(join(before.iter().map(|(sysctl, value)| format!("{sysctl}={value}")))),
            Cell::from(network.to_string()),
        ]
    };
    let rows: Vec<_> = snapshot.networks.iter().map(row).collect();
    (!rows.is_empty()).then(|| table(&["NETWORK", "MODE", "BRIDGE", "UPLINK", "FOUND", "LINE"], rows))
}

fn mode(network: &Network) -> &'static str {
    match network {
        Network::Nothing => "nothing",
        Network::Brouter(_) => "brouter",
        Network::Bridge(bridged) if bridged.bridge.is_none() => "shadow",
        Network::Bridge(_) => "bridge",
        Network::Shadow(_) => "shadow",
        Network::Route(_) => "route",
        Network::Nat(_) => "nat",
        Network::Additional(_) => "additional",
        _ => "other",
    }
}

/// Whether a network leads outside by it.
pub(super) fn is_card(snapshot: &Snapshot, name: IfName) -> bool {
    snapshot.networks.values().flat_map(|record| record.network.cards()).any(|card| card == name)
}

pub(super) fn masquerades(snapshot: &Snapshot) -> Option<String> {
    let row = |rule: &xenvnet_core::Masquerade| {
        let uplink = rule.uplink.map_or("any".to_owned(), |uplink| uplink.to_string());
        let towards = if rule.everywhere { "everywhere" } else { "other subnets" };
        vec![rule.subnet.to_string().into(), uplink.into(), towards.into()]
    };
    let rows: Vec<_> = snapshot.masquerades.iter().map(row).collect();
    (!rows.is_empty()).then(|| table(&["SUBNET", "UPLINK", "TOWARDS"], rows))
}

pub(crate) fn forwards(snapshot: &Snapshot) -> Option<String> {
    let row = |forward: &xenvnet_core::Forward| {
        vec![forward.port.to_string().into(), forward.to.to_string().into(), or_dash(join(forward.behind))]
    };
    let rows: Vec<_> = snapshot.forwards.iter().map(row).collect();
    (!rows.is_empty()).then(|| table(&["PORT", "LEADS TO", "BEHIND"], rows))
}

pub(super) fn forwarding(snapshot: &Snapshot) -> Option<String> {
    let one = |sysctl, name| {
        let value = snapshot.sysctls.get(&sysctl)?;
        Some(format!("{name} {}", if *value == 0 { "off" } else { "on" }))
    };
    let all: Vec<_> =
        [one(Sysctl::Ip4Forward, "IPv4"), one(Sysctl::Ip6Forward, "IPv6")].into_iter().flatten().collect();
    (!all.is_empty()).then(|| format!("{}  {}\n", paint(BOLD, "Forwarding"), all.join(", ")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use xenvnet_core::{Forward, Masquerade};

    fn snapshot() -> Snapshot {
        let mut now = Snapshot::default();
        for line in [
            "network-virtual bridgeip=10.98.98.1/24 brnet=10.98.98.0/24",
            "network-bridge bridge=xenbr1 netdev=eth1",
            "network-bridge netdev=eth2",
            "network-bridge bridge=xenbr3 netdev=dummy0",
            "bridge-shadow eth3",
            "network-route netdev=eth4 ipv6=no",
            "network-nat netdev=eth5",
            "network-bridge-additional bridge=xenbr1 netdev=vif0.6",
        ] {
            let network: Network = line.parse().unwrap();
            let before = match &network {
                Network::Route(_) => vec![(Sysctl::Ip4Forward, 0), (Sysctl::Ip6Forward, 1)],
                _ => Vec::new(),
            };
            now.networks.insert(network.id().unwrap(), NetworkRecord::new(network, before));
        }
        now
    }

    #[test]
    fn networks_of_all_modes_read_like_this() {
        let text = networks(&snapshot()).unwrap();
        insta::assert_snapshot!(anstream::adapter::strip_str(&text));
    }

    #[test]
    fn a_card_is_known_by_the_name_that_it_has_meanwhile() {
        let now = snapshot();
        for (name, leads_outside) in
            [("eth1", true), ("peth2", true), ("eth2", false), ("seth3", true), ("eth9", false)]
        {
            assert_eq!(is_card(&now, name.parse().unwrap()), leads_outside, "{name}");
        }
    }

    #[test]
    fn masquerades_and_forwards_read_like_this() {
        let mut now = Snapshot::default();
        now.masquerades.insert(Masquerade::new("10.98.98.0/24".parse().unwrap()));
        let wide = Masquerade::new("10.0.0.0/8".parse().unwrap()).uplink("eth0".parse().unwrap()).everywhere(true);
        now.masquerades.insert(wide);
        now.forwards.insert("tcp:8080 to 10.98.98.2:80 behind xenbr0".parse::<Forward>().unwrap());
        now.forwards.insert("udp:53 to [2001:db8::2]:53".parse().unwrap());
        let text = masquerades(&now).unwrap() + &forwards(&now).unwrap();
        insta::assert_snapshot!(anstream::adapter::strip_str(&text), @r"
          SUBNET         UPLINK  TOWARDS
          10.0.0.0/8     eth0    everywhere
          10.98.98.0/24  any     other subnets
          PORT      LEADS TO          BEHIND
          tcp:8080  10.98.98.2:80     xenbr0
          udp:53    [2001:db8::2]:53  -
        ");
    }
}
