//! The MAC addresses in guests' files, as records.

use crate::convert::tuple;
use crate::error::raise;
use crate::mac::MacAddr;
use crate::snapshot::class;
use pyo3::exceptions::PyNotImplementedError;
use pyo3::prelude::*;
use pyo3::types::PyDict;
use xenvnet_core::{MacCheck, MacFinding, MacPlace};

/// What MacCheck.of gives: each file by what it is to be called, and its text.
#[pyfunction]
#[pyo3(signature = (files, /))]
pub(crate) fn check_macs(py: Python<'_>, files: Vec<(String, String)>) -> PyResult<Bound<'_, PyAny>> {
    let check = MacCheck::of(files.iter().map(|(source, text)| (source.as_str(), text.as_str())));
    let macs = tuple(py, &check.macs, place)?;
    class(py, "MacCheck")?.call1((macs, tuple(py, check.findings, finding)?))
}

fn place<'py>(py: Python<'py>, place: &MacPlace) -> PyResult<Bound<'py, PyAny>> {
    class(py, "MacPlace")?.call1((MacAddr(place.mac), &place.source, place.vif, place.offset, place.line))
}

fn finding<'py>(py: Python<'py>, finding: MacFinding) -> PyResult<Bound<'py, PyAny>> {
    let facts = PyDict::new(py);
    facts.set_item("sentence", finding.to_string())?;
    match finding {
        MacFinding::Fault { source, error, .. } => {
            facts.set_item("source", source)?;
            facts.set_item("error", raise(error).into_value(py))?;
        }
        MacFinding::Duplicate { places, .. } => facts.set_item("places", tuple(py, &places, place)?)?,
        other => return Err(PyNotImplementedError::new_err(format!("the Python module has no form for \"{other}\""))),
    }
    class(py, "MacFinding")?.call((), Some(&facts))
}
