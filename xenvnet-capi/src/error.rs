//! Why a call failed.

use crate::boundary::free;
use crate::code::{XENVNET_ERROR_NULL, XENVNET_ERROR_PANIC, XENVNET_ERROR_UTF8, XENVNET_OK};
use crate::string::c_string;
use std::any::Any;
use std::ffi::{CString, c_char, c_int};
use std::{fmt, ptr};
use xenvnet_core::{Error, ErrorKind};

/// Why a call failed: a code for programs, a sentence for people. Threads: only xenvnet_line_locate()
/// changes it; but for that, any number may read it at once.
#[derive(Debug)]
pub struct xenvnet_error {
    code: c_int,
    message: CString,
    advice: Option<CString>,
    errno: Option<i32>,
    offset: Option<usize>,
    /// What it was made of, where the core made that.
    origin: Option<Error>,
}

const _: () = {
    const fn any_number_of_threads<T: Send + Sync>() {}
    any_number_of_threads::<xenvnet_error>();
};

impl xenvnet_error {
    fn new(code: c_int, message: impl Into<String>) -> xenvnet_error {
        xenvnet_error { code, message: c_string(message), advice: None, errno: None, offset: None, origin: None }
    }

    /// An error of a kind of the core's that only this interface can make.
    pub(crate) fn of(kind: ErrorKind, message: impl Into<String>) -> xenvnet_error {
        xenvnet_error::new(kind.code(), message)
    }

    pub(crate) fn null(argument: &str) -> xenvnet_error {
        xenvnet_error::new(XENVNET_ERROR_NULL, format!("the argument {argument} is NULL"))
    }

    pub(crate) fn utf8(argument: &str, offset: usize) -> xenvnet_error {
        let message = format!("the argument {argument} is not UTF-8 at byte {offset}");
        xenvnet_error { offset: Some(offset), ..xenvnet_error::new(XENVNET_ERROR_UTF8, message) }
    }

    pub(crate) fn panic(payload: &(dyn Any + Send)) -> xenvnet_error {
        let words = payload.downcast_ref::<String>().map(String::as_str);
        let words = words.or_else(|| payload.downcast_ref::<&str>().copied()).unwrap_or("no words");
        let advice = c_string("this is a fault in xenvnet: please report it with these words");
        let message = format!("the library panicked: {words}");
        xenvnet_error { advice: Some(advice), ..xenvnet_error::new(XENVNET_ERROR_PANIC, message) }
    }

    pub(crate) fn with_advice(mut self, advice: &str) -> xenvnet_error {
        self.advice = Some(c_string(advice));
        self
    }

    pub(crate) fn with_errno(mut self, errno: Option<i32>) -> xenvnet_error {
        self.errno = errno;
        self
    }

    /// Tells it otherwise. What is wrong on the border itself stays as it is.
    pub(crate) fn change(&mut self, told: impl FnOnce(Error) -> Error) {
        if let Some(origin) = self.origin.take() {
            *self = told(origin).into();
        }
    }

    pub(crate) fn code(&self) -> c_int {
        self.code
    }

    #[cfg(test)]
    pub(crate) fn offset(&self) -> Option<usize> {
        self.offset
    }
}

impl fmt::Display for xenvnet_error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message.to_string_lossy())
    }
}

impl From<Error> for xenvnet_error {
    fn from(error: Error) -> xenvnet_error {
        xenvnet_error {
            code: error.kind().code(),
            message: c_string(error.to_string()),
            advice: error.advice().map(c_string),
            errno: error.errno(),
            offset: error.offset(),
            origin: Some(error),
        }
    }
}

/// The result code that the call returned; XENVNET_OK for NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn xenvnet_error_kind(error: *const xenvnet_error) -> c_int {
    read(error).map_or(XENVNET_OK, |error| error.code)
}

/// One sentence: "cannot enslave vif3.0 to xenbr0: no interface named xenbr0".
///
/// Returns: borrowed until the error is freed; NULL for NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn xenvnet_error_message(error: *const xenvnet_error) -> *const c_char {
    read(error).map_or(ptr::null(), |error| error.message.as_ptr())
}

/// One line on what to do about it.
///
/// Returns: borrowed until the error is freed; NULL where nothing useful is known, and for NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn xenvnet_error_advice(error: *const xenvnet_error) -> *const c_char {
    read(error).and_then(|error| error.advice.as_ref()).map_or(ptr::null(), |advice| advice.as_ptr())
}

/// The errno of the kernel, 0 where the kernel had no part in it, and for NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn xenvnet_error_errno(error: *const xenvnet_error) -> c_int {
    read(error).and_then(|error| error.errno).unwrap_or(0)
}

/// The byte in the text at which reading failed, counted from 0; -1 where no text was read, and for
/// NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn xenvnet_error_offset(error: *const xenvnet_error) -> i64 {
    read(error).and_then(|error| error.offset).and_then(|offset| offset.try_into().ok()).unwrap_or(-1)
}

/// Frees an error that the caller owns. NULL is allowed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn xenvnet_error_free(error: *mut xenvnet_error) {
    free(error);
}

fn read<'a>(error: *const xenvnet_error) -> Option<&'a xenvnet_error> {
    crate::boundary::reference(error, "error").ok()
}
