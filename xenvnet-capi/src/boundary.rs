//! The border between C and Rust: the only place with `unsafe` code.
//!
//! Three promises are kept here for every function. A panic never crosses into C ([`call`]; what
//! cannot fail only reads a field or a table, and has nothing that could panic). A NULL where a
//! value is wanted is an error that names the argument ([`borrow!`], [`parse!`], [`out!`]). An
//! out-parameter is checked before anything is done, and written only when all of it worked
//! ([`Out`]).

use crate::error::xenvnet_error;
use std::any::Any;
use std::ffi::{CStr, c_char, c_int, c_uint};
use std::panic::{self, AssertUnwindSafe};
use std::sync::Once;
use xenvnet_core::ErrorKind;

/// The result of a body; the caller of C sees its code.
pub(crate) type Result<T> = std::result::Result<T, xenvnet_error>;

/// Runs the body of a fallible function and gives its result code; a failure goes to `error`,
/// unless that is NULL.
pub(crate) fn call(error: *mut *mut xenvnet_error, body: impl FnOnce() -> Result<()>) -> c_int {
    match catch(body).unwrap_or_else(|payload| Err(xenvnet_error::panic(payload.as_ref()))) {
        Ok(()) => crate::code::XENVNET_OK,
        Err(failure) => {
            let code = failure.code();
            if !error.is_null() {
                // SAFETY: not NULL, and the caller promises that it points to a writable pointer.
                unsafe { error.write(Box::into_raw(Box::new(failure))) };
            }
            code
        }
    }
}

/// Runs a body whose panics have nobody to be told.
pub(crate) fn catch<T>(body: impl FnOnce() -> T) -> std::result::Result<T, Box<dyn Any + Send>> {
    static HOOK: Once = Once::new();
    // Without a hook of ours the standard library would print to stderr, which is the program's.
    HOOK.call_once(|| panic::set_hook(Box::new(|info| log::error!("{info}"))));
    panic::catch_unwind(AssertUnwindSafe(body))
}

/// The object behind a pointer of the caller's, or the error that its argument is NULL.
pub(crate) fn reference<'a, T>(pointer: *const T, argument: &str) -> Result<&'a T> {
    // SAFETY: NULL gives `None`; else the caller promises an object of this library that is alive
    // and is not changed until the call returns.
    unsafe { pointer.as_ref() }.ok_or_else(|| xenvnet_error::null(argument))
}

/// The same for an object that is changed.
pub(crate) fn reference_mut<'a, T>(pointer: *mut T, argument: &str) -> Result<&'a mut T> {
    // SAFETY: NULL gives `None`; else the caller promises an object of this library that is alive
    // and is used by no other thread until the call returns.
    unsafe { pointer.as_mut() }.ok_or_else(|| xenvnet_error::null(argument))
}

/// The objects behind an array of pointers, none of which may be NULL. No array is needed for none.
pub(crate) fn references<'a, T>(array: *const *const T, count: usize, argument: &str) -> Result<Vec<&'a T>> {
    each(array, count, argument, |pointer, argument| reference(pointer, argument))
}

/// The texts behind an array of pointers.
pub(crate) fn texts<'a>(array: *const *const c_char, count: usize, argument: &str) -> Result<Vec<&'a str>> {
    each(array, count, argument, text)
}

fn each<T, U>(
    array: *const *const T,
    count: usize,
    argument: &str,
    one: impl Fn(*const T, &str) -> Result<U>,
) -> Result<Vec<U>> {
    if count == 0 {
        return Ok(Vec::new());
    }
    let array: *const *const T = reference(array, argument)?;
    // SAFETY: not NULL, and the caller promises `count` pointers.
    let pointers = unsafe { std::slice::from_raw_parts(array, count) };
    pointers.iter().enumerate().map(|(n, pointer)| one(*pointer, &format!("{argument}[{n}]"))).collect()
}

/// A C string, as bytes.
pub(crate) fn bytes<'a>(pointer: *const c_char, argument: &str) -> Result<&'a [u8]> {
    if pointer.is_null() {
        return Err(xenvnet_error::null(argument));
    }
    // SAFETY: not NULL, and the caller promises a NUL-terminated string that stays until the call
    // returns.
    Ok(unsafe { CStr::from_ptr(pointer) }.to_bytes())
}

/// A C string, as text.
pub(crate) fn text<'a>(pointer: *const c_char, argument: &str) -> Result<&'a str> {
    std::str::from_utf8(bytes(pointer, argument)?).map_err(|error| xenvnet_error::utf8(argument, error.valid_up_to()))
}

/// Which of the flags that a function knows are set; another one is refused, so that a program finds
/// out that the library is older than its header.
pub(crate) fn known<const N: usize>(flags: c_uint, all: [c_uint; N]) -> Result<[bool; N]> {
    let unknown = flags & !all.iter().fold(0, |known, flag| known | flag);
    match unknown {
        0 => Ok(all.map(|flag| flags & flag != 0)),
        _ => Err(xenvnet_error::of(ErrorKind::Unsupported, format!("this version knows no flag {unknown:#x}"))),
    }
}

