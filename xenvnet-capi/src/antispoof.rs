//! What a guest may send.

use crate::boundary::{Result, call, free};
use crate::error::xenvnet_error;
use std::ffi::{c_char, c_int};
use xenvnet_core::{Antispoof, ErrorKind, Lock, parse_ip_network};

/// What a guest may send: these MAC addresses, these IP addresses and prefixes, and, if asked, what
/// a DHCP client says. ARP and neighbour discovery are held to the same addresses; all else is
/// dropped and counted. Threads: one at a time.
pub struct xenvnet_antispoof {
    pub(crate) lock: Lock,
}

/// Only this MAC address, no IP address, no DHCP, and the IPv6 link-local address that follows from
/// the MAC (EUI-64).
///
/// `lock`: owned, xenvnet_antispoof_free().
#[unsafe(no_mangle)]
pub unsafe extern "C" fn xenvnet_antispoof_new(
    mac: *const c_char,
    lock: *mut *mut xenvnet_antispoof,
    error: *mut *mut xenvnet_error,
) -> c_int {
    call(error, || {
        let place = out!(lock);
        place.give(xenvnet_antispoof { lock: Antispoof::new(parse!(mac)).into() });
        Ok(())
    })
}

/// Nothing leaves: for a guest that is to be shut up.
///
/// `lock`: owned, xenvnet_antispoof_free().
#[unsafe(no_mangle)]
pub unsafe extern "C" fn xenvnet_antispoof_new_disabled(
    lock: *mut *mut xenvnet_antispoof,
    error: *mut *mut xenvnet_error,
) -> c_int {
    call(error, || {
        out!(lock).give(xenvnet_antispoof { lock: Lock::Disabled });
        Ok(())
    })
}

/// Everything leaves: for a guest that is trusted like dom0 itself.
///
/// `lock`: owned, xenvnet_antispoof_free().
#[unsafe(no_mangle)]
pub unsafe extern "C" fn xenvnet_antispoof_new_unlocked(
    lock: *mut *mut xenvnet_antispoof,
    error: *mut *mut xenvnet_error,
) -> c_int {
    call(error, || {
        out!(lock).give(xenvnet_antispoof { lock: Lock::Unlocked });
        Ok(())
    })
}

/// One more MAC address.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn xenvnet_antispoof_add_mac(
    lock: *mut xenvnet_antispoof,
    mac: *const c_char,
    error: *mut *mut xenvnet_error,
) -> c_int {
    call(error, || {
        borrow!(mut lock).addresses("a MAC address")?.macs.push(parse!(mac));
        Ok(())
    })
}

/// One more IP address ("10.98.98.2", "2001:db8::2") or prefix ("10.98.99.0/28").
#[unsafe(no_mangle)]
pub unsafe extern "C" fn xenvnet_antispoof_add_ip(
    lock: *mut xenvnet_antispoof,
    ip: *const c_char,
    error: *mut *mut xenvnet_error,
) -> c_int {
    call(error, || {
        borrow!(mut lock).addresses("an IP address")?.ips.push(parse_ip_network(text!(ip))?);
        Ok(())
    })
}

/// With or without what a DHCP client says.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn xenvnet_antispoof_set_dhcp_client(
    lock: *mut xenvnet_antispoof,
    allowed: bool,
    error: *mut *mut xenvnet_error,
) -> c_int {
    call(error, || {
        borrow!(mut lock).addresses("a DHCP client")?.dhcp_client = allowed;
        Ok(())
    })
}

/// With or without the IPv6 link-local address that follows from each MAC.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn xenvnet_antispoof_set_link_local(
    lock: *mut xenvnet_antispoof,
    allowed: bool,
    error: *mut *mut xenvnet_error,
) -> c_int {
    call(error, || {
        borrow!(mut lock).addresses("a link-local address")?.link_local = allowed;
        Ok(())
    })
}

/// Frees a lock's description; a lock that was set stays. NULL is allowed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn xenvnet_antispoof_free(lock: *mut xenvnet_antispoof) {
    free(lock);
}

impl xenvnet_antispoof {
    /// C has one type for the three forms of a lock, and only one of them has addresses.
    fn addresses(&mut self, what: &str) -> Result<&mut Antispoof> {
        match &mut self.lock {
            Lock::Locked(antispoof) => Ok(antispoof),
            _ => Err(xenvnet_error::of(
                ErrorKind::InvalidArgument,
                format!("cannot allow or refuse {what}: this lock lets everything through, or nothing"),
            )),
        }
    }
}
