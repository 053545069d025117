//! `Watch`: being told that something changed.

use crate::host::{Within, detached};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use std::os::fd::{AsFd, AsRawFd, RawFd};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// A signal is heard after this.
const PAUSE: Duration = Duration::from_millis(200);

/// Hears of changes of a host, from Host.watch until it is closed: of all that Host.verify depends on,
/// by whomever it is changed. It says that something changed, and not what. First watch, then look:
/// nothing is missed in between. It works on when its Host is closed.
///
/// For selectors and asyncio it is a file to wait for, by its fileno: when that is readable, wait(0)
/// says whether something changed.
///
/// >>> with Host() as host, host.watch() as watch:             # doctest: +SKIP
/// ...     while watch.wait(3600):
/// ...         print(host.verify())
#[pyclass(frozen, module = "xenvnet")]
pub(crate) struct Watch {
    /// `None` once closed. Held for no longer than it takes to copy the pointer.
    open: Mutex<Option<Arc<xenvnet_core::Watch>>>,
}

#[pymethods]
impl Watch {
    /// Waits until something has changed since the last call, at most this long: seconds, or a
    /// timedelta. False where nothing has. Of several threads that wait, one hears of a change.
    #[pyo3(signature = (within, /))]
    fn wait(&self, py: Python<'_>, within: Within) -> PyResult<bool> {
        let watch = self.watch()?;
        let start = Instant::now();
        loop {
            let left = within.0.saturating_sub(start.elapsed());
            if detached(py, || watch.wait(left.min(PAUSE)))? {
                return Ok(true);
            }
            if left <= PAUSE {
                return Ok(false);
            }
            py.check_signals()?;
        }
    }

    /// The descriptor that is readable when something may have changed. It stays this object's.
    fn fileno(&self) -> PyResult<RawFd> {
        Ok(self.watch()?.as_fd().as_raw_fd())
    }

    /// Whether it was closed.
    #[getter]
    fn closed(&self) -> bool {
        self.open.lock().unwrap_or_else(PoisonError::into_inner).is_none()
    }

    /// Listens no longer, when the calls that still run have ended. May be called again.
    fn close(&self) {
        self.open.lock().unwrap_or_else(PoisonError::into_inner).take();
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
        if self.closed() { "<xenvnet.Watch, closed>" } else { "<xenvnet.Watch, open>" }
    }
}

impl Watch {
    pub(crate) fn of(host: &xenvnet_core::Host) -> xenvnet_core::Result<Watch> {
        Ok(Watch { open: Mutex::new(Some(Arc::new(host.watch()?))) })
    }

    fn watch(&self) -> PyResult<Arc<xenvnet_core::Watch>> {
        let open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        open.clone().ok_or_else(|| PyValueError::new_err("the Watch is closed"))
    }
}
