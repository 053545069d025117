//! The verbs: one function an operation, each idempotent, all or nothing.

use crate::antispoof::xenvnet_antispoof;
use crate::attachment::xenvnet_attachment;
use crate::boundary::{Out, Result, call, references};
use crate::bridge::xenvnet_bridge;
use crate::error::xenvnet_error;
use crate::host::xenvnet;
use std::ffi::{c_char, c_int};
use xenvnet_core::{Host, Masquerade, Operation, Outcome, parse_ip_network};

/// Runs a verb on a host and says whether it had to change anything, if anybody asks.
pub(crate) fn verb(
    host: *const xenvnet,
    changed: *mut bool,
    error: *mut *mut xenvnet_error,
    body: impl FnOnce(&Host) -> Result<Outcome>,
) -> c_int {
    call(error, || {
        let outcome = body(&borrow!(host).host)?;
        if let Ok(changed) = Out::new(changed, "changed") {
            changed.set(outcome.is_changed());
        }
        Ok(())
    })
}

/// A bridge is there, has these settings and addresses, and is up.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn xenvnet_create_bridge(
    host: *const xenvnet,
    bridge: *const xenvnet_bridge,
    changed: *mut bool,
    error: *mut *mut xenvnet_error,
) -> c_int {
    verb(host, changed, error, |host| Ok(host.create_bridge(&borrow!(bridge).bridge)?))
}

/// A bridge is not there; its ports are released. Undoing this brings back its name, MAC address, MTU,
/// STP, addresses, direct routes and ports; routes through gateways and other options are lost.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn xenvnet_delete_bridge(
    host: *const xenvnet,
    bridge: *const c_char,
    changed: *mut bool,
    error: *mut *mut xenvnet_error,
) -> c_int {
    verb(host, changed, error, |host| Ok(host.delete_bridge(parse!(bridge))?))
}

/// An interface is a port of a bridge.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn xenvnet_enslave_vif(
    host: *const xenvnet,
    vif: *const c_char,
    bridge: *const c_char,
    changed: *mut bool,
    error: *mut *mut xenvnet_error,
) -> c_int {
    verb(host, changed, error, |host| Ok(host.enslave_vif(parse!(vif), parse!(bridge))?))
}

/// An interface is a port of no bridge.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn xenvnet_release_vif(
    host: *const xenvnet,
    vif: *const c_char,
    changed: *mut bool,
    error: *mut *mut xenvnet_error,
) -> c_int {
    verb(host, changed, error, |host| Ok(host.release_vif(parse!(vif))?))
}

/// A guest's interface is held to what it may send: by its bridge or, where it is up and no port of
/// one, where its frames come in.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn xenvnet_set_antispoof(
    host: *const xenvnet,
    vif: *const c_char,
    lock: *const xenvnet_antispoof,
    changed: *mut bool,
    error: *mut *mut xenvnet_error,
) -> c_int {
    verb(host, changed, error, |host| Ok(host.set_antispoof(parse!(vif), borrow!(lock).lock.clone())?))
}

/// A guest's interface is held to nothing.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn xenvnet_clear_antispoof(
    host: *const xenvnet,
    vif: *const c_char,
    changed: *mut bool,
    error: *mut *mut xenvnet_error,
) -> c_int {
    verb(host, changed, error, |host| Ok(host.clear_antispoof(parse!(vif))?))
}

/// A subnet ("10.98.98.0/24") speaks to the outside with dom0's address: where its packets leave by
/// `uplink`, or, with NULL, by any interface.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn xenvnet_masquerade_subnet(
    host: *const xenvnet,
    subnet: *const c_char,
    uplink: *const c_char,
    changed: *mut bool,
    error: *mut *mut xenvnet_error,
) -> c_int {
    verb(host, changed, error, |host| Ok(host.masquerade_subnet(&masquerade(subnet, uplink)?)?))
}

