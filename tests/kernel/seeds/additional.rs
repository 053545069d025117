//! Row 7, `network-bridge-additional`: one more port for a bridge that is there.

use super::lan::{Image, Lan, network};
use crate::proof::bridge_by_ip;
use xenvnet_core::{ErrorKind, Outcome};
use xenvnet_tests::{FakeVif, bridge_json, hears, ip, ip_json};

/// An interface as netloop left it, whose far end is another host.
fn spare(lan: &Lan, link: &str) -> FakeVif {
    let far = lan.dom0.guest(link, "02:00:00:00:00:0b");
    ip(&format!("link set {link} addrgenmode none"));
    far.address("10.98.98.9/24", "");
    far
}

fn ports() -> Vec<String> {
    let links = bridge_json("link show");
    let mut names: Vec<_> =
        links.as_array().unwrap().iter().map(|port| port["ifname"].as_str().unwrap().to_owned()).collect();
    names.sort();
    names
}

#[test]
fn row_07_network_bridge_additional_adds_a_port_and_takes_it_off() {
    let Some(lan) = Lan::enter() else { return };
    bridge_by_ip("xenbr1");
    ip("addr add 10.98.98.1/24 dev xenbr1");
    let far = spare(&lan, "vif0.1");
    let other = spare(&lan, "other0");
    ip("link set other0 master xenbr1");
    ip("link set other0 up");
    other.wait_for_carrier();
    ip("link set vif0.1 up");
    far.wait_for_carrier();
    lan.settle();
    let before = Image::take();
    let line = "network-bridge-additional vifnum=1";
    lan.starts(line);
    assert_eq!(ports(), ["other0", "vif0.1"]);
    ip("link set other0 down");
    assert!(hears(&lan.dom0.namespace(), "10.98.98.1", &far.guest));
    ip("link set other0 up");
    other.wait_for_carrier();
    lan.stops(line);
    assert_eq!(ports(), ["other0"], "its own port alone is released");
    Image::take().assert_same(&before, "after the port was released");
}

#[test]
fn vifnum_defaults_to_the_number_of_the_default_routes_card() {
    let Some(lan) = Lan::enter() else { return };
    let _second = lan.second();
    bridge_by_ip("br0");
    let _ports = ["vif0.0", "vif0.1"].map(|link| spare(&lan, link));
    let line = "network-bridge-additional bridge=br0";
    lan.starts(line);
    assert_eq!(ports(), ["vif0.0"], "the default route is over eth0");
    lan.stops(line);
    ip("route del default via 192.0.2.9");
    ip("route add default via 198.51.100.9");
    lan.starts(line);
    assert_eq!(ports(), ["vif0.1"], "the default route is over eth1");
}

/// Whatever the default route is by then, the port that was added is the one that is released.
#[test]
fn the_port_that_was_added_is_the_one_that_is_released() {
    let Some(lan) = Lan::enter() else { return };
    let _second = lan.second();
    bridge_by_ip("br0");
    let _ports = ["vif0.0", "vif0.1"].map(|link| spare(&lan, link));
    let line = "network-bridge-additional bridge=br0";
    lan.starts(line);
    ip("route del default via 192.0.2.9");
    ip("route add default via 198.51.100.9");
    lan.stops(line);
    assert_eq!(ports(), Vec::<String>::new());
    assert!(lan.host().snapshot().unwrap().networks.is_empty());
}

/// Frames of the card would come in, and dom0 would be cut off: its addresses are on the port.
#[test]
fn a_card_with_addresses_of_dom0s_is_refused_with_advice() {
    let Some(lan) = Lan::enter() else { return };
    bridge_by_ip("br0");
    let before = Image::take();
    let error = lan.host().start_network(&network("network-bridge-additional bridge=br0 netdev=eth0")).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Conflict);
    assert_eq!(error.to_string(), "cannot start the network of eth0: dom0 has addresses on eth0");
    assert!(error.advice().unwrap().contains("network-bridge netdev=eth0"), "{:?}", error.advice());
    Image::take().assert_same(&before, "after it was refused");
}

#[test]
fn a_bridge_or_a_port_that_is_not_there_is_named() {
    let Some(lan) = Lan::enter() else { return };
    let _far = spare(&lan, "vif0.0");
    bridge_by_ip("br0");
    let before = Image::take();
    for (line, why) in [
        ("network-bridge-additional bridge=br7 netdev=vif0.0", "no interface named br7"),
        ("network-bridge-additional bridge=br0 netdev=vif0.7", "no interface named vif0.7"),
        ("network-bridge-additional bridge=eth0 netdev=vif0.0", "eth0 is no bridge"),
    ] {
        let error = lan.host().start_network(&network(line)).expect_err(line);
        assert!(error.to_string().starts_with("cannot start the network of vif0."), "{line}: {error}");
        assert!(error.to_string().ends_with(why), "{line}: {error}");
        Image::take().assert_same(&before, &format!("by {line}"));
    }
}

/// Somebody took the port off, or deleted the bridge: the way back has nothing to do, and says so.
#[test]
fn a_port_that_went_elsewhere_is_left_there() {
    let Some(lan) = Lan::enter() else { return };
    let _far = spare(&lan, "vif0.0");
    bridge_by_ip("br0");
    bridge_by_ip("br1");
    let line = "network-bridge-additional bridge=br0 netdev=vif0.0";
    lan.starts(line);
    ip("link set vif0.0 master br1");
    lan.host().stop_network(&network(line)).unwrap();
    assert_eq!(ip_json("link show dev vif0.0")[0]["master"], "br1");
    assert!(lan.host().snapshot().unwrap().networks.is_empty());
    assert_eq!(lan.host().stop_network(&network(line)).unwrap(), Outcome::Unchanged);
}

/// The script waited up to ten seconds for a carrier, and went on without one all the same.
#[test]
fn a_port_without_a_carrier_is_added_at_once_and_works_when_it_comes() {
    let Some(lan) = Lan::enter() else { return };
    bridge_by_ip("br0");
    ip("addr add 10.98.98.1/24 dev br0");
    let far = spare(&lan, "vif0.0");
    far.guest.within(|| ip("link set eth0 down"));
    lan.starts("network-bridge-additional bridge=br0 netdev=vif0.0");
    let flags = ip_json("link show dev vif0.0")[0]["flags"].to_string();
    assert!(flags.contains("NO-CARRIER") && flags.contains("UP"), "{flags}");
    far.guest.within(|| ip("link set eth0 up"));
    assert!(hears(&lan.dom0.namespace(), "10.98.98.1", &far.guest));
}
