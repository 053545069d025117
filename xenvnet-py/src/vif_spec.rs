//! `VifSpec`: a vif as a guest's configuration asks for it.

use crate::attachment::Attachment;
use crate::convert::{Name, network, tuple};
use crate::error::raise;
use crate::json;
use crate::line::Text;
use crate::mac::MacAddr;
use crate::rate::Rate;
use crate::value::{Reduced, parsed_repr};
use crate::vif_script::VifDefaults;
use crate::vlan::{OvsBridge, VlanSpec};
use pyo3::prelude::*;
use pyo3::types::{PyTuple, PyType};
use std::collections::BTreeMap;
use xenvnet_core::{Error, Strictness, VifSpec as Core};

/// A vif as a string of vif = [ ... ] in a guest's configuration asks for it, for xl or for xm. None
/// and an empty tuple are the toolstack's defaults; "" is all of them.
///
/// str() writes it as xl reads it.
///
/// >>> from xenvnet import VifSpec
/// >>> spec = VifSpec.parse("mac=00:16:3e:00:00:01, ip=10.98.98.2, vifname=web")
/// >>> spec.attachment("vif1.0").lock
/// Antispoof('00:16:3e:00:00:01', ips=['10.98.98.2'], dhcp_client=True)
#[pyclass(frozen, eq, hash, str = "{0}", module = "xenvnet")]
#[derive(PartialEq, Eq, Hash)]
pub(crate) struct VifSpec(pub(crate) Core);

#[pymethods]
impl VifSpec {
    /// Reads a string of xl's, strictly: as from_xl, and the VifSpec alone.
    #[classmethod]
    #[pyo3(signature = (text, /))]
    fn parse(_class: &Bound<'_, PyType>, text: Text) -> PyResult<VifSpec> {
        text.read(str::parse).map(VifSpec)
    }

