//! `Report`, and the findings in it.

use crate::antispoof::lock;
use crate::convert::tuple;
use crate::dom0::Dom0;
use crate::error::raise;
use crate::forward::Forward;
use crate::json;
use crate::mac::MacAddr;
use crate::masquerade::Masquerade;
use crate::network;
use crate::plan::Plan;
use crate::snapshot::{class, port_state};
use crate::value::Reduced;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyTuple, PyType};
use xenvnet_core::{Finding, Severity};

/// What Host.verify found, and the plan that mends what can be mended.
///
/// str() gives a line for each finding, and its remedy below it.
#[pyclass(frozen, eq, str = "{0}", module = "xenvnet")]
#[derive(PartialEq, Eq)]
pub(crate) struct Report(pub(crate) xenvnet_core::Report);

#[pymethods]
impl Report {
    /// The findings, by what they are about.
    #[getter]
    fn findings<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyTuple>> {
        tuple(py, &self.0.findings, finding)
    }

    /// What mends them.
    #[getter]
    fn repair(&self) -> Plan {
        Plan(self.0.repair.clone())
    }

    /// Whether there is nothing worse than a note.
    #[getter]
    fn is_sound(&self) -> bool {
        self.0.is_sound()
    }

    /// How bad the worst finding is: note, fault or hole; None without any.
    #[getter]
    fn worst(&self) -> Option<&'static str> {
        self.0.worst().map(Severity::name)
    }

    /// The part of it that is about what dead guests left, and a plan that clears that away.
    fn leftovers(&self) -> Report {
        Report(self.0.leftovers())
    }

    /// Reads what to_json wrote.
    #[classmethod]
    #[pyo3(signature = (text, /))]
    fn from_json(_class: &Bound<'_, PyType>, text: &str) -> PyResult<Report> {
        xenvnet_core::Report::from_json(text).map(Report).map_err(raise)
    }

    /// The whole report as one JSON object.
    fn to_json(&self) -> PyResult<String> {
        json::write(&self.0)
    }

    fn __hash__(&self) -> PyResult<u64> {
        json::hash(&self.0)
    }

    fn __repr__(&self, py: Python<'_>) -> PyResult<String> {
        json::repr(py, "Report", &self.0)
    }

    fn __reduce__<'py>(slf: &Bound<'py, Self>) -> PyResult<Reduced<'py, (String,)>> {
        json::reduce(slf.as_any(), &slf.get().0)
    }
}

fn finding<'py>(py: Python<'py>, finding: &Finding) -> PyResult<Bound<'py, PyAny>> {
    let facts = facts(py, finding)?;
    facts.set_item("kind", finding.kind())?;
    facts.set_item("severity", finding.severity().name())?;
    facts.set_item("sentence", finding.to_string())?;
    facts.set_item("remedy", finding.remedy())?;
    facts.set_item("repairable", finding.is_repairable())?;
    class(py, "Finding")?.call((), Some(&facts))
}

/// What a finding is about, as JSON has it, but for what has a type of its own.
fn facts<'py>(py: Python<'py>, finding: &Finding) -> PyResult<Bound<'py, PyDict>> {
    let dict = py.import("json")?.call_method1("loads", (json::write(finding)?,))?.cast_into::<PyDict>()?;
    dict.del_item("finding")?;
    match finding {
        Finding::NotLocked { asked, .. } | Finding::LockDiffers { asked, .. } => {
            dict.set_item("asked", lock(py, asked)?)?;
        }
        Finding::PortFlags { asked, found, .. } => {
            dict.set_item("asked", port_state(py, *asked)?)?;
            dict.set_item("found", port_state(py, *found)?)?;
        }
        Finding::Dom0Differs { asked, .. } | Finding::NoSuchInterface { asked, .. } => {
            dict.set_item("asked", Dom0(asked.clone()))?;
        }
        Finding::NotPinned { mac, .. } => dict.set_item("mac", MacAddr(*mac))?,
        Finding::NotMasqueraded { masquerade } => dict.set_item("masquerade", Masquerade(masquerade.clone()))?,
        Finding::NotForwarded { forward } => dict.set_item("forward", Forward(forward.clone()))?,
        Finding::NetworkForgotten { network } | Finding::NoBridge { network } => {
            dict.set_item("network", network::object(py, network.clone())?)?
        }
        _ => {}
    }
    Ok(dict)
}
