//! What a locked guest says to the reserved group addresses of bridges (IEEE 802.1Q, table 8-1).
//! The bridge hands such frames to dom0 as if its port were no port, past every prerouting hook of
//! its family.

use crate::matrix::{OWN, VICTIM, lock, sentinel};
use crate::proof::name;
use std::net::{Ipv4Addr, Ipv6Addr};
use xenvnet_core::{Attachment, Bridge, MacAddr};
use xenvnet_tests::{Dom0, FakeVif, Frame, Ip4, Ip6, Path, RawSocket, Tally, arp, ether, icmp6, ip, ip_json, udp};

const DOM0: Ipv4Addr = Ipv4Addr::new(10, 98, 98, 1);
const OTHER: Ipv4Addr = Ipv4Addr::new(10, 98, 98, 77);

fn group(number: u8) -> MacAddr {
    MacAddr::new([0x01, 0x80, 0xc2, 0, 0, number])
}

/// A datagram, an ARP request and a router advertisement that the lock does not allow.
fn frames(to: MacAddr) -> Vec<Frame> {
    let data = udp(1000, 2000, b"data");
    let all_nodes = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 1);
    let router = Ip6::new(Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 0x66), all_nodes);
    let advertisement = icmp6(134, 0, &[64, 0, 7, 8, 0, 0, 0, 0, 0, 0, 0, 0]);
    vec![
        ether(to, OWN, 0x0800, &Ip4::new(OTHER, DOM0).carry(&data)),
        ether(to, VICTIM, 0x0806, &arp(1, (VICTIM, OTHER), (MacAddr::new([0; 6]), DOM0))),
        ether(to, OWN, 0x86dd, &router.carry(&advertisement)),
    ]
}

fn attached(stp: bool) -> Option<(Dom0, FakeVif)> {
    let dom0 = Dom0::enter()?;
    let bridge = Bridge::new(name("xenbr0")).stp(stp).address("10.98.98.1/24".parse().unwrap());
    dom0.host.create_bridge(&bridge).unwrap();
    if stp {
        // The shortest that the protocol allows: 2 seconds of listening, 2 of learning.
        ip("link set xenbr0 type bridge forward_delay 200");
    }
    let guest = dom0.guest("vif1.0", &OWN.to_string());
    dom0.host.attach_vif(&Attachment::bridged(guest.name, name("xenbr0"), lock())).unwrap();
    guest.wait_for_carrier();
    Some((dom0, guest))
}

#[test]
fn nothing_of_it_reaches_dom0() {
    let Some((dom0, guest)) = attached(false) else { return };
    let ear = vec![("dom0", RawSocket::on("xenbr0"))];
    let mut path = Path::new(guest.raw(), ear, sentinel(OWN, "10.98.98.2".parse().unwrap()));
    path.send(&[]);
    // The sentinel is a broadcast, which dom0's ARP hears.
    let tally = Tally::of_packets(&dom0.namespace());
    let mut wrong = Vec::new();
    for number in 0..16 {
        let before = tally.count();
        path.send(&frames(group(number)));
        if tally.count() != before {
            wrong.push(format!("group {number:x}: {} packets", tally.count().strange - before.strange));
        }
    }
    let routes = ip_json("-6 route show default");
    assert!(wrong.is_empty() && routes == serde_json::json!([]), "{}\ndefault routes: {routes}", wrong.join("\n"));
    let neighbours = ip_json("neigh show dev vif1.0");
    assert_eq!(neighbours, serde_json::json!([]), "what dom0 believes of a guest's port");
}

#[test]
fn it_does_not_become_the_root_of_the_spanning_tree() {
    let Some((dom0, guest)) = attached(true) else { return };
    let outside = dom0.cable("peth0", "02:00:00:00:00:09");
    ip("link set peth0 master xenbr0");
    // Who claims to be the root may be shut up for it: another's frame tells that this one came in.
    let herald = sentinel("02:00:00:00:00:09".parse().unwrap(), "10.98.98.9".parse().unwrap());
    let mut path = Path::new(guest.raw(), vec![("dom0", RawSocket::on("xenbr0"))], herald).herald(outside.raw());
    // Zero while the bridge itself is the root; else the port by which it reaches the root.
    let root_port = || ip_json("-d link show dev xenbr0")[0]["linkinfo"]["info_data"]["root_port"].clone();
    path.send(&[]);
    assert_eq!(root_port(), 0);
    // A configuration BPDU (IEEE 802.1D, 9.3.1) of a root with the best of priorities.
    let root = [&[0, 0][..], &OWN.octets()].concat();
    let times = [0, 0, 20, 0, 2, 0, 15, 0];
    let body = [&[0x42, 0x42, 3, 0, 0, 0, 0, 0][..], &root, &[0; 4], &root, &[0x80, 1], &times].concat();
    path.send(&[ether(group(0), OWN, body.len() as u16, &body)]);
    assert_eq!(root_port(), 0, "a guest is the root of the spanning tree");
}
