//! `GuestFile`: a guest's name and vifs, from its configuration file.

use crate::error::raise;
use crate::line::Line;
use crate::value::{Reduced, parsed, parsed_repr};
use pyo3::prelude::*;
use pyo3::types::{PyTuple, PyType};

/// What the configuration file of a guest, xl's or xm's, says about its network. The file is read and
/// never run.
///
/// >>> from xenvnet import GuestFile, VifSpec
/// >>> file = GuestFile.parse("name = 'web'\nmemory = 512\nvif = [ 'bridge=xenbr0' ]")
/// >>> file.name, [VifSpec.parse(vif).bridge for vif in file.vifs]
/// ('web', ['xenbr0'])
#[pyclass(frozen, eq, hash, module = "xenvnet")]
#[derive(PartialEq, Eq, Hash)]
pub(crate) struct GuestFile {
    text: String,
    file: xenvnet_core::GuestFile,
}

#[pymethods]
impl GuestFile {
    /// Reads the text of a file: assignments of texts, numbers and lists of them; a ParseError for
    /// anything else. Of a name that is assigned twice the last one counts; += adds to what there is.
    #[classmethod]
    #[pyo3(signature = (text, /))]
    fn parse(_class: &Bound<'_, PyType>, text: String) -> PyResult<GuestFile> {
        let file = xenvnet_core::GuestFile::parse(&text).map_err(raise)?;
        Ok(GuestFile { text, file })
    }

    /// The guest's name; None where the file gives none.
    #[getter]
    fn name(&self) -> Option<&str> {
        self.file.name.as_deref()
    }

    /// A Line for each of its vifs, in order: their places are their device ids.
    #[getter]
    fn vifs<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, PyTuple>> {
        let lines = slf.get().file.vifs.iter().enumerate();
        PyTuple::new(slf.py(), lines.map(|(n, line)| Line::of(slf, ("vifs", Some(n)), line)).collect::<Vec<_>>())
    }

    fn __repr__(&self, py: Python<'_>) -> PyResult<String> {
        parsed_repr(py, "GuestFile", &self.text)
    }

    fn __reduce__<'py>(slf: &Bound<'py, Self>) -> PyResult<Reduced<'py, (String,)>> {
        parsed(slf.as_any(), &slf.get().text)
    }
}
