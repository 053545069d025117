//! `VifId` and `Attachment`.

use crate::antispoof::{LockArg, lock};
use crate::convert::Name;
use crate::error::raise;
use crate::value::Call;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyTuple, PyType};
use xenvnet_core::Port;

/// A guest's interface by the numbers that Xen gives it.
#[pyclass(frozen, eq, ord, hash, str = "{0}", module = "xenvnet")]
#[derive(PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct VifId(pub(crate) xenvnet_core::VifId);

#[pymethods]
impl VifId {
    #[classattr]
    fn __match_args__() -> (&'static str, &'static str) {
        ("domid", "devid")
    }

    #[new]
    #[pyo3(signature = (domid, *, devid))]
    fn new(domid: u16, devid: u16) -> PyResult<VifId> {
        xenvnet_core::VifId::new(domid, devid).map(VifId).map_err(raise)
    }

    /// Reads "vif5.0" or "vif5.0-emu".
    #[classmethod]
    #[pyo3(signature = (name, /))]
    fn parse(_class: &Bound<'_, PyType>, name: &str) -> PyResult<VifId> {
        name.parse().map(VifId).map_err(raise)
    }

    /// The guest.
    #[getter]
    fn domid(&self) -> u16 {
        self.0.domid()
    }

    /// Which of the guest's interfaces.
    #[getter]
    fn devid(&self) -> u16 {
        self.0.devid()
    }

    /// The name that netback gives it: vif5.0.
    #[getter]
    fn ifname(&self) -> String {
        self.0.ifname().to_string()
    }

    /// The name of its emulated twin: vif5.0-emu.
    #[getter]
    fn emulated_ifname(&self) -> String {
        self.0.emulated_ifname().to_string()
    }

    fn __repr__(&self, py: Python<'_>) -> PyResult<String> {
        self.call(py)?.repr()
    }

    fn __getnewargs_ex__<'py>(&self, py: Python<'py>) -> PyResult<(Bound<'py, PyTuple>, Bound<'py, PyDict>)> {
        self.call(py)?.newargs()
    }
}

impl VifId {
    fn call<'py>(&self, py: Python<'py>) -> PyResult<Call<'py>> {
        Call::new(py, "VifId", self.domid())?.with("devid", self.devid(), false)
    }
}

/// A vif as a toolstack wants it: named, sized, locked, on a bridge and up.
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
    #[pyo3(signature = (vif, *, bridge, lock, name = None, mtu = None, isolated = false))]
    fn new(
        vif: Name,
        bridge: Name,
        lock: LockArg,
        name: Option<Name>,
        mtu: Option<u32>,
        isolated: bool,
    ) -> PyResult<Attachment> {
        let mut attachment = xenvnet_core::Attachment::bridged(vif.0, bridge.0, lock.0).isolated(isolated);
        attachment.name = name.map(|name| name.0);
        attachment.mtu = mtu;
        attachment.validate().map_err(raise)?;
        Ok(Attachment(attachment))
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

    fn __repr__(&self, py: Python<'_>) -> PyResult<String> {
        self.call(py)?.repr()
    }

    fn __getnewargs_ex__<'py>(&self, py: Python<'py>) -> PyResult<(Bound<'py, PyTuple>, Bound<'py, PyDict>)> {
        self.call(py)?.newargs()
    }
}

impl Attachment {
    fn call<'py>(&self, py: Python<'py>) -> PyResult<Call<'py>> {
        Call::new(py, "Attachment", self.vif())?
            .with("bridge", self.bridge(), false)?
            .with("lock", self.lock(py)?, false)?
            .with("name", self.name(), self.0.name.is_none())?
            .with("mtu", self.0.mtu, self.0.mtu.is_none())?
            .with("isolated", self.isolated(), !self.isolated())
    }
}

impl<'a, 'py> FromPyObject<'a, 'py> for Attachment {
    type Error = PyErr;

    fn extract(object: Borrowed<'a, 'py, PyAny>) -> PyResult<Attachment> {
        match object.cast::<Attachment>() {
            Ok(attachment) => Ok(attachment.get().clone()),
            Err(_) => Err(crate::convert::wrong_type("an Attachment", &object)),
        }
    }
}
