//! `VifScript` and `VifDefaults`: what holds for guests that do not say.

use crate::convert::{Name, wrong_type};
use crate::line::Text;
use crate::value::{Call, Reduced, parsed, parsed_repr};
use pyo3::exceptions::{PyNotImplementedError, PyTypeError};
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyTuple, PyType};
use xenvnet_core::VifScript as Script;

/// What script= in a guest's configuration or vif-script in xend's asks for; none of it is run.
///
/// >>> from xenvnet import VifScript
/// >>> script = VifScript.parse("/etc/xen/scripts/vif-bridge bridge=eth0")
/// >>> script.name, script.bridge, str(script)
/// ('vif-bridge', 'eth0', 'vif-bridge bridge=eth0')
#[pyclass(frozen, eq, hash, str = "{0}", module = "xenvnet")]
#[derive(PartialEq, Eq, Hash)]
pub(crate) struct VifScript(pub(crate) Script);

#[pymethods]
impl VifScript {
    /// Reads a script's name, with its directory or without, and what follows it. An UnsupportedError
    /// for another of Xen's own scripts, a ParseError for anything else.
    #[classmethod]
    #[pyo3(signature = (line, /))]
    fn parse(_class: &Bound<'_, PyType>, line: Text) -> PyResult<VifScript> {
        line.read(str::parse).map(VifScript)
    }

    /// Its name: vif-bridge, vif-route or vif-nat.
    #[getter]
    fn name(&self) -> PyResult<&'static str> {
        match &self.0 {
            Script::Bridge { .. } => Ok("vif-bridge"),
            Script::Route { .. } => Ok("vif-route"),
            Script::Nat { .. } => Ok("vif-nat"),
            other => Err(PyNotImplementedError::new_err(format!("the Python module has no name for \"{other}\""))),
        }
    }

    /// Of vif-bridge, the bridge of guests that name none.
    #[getter]
    fn bridge(&self) -> Option<&str> {
        match &self.0 {
            Script::Bridge { bridge } => bridge.as_ref().map(|name| name.as_str()),
            _ => None,
        }
    }

    /// Of vif-route, the interface whose address dom0 has towards its guests, where they name none.
    #[getter]
    fn netdev(&self) -> Option<&str> {
        match &self.0 {
            Script::Route { netdev } => netdev.as_ref().map(|name| name.as_str()),
            _ => None,
        }
    }

    /// Of vif-nat, whether its addresses are to be served by DHCP. Nothing here runs a server.
    #[getter]
    fn dhcp(&self) -> Option<bool> {
        match &self.0 {
            Script::Nat { dhcp } => *dhcp,
            _ => None,
        }
    }

    fn __repr__(&self, py: Python<'_>) -> PyResult<String> {
        parsed_repr(py, "VifScript", &self.0.to_string())
    }

    fn __reduce__<'py>(slf: &Bound<'py, Self>) -> PyResult<Reduced<'py, (String,)>> {
        parsed(slf.as_any(), &slf.get().0)
    }
}

/// A script: a `VifScript`, or its line.
struct ScriptArg(Script);

impl<'a, 'py> FromPyObject<'a, 'py> for ScriptArg {
    type Error = PyErr;

    fn extract(object: Borrowed<'a, 'py, PyAny>) -> PyResult<ScriptArg> {
        if let Ok(script) = object.cast::<VifScript>() {
            return Ok(ScriptArg(script.get().0.clone()));
        }
        match object.extract::<Text>() {
            Ok(line) => line.read(str::parse).map(ScriptArg),
            Err(error) if error.is_instance_of::<PyTypeError>(object.py()) => {
                Err(wrong_type("a vif script (VifScript, or its line)", &object))
            }
            Err(error) => Err(error),
        }
    }
}

/// What holds for guests that do not say: a host's vif.default.* of xl.conf, or vif-script of xend's
/// configuration.
///
/// script is a VifScript or its line, vif-bridge unless given; bridge is xenbr0 unless given;
/// gateway_device is the interface whose addresses are the gateways of vif-route's guests, that of the
/// routed network that runs if None.
///
/// >>> from xenvnet import VifDefaults
/// >>> VifDefaults(script="vif-nat").script.name, VifDefaults().bridge
/// ('vif-nat', 'xenbr0')
#[pyclass(frozen, eq, hash, module = "xenvnet")]
#[derive(PartialEq, Eq, Hash)]
pub(crate) struct VifDefaults(pub(crate) xenvnet_core::VifDefaults);

#[pymethods]
impl VifDefaults {
    #[new]
    #[pyo3(signature = (*, script = None, bridge = None, gateway_device = None))]
    fn new(script: Option<ScriptArg>, bridge: Option<Name>, gateway_device: Option<Name>) -> VifDefaults {
        let mut defaults = xenvnet_core::VifDefaults::new();
        defaults = script.into_iter().fold(defaults, |defaults, script| defaults.script(script.0));
        defaults = bridge.into_iter().fold(defaults, |defaults, bridge| defaults.bridge(bridge.0));
        VifDefaults(gateway_device.into_iter().fold(defaults, |defaults, device| defaults.gateway_device(device.0)))
    }

    /// The script of guests that ask for none.
    #[getter]
    fn script(&self) -> VifScript {
        VifScript(self.0.script.clone())
    }

    /// The bridge of guests that name none, where the script names none either.
    #[getter]
    fn bridge(&self) -> &str {
        self.0.bridge.as_str()
    }

    /// The interface whose addresses are the gateways of vif-route's guests, where neither guest nor
    /// script names one.
    #[getter]
    fn gateway_device(&self) -> Option<&str> {
        self.0.gateway_device.as_ref().map(|name| name.as_str())
    }

    fn __repr__(&self, py: Python<'_>) -> PyResult<String> {
        self.call(py)?.repr()
    }

    fn __getnewargs_ex__<'py>(&self, py: Python<'py>) -> PyResult<(Bound<'py, PyTuple>, Bound<'py, PyDict>)> {
        self.call(py)?.newargs()
    }
}

impl VifDefaults {
    fn call<'py>(&self, py: Python<'py>) -> PyResult<Call<'py>> {
        let xens = xenvnet_core::VifDefaults::new();
        Call::plain(py, "VifDefaults")
            .with("script", self.0.script.to_string(), self.0.script == xens.script)?
            .with("bridge", self.bridge(), self.0.bridge == xens.bridge)?
            .with("gateway_device", self.gateway_device(), self.0.gateway_device.is_none())
    }
}
