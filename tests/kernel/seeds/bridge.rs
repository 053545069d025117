//! Row 2, `network-bridge`: a bridge takes over an uplink, and dom0 notices nothing.

use super::lan::{FAR, Image, Lan, ROUTER, ROUTER_2, network};
use crate::proof::{bridge_by_ip, name};
use serde_json::Value;
use xenvnet_core::{Attachment, ErrorKind, Lock};
use xenvnet_tests::{hears, hears_from, ip, ip_json, nft_ruleset, sysctl_set};

/// Addresses of a guest that is bridged into the LAN.
const GUEST: [&str; 2] = ["192.0.2.77/24 via 192.0.2.9", "2001:db8:f::77/64 via 2001:db8:f::9"];

/// Where a bridge is, where its uplink went, and that everybody reaches everybody.
fn takes_over(line: &str, bridge: &str, card: &str) {
    let Some(lan) = Lan::enter() else { return };
    let mac = ip_json("link show dev eth0")[0]["address"].clone();
    let before = Image::take();
    lan.starts(line);
    let link = &ip_json(&format!("-d link show dev {bridge}"))[0];
    assert_eq!(link["address"], mac, "the bridge has the MAC address that the LAN knows");
    let data = &link["linkinfo"]["info_data"];
    assert_eq!((&data["stp_state"], &data["forward_delay"]), (&0.into(), &0.into()));
    let port = &ip_json(&format!("addr show dev {card}"))[0];
    assert_eq!(port["master"], bridge);
    assert_eq!(port["addr_info"], serde_json::json!([]), "dom0 has no address on the card any more");
    lan.assert_reachable();
    let guest = lan.bridged("vif1.0", bridge, &GUEST);
    for (n, own) in ["192.0.2.77", "2001:db8:f::77"].into_iter().enumerate() {
        assert_eq!(hears_from(&lan.router.guest, ROUTER[n], &guest.guest), Some(own.parse().unwrap()));
        assert_eq!(hears_from(&guest.guest, own, &lan.router.guest), Some(ROUTER[n].parse().unwrap()));
        assert!(hears(&guest.guest, own, &lan.dom0.namespace()));
    }
    // The old script's way back failed while ports were enslaved.
    lan.stops(line);
    let vif = &ip_json("link show dev vif1.0")[0];
    assert!(vif["master"].is_null() && !vif["flags"].as_array().unwrap().iter().any(|flag| flag == "UP"), "{vif}");
    lan.assert_reachable();
    lan.host().detach_vif(guest.name).unwrap();
    ip("link del vif1.0");
    // Ours stand as long as there is a guest; asked again, the network leaves nothing.
    lan.starts(line);
    lan.stops(line);
    assert_eq!(nft_ruleset(), "");
    Image::take().assert_same(&before, "after the guest went and the network stopped");
}

#[test]
fn row_02_network_bridge_takes_over_its_uplink() {
    takes_over("network-bridge bridge=xenbr0 netdev=eth0", "xenbr0", "eth0");
}

#[test]
fn row_02_network_bridge_takes_its_uplinks_name() {
    takes_over("network-bridge netdev=eth0", "eth0", "peth0");
}

#[test]
fn row_06_bridge_shadow_takes_name_and_mac_of_its_card() {
    takes_over("bridge-shadow eth0", "eth0", "seth0");
}

/// What there was to lose besides the first IPv4 address and the first default route.
const SETUP: [&str; 13] = [
    "addr add 192.0.2.3/24 dev eth0 label eth0:web",
    "addr add 10.20.0.1/16 dev eth0 scope link",
    "addr add 2001:db8:f::3/64 dev eth0 nodad preferred_lft 0",
    "addr add fe80::33/64 dev eth0 nodad",
    "route add 203.0.113.0/24 via 192.0.2.9 dev eth0 metric 50 src 192.0.2.3 mtu 1400",
    "route add 203.0.113.0/24 via 192.0.2.8 dev eth0 metric 60",
    "route add default via 192.0.2.9 dev eth0 table 100",
    "route add 10.30.0.0/16 dev eth0 table 100 metric 7",
    "-6 route add 2001:db8:ff::/64 via fe80::9 dev eth0 metric 50",
    "-6 route add default via 2001:db8:f::9 dev eth0 table 100 metric 70",
    "rule add iif eth0 lookup 100 priority 500",
    "-6 rule add oif eth0 lookup 100 priority 500",
    "neigh add 192.0.2.200 lladdr 02:00:00:00:00:c8 dev eth0 nud permanent",
];

