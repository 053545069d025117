//! `Sentinel`: who puts back what nobody confirmed.

use crate::host::detached;
use crate::plan::Plan;
use pyo3::IntoPyObjectExt;
use pyo3::exceptions::{PyNotImplementedError, PyValueError};
use pyo3::prelude::*;
use std::sync::{Arc, Mutex, PoisonError};
use xenvnet_core::{Host, Unconfirmed};

/// On the watch over provisional changes of a host, from Host.sentinel until it is closed: puts those
/// back that nobody confirmed in time, or whose maker died in the middle.
///
/// It works on when its Host is closed.
#[pyclass(frozen, module = "xenvnet")]
pub(crate) struct Sentinel {
    /// `None` once closed.
    watch: Mutex<Option<Arc<xenvnet_core::Sentinel<Arc<Host>>>>>,
}

#[pymethods]
impl Sentinel {
    /// Looks, and puts back what is due. None where nothing wants to be confirmed; a timedelta for as
    /// long as something may yet be; the Plan by which something was put back.
    ///
    /// Waits for whoever is at work. An UndoError when not everything could be put back; it is tried
    /// again at the next look.
    fn look<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        let watch = self.watch()?;
        let seen = detached(py, || {
            let seen = watch.look();
            drop(watch);
            seen
        })?;
        match seen {
            Unconfirmed::Nothing => Ok(py.None().into_bound(py)),
            Unconfirmed::Waiting(left) => left.into_bound_py_any(py),
            Unconfirmed::PutBack(plan) => Ok(Bound::new(py, Plan(plan))?.into_any()),
            other => Err(PyNotImplementedError::new_err(format!("the Python module has no form for {other:?}"))),
        }
    }

    /// Whether it was closed.
    #[getter]
    fn closed(&self) -> bool {
        self.watch.lock().unwrap_or_else(PoisonError::into_inner).is_none()
    }

    /// Goes off the watch, when the calls that still run have ended. May be called again.
    fn close(&self) {
        self.watch.lock().unwrap_or_else(PoisonError::into_inner).take();
    }

    fn __enter__(slf: Bound<'_, Self>) -> PyResult<Bound<'_, Self>> {
        slf.get().watch()?;
        Ok(slf)
    }

    #[pyo3(signature = (exc_type = None, exc_value = None, traceback = None, /))]
    fn __exit__(
        &self,
        exc_type: Option<&Bound<'_, PyAny>>,
        exc_value: Option<&Bound<'_, PyAny>>,
        traceback: Option<&Bound<'_, PyAny>>,
    ) {
        let _ = (exc_type, exc_value, traceback);
        self.close();
    }

    fn __repr__(&self) -> &'static str {
        if self.closed() { "<xenvnet.Sentinel, closed>" } else { "<xenvnet.Sentinel, on the watch>" }
    }
}

impl Sentinel {
    pub(crate) fn of(host: Arc<Host>) -> xenvnet_core::Result<Sentinel> {
        let watch = xenvnet_core::Sentinel::of(host)?;
        Ok(Sentinel { watch: Mutex::new(Some(Arc::new(watch))) })
    }

    fn watch(&self) -> PyResult<Arc<xenvnet_core::Sentinel<Arc<Host>>>> {
        let watch = self.watch.lock().unwrap_or_else(PoisonError::into_inner);
        watch.clone().ok_or_else(|| PyValueError::new_err("the Sentinel is closed"))
    }
}
