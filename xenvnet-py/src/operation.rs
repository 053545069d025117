//! `Operation`: one constructor a verb.

use crate::antispoof::LockArg;
use crate::attachment::Attachment;
use crate::bridge::BridgeArg;
use crate::convert::{Name, wrong_type};
use crate::dom0::Dom0Arg;
use crate::error::{raise, unreadable};
use crate::forward::{Dom0Port, ForwardArg};
use crate::json;
use crate::masquerade::MasqueradeArg;
use crate::network::NetworkArg;
use crate::plan::Plan;
use crate::snapshot::Snapshot;
use crate::value::Reduced;
use pyo3::prelude::*;
use pyo3::types::PyType;

/// One thing that a host is asked for, as a value: made by the constructor named like the verb.
#[pyclass(frozen, eq, str = "{0}", module = "xenvnet")]
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Operation(pub(crate) xenvnet_core::Operation);

type Class<'a, 'py> = &'a Bound<'py, PyType>;

#[pymethods]
impl Operation {
    /// A bridge is there, has these settings and addresses, and is up.
    #[classmethod]
    fn create_bridge(_class: Class<'_, '_>, bridge: BridgeArg) -> Operation {
        Operation(xenvnet_core::Operation::CreateBridge(bridge.0))
    }

    /// A bridge is not there; its ports are released.
    #[classmethod]
    fn delete_bridge(_class: Class<'_, '_>, bridge: Name) -> Operation {
        Operation(xenvnet_core::Operation::DeleteBridge { bridge: bridge.0 })
    }

    /// An interface is a port of a bridge.
    #[classmethod]
    fn enslave_vif(_class: Class<'_, '_>, vif: Name, bridge: Name) -> Operation {
        Operation(xenvnet_core::Operation::EnslaveVif { vif: vif.0, bridge: bridge.0 })
    }

    /// An interface is a port of no bridge.
    #[classmethod]
    fn release_vif(_class: Class<'_, '_>, vif: Name) -> Operation {
        Operation(xenvnet_core::Operation::ReleaseVif { vif: vif.0 })
    }

    /// A guest's interface is held to what it may send.
    #[classmethod]
    fn set_antispoof(_class: Class<'_, '_>, vif: Name, lock: LockArg) -> Operation {
        Operation(xenvnet_core::Operation::SetAntispoof { vif: vif.0, lock: lock.0 })
    }

    /// A guest's interface is held to nothing.
    #[classmethod]
    fn clear_antispoof(_class: Class<'_, '_>, vif: Name) -> Operation {
        Operation(xenvnet_core::Operation::ClearAntispoof { vif: vif.0 })
    }

    /// A subnet speaks to the outside with dom0's address.
    #[classmethod]
    fn masquerade_subnet(_class: Class<'_, '_>, subnet: MasqueradeArg) -> Operation {
        Operation(xenvnet_core::Operation::MasqueradeSubnet(subnet.0))
    }

    /// A subnet speaks to the outside with its own addresses.
    #[classmethod]
    fn unmasquerade_subnet(_class: Class<'_, '_>, subnet: MasqueradeArg) -> Operation {
        Operation(xenvnet_core::Operation::UnmasqueradeSubnet(subnet.0))
    }

    /// A port of dom0 leads to a port of a guest.
    #[classmethod]
    fn forward_port(_class: Class<'_, '_>, forward: ForwardArg) -> Operation {
        Operation(xenvnet_core::Operation::ForwardPort(forward.0))
    }

    /// A port of dom0 leads to no guest.
    #[classmethod]
    fn unforward_port(_class: Class<'_, '_>, port: Dom0Port) -> Operation {
        Operation(xenvnet_core::Operation::UnforwardPort { port: port.0 })
    }

    /// A vif is named, sized, locked, enslaved or routed, and up.
    #[classmethod]
    fn attach_vif(_class: Class<'_, '_>, attachment: Attachment) -> Operation {
        Operation(xenvnet_core::Operation::AttachVif(attachment.0))
    }

    /// A vif is down, off its bridge or its routes gone, and its lock. It may have vanished already.
    #[classmethod]
    fn detach_vif(_class: Class<'_, '_>, vif: Name) -> Operation {
        Operation(xenvnet_core::Operation::DetachVif { vif: vif.0 })
    }

    /// The guests behind an interface, a bridge or a routed vif, reach this on dom0 itself.
    #[classmethod]
    fn set_dom0(_class: Class<'_, '_>, interface: Name, access: Dom0Arg) -> Operation {
        Operation(xenvnet_core::Operation::SetDom0 { interface: interface.0, access: access.0 })
    }

    /// What a guest sent and received is counted no longer, and what was counted is forgotten.
    #[classmethod]
    fn forget_account(_class: Class<'_, '_>, name: Name) -> Operation {
        Operation(xenvnet_core::Operation::ForgetAccount { name: name.0 })
    }

    /// A network runs.
    #[classmethod]
    fn start_network(_class: Class<'_, '_>, network: NetworkArg) -> Operation {
        Operation(xenvnet_core::Operation::StartNetwork(network.0))
    }

    /// A network does not run; the host's settings are as they were before.
    #[classmethod]
    fn stop_network(_class: Class<'_, '_>, network: NetworkArg) -> Operation {
        Operation(xenvnet_core::Operation::StopNetwork(network.0))
    }

    /// The name of the verb, the same in Rust, Python, C and JSON.
    #[getter]
    fn verb(&self) -> &'static str {
        self.0.verb()
    }

    /// What has to be done for it on a host that is as the snapshot says. Nothing is touched.
    #[pyo3(signature = (now, /))]
    fn plan(&self, now: &Snapshot) -> PyResult<Plan> {
        self.0.plan(&now.0).map(Plan).map_err(raise)
    }

    /// Reads an object with one key, the verb.
    #[classmethod]
    #[pyo3(signature = (text, /))]
    fn from_json(_class: Class<'_, '_>, text: &str) -> PyResult<Operation> {
        let read = xenvnet_core::Operation::from_json(text).map_err(raise)?;
        match <[_; 1]>::try_from(read) {
            Ok([operation]) => Ok(Operation(operation)),
            Err(list) => Err(unreadable(format!("one operation is wanted, not a list of {}", list.len()))),
        }
    }

    /// An object with one key, the verb.
    fn to_json(&self) -> PyResult<String> {
        json::write(&self.0)
    }

    fn __hash__(&self) -> PyResult<u64> {
        json::hash(&self.0)
    }

    fn __repr__(&self, py: Python<'_>) -> PyResult<String> {
        json::repr(py, "Operation", &self.0)
    }

    fn __reduce__<'py>(slf: &Bound<'py, Self>) -> PyResult<Reduced<'py, (String,)>> {
        json::reduce(slf.as_any(), &slf.get().0)
    }
}

impl<'a, 'py> FromPyObject<'a, 'py> for Operation {
    type Error = PyErr;

    fn extract(object: Borrowed<'a, 'py, PyAny>) -> PyResult<Operation> {
        match object.cast::<Operation>() {
            Ok(operation) => Ok(operation.get().clone()),
            Err(_) => Err(wrong_type("an Operation", &object)),
        }
    }
}
