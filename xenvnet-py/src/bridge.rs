//! `Bridge`.

use crate::convert::{Mac, Name, Net, OneOrMany, interface, tuple, wrong_type};
use crate::error::raise;
use crate::mac::MacAddr;
use crate::value::Call;
use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyTuple};

/// A bridge as it should be. What is None stays as it is.
#[pyclass(frozen, eq, hash, module = "xenvnet")]
#[derive(PartialEq, Eq, Hash)]
pub(crate) struct Bridge(pub(crate) xenvnet_core::Bridge);

#[pymethods]
impl Bridge {
    #[classattr]
    fn __match_args__() -> (&'static str,) {
        ("name",)
    }

    #[new]
    #[pyo3(signature = (name, *, mac = None, mtu = None, stp = false, addresses = OneOrMany::default()),
           text_signature = "(name, *, mac=None, mtu=None, stp=False, addresses=())")]
    fn new(name: Name, mac: Option<Mac>, mtu: Option<u32>, stp: bool, addresses: OneOrMany<Net>) -> PyResult<Bridge> {
        let mut bridge = xenvnet_core::Bridge::new(name.0).stp(stp);
        bridge.mac = mac.map(|mac| mac.0);
        bridge.mtu = mtu;
        bridge.addresses = addresses.0.into_iter().map(|net| net.0).collect();
        bridge.validate().map_err(raise)?;
        Ok(Bridge(bridge))
    }

    /// Its name.
    #[getter]
    fn name(&self) -> &str {
        self.0.name.as_str()
    }

    /// Its MAC address; None for one that follows from the host and the name.
    #[getter]
    fn mac(&self) -> Option<MacAddr> {
        self.0.mac.map(MacAddr)
    }

    /// Its MTU in bytes.
    #[getter]
    fn mtu(&self) -> Option<u32> {
        self.0.mtu
    }

    /// Whether it takes part in the spanning tree protocol.
    #[getter]
    fn stp(&self) -> bool {
        self.0.stp
    }

    /// Addresses of dom0 on it, as ipaddress interfaces.
    #[getter]
    fn addresses<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyTuple>> {
        tuple(py, &self.0.addresses, interface)
    }

    fn __repr__(&self, py: Python<'_>) -> PyResult<String> {
        self.call(py)?.repr()
    }

    fn __getnewargs_ex__<'py>(&self, py: Python<'py>) -> PyResult<(Bound<'py, PyTuple>, Bound<'py, PyDict>)> {
        self.call(py)?.newargs()
    }
}

impl Bridge {
    fn call<'py>(&self, py: Python<'py>) -> PyResult<Call<'py>> {
        let addresses: Vec<_> = self.0.addresses.iter().map(ToString::to_string).collect();
        Call::new(py, "Bridge", self.name())?
            .with("mac", self.0.mac.map(|mac| mac.to_string()), self.0.mac.is_none())?
            .with("mtu", self.0.mtu, self.0.mtu.is_none())?
            .with("stp", self.0.stp, !self.0.stp)?
            .with("addresses", addresses, self.0.addresses.is_empty())
    }
}

/// A bridge to create: a `Bridge`, or the name of one that is as bridges of Xen hosts are.
pub(crate) struct BridgeArg(pub(crate) xenvnet_core::Bridge);

impl<'a, 'py> FromPyObject<'a, 'py> for BridgeArg {
    type Error = PyErr;

    fn extract(object: Borrowed<'a, 'py, PyAny>) -> PyResult<BridgeArg> {
        if let Ok(bridge) = object.cast::<Bridge>() {
            return Ok(BridgeArg(bridge.get().0.clone()));
        }
        match object.extract::<Name>() {
            Ok(name) => Ok(BridgeArg(xenvnet_core::Bridge::new(name.0))),
            Err(error) if error.is_instance_of::<PyTypeError>(object.py()) => {
                Err(wrong_type("a bridge (Bridge, or its name as str)", &object))
            }
            Err(error) => Err(error),
        }
    }
}
