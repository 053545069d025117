//! `VlanSpec` and `OvsBridge`: which VLANs a vif is in.

use crate::line::Text;
use crate::value::{Reduced, parsed, parsed_repr};
use pyo3::prelude::*;
use pyo3::types::{PyTuple, PyType};

/// The VLANs of a vif, as xl's vlan= writes them (Xen 4.20): pieces with "/" between them, "V", "A-B"
/// or "V+OFFxCOUNT", with "u" behind where frames leave without a tag, and "p" behind the PVID. Ids
/// are 1 to 4094.
///
/// >>> from xenvnet import VlanSpec
/// >>> vlans = VlanSpec.parse("10p/20/30-32u")
/// >>> vlans.pvid, vlans.untagged, vlans.tagged
/// (10, (30, 31, 32), (20,))
#[pyclass(frozen, eq, hash, str = "{0}", module = "xenvnet")]
#[derive(PartialEq, Eq, Hash)]
pub(crate) struct VlanSpec(pub(crate) xenvnet_core::VlanSpec);

#[pymethods]
impl VlanSpec {
    /// Reads the form that str() writes, and that of xl.
    #[classmethod]
    #[pyo3(signature = (text, /))]
    fn parse(_class: &Bound<'_, PyType>, text: Text) -> PyResult<VlanSpec> {
        text.read(str::parse).map(VlanSpec)
    }

    /// The VLAN of the guest's frames that have no tag.
    #[getter]
    fn pvid(&self) -> Option<u16> {
        self.0.pvid()
    }

    /// The other VLANs whose frames reach the guest without a tag, in order.
    #[getter]
    fn untagged<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyTuple>> {
        PyTuple::new(py, self.0.untagged())
    }

    /// The VLANs whose frames reach the guest with their tag, in order.
    #[getter]
    fn tagged<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyTuple>> {
        PyTuple::new(py, self.0.tagged())
    }

    fn __repr__(&self, py: Python<'_>) -> PyResult<String> {
        parsed_repr(py, "VlanSpec", &self.0.to_string())
    }

    fn __reduce__<'py>(slf: &Bound<'py, Self>) -> PyResult<Reduced<'py, (String,)>> {
        parsed(slf.as_any(), &slf.get().0)
    }
}

/// What vif-openvswitch reads from bridge=: "NAME[.TAG][:TRUNK:TRUNK...]".
///
/// >>> from xenvnet import OvsBridge
/// >>> bridge = OvsBridge.parse("ovs0.20:30:40")
/// >>> bridge.name, bridge.tag, bridge.trunks
/// ('ovs0', 20, (30, 40))
#[pyclass(frozen, eq, hash, str = "{0}", module = "xenvnet")]
#[derive(PartialEq, Eq, Hash)]
pub(crate) struct OvsBridge(pub(crate) xenvnet_core::OvsBridge);

#[pymethods]
impl OvsBridge {
    /// Reads the form that str() writes.
    #[classmethod]
    #[pyo3(signature = (text, /))]
    fn parse(_class: &Bound<'_, PyType>, text: Text) -> PyResult<OvsBridge> {
        text.read(str::parse).map(OvsBridge)
    }

    /// The bridge's name in Open vSwitch's database: no interface's, so of any length.
    #[getter]
    fn name(&self) -> &str {
        &self.0.name
    }

    /// The VLAN of the guest's frames that have no tag, 0 to 4095.
    #[getter]
    fn tag(&self) -> Option<u16> {
        self.0.tag
    }

    /// The VLANs that it may use tags of, 0 to 4095; empty for all.
    #[getter]
    fn trunks<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyTuple>> {
        PyTuple::new(py, &self.0.trunks)
    }

    fn __repr__(&self, py: Python<'_>) -> PyResult<String> {
        parsed_repr(py, "OvsBridge", &self.0.to_string())
    }

    fn __reduce__<'py>(slf: &Bound<'py, Self>) -> PyResult<Reduced<'py, (String,)>> {
        parsed(slf.as_any(), &slf.get().0)
    }
}
