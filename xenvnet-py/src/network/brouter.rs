//! `Brouter`.

use super::Network;
use crate::convert::{Name, Net, interface, network};
use crate::dom0::{Dom0, Dom0Arg};
use crate::value::Call;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyTuple};

/// A bridge with an address of dom0 and no physical port: guests are bridged to each other, and
/// routed to the outside by dom0 with its own address.
#[pyclass(frozen, extends = Network, module = "xenvnet")]
pub(crate) struct Brouter(pub(super) xenvnet_core::Brouter);

#[pymethods]
impl Brouter {
    #[classattr]
    fn __match_args__() -> (&'static str,) {
        ("bridge",)
    }

    #[new]
    #[pyo3(signature = (bridge, *, address, subnet = None, uplink = None, antispoof = false, dom0 = Dom0Arg::default()),
           text_signature = "(bridge, *, address, subnet=None, uplink=None, antispoof=False, dom0='open')")]
    fn new(
        bridge: Name,
        address: Net,
        subnet: Option<Net>,
        uplink: Option<Name>,
        antispoof: bool,
        dom0: Dom0Arg,
    ) -> PyResult<PyClassInitializer<Brouter>> {
        let mut brouter = xenvnet_core::Brouter::new(bridge.0, address.0).antispoof(antispoof).dom0(dom0.0);
        if let Some(subnet) = subnet {
            brouter = brouter.subnet(subnet.0);
        }
        brouter.uplink = uplink.map(|uplink| uplink.0);
        Brouter::of(brouter)
    }

    /// Dom0's address on the bridge, the guests' gateway, as an ipaddress interface.
    #[getter]
    fn address<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        interface(py, &self.0.address)
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

    /// Whether a vif without a lock is refused on this network.
    #[getter]
    fn antispoof(&self) -> bool {
        self.0.antispoof
    }

    /// What its guests reach on dom0 itself.
    #[getter]
    fn dom0(&self) -> Dom0 {
        Dom0(self.0.dom0.clone())
    }

    fn __repr__(&self, py: Python<'_>) -> PyResult<String> {
        self.call(py)?.repr()
    }

    fn __getnewargs_ex__<'py>(&self, py: Python<'py>) -> PyResult<(Bound<'py, PyTuple>, Bound<'py, PyDict>)> {
        self.call(py)?.newargs()
    }
}

impl Brouter {
    fn call<'py>(&self, py: Python<'py>) -> PyResult<Call<'py>> {
        let brouter = &self.0;
        let is_default = xenvnet_core::Brouter::new(brouter.bridge, brouter.address).subnet == brouter.subnet;
        Call::new(py, "Brouter", brouter.bridge.as_str())?
            .with("address", brouter.address.to_string(), false)?
            .with("subnet", brouter.subnet.to_string(), is_default)?
            .with("uplink", self.uplink(), brouter.uplink.is_none())?
            .with("antispoof", brouter.antispoof, !brouter.antispoof)?
            .with("dom0", brouter.dom0.to_string(), brouter.dom0 == xenvnet_core::Dom0::Open)
    }
}
