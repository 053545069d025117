//! Every operation, in every form that has steps of its own.

mod bridges;
mod gateways;
mod guests;
mod networks;
mod recovery;

use crate::stage::Scene;
use xenvnet_core::{IfName, Lock, Operation};
use xenvnet_tests::ip;

pub(crate) fn all() -> Vec<Scene> {
    [bridges::SCENES, guests::SCENES, gateways::SCENES, networks::SCENES, recovery::SCENES].concat()
}

pub(crate) fn name(text: &str) -> IfName {
    text.parse().expect("a name")
}

/// A bridge made by `ip`, with an address of its own: without one it would take that of its ports.
pub(crate) fn bridge_by_ip(bridge: &str) {
    ip(&format!("link add {bridge} address 2e:00:00:00:00:fe type bridge mcast_snooping 0 forward_delay 0"));
    ip(&format!("link set {bridge} addrgenmode none"));
    ip(&format!("link set {bridge} up"));
}

/// The scenes in which an operation is tried, by the beginnings of their names. Whoever adds an operation
/// finds by this match, which leaves none out, that it wants to be tried.
pub(crate) fn tried_in(operation: &Operation) -> &'static [&'static str] {
    match operation {
        Operation::CreateBridge(_) => &["bridge create", "bridge change"],
        Operation::DeleteBridge { .. } => &["bridge delete"],
        Operation::EnslaveVif { .. } => &["bridge enslave"],
        Operation::ReleaseVif { .. } => &["bridge release"],
        Operation::SetAntispoof { lock: Lock::Locked(_), .. } => &["antispoof set", "antispoof change"],
        Operation::SetAntispoof { .. } => &["antispoof disable"],
        Operation::ClearAntispoof { .. } => &["antispoof clear"],
        Operation::MasqueradeSubnet(_) => &["masquerade add"],
        Operation::UnmasqueradeSubnet(_) => &["masquerade remove"],
        Operation::ForwardPort(_) => &["forward add"],
        Operation::UnforwardPort { .. } => &["forward remove"],
        Operation::AttachVif(_) => &["vif attach"],
        Operation::DetachVif { .. } => &["vif detach"],
        Operation::SetDom0 { .. } => &["dom0 set"],
        Operation::ForgetAccount { .. } => &["account forget"],
        Operation::StartNetwork(_) => &["network start"],
        Operation::StopNetwork(_) => &["network stop"],
    }
}
