//! A guest's interface that is in no lock's place: what it says reaches nobody's IP layer.

use crate::load::{honest, spoofed};
use crate::matrix::{OWN, lock};
use crate::proof::{bridge_by_ip, name, wait_for};
use std::net::UdpSocket;
use xenvnet_core::{Attachment, DropReason, Masquerade, Table};
use xenvnet_tests::{Dom0, Dump, FakeVif, Flood, Tally, ip, nft};

/// A host with bridged guests only, one of them.
fn bridged(dom0: &Dom0) -> FakeVif {
    bridge_by_ip("xenbr0");
    let guest = dom0.guest("vif1.0", &OWN.to_string());
    dom0.host.attach_vif(&Attachment::bridged(guest.name, name("xenbr0"), lock())).unwrap();
    guest.wait_for_carrier();
    guest
}

/// Packets of strays that were dropped.
fn dropped(dom0: &Dom0) -> u64 {
    let drops = dom0.host.snapshot().unwrap().drops;
    let of_strays = drops.iter().filter(|drops| (drops.table, drops.reason) == (Table::Inet, DropReason::Unguarded));
    of_strays.map(|drops| drops.frames).sum()
}

#[test]
fn one_that_lies_while_its_bridge_is_deleted_is_heard_by_nobody() {
    let Some(dom0) = Dom0::enter() else { return };
    let guest = bridged(&dom0);
    let ear = Tally::of_packets(&dom0.namespace());
    let lies = Flood::start(guest.raw(), spoofed(), honest(), 0);
    ip("link delete xenbr0");
    wait_for("many lies off the bridge", || dropped(&dom0) > 10_000);
    // Also after it was down, as between the last look of an attachment and the end of it.
    ip("link set vif1.0 down");
    ip("link set vif1.0 up");
    let before = dropped(&dom0);
    wait_for("lies after it was down", || dropped(&dom0) > before);
    assert_eq!(ear.count().strange, 0, "{ear}");
    nft("delete table inet xenvnet");
    wait_for("the control: a lie in dom0's IP layer", || ear.count().strange > 0);
    lies.stop();
}

/// What was dropped of a stray is not the next guest's of that name.
#[test]
fn a_strays_drops_are_not_the_next_guests() {
    let Some(dom0) = Dom0::enter() else { return };
    let guest = bridged(&dom0);
    let lies = Flood::start(guest.raw(), spoofed(), honest(), 0);
    ip("link delete xenbr0");
    wait_for("a lie off the bridge", || dropped(&dom0) > 0);
    drop(lies);
    ip("link delete vif1.0");
    drop(guest);
    let _next = bridged(&dom0);
    assert_eq!(dropped(&dom0), 0);
}

#[test]
fn a_host_with_bridged_guests_only_misses_its_guard() {
    let Some(dom0) = Dom0::enter() else { return };
    let _guest = bridged(&dom0);
    let before = Dump::take();
    nft("delete table inet xenvnet");
    let found: Vec<_> = dom0.host.repair().unwrap().findings.iter().map(ToString::to_string).collect();
    assert_eq!(found, ["table inet xenvnet is missing"]);
    Dump::take().assert_same(&before, "after the repair");
}

/// Whether dom0 follows a connection of its own to this port.
fn tracks(port: u16) -> bool {
    UdpSocket::bind("127.0.0.1:0").unwrap().send_to(b"hello", ("127.0.0.1", port)).unwrap();
    let table = std::fs::read_to_string("/proc/thread-self/net/nf_conntrack").unwrap();
    table.split_whitespace().any(|word| word == format!("dport={port}"))
}

#[test]
fn a_host_tracks_connections_as_long_as_something_is_masqueraded() {
    let Some(dom0) = Dom0::enter() else { return };
    let _guest = bridged(&dom0);
    assert!(!tracks(1001), "with bridged guests only");
    let rules = ["10.98.98.0/24", "10.1.0.0/16"].map(|subnet| Masquerade::new(subnet.parse().unwrap()));
    for rule in &rules {
        dom0.host.masquerade_subnet(rule).unwrap();
    }
    assert!(tracks(1002), "the control");
    dom0.host.unmasquerade_subnet(&rules[0]).unwrap();
    assert!(tracks(1003), "with one of two subnets");
    dom0.host.unmasquerade_subnet(&rules[1]).unwrap();
    // A worker of the kernel's ends it.
    let mut ports = 1004..;
    wait_for("nothing is tracked without a subnet", || !tracks(ports.next().unwrap()));
    dom0.host.undo().unwrap();
    assert!(tracks(ports.next().unwrap()), "with the subnet again");
}
