//! `Attachment`.

use crate::antispoof::{LockArg, lock};
use crate::convert::{Ip, Name, Net, OneOrMany, network, short, tuple, wrong_type};
use crate::dom0::{Dom0, Dom0Arg};
use crate::error::raise;
use crate::value::{Call, Reduced};
use pyo3::prelude::*;
use pyo3::types::{PyTuple, PyType};
use xenvnet_core::Port;

/// A vif as a toolstack wants it: named, sized, locked, on a bridge and up. Attachment.routed gives
/// one that dom0 routes to.
#[pyclass(frozen, eq, hash, module = "xenvnet")]
#[derive(Clone, PartialEq, Eq, Hash)]
pub(crate) struct Attachment(pub(crate) xenvnet_core::Attachment);

#[pymethods]
impl Attachment {
    #[classattr]
    fn __match_args__() -> (&'static str,) {
        ("vif",)
    }

    #[new]
    #[pyo3(signature = (vif, *, bridge, lock, name = None, mtu = None, isolated = false, untracked = false,
                        accounted = false))]
    #[allow(clippy::too_many_arguments, reason = "they are keywords to those who call it")]
    fn new(
        vif: Name,
        bridge: Name,
        lock: LockArg,
        name: Option<Name>,
        mtu: Option<u32>,
        isolated: bool,
        untracked: bool,
        accounted: bool,
    ) -> PyResult<Attachment> {
        let attachment = xenvnet_core::Attachment::bridged(vif.0, bridge.0, lock.0);
        Attachment::checked(attachment.isolated(isolated).untracked(untracked).accounted(accounted), name, mtu)
    }

    /// A vif that dom0 routes to, on no bridge: held where its frames come in.
    ///
    /// gateways are dom0's addresses on it; without any, those that dom0 has on gateway_device, or on the
    /// uplink of the routed network that runs; routes is what is routed to it, the addresses of its lock unless
    /// given; dom0 is what it reaches on dom0 itself, a Dom0 or its text.
    #[classmethod]
    #[pyo3(signature = (vif, *, lock, gateways = OneOrMany::default(), gateway_device = None,
                        routes = OneOrMany::default(), dom0 = Dom0Arg::default(), name = None, mtu = None,
                        accounted = false),
           text_signature = "($cls, vif, *, lock, gateways=(), gateway_device=None, routes=(), dom0='open', \
                             name=None, mtu=None, accounted=False)")]
    #[allow(clippy::too_many_arguments, reason = "they are keywords to those who call it")]
    fn routed(
        _class: &Bound<'_, PyType>,
        vif: Name,
        lock: LockArg,
        gateways: OneOrMany<Ip>,
        gateway_device: Option<Name>,
        routes: OneOrMany<Net>,
        dom0: Dom0Arg,
        name: Option<Name>,
        mtu: Option<u32>,
        accounted: bool,
    ) -> PyResult<Attachment> {
        let mut attachment = xenvnet_core::Attachment::routed(vif.0, lock.0).dom0(dom0.0).accounted(accounted);
        attachment = gateways.0.into_iter().fold(attachment, |attachment, ip| attachment.gateway(ip.0));
        attachment = gateway_device.into_iter().fold(attachment, |attachment, name| attachment.gateway_device(name.0));
        attachment = routes.0.into_iter().fold(attachment, |attachment, net| attachment.route(net.0));
        Attachment::checked(attachment, name, mtu)
    }

    /// The name that netback gave the interface.
    #[getter]
    fn vif(&self) -> &str {
        self.0.vif.as_str()
    }

    /// The bridge that it becomes a port of; None for a vif that is not bridged.
    #[getter]
    fn bridge(&self) -> Option<String> {
        match self.0.to {
            Port::Bridge { bridge, .. } => Some(bridge.to_string()),
            _ => None,
        }
    }

    /// What it may send: an Antispoof, Lock.DISABLED or Lock.UNLOCKED.
    #[getter]
    fn lock<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        lock(py, &self.0.lock)
    }

    /// The name it shall have, None to keep netback's.
    #[getter]
    fn name(&self) -> Option<&str> {
        self.0.name.as_ref().map(|name| name.as_str())
    }

    /// The name it has when it is attached.
    #[getter]
    fn final_name(&self) -> String {
        self.0.final_name().to_string()
    }

    /// Its MTU in bytes, None for the bridge's.
    #[getter]
    fn mtu(&self) -> Option<u32> {
        self.0.mtu
    }

    /// Whether it is cut off from other isolated ports of the bridge.
    #[getter]
    fn isolated(&self) -> bool {
        matches!(self.0.to, Port::Bridge { isolated: true, .. })
    }

    /// Whether dom0 leaves its bridged packets out of its table of connections.
    #[getter]
    fn untracked(&self) -> bool {
        matches!(self.0.to, Port::Bridge { untracked: true, .. })
    }

    /// Whether its traffic is counted under the name that it gets (Snapshot.accounts). Xen gives a vif
    /// another name at each start of its guest: one that is to be accounted wants a name of its own. False
    /// ends no account; Host.forget_account does.
    #[getter]
    fn accounted(&self) -> bool {
        self.0.accounted
    }

    /// Dom0's addresses on a routed one, as ipaddress addresses.
    #[getter]
    fn gateways<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyTuple>> {
        match &self.0.to {
            Port::Routed { gateways, .. } => PyTuple::new(py, gateways),
            _ => Ok(PyTuple::empty(py)),
        }
    }

    /// The interface whose addresses are the gateways of a routed one, where none are named.
    #[getter]
    fn gateway_device(&self) -> Option<String> {
        match &self.0.to {
            Port::Routed { gateway_device, .. } => gateway_device.map(|name| name.to_string()),
            _ => None,
        }
    }

    /// What is routed to a routed one, as ipaddress networks; empty for the addresses of its lock.
    #[getter]
    fn routes<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyTuple>> {
        match &self.0.to {
            Port::Routed { routes, .. } => tuple(py, routes, network),
            _ => Ok(PyTuple::empty(py)),
        }
    }

    /// What a routed one reaches on dom0 itself; None for a bridged one, where its bridge says that.
    #[getter]
    fn dom0(&self) -> Option<Dom0> {
        match &self.0.to {
            Port::Routed { dom0, .. } => Some(Dom0(dom0.clone())),
            _ => None,
        }
    }

    fn __repr__(&self, py: Python<'_>) -> PyResult<String> {
        self.call(py)?.repr()
    }

    fn __reduce__<'py>(slf: &Bound<'py, Self>) -> PyResult<Reduced<'py, Bound<'py, PyTuple>>> {
        let class = slf.get_type().into_any();
        let called = match slf.get().0.to {
            Port::Routed { .. } => class.getattr("routed")?,
            _ => class,
        };
        slf.get().call(slf.py())?.reduce(&called)
    }
}

