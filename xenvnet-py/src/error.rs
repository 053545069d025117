//! Errors of core as exceptions of the package.

use pyo3::prelude::*;
use pyo3::types::{PyDict, PyType};
use xenvnet_core::{Error, ErrorKind};

/// The exception that stands for an error of core.
pub(crate) fn raise(error: Error) -> PyErr {
    Python::attach(|py| exception(py, &error).map_or_else(|missing| missing, PyErr::from_value))
}

/// Something that core does not read from texts, and that could not be read.
pub(crate) fn unreadable(why: impl Into<String>) -> PyErr {
    refused(ErrorKind::Parse, why)
}

/// Something that cannot be meant, and that core is never given.
pub(crate) fn unmeant(why: impl Into<String>) -> PyErr {
    refused(ErrorKind::InvalidArgument, why)
}

fn refused(kind: ErrorKind, why: impl Into<String>) -> PyErr {
    Python::attach(|py| {
        let exception = class(py, kind).and_then(|class| class.call1((why.into(),)));
        exception.map_or_else(|missing| missing, PyErr::from_value)
    })
}

fn class(py: Python<'_>, kind: ErrorKind) -> PyResult<Bound<'_, PyType>> {
    Ok(py.import("xenvnet._errors")?.getattr(kind.python_class())?.cast_into()?)
}

fn exception<'py>(py: Python<'py>, error: &Error) -> PyResult<Bound<'py, PyAny>> {
    let facts = PyDict::new(py);
    facts.set_item("errno", error.errno())?;
    facts.set_item("kernel_words", error.kernel_words())?;
    facts.set_item("offset", error.offset())?;
    facts.set_item("advice", error.advice())?;
    let also = error.also().iter().map(|other| exception(py, other)).collect::<PyResult<Vec<_>>>()?;
    facts.set_item("also", also)?;
    class(py, error.kind())?.call((error.to_string(),), Some(&facts))
}
