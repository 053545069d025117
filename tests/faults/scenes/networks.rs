//! Networks of every mode start, and stop with a guest in them.

use super::name;
use crate::stage::{Deed, Scene, Stage};
use xenvnet_core::{Attachment, Network, Operation};
use xenvnet_tests::{Liar, Site, ip};

macro_rules! networks {
    ($($name:literal: $line:literal;)*) => {
        pub(super) const SCENES: &[Scene] = &[$(
            Scene { name: concat!("network start, ", $name), stage: || start($line) },
            Scene { name: concat!("network stop, ", $name), stage: || stop($line) },
        )*];
    };
}

networks! {
    "a brouter": "network-virtual bridgeip=10.98.98.1/24 antispoof=yes";
    "a bridge": "network-bridge bridge=xenbr0 netdev=eth0 antispoof=yes";
    "a bridge by the uplink's name": "network-bridge netdev=eth0";
    "a bridge without an uplink": "network-bridge vifnum=1 netdev=dummy0";
    "a shadow": "bridge-shadow eth0";
    "an additional bridge": "network-bridge-additional bridge=br0 netdev=eth1";
    "routed": "network-route netdev=eth0 ipv6=yes";
    "NAT": "network-nat netdev=eth0 subnet=10.0.0.0/8,fd00:5::/64";
}

fn network(line: &str) -> Network {
    line.parse().expect("a network")
}

/// A host with an uplink, and another card without addresses beside a bridge of somebody else's.
fn host() -> Option<Site> {
    let site = Site::plain()?;
    super::bridge_by_ip("br0");
    ip("link add eth1 type veth peer name far1");
    for end in ["eth1", "far1"] {
        ip(&format!("link set {end} addrgenmode none"));
        ip(&format!("link set {end} up"));
    }
    Some(site)
}

fn on(site: Site, deed: Deed) -> Stage {
    let Site { dom0, gateway, far, .. } = site;
    Stage::of(dom0, deed).with((gateway, far))
}

fn start(line: &str) -> Option<Stage> {
    Some(on(host()?, Deed::Run(vec![Operation::StartNetwork(network(line))])))
}

fn stop(line: &str) -> Option<Stage> {
    let site = host()?;
    let host = &site.dom0.host;
    host.start_network(&network(line)).expect("it starts").is_changed();
    let guest = site.dom0.guest("vif1.0", &Liar::MAC.to_string());
    let runs = host.snapshot().expect("the host");
    let attachment = match runs.networks.values().find_map(|record| record.network.bridge()) {
        Some(bridge) => Attachment::bridged(guest.name, bridge, Liar::lock()),
        None => Attachment::routed(name("vif1.0"), Liar::lock()),
    };
    host.attach_vif(&attachment).expect("a guest").is_changed();
    guest.wait_for_carrier();
    Some(on(site, Deed::Run(vec![Operation::StopNetwork(network(line))])).with(guest))
}
