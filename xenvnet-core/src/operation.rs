//! What is asked: one value a verb, and the plan that brings it about.

use crate::account;
use crate::antispoof::Lock;
use crate::bridge::{self, Bridge};
use crate::dom0::{self, Dom0};
use crate::error::Result;
use crate::forward::{self, Dom0Port, Forward};
use crate::guard;
use crate::ifname::IfName;
use crate::masquerade::Masquerade;
use crate::network::{Network, NetworkId};
use crate::order;
use crate::plan::Plan;
use crate::snapshot::Snapshot;
use crate::vif::{self, Attachment};
use serde::{Deserialize, Serialize};
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
// Tests are to notice when one of them is left out.
#[cfg_attr(not(feature = "testing"), non_exhaustive)]
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
    /// A port of dom0 leads to a guest.
    #[doc(alias = "DNAT")]
    ForwardPort(Forward),
    /// A port of dom0 leads to no guest.
    UnforwardPort {
        /// The port.
        port: Dom0Port,
    },
    /// A vif is named, sized, locked, enslaved and up.
    AttachVif(Attachment),
    /// A vif is down, off its bridge, its lock gone. It may have vanished already.
    DetachVif {
        /// The interface.
        vif: IfName,
    },
    /// The guests behind an interface, a bridge or a routed vif, reach this on dom0 itself.
    SetDom0 {
        /// The interface. It need not be there yet.
        interface: IfName,
        /// What they reach.
        access: Dom0,
    },
    /// What a guest sent and received is counted no longer, and what was counted is forgotten. An
    /// interface of that name stays as it is; attached as [`Attachment::accounted`] it begins anew.
    ForgetAccount {
        /// The name under which it was counted. It need not be there any more.
        name: IfName,
    },
    /// A network runs.
    StartNetwork(Network),
    /// A network does not run; forwarding is as it was before the first of them.
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
            Operation::ForwardPort(_) => "forward_port",
            Operation::UnforwardPort { .. } => "unforward_port",
            Operation::AttachVif(_) => "attach_vif",
            Operation::DetachVif { .. } => "detach_vif",
            Operation::SetDom0 { .. } => "set_dom0",
            Operation::ForgetAccount { .. } => "forget_account",
            Operation::StartNetwork(_) => "start_network",
            Operation::StopNetwork(_) => "stop_network",
        }
    }

    /// Every verb, for tests that each interface offers them all.
    ///
    /// ```
    /// assert!(xenvnet_core::Operation::VERBS.contains(&"attach_vif"));
    /// ```
    pub const VERBS: &'static [&'static str] = &[
        "create_bridge",
        "delete_bridge",
        "enslave_vif",
        "release_vif",
        "set_antispoof",
        "clear_antispoof",
        "masquerade_subnet",
        "unmasquerade_subnet",
        "forward_port",
        "unforward_port",
        "attach_vif",
        "detach_vif",
        "set_dom0",
        "forget_account",
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
            Operation::DeleteBridge { bridge } => bridge::plan_delete_idle(*bridge, now),
            Operation::EnslaveVif { vif, bridge } => bridge::plan_enslave(*vif, *bridge, now),
            Operation::ReleaseVif { vif } => bridge::plan_release(*vif, now),
            Operation::SetAntispoof { vif, lock } => guard::plan(*vif, lock, now),
            Operation::ClearAntispoof { vif } => guard::plan(*vif, &Lock::Unlocked, now),
            Operation::MasqueradeSubnet(masquerade) => masquerade.plan_add(now),
            Operation::UnmasqueradeSubnet(masquerade) => masquerade.plan_delete(now),
            Operation::ForwardPort(forward) => forward.plan_add(now),
            Operation::UnforwardPort { port } => Ok(forward::plan_delete(*port, now)),
            Operation::AttachVif(attachment) => attachment.plan(now),
            Operation::DetachVif { vif } => Ok(vif::plan_detach(*vif, now)),
            Operation::SetDom0 { interface, access } => access.plan(*interface, now),
            Operation::ForgetAccount { name } => Ok(account::plan_forget(*name, now)),
            Operation::StartNetwork(network) => network.plan_start(now),
            Operation::StopNetwork(network) => network.plan_stop(now),
        }
    }

    /// The networks that it starts or stops.
    pub(crate) fn networks(&self, now: &Snapshot) -> Vec<NetworkId> {
        match self {
            Operation::StartNetwork(network) | Operation::StopNetwork(network) => network.ids(now),
            _ => Vec::new(),
        }
    }

    /// Reads operations from JSON: one object, or a list of them.
    ///
    /// # Errors
    /// [`ErrorKind::Parse`](crate::ErrorKind::Parse) with the offset of what could not be read.
    ///
    /// ```
    /// use xenvnet_core::Operation;
    /// let operations = Operation::from_json(r#"[{"detach_vif":{"vif":"vif1.0"}}]"#)?;
    /// assert_eq!(operations[0].verb(), "detach_vif");
    /// assert_eq!(Operation::from_json("[{}]").unwrap_err().offset(), Some(2));
    /// # Ok::<(), xenvnet_core::Error>(())
    /// ```
    pub fn from_json(text: &str) -> Result<Vec<Operation>> {
        crate::text::one_or_many(text, "operations")
    }

    /// The plans of several operations, each made for what the ones before it leave behind.
    pub(crate) fn plan_all(operations: &[Operation], seen: &Snapshot) -> Result<Plan> {
        let mut now = seen.clone();
        let mut plans = Vec::new();
        for operation in operations {
            let plan = operation.plan(&now)?;
            if operations.len() > 1 {
                now = now.after(&plan);
            }
            plans.push(plan);
        }
        let all_attach = operations.iter().all(|operation| matches!(operation, Operation::AttachVif(_)));
        if all_attach && order::touch_each_their_own(&plans) {
            // Each vif is for itself: what is alike for all of them travels together.
            plans = vec![plans.into_iter().fold(Plan::default(), Plan::then)];
        }
        let all = plans
            .into_iter()
            .fold(Plan::default(), |all, plan| all.then(if all_attach { order::in_phases(plan) } else { plan }));
        Ok(if operations.len() > 1 { dom0::settled(all) } else { all })
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
            Operation::ForwardPort(forward) => write!(f, "forward {}", forward.port),
            Operation::UnforwardPort { port } => write!(f, "end the forwarding of {port}"),
            Operation::AttachVif(attachment) => write!(f, "attach {} to {}", attachment.vif, attachment.to),
            Operation::DetachVif { vif } => write!(f, "detach {vif}"),
            Operation::SetDom0 { interface, .. } => write!(f, "set what guests on {interface} reach on dom0"),
            Operation::ForgetAccount { name } => write!(f, "forget the account of {name}"),
            Operation::StartNetwork(network) => write!(f, "start {}", network.noun()),
            Operation::StopNetwork(network) => write!(f, "stop {}", network.noun()),
        }
    }
}

#[cfg(test)]
pub(crate) mod tests;
