//! What a network leads outside by.

use crate::convert::{Name, wrong_type};
use crate::snapshot::class;
use pyo3::IntoPyObjectExt;
use pyo3::exceptions::{PyNotImplementedError, PyTypeError};
use pyo3::prelude::*;
use xenvnet_core::Uplink;

/// An uplink: a name, `Uplink.NOTHING`, or `None` for the default route's.
#[derive(Default)]
pub(super) struct UplinkArg(pub(super) Uplink);

impl<'a, 'py> FromPyObject<'a, 'py> for UplinkArg {
    type Error = PyErr;

    fn extract(object: Borrowed<'a, 'py, PyAny>) -> PyResult<UplinkArg> {
        if object.is_none() {
            return Ok(UplinkArg(Uplink::Default));
        }
        if object.is(nothing(object.py())?) {
            return Ok(UplinkArg(Uplink::Nothing));
        }
        match object.extract::<Name>() {
            Ok(name) => Ok(UplinkArg(Uplink::Device(name.0))),
            Err(error) if error.is_instance_of::<PyTypeError>(object.py()) => {
                Err(wrong_type("an uplink (its name as str, Uplink.NOTHING or None)", &object))
            }
            Err(error) => Err(error),
        }
    }
}

/// The uplink as Python has it.
pub(super) fn uplink<'py>(py: Python<'py>, uplink: &Uplink) -> PyResult<Bound<'py, PyAny>> {
    match uplink {
        Uplink::Default => Ok(py.None().into_bound(py)),
        Uplink::Device(name) => name.as_str().into_bound_py_any(py),
        Uplink::Nothing => nothing(py),
        other => {
            Err(PyNotImplementedError::new_err(format!("the Python module has no form for the uplink \"{other}\"")))
        }
    }
}

fn nothing(py: Python<'_>) -> PyResult<Bound<'_, PyAny>> {
    class(py, "Uplink")?.getattr("NOTHING")
}
