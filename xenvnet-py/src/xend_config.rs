//! `XendConfig`: what xend-config.sxp says about networks.

use crate::error::raise;
use crate::line::Line;
use crate::value::{Reduced, parsed, parsed_repr};
use pyo3::prelude::*;
use pyo3::types::PyType;

/// The part of xend-config.sxp that is about networks; all other entries are skipped. The lines are
/// kept as they are written: Network.parse and VifScript.parse read them. Nothing is ever run.
///
/// >>> from xenvnet import Network, XendConfig
/// >>> config = XendConfig.parse("(network-script 'network-bridge netdev=eth1')(vif-script vif-bridge)")
/// >>> Network.parse(config.network_script)
/// BridgedNetwork(uplink='eth1')
#[pyclass(frozen, eq, hash, module = "xenvnet")]
#[derive(PartialEq, Eq, Hash)]
pub(crate) struct XendConfig {
    text: String,
    config: xenvnet_core::XendConfig,
}

#[pymethods]
impl XendConfig {
    /// Reads the text of a file. Two things that xend passed over in silence are refused by a
    /// ParseError: words after the first that are not in the quotes, and an entry that is given twice.
    #[classmethod]
    #[pyo3(signature = (text, /))]
    fn parse(_class: &Bound<'_, PyType>, text: String) -> PyResult<XendConfig> {
        let config = xenvnet_core::XendConfig::parse(&text).map_err(raise)?;
        Ok(XendConfig { text, config })
    }

    /// What xend ran when it started; None for nothing.
    #[getter]
    fn network_script(slf: &Bound<'_, Self>) -> Option<Line> {
        line(slf, "network_script", slf.get().config.network_script.as_ref())
    }

    /// What sets up a vif whose guest asks for no script of its own.
    #[getter]
    fn vif_script(slf: &Bound<'_, Self>) -> Option<Line> {
        line(slf, "vif_script", slf.get().config.vif_script.as_ref())
    }

    /// The bridge of vifs whose guest names none, in files from before Xen 3.0.
    #[getter]
    fn vif_bridge(slf: &Bound<'_, Self>) -> Option<Line> {
        line(slf, "vif_bridge", slf.get().config.vif_bridge.as_ref())
    }

    /// Whether vifs are held to their addresses, in files from before Xen 3.0.
    #[getter]
    fn vif_antispoof(&self) -> Option<bool> {
        self.config.vif_antispoof
    }

    fn __repr__(&self, py: Python<'_>) -> PyResult<String> {
        parsed_repr(py, "XendConfig", &self.text)
    }

    fn __reduce__<'py>(slf: &Bound<'py, Self>) -> PyResult<Reduced<'py, (String,)>> {
        parsed(slf.as_any(), &slf.get().text)
    }
}

fn line(file: &Bound<'_, XendConfig>, attribute: &'static str, line: Option<&xenvnet_core::Line>) -> Option<Line> {
    line.map(|line| Line::of(file, (attribute, None), line))
}
