//! Rows 9, 13 and 14: what dom0 has of its guests' traffic, what it tells of itself, and what it lets
//! them reach.

use super::lan::{DOM0, FAR, Lan, ROUTER};
use crate::proof::{name, wait_for};
use std::net::UdpSocket;
use xenvnet_core::{Attachment, NetworkId};
use xenvnet_tests::{hears, hears_from, nft};

/// Guests of a bridge fill no table of connections: their frames visit none of the hooks that track.
#[test]
fn row_09_bridged_guests_leave_no_trace_in_dom0s_table_of_connections() {
    let Some(lan) = Lan::enter() else { return };
    lan.starts("network-bridge bridge=xenbr0 netdev=eth0");
    let guest = lan.bridged("vif1.0", "xenbr0", &["192.0.2.77/24", "2001:db8:f::77/64"]);
    // Dom0 tracks, as it does wherever somebody masquerades.
    nft("table inet others { chain c { type filter hook input priority 0; ct state established accept; }; }");
    let connections = || std::fs::read_to_string("/proc/thread-self/net/nf_conntrack").unwrap();
    for router in ROUTER {
        assert!(hears(&lan.router.guest, router, &guest.guest));
    }
    assert!(hears(&lan.router.guest, ROUTER[0], &lan.dom0.namespace()));
    wait_for("dom0's own flow is tracked", || connections().contains(ROUTER[0]));
    let all = connections();
    let of_guest = |line: &&str| line.contains("=192.0.2.77 ") || line.contains(":0000:0077 ");
    assert_eq!(all.lines().find(of_guest), None, "two flows of a guest\n{all}");
}

#[test]
fn row_13_one_snapshot_tells_what_three_tools_told() {
    let Some(lan) = Lan::enter() else { return };
    lan.starts("network-bridge bridge=xenbr0 netdev=eth0");
    lan.starts("network-nat netdev=xenbr0");
    let _bridged = lan.bridged("vif1.0", "xenbr0", &["192.0.2.77/24"]);
    let (routed, lock) = lan.guest("vif2.0", &["10.0.2.1/32"]);
    lan.host().attach_vif(&Attachment::routed(routed.name, lock)).unwrap();
    let snapshot = lan.host().snapshot().unwrap();
    let ports: Vec<_> = snapshot.ports_of(name("xenbr0")).map(|port| port.name.to_string()).collect();
    assert_eq!(ports, ["eth0", "vif1.0"]);
    assert!(snapshot.addresses[&name("xenbr0")].contains(&format!("{}/24", DOM0[0]).parse().unwrap()));
    assert!(snapshot.routes[&routed.name].contains(&"10.0.2.1/32".parse().unwrap()));
    let ids: Vec<_> = snapshot.networks.keys().copied().collect();
    assert_eq!(ids, [NetworkId::Interface(name("xenbr0")), NetworkId::Nat(name("xenbr0"))]);
    assert_eq!(snapshot.masquerades.len(), 1);
    assert!(snapshot.guard_of(name("vif1.0")).is_some() && snapshot.guard_of(name("vif2.0")).is_some());
    // Programs read the same.
    let json = serde_json::to_value(&snapshot).unwrap();
    assert_eq!(json["networks"]["xenbr0"]["network"], "network-bridge bridge=xenbr0 netdev=eth0");
    assert_eq!(json["networks"]["nat:xenbr0"]["network"], "network-nat netdev=xenbr0");
}

/// A guest must not reach dom0 by a path that nobody filters: by any address, in any mode.
#[test]
fn row_14_a_guest_that_is_led_out_reaches_dom0_by_no_address_of_it() {
    let Some(lan) = Lan::enter() else { return };
    lan.starts("network-virtual bridgeip=10.98.98.1/24 dom0=closed");
    let guest = lan.bridged("vif1.0", "xenbr0", &["10.98.98.2/24 via 10.98.98.1"]);
    let seen_as = Some(DOM0[0].parse().unwrap());
    assert_eq!(hears_from(&lan.router.guest, FAR[0], &guest.guest), seen_as);
    let ears = ["10.98.98.1", DOM0[0]].map(|own| UdpSocket::bind((own, 9)).unwrap());
    let far = lan.router.guest.within(|| UdpSocket::bind((FAR[0], 9)).unwrap());
    let say = || {
        guest.guest.within(|| {
            let mouth = UdpSocket::bind("0.0.0.0:0").unwrap();
            ["10.98.98.1", DOM0[0], FAR[0]].map(|to| mouth.send_to(b"hello", (to, 9)).unwrap());
        });
    };
    let heard = |ear: &UdpSocket| {
        ear.set_nonblocking(true).unwrap();
        ear.recv(&mut [0; 16]).is_ok()
    };
    // What was said last has arrived, so what was said before has, or never will.
    wait_for("the outside hears it", || {
        say();
        heard(&far)
    });
    assert!(!ears.iter().any(heard));
    // Dom0's administrator opens it, and the same ears hear.
    lan.host().set_dom0(name("xenbr0"), xenvnet_core::Dom0::Open).unwrap();
    for ear in &ears {
        wait_for("dom0 hears it", || {
            say();
            heard(ear)
        });
    }
}
