//! A text that was taken out of a file, and where it stood there.

use crate::error::{Error, Result};
use std::str::FromStr;

/// A text from a configuration file, without its quotes, that knows where in the file it stood.
///
/// What is wrong with it is told with the byte and the line of the file, also where escapes
/// (`\'`) made the text shorter than it is there.
///
/// ```
/// use xenvnet_core::{Network, XendConfig};
/// let file = "(xend-port 8000)\n(network-script 'network-virtual brige=xenbr0')\n";
/// let line = XendConfig::parse(file)?.network_script.unwrap();
/// assert_eq!((line.text.as_str(), line.offset, line.number), ("network-virtual brige=xenbr0", 34, 2));
///
/// let error = line.parse::<Network>().unwrap_err();
/// assert_eq!(
///     error.to_string(),
///     r#"network line: unknown key "brige" at byte 50, line 2; did you mean "bridge"?"#
/// );
/// assert_eq!(&file[error.offset().unwrap()..][..5], "brige");
/// # Ok::<(), xenvnet_core::Error>(())
/// ```
#[non_exhaustive]
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Line {
    /// What it says.
    pub text: String,
    /// The byte of the file that it begins at, after its quote, counted from 0.
    pub offset: usize,
    /// The line of the file that it begins on, counted from 1.
    pub number: usize,
    /// Where in the text a byte stands for two of the file.
    escapes: Vec<usize>,
}

impl Line {
    /// An empty one, to be filled from this place on.
    pub(crate) fn at(offset: usize, number: usize) -> Line {
        Line { text: String::new(), offset, number, escapes: Vec::new() }
    }

    pub(crate) fn push(&mut self, c: char) {
        self.text.push(c);
    }

    pub(crate) fn push_str(&mut self, text: &str) {
        self.text.push_str(text);
    }

    /// What a backslash and one more byte of the file stand for.
    pub(crate) fn push_escaped(&mut self, c: char) {
        self.escapes.push(self.text.len());
        self.text.push(c);
    }

    /// Reads a value from it.
    ///
    /// # Errors
    /// Those of the value, with [`Error::offset`] within the file.
    ///
    /// ```
    /// # use xenvnet_core::{VifScript, XendConfig};
    /// let file = XendConfig::parse("(vif-script 'vif-bridge bridge=eth0')")?;
    /// assert_eq!(file.vif_script.unwrap().parse::<VifScript>()?.to_string(), "vif-bridge bridge=eth0");
    /// # Ok::<(), xenvnet_core::Error>(())
    /// ```
    pub fn parse<T: FromStr<Err = Error>>(&self) -> Result<T> {
        self.text.parse().map_err(|error| self.locate(error))
    }

    /// An error about the text, told as one about the file: for readers that take more than a text.
    ///
    /// ```
    /// # use xenvnet_core::{GuestFile, Strictness, VifSpec};
    /// let file = GuestFile::parse("vif = [ 'iP=10.0.0.1' ]")?;
    /// let line = &file.vifs[0];
    /// let (_, warnings) = VifSpec::from_xl(&line.text, Strictness::Lenient)?;
    /// let warnings: Vec<_> = warnings.into_iter().map(|warning| line.locate(warning)).collect();
    /// assert_eq!(warnings[0].offset(), Some(9));
    /// # Ok::<(), xenvnet_core::Error>(())
    /// ```
    pub fn locate(&self, error: Error) -> Error {
        let (offset, line) = self.place(error.offset().unwrap_or(0));
        error.in_file(offset, line)
    }

    /// The byte and line of the file at this byte of the text.
    pub(crate) fn place(&self, within: usize) -> (usize, usize) {
        let before = &self.text.as_bytes()[..within.min(self.text.len())];
        let escapes = self.escapes.iter().filter(|escape| **escape < before.len());
        // A line break that was written as an escape begins no line of the file.
        let unwritten = escapes.clone().filter(|escape| before[**escape] == b'\n').count();
        let lines = before.iter().filter(|byte| **byte == b'\n').count() - unwritten;
        (self.offset + before.len() + escapes.count(), self.number + lines)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::ErrorKind;

    fn wrong(reason: &str, offset: usize) -> Error {
        Error::invalid(ErrorKind::Parse, reason).at(offset)
    }

    #[test]
    fn escapes_before_the_fault_are_counted() {
        let mut line = Line::at(100, 7);
        // In the file: a\'b\nc, and a line break that is one.
        line.push('a');
        line.push_escaped('\'');
        line.push('b');
        line.push_escaped('\n');
        line.push('c');
        line.push('\n');
        line.push('d');
        let place = |within| {
            let error = line.locate(wrong("x", within));
            (error.offset().unwrap(), error.to_string())
        };
        assert_eq!(place(0), (100, "x at byte 100, line 7".to_owned()));
        assert_eq!(place(1).0, 101, "the escape itself begins at its backslash");
        assert_eq!(place(2).0, 103);
        assert_eq!(place(4), (106, "x at byte 106, line 7".to_owned()));
        assert_eq!(place(6), (108, "x at byte 108, line 8".to_owned()));
        assert_eq!(place(9999).0, 109, "no further than the end");
    }

    #[test]
    fn the_place_is_told_once() {
        let line = Line { text: "0123456789abcdefghij".to_owned(), ..Line::at(10, 1) };
        let told = |reason: &str, offset| line.locate(wrong(reason, offset)).to_string();
        assert_eq!(told("bad at byte 2; did you mean 3?", 2), "bad at byte 12, line 1; did you mean 3?");
        assert_eq!(told("bad at byte 15", 1), "bad at byte 15 at byte 11, line 1");
        let error = line.locate(Error::invalid(ErrorKind::Unsupported, "not that one"));
        assert_eq!(error.to_string(), "not that one at byte 10, line 1");
        assert_eq!(error.kind(), ErrorKind::Unsupported);
    }
}
