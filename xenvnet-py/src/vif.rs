//! `VifId`.

use crate::convert::{Ip, interface};
use crate::error::{raise, unmeant};
use crate::value::Call;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyTuple, PyType};
use std::net::{IpAddr, Ipv4Addr};

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

    /// The largest domain id of a guest.
    #[classattr]
    const MAX_DOMID: u16 = xenvnet_core::VifId::MAX_DOMID;

    /// The largest device id whose emulated name still fits an interface name.
    #[classattr]
    const MAX_DEVID: u16 = xenvnet_core::VifId::MAX_DEVID;

    /// The address that vif-nat makes from the two numbers, as an ipaddress interface.
    #[getter]
    fn nat_address<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        interface(py, &self.0.nat_address().into())
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

/// Dom0's address towards the guest of this IPv4 address, as vif-nat has it: the last octet and 127, or
/// less 127 from 128 on. Never the guest's own.
///
/// >>> from xenvnet import nat_gateway
/// >>> nat_gateway("10.0.0.1"), nat_gateway("10.0.0.200")
/// (IPv4Address('10.0.0.128'), IPv4Address('10.0.0.73'))
#[pyfunction]
#[pyo3(signature = (guest, /))]
pub(crate) fn nat_gateway(guest: Ip) -> PyResult<Ipv4Addr> {
    match guest.0 {
        IpAddr::V4(guest) => Ok(xenvnet_core::nat_gateway(guest)),
        IpAddr::V6(guest) => Err(unmeant(format!("{guest} is no IPv4 address; vif-nat has no others"))),
    }
}
