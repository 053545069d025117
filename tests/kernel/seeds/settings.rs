//! Kernel settings that networks turn on: put back by the last that needs them, and not before.

use super::lan::{Image, Lan};
use xenvnet_tests::{sysctl, sysctl_set};

const FORWARD: [&str; 2] = ["ipv4/ip_forward", "ipv6/conf/all/forwarding"];

fn forwarding() -> [String; 2] {
    FORWARD.map(sysctl)
}

#[test]
fn forwarding_stays_until_its_last_user_stops() {
    let Some(lan) = Lan::enter() else { return };
    let _second = lan.second();
    let lines = [
        "network-route netdev=eth0 ipv6=yes",
        "network-nat netdev=eth1 subnet=10.0.0.0/8,fd00:5::/64",
        "network-virtual bridge=xenbr0",
        "network-virtual bridge=xenbr1 bridgeip=fd00:6::1/64",
    ];
    let before = Image::take();
    // Whatever the order in which they stop.
    for turn in 0..lines.len() {
        lines.iter().for_each(|line| lan.starts(line));
        assert_eq!(forwarding(), ["1", "1"]);
        let mut order = lines;
        order.rotate_left(turn);
        for (n, line) in order.iter().enumerate() {
            lan.stops(line);
            let left = &order[n + 1..];
            let needed = [
                left.iter().any(|line| !line.contains("bridgeip=fd00:")),
                left.iter().any(|line| *line != "network-virtual bridge=xenbr0"),
            ];
            assert_eq!(forwarding(), needed.map(|needed| u8::from(needed).to_string()), "after {line}; left: {left:?}");
        }
        Image::take().assert_same(&before, &format!("after all stopped, {} first", order[0]));
    }
}

#[test]
fn each_uplink_has_settings_of_its_own() {
    let Some(lan) = Lan::enter() else { return };
    let _second = lan.second();
    let before = Image::take();
    let proxies = || {
        ["eth0", "eth1"].map(|card| {
            [sysctl(&format!("ipv4/conf/{card}/proxy_arp")), sysctl(&format!("ipv6/conf/{card}/proxy_ndp"))].concat()
        })
    };
    lan.starts("network-route netdev=eth0");
    assert_eq!(proxies(), ["11", "00"]);
    lan.starts("network-route netdev=eth1");
    assert_eq!(proxies(), ["11", "11"]);
    lan.stops("network-route netdev=eth0");
    assert_eq!(proxies(), ["00", "11"]);
    lan.stops("network-route netdev=eth1");
    Image::take().assert_same(&before, "after both stopped");
}

/// A host that forwards IPv6 would lose the default route that it learned from its router.
#[test]
fn router_advertisements_are_taken_while_forwarding() {
    let Some(lan) = Lan::enter() else { return };
    for line in ["network-route netdev=eth0", "network-nat netdev=eth0 subnet=fd00:5::/64"] {
        for (was, becomes) in [("1", "2"), ("0", "0"), ("2", "2")] {
            sysctl_set("ipv6/conf/eth0/accept_ra", was);
            let before = Image::take();
            lan.starts(line);
            assert_eq!(sysctl("ipv6/conf/eth0/accept_ra"), becomes, "{line}: it was {was}");
            lan.stops(line);
            Image::take().assert_same(&before, &format!("after {line}"));
        }
    }
    // Two networks on one uplink: the first to stop leaves the other what it needs.
    sysctl_set("ipv6/conf/eth0/accept_ra", "1");
    let before = Image::take();
    lan.starts("network-route netdev=eth0");
    lan.starts("network-nat netdev=eth0 subnet=fd00:5::/64");
    lan.stops("network-route netdev=eth0");
    assert_eq!(sysctl("ipv6/conf/eth0/accept_ra"), "2");
    lan.stops("network-nat netdev=eth0");
    Image::take().assert_same(&before, "after both networks of eth0");
}

#[test]
fn what_was_on_before_stays_on() {
    let Some(lan) = Lan::enter() else { return };
    FORWARD.map(|name| sysctl_set(name, "1"));
    sysctl_set("ipv4/conf/eth0/proxy_arp", "1");
    let before = Image::take();
    for line in ["network-route", "network-nat", "network-virtual"] {
        lan.starts(line);
        lan.stops(line);
        Image::take().assert_same(&before, &format!("after {line}"));
    }
}
