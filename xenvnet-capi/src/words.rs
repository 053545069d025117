//! Texts of a few words that are read into their parts: of scripts, networks and VLANs.

use crate::boundary::{Result, call};
use crate::error::xenvnet_error;
use crate::string::to_json;
use serde::Serialize;
use serde_json::json;
use std::ffi::{c_char, c_int};
use std::str::FromStr;
use xenvnet_core::{Error, ErrorKind, Network, OvsBridge, VifScript, VlanSpec};

/// Reads the line of a network as xenvnet_start_network() does, and does nothing else; a JSON object:
///
///     {"line": "network-nat netdev=eth0", "id": "nat:eth0", "bridge": null, "cards": ["eth0"],
///      "demands_lock": false}
///
/// "line" is the same network, shortest; "id" what it is known by in xenvnet_snapshot_json(), null
/// where the line leaves that to the host; "cards" are the interfaces that lead outside, by the names
/// that they have as ports of its bridge; "demands_lock" says whether a vif without a lock is refused.
///
/// `json`: owned, xenvnet_string_free().
#[unsafe(no_mangle)]
pub unsafe extern "C" fn xenvnet_network_json(
    line: *const c_char,
    json: *mut *mut c_char,
    error: *mut *mut xenvnet_error,
) -> c_int {
    read(line, "line", json, error, |network: Network| {
        Ok(json!({
            "line": network.to_string(),
            "id": network.id(),
            "bridge": network.bridge(),
            "cards": network.cards(),
            "demands_lock": network.demands_lock(),
        }))
    })
}

/// Reads what script= in a guest's configuration or vif-script in xend's asks for: a script's name,
/// with its directory or without, and what follows it; a JSON object, of which only "name" is always
/// there. Nothing is ever run.
///
///     {"name": "vif-bridge", "bridge": "eth0"}     the bridge of guests that name none
///     {"name": "vif-route", "netdev": "eth1"}      whose address dom0 has towards its guests
///     {"name": "vif-nat", "dhcp": false}           whether addresses are to be served by DHCP
///
/// Fails with XENVNET_ERROR_UNSUPPORTED for another of Xen's own scripts.
///
/// `json`: owned, xenvnet_string_free().
#[unsafe(no_mangle)]
pub unsafe extern "C" fn xenvnet_vif_script_json(
    line: *const c_char,
    json: *mut *mut c_char,
    error: *mut *mut xenvnet_error,
) -> c_int {
    read(line, "line", json, error, |script: VifScript| match script {
        VifScript::Bridge { bridge } => Ok(named("vif-bridge", "bridge", bridge)),
        VifScript::Route { netdev } => Ok(named("vif-route", "netdev", netdev)),
        VifScript::Nat { dhcp } => Ok(named("vif-nat", "dhcp", dhcp)),
        other => Err(xenvnet_error::of(ErrorKind::Internal, format!("C has no form for \"{other}\""))),
    })
}

fn named(name: &str, key: &str, value: Option<impl Serialize>) -> serde_json::Value {
    match value {
        Some(value) => json!({ "name": name, key: value }),
        None => json!({ "name": name }),
    }
}

/// Reads the VLANs of a vif, as xl's vlan= writes them (Xen 4.20): "10p/20/30-32u"; a JSON object:
///
///     {"pvid": 10, "untagged": [30, 31, 32], "tagged": [20]}
///
/// "pvid" is the VLAN of the guest's frames that have no tag, or null; the frames of "untagged" reach
/// the guest without a tag as well, those of "tagged" with it. Ids are 1 to 4094.
///
/// `json`: owned, xenvnet_string_free().
#[unsafe(no_mangle)]
pub unsafe extern "C" fn xenvnet_vlan_spec_json(
    text: *const c_char,
    json: *mut *mut c_char,
    error: *mut *mut xenvnet_error,
) -> c_int {
    read(text, "text", json, error, |vlans: VlanSpec| {
        Ok(json!({ "pvid": vlans.pvid(), "untagged": vlans.untagged(), "tagged": vlans.tagged() }))
    })
}

/// Reads a bridge of Open vSwitch's as its script reads bridge=: "ovs0.20:30:40"; a JSON object:
///
///     {"name": "ovs0", "tag": 20, "trunks": [30, 40]}
///
/// "tag" is the VLAN of the guest's frames that have no tag, or null; "trunks" are those that it may
/// use tags of, empty for all. Ids are 0 to 4095.
///
/// `json`: owned, xenvnet_string_free().
#[unsafe(no_mangle)]
pub unsafe extern "C" fn xenvnet_ovs_bridge_json(
    text: *const c_char,
    json: *mut *mut c_char,
    error: *mut *mut xenvnet_error,
) -> c_int {
    read(text, "text", json, error, |bridge: OvsBridge| {
        Ok(json!({ "name": bridge.name, "tag": bridge.tag, "trunks": bridge.trunks }))
    })
}

fn read<T: FromStr<Err = Error>>(
    text: *const c_char,
    argument: &str,
    json: *mut *mut c_char,
    error: *mut *mut xenvnet_error,
    parts: impl FnOnce(T) -> Result<serde_json::Value>,
) -> c_int {
    call(error, || {
        let place = out!(json);
        let value: T = crate::boundary::text(text, argument)?.parse()?;
        place.give_text(to_json(&parts(value)?)?);
        Ok(())
    })
}
