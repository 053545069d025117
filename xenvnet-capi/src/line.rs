//! A text that was taken out of a file, and where it stood there.

use crate::boundary::{reference, reference_mut};
use crate::error::xenvnet_error;
use crate::string::c_string;
use std::ffi::{CString, c_char};
use std::ptr;
use xenvnet_core::Line;

/// A text from a configuration file, without its quotes, that knows where in the file it stood.
/// Belongs to its file. Threads: never changes, so any number may read it at once.
pub struct xenvnet_line {
    line: Line,
    text: CString,
}

const _: () = {
    const fn any_number_of_threads<T: Send + Sync>() {}
    any_number_of_threads::<xenvnet_line>();
};

impl xenvnet_line {
    pub(crate) fn new(line: Line) -> xenvnet_line {
        xenvnet_line { text: c_string(line.text.as_str()), line }
    }
}

/// What it says, for whatever reads texts.
///
/// Returns: borrowed until the file is freed; NULL for NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn xenvnet_line_text(line: *const xenvnet_line) -> *const c_char {
    read(line).map_or(ptr::null(), |line| line.text.as_ptr())
}

/// The byte of the file that it begins at, after its quote, counted from 0; 0 for NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn xenvnet_line_offset(line: *const xenvnet_line) -> usize {
    read(line).map_or(0, |line| line.line.offset)
}

/// The line of the file that it begins on, counted from 1; 0 for NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn xenvnet_line_number(line: *const xenvnet_line) -> usize {
    read(line).map_or(0, |line| line.line.number)
}

/// An error about the text of a line, told as one about its file: the message names the byte and the
/// line of the file, and xenvnet_error_offset() is the byte there. For what was wrong with the text,
/// and once for each error. NULL is allowed for either: nothing is done.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn xenvnet_line_locate(line: *const xenvnet_line, error: *mut xenvnet_error) {
    if let (Some(line), Ok(error)) = (read(line), reference_mut(error, "error")) {
        error.change(|error| line.line.locate(error));
    }
}

fn read<'a>(line: *const xenvnet_line) -> Option<&'a xenvnet_line> {
    reference(line, "line").ok()
}