impl Attachment {
    fn checked(mut attachment: xenvnet_core::Attachment, name: Option<Name>, mtu: Option<u32>) -> PyResult<Attachment> {
        attachment.name = name.map(|name| name.0);
        attachment.mtu = mtu;
        attachment.validate().map_err(raise)?;
        Ok(Attachment(attachment))
    }

    fn call<'py>(&self, py: Python<'py>) -> PyResult<Call<'py>> {
        let call = match &self.0.to {
            Port::Routed { gateways, routes, dom0, .. } => {
                let gateways: Vec<_> = gateways.iter().map(ToString::to_string).collect();
                let routes: Vec<_> = routes.iter().map(short).collect();
                let (no_gateways, no_routes) = (gateways.is_empty(), routes.is_empty());
                Call::new(py, "Attachment.routed", self.vif())?
                    .with("lock", self.lock(py)?, false)?
                    .with("gateways", gateways, no_gateways)?
                    .with("gateway_device", self.gateway_device(), self.gateway_device().is_none())?
                    .with("routes", routes, no_routes)?
                    .with("dom0", dom0.to_string(), *dom0 == xenvnet_core::Dom0::Open)?
            }
            _ => Call::new(py, "Attachment", self.vif())?
                .with("bridge", self.bridge(), false)?
                .with("lock", self.lock(py)?, false)?
                .with("isolated", self.isolated(), !self.isolated())?
                .with("untracked", self.untracked(), !self.untracked())?,
        };
        let sized =
            call.with("name", self.name(), self.0.name.is_none())?.with("mtu", self.0.mtu, self.0.mtu.is_none())?;
        sized.with("accounted", self.0.accounted, !self.0.accounted)
    }
}

impl<'a, 'py> FromPyObject<'a, 'py> for Attachment {
    type Error = PyErr;

    fn extract(object: Borrowed<'a, 'py, PyAny>) -> PyResult<Attachment> {
        match object.cast::<Attachment>() {
            Ok(attachment) => Ok(attachment.get().clone()),
            Err(_) => Err(wrong_type("an Attachment", &object)),
        }
    }
}
