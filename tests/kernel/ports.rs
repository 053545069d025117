//! What others change of guests' ports is found, named, and mended.

use crate::estate::{Estate, hostile, run};
use crate::matrix::{OWN, lock};
use crate::proof::name;
use std::time::{Duration, Instant};
use xenvnet_core::{Antispoof, Attachment, Bridge};
use xenvnet_tests::{Dom0, bridge_json, ether, ip, nft};

#[test]
fn flags_of_a_port_are_set_again() {
    let Some(estate) = Estate::build() else { return };
    let wanted = "learning off, locked on, flood off, isolated off, group_fwd_mask 0xfffd";
    let change = |from: &str, to: &str| {
        format!("hole port_flags: vif1.0: bridge port flags are {}; they should be {wanted}", wanted.replace(from, to))
    };
    for (flag, found) in [
        ("learning on", change("learning off", "learning on")),
        ("locked off", change("locked on", "locked off")),
        ("flood on", change("flood off", "flood on")),
        ("isolated on", change("isolated off", "isolated on")),
        ("guard on", change("isolated off", "isolated off, guard on")),
    ] {
        estate.mends(&format!("bridge link set dev vif1.0 {flag}"), &[&found]);
    }
    let found = change(", group_fwd_mask 0xfffd", "");
    estate.mends("ip link set vif1.0 type bridge_slave group_fwd_mask 0", &[&found]);
    let found = "hole port_flags: vif4.0: bridge port flags are learning off, locked off, flood on, isolated off; \
                 they should be learning on, locked off, flood on, isolated off";
    estate.mends("bridge link set dev vif4.0 learning off", &[found]);
    estate.assert_held();
}

#[test]
fn an_address_is_pinned_again_from_wherever_it_went() {
    let Some(estate) = Estate::build() else { return };
    let found = "hole not_pinned: vif1.0: 00:16:3e:00:00:01 is not pinned to its port";
    let delete = format!("bridge fdb del {OWN} dev vif1.0 master");
    for damage in [
        delete.clone(),
        format!("{delete}\nbridge fdb add {OWN} dev vif1.0 master static"),
        format!("bridge fdb replace {OWN} dev vif2.0 master static"),
        format!("{delete}\nbridge fdb add {OWN} dev vif2.0 master static sticky"),
        format!("{delete}\nbridge fdb add {OWN} dev vif2.0 master dynamic"),
    ] {
        estate.mends(&damage, &[found]);
    }
    estate.assert_held();
}

#[test]
fn a_guest_taken_off_its_bridge_is_put_back() {
    let Some(estate) = Estate::build() else { return };
    for vif in ["vif1.0", "vif4.0", "vif4.0-emu"] {
        let found = format!("hole released: {vif} is no port of xenbr0 any more");
        estate.mends(&format!("ip link set {vif} nomaster"), &[&found]);
    }
    estate.wait_for_carriers();
    estate.assert_held();
}

/// Another bridge is another network: its guests are not this one's neighbours.
#[test]
fn a_guest_moved_to_another_bridge_is_brought_back() {
    let Some(estate) = Estate::build() else { return };
    run("ip link add xenbr1 address 2e:00:00:00:00:fd type bridge\nip link set xenbr1 addrgenmode none");
    let found = "hole released: vif1.0 is a port of xenbr1, not of xenbr0";
    estate.mends("ip link set vif1.0 master xenbr1", &[found]);
    estate.wait_for_carriers();
    estate.assert_held();
}

#[test]
fn a_routed_guest_that_was_put_on_a_bridge_is_named() {
    let Some(estate) = Estate::build() else { return };
    run("ip link set vif3.0 master xenbr0");
    let found = ["hole unknown_port: vif3.0 is a port of xenbr0, not locked, and was not attached by xenvnet"];
    assert_eq!(estate.findings(), found);
    let mut path = estate.path_of_the_mute(&estate.routed);
    assert!(path.send(&hostile(estate.routed.mac)).none(), "its lock at ingress holds there too");
}

