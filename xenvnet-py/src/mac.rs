//! `MacAddr`.

use crate::convert::{Ip, Mac, OneOrMany, wrong_type};
use crate::error::raise;
use crate::value::Call;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict, PyString, PyTuple, PyType};
use std::collections::BTreeSet;
use std::net::{Ipv4Addr, Ipv6Addr};
use xenvnet_core::MacPrefix;

/// An Ethernet address of six octets.
///
/// Read with colons, hyphens, dots or nothing between the digits, or from six bytes; written with
/// colons in lower case.
#[pyclass(frozen, eq, ord, hash, str = "{0}", module = "xenvnet")]
#[derive(PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct MacAddr(pub(crate) xenvnet_core::MacAddr);

#[pymethods]
impl MacAddr {
    #[classattr]
    fn __match_args__() -> (&'static str,) {
        ("packed",)
    }

    /// The address of dom0's side of every vif.
    #[classattr]
    const VIF_BACKEND: MacAddr = MacAddr(xenvnet_core::MacAddr::VIF_BACKEND);

    /// The three octets that the IEEE gave to Xen.
    #[classattr]
    #[pyo3(name = "XEN_OUI")]
    fn xen_oui(py: Python<'_>) -> Bound<'_, PyBytes> {
        PyBytes::new(py, &xenvnet_core::MacAddr::XEN_OUI)
    }

    #[new]
    #[pyo3(signature = (address, /))]
    fn new(address: &Bound<'_, PyAny>) -> PyResult<MacAddr> {
        if let Ok(mac) = address.cast::<MacAddr>() {
            return Ok(MacAddr(mac.get().0));
        }
        if let Ok(octets) = address.cast::<PyBytes>() {
            return match octets.as_bytes().try_into() {
                Ok(octets) => Ok(MacAddr(xenvnet_core::MacAddr::new(octets))),
                Err(_) => Err(crate::error::unreadable(format!(
                    "a MAC address has 6 octets, not {}",
                    octets.as_bytes().len()
                ))),
            };
        }
        let text =
            address.cast::<PyString>().map_err(|_| wrong_type("a MAC address (str, bytes or MacAddr)", address))?;
        text.to_cow()?.parse().map(MacAddr).map_err(raise)
    }

    /// The address that belongs to an IP address: the prefix and the four octets of an IPv4
    /// address, or four octets of a hash of an IPv6 address. It never changes.
    ///
    /// The prefix is two octets, locally administered and unicast; 2e:00 unless given.
    #[classmethod]
    #[pyo3(signature = (ip, *, prefix = None))]
    fn from_ip(_class: &Bound<'_, PyType>, ip: Ip, prefix: Option<&str>) -> PyResult<MacAddr> {
        let prefix = match prefix {
            Some(prefix) => prefix.parse().map_err(raise)?,
            None => MacPrefix::default(),
        };
        Ok(MacAddr(xenvnet_core::MacAddr::from_ip(ip.0, prefix)))
    }

    /// A random address from Xen's own range.
    #[classmethod]
    fn random_xen(_class: &Bound<'_, PyType>) -> PyResult<MacAddr> {
        xenvnet_core::MacAddr::random_xen().map(MacAddr).map_err(raise)
    }

    /// A random address from Xen's own range that is none of these. A ConflictError when all
    /// 16,777,216 are taken.
    #[classmethod]
    fn random_xen_avoiding(_class: &Bound<'_, PyType>, taken: OneOrMany<Mac>) -> PyResult<MacAddr> {
        xenvnet_core::MacAddr::random_xen_avoiding(&set(taken)).map(MacAddr).map_err(raise)
    }

    /// A random locally administered address that is none of these: 46 bits are drawn, so that it is
    /// the better choice where no prefix is asked for.
    #[classmethod]
    fn random_local_avoiding(_class: &Bound<'_, PyType>, taken: OneOrMany<Mac>) -> PyResult<MacAddr> {
        xenvnet_core::MacAddr::random_local_avoiding(&set(taken)).map(MacAddr).map_err(raise)
    }

    /// The chance that among count addresses, drawn at random over this many bits, two are the same:
    /// 0 to 1. random_xen draws 24 bits, libxl and xend 23, random_local_avoiding 46.
    #[staticmethod]
    #[pyo3(signature = (count, *, bits))]
    fn collision_odds(count: u64, bits: u32) -> f64 {
        xenvnet_core::MacAddr::collision_odds(count, bits)
    }

    /// The six octets in the order they travel.
    #[getter]
    fn packed<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
        PyBytes::new(py, &self.0.octets())
    }

    /// Whether it can be the address of one interface.
    #[getter]
    fn is_unicast(&self) -> bool {
        self.0.is_unicast()
    }

    /// Whether it is locally administered, not a manufacturer's.
    #[getter]
    fn is_local(&self) -> bool {
        self.0.is_local()
    }

    /// Whether it is from Xen's own range.
    #[getter]
    fn is_xen(&self) -> bool {
        self.0.is_xen()
    }

    /// The IPv4 address that from_ip would have made it from; None for a manufacturer's.
    #[getter]
    fn ipv4(&self) -> Option<Ipv4Addr> {
        self.0.ipv4()
    }

    /// The IPv6 link-local address that follows from it (EUI-64).
    #[getter]
    fn link_local(&self) -> Ipv6Addr {
        self.0.link_local()
    }

    fn __bytes__<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
        self.packed(py)
    }

    fn __repr__(&self, py: Python<'_>) -> PyResult<String> {
        self.call(py)?.repr()
    }

    fn __getnewargs_ex__<'py>(&self, py: Python<'py>) -> PyResult<(Bound<'py, PyTuple>, Bound<'py, PyDict>)> {
        self.call(py)?.newargs()
    }
}

impl MacAddr {
    fn call<'py>(&self, py: Python<'py>) -> PyResult<Call<'py>> {
        Call::new(py, "MacAddr", self.0.to_string())
    }
}

fn set(macs: OneOrMany<Mac>) -> BTreeSet<xenvnet_core::MacAddr> {
    macs.0.into_iter().map(|mac| mac.0).collect()
}
