//! `Network` and its kinds.

mod additional;
mod bridged;
mod brouter;
mod routed;
mod uplink;

pub(crate) use additional::AdditionalPort;
pub(crate) use bridged::{BridgedNetwork, ShadowNetwork};
pub(crate) use brouter::Brouter;
pub(crate) use routed::{NatNetwork, RoutedNetwork};

use crate::convert::wrong_type;
use crate::error::{raise, unmeant};
use crate::line::Text;
use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;
use pyo3::types::{PyTuple, PyType};
use xenvnet_core::Network as Core;

/// A network that a host runs for its guests; Network.parse gives one of its kinds.
///
/// str() gives the line that xend-config.sxp has between the quotes of network-script.
#[pyclass(frozen, subclass, eq, hash, str = "{0}", module = "xenvnet")]
#[derive(PartialEq, Eq, Hash)]
pub(crate) struct Network(pub(crate) Core);

#[pymethods]
impl Network {
    /// Reads a network-script line: "network-virtual bridgeip=10.98.98.1/24 brnet=10.98.98.0/24".
    #[classmethod]
    #[pyo3(signature = (line, /))]
    fn parse<'py>(class: &Bound<'py, PyType>, line: Text) -> PyResult<Bound<'py, PyAny>> {
        object(class.py(), line.read(str::parse)?)
    }

    /// The bridge that its guests are on; None where they are on none, and where the line leaves its
    /// name to the host.
    #[getter]
    fn bridge(&self) -> Option<String> {
        self.0.bridge().map(|bridge| bridge.to_string())
    }

    /// What it is known by while it runs, as in Snapshot.networks: "xenbr0", "route:eth0", "nat:eth0";
    /// None for nothing, and where the line leaves that to the host.
    #[getter]
    fn id(&self) -> Option<String> {
        self.0.id().map(|id| id.to_string())
    }

    /// The interfaces that lead outside, by the names that they have as ports of its bridge.
    #[getter]
    fn cards<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyTuple>> {
        PyTuple::new(py, self.0.cards().iter().map(|name| name.as_str()))
    }

    /// Whether a vif without a lock is refused on this network.
    #[getter]
    fn demands_lock(&self) -> bool {
        self.0.demands_lock()
    }
}

/// Nothing at all: network-dummy, or any line with bridge=null.
#[pyclass(frozen, extends = Network, module = "xenvnet")]
pub(crate) struct NoNetwork;

#[pymethods]
impl NoNetwork {
    #[new]
    fn new() -> PyClassInitializer<NoNetwork> {
        NoNetwork::of(Core::Nothing)
    }

    fn __repr__(&self) -> &'static str {
        "NoNetwork()"
    }

    fn __getnewargs__<'py>(&self, py: Python<'py>) -> Bound<'py, PyTuple> {
        PyTuple::empty(py)
    }
}

impl NoNetwork {
    fn of(network: Core) -> PyClassInitializer<NoNetwork> {
        PyClassInitializer::from(Network(network)).add_subclass(NoNetwork)
    }
}

macro_rules! kinds {
    ($($class:ident($mode:ident)),*) => {
        $(impl $class {
            fn of(network: impl Into<Core>) -> PyResult<PyClassInitializer<$class>> {
                let network = read_back(network.into())?;
                let Core::$mode(kind) = network.clone() else { return Err(another(&network)) };
                Ok(PyClassInitializer::from(Network(network)).add_subclass($class(kind)))
            }
        })*

        /// The network as an object of its kind.
        pub(crate) fn object<'py>(py: Python<'py>, network: Core) -> PyResult<Bound<'py, PyAny>> {
            Ok(match network {
                $(Core::$mode(_) => Bound::new(py, $class::of(network)?)?.into_any(),)*
                Core::Nothing => Bound::new(py, NoNetwork::of(network))?.into_any(),
                other => Bound::new(py, Network(other))?.into_any(),
            })
        }
    };
}
kinds!(
    Brouter(Brouter),
    BridgedNetwork(Bridge),
    ShadowNetwork(Shadow),
    RoutedNetwork(Route),
    NatNetwork(Nat),
    AdditionalPort(Additional)
);

/// A network as its line has it: what no line says cannot be meant.
fn read_back(network: Core) -> PyResult<Core> {
    network.to_string().parse().map_err(raise)
}

/// Where the line of one kind is read as another: a bridge named null is none.
fn another(read: &Core) -> PyErr {
    unmeant(format!("no such network can be written as a line: it would be read as \"{read}\""))
}

/// A network to start or stop: a `Network`, or its line.
pub(crate) struct NetworkArg(pub(crate) Core);

impl<'a, 'py> FromPyObject<'a, 'py> for NetworkArg {
    type Error = PyErr;

    fn extract(object: Borrowed<'a, 'py, PyAny>) -> PyResult<NetworkArg> {
        if let Ok(network) = object.cast::<Network>() {
            return Ok(NetworkArg(network.get().0.clone()));
        }
        match object.extract::<Text>() {
            Ok(line) => line.read(str::parse).map(NetworkArg),
            Err(error) if error.is_instance_of::<PyTypeError>(object.py()) => {
                Err(wrong_type("a network (Network, or its line as str)", &object))
            }
            Err(error) => Err(error),
        }
    }
}
