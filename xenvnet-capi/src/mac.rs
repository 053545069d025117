//! Addresses as text: made, and read.

use crate::boundary::{Result, call, texts};
use crate::error::xenvnet_error;
use std::collections::BTreeSet;
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

/// The same, and none of those that are taken: `taken` is an array of `count` texts, none of them
/// NULL; it may be NULL when `count` is 0. Fails with XENVNET_ERROR_CONFLICT when all 16,777,216
/// are.
///
/// `mac`: owned, xenvnet_string_free().
#[unsafe(no_mangle)]
pub unsafe extern "C" fn xenvnet_mac_random_xen_avoiding(
    taken: *const *const c_char,
    count: usize,
    mac: *mut *mut c_char,
    error: *mut *mut xenvnet_error,
) -> c_int {
    call(error, || {
        let place = out!(mac);
        place.give_text(MacAddr::random_xen_avoiding(&macs(taken, count)?)?);
        Ok(())
    })
}

/// Draws a locally administered MAC address at random that is none of those that are taken, over 46
/// bits: the better choice where no prefix is asked for. `taken` as in
/// xenvnet_mac_random_xen_avoiding().
///
/// `mac`: owned, xenvnet_string_free().
#[unsafe(no_mangle)]
pub unsafe extern "C" fn xenvnet_mac_random_local_avoiding(
    taken: *const *const c_char,
    count: usize,
    mac: *mut *mut c_char,
    error: *mut *mut xenvnet_error,
) -> c_int {
    call(error, || {
        let place = out!(mac);
        place.give_text(MacAddr::random_local_avoiding(&macs(taken, count)?)?);
        Ok(())
    })
}

fn macs(taken: *const *const c_char, count: usize) -> Result<BTreeSet<MacAddr>> {
    texts(taken, count, "taken")?.into_iter().map(|mac| Ok(mac.parse()?)).collect()
}

/// The chance, 0 to 1, that among `count` addresses, drawn at random over this many bits, two are
/// the same. xenvnet_mac_random_xen() draws 24 bits, libxl and xend 23,
/// xenvnet_mac_random_local_avoiding() 46.
#[unsafe(no_mangle)]
pub extern "C" fn xenvnet_mac_collision_odds(count: u64, bits: u32) -> f64 {
    MacAddr::collision_odds(count, bits)
}