/// All of that, without the name of the interface that has it.
fn holdings(of: &str) -> Vec<String> {
    let queries = ["addr show", "-4 route show table all", "-6 route show table all", "-4 rule show", "-6 rule show"];
    let mut held = Vec::new();
    for query in queries.into_iter().chain(["neigh show nud permanent"]) {
        for object in ip_json(query).as_array().unwrap() {
            let of_addresses = object["addr_info"].as_array().cloned().unwrap_or_else(|| vec![object.clone()]);
            for mut object in of_addresses {
                // The kernel's own, which each interface that is up has.
                let to = object["dst"].as_str().unwrap_or_default();
                if object["type"] == "multicast" || to.starts_with("fe80::/") || to.starts_with("ff00:") {
                    continue;
                }
                // That it makes no route of its own is how an address is moved beside another.
                object.as_object_mut().map(|object| object.remove("noprefixroute"));
                held.push(object.to_string().replace(of, "it"));
            }
        }
    }
    held.sort();
    held
}

#[test]
fn ipv6_metrics_rules_and_routes_of_all_tables_are_kept() {
    let Some(lan) = Lan::enter() else { return };
    SETUP.map(ip);
    lan.settle();
    let (before, held) = (Image::take(), holdings("eth0"));
    assert!(held.len() > SETUP.len(), "{held:#?}");
    lan.starts("network-bridge bridge=xenbr0 netdev=eth0");
    assert_eq!(holdings("xenbr0"), held);
    let left = ip("route show table all").lines().filter(|route| route.contains("dev eth0")).count();
    assert_eq!(left, 1, "only what each interface that is up has: {}", ip("route show table all"));
    // By the routes with the best metric, and from the address that they name.
    let own = lan.dom0.namespace();
    assert_eq!(hears_from(&lan.router.guest, FAR[0], &own), Some("192.0.2.3".parse().unwrap()));
    assert_eq!(hears_from(&lan.router.guest, FAR[1], &own), Some("2001:db8:f::1".parse().unwrap()));
    lan.stops("network-bridge bridge=xenbr0 netdev=eth0");
    Image::take().assert_same(&before, "after the bridge was gone");
    assert_eq!(holdings("eth0"), held);
}

/// The old script did nothing at all where any bridge was.
#[test]
fn a_second_bridge_beside_a_first() {
    let Some(lan) = Lan::enter() else { return };
    let second = lan.second();
    bridge_by_ip("br0");
    let before = Image::take();
    let lines = ["network-bridge bridge=xenbr0 netdev=eth0", "network-bridge bridge=xenbr1 netdev=eth1"];
    lines.map(|line| lan.starts(line));
    lan.assert_reachable();
    let one = lan.bridged("vif1.0", "xenbr0", &["192.0.2.77/24"]);
    let two = lan.bridged("vif2.0", "xenbr1", &["198.51.100.77/24"]);
    assert!(hears(&lan.router.guest, ROUTER[0], &one.guest));
    assert!(hears(&second.guest, ROUTER_2[0], &two.guest));
    lan.stops(lines[0]);
    assert!(hears(&second.guest, ROUTER_2[0], &two.guest), "the second goes on without the first");
    for guest in [one, two] {
        lan.host().detach_vif(guest.name).unwrap();
        ip(&format!("link del {}", guest.name));
    }
    lan.stops(lines[1]);
    Image::take().assert_same(&before, "after both stopped");
}

