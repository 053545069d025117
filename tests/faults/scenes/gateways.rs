//! Dom0 as its guests' gateway: masquerading, ports that lead to guests, what guests reach on dom0.

use super::{bridge_by_ip, name};
use crate::stage::{Deed, Scene, Stage};
use xenvnet_core::{Forward, Masquerade, Operation};
use xenvnet_tests::{Dom0, ip};

pub(super) const SCENES: &[Scene] = &[
    Scene { name: "masquerade add, the first of all", stage: masquerade_first },
    Scene { name: "masquerade add, one more", stage: masquerade_more },
    Scene { name: "masquerade remove", stage: unmasquerade },
    Scene { name: "forward add, the first of all", stage: forward_first },
    Scene { name: "forward add, one more", stage: forward_more },
    Scene { name: "forward remove", stage: unforward },
    Scene { name: "dom0 set, the first of all", stage: dom0_first },
    Scene { name: "dom0 set, changed", stage: dom0_changed },
    Scene { name: "dom0 set, open again", stage: dom0_open },
];

fn masquerade(subnet: &str) -> Masquerade {
    Masquerade::new(subnet.parse().expect("a subnet")).uplink(name("peth0"))
}

fn forward(text: &str) -> Forward {
    text.parse().expect("a forward")
}

/// A host with an uplink and a bridge, where these were done before.
fn gateway(before: &[Operation], deed: Operation) -> Option<Stage> {
    let dom0 = Dom0::enter()?;
    let cable = dom0.cable("peth0", "02:00:00:00:00:09");
    ip("addr add 192.0.2.1/24 dev peth0");
    bridge_by_ip("xenbr0");
    ip("addr add 10.98.98.1/24 dev xenbr0");
    dom0.host.run_all(before).expect("what was before").is_changed();
    Some(Stage::of(dom0, Deed::Run(vec![deed])).with(cable))
}

fn masquerade_first() -> Option<Stage> {
    gateway(&[], Operation::MasqueradeSubnet(masquerade("10.98.98.0/24")))
}

fn masquerade_more() -> Option<Stage> {
    let first = Operation::MasqueradeSubnet(masquerade("10.98.98.0/24"));
    gateway(&[first], Operation::MasqueradeSubnet(masquerade("2001:db8:98::/64")))
}

fn unmasquerade() -> Option<Stage> {
    let first = Operation::MasqueradeSubnet(masquerade("10.98.98.0/24"));
    gateway(&[first], Operation::UnmasqueradeSubnet(masquerade("10.98.98.0/24")))
}

fn forward_first() -> Option<Stage> {
    gateway(&[], Operation::ForwardPort(forward("tcp:8080 to 10.98.98.2:80")))
}

fn forward_more() -> Option<Stage> {
    let first = Operation::ForwardPort(forward("tcp:8080 to 10.98.98.2:80"));
    gateway(&[first], Operation::ForwardPort(forward("udp:53 to [2001:db8:98::2]:53")))
}

fn unforward() -> Option<Stage> {
    let both =
        ["tcp:8080 to 10.98.98.2:80", "tcp:8080 to [2001:db8:98::2]:80"].map(forward).map(Operation::ForwardPort);
    gateway(&both, Operation::UnforwardPort { port: "tcp:8080".parse().expect("a port") })
}

fn access(words: &str) -> Operation {
    Operation::SetDom0 { interface: name("xenbr0"), access: words.parse().expect("an access") }
}

fn dom0_first() -> Option<Stage> {
    gateway(&[], access("services(dhcp,dns)"))
}

fn dom0_changed() -> Option<Stage> {
    gateway(&[access("services(dhcp,dns)")], access("services(dhcp,icmp,tcp:22)"))
}

fn dom0_open() -> Option<Stage> {
    gateway(&[access("services(dhcp,dns)")], access("open"))
}
