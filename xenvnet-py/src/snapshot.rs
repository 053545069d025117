//! `Snapshot`, and the records that it gives.

use crate::antispoof;
use crate::convert::{Name, interface, network as network_of, tuple};
use crate::dom0::Dom0;
use crate::error::raise;
use crate::forward::Forward;
use crate::json;
use crate::mac::MacAddr;
use crate::masquerade::Masquerade;
use crate::network;
use crate::operation::Operation;
use crate::plan::Plan;
use crate::value::Reduced;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyTuple, PyType};
use std::collections::{BTreeMap, BTreeSet};
use xenvnet_core::ipnetwork::IpNetwork;
use xenvnet_core::{Account, BridgeState, Counter, Drops, Guard, Link, NetworkRecord, PortState, Sysctl, Untracked};

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

    /// Our own tables that are there, with their layouts: {"bridge": 2}.
    #[getter]
    fn tables(&self) -> PyResult<BTreeMap<String, u32>> {
        self.0.tables.iter().map(|(table, layout)| Ok((json::word(table)?, *layout))).collect()
    }

    /// Locks of bridged guests by interface name, whether the interface is there or not.
    #[getter]
    fn guards<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        by_name(py, &self.0.guards, guard)
    }

    /// Locks that hold where frames come in: of routed guests, and beside that in guards, of both
    /// ports of a guest that has an emulated card too.
    #[getter]
    fn ingress<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        by_name(py, &self.0.ingress, guard)
    }

    /// Interfaces whose frames visit those locks.
    #[getter]
    fn hooks<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyTuple>> {
        PyTuple::new(py, self.0.hooks.iter().map(|name| name.as_str()).collect::<Vec<_>>())
    }

    /// The lock of an interface that is there, wherever it is held; None where it has none.
    #[pyo3(signature = (vif, /))]
    fn guard_of<'py>(&self, py: Python<'py>, vif: Name) -> PyResult<Option<Bound<'py, PyAny>>> {
        self.0.guard_of(vif.0).map(|of| guard(py, of)).transpose()
    }

    /// Whether an interface is one of the two ports of a guest that has an emulated card too.
    #[pyo3(signature = (vif, /))]
    fn is_paired(&self, vif: Name) -> bool {
        self.0.is_paired(vif.0)
    }

    /// What guests reach on dom0 itself, by the interface that they are behind; others reach what
    /// dom0's own firewall lets in.
    #[getter]
    fn dom0<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        by_name(py, &self.0.dom0, |py, access| Ok(Bound::new(py, Dom0(access.clone()))?.into_any()))
    }

    /// Bridged guests whose packets stay out of dom0's table of connections.
    #[getter]
    fn untracked<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        by_name(py, &self.0.untracked, untracked)
    }

    /// Frames that were dropped, by interface, reason and table.
    #[getter]
    fn drops<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyTuple>> {
        tuple(py, &self.0.drops, drops)
    }

    /// Masquerade rules of ours.
    #[getter]
    fn masquerades<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyTuple>> {
        tuple(py, &self.0.masquerades, |py, rule| Ok(Bound::new(py, Masquerade(rule.clone()))?.into_any()))
    }

    /// Ports of dom0 that lead to guests.
    #[getter]
    fn forwards<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyTuple>> {
        tuple(py, &self.0.forwards, |py, forward| Ok(Bound::new(py, Forward(forward.clone()))?.into_any()))
    }

    /// Networks that run, by what each is known by: its bridge or port ("xenbr0"), or, of one without
    /// either, its kind and its uplink ("route:eth0", "nat:eth0").
    #[getter]
    fn networks<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        by_name(py, &self.0.networks, record)
    }

    /// Traffic that is counted, an Account by the name of the guest's interface, whether that is there or
    /// not.
    #[getter]
    fn accounts<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        by_name(py, &self.0.accounts, account)
    }

    /// Kernel settings: {"net.ipv4.ip_forward": 1}.
    #[getter]
    fn sysctls(&self) -> BTreeMap<String, u32> {
        by_text(&self.0.sysctls)
    }

    /// What would bring this host's networks about from nothing, in the order in which it can be done:
    /// bridges that this library made beside networks, networks that run, what is masqueraded and
    /// forwarded beside them, and what guests reach on dom0. Nothing of guests: their interfaces do not
    /// outlive a reboot, and the toolstack attaches them again. Nor bridges that were made with a MAC
    /// address of the caller's, or any of a snapshot that was read from JSON: nobody could tell them from
    /// somebody else's.
    fn operations(&self) -> Vec<Operation> {
        self.0.operations().into_iter().map(Operation).collect()
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
        xenvnet_core::Snapshot::from_json(text).map(Snapshot).map_err(raise)
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

    fn __reduce__<'py>(slf: &Bound<'py, Self>) -> PyResult<Reduced<'py, (String,)>> {
        json::reduce(slf.as_any(), &slf.get().0)
    }
}

