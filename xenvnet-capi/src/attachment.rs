//! How a vif is to be attached.

use crate::antispoof::xenvnet_antispoof;
use crate::boundary::{call, free};
use crate::error::xenvnet_error;
use std::ffi::{c_char, c_int};
use xenvnet_core::Attachment;

/// How a vif is to be attached, for xenvnet_attach_vif(). Threads: one at a time.
pub struct xenvnet_attachment {
    pub(crate) attachment: Attachment,
}

/// An attachment of a vif, by the name that netback gave it, to a bridge, with the lock that goes
/// with it: there is no form without one. The lock is copied.
///
/// `attachment`: owned, xenvnet_attachment_free().
#[unsafe(no_mangle)]
pub unsafe extern "C" fn xenvnet_attachment_new(
    vif: *const c_char,
    bridge: *const c_char,
    lock: *const xenvnet_antispoof,
    attachment: *mut *mut xenvnet_attachment,
    error: *mut *mut xenvnet_error,
) -> c_int {
    call(error, || {
        let place = out!(attachment);
        let attachment = Attachment::bridged(parse!(vif), parse!(bridge), borrow!(lock).lock.clone());
        place.give(xenvnet_attachment { attachment });
        Ok(())
    })
}

/// Renamed on the way (vifname= in a guest's configuration).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn xenvnet_attachment_set_name(
    attachment: *mut xenvnet_attachment,
    name: *const c_char,
    error: *mut *mut xenvnet_error,
) -> c_int {
    call(error, || {
        borrow!(mut attachment).attachment.name = Some(parse!(name));
        Ok(())
    })
}

/// With this MTU in bytes, 68 to 65535; else it is that of the bridge.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn xenvnet_attachment_set_mtu(
    attachment: *mut xenvnet_attachment,
    mtu: u32,
    error: *mut *mut xenvnet_error,
) -> c_int {
    call(error, || {
        borrow!(mut attachment).attachment.mtu = Some(mtu);
        Ok(())
    })
}

/// Cut off from the other isolated ports of the bridge, or not.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn xenvnet_attachment_set_isolated(
    attachment: *mut xenvnet_attachment,
    isolated: bool,
    error: *mut *mut xenvnet_error,
) -> c_int {
    call(error, || {
        let attachment = &mut borrow!(mut attachment).attachment;
        *attachment = attachment.clone().isolated(isolated);
        Ok(())
    })
}

/// Frees an attachment's description; what was attached stays. NULL is allowed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn xenvnet_attachment_free(attachment: *mut xenvnet_attachment) {
    free(attachment);
}
