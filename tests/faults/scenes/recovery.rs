//! What mends and what puts back, itself cut off.

use super::name;
use crate::stage::{Deed, Scene, Stage};
use xenvnet_core::{Attachment, Network, Operation};
use xenvnet_tests::{Dom0, Liar, Site, ip, nft};

pub(super) const SCENES: &[Scene] = &[
    Scene { name: "repair after a flush", stage: repair_flush },
    Scene { name: "repair of a port", stage: repair_port },
    Scene { name: "undo an attach", stage: undo_attach },
    Scene { name: "undo a detach", stage: undo_detach },
    Scene { name: "undo a bridge deleted", stage: undo_delete },
    Scene { name: "undo a network started", stage: undo_start },
    Scene { name: "undo a network stopped", stage: undo_stop },
];

fn bridged() -> Attachment {
    Attachment::bridged(name("vif1.0"), name("xenbr0"), Liar::lock())
}

/// A brouter with a guest on it and one that is routed.
fn inhabited(damage: fn()) -> Option<Stage> {
    let dom0 = Dom0::enter()?;
    let line: Network = "network-virtual bridgeip=10.98.98.1/24 antispoof=yes".parse().expect("a network");
    dom0.host.start_network(&line).expect("it starts").is_changed();
    let guests = [("vif1.0", Liar::MAC), ("vif3.0", "00:16:3e:00:00:03".parse().expect("a MAC address"))]
        .map(|(vif, mac)| dom0.guest(vif, &mac.to_string()));
    dom0.host.attach_vif(&bridged().accounted(true)).expect("a guest").is_changed();
    let other = xenvnet_core::Antispoof::new(guests[1].mac).ip("10.1.0.3".parse().expect("an address"));
    dom0.host.attach_vif(&Attachment::routed(guests[1].name, other)).expect("a guest").is_changed();
    guests.iter().for_each(xenvnet_tests::FakeVif::wait_for_carrier);
    Some(Stage::of(dom0, Deed::Repair(damage)).with(guests))
}

fn repair_flush() -> Option<Stage> {
    inhabited(|| drop(nft("flush ruleset")))
}

fn repair_port() -> Option<Stage> {
    inhabited(|| {
        ip("link set vif1.0 type bridge_slave locked off learning on");
        ip("link set vif1.0 group default");
    })
}

/// A guest that lies while what was done with it is undone.
fn lying(attached: bool, done: Operation) -> Option<Stage> {
    let dom0 = Dom0::enter()?;
    let liar = Liar::bridged(&dom0, "vif1.0");
    if attached {
        dom0.host.attach_vif(&bridged()).expect("it is attached").is_changed();
    }
    Some(Stage::of(dom0, Deed::Undo(vec![done])).told_by(liar))
}

fn undo_attach() -> Option<Stage> {
    lying(false, Operation::AttachVif(bridged()))
}

fn undo_detach() -> Option<Stage> {
    lying(true, Operation::DetachVif { vif: name("vif1.0") })
}

fn undo_delete() -> Option<Stage> {
    lying(true, Operation::DeleteBridge { bridge: name("xenbr0") })
}

const LINE: &str = "network-bridge bridge=xenbr0 netdev=eth0";

fn undo_start() -> Option<Stage> {
    let Site { dom0, gateway, far, .. } = Site::plain()?;
    let start = Operation::StartNetwork(LINE.parse().expect("a network"));
    Some(Stage::of(dom0, Deed::Undo(vec![start])).with((gateway, far)))
}

fn undo_stop() -> Option<Stage> {
    let Site { dom0, gateway, far, .. } = Site::plain()?;
    let network: Network = LINE.parse().expect("a network");
    dom0.host.start_network(&network).expect("it starts").is_changed();
    Some(Stage::of(dom0, Deed::Undo(vec![Operation::StopNetwork(network)])).with((gateway, far)))
}
