//! `Network` and its kinds.

use crate::convert::{Name, Net, interface, network, wrong_type};
use crate::dom0::{Dom0, Dom0Arg};
use crate::error::raise;
use crate::value::Call;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyString, PyTuple, PyType};

/// A network that a host runs for its guests; Network.parse gives one of its kinds.
///
/// str() gives the line that xend-config.sxp has between the quotes of network-script.
#[pyclass(frozen, subclass, eq, hash, str = "{0}", module = "xenvnet")]
#[derive(PartialEq, Eq, Hash)]
pub(crate) struct Network(pub(crate) xenvnet_core::Network);

#[pymethods]
impl Network {
    /// Reads a network-script line: "network-virtual bridgeip=10.98.98.1/24 brnet=10.98.98.0/24".
    #[classmethod]
    #[pyo3(signature = (line, /))]
    fn parse<'py>(class: &Bound<'py, PyType>, line: &str) -> PyResult<Bound<'py, PyAny>> {
        object(class.py(), line.parse().map_err(raise)?)
    }

    /// The bridge that the network stands or falls with.
    #[getter]
    fn bridge(&self) -> String {
        self.0.bridge_name().to_string()
    }

    /// Whether a vif without a lock is refused on this network.
    #[getter]
    fn demands_lock(&self) -> bool {
        self.0.demands_lock()
    }
}

/// A bridge with an address of dom0 and no physical port: guests are bridged to each other, and
/// routed to the outside by dom0 with its own address.
#[pyclass(frozen, extends = Network, module = "xenvnet")]
pub(crate) struct Brouter(xenvnet_core::Brouter);

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
        brouter.validate().map_err(raise)?;
        Ok(PyClassInitializer::from(Network(brouter.clone().into())).add_subclass(Brouter(brouter)))
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

/// The network as an object of its kind.
pub(crate) fn object<'py>(py: Python<'py>, network: xenvnet_core::Network) -> PyResult<Bound<'py, PyAny>> {
    let kind = match &network {
        xenvnet_core::Network::Brouter(brouter) => Some(Brouter(brouter.clone())),
        _ => None,
    };
    let base = PyClassInitializer::from(Network(network));
    match kind {
        Some(brouter) => Ok(Bound::new(py, base.add_subclass(brouter))?.into_any()),
        None => Ok(Bound::new(py, base)?.into_any()),
    }
}

/// A network to start or stop: a `Network`, or its line.
pub(crate) struct NetworkArg(pub(crate) xenvnet_core::Network);

impl<'a, 'py> FromPyObject<'a, 'py> for NetworkArg {
    type Error = PyErr;

    fn extract(object: Borrowed<'a, 'py, PyAny>) -> PyResult<NetworkArg> {
        if let Ok(network) = object.cast::<Network>() {
            return Ok(NetworkArg(network.get().0.clone()));
        }
        let line =
            object.cast::<PyString>().map_err(|_| wrong_type("a network (Network, or its line as str)", &object))?;
        line.to_cow()?.parse().map(NetworkArg).map_err(raise)
    }
}
