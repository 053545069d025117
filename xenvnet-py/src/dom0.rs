//! `Dom0`: what guests may reach on dom0 itself.

use crate::convert::{OneOrMany, wrong_type};
use crate::error::raise;
use crate::value::Reduced;
use pyo3::prelude::*;
use pyo3::types::{PyString, PyTuple, PyType};
use xenvnet_core::Service;

/// What guests may reach on dom0 itself, on any of its addresses: Dom0.OPEN, Dom0.CLOSED, or these
/// services and nothing else: dhcp, dns, icmp, ntp, ra, tcp:PORT, udp:PORT. What dom0 forwards for
/// them is another matter, and answers to what dom0 began itself always arrive.
#[pyclass(frozen, eq, hash, str = "{0}", module = "xenvnet")]
#[derive(PartialEq, Eq, Hash)]
pub(crate) struct Dom0(pub(crate) xenvnet_core::Dom0);

#[pymethods]
impl Dom0 {
    #[classattr]
    fn __match_args__() -> (&'static str,) {
        ("services",)
    }

    /// Everything that dom0's own firewall lets in.
    #[classattr]
    const OPEN: Dom0 = Dom0(xenvnet_core::Dom0::Open);

    /// Nothing.
    #[classattr]
    const CLOSED: Dom0 = Dom0(xenvnet_core::Dom0::Closed);

    #[new]
    #[pyo3(signature = (services))]
    fn new(services: OneOrMany<ServiceArg>) -> PyResult<Dom0> {
        let access = xenvnet_core::Dom0::Services(services.0.into_iter().map(|service| service.0).collect());
        access.validate().map_err(raise)?;
        Ok(Dom0(access))
    }

    /// Reads the form that str() writes: "open", "closed" or "services(dns,tcp:8080)".
    #[classmethod]
    #[pyo3(signature = (text, /))]
    fn parse(_class: &Bound<'_, PyType>, text: &str) -> PyResult<Dom0> {
        text.parse().map(Dom0).map_err(raise)
    }

    /// The services that are let through, in order; none for Dom0.OPEN and Dom0.CLOSED.
    #[getter]
    fn services<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyTuple>> {
        PyTuple::new(py, self.words())
    }

    fn __repr__(&self, py: Python<'_>) -> PyResult<String> {
        Ok(match &self.0 {
            xenvnet_core::Dom0::Open => "Dom0.OPEN".to_owned(),
            xenvnet_core::Dom0::Closed => "Dom0.CLOSED".to_owned(),
            _ => format!("Dom0({})", self.words().into_pyobject(py)?.repr()?),
        })
    }

    fn __reduce__<'py>(slf: &Bound<'py, Self>) -> PyResult<Reduced<'py, (String,)>> {
        Ok((slf.get_type().getattr("parse")?, (slf.get().0.to_string(),)))
    }
}

impl Dom0 {
    fn words(&self) -> Vec<String> {
        self.0.services().iter().map(ToString::to_string).collect()
    }
}

struct ServiceArg(Service);

impl<'a, 'py> FromPyObject<'a, 'py> for ServiceArg {
    type Error = PyErr;

    fn extract(object: Borrowed<'a, 'py, PyAny>) -> PyResult<ServiceArg> {
        let word = object.cast::<PyString>().map_err(|_| wrong_type("a service of dom0's (str)", &object))?;
        word.to_cow()?.parse().map(ServiceArg).map_err(raise)
    }
}

/// What guests reach on dom0: a `Dom0`, or its text.
#[derive(Default)]
pub(crate) struct Dom0Arg(pub(crate) xenvnet_core::Dom0);

impl<'a, 'py> FromPyObject<'a, 'py> for Dom0Arg {
    type Error = PyErr;

    fn extract(object: Borrowed<'a, 'py, PyAny>) -> PyResult<Dom0Arg> {
        if let Ok(access) = object.cast::<Dom0>() {
            return Ok(Dom0Arg(access.get().0.clone()));
        }
        let text = object.cast::<PyString>().map_err(|_| {
            wrong_type("what guests reach on dom0 (Dom0, or \"open\", \"closed\" or \"services(...)\")", &object)
        })?;
        text.to_cow()?.parse().map(Dom0Arg).map_err(raise)
    }
}
