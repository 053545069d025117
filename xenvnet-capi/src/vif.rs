//! What follows from the numbers of a vif.

use crate::boundary::call;
use crate::error::xenvnet_error;
use std::ffi::{c_char, c_int};
use std::net::IpAddr;
use xenvnet_core::{ErrorKind, VIF_GROUP, VifId, parse_ip};

/// The link group of guests' interfaces: `ip link show group 7777`.
pub const XENVNET_VIF_GROUP: u32 = 7777;

const _: () = assert!(XENVNET_VIF_GROUP == VIF_GROUP);

/// The address that vif-nat makes from the numbers of a vif, which are in the name that netback gave
/// it: "10.0.1.1/16" for "vif1.0".
///
/// `address`: owned, xenvnet_string_free().
#[unsafe(no_mangle)]
pub unsafe extern "C" fn xenvnet_vif_nat_address(
    vif: *const c_char,
    address: *mut *mut c_char,
    error: *mut *mut xenvnet_error,
) -> c_int {
    call(error, || {
        let place = out!(address);
        let vif: VifId = parse!(vif);
        place.give_text(vif.nat_address().to_string());
        Ok(())
    })
}

/// Dom0's address towards the guest of this IPv4 address, as vif-nat has it: the last octet and 127,
/// or less 127 from 128 on; never the guest's own. "10.0.0.128" for "10.0.0.1".
///
/// `gateway`: owned, xenvnet_string_free().
#[unsafe(no_mangle)]
pub unsafe extern "C" fn xenvnet_nat_gateway(
    guest: *const c_char,
    gateway: *mut *mut c_char,
    error: *mut *mut xenvnet_error,
) -> c_int {
    call(error, || {
        let place = out!(gateway);
        match parse_ip(text!(guest))? {
            IpAddr::V4(guest) => place.give_text(xenvnet_core::nat_gateway(guest).to_string()),
            IpAddr::V6(guest) => {
                let message = format!("{guest} is no IPv4 address; vif-nat has no others");
                return Err(xenvnet_error::of(ErrorKind::InvalidArgument, message));
            }
        }
        Ok(())
    })
}
