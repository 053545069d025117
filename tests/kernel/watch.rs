//! Hearing of changes, of whatever concerns guests and by whomever, and of nothing else.

use crate::estate::{Estate, run};
use crate::matrix::{OWN, lock};
use std::collections::BTreeSet;
use std::os::unix::fs::symlink;
use std::time::Duration;
use xenvnet_core::{Antispoof, Attachment, Bridge, Dom0 as Access, ErrorKind, Finding, Host, Watch};
use xenvnet_tests::{Dom0, Namespace, ip, nft, program};

const LONG: Duration = Duration::from_secs(60);
const SHORT: Duration = Duration::from_millis(50);

/// Waits until nothing more is told: a carrier comes late.
fn settle(watch: &Watch) {
    while watch.wait(SHORT).unwrap() {}
}

#[test]
fn interfaces_addresses_and_tables_are_told_of() {
    let Some(dom0) = Dom0::enter() else { return };
    let watch = dom0.host.watch().unwrap();
    settle(&watch);
    for change in ["link add xenbr0 type bridge", "addr add 10.6.7.1/24 dev xenbr0", "link set xenbr0 mtu 1400"] {
        ip(change);
        assert!(watch.wait(LONG).unwrap(), "{change}");
        settle(&watch);
    }
    nft("add table ip others");
    assert!(watch.wait(LONG).unwrap());
    let guest = dom0.guest("vif1.0", &OWN.to_string());
    dom0.host.attach_vif(&Attachment::bridged(guest.name, "xenbr0".parse().unwrap(), lock())).unwrap();
    assert!(watch.wait(LONG).unwrap());
    settle(&watch);
    // Looking is no change.
    dom0.host.snapshot().unwrap();
    assert!(!watch.wait(SHORT).unwrap());
    // A guest that dies says nothing else than that its interface is gone.
    ip("link delete vif1.0");
    assert!(watch.wait(LONG).unwrap());
}

#[test]
fn more_changes_than_can_be_told_are_changes_all_the_same() {
    let Some(dom0) = Dom0::enter() else { return };
    let watch = dom0.host.watch().unwrap();
    ip("link add xenbr0 type bridge");
    let batch: String = (0..4000).map(|n| format!("link set xenbr0 mtu {}\n", 1000 + n % 400)).collect();
    let file = dom0.state.path().join("batch");
    std::fs::write(&file, batch).unwrap();
    xenvnet_tests::program("ip", &["-batch", file.to_str().unwrap()]);
    assert!(watch.wait(LONG).unwrap());
    settle(&watch);
    ip("link set xenbr0 mtu 1500");
    assert!(watch.wait(LONG).unwrap());
}

#[test]
fn another_namespace_is_heard_and_this_one_is_not() {
    let Some(_dom0) = Dom0::enter() else { return };
    let there = Namespace::new();
    let watch = Host::options().netns(there.descriptor()).open().unwrap().watch().unwrap();
    settle(&watch);
    ip("link add xenbr0 type bridge");
    assert!(!watch.wait(SHORT).unwrap());
    there.within(|| ip("link add xenbr0 type bridge"));
    assert!(watch.wait(LONG).unwrap());
}

#[test]
fn a_folder_of_a_program_is_its_own() {
    let Some(dom0) = Dom0::enter() else { return };
    let folder = dom0.host.state_folder("leases").unwrap();
    assert!(folder.is_dir() && folder.starts_with(dom0.state.path()));
    assert_eq!(dom0.host.state_folder("leases").unwrap(), folder);
    for name in ["", ".", "..", "a/b", "../leases", "/etc"] {
        assert_eq!(dom0.host.state_folder(name).unwrap_err().kind(), ErrorKind::InvalidArgument, "{name}");
    }
    symlink("/tmp", folder.with_file_name("elsewhere")).unwrap();
    let error = dom0.host.state_folder("elsewhere").unwrap_err();
    assert_eq!(error.kind(), ErrorKind::State);
    assert!(error.to_string().ends_with("it is a symbolic link or no directory"), "{error}");
}

