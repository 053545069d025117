//! `BridgedNetwork` and `ShadowNetwork`: bridges that take over their uplinks.

use super::Network;
use super::uplink::{UplinkArg, uplink as uplink_of};
use crate::convert::{Name, OneOrMany};
use crate::value::Call;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyTuple};
use xenvnet_core::Uplink;

/// A bridge that takes over an uplink with all that dom0 has on it: network-bridge. Without a name of
/// its own it gets that of its uplink, and the card is called p<name>.
///
/// The uplink is an interface's name, Uplink.NOTHING for a bridge between guests and dom0 alone, or
/// None for the interface of the default route.
#[pyclass(frozen, extends = Network, module = "xenvnet")]
pub(crate) struct BridgedNetwork(pub(super) xenvnet_core::BridgedNetwork);

#[pymethods]
impl BridgedNetwork {
    #[classattr]
    fn __match_args__() -> (&'static str,) {
        ("uplink",)
    }

    #[new]
    #[pyo3(signature = (uplink = UplinkArg::default(), *, bridge = None, antispoof = false),
           text_signature = "(uplink=None, *, bridge=None, antispoof=False)")]
    fn new(uplink: UplinkArg, bridge: Option<Name>, antispoof: bool) -> PyResult<PyClassInitializer<BridgedNetwork>> {
        let mut bridged = xenvnet_core::BridgedNetwork::new(uplink.0).antispoof(antispoof);
        bridged.bridge = bridge.map(|bridge| bridge.0);
        BridgedNetwork::of(bridged)
    }

    /// What leads outside: an interface's name, Uplink.NOTHING, or None for the default route's.
    #[getter]
    fn uplink<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        uplink_of(py, &self.0.uplink)
    }

    /// Whether a vif without a lock is refused on this network.
    #[getter]
    fn antispoof(&self) -> bool {
        self.0.antispoof
    }

    fn __repr__(&self, py: Python<'_>) -> PyResult<String> {
        self.call(py)?.repr()
    }

    fn __getnewargs_ex__<'py>(&self, py: Python<'py>) -> PyResult<(Bound<'py, PyTuple>, Bound<'py, PyDict>)> {
        self.call(py)?.newargs()
    }
}

impl BridgedNetwork {
    fn call<'py>(&self, py: Python<'py>) -> PyResult<Call<'py>> {
        let bridge = self.0.bridge.as_ref().map(|bridge| bridge.as_str());
        Call::plain(py, "BridgedNetwork")
            .with("uplink", self.uplink(py)?, self.0.uplink == Uplink::Default)?
            .with("bridge", bridge, bridge.is_none())?
            .with("antispoof", self.0.antispoof, !self.0.antispoof)
    }
}

/// For each of some cards, a bridge that takes over the card's name and all that dom0 has on it, and
/// the card is called s<name>: bridge-shadow. Each runs, and is stopped, for itself.
#[pyclass(frozen, extends = Network, module = "xenvnet")]
pub(crate) struct ShadowNetwork(pub(super) xenvnet_core::ShadowNetwork);

#[pymethods]
impl ShadowNetwork {
    #[classattr]
    fn __match_args__() -> (&'static str,) {
        ("uplinks",)
    }

    #[new]
    fn new(uplinks: OneOrMany<Name>) -> PyResult<PyClassInitializer<ShadowNetwork>> {
        ShadowNetwork::of(xenvnet_core::ShadowNetwork::new(uplinks.0.into_iter().map(|uplink| uplink.0)))
    }

    /// The cards, by the names that their bridges get.
    #[getter]
    fn uplinks<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyTuple>> {
        PyTuple::new(py, self.names())
    }

    fn __repr__(&self, py: Python<'_>) -> PyResult<String> {
        Call::new(py, "ShadowNetwork", self.names())?.repr()
    }

    fn __getnewargs__<'py>(&self, py: Python<'py>) -> PyResult<(Bound<'py, PyTuple>,)> {
        Ok((self.uplinks(py)?,))
    }
}

impl ShadowNetwork {
    fn names(&self) -> Vec<&str> {
        self.0.uplinks.iter().map(|uplink| uplink.as_str()).collect()
    }
}
