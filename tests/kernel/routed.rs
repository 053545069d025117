//! Guests that dom0 routes to: held where their frames come in.

use crate::matrix::{OWN, VICTIM, foreign_packet, lock};
use crate::proof::{name, prove, prove_again};
use std::net::UdpSocket;
use std::time::Duration;
use xenvnet_core::{Antispoof, Attachment, DropReason, Lock, Masquerade, Operation};
use xenvnet_tests::{Dom0, Dump, FakeVif, ether, ip, ip_json, nft, nft_ruleset, sysctl_set};

/// A guest of 10.1.0.0/16 and 2001:db8:1::/64 that says nothing by itself.
fn silent_guest(dom0: &Dom0, vif: &str, last: u8) -> (FakeVif, Attachment) {
    let guest = dom0.guest(vif, &format!("00:16:3e:00:00:{last:02x}"));
    let (four, six) = (format!("10.1.0.{last}"), format!("2001:db8:1::{last:x}"));
    let lock = Antispoof::new(guest.mac).ip(four.parse().unwrap()).ip(six.parse().unwrap());
    let attachment =
        Attachment::routed(guest.name, lock).gateway("10.1.255.1".parse().unwrap()).gateway("fe80::1".parse().unwrap());
    (guest, attachment)
}

/// The same with addresses, and dom0 as its gateway.
fn guest(dom0: &Dom0, vif: &str, last: u8) -> (FakeVif, Attachment) {
    let (guest, attachment) = silent_guest(dom0, vif, last);
    let (four, six) = (format!("10.1.0.{last}"), format!("2001:db8:1::{last:x}"));
    guest.guest.within(|| {
        ip(&format!("addr add {four}/32 dev eth0"));
        ip("route add 10.1.255.1 dev eth0");
        ip("route add default via 10.1.255.1");
        ip(&format!("addr add {six}/128 dev eth0 nodad"));
        ip("route add fe80::1 dev eth0");
        ip("route add default via fe80::1 dev eth0");
    });
    (guest, attachment)
}

/// Whether a datagram from one guest reaches another.
fn reaches(from: &FakeVif, to: &FakeVif, address: &str) -> bool {
    let ear = to.guest.within(|| UdpSocket::bind((address, 7)).unwrap());
    ear.set_read_timeout(Some(Duration::from_millis(200))).unwrap();
    let any = if address.contains(':') { "[::]:0" } else { "0.0.0.0:0" };
    let mouth = from.guest.within(|| UdpSocket::bind(any).unwrap());
    // Asked again: neighbours are looked for first.
    (0..25).any(|_| {
        let _ = mouth.send_to(b"hello", (address, 7));
        ear.recv(&mut [0; 16]).is_ok()
    })
}

fn forward() {
    sysctl_set("ipv4/ip_forward", "1");
    sysctl_set("ipv6/conf/all/forwarding", "1");
}

#[test]
fn a_routed_guest_is_attached_changed_renamed_and_detached() {
    let Some(dom0) = Dom0::enter() else { return };
    let (_one, attachment) = silent_guest(&dom0, "vif1.0", 2);
    let plan = prove(&dom0, &Operation::AttachVif(attachment.clone()));
    assert!(
        plan.to_string().ends_with(
            "~ vif1.0: up\n+ vif1.0: address 10.1.255.1/32\n+ vif1.0: address fe80::1/64\n\
             + vif1.0: route 10.1.0.2/32 metric 2\n+ vif1.0: route 2001:db8:1::2/128 metric 2\n\
             + neighbour 10.1.0.2 lladdr 00:16:3e:00:00:02 permanent dev vif1.0\n\
             + neighbour 2001:db8:1::2 lladdr 00:16:3e:00:00:02 permanent dev vif1.0\n\
             ~ sysctl net.ipv4.conf.vif1.0.proxy_arp: 0 -> 1\n\
             - connections of 10.1.0.2/32, 2001:db8:1::2/128\n"
        ),
        "{plan}"
    );
    // Its hook stands before it is up.
    let lines: Vec<_> = plan.to_string().lines().map(str::to_owned).collect();
    let at = |line: &str| lines.iter().position(|other| other == line).unwrap();
    assert!(at("+ vif1.0: ingress filter") < at("~ vif1.0: up"));

    let other = Lock::from(Antispoof::new(OWN).ip("10.1.0.9".parse().unwrap()));
    prove(&dom0, &Operation::SetAntispoof { vif: name("vif1.0"), lock: other });
    dom0.host.attach_vif(&attachment).unwrap();
    prove(&dom0, &Operation::AttachVif(attachment.clone().rename(name("web"))));
    prove_again(&dom0, &Operation::AttachVif(attachment.rename(name("web"))));
    prove(&dom0, &Operation::DetachVif { vif: name("vif1.0") });
    assert_eq!(ip_json("link show dev web")[0]["operstate"], "DOWN");
    assert!(!nft_ruleset().contains("ingress-"));
}

