//! What is asked: one value a verb, and the plan that brings it about.

use crate::antispoof::Lock;
use crate::bridge::{self, Bridge};
use crate::error::Result;
use crate::guard;
use crate::ifname::IfName;
use crate::masquerade::Masquerade;
use crate::network::Network;
use crate::plan::Plan;
use crate::snapshot::Snapshot;
use crate::vif::{self, Attachment, Port};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::fmt;

/// One thing that a host is asked for. Asking for what is so already is no error and changes
/// nothing.
///
/// As JSON, an operation is an object with one key, the verb:
///
/// ```
/// use xenvnet_core::{Bridge, Operation};
/// let operation = Operation::CreateBridge(Bridge::new("xenbr0".parse()?));
/// let json = r#"{"create_bridge":{"name":"xenbr0","stp":false}}"#;
/// assert_eq!(serde_json::to_string(&operation).unwrap(), json);
/// assert_eq!(serde_json::from_str::<Operation>(json).unwrap(), operation);
/// # Ok::<(), xenvnet_core::Error>(())
/// ```
#[non_exhaustive]
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Operation {
    /// A bridge is there, has these settings and addresses, and is up.
    #[doc(alias = "addbr")]
    CreateBridge(Bridge),
    /// A bridge is not there; its ports are released.
    #[doc(alias = "delbr")]
    DeleteBridge {
        /// The bridge.
        bridge: IfName,
    },
    /// An interface is a port of a bridge.
    #[doc(alias = "addif")]
    EnslaveVif {
        /// The interface.
        vif: IfName,
        /// The bridge.
        bridge: IfName,
    },
    /// An interface is a port of no bridge.
    #[doc(alias = "delif")]
    ReleaseVif {
        /// The interface.
        vif: IfName,
    },
    /// A guest's interface is held to what it may send.
    SetAntispoof {
        /// The interface.
        vif: IfName,
        /// What it may send.
        lock: Lock,
    },
    /// A guest's interface is held to nothing.
    ClearAntispoof {
        /// The interface.
        vif: IfName,
    },
    /// A subnet speaks to the outside with dom0's address.
    MasqueradeSubnet(Masquerade),
    /// A subnet speaks to the outside with its own addresses.
    UnmasqueradeSubnet(Masquerade),
    /// A vif is named, sized, locked, enslaved and up.
    AttachVif(Attachment),
    /// A vif is down, off its bridge, its lock gone. It may have vanished already.
    DetachVif {
        /// The interface.
        vif: IfName,
    },
    /// A network runs.
    StartNetwork(Network),
    /// A network does not run; the host's settings are as they were before.
    StopNetwork(Network),
}