/// A damage of each kind that others can do, and what undoes it where no repair does.
const DRIFT: [(&str, &str, &str); 23] = [
    ("table_missing", "nft delete table bridge xenvnet_untracked", ""),
    ("table_dormant", "nft add table netdev xenvnet { flags dormant; }", ""),
    ("table_altered", "nft flush chain bridge xenvnet check_arp", ""),
    ("not_locked", "nft flush set bridge xenvnet guarded", ""),
    ("lock_differs", "nft flush set bridge xenvnet own_mac", ""),
    ("not_at_ingress", "nft flush set inet xenvnet at_ingress", ""),
    ("dom0_differs", "nft flush set inet xenvnet_dom0 shielded", ""),
    ("tracked", "nft flush set bridge xenvnet_untracked untracked", ""),
    ("not_masqueraded", "nft flush chain inet xenvnet postrouting", ""),
    ("not_forwarded", "nft delete table inet xenvnet_forwards", ""),
    ("network_forgotten", "nft flush set inet xenvnet networks", ""),
    ("not_accounted", "nft delete table bridge xenvnet_accounts", ""),
    ("forward_drop", FORWARD_DROP, "nft delete table ip filter"),
    ("not_in_group", "ip link set vif1.0 group default", ""),
    ("port_flags", "bridge link set dev vif1.0 learning on", ""),
    ("not_pinned", "bridge fdb del 00:16:3e:00:00:01 dev vif1.0 master", ""),
    ("released", "ip link set vif1.0 nomaster", ""),
    ("unguarded", "ip link set stray group 7777 up", "ip link set stray group default down"),
    ("unknown_port", "ip link set vif5.0 master xenbr0", "ip link set vif5.0 nomaster"),
    ("renamed", "ip link set vif1.0 down\nip link set vif1.0 name web", ""),
    ("no_bridge", "ip link set xenbr0 down\nip link set xenbr0 name zbr", "ip link set zbr name xenbr0"),
    ("leftover", "ip link delete vif2.0", ""),
    ("no_such_interface", "ip link delete side", ""),
];

const FORWARD_DROP: &str =
    "nft add table ip filter; add chain ip filter FORWARD { type filter hook forward priority 0; policy drop; }";

/// What nobody does to a host: a change that died, what a guest's frame shuts, what an older version
/// wrote, and what is as it should be.
const NO_DRIFT: [&str; 5] = ["cut_off", "port_shut", "old_layout", "pair", "no_port_lock"];

#[test]
fn each_kind_of_drift_wakes_it() {
    let Some(estate) = Estate::build() else { return };
    let host = estate.host();
    for other in ["stray", "vif5.0"] {
        ip(&format!("link add {other} type veth peer name far-{other}"));
    }
    host.create_bridge(&Bridge::new("side".parse().unwrap())).unwrap();
    host.set_dom0("side".parse().unwrap(), Access::Closed).unwrap();
    host.forward_port(&"tcp:80 to 10.98.98.2:80".parse().unwrap()).unwrap();
    let counted = estate.dom0.guest("vif6.0", "00:16:3e:00:00:06");
    let own = Antispoof::new(counted.mac);
    host.attach_vif(&Attachment::bridged(counted.name, "xenbr0".parse().unwrap(), own).accounted(true)).unwrap();
    assert_eq!(estate.findings(), Vec::<String>::new());
    let watch = host.watch().unwrap();
    for (kind, damage, undo) in DRIFT {
        settle(&watch);
        run(damage);
        assert!(watch.wait(LONG).unwrap(), "{damage} is not told of");
        let found = host.verify().unwrap().findings;
        assert!(found.iter().any(|finding| finding.kind() == kind), "{damage}: {found:?}");
        run(undo);
        host.repair().unwrap();
    }
    let walked: BTreeSet<_> = DRIFT.iter().map(|(kind, ..)| *kind).chain(NO_DRIFT).collect();
    assert_eq!(walked, Finding::KINDS.iter().copied().collect());
}

#[test]
fn learning_is_no_change_and_a_pinned_address_that_moves_is_one() {
    let Some(estate) = Estate::build() else { return };
    let fdb = |words: &str| program("bridge", &format!("fdb {words}").split(' ').collect::<Vec<_>>());
    let watch = estate.host().watch().unwrap();
    // The cards of a pair learn.
    let raw = estate.pair[1].raw();
    settle(&watch);
    crate::proof::wait_for("what is learned", || {
        raw.send(crate::matrix::sentinel(estate.pair[1].mac, "10.98.98.4".parse().unwrap()).bytes());
        fdb("show dev vif4.0-emu").contains("00:16:3e:00:00:04 master")
    });
    fdb("add 02:00:00:00:00:77 dev vif4.0 master dynamic");
    ip("neigh replace 10.98.98.77 lladdr 02:00:00:00:00:77 dev xenbr0");
    assert!(!watch.wait(SHORT).unwrap());
    for change in [
        // Of whom it was already pinned when the watch began, and back.
        "replace 00:16:3e:00:00:01 dev vif2.0 master dynamic",
        "replace 00:16:3e:00:00:01 dev vif1.0 master static sticky",
        "del 00:16:3e:00:00:01 dev vif1.0 master",
    ] {
        fdb(change);
        assert!(watch.wait(LONG).unwrap(), "{change}");
        settle(&watch);
    }
    ip("addr add fd07::1/64 dev xenbr0");
    assert!(watch.wait(LONG).unwrap());
}
