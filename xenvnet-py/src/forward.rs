//! `Forward`, and the ports of dom0 that lead to guests.

use crate::convert::{Ip, Name, wrong_type};
use crate::error::raise;
use crate::value::Call;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyString, PyTuple, PyType};
use std::net::{IpAddr, SocketAddr};
use xenvnet_core::parse_socket;

/// A port of dom0 that leads to a port of a guest, for whoever connects to it on any address that
/// dom0 has: from outside, from dom0, and from other guests.
///
/// port is "tcp:8080" or "udp:53"; to is the guest's address and port, "10.98.98.2:80" or a tuple of
/// both; behind is the interface that the guest is behind, found by dom0's addresses if None.
#[pyclass(frozen, eq, hash, str = "{0}", module = "xenvnet")]
#[derive(PartialEq, Eq, Hash)]
pub(crate) struct Forward(pub(crate) xenvnet_core::Forward);

#[pymethods]
impl Forward {
    #[classattr]
    fn __match_args__() -> (&'static str, &'static str) {
        ("port", "to")
    }

    #[new]
    #[pyo3(signature = (port, *, to, behind = None))]
    fn new(port: Dom0Port, to: Socket, behind: Option<Name>) -> PyResult<Forward> {
        let mut forward = xenvnet_core::Forward::new(port.0, to.0);
        forward.behind = behind.map(|behind| behind.0);
        forward.validate().map_err(raise)?;
        Ok(Forward(forward))
    }

    /// Reads the form that str() writes: "tcp:8080 to 10.98.98.2:80 behind xenbr0".
    #[classmethod]
    #[pyo3(signature = (text, /))]
    fn parse(_class: &Bound<'_, PyType>, text: &str) -> PyResult<Forward> {
        text.parse().map(Forward).map_err(raise)
    }

    /// The port of dom0, as "tcp:8080".
    #[getter]
    fn port(&self) -> String {
        self.0.port.to_string()
    }

    /// The guest's address, an ipaddress address, and its port.
    #[getter]
    fn to(&self) -> (IpAddr, u16) {
        (self.0.to.ip(), self.0.to.port())
    }

    /// The interface that the guest is behind; None to find it by dom0's addresses.
    #[getter]
    fn behind(&self) -> Option<&str> {
        self.0.behind.as_ref().map(|behind| behind.as_str())
    }

    fn __repr__(&self, py: Python<'_>) -> PyResult<String> {
        self.call(py)?.repr()
    }

    fn __getnewargs_ex__<'py>(&self, py: Python<'py>) -> PyResult<(Bound<'py, PyTuple>, Bound<'py, PyDict>)> {
        self.call(py)?.newargs()
    }
}

impl Forward {
    fn call<'py>(&self, py: Python<'py>) -> PyResult<Call<'py>> {
        Call::new(py, "Forward", self.port())?.with("to", self.0.to.to_string(), false)?.with(
            "behind",
            self.behind(),
            self.0.behind.is_none(),
        )
    }
}

/// What leads where: a `Forward`, or its text.
pub(crate) struct ForwardArg(pub(crate) xenvnet_core::Forward);

impl<'a, 'py> FromPyObject<'a, 'py> for ForwardArg {
    type Error = PyErr;

    fn extract(object: Borrowed<'a, 'py, PyAny>) -> PyResult<ForwardArg> {
        if let Ok(forward) = object.cast::<Forward>() {
            return Ok(ForwardArg(forward.get().0.clone()));
        }
        let text =
            object.cast::<PyString>().map_err(|_| wrong_type("what leads where (Forward, or its text)", &object))?;
        text.to_cow()?.parse().map(ForwardArg).map_err(raise)
    }
}

/// A port of dom0: "tcp:8080".
pub(crate) struct Dom0Port(pub(crate) xenvnet_core::Dom0Port);

impl<'a, 'py> FromPyObject<'a, 'py> for Dom0Port {
    type Error = PyErr;

    fn extract(object: Borrowed<'a, 'py, PyAny>) -> PyResult<Dom0Port> {
        let text =
            object.cast::<PyString>().map_err(|_| wrong_type("a port of dom0's (str, such as tcp:8080)", &object))?;
        text.to_cow()?.parse().map(Dom0Port).map_err(raise)
    }
}

/// An address with a port: "10.98.98.2:80", or a tuple of both.
struct Socket(SocketAddr);

impl<'a, 'py> FromPyObject<'a, 'py> for Socket {
    type Error = PyErr;

    fn extract(object: Borrowed<'a, 'py, PyAny>) -> PyResult<Socket> {
        if let Ok(text) = object.cast::<PyString>() {
            return parse_socket(&text.to_cow()?).map(Socket).map_err(raise);
        }
        if !object.is_instance_of::<PyTuple>() {
            return Err(wrong_type("an address and port (str, or a tuple of both)", &object));
        }
        let (ip, port) = object.extract::<(Ip, u16)>()?;
        Ok(Socket(SocketAddr::new(ip.0, port)))
    }
}