impl Operation {
    /// The name of the verb, the same in Rust, Python, C and JSON.
    ///
    /// ```
    /// use xenvnet_core::Operation;
    /// let operation = Operation::ReleaseVif { vif: "vif1.0".parse()? };
    /// assert_eq!(operation.verb(), "release_vif");
    /// # Ok::<(), xenvnet_core::Error>(())
    /// ```
    pub fn verb(&self) -> &'static str {
        match self {
            Operation::CreateBridge(_) => "create_bridge",
            Operation::DeleteBridge { .. } => "delete_bridge",
            Operation::EnslaveVif { .. } => "enslave_vif",
            Operation::ReleaseVif { .. } => "release_vif",
            Operation::SetAntispoof { .. } => "set_antispoof",
            Operation::ClearAntispoof { .. } => "clear_antispoof",
            Operation::MasqueradeSubnet(_) => "masquerade_subnet",
            Operation::UnmasqueradeSubnet(_) => "unmasquerade_subnet",
            Operation::AttachVif(_) => "attach_vif",
            Operation::DetachVif { .. } => "detach_vif",
            Operation::StartNetwork(_) => "start_network",
            Operation::StopNetwork(_) => "stop_network",
        }
    }

    /// Every verb, for tests that each interface offers them all.
    ///
    /// ```
    /// assert!(xenvnet_core::Operation::VERBS.contains(&"attach_vif"));
    /// ```
    pub const VERBS: [&'static str; 12] = [
        "create_bridge",
        "delete_bridge",
        "enslave_vif",
        "release_vif",
        "set_antispoof",
        "clear_antispoof",
        "masquerade_subnet",
        "unmasquerade_subnet",
        "attach_vif",
        "detach_vif",
        "start_network",
        "stop_network",
    ];

    /// What has to be done for it on a host that is as the snapshot says: nothing, when it is so
    /// already. Pure: no privilege needed, nothing is touched.
    ///
    /// # Errors
    /// Bad values, and contradictions to what is there; see [`ErrorKind`](crate::ErrorKind).
    ///
    /// ```
    /// use xenvnet_core::{Bridge, Operation, Snapshot};
    /// let operation = Operation::CreateBridge(Bridge::new("xenbr0".parse()?));
    /// assert_eq!(operation.plan(&Snapshot::default())?.steps().len(), 2);
    /// # Ok::<(), xenvnet_core::Error>(())
    /// ```
    pub fn plan(&self, now: &Snapshot) -> Result<Plan> {
        match self {
            Operation::CreateBridge(bridge) => bridge.plan_create(now),
            Operation::DeleteBridge { bridge } => bridge::plan_delete(*bridge, now),
            Operation::EnslaveVif { vif, bridge } => bridge::plan_enslave(*vif, *bridge, now),
            Operation::ReleaseVif { vif } => bridge::plan_release(*vif, now),
            Operation::SetAntispoof { vif, lock } => guard::plan(*vif, lock, now),
            Operation::ClearAntispoof { vif } => guard::plan(*vif, &Lock::Unlocked, now),
            Operation::MasqueradeSubnet(masquerade) => masquerade.plan_add(now),
            Operation::UnmasqueradeSubnet(masquerade) => masquerade.plan_delete(now),
            Operation::AttachVif(attachment) => attachment.plan(now),
            Operation::DetachVif { vif } => Ok(vif::plan_detach(*vif, now)),
            Operation::StartNetwork(network) => network.plan_start(now),
            Operation::StopNetwork(network) => network.plan_stop(now),
        }
    }

    /// What the plan depends on.
    pub(crate) fn needs(&self) -> Needs {
        let mut needs = Needs::default();
        match self {
            Operation::CreateBridge(bridge) => {
                needs.links.insert(bridge.name);
                needs.addresses_of.insert(bridge.name);
            }
            Operation::DeleteBridge { bridge } => needs.whole_bridge(*bridge),
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

impl fmt::Display for Operation {
    /// What is asked, as the object of "cannot …".
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Operation::CreateBridge(bridge) => write!(f, "create bridge {}", bridge.name),
            Operation::DeleteBridge { bridge } => write!(f, "delete bridge {bridge}"),
            Operation::EnslaveVif { vif, bridge } => write!(f, "enslave {vif} to {bridge}"),
            Operation::ReleaseVif { vif } => write!(f, "release {vif}"),
            Operation::SetAntispoof { vif, .. } => write!(f, "set antispoof on {vif}"),
            Operation::ClearAntispoof { vif } => write!(f, "clear antispoof on {vif}"),
            Operation::MasqueradeSubnet(masquerade) => write!(f, "masquerade {masquerade}"),
            Operation::UnmasqueradeSubnet(masquerade) => write!(f, "unmasquerade {masquerade}"),
            Operation::AttachVif(attachment) => write!(f, "attach {} to {}", attachment.vif, attachment.to),
            Operation::DetachVif { vif } => write!(f, "detach {vif}"),
            Operation::StartNetwork(network) => write!(f, "start the network of {}", network.bridge_name()),
            Operation::StopNetwork(network) => write!(f, "stop the network of {}", network.bridge_name()),
        }
    }
}

/// The part of a host that a plan depends on: what is observed for it, whatever the host's size.
#[derive(Clone, Debug, Default)]
pub(crate) struct Needs {
    pub(crate) links: BTreeSet<IfName>,
    pub(crate) addresses_of: BTreeSet<IfName>,
    pub(crate) ports_of: BTreeSet<IfName>,
    /// Locks and drop counters of these names.
    pub(crate) guards: BTreeSet<IfName>,
    pub(crate) all_guards: bool,
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
        self.ports_of.insert(bridge);
        self.all_guards = true;
    }

    /// What several operations need together.
    pub(crate) fn and(mut self, other: Needs) -> Needs {
        self.links.extend(other.links);
        self.addresses_of.extend(other.addresses_of);
        self.ports_of.extend(other.ports_of);
        self.guards.extend(other.guards);
        self.all_guards |= other.all_guards;
        self.nat |= other.nat;
        self.networks_of.extend(other.networks_of);
        self.sysctls |= other.sysctls;
        self
    }
}
