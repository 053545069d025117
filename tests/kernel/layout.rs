//! The layout of our tables, as published: a later version converts what this one left behind.

use crate::matrix::{OWN, lock};
use crate::proof::{bridge_by_ip, name};
use serde_json::Value;
use std::path::Path;
use xenvnet_core::{Attachment, Masquerade};
use xenvnet_tests::{Dom0, nft_json};

/// With one guest and one masqueraded subnet in them, the tables are those in `data/`. A layout
/// that was published never changes under its number; one that was not yet is written anew with
/// `XENVNET_WRITE_LAYOUT=1`.
#[test]
fn the_tables_are_those_that_were_published() {
    let Some(dom0) = Dom0::enter() else { return };
    bridge_by_ip("xenbr0");
    let guest = dom0.guest("vif1.0", &OWN.to_string());
    let attachment = Attachment::bridged(guest.name, name("xenbr0"), lock().dhcp_client(true));
    dom0.host.attach_vif(&attachment).unwrap();
    dom0.host.masquerade_subnet(&Masquerade::new("10.98.98.0/24".parse().unwrap())).unwrap();
    for (table, file) in [("bridge", "layout-1-bridge.json"), ("inet", "layout-1-inet.json")] {
        let mut listing = nft_json(&format!("list table {table} xenvnet"));
        let objects = listing["nftables"].as_array_mut().unwrap();
        objects.retain(|object| object.get("metainfo").is_none());
        objects.iter_mut().for_each(without_handles);
        let found = serde_json::to_string_pretty(&listing).unwrap() + "\n";
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("data").join(file);
        if std::env::var_os("XENVNET_WRITE_LAYOUT").is_some() {
            std::fs::write(&path, &found).unwrap();
        }
        let published = std::fs::read_to_string(&path).unwrap_or_default();
        let first = published.lines().zip(found.lines()).position(|(published, found)| published != found);
        assert!(published == found, "{file} and the kernel differ from line {} on", first.unwrap_or(0) + 1);
    }
}

/// Handles and counts are the kernel's, not the layout's.
fn without_handles(value: &mut Value) {
    match value {
        Value::Object(map) => {
            map.retain(|key, _| !["handle", "packets", "bytes"].contains(&key.as_str()));
            map.values_mut().for_each(without_handles);
        }
        Value::Array(items) => items.iter_mut().for_each(without_handles),
        _ => {}
    }
}
