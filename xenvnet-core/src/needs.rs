//! What a plan depends on: no more than this is observed for it.

use crate::ifname::IfName;
use crate::operation::Operation;
use crate::vif::Port;
use std::collections::BTreeSet;

/// The part of a host that a plan depends on: what is observed for it, whatever the host's size.
#[derive(Clone, Debug, Default)]
pub(crate) struct Needs {
    pub(crate) links: BTreeSet<IfName>,
    pub(crate) addresses_of: BTreeSet<IfName>,
    pub(crate) routes_of: BTreeSet<IfName>,
    pub(crate) ports_of: BTreeSet<IfName>,
    /// Locks and drop counters of these names.
    pub(crate) guards: BTreeSet<IfName>,
    pub(crate) all_guards: bool,
    /// Locks as the sets have them, whatever their comments say.
    pub(crate) facts: bool,
    /// Vifs that may have been renamed since netback named them.
    pub(crate) renamed: BTreeSet<IfName>,
    /// Masquerade rules and all networks.
    pub(crate) nat: bool,
    /// Networks of these bridges alone.
    pub(crate) networks_of: BTreeSet<IfName>,
    pub(crate) sysctls: bool,
}

impl Needs {
    fn whole_bridge(&mut self, bridge: IfName) {
        self.links.insert(bridge);
        self.addresses_of.insert(bridge);
        self.routes_of.insert(bridge);
        self.ports_of.insert(bridge);
        self.all_guards = true;
    }

    /// What several operations need together.
    pub(crate) fn and(mut self, other: Needs) -> Needs {
        self.links.extend(other.links);
        self.addresses_of.extend(other.addresses_of);
        self.routes_of.extend(other.routes_of);
        self.ports_of.extend(other.ports_of);
        self.guards.extend(other.guards);
        self.all_guards |= other.all_guards;
        self.facts |= other.facts;
        self.renamed.extend(other.renamed);
        self.nat |= other.nat;
        self.networks_of.extend(other.networks_of);
        self.sysctls |= other.sysctls;
        self
    }
}

impl Operation {
    /// What the plan depends on.
    pub(crate) fn needs(&self) -> Needs {
        let mut needs = Needs::default();
        match self {
            Operation::CreateBridge(bridge) => {
                needs.links.insert(bridge.name);
                needs.addresses_of.insert(bridge.name);
            }
            Operation::DeleteBridge { bridge } => {
                needs.whole_bridge(*bridge);
                needs.networks_of.insert(*bridge);
            }
            Operation::EnslaveVif { vif, bridge } => {
                needs.links.extend([*vif, *bridge]);
                needs.guards.insert(*vif);
            }
            Operation::ReleaseVif { vif } => {
                needs.links.insert(*vif);
                needs.guards.insert(*vif);
            }
            Operation::SetAntispoof { vif, .. } | Operation::ClearAntispoof { vif } => {
                needs.links.insert(*vif);
                needs.guards.insert(*vif);
            }
            Operation::MasqueradeSubnet(_) | Operation::UnmasqueradeSubnet(_) => needs.nat = true,
            Operation::AttachVif(attachment) => {
                let Port::Bridge { bridge, .. } = attachment.to;
                needs.links.extend([attachment.vif, attachment.final_name(), bridge]);
                needs.guards.extend([attachment.vif, attachment.final_name()]);
                needs.networks_of.insert(bridge);
            }
            Operation::DetachVif { vif } => {
                needs.links.insert(*vif);
                needs.guards.insert(*vif);
                needs.renamed.insert(*vif);
            }
            Operation::StartNetwork(network) | Operation::StopNetwork(network) => {
                needs.whole_bridge(network.bridge_name());
                needs.nat = true;
                needs.all_guards = true;
                needs.sysctls = true;
            }
        }
        needs
    }
}
