//! What this version is and has.

use std::ffi::{CStr, c_char, c_int};

/// The version of this header: major.
pub const XENVNET_VERSION_MAJOR: c_int = 0;
/// The version of this header: minor.
pub const XENVNET_VERSION_MINOR: c_int = 1;
/// The version of this header: patch.
pub const XENVNET_VERSION_PATCH: c_int = 0;

const VERSION: &CStr = match CStr::from_bytes_with_nul(concat!(env!("CARGO_PKG_VERSION"), "\0").as_bytes()) {
    Ok(version) => version,
    Err(_) => panic!("a version has no NUL"),
};

/// The version of the library that the program runs with. XENVNET_VERSION is that of the header it
/// was compiled with.
///
/// Returns: static.
#[unsafe(no_mangle)]
pub extern "C" fn xenvnet_version() -> *const c_char {
    VERSION.as_ptr()
}
