//! The result codes: one table for the header, the names and the tests.

use std::ffi::{CStr, c_char, c_int};
use std::ptr;

/// It worked. Every other code is a failure.
pub const XENVNET_OK: c_int = 0;
/// A text could not be read; xenvnet_error_offset() says where.
pub const XENVNET_ERROR_PARSE: c_int = 1;
/// A value is well-formed but cannot be meant: a multicast MAC for a guest, say.
pub const XENVNET_ERROR_INVALID_ARGUMENT: c_int = 2;
/// An interface, bridge or namespace that was named is not there.
pub const XENVNET_ERROR_NOT_FOUND: c_int = 3;
/// Something else has this name already.
pub const XENVNET_ERROR_ALREADY_EXISTS: c_int = 4;
/// The kernel or another process is using the object; trying again may help.
pub const XENVNET_ERROR_BUSY: c_int = 5;
/// The caller lacks a privilege; the advice names it.
pub const XENVNET_ERROR_PERMISSION: c_int = 6;
/// This kernel, or this version of the library, cannot do it.
pub const XENVNET_ERROR_UNSUPPORTED: c_int = 7;
/// It contradicts what is there: two guests with one MAC, a foreign table of our name.
pub const XENVNET_ERROR_CONFLICT: c_int = 8;
/// The kernel refused for another reason; xenvnet_error_errno() has its number.
pub const XENVNET_ERROR_KERNEL: c_int = 9;
/// A step failed, and putting back what was there failed as well.
pub const XENVNET_ERROR_UNDO: c_int = 10;
/// A file or directory of the library's own state could not be read or written.
pub const XENVNET_ERROR_STATE: c_int = 11;
/// A fault in this library; please report it.
pub const XENVNET_ERROR_INTERNAL: c_int = 12;
/// The library panicked, which is a fault in it; please report it. Free the objects that the call
/// was given, and use them for nothing else.
pub const XENVNET_ERROR_PANIC: c_int = 100;
/// An argument is NULL that must not be; the message names it. Nothing was done.
pub const XENVNET_ERROR_NULL: c_int = 101;
/// A text is not UTF-8; xenvnet_error_offset() says where. Nothing was done.
pub const XENVNET_ERROR_UTF8: c_int = 102;

/// Every code and its name. Below 100 they are those of the core's `ErrorKind`; from 100 on, those
/// of calls that went wrong on the border itself.
pub(crate) const TABLE: [(c_int, &CStr); 16] = [
    (XENVNET_OK, c"ok"),
    (XENVNET_ERROR_PARSE, c"parse"),
    (XENVNET_ERROR_INVALID_ARGUMENT, c"invalid_argument"),
    (XENVNET_ERROR_NOT_FOUND, c"not_found"),
    (XENVNET_ERROR_ALREADY_EXISTS, c"already_exists"),
    (XENVNET_ERROR_BUSY, c"busy"),
    (XENVNET_ERROR_PERMISSION, c"permission"),
    (XENVNET_ERROR_UNSUPPORTED, c"unsupported"),
    (XENVNET_ERROR_CONFLICT, c"conflict"),
    (XENVNET_ERROR_KERNEL, c"kernel"),
    (XENVNET_ERROR_UNDO, c"undo"),
    (XENVNET_ERROR_STATE, c"state"),
    (XENVNET_ERROR_INTERNAL, c"internal"),
    (XENVNET_ERROR_PANIC, c"panic"),
    (XENVNET_ERROR_NULL, c"null"),
    (XENVNET_ERROR_UTF8, c"utf8"),
];

/// The name of a result code in snake case: "not_found" for XENVNET_ERROR_NOT_FOUND.
///
/// Returns: static; NULL for a number that is no code of this version.
#[unsafe(no_mangle)]
pub extern "C" fn xenvnet_code_name(code: c_int) -> *const c_char {
    TABLE.iter().find(|(number, _)| *number == code).map_or(ptr::null(), |(_, name)| name.as_ptr())
}
