//! What core logs, as records of Python's logger "xenvnet".

use log::{LevelFilter, Log, Metadata, Record};
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3_log::Caching;

/// The name under which a program finds them, whatever module of ours they are from.
const NAME: &str = "xenvnet";

struct Named(pyo3_log::Logger);

impl Log for Named {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        self.0.enabled(metadata)
    }

    fn log(&self, record: &Record<'_>) {
        let mut renamed = Record::builder();
        renamed.args(*record.args()).level(record.level()).target(NAME).file(record.file()).line(record.line());
        self.0.log(&renamed.build());
    }

    fn flush(&self) {}
}

/// Connects the two. A second time, as when the module is imported anew, the first one stays.
pub(crate) fn install(py: Python<'_>) -> PyResult<()> {
    let logger = pyo3_log::Logger::new(py, Caching::Loggers)?.filter(LevelFilter::Trace);
    let _ = log::set_boxed_logger(Box::new(Named(logger)));
    Ok(())
}

/// Takes over the level that Python's logger has now: what it would not take never asks for the
/// interpreter.
pub(crate) fn follow_level(py: Python<'_>) -> PyResult<()> {
    static LOGGER: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
    let get = || py.import("logging")?.call_method1("getLogger", (NAME,)).map(Bound::unbind);
    let logger = LOGGER.get_or_try_init(py, get)?.bind(py);
    log::set_max_level(match logger.call_method0(intern!(py, "getEffectiveLevel"))?.extract::<i64>()? {
        ..=5 => LevelFilter::Trace,
        6..=10 => LevelFilter::Debug,
        11..=20 => LevelFilter::Info,
        21..=30 => LevelFilter::Warn,
        31..=40 => LevelFilter::Error,
        _ => LevelFilter::Off,
    });
    Ok(())
}

/// The exception that a handler of the program's raised while a call ran, if one did.
pub(crate) fn raised(py: Python<'_>) -> PyResult<()> {
    PyErr::take(py).map_or(Ok(()), Err)
}
