//! The layout of our tables, as published: a later version converts what this one left behind.

use crate::matrix::{OWN, lock};
use crate::proof::{bridge_by_ip, name};
use serde_json::Value;
use std::path::{Path, PathBuf};
use xenvnet_core::{Antispoof, Attachment, Dom0 as Access, Masquerade, Operation};
use xenvnet_tests::{Dom0, nft, nft_json, nft_ruleset};

/// Where layouts are published.
pub(crate) fn published(file: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("data").join(file)
}

/// With an accounted guest of each kind, a shielded bridge and a masqueraded subnet in them, the tables are
/// those in `data/`. A layout that was published never changes under its number; one that was not
/// yet is written anew with `XENVNET_WRITE_LAYOUT=1`.
#[test]
fn the_tables_are_those_that_were_published() {
    let Some(dom0) = Dom0::enter() else { return };
    bridge_by_ip("xenbr0");
    let bridged = dom0.guest("vif1.0", &OWN.to_string());
    let routed = dom0.guest("vif2.0", "00:16:3e:00:00:02");
    let attachment = Attachment::bridged(bridged.name, name("xenbr0"), lock().dhcp_client(true));
    dom0.host.attach_vif(&attachment.untracked(true).accounted(true)).unwrap();
    let own = Antispoof::new(routed.mac).ip("10.1.0.2".parse().unwrap()).ip("2001:db8:1::/64".parse().unwrap());
    dom0.host.attach_vif(&Attachment::routed(routed.name, own).dom0(Access::Closed).accounted(true)).unwrap();
    dom0.host.masquerade_subnet(&Masquerade::new("10.98.98.0/24".parse().unwrap())).unwrap();
    let access = "services(dhcp,icmp,ra,tcp:22)".parse().unwrap();
    dom0.host.run(&Operation::SetDom0 { interface: name("xenbr0"), access }).unwrap();
    for (table, file) in TABLES {
        let file = format!("layout-3-{file}.json");
        if std::env::var_os("XENVNET_WRITE_LAYOUT").is_some() {
            std::fs::write(published(&file), listing(table)).unwrap();
        }
        assert_published(table, &file);
    }
}

/// Former layouts were published in two forms: what `nft -f` loads, for the tests of conversion, is
/// what `nft -j` listed.
#[test]
fn former_layouts_are_one_in_both_their_forms() {
    let Some(dom0) = Dom0::enter() else { return };
    let _hooked = dom0.guest("vif2.0", "00:16:3e:00:00:02");
    for (layout, tables) in [(1, &TABLES[..2]), (2, &TABLES)] {
        let text = std::fs::read_to_string(published(&format!("layout-{layout}.nft"))).unwrap();
        nft(&text);
        assert_eq!(nft_ruleset(), text);
        for (table, file) in tables {
            assert_published(table, &format!("layout-{layout}-{file}.json"));
        }
        nft("flush ruleset");
    }
}

/// Our tables, and the ends of the names of the files that they are published in.
const TABLES: [(&str, &str); 7] = [
    ("bridge xenvnet", "bridge"),
    ("inet xenvnet", "inet"),
    ("netdev xenvnet", "netdev"),
    ("inet xenvnet_dom0", "dom0"),
    ("bridge xenvnet_untracked", "untracked"),
    ("bridge xenvnet_accounts", "accounts"),
    ("inet xenvnet_accounts", "routed-accounts"),
];

#[track_caller]
fn assert_published(table: &str, file: &str) {
    let found = listing(table);
    let published = std::fs::read_to_string(published(file)).unwrap_or_default();
    let first = published.lines().zip(found.lines()).position(|(published, found)| published != found);
    assert!(published == found, "{file} and the kernel differ from line {} on", first.unwrap_or(0) + 1);
}

/// A table as `nft -j` shows it, without what is the kernel's and not the layout's.
fn listing(table: &str) -> String {
    let mut listing = nft_json(&format!("list table {table}"));
    let objects = listing["nftables"].as_array_mut().unwrap();
    objects.retain(|object| object.get("metainfo").is_none());
    objects.iter_mut().for_each(without_handles);
    serde_json::to_string_pretty(&listing).unwrap() + "\n"
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
