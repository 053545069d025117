//! Guests: their locks, and how they come and go while one of them lies.

use super::{bridge_by_ip, name};
use crate::stage::{Deed, Scene, Stage};
use xenvnet_core::{Antispoof, Attachment, Lock, Operation};
use xenvnet_tests::{Dom0, FakeVif, Liar, ip};

pub(super) const SCENES: &[Scene] = &[
    Scene { name: "antispoof set, the first of all", stage: set_first },
    Scene { name: "antispoof change", stage: change_lock },
    Scene { name: "antispoof disable", stage: disable },
    Scene { name: "antispoof clear", stage: clear },
    Scene { name: "vif attach, the first of all", stage: attach_first },
    Scene { name: "vif attach, renamed", stage: attach_renamed },
    Scene { name: "vif attach, routed", stage: attach_routed },
    Scene { name: "vif attach, the second of a pair", stage: attach_twin },
    Scene { name: "vif attach, three at once", stage: attach_three },
    Scene { name: "vif attach, accounted", stage: attach_accounted },
    Scene { name: "vif attach, untracked", stage: attach_untracked },
    Scene { name: "vif attach, routed with dom0", stage: attach_dom0 },
    Scene { name: "vif attach again, changed", stage: attach_changed },
    Scene { name: "vif attach again, changed and routed", stage: attach_changed_routed },
    Scene { name: "vif detach", stage: detach },
    Scene { name: "vif detach, routed", stage: detach_routed },
    Scene { name: "vif detach, gone already", stage: detach_gone },
    Scene { name: "account forget", stage: forget },
];

/// A lock that differs from the other in all but what honest frames need.
fn other_lock() -> Antispoof {
    ["10.98.98.2", "198.51.100.7", "198.51.100.128/25", "2001:db8:5151::7", "2001:db8:5152::/64"]
        .iter()
        .fold(Antispoof::new(Liar::MAC), |lock, ip| lock.ip(ip.parse().expect("an address")))
        .mac("00:16:3e:00:00:31".parse().expect("a MAC address"))
        .dhcp_client(true)
        .link_local(false)
}

fn bridged() -> Attachment {
    Attachment::bridged(name("vif1.0"), name("xenbr0"), Liar::lock())
}

fn routed() -> Attachment {
    let gateways = ["10.98.98.1", "fe80::1"].map(|ip| ip.parse().expect("an address"));
    gateways.into_iter().fold(Attachment::routed(name("vif1.0"), Liar::lock()), Attachment::gateway)
}

fn attach(attachment: Attachment) -> Deed {
    Deed::Run(vec![Operation::AttachVif(attachment)])
}

/// A guest that lies all the time, attached so already if told, and what is done with it; its name then
/// or before, whenever it is attached.
fn lying(liar: fn(&Dom0, &str) -> Liar, vif: &str, attached: Option<Attachment>, deed: Deed) -> Option<Stage> {
    let dom0 = Dom0::enter()?;
    let liar = liar(&dom0, vif);
    if let Some(attachment) = attached {
        dom0.host.attach_vif(&attachment).expect("it is attached").is_changed();
    }
    Some(Stage::of(dom0, deed).told_by(liar))
}

/// A guest that says nothing, on a bridge, and nothing of the library's yet.
fn quiet(deed: Deed) -> Option<Stage> {
    let dom0 = Dom0::enter()?;
    bridge_by_ip("xenbr0");
    let guest = dom0.guest("vif1.0", &Liar::MAC.to_string());
    Some(Stage::of(dom0, deed).with(guest))
}

fn set_first() -> Option<Stage> {
    let stage = quiet(Deed::Run(vec![Operation::SetAntispoof { vif: name("vif1.0"), lock: Liar::lock().into() }]))?;
    ip("link set vif1.0 master xenbr0");
    ip("link set vif1.0 up");
    Some(stage)
}

fn change_lock() -> Option<Stage> {
    let deed = Deed::Run(vec![Operation::SetAntispoof { vif: name("vif1.0"), lock: other_lock().into() }]);
    lying(Liar::bridged, "vif1.0", Some(bridged()), deed)
}

