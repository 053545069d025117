//! Bridges and their ports.

use super::{bridge_by_ip, name};
use crate::stage::{Deed, Scene, Stage};
use xenvnet_core::{Attachment, Bridge, Operation};
use xenvnet_tests::{Dom0, Liar, ip};

pub(super) const SCENES: &[Scene] = &[
    Scene { name: "bridge create", stage: create },
    Scene { name: "bridge change", stage: change },
    Scene { name: "bridge delete with a guest on it", stage: delete },
    Scene { name: "bridge enslave", stage: enslave },
    Scene { name: "bridge release a locked guest", stage: release },
];

fn bridge() -> Bridge {
    Bridge::new(name("xenbr0")).address("10.98.98.1/24".parse().expect("an address"))
}

fn create() -> Option<Stage> {
    Some(Stage::of(Dom0::enter()?, Deed::Run(vec![Operation::CreateBridge(bridge().mtu(9000).stp(true))])))
}

fn change() -> Option<Stage> {
    let dom0 = Dom0::enter()?;
    bridge_by_ip("xenbr0");
    ip("addr add 10.98.97.1/24 dev xenbr0");
    let other = bridge().mtu(1400).address("2001:db8:98::1/64".parse().expect("an address"));
    Some(Stage::of(dom0, Deed::Run(vec![Operation::CreateBridge(other)])))
}

fn delete() -> Option<Stage> {
    let dom0 = Dom0::enter()?;
    dom0.host.create_bridge(&bridge()).expect("a bridge").is_changed();
    let guest = dom0.guest("vif1.0", &Liar::MAC.to_string());
    let attachment = Attachment::bridged(guest.name, name("xenbr0"), Liar::lock());
    dom0.host.attach_vif(&attachment).expect("a guest").is_changed();
    guest.wait_for_carrier();
    let deed = Deed::Run(vec![Operation::DeleteBridge { bridge: name("xenbr0") }]);
    Some(Stage::of(dom0, deed).with(guest))
}

fn enslave() -> Option<Stage> {
    let dom0 = Dom0::enter()?;
    bridge_by_ip("xenbr0");
    let guest = dom0.guest("vif1.0", &Liar::MAC.to_string());
    let deed = Deed::Run(vec![Operation::EnslaveVif { vif: guest.name, bridge: name("xenbr0") }]);
    Some(Stage::of(dom0, deed).with(guest))
}

fn release() -> Option<Stage> {
    let dom0 = Dom0::enter()?;
    bridge_by_ip("xenbr0");
    let guest = dom0.guest("vif1.0", &Liar::MAC.to_string());
    let attachment = Attachment::bridged(guest.name, name("xenbr0"), Liar::lock());
    dom0.host.attach_vif(&attachment).expect("a guest").is_changed();
    let deed = Deed::Run(vec![Operation::ReleaseVif { vif: guest.name }]);
    Some(Stage::of(dom0, deed).with(guest))
}
