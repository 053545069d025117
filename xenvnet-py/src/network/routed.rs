//! `RoutedNetwork` and `NatNetwork`: networks whose guests are on no bridge.

use super::Network;
use super::uplink::{UplinkArg, uplink as uplink_of};
use crate::convert::{Net, OneOrMany, network as network_of, tuple};
use crate::value::Call;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyTuple};
use xenvnet_core::Uplink;

/// Dom0 forwards, and answers on the uplink for the addresses of its guests (proxy ARP, proxy NDP):
/// network-route.
#[pyclass(frozen, extends = Network, module = "xenvnet")]
pub(crate) struct RoutedNetwork(pub(super) xenvnet_core::RoutedNetwork);

#[pymethods]
impl RoutedNetwork {
    #[classattr]
    fn __match_args__() -> (&'static str,) {
        ("uplink",)
    }

    #[new]
    #[pyo3(signature = (uplink = UplinkArg::default(), *, ipv6 = None, antispoof = false),
           text_signature = "(uplink=None, *, ipv6=None, antispoof=False)")]
    fn new(uplink: UplinkArg, ipv6: Option<bool>, antispoof: bool) -> PyResult<PyClassInitializer<RoutedNetwork>> {
        let mut routed = xenvnet_core::RoutedNetwork::new(uplink.0).antispoof(antispoof);
        routed.ipv6 = ipv6;
        RoutedNetwork::of(routed)
    }

    /// The interface that leads outside; None for that of the default route.
    #[getter]
    fn uplink<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        uplink_of(py, &self.0.uplink)
    }

    /// Whether IPv6 is forwarded too; None for where the uplink has a global IPv6 address.
    #[getter]
    fn ipv6(&self) -> Option<bool> {
        self.0.ipv6
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

impl RoutedNetwork {
    fn call<'py>(&self, py: Python<'py>) -> PyResult<Call<'py>> {
        Call::plain(py, "RoutedNetwork")
            .with("uplink", self.uplink(py)?, self.0.uplink == Uplink::Default)?
            .with("ipv6", self.0.ipv6, self.0.ipv6.is_none())?
            .with("antispoof", self.0.antispoof, !self.0.antispoof)
    }
}

/// Dom0 forwards, and its guests speak to the outside with dom0's address: network-nat. A host with
/// several uplinks has a network for each.
#[pyclass(frozen, extends = Network, module = "xenvnet")]
pub(crate) struct NatNetwork(pub(super) xenvnet_core::NatNetwork);

#[pymethods]
impl NatNetwork {
    #[classattr]
    fn __match_args__() -> (&'static str,) {
        ("uplink",)
    }

    #[new]
    #[pyo3(signature = (uplink = UplinkArg::default(), *, subnets = OneOrMany::default(), antispoof = false),
           text_signature = "(uplink=None, *, subnets=(), antispoof=False)")]
    fn new(uplink: UplinkArg, subnets: OneOrMany<Net>, antispoof: bool) -> PyResult<PyClassInitializer<NatNetwork>> {
        let nat = xenvnet_core::NatNetwork::new(uplink.0).antispoof(antispoof);
        NatNetwork::of(subnets.0.into_iter().fold(nat, |nat, subnet| nat.subnet(subnet.0)))
    }

    /// The interface that leads outside; None for that of the default route.
    #[getter]
    fn uplink<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        uplink_of(py, &self.0.uplink)
    }

    /// The guests' subnets, as ipaddress networks; none for 10.0.0.0/8.
    #[getter]
    fn subnets<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyTuple>> {
        tuple(py, &self.0.subnets, network_of)
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

impl NatNetwork {
    fn call<'py>(&self, py: Python<'py>) -> PyResult<Call<'py>> {
        let subnets: Vec<_> = self.0.subnets.iter().map(ToString::to_string).collect();
        Call::plain(py, "NatNetwork")
            .with("uplink", self.uplink(py)?, self.0.uplink == Uplink::Default)?
            .with("subnets", subnets, self.0.subnets.is_empty())?
            .with("antispoof", self.0.antispoof, !self.0.antispoof)
    }
}
