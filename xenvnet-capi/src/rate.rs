//! How fast a guest may send.

use crate::boundary::call;
use crate::error::xenvnet_error;
use std::ffi::{c_char, c_int};
use xenvnet_core::Rate;

/// Reads xl's rate=: "10Mb/s" (bits), "250KB/s" (bytes), "1MB/s@20ms". A guest may send `bytes` in
/// each interval of `usecs` microseconds, both at least 1. The interval is 50 ms where none is given;
/// a bare number of it counts seconds, as xl has always read it. netback reads "BYTES,USECS".
#[unsafe(no_mangle)]
pub unsafe extern "C" fn xenvnet_rate_from_xl(
    text: *const c_char,
    bytes: *mut u64,
    usecs: *mut u32,
    error: *mut *mut xenvnet_error,
) -> c_int {
    read(text, bytes, usecs, error, |text| Rate::from_xl(text).map(Some))
}

/// Reads xm's rate=: as xenvnet_rate_from_xl() does, but the interval always has a unit, and the
/// bytes of an interval fit 32 bits.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn xenvnet_rate_from_xm(
    text: *const c_char,
    bytes: *mut u64,
    usecs: *mut u32,
    error: *mut *mut xenvnet_error,
) -> c_int {
    read(text, bytes, usecs, error, |text| Rate::from_xm(text).map(Some))
}

/// Reads netback's node: "62500,50000". Both are 0 where nothing is limited, which xend wrote as an
/// interval of 0.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn xenvnet_rate_from_netback(
    text: *const c_char,
    bytes: *mut u64,
    usecs: *mut u32,
    error: *mut *mut xenvnet_error,
) -> c_int {
    read(text, bytes, usecs, error, Rate::from_netback)
}

fn read(
    text: *const c_char,
    bytes: *mut u64,
    usecs: *mut u32,
    error: *mut *mut xenvnet_error,
    read: impl FnOnce(&str) -> xenvnet_core::Result<Option<Rate>>,
) -> c_int {
    call(error, || {
        let (bytes, usecs) = (out!(bytes), out!(usecs));
        let rate = read(text!(text))?;
        bytes.set(rate.map_or(0, |rate| rate.bytes));
        usecs.set(rate.map_or(0, |rate| rate.usecs));
        Ok(())
    })
}

/// The text that xl reads this rate from; exactly this rate, where xl has a text for it. Fails with
/// XENVNET_ERROR_INVALID_ARGUMENT where either number is 0.
///
/// `text`: owned, xenvnet_string_free().
#[unsafe(no_mangle)]
pub unsafe extern "C" fn xenvnet_rate_to_xl(
    bytes: u64,
    usecs: u32,
    text: *mut *mut c_char,
    error: *mut *mut xenvnet_error,
) -> c_int {
    call(error, || {
        let place = out!(text);
        place.give_text(Rate::new(bytes, usecs)?.to_xl());
        Ok(())
    })
}