fn by_text(settings: &BTreeMap<Sysctl, u32>) -> BTreeMap<String, u32> {
    settings.iter().map(|(sysctl, value)| (sysctl.to_string(), *value)).collect()
}

fn by_name<'py, N: ToString, T>(
    py: Python<'py>,
    all: &BTreeMap<N, T>,
    one: impl Fn(Python<'py>, &T) -> PyResult<Bound<'py, PyAny>>,
) -> PyResult<Bound<'py, PyDict>> {
    let dict = PyDict::new(py);
    for (name, value) in all {
        dict.set_item(name.to_string(), one(py, value)?)?;
    }
    Ok(dict)
}

pub(crate) fn class<'py>(py: Python<'py>, name: &str) -> PyResult<Bound<'py, PyAny>> {
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
    fields.set_item("shut", link.shut)?;
    class(py, "Link")?.call((), Some(&fields))
}

fn bridge_state(py: Python<'_>, state: BridgeState) -> PyResult<Bound<'_, PyAny>> {
    class(py, "BridgeState")?.call1((state.stp, state.forward_delay))
}

pub(crate) fn port_state(py: Python<'_>, state: PortState) -> PyResult<Bound<'_, PyAny>> {
    let PortState { learning, isolated, locked, flood, bpdu_guard, group_fwd_mask, .. } = state;
    class(py, "PortState")?.call1((learning, isolated, locked, flood, bpdu_guard, group_fwd_mask))
}

fn guard<'py>(py: Python<'py>, guard: &Guard) -> PyResult<Bound<'py, PyAny>> {
    let owner = guard.owner.as_ref().map(|owner| owner.as_str());
    class(py, "Guard")?.call1((guard.device, antispoof::lock(py, &guard.lock)?, owner))
}

fn drops<'py>(py: Python<'py>, drops: &Drops) -> PyResult<Bound<'py, PyAny>> {
    let table = json::word(&drops.table)?;
    class(py, "Drops")?.call1((drops.vif.as_str(), drops.reason.name(), drops.frames, drops.octets, table))
}

fn record<'py>(py: Python<'py>, record: &NetworkRecord) -> PyResult<Bound<'py, PyAny>> {
    class(py, "NetworkRecord")?.call1((network::object(py, record.network.clone())?, by_text(&record.before)))
}

fn account<'py>(py: Python<'py>, account: &Account) -> PyResult<Bound<'py, PyAny>> {
    let Account { index, routed, sent, received, .. } = *account;
    class(py, "Account")?.call1((index, counter(py, sent)?, counter(py, received)?, routed))
}

fn counter(py: Python<'_>, counter: Counter) -> PyResult<Bound<'_, PyAny>> {
    class(py, "Counter")?.call1((counter.packets, counter.bytes))
}

fn untracked<'py>(py: Python<'py>, untracked: &Untracked) -> PyResult<Bound<'py, PyAny>> {
    let macs = tuple(py, &untracked.macs, |py, mac| Ok(Bound::new(py, MacAddr(*mac))?.into_any()))?;
    class(py, "Untracked")?.call1((MacAddr(untracked.bridge), macs))
}
