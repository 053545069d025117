//! What a plan depends on: no more than this is observed for it.

use crate::ifname::IfName;
use crate::network::Network;
use crate::operation::Operation;
use crate::table::Table;
use crate::vif::Port;
use std::collections::BTreeSet;
use std::net::IpAddr;

/// The part of a host that a plan depends on: what is observed for it, whatever the host's size.
#[derive(Clone, Debug, Default)]
pub(crate) struct Needs {
    pub(crate) links: BTreeSet<IfName>,
    pub(crate) addresses_of: BTreeSet<IfName>,
    pub(crate) routes_of: BTreeSet<IfName>,
    pub(crate) ports_of: BTreeSet<IfName>,
    /// Locks and drop counters of these names.
    pub(crate) guards: BTreeSet<IfName>,
    /// Those of them that are about to begin: as a rule nothing is known of them yet.
    pub(crate) fresh: BTreeSet<IfName>,
    pub(crate) all_guards: bool,
    /// Whether something may come to be held at ingress.
    pub(crate) at_ingress: bool,
    /// Whether a guest may come to be untracked.
    pub(crate) untracking: bool,
    /// The other ports of guests that have two, by their names: seldom there.
    pub(crate) twins: BTreeSet<IfName>,
    /// Interfaces whose addresses and routes matter unless they are ports of a bridge.
    pub(crate) unbridged: BTreeSet<IfName>,
    /// Of which of these guests dom0 keeps no track.
    pub(crate) untracked: BTreeSet<IfName>,
    /// What guests on these reach on dom0.
    pub(crate) dom0: BTreeSet<IfName>,
    /// The same of all interfaces.
    pub(crate) all_dom0: bool,
    /// Locks as the sets have them, whatever their comments say.
    pub(crate) facts: bool,
    /// Vifs that may have been renamed since netback named them.
    pub(crate) renamed: BTreeSet<IfName>,
    /// Masquerade rules and all networks.
    pub(crate) nat: bool,
    /// Ports that lead to guests.
    pub(crate) forwards: bool,
    /// Traffic that is counted.
    pub(crate) accounts: bool,
    /// Networks of these bridges alone.
    pub(crate) networks_of: BTreeSet<IfName>,
    pub(crate) sysctls: bool,
    /// Interfaces whose own settings matter.
    pub(crate) settings_of: BTreeSet<IfName>,
    /// All interfaces, with all that dom0 has on them.
    pub(crate) host: bool,
    /// All networks, but no masquerade rules.
    pub(crate) networks: bool,
    /// Addresses that may come to be routed to guests.
    pub(crate) hosts: BTreeSet<IpAddr>,
}

impl Needs {
    fn whole_bridge(&mut self, bridge: IfName) {
        self.links.insert(bridge);
        self.addresses_of.insert(bridge);
        self.routes_of.insert(bridge);
        self.ports_of.insert(bridge);
        self.all_guards = true;
        self.all_dom0 = true;
    }

    fn vif(&mut self, vif: IfName) {
        self.links.insert(vif);
        self.guards.insert(vif);
        self.untracked.insert(vif);
    }

    /// The tables that may have to be made ready.
    pub(crate) fn tables(&self) -> BTreeSet<Table> {
        let guests = self.all_guards || !self.guards.is_empty();
        let ingress = self.all_guards || self.at_ingress;
        let wanted = [
            (Table::Bridge, guests),
            (Table::Netdev, ingress),
            (Table::Inet, guests || ingress || self.nat),
            (Table::Dom0, self.all_dom0 || !self.dom0.is_empty()),
            (Table::Untracked, self.all_guards || self.untracking),
            (Table::Forwards, self.forwards),
            (Table::Accounts, self.accounts),
            (Table::RoutedAccounts, self.accounts),
        ];
        wanted.into_iter().filter(|(_, wanted)| *wanted).map(|(table, _)| table).collect()
    }