    /// Reads a string of xl's, as in xl-network-configuration(5): the VifSpec, and the errors that
    /// leniency forgave.
    ///
    /// A ParseError with its offset; an InvalidArgumentError, with it, for a MAC or IP address that no
    /// guest can have. If lenient, an unknown key, one that is given twice and one without a value are
    /// forgiven, as by xl, which starts a guest with a mistyped ip= without a lock.
    ///
    /// >>> from xenvnet import VifSpec
    /// >>> spec, (warning,) = VifSpec.from_xl("iP=10.0.0.1", lenient=True)
    /// >>> spec.ips, str(warning), warning.offset
    /// ((), 'vif: unknown key "iP" at byte 0; did you mean "ip"?', 0)
    #[classmethod]
    #[pyo3(signature = (text, /, *, lenient = false))]
    fn from_xl<'py>(class: &Bound<'py, PyType>, text: Text, lenient: bool) -> PyResult<Forgiven<'py>> {
        read(class.py(), &text, lenient, Core::from_xl)
    }

    /// Reads a string of xm's: as xl's, with fewer keys and another grammar of rates.
    #[classmethod]
    #[pyo3(signature = (text, /, *, lenient = false))]
    fn from_xm<'py>(class: &Bound<'py, PyType>, text: Text, lenient: bool) -> PyResult<Forgiven<'py>> {
        read(class.py(), &text, lenient, Core::from_xm)
    }

    /// What is to be attached for this interface, by its present name. The script says where it leads,
    /// and the lock follows from the addresses: with mac and ips nothing else leaves; with mac alone
    /// any address does, from this MAC; with neither it is Lock.UNLOCKED. A DHCP client is let through.
    ///
    /// An UnsupportedError for what is unenforceable; if lenient, that is left out. An
    /// InvalidArgumentError for ips without mac, and for a routed guest without either.
    #[pyo3(signature = (vif, /, *, defaults = None, lenient = false))]
    fn attachment(&self, vif: Name, defaults: Option<&Bound<'_, VifDefaults>>, lenient: bool) -> PyResult<Attachment> {
        let xens = xenvnet_core::VifDefaults::new();
        let defaults = defaults.map_or(&xens, |defaults| &defaults.get().0);
        self.0.attachment(vif.0, defaults, strictness(lenient)).map(Attachment).map_err(raise)
    }

    /// What it asks for and nobody here can see to, as "KEY=VALUE": VLANs, Open vSwitch's bridges,
    /// COLO, a script that is none of Xen's three, a backend that is another domain.
    #[getter]
    fn unenforceable<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyTuple>> {
        PyTuple::new(py, self.0.unenforceable())
    }

    /// The guest's MAC address; without one the toolstack makes one up.
    #[getter]
    fn mac(&self) -> Option<MacAddr> {
        self.0.mac.map(MacAddr)
    }

    /// The bridge.
    #[getter]
    fn bridge(&self) -> Option<&str> {
        self.0.bridge.as_ref().map(|name| name.as_str())
    }

    /// The bridge, where it is one of Open vSwitch's; then bridge is None.
    #[getter]
    fn ovs_bridge(&self) -> Option<OvsBridge> {
        self.0.ovs_bridge.clone().map(OvsBridge)
    }

    /// The guest's IP addresses and prefixes, as ipaddress networks.
    #[getter]
    fn ips<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyTuple>> {
        tuple(py, &self.0.ips, network)
    }

    /// What dom0's interface is to be called: vifname=.
    #[getter]
    fn name(&self) -> Option<&str> {
        self.0.name.as_ref().map(|name| name.as_str())
    }

    /// The hotplug script as it is written; VifScript.parse reads the known ones.
    #[getter]
    fn script(&self) -> Option<&str> {
        self.0.script.as_deref()
    }

    /// The interface of dom0 that has the address which routed guests have as their gateway.
    #[getter]
    fn gateway_device(&self) -> Option<&str> {
        self.0.gateway_device.as_ref().map(|name| name.as_str())
    }

    /// Which cards the guest has: paravirtual for that alone, or emulated for one besides.
    #[getter]
    fn card(&self) -> PyResult<Option<String>> {
        self.0.card.as_ref().map(json::word).transpose()
    }

    /// What the emulated card is, as the device model calls it.
    #[getter]
    fn model(&self) -> Option<&str> {
        self.0.model.as_deref()
    }

    /// How fast the guest may send.
    #[getter]
    fn rate(&self) -> Option<Rate> {
        self.0.rate.map(Rate)
    }

    /// The MTU in bytes, 68 to 65,535; None for that of the bridge.
    #[getter]
    fn mtu(&self) -> Option<u32> {
        self.0.mtu
    }

    /// The VLANs.
    #[getter]
    fn vlan(&self) -> Option<VlanSpec> {
        self.0.vlan.clone().map(VlanSpec)
    }

    /// The number of the device, 0 to 99; None for its place in the list.
    #[getter]
    fn devid(&self) -> Option<u16> {
        self.0.devid
    }

    /// The domain that has the other end, by name or number; None for dom0.
    #[getter]
    fn backend(&self) -> Option<&str> {
        self.0.backend.as_deref()
    }

    /// Whether the guest is told to trust the backend; it is where nothing is said.
    #[getter]
    fn trusted(&self) -> Option<bool> {
        self.0.trusted
    }

    /// The rest, word for word: accel, xm's policy and label, and what COLO wants.
    #[getter]
    fn others(&self) -> BTreeMap<String, String> {
        self.0.others.clone()
    }

    /// Reads what to_json wrote.
    #[classmethod]
    #[pyo3(signature = (text, /))]
    fn from_json(_class: &Bound<'_, PyType>, text: &str) -> PyResult<VifSpec> {
        xenvnet_core::VifSpec::from_json(text).map(VifSpec).map_err(raise)
    }

    /// One JSON object, with null for what is not said.
    fn to_json(&self) -> PyResult<String> {
        json::write(&self.0)
    }

    fn __repr__(&self, py: Python<'_>) -> PyResult<String> {
        let text = self.0.to_string();
        match text.parse() {
            Ok(read) if self.0 == read => parsed_repr(py, "VifSpec", &text),
            // What only xm has a word for.
            _ => json::repr(py, "VifSpec", &self.0),
        }
    }

    fn __reduce__<'py>(slf: &Bound<'py, Self>) -> PyResult<Reduced<'py, (String,)>> {
        json::reduce(slf.as_any(), &slf.get().0)
    }
}

/// What was read, and what leniency forgave.
type Forgiven<'py> = (VifSpec, Bound<'py, PyTuple>);

fn read<'py>(
    py: Python<'py>,
    text: &Text,
    lenient: bool,
    read: impl FnOnce(&str, Strictness) -> xenvnet_core::Result<(Core, Vec<Error>)>,
) -> PyResult<Forgiven<'py>> {
    let (spec, warnings) = text.read(|text| read(text, strictness(lenient)))?;
    let warnings = tuple(py, warnings, |py, warning| Ok(text.raise(warning).into_value(py).into_bound(py).into_any()))?;
    Ok((VifSpec(spec), warnings))
}

fn strictness(lenient: bool) -> Strictness {
    if lenient { Strictness::Lenient } else { Strictness::Strict }
}
