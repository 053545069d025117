//! How a vif is to be attached.

use crate::antispoof::xenvnet_antispoof;
use crate::boundary::{call, free};
use crate::error::xenvnet_error;
use std::ffi::{c_char, c_int};
use xenvnet_core::{Attachment, ErrorKind, Port, parse_ip, parse_ip_network};

/// How a vif is to be attached, for xenvnet_attach_vif(). Threads: one at a time.
pub struct xenvnet_attachment {
    pub(crate) attachment: Attachment,
}

/// An attachment of a vif, by the name that netback gave it, to a bridge, with the lock that goes
/// with it: there is no form without one. The lock is copied. "vif1.0-emu", the emulated card of an
/// HVM guest, and "vif1.0" on one bridge are one card with one lock.
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

/// An attachment of a vif to no bridge: dom0 routes to it, by default the addresses and prefixes of
/// its lock. With xenvnet_masquerade_subnet() for these, the guest is behind NAT. The lock is
/// copied.
///
/// `attachment`: owned, xenvnet_attachment_free().
#[unsafe(no_mangle)]
pub unsafe extern "C" fn xenvnet_attachment_new_routed(
    vif: *const c_char,
    lock: *const xenvnet_antispoof,
    attachment: *mut *mut xenvnet_attachment,
    error: *mut *mut xenvnet_error,
) -> c_int {
    call(error, || {
        let place = out!(attachment);
        let attachment = Attachment::routed(parse!(vif), borrow!(lock).lock.clone());
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

/// With this MTU in bytes, 68 to 65535; else it is that of the bridge, and a routed vif keeps its
/// own.
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

/// Cut off from the other isolated ports of the bridge, or not. Fails with
/// XENVNET_ERROR_INVALID_ARGUMENT for a routed one.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn xenvnet_attachment_set_isolated(
    attachment: *mut xenvnet_attachment,
    isolated: bool,
    error: *mut *mut xenvnet_error,
) -> c_int {
    call(error, || {
        let attachment = &mut borrow!(mut attachment).attachment;
        let Port::Bridge { isolated: place, .. } = &mut attachment.to else {
            return Err(needs_bridge(attachment, "isolate"));
        };
        *place = isolated;
        Ok(())
    })
}

/// With its bridged packets kept out of dom0's table of connections (NOTRACK), or not: for hosts
/// where net.bridge.bridge-nf-call-iptables is on. Fails with XENVNET_ERROR_INVALID_ARGUMENT for a
/// routed one.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn xenvnet_attachment_set_untracked(
    attachment: *mut xenvnet_attachment,
    untracked: bool,
    error: *mut *mut xenvnet_error,
) -> c_int {
    call(error, || {
        let attachment = &mut borrow!(mut attachment).attachment;
        let Port::Bridge { untracked: place, .. } = &mut attachment.to else {
            return Err(needs_bridge(attachment, "untrack"));
        };
        *place = untracked;
        Ok(())
    })
}

/// With its traffic counted under the name that it gets, or not. Xen gives a vif another name at each
/// start of its guest: one that is to be accounted wants a name of its own,
/// xenvnet_attachment_set_name(). An account of that name goes on with what it counted; `false` ends
/// none, xenvnet_forget_account() does. Attaching needs Linux 5.7 then.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn xenvnet_attachment_set_accounted(
    attachment: *mut xenvnet_attachment,
    accounted: bool,
    error: *mut *mut xenvnet_error,
) -> c_int {
    call(error, || {
        borrow!(mut attachment).attachment.accounted = accounted;
        Ok(())
    })
}

/// With one more address of dom0's on the interface, the guest's gateway: "10.98.98.1", without a
/// subnet. Fails with XENVNET_ERROR_INVALID_ARGUMENT for a bridged one.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn xenvnet_attachment_add_gateway(
    attachment: *mut xenvnet_attachment,
    address: *const c_char,
    error: *mut *mut xenvnet_error,
) -> c_int {
    call(error, || {
        let attachment = &mut borrow!(mut attachment).attachment;
        let Port::Routed { gateways, .. } = &mut attachment.to else {
            return Err(needs_routing(attachment, "give a gateway to", "the gateway is an address of its bridge"));
        };
        gateways.push(parse_ip(text!(address))?);
        Ok(())
    })
}

/// With the addresses of dom0's on this interface as the guest's gateways, where none are named; else
/// they are those of the uplink of the routed network that runs. Fails with
/// XENVNET_ERROR_INVALID_ARGUMENT for a bridged one.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn xenvnet_attachment_set_gateway_device(
    attachment: *mut xenvnet_attachment,
    device: *const c_char,
    error: *mut *mut xenvnet_error,
) -> c_int {
    call(error, || {
        let attachment = &mut borrow!(mut attachment).attachment;
        let Port::Routed { gateway_device, .. } = &mut attachment.to else {
            return Err(needs_routing(attachment, "give a gateway to", "the gateway is an address of its bridge"));
        };
        *gateway_device = Some(parse!(device));
        Ok(())
    })
}

/// With one more address ("10.98.98.2") or prefix ("10.98.99.0/28") routed to it; with the first of
/// them, those of its lock no longer are by themselves. Fails with XENVNET_ERROR_INVALID_ARGUMENT
/// for a bridged one.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn xenvnet_attachment_add_route(
    attachment: *mut xenvnet_attachment,
    net: *const c_char,
    error: *mut *mut xenvnet_error,
) -> c_int {
    call(error, || {
        let attachment = &mut borrow!(mut attachment).attachment;
        let Port::Routed { routes, .. } = &mut attachment.to else {
            return Err(needs_routing(attachment, "route to", "its bridge leads to it"));
        };
        routes.push(parse_ip_network(text!(net))?);
        Ok(())
    })
}

/// With what it reaches on dom0 itself, as in xenvnet_set_dom0(); "open" unless said. Fails with
/// XENVNET_ERROR_INVALID_ARGUMENT for a bridged one: that is a matter of its bridge.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn xenvnet_attachment_set_dom0(
    attachment: *mut xenvnet_attachment,
    access: *const c_char,
    error: *mut *mut xenvnet_error,
) -> c_int {
    call(error, || {
        let attachment = &mut borrow!(mut attachment).attachment;
        let Port::Routed { dom0, .. } = &mut attachment.to else {
            return Err(needs_routing(attachment, "set dom0 for", "use xenvnet_set_dom0() with its bridge"));
        };
        *dom0 = parse!(access);
        Ok(())
    })
}

/// Frees an attachment's description; what was attached stays. NULL is allowed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn xenvnet_attachment_free(attachment: *mut xenvnet_attachment) {
    free(attachment);
}

/// What only a port has is refused for a routed vif, not passed over.
fn needs_bridge(attachment: &Attachment, verb: &str) -> xenvnet_error {
    let message = format!("cannot {verb} {}: it is no port of a bridge, dom0 routes to it", attachment.vif);
    let advice = "attach it to a bridge: xenvnet_attachment_new()";
    xenvnet_error::of(ErrorKind::InvalidArgument, message).with_advice(advice)
}

/// And what only a routed vif has, for a port.
fn needs_routing(attachment: &Attachment, verb: &str, advice: &str) -> xenvnet_error {
    let message = format!("cannot {verb} {}: it is to be a port of {}", attachment.vif, attachment.to);
    xenvnet_error::of(ErrorKind::InvalidArgument, message).with_advice(advice)
}