/// "my-wrapper": the uplink's bridge, and one that is purely virtual. No driver of that name is needed.
#[test]
fn the_two_lines_of_my_wrapper() {
    let Some(lan) = Lan::enter() else { return };
    let before = Image::take();
    let lines = ["network-bridge", "network-bridge vifnum=1 netdev=dummy0"];
    for _ in 0..3 {
        lines.map(|line| lan.host().start_network(&network(line)).unwrap());
    }
    assert!(!ip("link show").contains("dummy0"));
    let links = ip_json("-d link show type bridge");
    let mut bridges: Vec<_> = links.as_array().unwrap().iter().map(|link| link["ifname"].as_str().unwrap()).collect();
    bridges.sort();
    assert_eq!(bridges, ["eth0", "xenbr1"]);
    lan.assert_reachable();
    let outer = lan.bridged("vif1.0", "eth0", &["192.0.2.77/24"]);
    let inner = [1, 2].map(|n| lan.bridged(&format!("vif{n}.1"), "xenbr1", &[&format!("10.1.1.{n}/24")]));
    assert!(hears(&lan.router.guest, ROUTER[0], &outer.guest));
    assert!(hears(&inner[1].guest, "10.1.1.2", &inner[0].guest), "guests of the virtual bridge reach each other");
    for guest in inner.iter().chain([&outer]) {
        lan.host().detach_vif(guest.name).unwrap();
        ip(&format!("link del {}", guest.name));
    }
    lines.map(|line| lan.stops(line));
    Image::take().assert_same(&before, "after both stopped");
}

#[test]
fn a_bridge_with_antispoof_refuses_a_vif_without_a_lock_until_it_stops() {
    let Some(lan) = Lan::enter() else { return };
    let before = Image::take();
    for (line, bridge) in [
        ("network-bridge bridge=xenbr0 netdev=eth0", "xenbr0"),
        ("network-bridge netdev=eth0", "eth0"),
        ("network-bridge bridge=xenbr1 netdev=dummy0", "xenbr1"),
    ] {
        let strict = format!("{line} antispoof=yes");
        let guest = lan.dom0.guest("vif1.0", "00:16:3e:00:00:01");
        let open = Attachment::bridged(guest.name, name(bridge), Lock::Unlocked);
        lan.starts(&strict);
        let while_strict = Image::take();
        let error = lan.host().attach_vif(&open).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidArgument);
        assert!(error.to_string().ends_with(&format!("the network of {bridge} has antispoof=yes")), "{error}");
        Image::take().assert_same(&while_strict, "after it was refused");
        ip("link del vif1.0");
        lan.stops(&strict);
        // The old script's policies and rules stayed for ever.
        Image::take().assert_same(&before, &format!("after {strict}"));
        lan.starts(line);
        let _guest = lan.dom0.guest("vif1.0", "00:16:3e:00:00:01");
        lan.host().attach_vif(&open).unwrap();
        ip("link del vif1.0");
        lan.stops(line);
    }
}

/// Nor do antispoof=no and a missing one open a guest that has a lock.
#[test]
fn a_bridge_without_antispoof_weakens_no_lock() {
    let Some(lan) = Lan::enter() else { return };
    lan.starts("network-bridge bridge=xenbr0 netdev=eth0 antispoof=no");
    let guest = lan.bridged("vif1.0", "xenbr0", &["192.0.2.77/24"]);
    assert!(hears(&lan.router.guest, ROUTER[0], &guest.guest));
    assert!(lan.host().snapshot().unwrap().guards.contains_key(&guest.name));
    let ear = lan.router.raw();
    guest.guest.within(|| {
        ip("addr add 192.0.2.78/24 dev eth0");
        let socket = std::net::UdpSocket::bind("192.0.2.78:0").unwrap();
        socket.send_to(b"a lie", (ROUTER[0], 9)).unwrap();
    });
    // What comes after the lie on the same way is heard, the lie is not.
    assert!(hears(&lan.router.guest, ROUTER[0], &guest.guest));
    let lie = |heard: &Vec<u8>| heard.windows(4).any(|octets| octets == [192, 0, 2, 78]);
    assert!(!std::iter::from_fn(|| ear.pending()).any(|heard| lie(&heard)));
}

