//! `Plan`.

use crate::error::raise;
use crate::json;
use crate::value::Reduced;
use pyo3::prelude::*;
use pyo3::types::{PyIterator, PyTuple, PyType};

/// What to do: steps in order, as a value that can be read, stored, put back, joined, and given
/// to Host.apply. False when there is nothing to do.
#[pyclass(frozen, eq, str = "{0}", module = "xenvnet")]
#[derive(PartialEq, Eq)]
pub(crate) struct Plan(pub(crate) xenvnet_core::Plan);

#[pymethods]
impl Plan {
    /// One line a step: "+" for what comes, "-" for what goes, "~" for what changes, "?" for what
    /// is read back.
    #[getter]
    fn steps<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyTuple>> {
        PyTuple::new(py, self.0.steps().iter().map(ToString::to_string).collect::<Vec<_>>())
    }

    /// The plan that puts everything back, in the opposite order.
    fn inverse(&self) -> Plan {
        Plan(self.0.inverse())
    }

    /// This plan, then another.
    #[pyo3(signature = (other, /))]
    fn then(&self, other: &Plan) -> Plan {
        Plan(self.0.clone().then(other.0.clone()))
    }

    /// Reads a list of steps.
    #[classmethod]
    #[pyo3(signature = (text, /))]
    fn from_json(_class: &Bound<'_, PyType>, text: &str) -> PyResult<Plan> {
        xenvnet_core::Plan::from_json(text).map(Plan).map_err(raise)
    }

    /// A list of steps.
    fn to_json(&self) -> PyResult<String> {
        json::write(&self.0)
    }

    fn __len__(&self) -> usize {
        self.0.steps().len()
    }

    fn __iter__<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyIterator>> {
        self.steps(py)?.try_iter()
    }

    fn __hash__(&self) -> PyResult<u64> {
        json::hash(&self.0)
    }

    fn __repr__(&self, py: Python<'_>) -> PyResult<String> {
        json::repr(py, "Plan", &self.0)
    }

    fn __reduce__<'py>(slf: &Bound<'py, Self>) -> PyResult<Reduced<'py, (String,)>> {
        json::reduce(slf.as_any(), &slf.get().0)
    }
}
