//! What holds for guests that do not say.

use crate::boundary::{call, free};
use crate::error::xenvnet_error;
use std::ffi::{c_char, c_int};
use xenvnet_core::VifDefaults;

/// What holds for guests that do not say: a host's vif.default.* of xl.conf, or vif-script of xend's
/// configuration. Threads: one at a time.
pub struct xenvnet_vif_defaults {
    pub(crate) defaults: VifDefaults,
}

/// Those of Xen: vif-bridge and xenbr0; no gateway.
///
/// `defaults`: owned, xenvnet_vif_defaults_free().
#[unsafe(no_mangle)]
pub unsafe extern "C" fn xenvnet_vif_defaults_new(
    defaults: *mut *mut xenvnet_vif_defaults,
    error: *mut *mut xenvnet_error,
) -> c_int {
    call(error, || {
        out!(defaults).give(xenvnet_vif_defaults { defaults: VifDefaults::new() });
        Ok(())
    })
}

/// With this script for guests that ask for none; see xenvnet_vif_script_json().
#[unsafe(no_mangle)]
pub unsafe extern "C" fn xenvnet_vif_defaults_set_script(
    defaults: *mut xenvnet_vif_defaults,
    line: *const c_char,
    error: *mut *mut xenvnet_error,
) -> c_int {
    call(error, || {
        borrow!(mut defaults).defaults.script = parse!(line);
        Ok(())
    })
}

/// With this bridge for guests that name none, where the script names none either.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn xenvnet_vif_defaults_set_bridge(
    defaults: *mut xenvnet_vif_defaults,
    bridge: *const c_char,
    error: *mut *mut xenvnet_error,
) -> c_int {
    call(error, || {
        borrow!(mut defaults).defaults.bridge = parse!(bridge);
        Ok(())
    })
}

/// With the addresses of this interface as gateways of vif-route's guests, where neither guest nor
/// script names one; without it, those of the uplink of the routed network that runs.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn xenvnet_vif_defaults_set_gateway_device(
    defaults: *mut xenvnet_vif_defaults,
    device: *const c_char,
    error: *mut *mut xenvnet_error,
) -> c_int {
    call(error, || {
        borrow!(mut defaults).defaults.gateway_device = Some(parse!(device));
        Ok(())
    })
}

/// Frees defaults. NULL is allowed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn xenvnet_vif_defaults_free(defaults: *mut xenvnet_vif_defaults) {
    free(defaults);
}