/// A place of the caller's for one value.
pub(crate) struct Out<T>(*mut T);

impl<T> Out<T> {
    pub(crate) fn new(pointer: *mut T, argument: &str) -> Result<Out<T>> {
        if pointer.is_null() { Err(xenvnet_error::null(argument)) } else { Ok(Out(pointer)) }
    }

    /// Writes the value. The last thing that a body does.
    pub(crate) fn set(self, value: T) {
        // SAFETY: not NULL since `new`, and the caller promises that it points to a writable value.
        unsafe { self.0.write(value) }
    }
}

impl<T> Out<*mut T> {
    /// Hands an object over: the caller owns it.
    pub(crate) fn give(self, object: T) {
        self.set(Box::into_raw(Box::new(object)));
    }
}

/// Takes an object back that was given by [`Out::give`], and drops it.
pub(crate) fn free<T>(pointer: *mut T) {
    if pointer.is_null() {
        return;
    }
    // A panic of a destructor has been logged, and there is no result that could tell of it.
    let _ = catch(|| {
        // SAFETY: not NULL, and the caller promises an object that a function of this library gave
        // it, which it owns and does not use again.
        drop(unsafe { Box::from_raw(pointer) });
    });
}

/// `borrow!(host)`: the object that the argument points to.
macro_rules! borrow {
    ($argument:ident) => {
        $crate::boundary::reference($argument, stringify!($argument))?
    };
    (mut $argument:ident) => {
        $crate::boundary::reference_mut($argument, stringify!($argument))?
    };
}

/// `text!(line)`: the argument as text.
macro_rules! text {
    ($argument:ident) => {
        $crate::boundary::text($argument, stringify!($argument))?
    };
}

/// `parse!(vif)`: the argument read as what the place wants; `parse!(uplink?)`: NULL for none.
macro_rules! parse {
    ($argument:ident) => {
        text!($argument).parse()?
    };
    ($argument:ident ?) => {
        if $argument.is_null() { None } else { Some(parse!($argument)) }
    };
}

/// `out!(plan)`: the place that the argument points to.
macro_rules! out {
    ($argument:ident) => {
        $crate::boundary::Out::new($argument, stringify!($argument))?
    };
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::code::*;
    use std::ptr;

    #[test]
    fn a_panic_becomes_a_code_and_a_message() {
        let mut error = ptr::null_mut();
        assert_eq!(call(&mut error, || panic!("told {}", 1)), XENVNET_ERROR_PANIC);
        assert!(reference(error, "error").unwrap().to_string().contains("told 1"));
        free(error);
        assert_eq!(call(ptr::null_mut(), || panic!("told nobody")), XENVNET_ERROR_PANIC);
    }

    #[test]
    fn null_is_an_error_that_names_the_argument() {
        let vif: *const c_char = ptr::null();
        let read = || -> Result<&str> { Ok(text!(vif)) };
        let error = read().unwrap_err();
        assert_eq!(error.code(), XENVNET_ERROR_NULL);
        assert_eq!(error.to_string(), "the argument vif is NULL");
    }

    #[test]
    fn an_array_is_checked_to_its_last_pointer() {
        let objects = [7u8, 8];
        let pointers = [&objects[0] as *const u8, &objects[1], ptr::null()];
        assert_eq!(references(pointers.as_ptr(), 2, "objects").unwrap(), [&7, &8]);
        let error = references(pointers.as_ptr(), 3, "objects").unwrap_err();
        assert_eq!(error.to_string(), "the argument objects[2] is NULL");
        assert!(references::<u8>(ptr::null(), 0, "objects").unwrap().is_empty());
        assert_eq!(references::<u8>(ptr::null(), 1, "objects").unwrap_err().code(), XENVNET_ERROR_NULL);
    }

    #[test]
    fn the_texts_of_an_array_are_each_checked() {
        let pointers = [c"vif1.0".as_ptr(), c"vif\xff".as_ptr()];
        assert_eq!(texts(pointers.as_ptr(), 1, "names").unwrap(), ["vif1.0"]);
        let error = texts(pointers.as_ptr(), 2, "names").unwrap_err();
        assert_eq!((error.code(), error.offset()), (XENVNET_ERROR_UTF8, Some(3)));
        assert_eq!(error.to_string(), "the argument names[1] is not UTF-8 at byte 3");
    }

    #[test]
    fn flags_that_nobody_knows_are_refused() {
        assert_eq!(known(0, [1, 4]).unwrap(), [false, false]);
        assert_eq!(known(4, [1, 4]).unwrap(), [false, true]);
        let error = known(13, [1, 4]).unwrap_err();
        assert_eq!(error.code(), XENVNET_ERROR_UNSUPPORTED);
        assert_eq!(error.to_string(), "this version knows no flag 0x8");
    }

    #[test]
    fn text_is_utf8_and_says_where_it_is_not() {
        let error = text(c"vif\xff".as_ptr(), "vif").unwrap_err();
        assert_eq!(error.code(), XENVNET_ERROR_UTF8);
        assert_eq!(error.offset(), Some(3));
    }
}
