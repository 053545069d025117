//! `AdditionalPort`.

use super::Network;
use crate::convert::Name;
use crate::value::Call;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyTuple};

/// One more port for a bridge that is there: network-bridge-additional.
#[pyclass(frozen, extends = Network, module = "xenvnet")]
pub(crate) struct AdditionalPort(pub(super) xenvnet_core::AdditionalPort);

#[pymethods]
impl AdditionalPort {
    #[classattr]
    fn __match_args__() -> (&'static str,) {
        ("bridge",)
    }

    #[new]
    #[pyo3(signature = (bridge, *, port = None))]
    fn new(bridge: Name, port: Option<Name>) -> PyResult<PyClassInitializer<AdditionalPort>> {
        let mut additional = xenvnet_core::AdditionalPort::new(bridge.0);
        additional.port = port.map(|port| port.0);
        AdditionalPort::of(additional)
    }

    /// The interface; None for vif0.N, with the number that the default route's interface has in its
    /// name.
    #[getter]
    fn port(&self) -> Option<&str> {
        self.0.port.as_ref().map(|port| port.as_str())
    }

    fn __repr__(&self, py: Python<'_>) -> PyResult<String> {
        self.call(py)?.repr()
    }

    fn __getnewargs_ex__<'py>(&self, py: Python<'py>) -> PyResult<(Bound<'py, PyTuple>, Bound<'py, PyDict>)> {
        self.call(py)?.newargs()
    }
}

impl AdditionalPort {
    fn call<'py>(&self, py: Python<'py>) -> PyResult<Call<'py>> {
        Call::new(py, "AdditionalPort", self.0.bridge.as_str())?.with("port", self.port(), self.0.port.is_none())
    }
}