/// One changes its mind about a network that runs: it is told which runs, and that one stays.
#[test]
fn a_line_that_contradicts_what_runs_is_refused() {
    let Some(lan) = Lan::enter() else { return };
    let _second = lan.second();
    lan.starts("network-bridge bridge=xenbr0 netdev=eth0");
    let running = Image::take();
    for line in [
        "network-bridge bridge=xenbr0 netdev=eth1",
        "network-bridge bridge=xenbr0 netdev=eth0 antispoof=yes",
        "network-bridge bridge=xenbr5 netdev=eth0",
        "network-virtual bridge=xenbr0",
        "bridge-shadow eth0",
    ] {
        let error = lan.host().start_network(&network(line)).expect_err(line);
        assert_eq!(error.kind(), ErrorKind::Conflict, "{line}: {error}");
        assert!(error.advice().is_some(), "{line}: {error}");
        Image::take().assert_same(&running, &format!("by {line}"));
    }
}

fn flags(link: &str) -> Value {
    ip_json(&format!("link show dev {link}"))[0]["flags"].clone()
}

/// A card whose cable is out is no reason to wait, nor to fail.
#[test]
fn an_uplink_without_a_carrier_is_taken_over_and_works_when_the_cable_is_in() {
    let Some(lan) = Lan::enter() else { return };
    let before = Image::take();
    lan.router.guest.within(|| ip("link set eth0 down"));
    lan.starts("network-bridge bridge=xenbr0 netdev=eth0");
    assert!(flags("eth0").as_array().unwrap().iter().any(|flag| flag == "NO-CARRIER"));
    lan.router.guest.within(|| {
        ip("link set eth0 up");
        ip("route replace default via 192.0.2.1");
        ip("addr replace 2001:db8:f::9/64 dev eth0 nodad");
    });
    lan.assert_reachable();
    lan.stops("network-bridge bridge=xenbr0 netdev=eth0");
    lan.assert_reachable();
    Image::take().assert_same(&before, "after the bridge was gone");
}

/// What comes in by an uplink may be led elsewhere by a rule that names it, which is a rule of the
/// bridge's as long as that has what comes in.
#[test]
fn a_policy_rule_leads_what_comes_in_by_the_bridge_as_by_the_uplink() {
    let Some(lan) = Lan::enter() else { return };
    let second = lan.second();
    const BEYOND: &str = "198.18.0.9";
    second.guest.within(|| ip(&format!("addr add {BEYOND} dev lo")));
    lan.router.guest.within(|| ip(&format!("route add {BEYOND} via 192.0.2.1")));
    sysctl_set("ipv4/ip_forward", "1");
    for line in [
        "route add 198.18.0.0/24 via 198.51.100.9 dev eth1 table 100",
        "route add blackhole 198.18.0.0/24",
        "rule add iif eth0 lookup 100 priority 500",
        "-6 rule add iif eth0 lookup 100 priority 500",
    ] {
        ip(line);
    }
    let before = Image::take();
    let is_led_by = |link: &str| {
        assert_eq!(hears_from(&second.guest, BEYOND, &lan.router.guest), Some(ROUTER[0].parse().unwrap()), "by {link}");
        for family in ["-4", "-6"] {
            let rules = ip_json(&format!("{family} rule show priority 500"));
            assert_eq!((&rules[0]["iif"], &rules[0]["table"]), (&link.into(), &"100".into()), "{rules}");
            assert!(rules[0]["iif_detached"].is_null() && rules[1].is_null(), "{rules}");
        }
    };
    is_led_by("eth0");
    for (line, bridge) in [("network-bridge bridge=xenbr0 netdev=eth0", "xenbr0"), ("bridge-shadow eth0", "eth0")] {
        lan.starts(line);
        is_led_by(bridge);
        lan.stops(line);
        is_led_by("eth0");
        Image::take().assert_same(&before, &format!("after {line}"));
    }
}