#[test]
fn routed_guests_reach_each_other_and_the_outside_and_nobody_lies() {
    let Some(dom0) = Dom0::enter() else { return };
    forward();
    let (one, first) = guest(&dom0, "vif1.0", 1);
    let (two, second) = guest(&dom0, "vif2.0", 2);
    assert!(dom0.host.attach_vif(&first).unwrap().is_changed());
    assert!(dom0.host.attach_vif(&second).unwrap().is_changed());
    one.wait_for_carrier();
    assert!(reaches(&one, &two, "10.1.0.2"));
    assert!(reaches(&one, &two, "2001:db8:1::2"));
    assert!(reaches(&two, &one, "10.1.0.1"));
    // NAT: the same, hidden behind dom0.
    let outside = dom0.cable("eth0", "02:00:00:00:00:09");
    ip("addr add 192.0.2.1/24 dev eth0");
    outside.address("192.0.2.9/24", "");
    dom0.host.masquerade_subnet(&Masquerade::new("10.1.0.0/16".parse().unwrap()).uplink(name("eth0"))).unwrap();
    assert!(reaches(&one, &outside, "192.0.2.9"));
    // A lie about the source is dropped and counted.
    one.guest.within(|| ip("addr add 10.1.0.77/32 dev eth0"));
    one.guest.within(|| ip("route replace default via 10.1.255.1 src 10.1.0.77"));
    assert!(!reaches(&one, &two, "10.1.0.2"));
    let drops = dom0.host.snapshot().unwrap().drops;
    assert!(drops.iter().any(|drops| drops.vif == one.name && drops.reason == DropReason::Ip4), "{drops:?}");
}

/// From Linux 6.16 on the hook stays behind when its interface is renamed.
#[test]
fn a_routed_guest_that_is_renamed_behind_our_back_gets_nothing_through() {
    let Some(dom0) = Dom0::enter() else { return };
    forward();
    let (one, first) = guest(&dom0, "vif1.0", 1);
    let (two, second) = guest(&dom0, "vif2.0", 2);
    dom0.host.attach_vif(&first).unwrap();
    dom0.host.attach_vif(&second).unwrap();
    one.wait_for_carrier();
    assert!(reaches(&one, &two, "10.1.0.2"));
    ip("link set vif1.0 name foo");
    assert!(!reaches(&one, &two, "10.1.0.2"));
    assert!(!reaches(&one, &two, "2001:db8:1::2"));
    assert!(!dom0.host.verify().unwrap().is_sound());
    dom0.host.repair().unwrap();
    assert_eq!(dom0.host.verify().unwrap().findings, []);
    assert!(reaches(&one, &two, "10.1.0.2"));
    dom0.host.detach_vif(name("vif1.0")).unwrap();
    assert!(!nft_ruleset().contains("ingress-foo"));
}

#[test]
fn what_is_left_of_a_dead_guest_does_not_hold_for_the_next_of_its_name() {
    let Some(dom0) = Dom0::enter() else { return };
    forward();
    let (two, second) = guest(&dom0, "vif2.0", 2);
    dom0.host.attach_vif(&second).unwrap();
    let (_one, first) = guest(&dom0, "vif1.0", 1);
    dom0.host.attach_vif(&first).unwrap();
    ip("link delete vif1.0");
    // As a bridged one, which a hook under its name would shut up.
    crate::proof::bridge_by_ip("xenbr0");
    let again = dom0.guest("vif1.0", &VICTIM.to_string());
    prove(&dom0, &Operation::AttachVif(Attachment::bridged(again.name, name("xenbr0"), Antispoof::new(VICTIM))));
    assert!(!nft_ruleset().contains("ingress-vif1.0"));
    ip("link delete vif1.0");
    let (three, third) = guest(&dom0, "vif1.0", 3);
    prove(&dom0, &Operation::AttachVif(third));
    three.wait_for_carrier();
    assert!(reaches(&three, &two, "10.1.0.2"));
    assert!(!dom0.host.snapshot().unwrap().guards.contains_key(&name("vif1.0")));
}

#[test]
fn what_cannot_be_routed_is_refused_and_changes_nothing() {
    let Some(dom0) = Dom0::enter() else { return };
    let guest = dom0.guest("vif1.0", &OWN.to_string());
    let vif = guest.name;
    let any = Antispoof::new(OWN).ip("0.0.0.0/0".parse().unwrap());
    let before = Dump::take();
    let error = dom0.host.attach_vif(&Attachment::routed(vif, any)).unwrap_err();
    assert_eq!(
        error.to_string(),
        "cannot attach vif1.0 to dom0's routes: 0.0.0.0/0 would lead everything that dom0 sends to this guest"
    );
    Dump::take().assert_same(&before, "by a refused route");
    crate::proof::bridge_by_ip("xenbr0");
    dom0.host.attach_vif(&Attachment::bridged(vif, name("xenbr0"), lock())).unwrap();
    let before = Dump::take();
    let error = dom0.host.attach_vif(&Attachment::routed(vif, lock())).unwrap_err();
    assert_eq!(error.to_string(), "cannot attach vif1.0 to dom0's routes: vif1.0 is a port of xenbr0");
    Dump::take().assert_same(&before, "by a port that was to be routed");
}

/// A lock on an interface that somebody else brought up and routes to holds at once.
#[test]
fn a_lock_on_an_interface_that_is_up_holds_where_its_frames_come_in() {
    let Some(dom0) = Dom0::enter() else { return };
    let guest = dom0.guest("vif1.0", &OWN.to_string());
    ip("link set vif1.0 up");
    nft("table netdev probe { chain c { type filter hook ingress device vif1.0 priority 0; counter; }; }");
    guest.wait_for_carrier();
    prove(&dom0, &Operation::SetAntispoof { vif: guest.name, lock: lock().into() });
    let raw = guest.raw();
    raw.send(ether(VICTIM, OWN, 0x0800, &foreign_packet()).bytes());
    let counted = || dom0.host.snapshot().unwrap().drops.iter().map(|drops| drops.frames).sum::<u64>();
    let deadline = std::time::Instant::now() + Duration::from_secs(10);
    while counted() == 0 {
        assert!(std::time::Instant::now() < deadline, "nothing was dropped");
    }
    assert!(nft("list table netdev probe").contains("packets 0 "));
    prove(&dom0, &Operation::ClearAntispoof { vif: guest.name });
}
