//! `Snapshot`, and the records that it gives.

use crate::antispoof;
use crate::convert::{Name, interface, network as network_of, tuple};
use crate::error::unreadable;
use crate::json::{self, Reduced};
use crate::mac::MacAddr;
use crate::masquerade::Masquerade;
use crate::network;
use crate::plan::Plan;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyTuple, PyType};
use std::collections::{BTreeMap, BTreeSet};
use xenvnet_core::ipnetwork::IpNetwork;
use xenvnet_core::{BridgeState, Drops, Guard, IfName, Link, NetworkRecord, PortState};

/// A host's network at one moment, whole or as far as some operations need it.
#[pyclass(frozen, eq, module = "xenvnet")]
#[derive(PartialEq, Eq)]
pub(crate) struct Snapshot(pub(crate) xenvnet_core::Snapshot);

#[pymethods]
impl Snapshot {
    /// Nothing at all: for plans from scratch.
    #[new]
    fn new() -> Snapshot {
        Snapshot(xenvnet_core::Snapshot::default())
    }

    /// Interfaces by name.
    #[getter]
    fn links<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        by_name(py, &self.0.links, link)
    }

    /// All bridges.
    #[getter]
    fn bridges<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyTuple>> {
        tuple(py, self.0.bridges(), link)
    }

    /// All interfaces of guests.
    #[getter]
    fn vifs<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyTuple>> {
        tuple(py, self.0.vifs(), link)
    }

    /// The ports of a bridge.
    #[pyo3(signature = (bridge, /))]
    fn ports_of<'py>(&self, py: Python<'py>, bridge: Name) -> PyResult<Bound<'py, PyTuple>> {
        tuple(py, self.0.ports_of(bridge.0), link)
    }

    /// Addresses of dom0 by interface, as ipaddress interfaces.
    #[getter]
    fn addresses<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        by_name(py, &self.0.addresses, |py, all: &BTreeSet<IpNetwork>| Ok(tuple(py, all, interface)?.into_any()))
    }

    /// Subnets that are reached directly over an interface by a route of ours, as ipaddress networks.
    #[getter]
    fn routes<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        by_name(py, &self.0.routes, |py, all: &BTreeSet<IpNetwork>| Ok(tuple(py, all, network_of)?.into_any()))
    }

    /// Locks by interface name, whether the interface is there or not.
    #[getter]
    fn guards<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        by_name(py, &self.0.guards, guard)
    }

    /// The lock of an interface that is there, None where it has none.
    #[pyo3(signature = (vif, /))]
    fn guard_of<'py>(&self, py: Python<'py>, vif: Name) -> PyResult<Option<Bound<'py, PyAny>>> {
        self.0.guard_of(vif.0).map(|of| guard(py, of)).transpose()
    }

    /// Frames that locks dropped.
    #[getter]
    fn drops<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyTuple>> {
        tuple(py, &self.0.drops, drops)
    }

    /// Masquerade rules of ours.
    #[getter]
    fn masquerades<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyTuple>> {
        tuple(py, &self.0.masquerades, |py, rule| Ok(Bound::new(py, Masquerade(rule.clone()))?.into_any()))
    }

    /// Networks that run, by their bridge.
    #[getter]
    fn networks<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        by_name(py, &self.0.networks, record)
    }

    /// Kernel settings: {"net.ipv4.ip_forward": 1}.
    #[getter]
    fn sysctls(&self) -> BTreeMap<String, u32> {
        self.0.sysctls.iter().map(|(sysctl, value)| (sysctl.to_string(), *value)).collect()
    }

    /// What this becomes when a plan has been carried out.
    #[pyo3(signature = (plan, /))]
    fn after(&self, plan: &Plan) -> Snapshot {
        Snapshot(self.0.after(&plan.0))
    }

    /// Reads what to_json wrote.
    #[classmethod]
    #[pyo3(signature = (text, /))]
    fn from_json(_class: &Bound<'_, PyType>, text: &str) -> PyResult<Snapshot> {
        serde_json::from_str(text).map(Snapshot).map_err(|error| unreadable(format!("snapshot: {error}")))
    }

    /// The whole snapshot as one JSON object.
    fn to_json(&self) -> PyResult<String> {
        json::write(&self.0)
    }

    /// The whole snapshot as plain dictionaries, as to_json has it.
    fn to_dict<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        py.import("json")?.call_method1("loads", (self.to_json()?,))
    }

    fn __hash__(&self) -> PyResult<u64> {
        json::hash(&self.0)
    }

    fn __repr__(&self, py: Python<'_>) -> PyResult<String> {
        json::repr(py, "Snapshot", &self.0)
    }

    fn __reduce__<'py>(slf: &Bound<'py, Self>) -> PyResult<Reduced<'py>> {
        json::reduce(slf.as_any(), &slf.get().0)
    }
}

fn by_name<'py, T>(
    py: Python<'py>,
    all: &BTreeMap<IfName, T>,
    one: impl Fn(Python<'py>, &T) -> PyResult<Bound<'py, PyAny>>,
) -> PyResult<Bound<'py, PyDict>> {
    let dict = PyDict::new(py);
    for (name, value) in all {
        dict.set_item(name.as_str(), one(py, value)?)?;
    }
    Ok(dict)
}

fn class<'py>(py: Python<'py>, name: &str) -> PyResult<Bound<'py, PyAny>> {
    py.import("xenvnet._records")?.getattr(name)
}

fn link<'py>(py: Python<'py>, link: &Link) -> PyResult<Bound<'py, PyAny>> {
    let fields = PyDict::new(py);
    fields.set_item("index", link.index)?;
    fields.set_item("name", link.name.as_str())?;
    fields.set_item("mac", link.mac.map(MacAddr))?;
    fields.set_item("mtu", link.mtu)?;
    fields.set_item("up", link.up)?;
    fields.set_item("group", link.group)?;
    fields.set_item("alias", &link.alias)?;
    fields.set_item("master", link.master.as_ref().map(|master| master.as_str()))?;
    fields.set_item("auto_link_local", link.auto_link_local)?;
    fields.set_item("bridge", link.bridge.map(|state| bridge_state(py, state)).transpose()?)?;
    fields.set_item("port", link.port.map(|state| port_state(py, state)).transpose()?)?;
    class(py, "Link")?.call((), Some(&fields))
}

fn bridge_state(py: Python<'_>, state: BridgeState) -> PyResult<Bound<'_, PyAny>> {
    class(py, "BridgeState")?.call1((state.stp, state.forward_delay))
}

fn port_state(py: Python<'_>, state: PortState) -> PyResult<Bound<'_, PyAny>> {
    class(py, "PortState")?.call1((state.learning, state.isolated, state.locked))
}

fn guard<'py>(py: Python<'py>, guard: &Guard) -> PyResult<Bound<'py, PyAny>> {
    let owner = guard.owner.as_ref().map(|owner| owner.as_str());
    class(py, "Guard")?.call1((guard.device, antispoof::lock(py, &guard.lock)?, owner))
}

fn drops<'py>(py: Python<'py>, drops: &Drops) -> PyResult<Bound<'py, PyAny>> {
    class(py, "Drops")?.call1((drops.vif.as_str(), drops.reason.name(), drops.frames, drops.octets))
}

fn record<'py>(py: Python<'py>, record: &NetworkRecord) -> PyResult<Bound<'py, PyAny>> {
    class(py, "NetworkRecord")?.call1((network::object(py, record.network.clone())?, record.sysctl_before))
}
