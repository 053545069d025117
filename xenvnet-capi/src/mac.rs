//! Addresses as text: made, and read.

use crate::boundary::call;
use crate::error::xenvnet_error;
use std::ffi::{c_char, c_int};
use xenvnet_core::{MacAddr, MacPrefix, parse_ip};

/// Makes a locally administered MAC address from an IPv4 or IPv6 address: the same one for the same
/// address, always, on every host and in every version of this library. `prefix` is its first two
/// octets ("02:16"), NULL for "2e:00".
///
/// `mac`: owned, xenvnet_string_free().
#[unsafe(no_mangle)]
pub unsafe extern "C" fn xenvnet_mac_from_ip(
    ip: *const c_char,
    prefix: *const c_char,
    mac: *mut *mut c_char,
    error: *mut *mut xenvnet_error,
) -> c_int {
    call(error, || {
        let place = out!(mac);
        let ip = parse_ip(text!(ip))?;
        let prefix: Option<MacPrefix> = parse!(prefix?);
        place.give_text(MacAddr::from_ip(ip, prefix.unwrap_or_default()));
        Ok(())
    })
}

/// Draws a MAC address under Xen's prefix 00:16:3e at random, over all 24 bits.
///
/// `mac`: owned, xenvnet_string_free().
#[unsafe(no_mangle)]
pub unsafe extern "C" fn xenvnet_mac_random_xen(mac: *mut *mut c_char, error: *mut *mut xenvnet_error) -> c_int {
    call(error, || {
        let place = out!(mac);
        place.give_text(MacAddr::random_xen()?);
        Ok(())
    })
}