    /// What several operations need together.
    pub(crate) fn and(mut self, other: Needs) -> Needs {
        self.links.extend(other.links);
        self.addresses_of.extend(other.addresses_of);
        self.routes_of.extend(other.routes_of);
        self.ports_of.extend(other.ports_of);
        self.guards.extend(other.guards);
        self.fresh.extend(other.fresh);
        self.all_guards |= other.all_guards;
        self.at_ingress |= other.at_ingress;
        self.untracking |= other.untracking;
        self.twins.extend(other.twins);
        self.unbridged.extend(other.unbridged);
        self.untracked.extend(other.untracked);
        self.dom0.extend(other.dom0);
        self.all_dom0 |= other.all_dom0;
        self.facts |= other.facts;
        self.renamed.extend(other.renamed);
        self.nat |= other.nat;
        self.forwards |= other.forwards;
        self.accounts |= other.accounts;
        self.networks_of.extend(other.networks_of);
        self.sysctls |= other.sysctls;
        self.settings_of.extend(other.settings_of);
        self.host |= other.host;
        self.networks |= other.networks;
        self.hosts.extend(other.hosts);
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
                needs.vif(*vif);
                needs.links.insert(*bridge);
                needs.twins.extend(vif.twin());
                needs.at_ingress = true;
            }
            Operation::ReleaseVif { vif } => {
                needs.vif(*vif);
                needs.at_ingress = true;
            }
            Operation::SetAntispoof { vif, .. } | Operation::ClearAntispoof { vif } => {
                needs.vif(*vif);
                needs.unbridged.insert(*vif);
                needs.twins.extend(vif.twin());
                needs.at_ingress = true;
            }
            Operation::MasqueradeSubnet(masquerade) => {
                needs.nat = true;
                needs.links.extend(masquerade.uplink);
            }
            // The table goes with the last thing in it.
            Operation::UnmasqueradeSubnet(_) => {
                needs.nat = true;
                needs.all_guards = true;
            }
            Operation::ForwardPort(_) | Operation::UnforwardPort { .. } => {
                needs.forwards = true;
                needs.host = true;
            }
            Operation::AttachVif(attachment) => {
                let names = [attachment.vif, attachment.final_name()];
                names.into_iter().for_each(|name| needs.vif(name));
                needs.fresh.extend(names);
                needs.accounts = attachment.accounted;
                match &attachment.to {
                    Port::Bridge { bridge, untracked, .. } => {
                        needs.untracking = *untracked;
                        needs.at_ingress = attachment.vif.is_emulated();
                        needs.links.insert(*bridge);
                        needs.networks_of.insert(*bridge);
                        needs.twins.extend(names.into_iter().filter_map(IfName::twin));
                        if attachment.vif.is_emulated() {
                            // The guest's own card may have been renamed.
                            needs.renamed.extend(attachment.vif.twin());
                        }
                    }
                    Port::Routed { gateway_device, .. } => {
                        needs.links.extend(*gateway_device);
                        needs.addresses_of.extend(*gateway_device);
                        needs.at_ingress = true;
                        needs.unbridged.extend(names);
                        needs.dom0.extend(names);
                        needs.networks = true;
                        needs.hosts.extend(attachment.routed_nets().iter().map(|net| net.ip()));
                    }
                }
            }
            Operation::DetachVif { vif } => {
                needs.vif(*vif);
                needs.renamed.insert(*vif);
                needs.unbridged.insert(*vif);
                needs.dom0.insert(*vif);
            }
            Operation::ForgetAccount { .. } => needs.accounts = true,
            Operation::SetDom0 { interface, .. } => {
                needs.links.insert(*interface);
                needs.all_dom0 = true;
            }
            Operation::StartNetwork(network) | Operation::StopNetwork(network) => {
                match network.bridge() {
                    Some(bridge) if !network.asks_the_host() => needs.whole_bridge(bridge),
                    _ => (needs.all_guards, needs.all_dom0) = (true, true),
                }
                needs.host = network.asks_the_host();
                needs.nat = true;
                needs.sysctls = true;
                if let Network::Brouter(brouter) = network {
                    needs.links.extend(brouter.uplink);
                }
                needs.settings_of.extend(network.bridge().into_iter().chain(network.uplinks()));
            }
        }
        needs
    }
}
