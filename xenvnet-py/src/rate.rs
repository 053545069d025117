//! `Rate`: how fast a guest may send.

use crate::error::raise;
use crate::line::Text;
use crate::value::Call;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyTuple, PyType};

/// A limit on what a guest sends: so many bytes in so many microseconds, again and again. netback
/// enforces it, for each queue by itself.
///
/// str() gives what netback reads: "BYTES,USECS".
///
/// >>> from xenvnet import Rate
/// >>> Rate.from_xl("10Mb/s")
/// Rate(62500, usecs=50000)
#[pyclass(frozen, eq, hash, str = "{0}", module = "xenvnet")]
#[derive(PartialEq, Eq, Hash)]
pub(crate) struct Rate(pub(crate) xenvnet_core::Rate);

#[pymethods]
impl Rate {
    #[classattr]
    fn __match_args__() -> (&'static str, &'static str) {
        ("bytes", "usecs")
    }

    #[new]
    #[pyo3(signature = (bytes, *, usecs))]
    fn new(bytes: u64, usecs: u32) -> PyResult<Rate> {
        xenvnet_core::Rate::new(bytes, usecs).map(Rate).map_err(raise)
    }

    /// Reads xl's rate=: "10Mb/s" (bits), "250KB/s" (bytes), "1MB/s@20ms". The interval is 50 ms where
    /// none is given; a bare number of it counts seconds, as xl has always read it.
    #[classmethod]
    #[pyo3(signature = (text, /))]
    fn from_xl(_class: &Bound<'_, PyType>, text: Text) -> PyResult<Rate> {
        text.read(xenvnet_core::Rate::from_xl).map(Rate)
    }

    /// Reads xm's rate=: as xl's, but the interval always has a unit, and the credit of an interval
    /// fits 32 bits.
    #[classmethod]
    #[pyo3(signature = (text, /))]
    fn from_xm(_class: &Bound<'_, PyType>, text: Text) -> PyResult<Rate> {
        text.read(xenvnet_core::Rate::from_xm).map(Rate)
    }

    /// Reads netback's node: "62500,50000". None where the interval is 0, by which xend wrote that
    /// nothing is limited.
    #[classmethod]
    #[pyo3(signature = (text, /))]
    fn from_netback(_class: &Bound<'_, PyType>, text: Text) -> PyResult<Option<Rate>> {
        Ok(text.read(xenvnet_core::Rate::from_netback)?.map(Rate))
    }

    /// The text that xl reads this rate from; exactly this rate, where xl has a text for it.
    fn to_xl(&self) -> String {
        self.0.to_xl()
    }

    /// The credit of one interval, in bytes; at least 1.
    #[getter]
    fn bytes(&self) -> u64 {
        self.0.bytes
    }

    /// The interval in microseconds; at least 1. Below 1000 it limits next to nothing.
    #[getter]
    fn usecs(&self) -> u32 {
        self.0.usecs
    }

    fn __repr__(&self, py: Python<'_>) -> PyResult<String> {
        self.call(py)?.repr()
    }

    fn __getnewargs_ex__<'py>(&self, py: Python<'py>) -> PyResult<(Bound<'py, PyTuple>, Bound<'py, PyDict>)> {
        self.call(py)?.newargs()
    }
}

impl Rate {
    fn call<'py>(&self, py: Python<'py>) -> PyResult<Call<'py>> {
        Call::new(py, "Rate", self.0.bytes)?.with("usecs", self.0.usecs, false)
    }
}