fn disable() -> Option<Stage> {
    let deed = Deed::Run(vec![Operation::SetAntispoof { vif: name("vif1.0"), lock: Lock::Disabled }]);
    lying(Liar::bridged, "vif1.0", Some(bridged()), deed)
}

fn clear() -> Option<Stage> {
    let stage = quiet(Deed::Run(vec![Operation::ClearAntispoof { vif: name("vif1.0") }]))?;
    stage.dom0.host.attach_vif(&bridged()).expect("a guest").is_changed();
    Some(stage)
}

fn attach_first() -> Option<Stage> {
    quiet(attach(bridged()))
}

fn attach_renamed() -> Option<Stage> {
    lying(Liar::bridged, "web", None, attach(bridged().rename(name("web")).mtu(1400).isolated(true)))
}

fn attach_routed() -> Option<Stage> {
    lying(Liar::routed, "vif1.0", None, attach(routed()))
}

fn attach_twin() -> Option<Stage> {
    let stage = quiet(attach(Attachment::bridged(name("vif1.0-emu"), name("xenbr0"), Liar::lock())))?;
    let tap = FakeVif::new("vif1.0-emu", &Liar::MAC.to_string());
    stage.dom0.host.attach_vif(&bridged()).expect("a guest").is_changed();
    Some(stage.with(tap))
}

fn attach_three() -> Option<Stage> {
    let dom0 = Dom0::enter()?;
    let liar = Liar::bridged(&dom0, "vif1.0");
    let others = ["vif3.0", "vif4.0"].map(|vif| dom0.guest(vif, &format!("00:16:3e:00:00:0{}", &vif[3..4])));
    let to_bridge =
        |guest: &FakeVif| Attachment::bridged(guest.name, name("xenbr0"), Antispoof::new(guest.mac)).accounted(true);
    let attachments = others.iter().map(to_bridge).chain([bridged()]);
    let deed = Deed::Run(attachments.map(Operation::AttachVif).collect());
    Some(Stage::of(dom0, deed).with(others).told_by(liar))
}

fn attach_accounted() -> Option<Stage> {
    quiet(attach(bridged().rename(name("web")).accounted(true)))
}

fn attach_untracked() -> Option<Stage> {
    lying(Liar::bridged, "vif1.0", None, attach(bridged().untracked(true)))
}

fn attach_dom0() -> Option<Stage> {
    let access = "services(dhcp,icmp)".parse().expect("an access");
    lying(Liar::routed, "web", None, attach(routed().rename(name("web")).accounted(true).dom0(access)))
}

fn attach_changed() -> Option<Stage> {
    let other = Attachment::bridged(name("vif1.0"), name("xenbr0"), other_lock()).rename(name("web")).isolated(true);
    lying(Liar::bridged, "vif1.0", Some(bridged()), attach(other))
}

fn attach_changed_routed() -> Option<Stage> {
    let other = Attachment::routed(name("vif1.0"), other_lock()).gateway("10.98.98.1".parse().expect("an address"));
    lying(Liar::routed, "vif1.0", Some(routed()), attach(other.rename(name("web"))))
}

fn detach() -> Option<Stage> {
    lying(Liar::bridged, "vif1.0", Some(bridged()), Deed::Run(vec![Operation::DetachVif { vif: name("vif1.0") }]))
}

fn detach_routed() -> Option<Stage> {
    lying(Liar::routed, "vif1.0", Some(routed()), Deed::Run(vec![Operation::DetachVif { vif: name("vif1.0") }]))
}

fn detach_gone() -> Option<Stage> {
    let stage = quiet(Deed::Run(vec![Operation::DetachVif { vif: name("vif1.0") }]))?;
    stage.dom0.host.attach_vif(&bridged().accounted(true)).expect("a guest").is_changed();
    ip("link del vif1.0");
    Some(stage)
}

fn forget() -> Option<Stage> {
    let stage = quiet(Deed::Run(vec![Operation::ForgetAccount { name: name("web") }]))?;
    stage.dom0.host.attach_vif(&bridged().rename(name("web")).accounted(true)).expect("a guest").is_changed();
    Some(stage)
}
