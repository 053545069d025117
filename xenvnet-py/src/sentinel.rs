//! `Sentinel`: who puts back what nobody confirmed.

use crate::host::detached;
use crate::plan::Plan;
use pyo3::IntoPyObjectExt;
use pyo3::exceptions::{PyNotImplementedError, PyValueError};
use pyo3::prelude::*;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, TryLockError};
use std::thread::sleep;
use std::time::Duration;
use xenvnet_core::{Host, Unconfirmed};

/// Between two looks of one that stays until nothing waits; a signal is heard after it.
const PAUSE: Duration = Duration::from_millis(100);

/// On the watch over provisional changes of a host, from Host.sentinel until it leaves or is closed:
/// puts those back that nobody confirmed in time, or whose maker died in the middle.
///
/// At the end of a with block it leaves; where something waits to be confirmed by then, it stays until
/// that is confirmed or put back. It works on when its Host is closed.
///
/// >>> with Host() as host, host.sentinel() as sentinel:       # doctest: +SKIP
/// ...     for line in sys.stdin:
/// ...         print(sentinel.look())
#[pyclass(frozen, module = "xenvnet")]
pub(crate) struct Sentinel {
    /// `None` once closed. Only waited for without the interpreter: who has it may want to log.
    watch: Mutex<Option<Watch>>,
}

type Watch = xenvnet_core::Sentinel<Arc<Host>>;

#[pymethods]
impl Sentinel {
    /// Looks, and puts back what is due. None where nothing wants to be confirmed; a timedelta for as
    /// long as something may yet be; the Plan by which something was put back.
    ///
    /// Waits for whoever is at work. An UndoError when not everything could be put back; it is tried
    /// again at the next look.
    fn look<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        match self.seen(py)?.ok_or_else(closed)? {
            Unconfirmed::Nothing => Ok(py.None().into_bound(py)),
            Unconfirmed::Waiting(left) => left.into_bound_py_any(py),
            Unconfirmed::PutBack(plan) => Ok(Bound::new(py, Plan(plan))?.into_any()),
            other => Err(PyNotImplementedError::new_err(format!("the Python module has no form for {other:?}"))),
        }
    }

    /// Goes off the watch, unless something waits to be confirmed by then: whether it did. It looks
    /// under the lock by which changes begin, so that none begins in between because it seemed to be
    /// watched. May be called again.
    fn leave(&self, py: Python<'_>) -> PyResult<bool> {
        detached(py, || {
            let mut watch = self.lock();
            if let Some(on_watch) = watch.take() {
                *watch = on_watch.leave()?;
            }
            Ok(watch.is_none())
        })
    }

    /// Whether it left or was closed.
    #[getter]
    fn closed(&self) -> bool {
        // Whoever holds it is using it.
        match self.watch.try_lock() {
            Ok(watch) => watch.is_none(),
            Err(TryLockError::Poisoned(watch)) => watch.into_inner().is_none(),
            Err(TryLockError::WouldBlock) => false,
        }
    }

    /// Goes off the watch at once, when the calls that still run have ended: what waits to be confirmed
    /// waits for the next one. May be called again.
    fn close(&self, py: Python<'_>) {
        py.detach(|| drop(self.lock().take()));
    }

    fn __enter__(slf: Bound<'_, Self>) -> PyResult<Bound<'_, Self>> {
        if slf.get().closed() { Err(closed()) } else { Ok(slf) }
    }

    #[pyo3(signature = (exc_type = None, exc_value = None, traceback = None, /))]
    fn __exit__(
        &self,
        py: Python<'_>,
        exc_type: Option<&Bound<'_, PyAny>>,
        exc_value: Option<&Bound<'_, PyAny>>,
        traceback: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<()> {
        let _ = (exc_type, exc_value, traceback);
        while !self.leave(py)? {
            if let Some(Unconfirmed::Waiting(left)) = self.seen(py)? {
                py.detach(|| sleep(left.min(PAUSE)));
                py.check_signals()?;
            }
        }
        Ok(())
    }

    fn __repr__(&self) -> &'static str {
        if self.closed() { "<xenvnet.Sentinel, closed>" } else { "<xenvnet.Sentinel, on the watch>" }
    }
}

impl Sentinel {
    pub(crate) fn of(host: Arc<Host>) -> xenvnet_core::Result<Sentinel> {
        let watch = xenvnet_core::Sentinel::of(host)?;
        Ok(Sentinel { watch: Mutex::new(Some(watch)) })
    }

    fn lock(&self) -> MutexGuard<'_, Option<Watch>> {
        self.watch.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// `None` once closed.
    fn seen(&self, py: Python<'_>) -> PyResult<Option<Unconfirmed>> {
        detached(py, || self.lock().as_ref().map(Watch::look).transpose())
    }
}

fn closed() -> PyErr {
    PyValueError::new_err("the Sentinel is closed")
}
