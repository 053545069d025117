//! A vif as a guest's configuration asks for it.

use crate::attachment::xenvnet_attachment;
use crate::boundary::{Result, call, free, known, reference_mut};
use crate::error::xenvnet_error;
use crate::string::to_json;
use crate::vif_defaults::xenvnet_vif_defaults;
use std::collections::VecDeque;
use std::ffi::{c_char, c_int, c_uint};
use std::ptr;
use xenvnet_core::{Error, Strictness, VifDefaults, VifSpec};

/// A vif as a string of vif = [ ... ] in a guest's configuration asks for it, for xl or for xm.
/// Threads: one at a time.
pub struct xenvnet_vif_spec {
    spec: VifSpec,
    warnings: VecDeque<Error>,
}

/// For xenvnet_vif_spec_from_xl(), xenvnet_vif_spec_from_xm() and xenvnet_vif_spec_attachment(): what
/// xl passes over is passed over, though a guest may then start with less than it was given, or
/// without a lock.
pub const XENVNET_LENIENT: c_uint = 2;

/// Reads a string of xl's, as in xl-network-configuration(5); "" is all of the toolstack's defaults.
/// `flags`: 0, or XENVNET_LENIENT, by which an unknown key, one that is given twice and one without a
/// value are forgiven: see xenvnet_vif_spec_take_warning(). Fails with XENVNET_ERROR_PARSE, and with
/// XENVNET_ERROR_INVALID_ARGUMENT for a MAC or IP address that no guest can have.
///
/// `spec`: owned, xenvnet_vif_spec_free().
#[unsafe(no_mangle)]
pub unsafe extern "C" fn xenvnet_vif_spec_from_xl(
    text: *const c_char,
    flags: c_uint,
    spec: *mut *mut xenvnet_vif_spec,
    error: *mut *mut xenvnet_error,
) -> c_int {
    read(text, flags, spec, error, VifSpec::from_xl)
}

/// Reads a string of xm's: as xenvnet_vif_spec_from_xl() does, with fewer keys and another grammar of
/// rates.
///
/// `spec`: owned, xenvnet_vif_spec_free().
#[unsafe(no_mangle)]
pub unsafe extern "C" fn xenvnet_vif_spec_from_xm(
    text: *const c_char,
    flags: c_uint,
    spec: *mut *mut xenvnet_vif_spec,
    error: *mut *mut xenvnet_error,
) -> c_int {
    read(text, flags, spec, error, VifSpec::from_xm)
}

fn read(
    text: *const c_char,
    flags: c_uint,
    spec: *mut *mut xenvnet_vif_spec,
    error: *mut *mut xenvnet_error,
    read: impl FnOnce(&str, Strictness) -> xenvnet_core::Result<(VifSpec, Vec<Error>)>,
) -> c_int {
    call(error, || {
        let place = out!(spec);
        let (spec, warnings) = read(text!(text), strictness(flags)?)?;
        place.give(xenvnet_vif_spec { spec, warnings: warnings.into() });
        Ok(())
    })
}

fn strictness(flags: c_uint) -> Result<Strictness> {
    let [lenient] = known(flags, [XENVNET_LENIENT])?;
    Ok(if lenient { Strictness::Lenient } else { Strictness::Strict })
}

/// The next thing that was forgiven when the string was read, each once: an error for whoever wrote
/// it, that xenvnet_line_locate() takes like any other.
///
/// Returns: owned, xenvnet_error_free(); NULL when there are no more, and for NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn xenvnet_vif_spec_take_warning(spec: *mut xenvnet_vif_spec) -> *mut xenvnet_error {
    let warning = reference_mut(spec, "spec").ok().and_then(|spec| spec.warnings.pop_front());
    warning.map_or(ptr::null_mut(), |warning| Box::into_raw(Box::new(warning.into())))
}

/// The string as xl reads it.
///
/// `text`: owned, xenvnet_string_free().
#[unsafe(no_mangle)]
pub unsafe extern "C" fn xenvnet_vif_spec_text(
    spec: *const xenvnet_vif_spec,
    text: *mut *mut c_char,
    error: *mut *mut xenvnet_error,
) -> c_int {
    call(error, || {
        let place = out!(text);
        place.give_text(borrow!(spec).spec.to_string());
        Ok(())
    })
}

/// What it asks for as data: a JSON object with all of these keys, null for what it does not say.
///
///     mac, ips                  its addresses; ips an array
///     bridge, ovs_bridge        a bridge of Linux's, or one of Open vSwitch's
///     name                      what dom0's interface is to be called (vifname=)
///     script, gateway_device    as they are written
///     card, model               "paravirtual", or "emulated" for one besides; and of what model
///     rate                      {"bytes": ..., "usecs": ...}; see xenvnet_rate_from_xl()
///     mtu, vlan, devid, backend
///     trusted                   whether the guest is told to trust the backend
///     others                    an object of the rest, word for word
///
/// `json`: owned, xenvnet_string_free().
#[unsafe(no_mangle)]
pub unsafe extern "C" fn xenvnet_vif_spec_to_json(
    spec: *const xenvnet_vif_spec,
    json: *mut *mut c_char,
    error: *mut *mut xenvnet_error,
) -> c_int {
    call(error, || {
        let place = out!(json);
        place.give_text(to_json(&borrow!(spec).spec)?);
        Ok(())
    })
}

/// What it asks for and nobody here can see to: a JSON array of texts "KEY=VALUE". VLANs, Open
/// vSwitch's bridges, COLO, a script that is none of Xen's three, a backend that is another domain.
///
/// `json`: owned, xenvnet_string_free().
#[unsafe(no_mangle)]
pub unsafe extern "C" fn xenvnet_vif_spec_unenforceable_json(
    spec: *const xenvnet_vif_spec,
    json: *mut *mut c_char,
    error: *mut *mut xenvnet_error,
) -> c_int {
    call(error, || {
        let place = out!(json);
        place.give_text(to_json(&borrow!(spec).spec.unenforceable())?);
        Ok(())
    })
}

/// What is to be attached for this interface, by its present name ("vif1.0", "vif1.0-emu"). The
/// script says where it leads, and the lock follows from the addresses: with mac= and ip= nothing
/// else leaves; with mac= alone any address does, from this MAC; with neither, everything. A DHCP
/// client is let through. `defaults` is NULL for those of Xen. `flags`: 0, or XENVNET_LENIENT, by
/// which what is unenforceable is left out. Fails with XENVNET_ERROR_UNSUPPORTED for that, with
/// XENVNET_ERROR_INVALID_ARGUMENT for ip= without mac=, and for a routed guest without either.
///
/// `attachment`: owned, xenvnet_attachment_free().
#[unsafe(no_mangle)]
pub unsafe extern "C" fn xenvnet_vif_spec_attachment(
    spec: *const xenvnet_vif_spec,
    vif: *const c_char,
    defaults: *const xenvnet_vif_defaults,
    flags: c_uint,
    attachment: *mut *mut xenvnet_attachment,
    error: *mut *mut xenvnet_error,
) -> c_int {
    call(error, || {
        let place = out!(attachment);
        let xens = VifDefaults::new();
        let defaults = if defaults.is_null() { &xens } else { &borrow!(defaults).defaults };
        let attachment = borrow!(spec).spec.attachment(parse!(vif), defaults, strictness(flags)?)?;
        place.give(xenvnet_attachment { attachment });
        Ok(())
    })
}

/// Frees what was read. NULL is allowed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn xenvnet_vif_spec_free(spec: *mut xenvnet_vif_spec) {
    free(spec);
}
