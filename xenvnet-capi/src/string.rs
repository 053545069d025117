//! Texts that the library gives away.

use crate::boundary::{Out, Result, catch};
use crate::error::xenvnet_error;
use serde::Serialize;
use std::ffi::{CString, c_char};
use xenvnet_core::ErrorKind;

/// A text as C holds it. A NUL within would end it early, so it becomes U+FFFD.
pub(crate) fn c_string(text: impl Into<String>) -> CString {
    let text = text.into();
    CString::new(text).unwrap_or_else(|error| {
        let bytes = String::from_utf8_lossy(&error.into_vec()).replace('\0', "\u{fffd}");
        CString::new(bytes).unwrap_or_default()
    })
}

/// A value of the core's as JSON.
pub(crate) fn to_json(value: &impl Serialize) -> Result<String> {
    let fault = |error| xenvnet_error::of(ErrorKind::Internal, format!("cannot write JSON: {error}"));
    serde_json::to_string(value).map_err(fault)
}

impl Out<*mut c_char> {
    /// Hands a text over: the caller owns it.
    pub(crate) fn give_text(self, text: impl Into<String>) {
        self.set(c_string(text).into_raw());
    }
}

/// Frees a text that the caller owns. NULL is allowed. Never give it to free(3).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn xenvnet_string_free(string: *mut c_char) {
    if string.is_null() {
        return;
    }
    let _ = catch(|| {
        // SAFETY: not NULL, and the caller promises a text that this library gave it, unchanged in
        // length, which it owns and does not use again.
        drop(unsafe { CString::from_raw(string) });
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_nul_does_not_cut_a_text_short() {
        assert_eq!(c_string("a\0b").to_str().unwrap(), "a\u{fffd}b");
    }
}
