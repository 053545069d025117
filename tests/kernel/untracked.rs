//! Bridged guests that stay out of dom0's table of connections, where bridged packets visit IP.

use crate::matrix::{OWN, VICTIM, lock, victims_lock};
use crate::proof::{bridge_by_ip, name, prove};
use std::path::Path as FilePath;
use xenvnet_core::{Attachment, MacAddr, Operation};
use xenvnet_tests::{Dom0, FakeVif, Ip4, ether, hears, ip, nft, nft_json, sysctl_set, udp};

/// Counts, in a chain of somebody else's, of packets from or to the guest: untracked and new.
fn counts(guest: &str) -> (u64, u64) {
    let listing = nft_json("list chain inet foreign counted");
    let rules = listing["nftables"].as_array().unwrap().iter().filter_map(|object| object.get("rule"));
    let packets: Vec<u64> = rules
        .filter(|rule| rule.to_string().contains(guest))
        .map(|rule| rule["expr"].as_array().unwrap().iter().find_map(|e| e["counter"]["packets"].as_u64()).unwrap())
        .collect();
    (packets[0] + packets[1], packets[2] + packets[3])
}

fn foreign_chain(guest: &str) {
    nft("add table inet foreign");
    nft("add chain inet foreign counted { type filter hook forward priority 0; }");
    for state in ["untracked", "new,established"] {
        for way in ["saddr", "daddr"] {
            nft(&format!("add rule inet foreign counted ip {way} {guest} ct state {state} counter"));
        }
    }
}

fn two_guests(dom0: &Dom0) -> (FakeVif, FakeVif) {
    let one = dom0.guest("vif1.0", &OWN.to_string());
    let two = dom0.guest("vif2.0", &VICTIM.to_string());
    one.address("10.98.98.2/24", "10.98.98.1");
    two.address("10.98.98.3/24", "10.98.98.1");
    (one, two)
}

/// With br_netfilter at work; `false` on a kernel without.
pub(crate) fn bridged_packets_visit_ip() -> bool {
    let there = FilePath::new("/proc/sys/net/bridge/bridge-nf-call-iptables").exists();
    if there {
        sysctl_set("bridge/bridge-nf-call-iptables", "1");
    } else {
        eprintln!("skipped: this kernel has no br_netfilter");
    }
    there
}

#[test]
fn bridged_on_they_are_untracked_both_ways() {
    let Some(dom0) = Dom0::enter() else { return };
    bridge_by_ip("xenbr0");
    let (one, two) = two_guests(&dom0);
    let attach = |untracked: bool| Attachment::bridged(one.name, name("xenbr0"), lock()).untracked(untracked);
    dom0.host.attach_vif(&Attachment::bridged(two.name, name("xenbr0"), victims_lock())).unwrap();
    prove(&dom0, &Operation::AttachVif(attach(true)));
    if !bridged_packets_visit_ip() {
        return;
    }
    foreign_chain("10.98.98.2");
    one.wait_for_carrier();
    assert!(hears(&two.guest, "10.98.98.3", &one.guest) && hears(&one.guest, "10.98.98.2", &two.guest));
    let (untracked, tracked) = counts("10.98.98.2");
    assert!(untracked >= 2 && tracked == 0, "{untracked} untracked, {tracked} tracked");
    // A change of lock goes with it, and switched off it is as it was.
    prove(&dom0, &Operation::SetAntispoof { vif: one.name, lock: lock().dhcp_client(true).into() });
    assert_eq!(dom0.host.verify().unwrap().findings, []);
    prove(&dom0, &Operation::AttachVif(attach(false)));
    nft("delete table inet foreign");
    foreign_chain("10.98.98.2");
    assert!(hears(&two.guest, "10.98.98.3", &one.guest));
    let (untracked, tracked) = counts("10.98.98.2");
    assert!(untracked == 0 && tracked > 0, "{untracked} untracked, {tracked} tracked");
}

#[test]
fn a_brouter_still_masquerades_for_them() {
    let Some(dom0) = Dom0::enter() else { return };
    let network = "network-virtual bridgeip=10.98.98.1/24".parse().unwrap();
    dom0.host.start_network(&network).unwrap();
    let (one, two) = two_guests(&dom0);
    for (guest, lock) in [(&one, lock()), (&two, victims_lock())] {
        let attachment = Attachment::bridged(guest.name, name("xenbr0"), lock).untracked(true);
        dom0.host.attach_vif(&attachment).unwrap();
    }
    let visits = bridged_packets_visit_ip();
    let outside = dom0.cable("eth0", "02:00:00:00:00:09");
    ip("addr add 198.51.100.1/24 dev eth0");
    outside.address("198.51.100.9/24", "");
    one.wait_for_carrier();
    // Without masquerading the outside could not even answer: it knows no way to the guest.
    let from = xenvnet_tests::hears_from(&outside.guest, "198.51.100.9", &one.guest);
    assert_eq!(from, Some("198.51.100.1".parse().unwrap()));
    // Whatever address of dom0's it writes to, it does not get out by its own.
    let lie = Ip4::new([10, 98, 98, 2].into(), [198, 51, 100, 9].into()).carry(&udp(1000, 9, b"data"));
    let ear = outside.raw();
    one.raw().send(ether(MacAddr::VIF_BACKEND, OWN, 0x0800, &lie).bytes());
    assert!(hears(&outside.guest, "198.51.100.9", &one.guest));
    let private = |frame: Vec<u8>| frame.get(26..30) == Some(&[10, 98, 98, 2]);
    assert!(!std::iter::from_fn(|| ear.pending()).any(private));
    if visits {
        foreign_chain("10.98.98.2");
        assert!(hears(&two.guest, "10.98.98.3", &one.guest));
        assert_eq!(counts("10.98.98.2").1, 0);
    }
    dom0.host.detach_vif(two.name).unwrap();
    prove(&dom0, &Operation::DetachVif { vif: one.name });
    assert!(dom0.host.snapshot().unwrap().untracked.is_empty());
}

#[test]
fn without_a_lock_nothing_is_left_untracked() {
    let Some(dom0) = Dom0::enter() else { return };
    bridge_by_ip("xenbr0");
    let guest = dom0.guest("vif1.0", &OWN.to_string());
    let attachment = Attachment::bridged(guest.name, name("xenbr0"), xenvnet_core::Lock::Unlocked).untracked(true);
    let error = dom0.host.attach_vif(&attachment).unwrap_err();
    assert_eq!(
        error.to_string(),
        "cannot attach vif1.0 to xenbr0: without a lock nobody knows which packets are to be left untracked"
    );
}
