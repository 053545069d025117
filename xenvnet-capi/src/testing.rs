//! An entry for the tests of this interface, in debug builds alone and in no header: a way to see
//! from C that a panic stays inside.

use crate::boundary::call;
use crate::error::xenvnet_error;
use std::ffi::c_int;

/// Panics, as a fault in the library would.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn xenvnet_test_panic(error: *mut *mut xenvnet_error) -> c_int {
    call(error, || panic!("on purpose"))
}
