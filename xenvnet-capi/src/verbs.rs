//! The verbs: one function an operation, each idempotent, all or nothing.

use crate::antispoof::xenvnet_antispoof;
use crate::attachment::xenvnet_attachment;
use crate::boundary::{Out, Result, call, references};
use crate::bridge::xenvnet_bridge;
use crate::error::xenvnet_error;
use crate::host::xenvnet;
use std::ffi::{c_char, c_int};
use xenvnet_core::{Forward, Host, Masquerade, Operation, Outcome, parse_ip_network, parse_socket};

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
/// `uplink`, or, with NULL, by any interface. What stays within the subnet is left alone; as an
/// operation in JSON it may have "everywhere": true.
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

/// A port of dom0 ("tcp:8080", "udp:53") leads to the address and port of a guest
/// ("10.98.98.2:80", "[2001:db8::2]:80"), for whoever connects to it on any address that dom0 has:
/// from outside, from dom0, and from other guests. `behind` is the interface that the guest is
/// behind, NULL to find it by dom0's addresses. Whether dom0 forwards at all is a matter of the
/// network. Fails with XENVNET_ERROR_CONFLICT where the port leads to another guest.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn xenvnet_forward_port(
    host: *const xenvnet,
    port: *const c_char,
    guest: *const c_char,
    behind: *const c_char,
    changed: *mut bool,
    error: *mut *mut xenvnet_error,
) -> c_int {
    verb(host, changed, error, |host| {
        let mut forward = Forward::new(parse!(port), parse_socket(text!(guest))?);
        forward.behind = parse!(behind?);
        Ok(host.forward_port(&forward)?)
    })
}

/// A port of dom0 ("tcp:8080") leads to no guest, by IPv4 or IPv6. Connections that are open stay
/// so.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn xenvnet_unforward_port(
    host: *const xenvnet,
    port: *const c_char,
    changed: *mut bool,
    error: *mut *mut xenvnet_error,
) -> c_int {
    verb(host, changed, error, |host| Ok(host.unforward_port(parse!(port))?))
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

/// What a guest sent and received is counted no longer, and what was counted is forgotten. `name` is
/// the one under which it was counted (xenvnet_attachment_set_accounted()); no interface need have it
/// any more, and one that has it stays as it is. Undone, it goes on from what it had counted.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn xenvnet_forget_account(
    host: *const xenvnet,
    name: *const c_char,
    changed: *mut bool,
    error: *mut *mut xenvnet_error,
) -> c_int {
    verb(host, changed, error, |host| Ok(host.forget_account(parse!(name))?))
}

/// A network runs. `line` is what xend-config.sxp has between the quotes of network-script; words in
/// brackets may be left out:
///
///     network-bridge [bridge=NAME] [netdev=UPLINK]
///         a bridge takes over an uplink with all that dom0 has on it: addresses, routes,
///         neighbours. Without a name it gets the uplink's, and the card is called p<name>.
///         netdev=dummy0: a bridge between guests and dom0 alone.
///     bridge-shadow UPLINK...
///         the same for each of some cards: the bridge gets the card's name, the card s<name>.
///     network-bridge-additional [bridge=NAME] [netdev=PORT]
///         one more port for a bridge that is there.
///     network-virtual [bridge=NAME] [bridgeip=IP/N] [brnet=NET] [uplink=UPLINK] [dom0=ACCESS]
///         a bridge with no card; dom0 routes its guests and lends them its address. ACCESS as in
///         xenvnet_set_dom0().
///     network-route [netdev=UPLINK] [ipv6=yes|no]
///         dom0 routes, and answers on the uplink for its guests (proxy ARP and NDP).
///     network-nat [netdev=UPLINK] [subnet=NET,...]
///         dom0 routes, and lends its guests its address; 10.0.0.0/8 unless told.
///     network-dummy
///         nothing, and so is any line with bridge=null.
///
/// UPLINK is that of the default route unless told. Where there is a bridge, vifnum=N stands for
/// its number: xenbrN. antispoof=yes, but for bridge-shadow and network-bridge-additional, refuses
/// vifs without a lock. Fails with XENVNET_ERROR_CONFLICT where another network runs in its place,
/// with XENVNET_ERROR_UNSUPPORTED where a setting that it needs cannot be read.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn xenvnet_start_network(
    host: *const xenvnet,
    line: *const c_char,
    changed: *mut bool,
    error: *mut *mut xenvnet_error,
) -> c_int {
    verb(host, changed, error, |host| Ok(host.start_network(&parse!(line))?))
}

/// A network does not run: an uplink has again what a bridge took over from it. With the last
/// network of an address family the host's forwarding goes back to what it was; the kernel sets that
/// of every interface with it. `line` as in xenvnet_start_network().
#[unsafe(no_mangle)]
pub unsafe extern "C" fn xenvnet_stop_network(
    host: *const xenvnet,
    line: *const c_char,
    changed: *mut bool,
    error: *mut *mut xenvnet_error,
) -> c_int {
    verb(host, changed, error, |host| Ok(host.stop_network(&parse!(line))?))
}
