//! What xend-config.sxp says about networks.

use crate::boundary::{call, free, reference};
use crate::error::xenvnet_error;
use crate::line::xenvnet_line;
use std::ffi::{c_char, c_int};
use std::ptr;
use xenvnet_core::XendConfig;

/// The part of xend-config.sxp that is about networks. Threads: never changes, so any number may read
/// it at once.
pub struct xenvnet_xend_config {
    network_script: Option<xenvnet_line>,
    vif_script: Option<xenvnet_line>,
    vif_bridge: Option<xenvnet_line>,
    vif_antispoof: Option<bool>,
}

const _: () = {
    const fn any_number_of_threads<T: Send + Sync>() {}
    any_number_of_threads::<xenvnet_xend_config>();
};

/// Reads the text of a file; entries that are not about networks are skipped. Nothing is ever run.
/// Fails with XENVNET_ERROR_PARSE also for two things that xend passed over in silence: words after
/// the first that are not in the quotes, and an entry that is given twice.
///
/// `config`: owned, xenvnet_xend_config_free().
#[unsafe(no_mangle)]
pub unsafe extern "C" fn xenvnet_xend_config_new(
    text: *const c_char,
    config: *mut *mut xenvnet_xend_config,
    error: *mut *mut xenvnet_error,
) -> c_int {
    call(error, || {
        let place = out!(config);
        let config = XendConfig::parse(text!(text))?;
        place.give(xenvnet_xend_config {
            network_script: config.network_script.map(xenvnet_line::new),
            vif_script: config.vif_script.map(xenvnet_line::new),
            vif_bridge: config.vif_bridge.map(xenvnet_line::new),
            vif_antispoof: config.vif_antispoof,
        });
        Ok(())
    })
}

/// What xend ran when it started: for xenvnet_start_network().
///
/// Returns: borrowed until `config` is freed; NULL for nothing, and for NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn xenvnet_xend_config_network_script(config: *const xenvnet_xend_config) -> *const xenvnet_line {
    line(config, |config| config.network_script.as_ref())
}

/// What sets up a vif whose guest asks for no script of its own: for
/// xenvnet_vif_defaults_set_script().
///
/// Returns: borrowed until `config` is freed; NULL where the file does not say, and for NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn xenvnet_xend_config_vif_script(config: *const xenvnet_xend_config) -> *const xenvnet_line {
    line(config, |config| config.vif_script.as_ref())
}

/// The bridge of vifs whose guest names none, in files from before Xen 3.0.
///
/// Returns: borrowed until `config` is freed; NULL where the file does not say, and for NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn xenvnet_xend_config_vif_bridge(config: *const xenvnet_xend_config) -> *const xenvnet_line {
    line(config, |config| config.vif_bridge.as_ref())
}

/// Whether vifs are held to their addresses, in files from before Xen 3.0: 1 if they are, 0 if not,
/// -1 where the file does not say, and for NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn xenvnet_xend_config_vif_antispoof(config: *const xenvnet_xend_config) -> c_int {
    reference(config, "config").ok().and_then(|config| config.vif_antispoof).map_or(-1, c_int::from)
}

/// Frees what was read. NULL is allowed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn xenvnet_xend_config_free(config: *mut xenvnet_xend_config) {
    free(config);
}

fn line<'a>(
    config: *const xenvnet_xend_config,
    which: impl FnOnce(&'a xenvnet_xend_config) -> Option<&'a xenvnet_line>,
) -> *const xenvnet_line {
    reference(config, "config").ok().and_then(which).map_or(ptr::null(), ptr::from_ref)
}
