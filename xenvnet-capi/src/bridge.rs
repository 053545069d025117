//! What is wanted of a bridge.

use crate::boundary::{call, free};
use crate::error::xenvnet_error;
use std::ffi::{c_char, c_int};
use xenvnet_core::{Bridge, parse_ip_network};

/// What is wanted of a bridge, for xenvnet_create_bridge(). Threads: one at a time.
pub struct xenvnet_bridge {
    pub(crate) bridge: Bridge,
}

/// A bridge of this name with nothing else asked for: no spanning tree, the kernel's MTU, and,
/// where it is new, a MAC address that is always the same for the same name on the same host.
///
/// `bridge`: owned, xenvnet_bridge_free().
#[unsafe(no_mangle)]
pub unsafe extern "C" fn xenvnet_bridge_new(
    name: *const c_char,
    bridge: *mut *mut xenvnet_bridge,
    error: *mut *mut xenvnet_error,
) -> c_int {
    call(error, || {
        let place = out!(bridge);
        place.give(xenvnet_bridge { bridge: Bridge::new(parse!(name)) });
        Ok(())
    })
}

/// With this MAC address: "00:16:3e:00:00:01".
#[unsafe(no_mangle)]
pub unsafe extern "C" fn xenvnet_bridge_set_mac(
    bridge: *mut xenvnet_bridge,
    mac: *const c_char,
    error: *mut *mut xenvnet_error,
) -> c_int {
    call(error, || {
        borrow!(mut bridge).bridge.mac = Some(parse!(mac));
        Ok(())
    })
}

/// With this MTU in bytes, 68 to 65535.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn xenvnet_bridge_set_mtu(
    bridge: *mut xenvnet_bridge,
    mtu: u32,
    error: *mut *mut xenvnet_error,
) -> c_int {
    call(error, || {
        borrow!(mut bridge).bridge.mtu = Some(mtu);
        Ok(())
    })
}

/// With or without the spanning tree protocol (IEEE 802.1D).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn xenvnet_bridge_set_stp(
    bridge: *mut xenvnet_bridge,
    stp: bool,
    error: *mut *mut xenvnet_error,
) -> c_int {
    call(error, || {
        borrow!(mut bridge).bridge.stp = stp;
        Ok(())
    })
}

/// With one more address of dom0 and its prefix length: "10.98.98.1/24".
#[unsafe(no_mangle)]
pub unsafe extern "C" fn xenvnet_bridge_add_address(
    bridge: *mut xenvnet_bridge,
    address: *const c_char,
    error: *mut *mut xenvnet_error,
) -> c_int {
    call(error, || {
        borrow!(mut bridge).bridge.addresses.push(parse_ip_network(text!(address))?);
        Ok(())
    })
}

/// Frees a bridge's description; the bridge itself stays. NULL is allowed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn xenvnet_bridge_free(bridge: *mut xenvnet_bridge) {
    free(bridge);
}
