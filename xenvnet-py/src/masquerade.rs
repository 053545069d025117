//! `Masquerade`.

use crate::convert::{Name, Net, network, short};
use crate::error::raise;
use crate::value::Call;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyTuple, PyType};

/// A subnet whose guests speak to the outside with an address of dom0's.
#[pyclass(frozen, eq, hash, str = "{0}", module = "xenvnet")]
#[derive(PartialEq, Eq, Hash)]
pub(crate) struct Masquerade(pub(crate) xenvnet_core::Masquerade);

#[pymethods]
impl Masquerade {
    #[classattr]
    fn __match_args__() -> (&'static str,) {
        ("subnet",)
    }

    #[new]
    #[pyo3(signature = (subnet, *, uplink = None, everywhere = false))]
    fn new(subnet: Net, uplink: Option<Name>, everywhere: bool) -> PyResult<Masquerade> {
        let mut masquerade = xenvnet_core::Masquerade::new(subnet.0).everywhere(everywhere);
        masquerade.uplink = uplink.map(|uplink| uplink.0);
        Masquerade::checked(masquerade)
    }

    /// Reads the form that str() writes: "10.98.98.0/24 via eth0".
    #[classmethod]
    #[pyo3(signature = (text, /))]
    fn parse(_class: &Bound<'_, PyType>, text: &str) -> PyResult<Masquerade> {
        text.parse().map_err(raise).and_then(Masquerade::checked)
    }

    /// The guests' subnet, as an ipaddress network.
    #[getter]
    fn subnet<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        network(py, &self.0.subnet)
    }

    /// Only what leaves by this interface is masqueraded; None for all that leaves the subnet.
    #[getter]
    fn uplink(&self) -> Option<&str> {
        self.0.uplink.as_ref().map(|uplink| uplink.as_str())
    }

    /// Also what is sent to the subnet itself: where others of it are outside, as a part of 10.0.0.0/8
    /// may be.
    #[getter]
    fn everywhere(&self) -> bool {
        self.0.everywhere
    }

    fn __repr__(&self, py: Python<'_>) -> PyResult<String> {
        self.call(py)?.repr()
    }

    fn __getnewargs_ex__<'py>(&self, py: Python<'py>) -> PyResult<(Bound<'py, PyTuple>, Bound<'py, PyDict>)> {
        self.call(py)?.newargs()
    }
}

impl Masquerade {
    fn checked(masquerade: xenvnet_core::Masquerade) -> PyResult<Masquerade> {
        masquerade.validate().map_err(raise)?;
        Ok(Masquerade(masquerade))
    }

    fn call<'py>(&self, py: Python<'py>) -> PyResult<Call<'py>> {
        Call::new(py, "Masquerade", short(&self.0.subnet))?
            .with("uplink", self.uplink(), self.0.uplink.is_none())?
            .with("everywhere", self.0.everywhere, !self.0.everywhere)
    }
}

/// What to masquerade: a `Masquerade`, or a subnet.
pub(crate) struct MasqueradeArg(pub(crate) xenvnet_core::Masquerade);

impl<'a, 'py> FromPyObject<'a, 'py> for MasqueradeArg {
    type Error = PyErr;

    fn extract(object: Borrowed<'a, 'py, PyAny>) -> PyResult<MasqueradeArg> {
        match object.cast::<Masquerade>() {
            Ok(masquerade) => Ok(MasqueradeArg(masquerade.get().0.clone())),
            Err(_) => object.extract::<Net>().map(|net| MasqueradeArg(xenvnet_core::Masquerade::new(net.0))),
        }
    }
}
