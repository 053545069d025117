//! What all values have in common: the call that makes them again, which is their `repr()` and
//! their pickle.

use pyo3::IntoPyObjectExt;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyString, PyTuple};

/// What `__reduce__` gives to pickle and copy: a call, and its arguments.
pub(crate) type Reduced<'py, Args> = (Bound<'py, PyAny>, Args);

/// The text that makes a value again, read by `parse`, as a program writes that.
pub(crate) fn parsed_repr(py: Python<'_>, class: &str, text: &str) -> PyResult<String> {
    Ok(format!("{class}.parse({})", PyString::new(py, text).repr()?))
}

/// The same for pickle and copy.
pub(crate) fn parsed<'py>(object: &Bound<'py, PyAny>, text: impl ToString) -> PyResult<Reduced<'py, (String,)>> {
    Ok((object.get_type().getattr("parse")?, (text.to_string(),)))
}

/// The arguments that make a value again. What has its default is left out.
pub(crate) struct Call<'py> {
    class: &'static str,
    args: Vec<Bound<'py, PyAny>>,
    kwargs: Bound<'py, PyDict>,
}

impl<'py> Call<'py> {
    /// With this positional argument.
    pub(crate) fn new(py: Python<'py>, class: &'static str, arg: impl IntoPyObjectExt<'py>) -> PyResult<Call<'py>> {
        Ok(Call { class, args: vec![arg.into_bound_py_any(py)?], kwargs: PyDict::new(py) })
    }

    /// Without arguments.
    pub(crate) fn plain(py: Python<'py>, class: &'static str) -> Call<'py> {
        Call { class, args: Vec::new(), kwargs: PyDict::new(py) }
    }

    /// With this keyword argument, unless it has its default.
    pub(crate) fn with(self, name: &str, value: impl IntoPyObjectExt<'py>, is_default: bool) -> PyResult<Call<'py>> {
        if !is_default {
            self.kwargs.set_item(name, value.into_bound_py_any(self.kwargs.py())?)?;
        }
        Ok(self)
    }

    /// The call as a program writes it.
    pub(crate) fn repr(&self) -> PyResult<String> {
        let mut arguments = Vec::new();
        for arg in &self.args {
            arguments.push(arg.repr()?.to_string());
        }
        for (name, value) in &self.kwargs {
            arguments.push(format!("{name}={}", value.repr()?));
        }
        Ok(format!("{}({})", self.class, arguments.join(", ")))
    }

    /// The call as `__getnewargs_ex__` gives it to pickle and copy.
    pub(crate) fn newargs(self) -> PyResult<(Bound<'py, PyTuple>, Bound<'py, PyDict>)> {
        Ok((PyTuple::new(self.kwargs.py(), self.args)?, self.kwargs))
    }

    /// The call for pickle and copy, of something else than the class itself.
    pub(crate) fn reduce(self, called: &Bound<'py, PyAny>) -> PyResult<Reduced<'py, Bound<'py, PyTuple>>> {
        let partial = self.kwargs.py().import("functools")?.getattr("partial")?;
        Ok((partial.call((called,), Some(&self.kwargs))?, PyTuple::new(called.py(), self.args)?))
    }
}
