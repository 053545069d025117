//! Values that are told apart by their JSON: plans, operations, snapshots.

use crate::value::Reduced;
use pyo3::exceptions::PyRuntimeError;
use pyo3::prelude::*;
use pyo3::types::PyString;
use serde::Serialize;
use std::hash::{DefaultHasher, Hash, Hasher};

pub(crate) fn write<T: Serialize>(value: &T) -> PyResult<String> {
    serde_json::to_string(value).map_err(|error| PyRuntimeError::new_err(error.to_string()))
}

/// The call that makes the value again.
pub(crate) fn repr<T: Serialize>(py: Python<'_>, class: &str, value: &T) -> PyResult<String> {
    Ok(format!("{class}.from_json({})", PyString::new(py, &write(value)?).repr()?))
}

/// Equal values have equal JSON, for maps in it are ordered.
pub(crate) fn hash<T: Serialize>(value: &T) -> PyResult<u64> {
    let mut hasher = DefaultHasher::new();
    write(value)?.hash(&mut hasher);
    Ok(hasher.finish())
}

/// The word that JSON has for it, without its quotes.
pub(crate) fn word<T: Serialize>(value: &T) -> PyResult<String> {
    Ok(write(value)?.trim_matches('"').to_owned())
}

pub(crate) fn reduce<'py, T: Serialize>(object: &Bound<'py, PyAny>, value: &T) -> PyResult<Reduced<'py, (String,)>> {
    Ok((object.get_type().getattr("from_json")?, (write(value)?,)))
}