/// A subnet speaks to the outside with its own addresses. Takes what xenvnet_masquerade_subnet()
/// was given.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn xenvnet_unmasquerade_subnet(
    host: *const xenvnet,
    subnet: *const c_char,
    uplink: *const c_char,
    changed: *mut bool,
    error: *mut *mut xenvnet_error,
) -> c_int {
    verb(host, changed, error, |host| Ok(host.unmasquerade_subnet(&masquerade(subnet, uplink)?)?))
}

fn masquerade(subnet: *const c_char, uplink: *const c_char) -> Result<Masquerade> {
    let mut masquerade = Masquerade::new(parse_ip_network(text!(subnet))?);
    masquerade.uplink = parse!(uplink?);
    Ok(masquerade)
}

/// A vif is named, sized, locked, a port or routed, and up, in the order that never leaves it up
/// without its lock.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn xenvnet_attach_vif(
    host: *const xenvnet,
    attachment: *const xenvnet_attachment,
    changed: *mut bool,
    error: *mut *mut xenvnet_error,
) -> c_int {
    verb(host, changed, error, |host| Ok(host.attach_vif(&borrow!(attachment).attachment)?))
}

/// Many vifs at once, all or none: much faster than one after the other. `attachments` is an array
/// of `count` pointers, none of them NULL; it may be NULL when `count` is 0.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn xenvnet_attach_vifs(
    host: *const xenvnet,
    attachments: *const *const xenvnet_attachment,
    count: usize,
    changed: *mut bool,
    error: *mut *mut xenvnet_error,
) -> c_int {
    verb(host, changed, error, |host| {
        let attachments = references(attachments, count, "attachments")?;
        let attachments: Vec<_> = attachments.into_iter().map(|one| one.attachment.clone()).collect();
        Ok(host.attach_vifs(&attachments)?)
    })
}

/// A vif is down, off its bridge or its routes, its lock gone. It may have vanished already. Where
/// it was renamed, `vif` is the name it has now or the one that netback gave it.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn xenvnet_detach_vif(
    host: *const xenvnet,
    vif: *const c_char,
    changed: *mut bool,
    error: *mut *mut xenvnet_error,
) -> c_int {
    verb(host, changed, error, |host| Ok(host.detach_vif(parse!(vif))?))
}

/// The guests behind an interface, a bridge or a routed vif, reach this on dom0 itself, on any of
/// its addresses: "open", what dom0's own firewall lets in; "closed", nothing; or these services
/// alone, "services(dhcp,dns,icmp,ntp,ra,tcp:22,udp:53)". Answers to what dom0 began do arrive, and
/// what it forwards is another matter. The interface need not be there yet.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn xenvnet_set_dom0(
    host: *const xenvnet,
    interface: *const c_char,
    access: *const c_char,
    changed: *mut bool,
    error: *mut *mut xenvnet_error,
) -> c_int {
    verb(host, changed, error, |host| {
        Ok(host.run(&Operation::SetDom0 { interface: parse!(interface), access: parse!(access) })?)
    })
}

/// A network runs. `line` is what xend-config.sxp has between the quotes of network-script:
/// "network-virtual bridgeip=10.98.98.1/24 brnet=10.98.98.0/24"; beyond that dom0=ACCESS, as in
/// xenvnet_set_dom0(). Fails with XENVNET_ERROR_UNSUPPORTED where forwarding cannot be read.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn xenvnet_start_network(
    host: *const xenvnet,
    line: *const c_char,
    changed: *mut bool,
    error: *mut *mut xenvnet_error,
) -> c_int {
    verb(host, changed, error, |host| Ok(host.start_network(&parse!(line))?))
}

/// A network does not run. With the last of its address family the host's forwarding goes back to
/// what it was; the kernel sets that of every interface with it. `line` as in
/// xenvnet_start_network().
#[unsafe(no_mangle)]
pub unsafe extern "C" fn xenvnet_stop_network(
    host: *const xenvnet,
    line: *const c_char,
    changed: *mut bool,
    error: *mut *mut xenvnet_error,
) -> c_int {
    verb(host, changed, error, |host| Ok(host.stop_network(&parse!(line))?))
}