#[test]
fn a_guest_taken_out_of_the_group_is_put_back() {
    let Some(estate) = Estate::build() else { return };
    for vif in ["vif1.0", "vif3.0", "vif4.0", "vif4.0-emu"] {
        let found = format!("hole not_in_group: {vif} is in link group 0, not in that of guests' interfaces");
        estate.mends(&format!("ip link set {vif} group default"), &[&found]);
    }
}

/// What nobody asked us to lock is named and left alone.
#[test]
fn guests_that_nobody_locked_are_named() {
    let Some(estate) = Estate::build() else { return };
    let stranger = estate.dom0.guest("vif9.0", "00:16:3e:00:00:09");
    run("ip link set vif9.0 master xenbr0\nip link set vif9.0 up");
    stranger.wait_for_carrier();
    let damaged = estate.dump();
    let unknown = "hole unknown_port: vif9.0 is a port of xenbr0, not locked, and was not attached by xenvnet";
    assert_eq!(estate.findings(), [unknown]);
    let report = estate.host().repair().unwrap();
    let finding = report.findings.iter().find(|finding| finding.kind() == "unknown_port").unwrap();
    assert!(!finding.is_repairable() && report.repair.is_empty() && !report.is_sound());
    assert_eq!(finding.remedy(), "xenvnet antispoof set vif9.0 --mac MAC --ip IP, or shut it: ip link set vif9.0 down");
    estate.dump().assert_same(&damaged, "by the repair of what it cannot repair");
    ip("link set vif9.0 group 7777");
    assert_eq!(estate.findings(), ["hole unguarded: vif9.0 is a guest's interface, up, and not locked"]);
    estate.host().set_antispoof(name("vif9.0"), Antispoof::new(stranger.mac)).unwrap();
    assert_eq!(estate.findings(), Vec::<String>::new());
    ip("link set vif9.0 group default");
    assert_eq!(estate.repair(), ["hole not_in_group: vif9.0 is in link group 0, not in that of guests' interfaces"]);
}

/// A bridge that speaks the spanning tree protocol hears it before any filter does: its guard shuts
/// the port of a guest that speaks it too.
#[test]
fn a_port_that_the_guard_shut_is_opened() {
    let Some(dom0) = Dom0::enter() else { return };
    dom0.host.create_bridge(&Bridge::new(name("xenbr0")).stp(true)).unwrap();
    ip("link set xenbr0 type bridge forward_delay 200");
    let guest = dom0.guest("vif1.0", &OWN.to_string());
    dom0.host.attach_vif(&Attachment::bridged(guest.name, name("xenbr0"), lock())).unwrap();
    guest.wait_for_carrier();
    assert_eq!(dom0.host.verify().unwrap().findings, []);
    let state = || bridge_json("link show dev vif1.0")[0]["state"].clone();
    let await_that = |what: &str, is: &dyn Fn() -> bool| {
        let deadline = Instant::now() + Duration::from_secs(10);
        while !is() {
            assert!(Instant::now() < deadline, "never {what}: the port is {}", state());
        }
    };
    await_that("learning", &|| ["learning", "forwarding"].iter().any(|word| state() == *word));
    let group = "01:80:c2:00:00:00".parse().unwrap();
    let bpdu = ether(group, OWN, 38, &[&[0x42, 0x42, 3, 0, 0, 0, 0, 0][..], &[0; 39]].concat());
    // Also with no rule at all.
    nft("flush ruleset");
    guest.raw().send(bpdu.bytes());
    await_that("shut", &|| state() == "disabled");
    let found: Vec<_> = dom0.host.repair().unwrap().findings.iter().map(|finding| finding.kind()).collect();
    assert_eq!(found, ["table_missing", "table_missing", "not_locked", "port_shut"]);
    await_that("opened", &|| state() != "disabled");
    assert_eq!(dom0.host.verify().unwrap().findings, []);
}
