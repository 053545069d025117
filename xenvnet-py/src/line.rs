//! `Line`: a text that was taken out of a file, and where it stood there.

use crate::convert::wrong_type;
use crate::error::raise;
use crate::snapshot::class;
use crate::value::Reduced;
use pyo3::prelude::*;
use pyo3::types::PyString;
use std::hash::{Hash, Hasher};
use xenvnet_core::{Error, Line as Core};

/// A text from a configuration file, without its quotes, that knows where in the file it stood: from
/// GuestFile.vifs and XendConfig. Whatever reads texts reads a Line as well, and says what is wrong
/// with it by the byte and the line of the file.
///
/// >>> from xenvnet import GuestFile, VifSpec
/// >>> VifSpec.parse(GuestFile.parse("vif = [ 'brige=xenbr0' ]").vifs[0])
/// Traceback (most recent call last):
/// xenvnet.ParseError: vif: unknown key "brige" at byte 9, line 1; did you mean "bridge"?
#[pyclass(frozen, eq, hash, module = "xenvnet")]
pub(crate) struct Line {
    line: Core,
    /// A line is made of its file alone, and so is another like it.
    file: Py<PyAny>,
    place: Place,
}

/// An attribute of the file, and the number of the line where there are several.
type Place = (&'static str, Option<usize>);

#[pymethods]
impl Line {
    /// What it says.
    #[getter]
    fn text(&self) -> &str {
        &self.line.text
    }

    /// The byte of the file that it begins at, after its quote, counted from 0.
    #[getter]
    fn offset(&self) -> usize {
        self.line.offset
    }

    /// The line of the file that it begins on, counted from 1.
    #[getter]
    fn number(&self) -> usize {
        self.line.number
    }

    fn __str__(&self) -> &str {
        self.text()
    }

    fn __repr__(&self, py: Python<'_>) -> PyResult<String> {
        let (attribute, index) = self.place;
        let index = index.map(|index| format!("[{index}]")).unwrap_or_default();
        Ok(format!("{}.{attribute}{index}", self.file.bind(py).repr()?))
    }

    fn __reduce__<'py>(&self, py: Python<'py>) -> PyResult<Reduced<'py, (Py<PyAny>, Place)>> {
        Ok((class(py, "line_of")?, (self.file.clone_ref(py), self.place)))
    }
}

impl Line {
    pub(crate) fn of<T>(file: &Bound<'_, T>, place: Place, line: &Core) -> Line {
        Line { line: line.clone(), file: file.clone().into_any().unbind(), place }
    }
}

impl PartialEq for Line {
    fn eq(&self, other: &Line) -> bool {
        self.line == other.line
    }
}

impl Hash for Line {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.line.hash(state);
    }
}

/// A text to be read: a `str`, or a `Line`.
pub(crate) enum Text {
    Plain(String),
    Placed(Core),
}

impl<'a, 'py> FromPyObject<'a, 'py> for Text {
    type Error = PyErr;

    fn extract(object: Borrowed<'a, 'py, PyAny>) -> PyResult<Text> {
        if let Ok(line) = object.cast::<Line>() {
            return Ok(Text::Placed(line.get().line.clone()));
        }
        let text = object.cast::<PyString>().map_err(|_| wrong_type("a text (str, or a Line of a file)", &object))?;
        Ok(Text::Plain(text.to_cow()?.into_owned()))
    }
}

impl Text {
    /// What is read from it, or the exception that tells its place in the file.
    pub(crate) fn read<T>(&self, read: impl FnOnce(&str) -> xenvnet_core::Result<T>) -> PyResult<T> {
        let text = match self {
            Text::Plain(text) => text,
            Text::Placed(line) => &line.text,
        };
        read(text).map_err(|error| self.raise(error))
    }

    pub(crate) fn raise(&self, error: Error) -> PyErr {
        match self {
            Text::Plain(_) => raise(error),
            Text::Placed(line) => raise(line.locate(error)),
        }
    }
}
